"""Lessons to learn from: what the canceller finds in random scenes, kept in the temporary folder between runs."""

from pathlib import Path
from tempfile import gettempdir

import numpy as np

from tests.bench.fusion.learn import Lesson, lesson
from tests.bench.fusion.scenes import scene
from voiced.audio.echo.canceller import Canceller
from voiced.audio.echo.decision import Fusion
from voiced.audio.echo.far import BLOCK
from voiced.audio.echo.interface import Samples


class _Recorder(Fusion):
    """Stands where the network stands, and keeps what it would see."""

    def __init__(self) -> None:
        self.pieces: list[Samples] = []

    def likely(self, evidence: Samples) -> float:
        self.pieces.append(evidence)
        return 0.0


def taught(seed: int) -> Lesson:
    """One scene's lesson, as the canceller lives it."""
    kept = Path(gettempdir()) / "voiced-fusion" / f"{seed}.npz"
    if kept.exists():
        with np.load(kept) as stored:
            return Lesson(stored["evidence"], stored["speaks"], stored["counts"])
    here, recorder, active = scene(seed), _Recorder(), []
    canceller = Canceller(fusion=recorder)
    for at in range(0, len(here.near) // BLOCK * BLOCK, BLOCK):
        told = canceller.process(here.near[at : at + BLOCK], here.far[at : at + BLOCK])
        active += [decision.far_active for decision in told.decisions]
    made = lesson(here, np.array(recorder.pieces, np.float32), np.array(active))
    kept.parent.mkdir(exist_ok=True)
    np.savez(kept, **made._asdict())
    return made
