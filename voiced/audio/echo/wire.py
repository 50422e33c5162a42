"""WebRTC's canceller and noise suppressor (pywebrtc-audio), and the sound that goes to the server.

AEC3 removes the echo to below hearing, and with it a user who is not louder than the echo. What goes to the server is therefore
its output only while nobody talks over the assistant.
"""

import numpy as np
from numpy.typing import NDArray
from pywebrtc_audio import EchoCanceller

Samples = NDArray[np.float32]

RATE_HZ = 16_000
#: pywebrtc-audio works in pieces of 10 ms; the rest of a shorter one would be taken for silence.
PIECE = 160


class Aec3:
    """WebRTC's AEC3 with its high-pass, for one microphone. The far end must precede its echo (no cancelling from 0 ms down)."""

    #: Samples by which the output is behind the input; measured by cross-correlation, and the same with a loud far end.
    delay = 128

    def __init__(self) -> None:
        self._engine = EchoCanceller(sample_rate=RATE_HZ)

    def process(self, near: Samples, far: Samples) -> Samples:
        """Equal lengths, a multiple of 160, float32 in [-1, 1]; returns as much."""
        out: Samples = self._engine.process(near, far)
        return out
