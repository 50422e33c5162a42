"""Feeds a device from the playout, and silences it. The one thread of this process owns the device."""

from collections.abc import Callable
from typing import NamedTuple

from voiced.audio.device import OutputDevice
from voiced.audio.format import to_device
from voiced.audio.meter import FLOOR_DBFS, dbfs
from voiced.messages import (
    SAMPLE_RATE_HZ,
    CarriedOn,
    CarryOn,
    Duck,
    Flush,
    Flushed,
    MonoNs,
    PlayFinished,
    PlayReached,
    PlayStarted,
    ReplyAudio,
    ReplyEnd,
)
from voiced.playback import landing
from voiced.playback.gain import Loudness
from voiced.playback.playout import Playout
from voiced.playback.reference import Reference

#: Written at a time: a flush that arrives meanwhile waits for one piece at the most (Traps: at most 20 ms).
_PIECE_FRAMES = SAMPLE_RATE_HZ // 50
#: How long a start waits for more sound where too little is there to make the device sound.
_START_GRACE_NS = 5_000_000
#: A stream that has nothing to play is stopped after this: stopping costs nothing later (a start is under 2 ms), and
#: an idle stream keeps sound server and processor awake. Longer than any device buffer, so that no tail is cut.
_LINGER_NS = 600_000_000
_TOP_UP_MS = 20.0
_IDLE_MS = 500.0
#: A duck is to be heard within 20 ms: what the device holds beyond that is worth taking back.
_DUCK_FRAMES = SAMPLE_RATE_HZ // 50
#: A device that takes longer to start again cuts whenever it likes (PipeWire at the end of its quantum): no use in choosing when.
_PROMPT_NS = 2_000_000
_STARTS_TRIED = 3
#: How often it is told how far a part was heard, with every second writing: of one that hangs it was counted up to 75 ms too little,
#: at 100 ms, since the device plays what was written after it was told.
_REACHED_EVERY_NS = 30_000_000

Report = Flushed | PlayStarted | PlayFinished | PlayReached | CarriedOn


class World(NamedTuple):
    """What a player needs of the world outside."""

    clock: Callable[[], MonoNs]
    sleep_ns: Callable[[int], object]
    #: Takes reports for the network process.
    tell: Callable[[Report], object]


class Player:
    """One output device and what it plays. `landing_ms` is how long a cut may wait for a quiet moment; 0 once `prime` found a device
    that cuts whenever it likes."""

    def __init__(self, device: OutputDevice, loudness: Loudness, reference: Reference, world: World, landing_ms: int) -> None:
        self._device = device
        self.loudness = loudness
        self._reference = reference
        self._clock, self._sleep_ns, self._tell = world
        self.landing_ms = landing_ms
        self._convert = to_device(device.format)
        self._to_bus = SAMPLE_RATE_HZ / device.format.rate
        self._start_frames = round(device.start_frames * self._to_bus)
        self._buffer_frames = round(device.buffer_frames * self._to_bus)
        self.playout = Playout(self._buffer_frames)
        self._waiting_since: MonoNs | None = None
        self._idle_since: MonoNs | None = None
        self._reached_due_ns = 0
        self._flushed_ns = MonoNs(-1)
        self._last_piece = b""
        #: Silence is written behind what was taken last.
        self._closed = False

    def prime(self) -> None:
        """Starts and stops the device, unheard: the first start of a stream costs 180-700 ms, later ones under 10 ms (Traps), and
        the first reply must not pay for it. The best of a few more shows what later ones take: a busy machine makes one slow."""
        self._device.start()
        self._device.write(bytes(self._device.start_frames * 2 * self._device.format.channels))
        self._device.abort()
        if not any(self._start_takes_ns() <= _PROMPT_NS for _ in range(_STARTS_TRIED)):
            self.landing_ms = 0

    def _start_takes_ns(self) -> int:
        since = self._clock()
        self._device.start()
        took_ns = self._clock() - since
        self._device.abort()
        return took_ns

    # what comes in ---------------------------------------------------------------------------------------------

    def receive(self, frame: ReplyAudio | ReplyEnd, pcm: bytes) -> None:
        if self.playout.outdated_by(frame.epoch):
            # The flush that made this epoch was ordered of a playback process before us, or is still on its way.
            self.flush(Flush(frame.epoch, "epoch", self._clock()))
        if isinstance(frame, ReplyAudio):
            self.playout.receive(frame, pcm)
        else:
            self.playout.end(frame)

    def carry_on(self, order: CarryOn) -> None:
        """A network process speaks from here on; it is told what there is."""
        self._settle(self._clock())
        self._tell(CarriedOn(order.epoch, self.playout.carry_on(order.epoch)))

    def cue(self, pcm: bytes) -> None:
        """A sound of our own, where it disturbs nothing."""
        if self.playout.idle:
            self.playout.cue(pcm)

    def flush(self, order: Flush) -> None:
        """Silence, now; then what was heard. A second order of the same epoch has nothing left to do. Ends a duck."""
        if not self.playout.outdated_by(order.epoch):
            return
        self._settle(self._clock())
        was_playing = self.playout.speaking
        silent_ns = self._silence(order.reason)
        result = self.playout.flush(order.epoch, silent_ns)
        self.loudness.reset()
        self._flushed_ns = silent_ns
        self._waiting_since = self._idle_since = None
        latency_us = (silent_ns - order.ordered_ns) // 1000 if was_playing else 0
        self._tell(Flushed(order.epoch, result.heard, result.dropped_ms, latency_us, was_playing))

    def duck(self, order: Duck) -> bool:
        """Lowers the voice, at once, or lets it come back on what is written from now on. False where that is how it is already, and
        where a flush has ended it while the order was on its way."""
        if order.lowered == self.loudness.ducked or order.ordered_ns <= self._flushed_ns:
            return False
        if not order.lowered:
            self.loudness.raise_again()
            return True
        too_late = not self.loudness.low and self._worth_rewriting()
        self.loudness.lower()
        if too_late:
            self._rewrite()
        return True

    def _worth_rewriting(self) -> bool:
        """The device holds more than a duck may wait for, and there is enough to fill it anew. So on PipeWire too, where the voice
        stumbles by a quantum (0 or 21 ms) and is low after 31: 80-100 ms are held nearly always, and a duck would come that late."""
        self._settle(self._clock())
        held = self.playout.held_frames
        return held > _DUCK_FRAMES and (held + self.playout.queued_frames >= self._start_frames or self.playout.all_ended())

    def _rewrite(self) -> None:
        """Takes back what the device holds and writes it again, as loud as it shall be now, from the sample that is being heard."""
        self._silence()
        self.playout.take_back()
        self.loudness.land()
        if self.playout.queued_frames:
            self._begin()

    def _silence(self, reason: str = "") -> MonoNs:
        """The device falls silent: at a quiet moment, or at once where the voice is low anyway. Returns when. Call `_settle` first."""
        if self.playout.running:
            if not (self.loudness.ducked and self.loudness.low):
                self._sleep_ns(landing.wait_ns(self.playout.ahead(), self.landing_ms))
            self._device.abort()
        silent_ns = self._clock()
        self._settle(silent_ns)
        self._reference.cut(self.playout.position, silent_ns, reason)
        self._convert.reset()
        return silent_ns

    # what goes out ---------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Settles what was heard and writes what the device has room for."""
        now = self._clock()
        self._settle(now)
        if self.playout.running:
            if self._write(int(self._device.writable() * self._to_bus)):
                self._reached_due_ns = now  # what the device holds of it tells more than when it began
            self._tell_reached(now)
        elif self.playout.queued_frames:
            if self._may_start(now):
                self._begin()
        else:
            self._rest(now)
        self._close_run()

    def wake_in_ms(self) -> float:
        """When `pump` is to be called again, unless something arrives before."""
        if self.playout.queued_frames:
            return _TOP_UP_MS if self.playout.running else _START_GRACE_NS / 1e6
        if self.playout.running:
            if not self._closed:
                return _TOP_UP_MS
            return min(_IDLE_MS, self.playout.remaining_ns(self._clock()) / 1e6 + 1)
        return _LINGER_NS / 1e6 if self._idle_since is not None else _IDLE_MS

    def level_dbfs(self) -> float:
        """Of what was written last, as loud as it is heard."""
        return dbfs(self._last_piece) if self.playout.running else FLOOR_DBFS

    def _tell_reached(self, now: MonoNs) -> None:
        if now >= self._reached_due_ns:
            self._reached_due_ns = now + _REACHED_EVERY_NS
            for reached in self.playout.reached(now):
                self._tell(reached)

    def _may_start(self, now: MonoNs) -> bool:
        """A device stays silent until it holds `start_frames`: wait a moment for more, unless none is coming."""
        if self.playout.queued_frames >= self._start_frames or self.playout.all_ended():
            return True
        if self._waiting_since is None:
            self._waiting_since = now
        return now - self._waiting_since >= _START_GRACE_NS

    def _begin(self) -> None:
        """Starts a run with what is queued."""
        queued = self.playout.queued_frames
        self._waiting_since = self._idle_since = None
        self._device.start()
        room = int(self._device.writable() * self._to_bus)
        now = self._clock()
        held_ns = self._held_still_ns(room)
        heard_from = MonoNs(now + held_ns)
        self.playout.begin(heard_from)
        self._reference.begin(heard_from)
        self._write(room)
        self._reached_due_ns = 0
        self._tell_reached(heard_from)
        if queued < self._start_frames and not held_ns:
            self._pad(self._start_frames - queued)

    def _held_still_ns(self, room: int) -> int:
        """What sounds before a run that begins now: nothing, unless the device's clock is so much slower than ours that the run before
        was over too soon (at 100 ppm, after 17 minutes without a pause). One that ran dry claims to hold up to 37 ms of 100 still."""
        held = self._buffer_frames - room
        return held * 1_000_000_000 // SAMPLE_RATE_HZ if held > self._buffer_frames // 2 else 0

    def _write(self, room: int) -> bool:
        """What there is, as far as there is room; true where a part begins with it."""
        begun = False
        while room > 0:
            piece, started = self.playout.take(min(room, _PIECE_FRAMES))
            if not piece:
                break
            self._closed = False
            piece = self.loudness.apply(piece)
            self._device.write(self._convert.convert(piece))
            self._reference.wrote(piece)
            self._last_piece = piece
            room -= len(piece) // 2
            for part in started:
                begun = True
                self._tell(part)
        return begun

    def _close_run(self) -> None:
        """Writes silence behind the last sample, once there is room for it: PipeWire plays whole quanta, and kept the
        last 13 ms of a reply to itself until the next one."""
        out = self.playout
        over = out.running and not self._closed and not out.queued_frames and out.all_ended()
        if over and self._device.writable() >= self._device.start_frames:
            self._closed = True
            self._pad(self._start_frames)

    def _pad(self, frames: int) -> None:
        self._device.write(self._convert.convert(self.playout.pad(frames)))
        self._reference.padded(frames)

    def _rest(self, now: MonoNs) -> None:
        if self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= _LINGER_NS:
            self._device.abort()

    def _settle(self, now: MonoNs) -> None:
        for part in self.playout.settle(now):
            self._tell(part)
