"""The last of the microphone, for a server that did not get it: the sound of a turn under way when the conversation moves
to another session, and the first syllable of a turn that began before the key was down. Pure.
"""

from collections import deque
from collections.abc import Iterator

from voiced.messages import MonoNs

_NS_PER_S = 1_000_000_000
#: Kept whatever happens: a detector takes up to half a second to notice that somebody speaks.
RECENT_NS = 2 * _NS_PER_S
#: The longest turn that can be told again; 3 MB.
LONGEST_NS = 60 * _NS_PER_S


class KeptSound:
    """Frames with the time when their last sample was read, oldest first."""

    def __init__(self) -> None:
        self._frames: deque[tuple[MonoNs, bytes]] = deque()

    def add(self, captured_ns: MonoNs, pcm: bytes, since_ns: int | None) -> None:
        """Takes a frame; what is older than the last two seconds goes, but not what came after `since_ns`.

        A frame that is no newer than the newest one replaces the silence that capture sent in its place, and in that of those after it.
        """
        frames = self._frames
        while frames and frames[-1][0] >= captured_ns:
            frames.pop()
        frames.append((captured_ns, pcm))
        oldest_ns = captured_ns - RECENT_NS
        if since_ns is not None and since_ns < oldest_ns:
            oldest_ns = max(since_ns, captured_ns - LONGEST_NS)
        while frames[0][0] < oldest_ns:
            frames.popleft()

    def between(self, from_ns: int, until_ns: int | None) -> Iterator[bytes]:
        """The frames that end after `from_ns`, up to `until_ns` or now."""
        return (pcm for captured_ns, pcm in self._frames if captured_ns > from_ns and (until_ns is None or captured_ns <= until_ns))

    def forget(self) -> None:
        self._frames.clear()
