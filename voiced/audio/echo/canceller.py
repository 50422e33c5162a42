"""Both cancellers at work on one microphone: what goes on the wire, and what the user says about interrupting."""

from collections import deque
from copy import copy
from math import log
from typing import NamedTuple

import numpy as np

from voiced.audio.echo.alignment import Aligner
from voiced.audio.echo.decision import Fusion, Judge
from voiced.audio.echo.evidence import Evidence
from voiced.audio.echo.far import BLOCK, PAST
from voiced.audio.echo.interface import PIECE, RATE_HZ, WINDOW, Cancelled, Decision, Facts, Samples
from voiced.audio.echo.linear import Linear
from voiced.audio.echo.wire import Aec3, Wire, Wired
from voiced.audio.silero import Silero, together

#: The echo counts as known from here on.
_KNOWN_DB = 6.0
#: Blocks (0.4 s) that are gone over again when the assistant begins: as many as the network and the rhythms of the evidence look back.
_UNJUDGED = 20
#: So many of them with each block: done in 0.14 s, when the first echo has just come. All at once held capture up for 60 to 75 ms.
_AT_ONCE = 4


class _Past(NamedTuple):
    """A block that no one has judged yet."""

    near: Samples
    left: Samples
    echo: Samples
    far: Samples
    windows: list[tuple[int, float]]  # that it filled: how long ago that was, Silero's opinion


class Canceller:
    """`frame` is the length of what comes in, in samples: a multiple of 160; `threshold` is barge_in.threshold; `fusion` is for who makes
    its weights."""

    def __init__(
        self,
        threshold: float = 0.5,
        frame: int = BLOCK,
        *,
        noise_suppression: bool = True,
        gain_control: bool = False,
        fusion: Fusion | None = None,
    ) -> None:
        if frame % PIECE:
            raise ValueError(f"frames of {frame} samples are no multiple of {PIECE}")
        self._aligner = Aligner()
        self._linear = Linear()
        self._aec3 = Aec3()
        self._wire = Wire(noise_suppression=noise_suppression, gain_control=gain_control)
        self._in_left = Silero()
        self._in_strict = Silero()
        self._evidence = Evidence()
        self._fusion = fusion or Fusion()
        self._judge = Judge(threshold)
        self._last = Decision(0.0, False, False, False)
        self._windowed = 0  # samples that are in no full window yet
        self._unjudged: deque[_Past] = deque()
        # Frames of 10 ms wait for their block: the sound has to begin that much late.
        waiting = BLOCK - PIECE if frame % BLOCK else 0
        self._whole = frame == BLOCK
        #: Samples by which `sound` and `clear` are behind what came in.
        self.delay = self._wire.delay + waiting
        self._heard: Samples = np.zeros((2, 0), np.float32)
        self._out: Samples = np.zeros((2, waiting), np.float32)

    def process(self, near: Samples, far: Samples) -> Cancelled:
        """Equal lengths, those of a frame. The far end must precede its echo, and be exact zeros where nothing plays."""
        if self._whole:
            wired, decisions = self._block(near, far)
            return Cancelled(*wired, decisions)
        self._heard = np.concatenate((self._heard, (near, far)), axis=1)
        decisions = []
        while self._heard.shape[1] >= BLOCK:
            block, self._heard = self._heard[:, :BLOCK], self._heard[:, BLOCK:]
            wired, decided = self._block(block[0], block[1])
            self._out = np.concatenate((self._out, wired), axis=1)
            decisions += decided
        out, self._out = self._out[:, : len(near)], self._out[:, len(near) :]
        return Cancelled(out[0], out[1], decisions)

    @property
    def idle(self) -> bool:
        """Nothing of the assistant can be heard: `clear` is of no use."""
        return self._linear.idle

    def facts(self) -> Facts:
        erle_db = self._linear.erle_db
        known = erle_db is not None and erle_db > _KNOWN_DB
        delay_ms = self._linear.delay_ms
        if delay_ms is not None:
            delay_ms += self._aligner.held * 1000 / RATE_HZ
        return Facts(erle_db, delay_ms, self._linear.drift_ppm, known)

    def _block(self, near: Samples, far: Samples) -> tuple[Wired, list[Decision]]:
        near = _sane(near)
        far = self._hold(near, _sane(far))
        jumps = self._linear.jumps
        left, echo = self._linear.process(near, far)
        if self._linear.jumps != jumps:
            self._judge.forget()
        self._windowed += BLOCK
        strict, decisions = self._judged(near, left, echo, far)
        self._last = decisions[-1] if decisions else self._last
        return self._wire.process(strict, left, echo, self._last.speech), decisions

    def _hold(self, near: Samples, far: Samples) -> Samples:
        """The far end, held back; by how much more than so far, the linear canceller needn't learn."""
        held = self._aligner.held
        far = self._aligner.process(near, far)
        if self._aligner.held != held:
            self._linear.hold(self._aligner.held - held, self._aligner.past(BLOCK, PAST))
        return far

    def _judged(self, near: Samples, left: Samples, echo: Samples, far: Samples) -> tuple[Samples | None, list[Decision]]:
        """AEC3's output, None where it rests, and what is decided."""
        if self._linear.idle:
            return None, self._alone(near)
        if self._unjudged:
            return None, self._catch_up(near, left, echo, far)
        strict = self._cancel(near, left, echo, far)
        windows = together((self._in_left, self._in_strict), (left, strict))
        return strict, [self._judge.decide(self._weigh(self._next_window(), *likely), True, known=self._linear.known) for likely in windows]

    def _alone(self, near: Samples) -> list[Decision]:
        """Nothing plays: Silero's word counts, and all that judges echo rests (of 593 us for 10 ms it took 300 to 370)."""
        nothing = np.zeros(BLOCK, np.float32)
        likely = self._set_aside(near, near, nothing, nothing)
        while len(self._unjudged) > _UNJUDGED:
            self._unjudged.popleft()
        return [self._judge.decide(log(max(each, 1e-6) / max(1 - each, 1e-6)), False) for each in likely]

    def _catch_up(self, near: Samples, left: Samples, echo: Samples, far: Samples) -> list[Decision]:
        """The assistant begins: what went by is what this is compared with, and AEC3 would else come with sound of long ago. Until
        that is done, nobody is suspected."""
        likely = self._set_aside(near, left, echo, far)
        for _ in range(min(_AT_ONCE, len(self._unjudged))):
            past = self._unjudged.popleft()
            self._cancel(past.near, past.left, past.echo, past.far)
            for since, opinion in past.windows:
                self._weigh(since, opinion, opinion)
        return [Decision(self._last.speech, False, False, True)] * len(likely)

    def _set_aside(self, near: Samples, left: Samples, echo: Samples, far: Samples) -> list[float]:
        """A block that is not judged now; Silero's opinion of the windows that it filled."""
        likely = self._in_left.process(left)
        self._unjudged.append(_Past(near, left, echo, far, [(self._next_window(), each) for each in likely]))
        self._in_strict = copy(self._in_left)  # AEC3 would leave the same
        return likely

    def _cancel(self, near: Samples, left: Samples, echo: Samples, far: Samples) -> Samples:
        """AEC3's output, and all five sounds as evidence."""
        strict = self._aec3.process(near, far)
        self._evidence.take(near, left, echo, strict, far)
        return strict

    def _next_window(self) -> int:
        """How many samples ago the next full window ended."""
        self._windowed -= WINDOW
        return self._windowed

    def _weigh(self, since: int, in_left: float, in_strict: float) -> float:
        return self._fusion.likely(self._evidence.weigh(since, in_left, in_strict))


def _sane(block: Samples) -> Samples:
    """Silence instead of what is no sound: one NaN would stay in every filter for ever."""
    return block if block @ block <= len(block) else np.zeros_like(block)
