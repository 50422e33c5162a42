"""What the tests of the embedded server share."""

import subprocess
import wave
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from voiced.audio.resample import Resampler

Speech = Callable[[str], bytes]


@cache
def _flite(text: str) -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "speech.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True)
        with wave.open(str(path)) as file:
            rate, samples = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")
    resampler = Resampler(rate, 24_000)
    sound: bytes = np.concatenate((resampler.process(samples), resampler.flush())).astype("<i2").tobytes()
    return sound


@pytest.fixture
def speech() -> Speech:
    """Speaks a text: s16le, mono, 24 kHz."""
    return _flite
