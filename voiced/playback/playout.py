"""The queue by item and epoch, and what of it was heard. Pure: no device, no clock.

Sound is kept as whole deltas, uncut until it is written: a reply of minutes arrives in one burst, and a flush must not
wait behind its bookkeeping (architecture, Traps). Positions are counted in frames of 24 kHz.

What was heard is told by a *run*: an unbroken stretch of sound on the device. In a run, the frames heard are the time
since its first sample, bounded by what was written and by what the device can hold back. On a recording of the sink
that is right to 0-3 ms, where counting written frames is 53 ms too much (Traps). An underrun ends a run, and so does a
device that is emptied to be filled anew.
"""

from collections import deque
from typing import NamedTuple

from voiced.messages import (
    BYTES_PER_FRAME,
    SAMPLE_RATE_HZ,
    Epoch,
    MonoNs,
    PartHeard,
    PartQueued,
    PlayFinished,
    PlayReached,
    PlayStarted,
    ReplyAudio,
    ReplyEnd,
)
from voiced.playback.parts import Part, Run

_NS_PER_S = 1_000_000_000
_FRAMES_PER_MS = SAMPLE_RATE_HZ // 1000


def frames_in(duration_ns: int) -> int:
    return duration_ns * SAMPLE_RATE_HZ // _NS_PER_S


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
        self._parts: deque[Part] = deque()
        self._run: Run | None = None

    # what comes in ---------------------------------------------------------------------------------------------

    def receive(self, frame: ReplyAudio, pcm: bytes) -> None:
        """Queues sound. An older epoch is void; a newer one means that a flush was missed: it is made up for by
        the caller, who asks `outdated_by` first."""
        if frame.epoch >= self.epoch:
            part = self._find(frame)
            if part is None:
                part = Part(frame.item_id, frame.content_index)
                self._parts.append(part)
            part.add(pcm)

    def end(self, frame: ReplyEnd) -> None:
        """A part that brought no sound, or is over, has nothing to end."""
        part = self._find(frame)
        if part is not None and frame.epoch >= self.epoch:
            part.ended = True

    def cue(self, pcm: bytes) -> None:
        """Queues a sound of our own, whole: it is told to nobody and counts as nobody's speech."""
        part = Part("", 0, cue=True)
        part.add(pcm)
        self._parts.append(part)

    def outdated_by(self, epoch: Epoch) -> bool:
        return epoch > self.epoch

    def _find(self, frame: ReplyAudio | ReplyEnd) -> Part | None:
        for part in reversed(self._parts):
            if part.item_id == frame.item_id and part.content_index == frame.content_index and not part.is_cue:
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
    def idle(self) -> bool:
        """Nothing sounds, nothing is queued, and no part is waiting for more."""
        return self._run is None and not self._parts

    @property
    def speaking(self) -> bool:
        """Speech sounds or is queued: a flush interrupts somebody. Call `settle` first."""
        return any((part.queued or part.held) and not part.is_cue for part in self._parts)

    def all_ended(self) -> bool:
        """No more sound is coming for what is queued, so waiting for more of it is in vain."""
        return all(part.ended for part in self._parts)

    def begin(self, now_ns: int) -> None:
        """The next write starts a run: its first sample is heard from now on."""
        self._run = Run(now_ns)

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
            if not part.started and not part.is_cue:
                started.append(PlayStarted(part.item_id, part.content_index, self.epoch))
            part.started = True
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
                self.underruns += any(part.heard and not part.over for part in self._parts)
        finished = []
        while self._parts and self._parts[0].over:
            part = self._parts.popleft()
            if part.is_cue:
                continue
            finished.append(PlayFinished(part.item_id, part.content_index, self.epoch, part.heard // _FRAMES_PER_MS))
        return finished

    def reached(self, now: MonoNs) -> list[PlayReached]:
        """How far each part that the device holds sound of was heard, and when that sounds. Call `settle` first."""
        told = []
        before = 0
        for part in self._parts:
            if part.held and not part.is_cue:
                at_ns = MonoNs(now + before * _NS_PER_S // SAMPLE_RATE_HZ)
                told.append(PlayReached(part.item_id, part.content_index, self.epoch, part.heard, part.held, at_ns))
            before += part.held
        return told

    def carry_on(self, epoch: Epoch) -> tuple[PartQueued, ...]:
        """Plays on under an epoch that is no older; returns what there is. Call `settle` first."""
        self.epoch = max(self.epoch, epoch)
        speech = [part for part in self._parts if not part.is_cue]
        return tuple(PartQueued(part.item_id, part.content_index, part.heard, part.received) for part in speech)

    @property
    def held_frames(self) -> int:
        """Sound that is written and was not heard."""
        return sum(part.held for part in self._parts)

    @property
    def position(self) -> int | None:
        """How many frames of the run were heard; None where none is on."""
        return self._run.credited if self._run is not None else None

    def ahead(self) -> bytes:
        """What sounds next of what the device holds."""
        return b"".join(piece for part in self._parts for piece in part.ahead())

    def take_back(self) -> None:
        """The device was emptied: what it held is queued again, from the sample on that was sounding. Call `settle` first,
        with the time at which it was."""
        for part in self._parts:
            part.take_back()
        self._run = None

    def remaining_ns(self, now_ns: int) -> int:
        """Until the device has nothing more to sound, at the latest."""
        if self._run is None:
            return 0
        return max(0, self._run.written * _NS_PER_S // SAMPLE_RATE_HZ - (now_ns - self._run.start_ns))

    def flush(self, epoch: Epoch, now_ns: int) -> FlushResult:
        """Drops everything; `now_ns` is when the device fell silent. Call `settle` first where finished parts matter."""
        self.settle(now_ns)
        speech = [part for part in self._parts if not part.is_cue]
        heard = tuple(PartHeard(part.item_id, part.content_index, part.heard // _FRAMES_PER_MS) for part in speech)
        dropped = sum(part.received - part.heard for part in speech)
        self._parts.clear()
        self._run = None
        self.epoch = epoch
        return FlushResult(heard, dropped // _FRAMES_PER_MS)
