"""How much a server may send. What it sends too fast is left in the socket, so that the server has to wait; a server that makes us tell
people of more than anybody can take in is hung up on. Pure.

Two buckets that leak: what comes in, in frames (a long one counts for each 16 KiB), and what is published because of it.
"""

from typing import Final

from voiced.messages import MonoNs
from voiced.network.limits import FRAME_BYTES, FRAMES_A_SECOND, FRAMES_AT_ONCE, TOLD_A_SECOND, TOLD_AT_ONCE

_NS_PER_S: Final = 1_000_000_000


class _Bucket:
    def __init__(self, a_second: int, at_once: int) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._level = 0.0
        self._at_ns = 0

    def pour(self, much: int, now: MonoNs) -> None:
        leaked = (now - self._at_ns) * self._a_second / _NS_PER_S
        self._level = max(0.0, self._level - leaked) + much
        self._at_ns = now

    def full(self, now: MonoNs) -> bool:
        self.pour(0, now)
        return self._level >= self._at_once

    @property
    def open_ns(self) -> int:
        """When there is room for a tenth of a second's worth, so that whoever waits does not wake for every single one."""
        over = max(0.0, self._level - self._at_once + self._a_second / 10)
        return self._at_ns + round(over * _NS_PER_S / self._a_second)


class Flow:
    """That of one connection."""

    def __init__(self) -> None:
        self._came = _Bucket(FRAMES_A_SECOND, FRAMES_AT_ONCE)
        self._told = _Bucket(TOLD_A_SECOND, TOLD_AT_ONCE)

    def came(self, frames: int, size: int, now: MonoNs) -> None:
        self._came.pour(frames + size // FRAME_BYTES, now)

    def told(self, events: int, now: MonoNs) -> None:
        self._told.pour(events, now)

    def too_fast(self, now: MonoNs) -> bool:
        """Nothing is to be read for now, but at `open_ns`."""
        return self._came.full(now)

    def too_much(self, now: MonoNs) -> bool:
        """No conversation brings so much to tell."""
        return self._told.full(now)

    @property
    def open_ns(self) -> int:
        return self._came.open_ns
