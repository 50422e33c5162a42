"""The judgement: 0 may only be returned if all of it really happened."""

from typing import Any

import pytest

from voiced.demo.conversation import INTERRUPTION, QUESTION, Line, Outcome, complaints, understood

GOOD = Outcome(
    question="Please count to 50.",
    interruption="What time is it?",
    answer="It is four fifty-two in the afternoon.",
    played_ms=3620,
    dropped_ms=31_000,
    turn_played_ms=3620,
    recorded_ms=3621.5,
    underruns=0,
    to_silence_ms=210.0,
    order_to_silence_ms=1.2,
    answer_recorded_ms=1900.0,
)


def test_all_of_it_happened() -> None:
    assert complaints(GOOD) == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"question": "Please come to fifty."}, "question was understood as"),
        ({"interruption": ""}, "interruption was understood as"),
        ({"answer": "Eight, nine, ten."}, "second answer was"),
        ({"played_ms": None, "turn_played_ms": None, "recorded_ms": 0.0}, "does not say what was heard"),
        ({"dropped_ms": 0}, "left to drop"),
        ({"turn_played_ms": None}, "transcript is cut at None"),
        ({"recorded_ms": 3800.0}, "recording holds 3800 ms"),
        ({"recorded_ms": 3400.0}, "recording holds 3400 ms"),
        ({"to_silence_ms": 1001.0}, "took 1001 ms"),
        ({"order_to_silence_ms": 101.0}, "101 ms passed"),
        ({"to_silence_ms": -5.0}, "took -5 ms"),
        ({"answer_recorded_ms": 20.0}, "sounded for 20 ms"),
    ],
)
def test_each_lack_has_its_complaint(wrong: dict[str, Any], complaint: str) -> None:
    found = complaints(GOOD._replace(**wrong))
    assert len(found) == 1
    assert complaint in found[0]


def test_gaps_lengthen_the_recording_and_never_shorten_it() -> None:
    assert complaints(GOOD._replace(recorded_ms=3800.0, underruns=2)) == []
    assert complaints(GOOD._replace(recorded_ms=3400.0, underruns=2)) != []


@pytest.mark.parametrize(
    ("line", "recognised", "expected"),
    [
        (QUESTION, "Please count to fifty.", True),
        (QUESTION, "please count to 50", True),
        (QUESTION, "Please count to fifteen.", False),
        (QUESTION, "", False),
        (INTERRUPTION, "What time is it?", True),
        (INTERRUPTION, "What timer is it?", False),
    ],
)
def test_understood(line: Line, recognised: str, expected: bool) -> None:
    assert understood(line, recognised) is expected
