"""What hears, thinks and speaks, as interfaces; who can do it on this machine stands in `candidates`."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol

from voiced.embedded.work import Piece, Think

#: Tells, while an answer is being made, whether anybody still wants it.
Wanted = Callable[[], bool]
#: Takes the answer piece by piece.
Say = Callable[[Piece], None]


class NotHere(Exception):
    """This machine lacks what a candidate needs; the message says what."""


class RecognitionFailed(Exception):
    """This sound could not be recognised; the message says why."""


class SpeechFailed(Exception):
    """One sentence could not be said; the message says why."""


class ModelFailed(Exception):
    """The language model gave no answer. The message is for the log, `spoken` for the user's ears."""

    def __init__(self, message: str, spoken: str) -> None:
        super().__init__(message)
        self.spoken = spoken


class Recogniser(Protocol):
    name: str

    def recognise(self, pcm: bytes) -> str:
        """What is said in s16le, mono, 24 kHz; "" where nothing is. Raises RecognitionFailed."""


class Voice(Protocol):
    name: str

    def speak(self, text: str, speed: float) -> bytes:
        """One sentence as s16le, mono, 24 kHz. Raises SpeechFailed."""


class Model(Protocol):
    """A language model."""

    name: str
    #: Whether it is asked even what rules could answer.
    knows_better: bool

    def answer(self, think: Think, now: datetime, wanted: Wanted, say: Say) -> None:
        """Raises ModelFailed."""


class Candidates(NamedTuple):
    """Who may do what, best first. Each raises NotHere where this machine lacks what it needs."""

    recognisers: list[Callable[[], Recogniser]]
    voices: list[Callable[[], Voice]]
    models: list[Callable[[], Model]]
