"""The demonstration's script, and the judgement on what came of it. Pure."""

import re
from typing import NamedTuple


class Line(NamedTuple):
    """Something to say into the microphone, and what shows that it was understood."""

    words: str
    understood: str  # a pattern that what was recognised must hold


GREETING = "Hello. What can I do for you?"
QUESTION = Line("Please count to fifty.", r"count\b.*\b(50|fifty)\b")
#: Said in the middle of the answer, after so much of it was heard.
INTERRUPT_AFTER_MS = 3500
INTERRUPTION = Line("What time is it?", r"\btime\b")
ANSWER = r"\bit is\b"

#: What was heard is known to 0-3 ms on PulseAudio; PipeWire cuts at its quanta of 21.3 ms, at a duck and at the flush.
_HEARD_TOLERANCE_MS = 60
#: From the first sound of an interruption to silence: what the voice detector needs to be sure, and then some.
_LONGEST_TO_SILENCE_MS = 1000
#: From the server's word to silence: 1 ms in the median; the rest is for a busy machine.
_LONGEST_ORDER_TO_SILENCE_MS = 100


class Outcome(NamedTuple):
    """What happened, as far as events and recordings show it."""

    question: str  # what was understood of it
    interruption: str
    answer: str  # the second one, whole
    played_ms: int | None  # of the first answer: what the flush says was heard
    dropped_ms: int | None
    turn_played_ms: int | None  # and what the transcript says
    recorded_ms: float  # and what the speaker's recording holds
    underruns: int  # of the playback so far: on a machine that is too busy, gaps lengthen the recording
    to_silence_ms: float  # first sound of the interruption -> last sound of the answer, both recorded
    order_to_silence_ms: float  # speech.started published -> the same
    answer_recorded_ms: float


def understood(line: Line, recognised: str) -> bool:
    return re.search(line.understood, recognised.lower()) is not None


def complaints(outcome: Outcome) -> list[str]:
    """What did not go as it should, a sentence each; none where all of it really happened."""
    checks = (
        (understood(QUESTION, outcome.question), f'the question was understood as "{outcome.question}"'),
        (understood(INTERRUPTION, outcome.interruption), f'the interruption was understood as "{outcome.interruption}"'),
        (outcome.played_ms is not None, "the flush does not say what was heard"),
        (bool(outcome.dropped_ms), "nothing of the first answer was left to drop"),
        (
            outcome.turn_played_ms == outcome.played_ms,
            f"the transcript is cut at {outcome.turn_played_ms} ms, the flush was at {outcome.played_ms} ms",
        ),
        (
            _agree(outcome),
            f"the answer was cut at {outcome.played_ms} ms, but the speaker's recording holds {outcome.recorded_ms:.0f} ms of it",
        ),
        (
            0 < outcome.to_silence_ms <= _LONGEST_TO_SILENCE_MS,
            f"the interruption took {outcome.to_silence_ms:.0f} ms to silence the answer",
        ),
        (
            outcome.order_to_silence_ms <= _LONGEST_ORDER_TO_SILENCE_MS,
            f"{outcome.order_to_silence_ms:.0f} ms passed from the server's word to silence",
        ),
        (re.search(ANSWER, outcome.answer.lower()) is not None, f'the second answer was "{outcome.answer}"'),
        (outcome.answer_recorded_ms >= 300, f"the second answer sounded for {outcome.answer_recorded_ms:.0f} ms only"),
    )
    return [complaint for holds, complaint in checks if not holds]


def _agree(outcome: Outcome) -> bool:
    longer_ms = outcome.recorded_ms - (outcome.played_ms or 0)
    return longer_ms >= -_HEARD_TOLERANCE_MS and (longer_ms <= _HEARD_TOLERANCE_MS or outcome.underruns > 0)
