"""Deaf until its name is called: the gate of the wake word. Pure.

While it is closed, nothing of the microphone may reach the network process: the capture process sends zeros, as while
muted, since a server that is connected needs a clock (realtime-protocol 5.2) and here nobody knows whether one is. It
sends no local speech either: that somebody talks in the room is not the network's business.

The word opens it, and the frames of the last 1.5 s go out first: the word itself, how the sentence began that it stands
in, and the 0.1 to 0.3 s in which it was recognised, where the next one has begun when people do not pause. It stays open
until the network process orders otherwise; a word that is said meanwhile is only a word.

The detector listens behind the echo canceller, or else the assistant could call itself.
"""

from collections import deque
from typing import NamedTuple, Protocol

from voiced.audio.echo.interface import Samples
from voiced.capture.gate import Frame
from voiced.messages import LocalSpeech

KEPT_MS = 1500


class Word(Protocol):
    """Hears one word in a stream of sound."""

    def process(self, sound: Samples) -> float | None:
        """The next samples (float32 in [-1, 1], mono, 16 kHz, any number); the probability where they complete the word."""

    def reset(self) -> None:
        """Forgets all sound heard so far, the word among it."""


class Through(NamedTuple):
    #: The word: goes out before the frames.
    woken: LocalSpeech | None
    #: What may go on its way now, oldest first. None at all while the ears are closed.
    frames: list[Frame]


class Ears:
    """`word` is None where nobody wants to be called: then they are always open. `keep`: frames that are sent along."""

    def __init__(self, word: Word | None, keep: int) -> None:
        self._word = word
        self.open = word is None
        self._kept: deque[Frame] = deque(maxlen=keep)

    def hear(self, sound: Samples, frame: Frame) -> Through:
        """One frame, and the same time of sound as the detector is to hear it. Not to be called while muted."""
        if self._word is None or self.open:
            return Through(None, [frame])
        self._kept.append(frame)
        probability = self._word.process(sound)
        if probability is None:
            return Through(None, [])
        frames = list(self._kept)
        self._kept.clear()
        self.open = True
        return Through(LocalSpeech("wake", frame.captured_ns, probability), frames)

    def turn(self, *, open: bool) -> None:
        """Opens them, with nothing from before, or closes them till the word is said again."""
        self.open = open or self._word is None
        self.reset()

    def reset(self) -> None:
        """Nothing from before may go out or be taken for the word any more: for mute, too."""
        self._kept.clear()
        if self._word is not None:
            self._word.reset()
