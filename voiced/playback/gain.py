"""How loud the voice is: the volume that the user sets, and the duck. Pure.

s16le mono, without numpy (9 MiB): 480 samples cost 0.05 ms, a bit more while it changes, and nothing at 100 %. What would be
louder than full scale is clipped, never wrapped.
"""

from array import array
from collections.abc import Iterable, Sequence
from itertools import repeat

from voiced.messages import SAMPLE_RATE_HZ

#: 1.0. A sample at 150 % still fits into 30 bits, beyond which Python's integers get slow.
_ONE = 1 << 14
_HALF = _ONE >> 1
_LOWEST, _HIGHEST = -32768, 32767

_FRAMES_PER_MS = SAMPLE_RATE_HZ // 1000
_VOLUME_RAMP = 15 * _FRAMES_PER_MS
#: Back from a duck: nobody notices when.
_RAISE_RAMP = 150 * _FRAMES_PER_MS
#: A ducked voice begins from nothing on a device that was emptied.
_LANDING = 5 * _FRAMES_PER_MS
_LOWER_RAMP = _LANDING
#: A voice that is no louder than twice what it shall be (6 dB) is as good as lowered: not worth emptying the device.
_NEARLY = 2


class Loudness:
    """`percent` scales the amplitude: 50 is -6 dB, 150 +3.5 dB. A duck takes `duck_db` more."""

    def __init__(self, percent: int, duck_db: float) -> None:
        self.percent = percent
        self.ducked = False
        self._duck = 10 ** (-duck_db / 20)
        self._now = self._goal = self._from = self._wanted()
        self._ramp = 0  # frames in all, and those that are behind us
        self._passed = 0

    @property
    def low(self) -> bool:
        """What is written by now is about as low as a duck wants it."""
        return self._now <= _NEARLY * round(_ONE * self.percent / 100 * self._duck)

    def turn_to(self, percent: int) -> None:
        self.percent = percent
        self._go(_VOLUME_RAMP)

    def lower(self) -> None:
        self.ducked = True
        self._go(_LOWER_RAMP)

    def raise_again(self) -> None:
        self.ducked = False
        self._go(_RAISE_RAMP)

    def land(self) -> None:
        """What comes next follows a cut: it fades in."""
        self._now = 0
        self._go(_LANDING)

    def reset(self) -> None:
        """What comes next is a new beginning, at full volume."""
        self.ducked = False
        self._go(0)

    def apply(self, pcm: bytes) -> bytes:
        """The same sound as loud as it shall be."""
        if self._now == self._goal == _ONE:
            return pcm
        samples = array("h", pcm)
        changing = min(self._ramp - self._passed, len(samples))
        scaled = self._change(samples[:changing]) if changing else array("h")
        if changing < len(samples):
            scaled.extend(_products(samples[changing:], repeat(self._goal)))
        return scaled.tobytes()

    def _change(self, samples: Sequence[int]) -> "array[int]":
        way, ramp, first = self._goal - self._from, self._ramp, self._passed + 1
        gains = [self._from + way * passed // ramp for passed in range(first, first + len(samples))]
        self._passed += len(samples)
        self._now = gains[-1]
        return _products(samples, gains)

    def _go(self, frames: int) -> None:
        self._from, self._goal = self._now, self._wanted()
        self._ramp, self._passed = frames if self._from != self._goal else 0, 0
        if not self._ramp:
            self._now = self._goal

    def _wanted(self) -> int:
        return round(_ONE * self.percent / 100 * (self._duck if self.ducked else 1.0))


def _products(samples: Iterable[int], gains: Iterable[int]) -> "array[int]":
    pairs = zip(samples, gains, strict=False)
    return array("h", [_LOWEST if (p := s * g + _HALF >> 14) < _LOWEST else _HIGHEST if p > _HIGHEST else p for s, g in pairs])
