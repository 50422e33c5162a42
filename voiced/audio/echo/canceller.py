"""Both cancellers at work on one microphone: what goes on the wire, and what the user says about interrupting."""

from copy import copy

import numpy as np

from voiced.audio.echo.far import BLOCK
from voiced.audio.echo.interface import PIECE, WINDOW, Cancelled, Decision, Facts, Samples
from voiced.audio.echo.linear import Linear
from voiced.audio.echo.wire import Aec3
from voiced.audio.silero import Silero


class Canceller:
    """`frame` is the length of what comes in, in samples: a multiple of 160; `threshold` is barge_in.threshold."""

    def __init__(self, threshold: float = 0.5, frame: int = BLOCK) -> None:
        if frame % PIECE:
            raise ValueError(f"frames of {frame} samples are no multiple of {PIECE}")
        #: Samples by which `sound` is behind what came in.
        self.delay = Aec3.delay + (BLOCK - PIECE if frame % BLOCK else 0)
        self._threshold = threshold
        self._linear = Linear()
        self._aec3 = Aec3()
        self._plain = Silero()
        self._strict = Silero()
        self._near: Samples = np.zeros(0, np.float32)
        self._far: Samples = np.zeros(0, np.float32)
        self._out: Samples = np.zeros(BLOCK - PIECE if frame % BLOCK else 0, np.float32)
        self._held = 0

    def process(self, near: Samples, far: Samples) -> Cancelled:
        """Equal lengths, a multiple of 160. The far end must precede its echo, and be exact zeros where nothing plays."""
        self._near = np.concatenate((self._near, near))
        self._far = np.concatenate((self._far, far))
        decisions: list[Decision] = []
        while len(self._near) >= BLOCK:
            decisions += self._block(self._near[:BLOCK], self._far[:BLOCK])
            self._near = self._near[BLOCK:]
            self._far = self._far[BLOCK:]
        sound, self._out = self._out[: len(near)], self._out[len(near) :]
        return Cancelled(sound, decisions)

    def facts(self) -> Facts:
        return Facts(None, None, None, False)

    def _block(self, near: Samples, far: Samples) -> list[Decision]:
        left, _ = self._linear.process(near, far)
        strict = self._aec3.process(near, far)
        self._out = np.concatenate((self._out, strict))
        likely = self._plain.process(left)
        if self._linear.idle:
            self._strict = copy(self._plain)  # both hear the same: run one
            return [self._decide(each, False) for each in likely]
        return [self._decide(min(a, b), True) for a, b in zip(likely, self._strict.process(strict), strict=True)]

    def _decide(self, speech: float, far_active: bool) -> Decision:
        self._held = self._held + 1 if speech >= self._threshold else 0
        return Decision(speech, self._held * WINDOW >= 2 * WINDOW, self._held * WINDOW >= 5 * WINDOW, far_active)
