"""How much a server may send. What it sends too fast is left in the socket, so that the server has to wait; a server that makes us tell
people of more than anybody can take in is hung up on. Pure.

Two rates: of what comes in, in frames (a long one counts for several), and of what is published because of it.
"""

from typing import Final

from voiced.messages import MonoNs
from voiced.network.limits import FRAME_BYTES, FRAMES_A_SECOND, FRAMES_AT_ONCE, TOLD_A_SECOND, TOLD_AT_ONCE
from voiced.rate import Rate

_NS_PER_S: Final = 1_000_000_000


class Flow:
    """That of one connection."""

    def __init__(self) -> None:
        self._came = Rate(FRAMES_A_SECOND, FRAMES_AT_ONCE)
        self._told = Rate(TOLD_A_SECOND, TOLD_AT_ONCE)

    def came(self, frames: int, size: int, now: MonoNs) -> None:
        self._came.spend(frames + size // FRAME_BYTES, now / _NS_PER_S)

    def told(self, events: int, now: MonoNs) -> None:
        self._told.spend(events, now / _NS_PER_S)

    def too_fast(self, now: MonoNs) -> bool:
        """Nothing is to be read for now, but at `open_ns`."""
        return self._came.exhausted(now / _NS_PER_S)

    def too_much(self, now: MonoNs) -> bool:
        """No conversation brings so much to tell."""
        return self._told.exhausted(now / _NS_PER_S)

    @property
    def open_ns(self) -> int:
        """When there is room for a tenth of a second's worth, so that whoever waits does not wake for every single one."""
        return round(self._came.refilled_s(FRAMES_A_SECOND / 10) * _NS_PER_S)
