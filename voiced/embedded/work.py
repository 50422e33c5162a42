"""What the engine asks its host to do, and the values in which the two talk about it. No code here.

The host answers a request by calling the engine: Recognise by `recognised`, Think by `thought` (and `think_failed`),
Speak by `spoken` (and `speak_failed`). Answers to what was dropped meanwhile are ignored, so the host may be late.
"""

from typing import Any, NamedTuple


class Said(NamedTuple):
    """One turn of the conversation, as the brain sees it."""

    role: str  # system | user | assistant | call (of a tool) | tool (its answer)
    text: str | None  # None: sound that nobody could recognise; of a call, its arguments
    #: What the assistant had still to say when it was cut off.
    unheard: str = ""
    #: By which a call and its answer belong together.
    call_id: str = ""
    #: Of the tool that is called.
    name: str = ""


class Call(NamedTuple):
    """A tool that the brain wants to be called."""

    name: str
    arguments: str  # JSON


#: An answer comes piece by piece.
Piece = str | Call


class Recognise(NamedTuple):
    """What is said in `pcm` (s16le, mono, 24 kHz)?"""

    item_id: str
    pcm: bytes


class Think(NamedTuple):
    """What is there to answer? Text, and calls of tools, come back piece by piece."""

    response_id: str
    instructions: str
    said: tuple[Said, ...]
    #: Functions as in the session's settings.
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] = "auto"


class Speak(NamedTuple):
    """Say one sentence. Sentences of a response are numbered from 0 and may come back in any order."""

    response_id: str
    number: int
    text: str
    voice: str
    speed: float


class Drop(NamedTuple):
    """Nobody waits for work on this response any longer."""

    response_id: str


class HangUp(NamedTuple):
    """Close the connection after what was said before."""

    code: int
    reason: str


Request = Recognise | Think | Speak | Drop | HangUp
