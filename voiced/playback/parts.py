"""A part of a reply on its way from the queue to the ear, and a stretch of sound on the device. Pure.

What was written stays with its part until it was heard, so that a device can be emptied and filled anew from the sample
that was sounding.
"""

from collections import deque

from voiced.messages import BYTES_PER_FRAME


class Part:
    """One content part of an item, or a cue: a sound of our own, which is nobody's speech."""

    def __init__(self, item_id: str, content_index: int, *, cue: bool = False) -> None:
        self.item_id = item_id
        self.content_index = content_index
        self.is_cue = cue
        self.received = 0
        self.written = 0
        self.heard = 0
        self.started = False
        self.ended = cue
        self._queue: deque[memoryview] = deque()
        self._held: deque[memoryview] = deque()  # by the device

    @property
    def queued(self) -> int:
        return self.received - self.written

    @property
    def held(self) -> int:
        return self.written - self.heard

    @property
    def over(self) -> bool:
        return self.ended and self.heard == self.received

    def add(self, pcm: bytes) -> None:
        whole = len(pcm) // BYTES_PER_FRAME * BYTES_PER_FRAME
        if whole:
            self._queue.append(memoryview(pcm)[:whole])
            self.received += whole // BYTES_PER_FRAME

    def take(self, frames: int) -> list[memoryview]:
        """The next pieces of sound, `frames` in all or what there is."""
        wanted = min(frames, self.queued)
        self.written += wanted
        pieces = _from_front(self._queue, wanted)
        self._held.extend(pieces)
        return pieces

    def hear(self, frames: int) -> None:
        self.heard += frames
        _from_front(self._held, frames)

    def take_back(self) -> None:
        """What is written and was not heard is queued again."""
        self._queue.extendleft(reversed(self._held))
        self._held.clear()
        self.written = self.heard

    def ahead(self) -> list[memoryview]:
        """What the device holds of it."""
        return list(self._held)


def _from_front(pieces: deque[memoryview], frames: int) -> list[memoryview]:
    taken: list[memoryview] = []
    wanted = frames * BYTES_PER_FRAME
    while wanted:
        piece = pieces.popleft()
        if len(piece) > wanted:
            pieces.appendleft(piece[wanted:])
            piece = piece[:wanted]
        taken.append(piece)
        wanted -= len(piece)
    return taken


class Run:
    """An unbroken stretch of sound on the device."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.written = 0
        self.credited = 0
        #: Whose frames were written, in order; None is the silence that fills a start.
        self._segments: deque[tuple[Part | None, int]] = deque()

    def wrote(self, part: Part | None, frames: int) -> None:
        self._segments.append((part, frames))
        self.written += frames

    def settle(self, position: int) -> None:
        """Credits parts with what was heard up to `position`."""
        while self.credited < position:
            part, frames = self._segments.popleft()
            heard = min(frames, position - self.credited)
            if heard < frames:
                self._segments.appendleft((part, frames - heard))
            self.credited += heard
            if part is not None:
                part.hear(heard)
