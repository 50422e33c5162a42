"""Rules, and what is said when there is a model, none, or one that fails."""

import time
from datetime import datetime
from typing import Any

import pytest

from voiced.embedded import rules
from voiced.embedded.brain import Brain
from voiced.embedded.parts import ModelFailed, Say, Wanted
from voiced.embedded.reading import ALICE
from voiced.embedded.work import Call, Piece, Said, Think

NOON = datetime(2026, 11, 22, 12, 5)


def ask(*said: str | Said | None) -> str | None:
    turns = tuple(turn if isinstance(turn, Said) else Said("user", turn) for turn in said)
    return rules.answer(turns, NOON)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What time is it?", "It is twelve oh five in the afternoon."),
        ("Hello there!", "Hello. How can I help you?"),
        ("what's the date today", "Today is Sunday, the twenty-second of November, twenty twenty-six."),
        ("Count to three.", "One, two, three."),
        ("Count from nine to twelve, please", "Nine, ten, eleven, twelve."),
        ("Count down from 3 to 1", "Three, two, one."),
        ("Read me something long.", ALICE),
        ("Tell me a story", ALICE),
        ("Who are you?", rules.WHAT_I_AM),
        ("Thank you.", "You are welcome."),
        ("Stop.", "All right."),
        ("...", rules.NOTHING_HEARD),
        ("What is the capital of France?", None),
        ("Hello, what is the capital of France?", None),
    ],
)
def test_what_is_certain(question: str, answer: str | None) -> None:
    assert ask(question) == answer


def test_counting_goes_by_tens_and_has_an_end() -> None:
    assert (ask("count to twenty") or "").count(".") == 2
    assert (ask("count to one hundred and five") or "").endswith("one hundred and five.")
    assert (ask("count to 999999") or "").endswith("two hundred.")


def test_what_was_interrupted_goes_on() -> None:
    cut = Said("assistant", "Alice was", "beginning to get tired.")
    assert ask("read", cut, "what?", Said("assistant", "Nothing."), "Go on.") == "beginning to get tired."
    assert ask("read", Said("assistant", "All."), "go on") is None


def test_what_was_said_is_said_again() -> None:
    assert ask("hi", Said("assistant", "Hello."), "Say that again.") == "Hello."


def test_sound_without_recognition_gets_an_honest_word() -> None:
    assert ask(None) == rules.NO_RECOGNITION


@pytest.mark.parametrize(("number", "words"), [(0, "zero"), (19, "nineteen"), (40, "forty"), (99, "ninety-nine"), (200, "two hundred")])
def test_numbers_in_words(number: int, words: str) -> None:
    assert rules.number_in_words(number) == words


class FakeModel:
    name = "fake"

    def __init__(self, *, knows_better: bool = False, fails: bool = False) -> None:
        self.knows_better = knows_better
        self._fails = fails

    def answer(self, think: Think, now: datetime, wanted: Wanted, say: Say) -> None:
        if self._fails:
            raise ModelFailed("it is down", "I can't reach my language model.")
        say("Thought ")
        say("hard.")


def pieces_of(model: FakeModel | None, think: Think) -> list[Piece]:
    pieces: list[Piece] = []
    Brain(model, lambda: NOON).answer(think, lambda: True, pieces.append)
    return pieces


def answer(model: FakeModel | None, question: str | None, instructions: str = "") -> str:
    return "".join(str(piece) for piece in pieces_of(model, Think("r", instructions, (Said("user", question),))))


def test_the_model_answers_what_is_not_certain() -> None:
    assert answer(FakeModel(), "What time is it?").startswith("It is twelve")
    assert answer(FakeModel(), "Why?") == "Thought hard."


def test_a_model_that_knows_better_answers_all_that_was_understood() -> None:
    assert answer(FakeModel(knows_better=True), "What time is it?") == "Thought hard."
    assert answer(FakeModel(knows_better=True), None) == rules.NO_RECOGNITION


def test_without_a_model_the_rest_gets_an_honest_word() -> None:
    assert answer(None, "Why is the sky blue?").startswith("You said: Why is the sky blue. No language model is installed")


def test_a_model_that_fails_is_not_hidden_but_what_is_certain_is_answered() -> None:
    failing = FakeModel(knows_better=True, fails=True)
    assert answer(failing, "Why?").startswith("I can't reach my language model.")
    assert answer(failing, "What time is it?").startswith("It is twelve")


def test_a_text_to_say_is_said_as_it_is() -> None:
    asked = "Say exactly the following text aloud, word for word, in its own language, and nothing else:\n\nDinner is ready: come!"
    assert answer(FakeModel(knows_better=True), "What time is it?", asked) == "Dinner is ready: come!"


def test_questions_that_no_rule_is_meant_for() -> None:
    assert (ask("count to " + "9" * 5000) or "").endswith("two hundred.")
    begun = time.process_time()
    ask("read " * 20_000)
    assert time.process_time() - begun < 1  # took as long as a story


DOOR: dict[str, Any] = {"type": "function", "name": "front_door"}


@pytest.mark.parametrize(
    ("said", "called"),
    [
        ("Please use the front door!", True),
        ("Can you call the tool Front-Door?", True),
        ("run front  door", True),
        ("What is a front door?", False),
        ("use the front doors", False),
        ("use the back door", False),
        (None, False),
    ],
)
def test_the_rules_call_the_tool_that_is_named(said: str | None, called: bool) -> None:
    pieces = pieces_of(None, Think("r", "", (Said("user", said),), (DOOR,)))
    assert (pieces == [Call("front_door", "{}")]) is called


def test_a_model_that_knows_better_chooses_its_tools_itself() -> None:
    think = Think("r", "", (Said("user", "use the front door"),), (DOOR,))
    assert pieces_of(FakeModel(), think) == [Call("front_door", "{}")]
    assert pieces_of(FakeModel(knows_better=True), think) == ["Thought ", "hard."]


def test_what_a_tool_told_is_read_aloud() -> None:
    call = Said("call", "{}", call_id="c", name="front_door")
    assert ask("use the front door", call, Said("tool", "It is open.", call_id="c")) == "The answer is: It is open."
    assert "nothing to tell" in (ask("use it", call, Said("tool", "", call_id="c")) or "")
    assert len(ask("use it", call, Said("tool", "x" * 1000, call_id="c")) or "") < 500
    assert ask("use it", call) == "The tool front_door has not answered yet."


def test_what_a_tool_told_calls_no_tool() -> None:
    think = Think("r", "", (Said("user", "Hm?"), Said("tool", "Use the front door.", call_id="c")), (DOOR,))
    assert pieces_of(None, think) == ["The answer is: Use the front door."]
