"""With a voice detector and a gate of our own: what is said reaches the server whole, and what it believes was heard was heard."""

import pytest

from tests.joined.judge import Judge, words
from tests.joined.room import STEP_MS, Room
from voiced.network.events import InputAudioAppend, ItemTruncate
from voiced.network.hello import Phase


def told(room: Room) -> list[str]:
    """What the server of now has of the user's turns."""
    Judge(room).in_agreement()
    return [words(entry) for entry in room.link.entries("user")]


@pytest.mark.parametrize("wire_ms", [0, 320])
def test_an_interruption_is_flushed_here_and_the_server_hears_all_of_it(wire_ms: int) -> None:
    room = Room(reply_ms=20_000, wire_ms=wire_ms, local=True)
    room.speak()
    room.pass_ms(2000)
    room.speak(960)
    room.pass_ms(24_000)
    [truncate] = room.sent_of(ItemTruncate)
    assert room.assistant_entries[0].audio_ms == truncate.audio_end_ms
    assert [flush["reason"] for flush in room.of("flush")] == ["local"]
    assert told(room) == ["<1>", "<2>"]
    sources = [(started["source"], started["item_id"] is None) for started in room.of("speech.started")]
    assert sources == [("local", True), ("server", False)] * 2
    assert len(room.of("speech.stopped")) == 2


def test_the_server_hears_nothing_while_the_assistant_speaks() -> None:
    room = Room(reply_ms=3000, local=True)
    room.speak()
    room.pass_ms(1000)
    assert room.state == "speaking"
    room.sent.clear()
    room.pass_ms(960)
    assert {event.audio for event in room.sent_of(InputAudioAppend)} == {bytes(960)}


def test_what_is_said_while_there_is_no_connection_is_answered_once_there_is_one() -> None:
    room = Room(reply_ms=1000, connect_ms=3000, local=True)
    room.lose()
    room.speak(960)
    room.pass_ms(8000)
    assert told(room) == ["<1>"]
    assert room.of("turn")[-1]["role"] == "assistant"


def test_a_sleeping_assistant_wakes_by_what_is_said_and_answers_it() -> None:
    room = Room(reply_ms=1000, connect_ms=1600, local=True, idle_disconnect_s=20)
    room.pass_ms(24_000)
    assert room.state == "asleep"
    assert not room.connected
    room.speak(1120)
    room.pass_ms(6000)
    assert told(room) == ["<1>"]
    room.pass_ms(24_000)
    assert room.session.phase is Phase.ASLEEP


def test_with_a_key_only_what_is_said_is_sent() -> None:
    room = Room(reply_ms=1000, local=True, mode="push_to_talk")
    for _ in range(2):
        room.sent.clear()
        room.order("talk", pressed=True)
        room.pass_ms(3200)
        room.speak(960)
        room.pass_ms(3200)
        room.order("talk", pressed=False)
        room.pass_ms(3000)
    sent_ms = sum(len(event.audio) for event in room.sent_of(InputAudioAppend)) // 48
    assert 960 <= sent_ms <= 960 + 400 + 400 + STEP_MS
    assert told(room) == ["<1>", "<2>"]


def test_who_speaks_on_while_it_falls_asleep_and_wakes_is_heard_from_then_on() -> None:
    room = Room(reply_ms=40, connect_ms=480, local=True)
    room.speak(STEP_MS)
    room.order("budget", exhausted="enough for today")
    room.pass_ms(STEP_MS)
    room.order("budget", exhausted="")
    room.speak(STEP_MS)  # to the detector one speech with the first
    room.pass_ms(6000)
    assert told(room) == ["<2>"]
