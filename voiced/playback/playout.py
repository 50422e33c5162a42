"""The queue by item and epoch, and what of it was heard. Pure: no device, no clock.

Sound is kept as whole deltas, uncut until it is written: a reply of minutes arrives in one burst, and a flush must not
wait behind its bookkeeping (architecture, Traps). Positions are counted in frames of 24 kHz.

What was heard is told by a *run*: an unbroken stretch of sound on the device. In a run, the frames heard are the time
since its first sample, bounded by what was written and by what the device can hold back. On a recording of the sink
that is right to 0-3 ms, where counting written frames is 53 ms too much (Traps). An underrun ends a run.
"""

from collections import deque
from typing import NamedTuple

from voiced.messages import BYTES_PER_FRAME, SAMPLE_RATE_HZ, Epoch, PartHeard, PlayFinished, PlayStarted, ReplyAudio, ReplyEnd

_NS_PER_S = 1_000_000_000
_FRAMES_PER_MS = SAMPLE_RATE_HZ // 1000


def frames_in(duration_ns: int) -> int:
    return duration_ns * SAMPLE_RATE_HZ // _NS_PER_S


class _Part:
    """One content part of an item, on its way from the queue to the ear."""

    def __init__(self, item_id: str, content_index: int) -> None:
        self.item_id = item_id
        self.content_index = content_index
        self.chunks: deque[memoryview] = deque()
        self.received = 0
        self.written = 0
        self.heard = 0
        self.ended = False

    @property
    def queued(self) -> int:
        return self.received - self.written

    def add(self, pcm: bytes) -> None:
        whole = len(pcm) // BYTES_PER_FRAME * BYTES_PER_FRAME
        if whole:
            self.chunks.append(memoryview(pcm)[:whole])
            self.received += whole // BYTES_PER_FRAME

    def take(self, frames: int) -> list[memoryview]:
        """The next pieces of sound, `frames` in all or what there is."""
        pieces: list[memoryview] = []
        wanted = min(frames, self.queued) * BYTES_PER_FRAME
        self.written += wanted // BYTES_PER_FRAME
        while wanted:
            chunk = self.chunks.popleft()
            if len(chunk) > wanted:
                self.chunks.appendleft(chunk[wanted:])
                chunk = chunk[:wanted]
            pieces.append(chunk)
            wanted -= len(chunk)
        return pieces


class _Run:
    """An unbroken stretch of sound on the device."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.written = 0
        self.credited = 0
        #: Whose frames were written, in order; None is the silence that fills a start.
        self.segments: deque[tuple[_Part | None, int]] = deque()

    def wrote(self, part: _Part | None, frames: int) -> None:
        self.segments.append((part, frames))
        self.written += frames

    def settle(self, position: int) -> None:
        """Credits parts with what was heard up to `position`."""
        while self.credited < position:
            part, frames = self.segments.popleft()
            heard = min(frames, position - self.credited)
            if heard < frames:
                self.segments.appendleft((part, frames - heard))
            self.credited += heard
            if part is not None:
                part.heard += heard


class FlushResult(NamedTuple):
    heard: tuple[PartHeard, ...]
    dropped_ms: int


class Playout:
    """What is to be played, and what was.

    `device_frames` is the most that the device holds back, in frames of 24 kHz.
    """

    def __init__(self, device_frames: int) -> None:
        self.epoch = Epoch(0)
        self.underruns = 0
        self._device_frames = device_frames
        self._parts: deque[_Part] = deque()
        self._run: _Run | None = None

    # what comes in ---------------------------------------------------------------------------------------------

    def receive(self, frame: ReplyAudio, pcm: bytes) -> None:
        """Queues sound. An older epoch is void; a newer one means that a flush was missed: it is made up for by
        the caller, who asks `outdated_by` first."""
        if frame.epoch >= self.epoch:
            part = self._find(frame)
            if part is None:
                part = _Part(frame.item_id, frame.content_index)
                self._parts.append(part)
            part.add(pcm)

    def end(self, frame: ReplyEnd) -> None:
        """A part that brought no sound, or is over, has nothing to end."""
        part = self._find(frame)
        if part is not None and frame.epoch >= self.epoch:
            part.ended = True

    def outdated_by(self, epoch: Epoch) -> bool:
        return epoch > self.epoch

    def _find(self, frame: ReplyAudio | ReplyEnd) -> _Part | None:
        for part in reversed(self._parts):
            if part.item_id == frame.item_id and part.content_index == frame.content_index:
                return part
        return None

    # what goes out ---------------------------------------------------------------------------------------------

    @property
    def queued_frames(self) -> int:
        return sum(part.queued for part in self._parts)

    @property
    def running(self) -> bool:
        return self._run is not None

    @property
    def active(self) -> bool:
        """Something is queued or sounding: a flush has something to do."""
        return self._run is not None or any(part.queued for part in self._parts)

    def all_ended(self) -> bool:
        """No more sound is coming for what is queued, so waiting for more of it is in vain."""
        return all(part.ended for part in self._parts)

    def begin(self, now_ns: int) -> None:
        """The next write starts a run: its first sample is heard from now on."""
        self._run = _Run(now_ns)

    def take(self, frames: int) -> tuple[bytes, list[PlayStarted]]:
        """The next sound to write, at most that many frames, and the parts that begin with it. A run must be on."""
        assert self._run is not None
        pieces: list[memoryview] = []
        started: list[PlayStarted] = []
        for part in self._parts:
            if not frames:
                break
            if not part.queued:
                continue
            if not part.written:
                started.append(PlayStarted(part.item_id, part.content_index, self.epoch))
            before = part.written
            pieces += part.take(frames)
            self._run.wrote(part, part.written - before)
            frames -= part.written - before
        return b"".join(pieces), started

    def pad(self, frames: int) -> bytes:
        """Silence after a part that is shorter than what makes the device start."""
        assert self._run is not None
        self._run.wrote(None, frames)
        return bytes(frames * BYTES_PER_FRAME)

    # what was heard --------------------------------------------------------------------------------------------

    def settle(self, now_ns: int) -> list[PlayFinished]:
        """Brings what was heard up to now; the parts that are over."""
        run = self._run
        if run is not None:
            elapsed = frames_in(now_ns - run.start_ns)
            run.settle(max(run.written - self._device_frames, min(run.written, elapsed), run.credited))
            if run.written and run.credited == run.written:
                self._run = None  # what comes now starts a run of its own, however little the device was left waiting
                self.underruns += any(part.heard and not self._over(part) for part in self._parts)
        finished = []
        while self._parts and self._over(self._parts[0]):
            part = self._parts.popleft()
            finished.append(PlayFinished(part.item_id, part.content_index, self.epoch, part.heard // _FRAMES_PER_MS))
        return finished

    @staticmethod
    def _over(part: _Part) -> bool:
        return part.ended and part.heard == part.received

    def remaining_ns(self, now_ns: int) -> int:
        """Until the device has nothing more to sound, at the latest."""
        if self._run is None:
            return 0
        return max(0, self._run.written * _NS_PER_S // SAMPLE_RATE_HZ - (now_ns - self._run.start_ns))

    def flush(self, epoch: Epoch, now_ns: int) -> FlushResult:
        """Drops everything; `now_ns` is when the device fell silent. Call `settle` first where finished parts matter."""
        self.settle(now_ns)
        heard = tuple(PartHeard(part.item_id, part.content_index, part.heard // _FRAMES_PER_MS) for part in self._parts)
        dropped = sum(part.received - part.heard for part in self._parts)
        self._parts.clear()
        self._run = None
        self.epoch = epoch
        return FlushResult(heard, dropped // _FRAMES_PER_MS)
