"""What the loudspeaker sounds, by the microphone's time: playback's announcements in, the canceller's far end out. Pure.

Everything is laid on one line of samples at 24 kHz, the *tape*: an unbroken run of announced sound is placed by the time at which
its first sample sounds, and what follows it lies behind it without a seam, however its own stamps jitter. Reading is just as
even: a cursor moves on by what each block of the microphone takes, a few parts in 10,000 faster or slower where the clocks want it, and
jumps only where it is hopelessly off, or a little where nothing sounds. A linear canceller learns nothing from a reference that shakes.

Stamps of both sides are off by 1-3 ms and both devices' clocks by 100 ppm of the computer's; clock.py makes an even time of each.
A run of which only the start was measured shows nothing of the loudspeaker's clock: what that drifts is left to the canceller.
"""

from collections import deque
from collections.abc import Callable
from functools import cache
from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voiced.audio.echo.clock import HOPELESS_S, Clock, ReaderClock
from voiced.audio.echo.interface import RATE_HZ, Samples
from voiced.audio.resample import windowed_sinc
from voiced.messages import SAMPLE_RATE_HZ, MonoNs, Played, PlayedCut

_S_PER_NS = 1e-9
#: Samples of the tape that one of the far end takes.
_STEP = SAMPLE_RATE_HZ / RATE_HZ

#: The far end is early by this: room for what the stamps are off (3 ms) and the cursor may be (10 ms). The latency of devices, which
#: no stamp knows, and the way through the air come on top.
MARGIN_MS = 20
#: A stamp that is further off than this tells of a gap: an underrun on the loudspeaker's side.
_GAP_S = 0.006
#: Off by less than this it is left alone, also in silence: the canceller has learned where the echo lies, and moving costs it more (5 dB
#: of 19 in the first 20 s). Beyond it jumps in silence, and while something sounds goes back within seconds, by at most 300 ppm.
_TOLERATED_S = 0.002
_RETURN_PER_S = 0.2
_STEEPEST = 300e-6
#: Kept at the most, should nobody read: more than the bus and a device hold (4 s and 0.5 s).
_LONGEST = 8 * SAMPLE_RATE_HZ

#: Half a window of the interpolation, in samples of the tape; 1 ms. Passband to 0.92 of the far end's.
_REACH = 24
_PHASES = 512
_CUTOFF = 0.92 / _STEP
#: Samples of the tape that two of the far end are made of.
_WIDTH = 2 * _REACH + 5


@cache
def _ramp(frames: int) -> Samples:
    """From 0 to 1, shape (2, frames / 2): of the even samples and of the odd ones."""
    return np.ascontiguousarray(np.linspace(0, 1, frames, dtype=np.float32).reshape(-1, 2).T)


class _Piece(NamedTuple):
    start: int  # on the tape
    position: int  # playback's count
    sound: NDArray[np.int16]

    @property
    def end(self) -> int:
        return self.start + len(self.sound)

    def until(self, end: int) -> "_Piece":
        return self._replace(sound=self.sound[: max(0, end - self.start)])


class Reference:
    """The far end for one microphone. Announcements come in the order in which playback made them; they may be late."""

    def __init__(self, margin_ms: float = MARGIN_MS) -> None:
        self._margin_s = margin_ms / 1000
        self._rows = windowed_sinc(_PHASES, _REACH, _CUTOFF) / np.float32(32768)
        self._tape: deque[_Piece] = deque()
        self._epoch_ns: MonoNs | None = None
        self._loudspeaker = Clock(0.002)  # its ahead_s: by how much later than its place on the tape says each sample sounds
        self._microphone = ReaderClock(0.0005)
        self._next: tuple[int, int] | None = None  # position and place on the tape where the run goes on
        self._heard_s = 0.0
        self._taken = 0  # samples that the microphone has given since its clock was last set
        self._cursor: float | None = None

    # what playback announces ---------------------------------------------------------------------------------------

    def played(self, message: Played, pcm: bytes) -> None:
        """24 kHz, int16, mono."""
        sound = np.frombuffer(pcm, "<i2")
        heard_s = self._seconds(message.heard_ns)
        start = self._place(message.position, heard_s)
        if self._tape and self._tape[-1].end > start:
            self._cut(lambda piece: start)  # what was announced last is what the device plays
        self._tape.append(_Piece(start, message.position, sound))
        self._next = (message.position + len(sound), start + len(sound))
        while self._tape[-1].end - self._tape[0].start > _LONGEST:
            self._tape.popleft()

    def cut(self, message: PlayedCut) -> None:
        self._cut(lambda piece: piece.start + message.position - piece.position)
        self._next = None

    def _place(self, position: int, heard_s: float) -> int:
        """Where a piece lies on the tape: behind the last one, unless its position or its time say otherwise."""
        clock = self._loudspeaker
        if self._next is not None and position == self._next[0]:
            ahead_s = heard_s - self._next[1] / SAMPLE_RATE_HZ
            clock.run(max(0.0, heard_s - self._heard_s))
            self._heard_s = heard_s
            if abs(ahead_s - clock.ahead_s) < _GAP_S:
                clock.see(ahead_s)
                return self._next[1]
        self._heard_s = heard_s
        return round((heard_s - clock.ahead_s) * SAMPLE_RATE_HZ)

    def _cut(self, end: Callable[[_Piece], int]) -> None:
        kept = (piece.until(end(piece)) for piece in self._tape)
        self._tape = deque(piece for piece in kept if len(piece.sound))

    # what the canceller asks ---------------------------------------------------------------------------------------

    def far(self, captured_ns: MonoNs, frames: int) -> Samples:
        """The far end for a block of the microphone that ended then: float32 at 16 kHz, going on where the last one ended, exact
        zeros where nothing sounds, `margin_ms` before its echo at the earliest."""
        wanted = self._wanted(captured_ns, frames)
        if self._cursor is None:
            self._cursor = wanted
        step = _STEP
        off_s = (wanted - self._cursor) / SAMPLE_RATE_HZ
        reach = frames * _STEP * 1.01 + _REACH
        excess_s = off_s - min(_TOLERATED_S, max(-_TOLERATED_S, off_s))
        if abs(off_s) > HOPELESS_S or (excess_s and self._silent(min(wanted, self._cursor) - _REACH, max(wanted, self._cursor) + reach)):
            self._cursor = wanted
        else:
            skew = self._microphone.skew - self._loudspeaker.skew
            step *= 1 + skew + min(_STEEPEST, max(-_STEEPEST, excess_s * _RETURN_PER_S))
        begin = self._cursor
        self._cursor += step * frames
        while self._tape and self._tape[0].end < self._cursor - _REACH - HOPELESS_S * 2 * SAMPLE_RATE_HZ:
            self._tape.popleft()
        return self._read(begin, step, frames)

    def _wanted(self, captured_ns: MonoNs, frames: int) -> float:
        """The place on the tape of a block's first sample."""
        seconds = frames / RATE_HZ
        self._taken += frames
        self._microphone.run(seconds)
        self._microphone.judge(self._seconds(captured_ns) - self._taken / RATE_HZ)
        sounding_s = self._taken / RATE_HZ + self._microphone.ahead_s - seconds + self._margin_s
        return (sounding_s - self._loudspeaker.ahead_s) * SAMPLE_RATE_HZ

    def _silent(self, start: float, end: float) -> bool:
        return all(piece.end <= start or piece.start >= end or not piece.sound.any() for piece in self._tape)

    def _read(self, begin: float, step: float, frames: int) -> Samples:
        """What lies at `begin` on the tape and every `step` from there, which is nearly _STEP."""
        first = floor(begin) - _REACH
        cycles = frames // 2
        stretch: Samples = np.zeros(3 * cycles + _WIDTH, np.float32)
        heard = False
        for piece in self._tape:
            if piece.start >= first + len(stretch):
                break
            start, end = max(piece.start, first), min(piece.end, first + len(stretch))
            if start < end:
                stretch[start - first : end - first] = piece.sound[start - piece.start : end - piece.start]
                heard = True
        if not heard or not stretch.any():
            return np.zeros(frames, np.float32)
        # Two samples for every three of the tape, weighed alike in the whole block: as is right at its start, and at its end. What
        # the clocks differ by, hundredths of a sample, lies between the two in proportion (as true as the table, -60 dB).
        rest, off = begin - floor(begin), (step - _STEP) * (frames - 1)
        weights: Samples = np.zeros((4, _WIDTH), np.float32)
        for row, place in zip(weights, (rest, rest + _STEP, rest + off, rest + _STEP + off), strict=True):
            at, phase = divmod(round(place * _PHASES) + _PHASES, _PHASES)
            row[at : at + 2 * _REACH] = self._rows[phase]
        # As sliding_window_view, which costs more than all the arithmetic.
        windows = np.ndarray((cycles, _WIDTH), np.float32, stretch, strides=(3 * stretch.itemsize, stretch.itemsize)).copy()
        started, ended = (weights @ windows.T).reshape(2, 2, cycles)
        ended -= started
        ended *= _ramp(frames)
        ended += started
        out: Samples = ended.T.reshape(-1)
        return out

    def _seconds(self, mono_ns: MonoNs) -> float:
        """Since the first stamp: a double holds nanoseconds of days, but not of years."""
        if self._epoch_ns is None:
            self._epoch_ns = mono_ns
        return (mono_ns - self._epoch_ns) * _S_PER_NS
