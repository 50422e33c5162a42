"""A connection that breaks at an awkward moment: every turn is told to the next server once, and nothing twice."""

from tests.joined.judge import Judge, words
from tests.joined.room import STEP_MS, Room

OFFLINE_MS = 1000  # the delay, and a step to open


def told(room: Room) -> list[str]:
    """What the server of now has of the user's turns."""
    Judge(room).in_agreement()
    return [words(entry) for entry in room.link.entries("user")]


def test_a_question_in_writing_does_not_make_the_spoken_one_forgotten() -> None:
    room = Room(reply_ms=1000)
    room.speak(960)
    room.order("ask", text="And how late is it?")
    room.lose()
    room.pass_ms(6000)
    assert told(room) == ["And how late is it?", "<1>"]


def test_of_two_turns_that_nobody_answered_both_are_told() -> None:
    room = Room(reply_ms=1000, brain_ms=3000)
    room.speak()
    room.pass_ms(960)
    room.speak()
    room.lose()
    room.pass_ms(12_000)
    assert told(room) == ["<1>", "<2>"]


def test_a_turn_whose_words_came_meanwhile_is_not_told_by_its_sound() -> None:
    room = Room(reply_ms=1000, brain_ms=480)
    room.speak()
    room.pass_ms(480)
    room.speak(1600)
    room.lose()
    room.pass_ms(8000)
    assert told(room) == ["<1>", "<2>"]


def test_a_key_that_is_pressed_again_at_once_brings_nothing_twice() -> None:
    room = Room(reply_ms=1000, mode="push_to_talk")
    for _ in range(2):
        room.order("talk", pressed=True)
        room.speak()
        room.order("talk", pressed=False)
    room.pass_ms(4000)
    assert told(room) == ["<1>", "<2>"]


def test_two_turns_by_key_that_nobody_answered_are_both_told() -> None:
    room = Room(reply_ms=1000, brain_ms=3000, wire_ms=320, mode="push_to_talk")
    for _ in range(2):
        room.order("talk", pressed=True)
        room.speak()
        room.order("talk", pressed=False)
    room.lose()
    room.pass_ms(12_000)
    assert " ".join(told(room)) == "<1> <2>"


def test_the_last_words_of_an_answered_turn_are_no_turn_for_the_next_server() -> None:
    room = Room(reply_ms=3000)
    room.speak(1600)
    while room.state != "speaking":
        room.pass_ms(STEP_MS)
    room.lose()
    room.pass_ms(8000)
    assert told(room) == ["<1>"]
    assert room.of("turn")[-1]["played_ms"] == 3000
