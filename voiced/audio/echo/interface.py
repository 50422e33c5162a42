"""What the echo canceller takes and gives: no arithmetic here."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Mono, float32 in [-1, 1], 16 kHz.
Samples = NDArray[np.float32]

RATE_HZ = 16_000
#: Lengths of what comes in are multiples of this (10 ms).
PIECE = 160
#: Samples that each decision covers: a window of Silero's.
WINDOW = 512


class Decision(NamedTuple):
    """What 32 ms of sound say about the user, the assistant's echo discounted."""

    speech: float  # 0 to 1: how likely the user is speaking
    suspected: bool  # enough to lower the assistant's voice
    confirmed: bool  # enough to interrupt it
    far_active: bool  # the assistant, or its echo, may be heard


class Cancelled(NamedTuple):
    sound: Samples  # what goes on the wire: as long as what came in, Canceller.delay samples behind it
    clear: Samples  # the same with the user unharmed and some echo: to be sent for what turns out to have been an interruption
    decisions: list[Decision]  # one for each window that became full


class Facts(NamedTuple):
    """How well the echo is known. None where nothing has been measured yet."""

    erle_db: float | None  # by how much the linear canceller lowers the echo
    delay_ms: float | None  # of the echo's strongest path behind the far end
    drift_ppm: float | None  # loudspeaker's clock against microphone's
    converged: bool
