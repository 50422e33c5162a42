"""The sound that goes to the server, made of what two cancellers leave; WebRTC's audio processing (pywebrtc-audio) is spoken to here alone.

AEC3 takes the echo away to below hearing, and with it a user who is not much louder: of an interruption as loud as the echo, a
recogniser gets two words in three wrong. The linear canceller leaves some echo, and the user unharmed (8 % wrong, as many as of the clean
voice). So AEC3's sound goes out until the user talks over the assistant, then the linear one's.
"""

from typing import NamedTuple

import numpy as np
from pywebrtc_audio import AudioProcessor, EchoCanceller, GainController, NoiseSuppressor

from voiced.audio.echo.far import BLOCK
from voiced.audio.echo.interface import RATE_HZ, Samples
from voiced.audio.spectrum import SINGLE


class Aec3:
    """WebRTC's AEC3 with its high-pass, for one microphone. The far end must precede its echo (no cancelling from 0 ms down)."""

    #: Samples by which the output is behind the input; measured by cross-correlation, and the same with a loud far end.
    delay = 128

    def __init__(self) -> None:
        self._engine = EchoCanceller(sample_rate=RATE_HZ)

    def process(self, near: Samples, far: Samples) -> Samples:
        """Equal lengths, a multiple of 160, float32 in [-1, 1]; returns as much."""
        out: Samples = self._engine.process(near, far)
        return out


class Suppressor:
    """Lowers what a linear canceller leaves of the echo, bin by bin, by what it was seen to leave of it when nobody spoke.

    Windows of 448 samples every 320, flat in the middle: they overlap by 128, which is then the delay, and AEC3's.
    """

    delay = 128
    _LENGTH = BLOCK + delay
    #: Of the echo's power, what is left at the most and at first (two-path, recipe R6). To expect so much always cost the recogniser
    #: 3 words in 100: a canceller that has learned the room leaves a thousandth.
    _MOST = 0.24
    #: What is seen is the least of seconds: it is taken for half of what is left, and forgotten by a third in a second.
    _MEAN = 2.0
    _FORGOTTEN = 1.006
    _LEAST_GAIN = 0.1
    _SMOOTH = 0.4
    #: Bins with less echo than -70 dBFS in all say nothing.
    _AUDIBLE = 1e-7 * _LENGTH**2 / 4 / 50
    _LITTLE = np.float32(1e-12)

    def __init__(self) -> None:
        rise = np.sin(np.pi / 2 * (np.arange(self.delay) + 0.5) / self.delay)
        self._window: Samples = np.concatenate((rise, np.ones(BLOCK - self.delay), rise[::-1])).astype(np.float32)
        self._before: Samples = self._window * np.float32(self._LENGTH)  # makes up for the transform's norm
        bins = self._LENGTH // 2 + 1
        self._heard: Samples = np.zeros((2, self._LENGTH), np.float32)
        self._powers: Samples = np.zeros((2, bins), np.float32)
        self._left: Samples = np.full(bins, self._MOST / self._MEAN, np.float32)
        self._tail: Samples = np.zeros(self.delay, np.float32)

    def process(self, left: Samples, echo: Samples) -> Samples:
        """A block of what is left of the microphone and of the echo that was taken out."""
        heard = self._heard
        heard[:, : self.delay] = heard[:, BLOCK:]
        heard[0, self.delay :] = left
        heard[1, self.delay :] = echo
        sound: Samples = self._lowered(heard * self._before) if heard[1].any() else heard[0] * self._window
        sound *= self._window
        sound[: self.delay] += self._tail
        self._tail = sound[BLOCK:]
        return sound[:BLOCK]

    def _lowered(self, heard: Samples) -> Samples:
        """Of what is left and of the echo, shape (2, _LENGTH)."""
        spectra = np.fft.rfft(heard, norm=SINGLE).astype(np.complex64, copy=False)
        powers = np.square(np.abs(spectra))
        powers -= self._powers
        powers *= 1 - self._SMOOTH
        self._powers += powers
        lowered = spectra[0]
        lowered *= self._gain(*self._powers)
        out: Samples = np.fft.irfft(lowered, self._LENGTH).astype(np.float32, copy=False)
        return out

    def _gain(self, left: Samples, echo: Samples) -> Samples:
        ratio = left / (echo + self._LITTLE)
        seen = np.minimum(self._left * self._FORGOTTEN, ratio)
        np.minimum(seen, self._MOST / self._MEAN, out=seen)
        np.copyto(self._left, seen, where=echo > self._AUDIBLE)
        ratio += self._LITTLE
        gain: Samples = np.divide(self._left, ratio, out=ratio)
        gain *= -self._MEAN
        gain += 1
        np.maximum(gain, self._LEAST_GAIN, out=gain)
        return gain


class Blend:
    """From one sound to the other and back, without a step: the clear one at once when the user begins and until he has surely ended, and
    where the strict one is the louder. AEC3 can lose the echo for seconds (a jump, a diffuse room: 11 to 19 dB are left of its 35)."""

    #: Judged to speak from the one on, until for a while below the other; between words a voice falls silent for up to 300 ms. Under
    #: drift an echo alone was judged 0.7 at times; of users at -12 dB, with the hold, 98 % of the time is covered.
    _SPEAKS, _PAUSES = 0.8, 0.3
    _HOLD = RATE_HZ * 400 // 1000
    _RISE, _FALL = RATE_HZ * 10 // 1000, RATE_HZ * 60 // 1000
    _QUIETER, _LOUDER = 0.5, 0.8
    _SMOOTH = 0.2

    def __init__(self) -> None:
        self.share = 0.0  # of the clear sound, at the end of the last block
        self._hold = 0
        self._strict = self._clear = 0.0  # their powers
        self._quieter = False

    def process(self, strict: Samples, clear: Samples, speech: float) -> Samples:
        self._listen(len(strict), speech)
        self._compare(float(strict @ strict), float(clear @ clear))
        rises = self._hold or self._quieter
        if self.share == bool(rises):
            return clear if rises else strict
        slope = 1 / self._RISE if rises else -1 / self._FALL
        share = np.clip(self.share + slope * np.arange(1, len(strict) + 1), 0, 1).astype(np.float32)
        self.share = float(share[-1])
        out: Samples = strict + share * (clear - strict)
        return out

    def _listen(self, frames: int, speech: float) -> None:
        if speech >= self._SPEAKS or (self._hold and speech >= self._PAUSES):
            self._hold = self._HOLD
        else:
            self._hold = max(0, self._hold - frames)

    def _compare(self, strict: float, clear: float) -> None:
        self._strict += self._SMOOTH * (strict - self._strict)
        self._clear += self._SMOOTH * (clear - self._clear)
        self._quieter = self._clear < (self._LOUDER if self._quieter else self._QUIETER) * self._strict


class Wired(NamedTuple):
    sound: Samples  # what goes on the wire
    clear: Samples  # the same with the user's words unharmed and some echo: to be sent for what turns out to have been the user


class Wire:
    """What both cancellers leave of one microphone becomes the sound on the wire."""

    def __init__(self, *, noise_suppression: bool, gain_control: bool) -> None:
        #: Samples by which what comes out is behind the microphone: 8 ms, with noise suppression 14.
        self.delay = Aec3.delay + (_Quiet.delay if noise_suppression else 0)
        self._suppressor = Suppressor()
        self._high_pass = AudioProcessor(sample_rate=RATE_HZ, high_pass_filter=True)  # as AEC3's, which adds no delay
        self._quiet = _Quiet() if noise_suppression else None
        self._waiting: Samples = np.zeros(_Quiet.delay if noise_suppression else 0, np.float32)  # of the clear sound, for the other
        self._blend = Blend()
        self._gain = GainController(sample_rate=RATE_HZ) if gain_control else None

    def process(self, strict: Samples | None, left: Samples, echo: Samples, speech: float) -> Wired:
        """AEC3's output, None where it rests; what the linear canceller left, not delayed, and the echo that it took out; and how likely,
        0 to 1, the user is talking, echo discounted. A block of each."""
        clear: Samples = self._high_pass.process(self._suppressor.process(left, echo))
        sound = clear if strict is None else self._blend.process(strict, clear, speech)
        if self._quiet is not None:
            # Not of the clear one, too: it is told after the fact, and the recogniser rather has the noise (8.3 against 11.6 % of words).
            sound = self._quiet.process(sound)
            clear = np.concatenate((self._waiting, clear))
            self._waiting = clear[BLOCK:]
            clear = clear[:BLOCK]
        if self._gain is not None:
            sound = self._gain.process(sound, speech)
            clear = np.clip(clear * np.float32(10 ** (self._gain.gain_db / 20)), -1, 1)
        return Wired(sound, clear)


class _Quiet:
    """WebRTC's noise suppressor. At 16 kHz its levels do what they say, at 24 kHz all do the same (signal-packages 1.4)."""

    delay = 96

    def __init__(self) -> None:
        self._engine = NoiseSuppressor(sample_rate=RATE_HZ, level=1)  # 12 dB

    def process(self, sound: Samples) -> Samples:
        out: Samples = self._engine.process(sound)
        return out
