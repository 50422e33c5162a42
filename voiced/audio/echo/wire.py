"""The sound that goes to the server, made of what two cancellers leave; WebRTC's audio processing (pywebrtc-audio) is spoken to here alone.

AEC3 takes the echo away to below hearing, and with it a user who is not much louder: of an interruption as loud as the echo, a
recogniser gets two words in three wrong. The linear canceller leaves some echo, and the user unharmed (8 % wrong, as many as of the clean
voice). So AEC3's sound goes out until the user talks over the assistant, then the linear one's.
"""

from typing import NamedTuple

import numpy as np
from pywebrtc_audio import AudioProcessor, EchoCanceller, GainController, NoiseSuppressor

from voiced.audio.echo.interface import PIECE, RATE_HZ, Samples


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
    """Lowers what a linear canceller leaves of the echo, bin by bin, where the echo it took out was louder than what is left.

    Windows of 288 samples every 160, flat in the middle: they overlap by 128, which is then the delay, and AEC3's.
    """

    delay = 128
    _LENGTH = PIECE + delay
    #: Of the echo's power, what is expected to be left: two-path, recipe R6; with it the recogniser hears the user as well as without.
    _LEFT = 0.24
    _LEAST = 0.1
    _SMOOTH = 0.6

    def __init__(self) -> None:
        rise = np.sin(np.pi / 2 * (np.arange(self.delay) + 0.5) / self.delay)
        self._window = np.concatenate((rise, np.ones(PIECE - self.delay), rise[::-1])).astype(np.float32)
        bins = self._LENGTH // 2 + 1
        self._heard: Samples = np.zeros((2, self.delay), np.float32)
        self._powers: Samples = np.zeros((2, bins), np.float32)
        self._tail: Samples = np.zeros(self.delay, np.float32)

    def process(self, left: Samples, echo: Samples) -> Samples:
        """What is left of the microphone and the echo that was taken out, a multiple of 160 samples each."""
        frames = self._frames(np.stack((left, echo)))
        spectra = np.fft.rfft(frames * self._window).astype(np.complex64)
        for spectrum, power in zip(spectra, spectra.real**2 + spectra.imag**2, strict=True):
            self._powers += (1 - self._SMOOTH) * (power - self._powers)
            spectrum[0] *= np.maximum(1 - self._LEFT * self._powers[1] / (self._powers[0] + 1e-12), self._LEAST)
        sounds = np.fft.irfft(spectra[:, 0], self._LENGTH).astype(np.float32) * self._window
        sounds[:, : self.delay] += np.concatenate((self._tail[None], sounds[:-1, PIECE:]))
        self._tail = sounds[-1, PIECE:]
        return sounds[:, :PIECE].reshape(-1)

    def _frames(self, both: Samples) -> Samples:
        """Shape (pieces, 2, samples of a window)."""
        heard = np.concatenate((self._heard, both), axis=1)
        self._heard = heard[:, -self.delay :]
        return np.stack([heard[:, at : at + self._LENGTH] for at in range(0, both.shape[1], PIECE)])


class Blend:
    """From one sound to the other and back, without a step: at once when the user begins, late when he seems to have ended."""

    #: Judged to speak from the one on, until for a while below the other; between words a voice falls silent for up to 300 ms.
    _SPEAKS, _PAUSES = 0.5, 0.2
    _HOLD = RATE_HZ * 400 // 1000
    _RISE, _FALL = RATE_HZ * 10 // 1000, RATE_HZ * 60 // 1000

    def __init__(self) -> None:
        self.share = 0.0  # of the clear sound, at the end of the last block
        self._hold = 0

    def process(self, strict: Samples, clear: Samples, speech: float) -> Samples:
        frames = len(strict)
        if speech >= self._SPEAKS or (self._hold and speech >= self._PAUSES):
            self._hold = self._HOLD
        else:
            self._hold = max(0, self._hold - frames)
        before = self.share
        slope = 1 / self._RISE if self._hold else -1 / self._FALL
        share = np.clip(before + slope * np.arange(1, frames + 1), 0, 1).astype(np.float32)
        self.share = float(share[-1])
        out: Samples = strict + share * (clear - strict)
        return out


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
        self._quiet = (_Quiet(), _Quiet()) if noise_suppression else None
        self._blend = Blend()
        self._gain = GainController(sample_rate=RATE_HZ) if gain_control else None

    def process(self, strict: Samples, left: Samples, echo: Samples, speech: float) -> Wired:
        """AEC3's output; what the linear canceller left, not delayed, and the echo that it took out; and how likely, 0 to 1, the user is
        talking, echo discounted. Multiples of 160 samples each."""
        clear: Samples = self._high_pass.process(self._suppressor.process(left, echo))
        if self._quiet is not None:
            strict, clear = self._quiet[0].process(strict), self._quiet[1].process(clear)
        sound = self._blend.process(strict, clear, speech)
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
