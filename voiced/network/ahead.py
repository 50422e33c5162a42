"""How much sound waits in playback: what was handed over, less what can have been heard since. Pure."""

from voiced.messages import BYTES_PER_MS
from voiced.network.limits import DELTA_BYTES, SOUND_AHEAD_MS, VOID_A_SECOND_BYTES

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_MOST_BYTES = SOUND_AHEAD_MS * BYTES_PER_MS


class Ahead:
    def __init__(self) -> None:
        self._live = 0.0
        self._void = 0.0
        self._at_ns = 0

    def takes(self, size: int, now_ns: int, *, sounding: bool) -> bool:
        """Counts a delta in, unless there is too much already. While nothing of it is `sounding`, nothing is played away."""
        passed_ns, self._at_ns = now_ns - self._at_ns, now_ns
        if sounding:
            self._live = max(0.0, self._live - passed_ns * BYTES_PER_MS / _NS_PER_MS)
        self._void = max(0.0, self._void - passed_ns * VOID_A_SECOND_BYTES / _NS_PER_S)
        cost = size + DELTA_BYTES
        if self._live + self._void + cost > _MOST_BYTES:
            return False
        self._live += cost
        return True

    @property
    def waiting_bytes(self) -> float:
        """That nobody has heard yet."""
        return self._live

    def silent(self) -> None:
        """All that was handed over was heard."""
        self._live = 0.0

    def flushed(self) -> None:
        """Nobody will hear it; but it is on its way still."""
        self._void += self._live
        self._live = 0.0
