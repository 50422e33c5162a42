"""The far end held back until its echo is near, where that comes later than the linear canceller reaches.

A Bluetooth loudspeaker can sound some 100 ms later than playback is told. Then nothing would be cancelled: the linear filter ends after
320 ms, and AEC3 finds no echo behind 700 (signal-packages 1.2). Jumps of some 10 ms and drift are the linear canceller's own affair.
"""

import numpy as np

from voiced.audio.echo.interface import RATE_HZ, Samples
from voiced.audio.echo.path import phases
from voiced.audio.resample import windowed_sinc
from voiced.audio.spectrum import SINGLE

#: The two are compared over the microphone's last 2 s and the far end's last 3; less often when the echo was found.
_EVERY, _LATER = RATE_HZ // 2, RATE_HZ
_HEARD = 32_768
_FAR = 49_152
#: So much comes before what is kept has to move: twice a second and not with each block, when it took 380 KiB through the caches.
_ROOM = RATE_HZ // 2
#: Phases alone count (GCC-PHAT), of where speech is; so every second sample does, and a transform of half the length takes a fourth of
#: the time: no more than malloc hands out without asking the system for pages.
_FROM_HZ, _TO_HZ = 200, 3700
_COARSE = 2
_TAPS = 32
#: The echo's place is believed when it stands out so much from all others, twice in succession within a millisecond.
_STANDS_OUT = 8.0
_SAME = RATE_HZ // 1000
#: Far end that is quieter or was heard for less than this has no echo to be found.
_AUDIBLE = 1e-3
_ENOUGH = 0.3
#: Left alone between these, so that a room with 100 ms of reverberation fits behind the latest; otherwise brought to _PLACE: in a
#: diffuse room the strongest path was seen up to 17 ms behind the first.
_EARLIEST, _LATEST = RATE_HZ * 3 // 1000, RATE_HZ * 220 // 1000
_PLACE = RATE_HZ * 40 // 1000


class Aligner:
    """One microphone and one loudspeaker. The echo is searched up to a second behind the far end."""

    def __init__(self) -> None:
        #: Samples by which the far end is held back.
        self.held = 0
        self._near: Samples = np.zeros(_HEARD + _ROOM, np.float32)
        self._far: Samples = np.zeros(_FAR + _ROOM, np.float32)
        self._came = 0  # samples that are behind the first _HEARD, and _FAR
        self._until = _EVERY
        self._found: int | None = None
        self._last: int | None = None

    @property
    def delay_ms(self) -> float | None:
        """Of the strongest path behind the far end as it came; None before it was found."""
        return None if self._found is None else self._found * 1000 / RATE_HZ

    def process(self, near: Samples, far: Samples) -> Samples:
        """Equal lengths; returns as much of the far end, held back."""
        frames = len(near)
        if self._came + frames > _ROOM:
            self._near[:_HEARD] = self._near[self._came : self._came + _HEARD]
            self._far[:_FAR] = self._far[self._came : self._came + _FAR]
            self._came = 0
        self._near[self._came + _HEARD : self._came + _HEARD + frames] = near
        self._far[self._came + _FAR : self._came + _FAR + frames] = far
        self._came += frames
        self._until -= frames
        if self._until <= 0:
            self._search()
            self._until = _EVERY if self._found is None else _LATER
        return self.past(0, len(far)).copy()

    def past(self, ago: int, frames: int) -> Samples:
        """The far end, held back as it is now, that ended so many samples ago."""
        end = self._came + _FAR - self.held - ago
        return self._far[end - frames : end]

    def _search(self) -> None:
        far = self._far[self._came : self._came + _FAR]
        if np.count_nonzero(np.abs(far[-_HEARD:]) > _AUDIBLE) < _ENOUGH * _HEARD:
            self._last = None
            return
        last, self._last = self._last, delay(self._near[self._came : self._came + _HEARD], far)
        if self._last is None or last is None or abs(self._last - last) > _SAME:
            return
        self._found = self._last
        if not _EARLIEST <= self._found - self.held <= _LATEST:
            self.held = max(0, self._found - _PLACE)


def _coarse(sound: Samples) -> Samples:
    """Every second sample, without what is above _TO_HZ; of a multiple of _TAPS samples."""
    stretches = sound.reshape(-1, _TAPS)
    out: Samples = stretches[:-1] @ _WEIGHTS[:_TAPS]
    out += stretches[1:] @ _WEIGHTS[_TAPS:]
    return out.reshape(-1)


def _weights() -> Samples:
    """Shape (two stretches, outputs): a low-pass for each of the outputs that one stretch leads to."""
    weights = np.zeros((2 * _TAPS, _TAPS // _COARSE), np.float32)
    for output, column in enumerate(weights.T):
        column[output * _COARSE : output * _COARSE + _TAPS] = windowed_sinc(1, _TAPS // 2, _TO_HZ * 2 / RATE_HZ)[0]
    return weights


_WEIGHTS = _weights()


def delay(near: Samples, far: Samples) -> int | None:
    """By how many samples the echo in `near` is behind `far`, which ends with it but begins earlier; None if that can't be told."""
    if not near.any():
        return None
    size, farthest = len(far) // _COARSE, (len(far) - len(near)) // _COARSE
    both: Samples = np.zeros((2, size), np.float32)
    for row, sound in zip(both, (near, far), strict=True):
        coarse = _coarse(sound)
        row[-len(coarse) :] = coarse
    heard, played = np.fft.rfft(both, norm=SINGLE)
    first, last = (size * _COARSE * hz // RATE_HZ for hz in (_FROM_HZ, _TO_HZ))
    match = np.abs(np.fft.irfft(phases(heard * np.conj(played), first, last), size)[:farthest])
    at = int(np.argmax(match))
    return at * _COARSE if match[at] > _STANDS_OUT * np.sqrt(np.mean(match**2)) else None
