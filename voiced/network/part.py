"""One content part of a reply: how much of it came, was handed to playback, and was heard. Pure; lengths are bytes of s16le at 24 kHz mono.

What was not heard yet is kept, so that a playback process that is killed in the middle of a sentence takes nothing with it: its
successor is given the rest. Positions count from the part's first sample, whoever played it.
"""

from collections import deque
from collections.abc import Iterator

from voiced.messages import BYTES_PER_FRAME, BYTES_PER_MS

_NS_PER_MS = 1_000_000


class Part:
    """One audio content part."""

    __slots__ = (
        "_held",
        "_kept",
        "_kept_from",
        "_odd",
        "_reached",
        "_reached_ns",
        "_stopped",
        "_whole",
        "base",
        "content_index",
        "ended",
        "finished",
        "forwarded",
        "received",
        "started_ns",
    )

    def __init__(self, content_index: int) -> None:
        self.content_index = content_index
        self.received = 0  # whole samples that came from the server, dropped ones included
        self.forwarded = 0  # of these, handed to playback
        self.ended = False  # the server said that no more will come
        self.started_ns: int | None = None
        self.finished = False  # playback reported the last sample
        self.base = 0  # heard of the playback processes before this one, which counts from there
        self._odd = b""
        self._kept: deque[bytes] = deque()
        self._kept_from = 0
        self._whole = True  # all from `_kept_from` on is kept
        self._reached = self._held = 0  # what playback said last: heard, and written beyond that
        self._reached_ns: int | None = None
        self._stopped: int | None = None  # where playback was when it went away

    def whole_samples(self, sound: bytes) -> bytes:
        """`sound` cut to whole samples; a byte left over waits for the next delta (realtime-protocol 5.3: guard the alignment)."""
        sound = self._odd + sound if self._odd else sound
        if len(sound) % BYTES_PER_FRAME:
            self._odd = sound[-1:]
            sound = sound[:-1]
        else:
            self._odd = b""
        self.received += len(sound)
        return sound

    def forward(self, pcm: bytes, *, keep: bool = True) -> None:
        """It is handed to playback, and kept until it was heard; unless there is too much, and then nothing after it is."""
        self.forwarded += len(pcm)
        self._whole = self._whole and keep
        if self._whole:
            self._kept.append(pcm)

    @property
    def forwarded_ms(self) -> int:
        return self.forwarded // BYTES_PER_MS

    @property
    def base_ms(self) -> int:
        return self.base // BYTES_PER_MS

    @property
    def open(self) -> bool:
        """Handed to playback, and not yet heard to its end as far as we know."""
        return self.forwarded > 0 and not self.finished

    # what playback says --------------------------------------------------------------------------------------------------

    def start(self, now_ns: int) -> bool:
        """It begins to sound; true the first time."""
        first = self.started_ns is None
        self.started_ns = now_ns if self.started_ns is None else self.started_ns
        self._reached, self._held, self._reached_ns = self.base, self.forwarded - self.base, now_ns
        return first

    def reach(self, played_frames: int, held_frames: int, at_ns: int) -> None:
        self._reached = min(self.base + played_frames * BYTES_PER_FRAME, self.forwarded)
        self._held, self._reached_ns = held_frames * BYTES_PER_FRAME, at_ns
        self._release(self._reached)

    def finish(self) -> None:
        """Its last sample was heard."""
        self.finished = True
        self._release(self.forwarded)

    def _release(self, heard: int) -> None:
        while self._kept and self._kept_from + len(self._kept[0]) <= heard:
            self._kept_from += len(self._kept.popleft())

    def heard_at(self, now_ns: int) -> int:
        """How much was heard by then, if nobody says: as far as the sound reached that the device is known to have had."""
        if self._stopped is not None:
            return self._stopped
        if self._reached_ns is None:
            return self.base
        since = max(0, now_ns - self._reached_ns) // _NS_PER_MS * BYTES_PER_MS
        return min(self._reached + min(since, self._held), self.forwarded)

    # another playback process --------------------------------------------------------------------------------------------

    def stop(self, now_ns: int) -> None:
        """Playback went away; whether it has gone for good is not known."""
        if self._stopped is None:
            self._stopped = self.heard_at(now_ns)

    def carry_on(self, received_frames: int | None) -> Iterator[bytes] | None:
        """What playback has to be given, of which it has so many frames; None where it has nothing of it, and it goes on from where it
        was heard. Returns None where not all of that is kept."""
        if received_frames is None:
            stopped = self.base if self._stopped is None else self._stopped
            self.base = have = stopped // BYTES_PER_MS * BYTES_PER_MS
            self._reached, self._held, self._reached_ns = self.base, 0, None
        else:
            have = self.base + received_frames * BYTES_PER_FRAME
        self._stopped = None
        lacks = have < self.forwarded and (have < self._kept_from or not self._whole)
        return None if lacks else self._from(have)

    def _from(self, position: int) -> Iterator[bytes]:
        at = self._kept_from
        for pcm in list(self._kept):
            if at + len(pcm) > position:
                yield pcm[max(0, position - at) :]
            at += len(pcm)

    def adopt(self, played_frames: int, received_frames: int, now_ns: int) -> None:
        """Playback has it from a network process before us."""
        self.received = self.forwarded = received_frames * BYTES_PER_FRAME
        self.ended, self._whole = True, False
        self.start(now_ns)
        self.reach(played_frames, received_frames - played_frames, now_ns)
