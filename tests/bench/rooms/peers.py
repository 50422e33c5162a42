"""What others published against a program that interrupts itself, behind the interface of our canceller."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from tests.bench.rooms.voices import RATE_HZ, Samples
from voiced.audio.silero import WINDOW, Silero

_THRESHOLD = 0.5
_HOLD = 2  # windows: 64 ms


class Verdict(NamedTuple):
    """Of one piece of sound, like voiced.audio.echo's Decision."""

    suspected: bool
    confirmed: bool


class Output(NamedTuple):
    sound: Samples
    decisions: list[Verdict]


class _Verdict(Protocol):
    @property
    def suspected(self) -> bool: ...
    @property
    def confirmed(self) -> bool: ...


class _Output(Protocol):
    @property
    def sound(self) -> Samples: ...
    @property
    def decisions(self) -> Sequence[_Verdict]: ...


class Engine(Protocol):
    """What is measured."""

    def process(self, near: Samples, far: Samples) -> _Output: ...


class Detector:
    """Silero with a hold, as on any stream: suspicion and confirmation are one."""

    def __init__(self) -> None:
        self._silero = Silero()
        self._last: deque[bool] = deque(maxlen=_HOLD)

    def process(self, sound: Samples) -> list[Verdict]:
        verdicts = []
        for likely in self._silero.process(sound):
            self._last.append(likely >= _THRESHOLD)
            heard = len(self._last) == _HOLD and all(self._last)
            verdicts.append(Verdict(heard, heard))
        return verdicts


class Bare:
    """No echo cancellation: the detector on the microphone."""

    def __init__(self) -> None:
        self._detector = Detector()

    def process(self, near: Samples, far: Samples) -> Output:
        return Output(near, self._detector.process(near))


class Aec3:
    """WebRTC's canceller alone, and the detector on what it leaves."""

    def __init__(self) -> None:
        from pywebrtc_audio import EchoCanceller

        self._engine = EchoCanceller(sample_rate=RATE_HZ)
        self._detector = Detector()

    def process(self, near: Samples, far: Samples) -> Output:
        sound: Samples = self._engine.process(near, far)
        return Output(sound, self._detector.process(sound))


class LevelGate:
    """The microphone counts while it is louder than a share of what is played; in blocks of 40 ms."""

    _BLOCK = RATE_HZ * 40 // 1000

    def __init__(self) -> None:
        self._near: Samples = np.zeros(0, np.float32)
        self._far: Samples = np.zeros(0, np.float32)
        self._playing = 0.0

    def process(self, near: Samples, far: Samples) -> Output:
        self._near, self._far = np.concatenate((self._near, near)), np.concatenate((self._far, far))
        verdicts = []
        while len(self._near) >= self._BLOCK:
            verdicts.append(self._verdict(self._near[: self._BLOCK], self._far[: self._BLOCK]))
            self._near, self._far = self._near[self._BLOCK :], self._far[self._BLOCK :]
        return Output(near, verdicts)

    def _verdict(self, near: Samples, far: Samples) -> Verdict:
        self._playing += 0.1 * (_rms(far) - self._playing)
        loud = _rms(near) >= max(0.015, 0.6 * self._playing + 0.002)
        return Verdict(loud, loud)


def _rms(sound: Samples) -> float:
    return float(np.sqrt(np.mean(sound * sound)))


assert WINDOW * 1000 // RATE_HZ == 32, "the hold is counted in windows of 32 ms"
