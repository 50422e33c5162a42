"""Both halves of the protocol and the loudspeaker in between: what the server believes was heard is what was heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.joined.judge import RACES
from tests.joined.room import STEP_MS, Room
from voiced.network.events import ItemDelete, ItemTruncate, ResponseCancel


def test_a_question_is_answered_aloud_and_written_down() -> None:
    room = Room(reply_ms=1000)
    room.speak()
    room.pass_ms(3000)
    assert [entry.audio_ms for entry in room.assistant_entries] == [1000]
    assert room.sent_of(ItemTruncate) == room.sent_of(ItemDelete) == []
    turns = room.order("transcript", limit=10)["turns"]
    assert [(turn["role"], turn["text"], turn["interrupted"]) for turn in turns] == [
        ("user", "<1>", False),
        ("assistant", "An answer of one sentence.", False),
    ]
    assert room.server_errors == []


def test_an_interruption_leaves_the_server_with_what_was_heard() -> None:
    room = Room(reply_ms=20_000)
    room.speak()
    room.pass_ms(2000)
    room.speak()
    [truncate] = room.sent_of(ItemTruncate)
    assert 1000 < truncate.audio_end_ms < 2500
    assert room.assistant_entries[0].audio_ms == truncate.audio_end_ms
    flush = next(data for topic, data in room.published if topic == "flush")
    assert flush["played_ms"] == truncate.audio_end_ms
    assert flush["played_ms"] + flush["dropped_ms"] == 20_000
    room.pass_ms(1000)
    turns = room.order("transcript", limit=10)["turns"]
    assert next(turn["interrupted"] for turn in turns if turn["role"] == "assistant") is True
    assert room.server_errors == []


def test_after_an_interruption_the_next_answer_is_heard() -> None:
    room = Room(reply_ms=3000)
    room.speak()
    room.pass_ms(1000)
    room.speak()
    room.pass_ms(6000)
    first, second = room.assistant_entries
    assert first.audio_ms < 3000
    assert second.audio_ms == 3000
    assert not room.playout.speaking


@pytest.mark.parametrize("wire_ms", [0, 160, 480])
def test_an_answer_interrupted_at_its_very_beginning_is_as_long_as_it_was_heard(wire_ms: int) -> None:
    room = Room(reply_ms=3000, wire_ms=wire_ms)
    room.speak()
    while not room.assistant_entries:
        room.pass_ms(STEP_MS)
    room.speak(STEP_MS)
    room.pass_ms(8000)
    heard = {event.item_id: event.audio_end_ms for event in room.sent_of(ItemTruncate)}
    deleted = {event.item_id for event in room.sent_of(ItemDelete)}
    for entry in room.assistant_entries:
        assert entry.id not in deleted
        assert entry.audio_ms == heard.get(entry.id, 3000)


def test_an_answer_stopped_before_its_first_sample_is_taken_back() -> None:
    room = Room(reply_ms=3000)
    room.speak()
    while not room.playout.speaking:
        room.pass_ms(STEP_MS)
    assert room.order("interrupt")["played_ms"] == 0
    assert room.sent_of(ItemTruncate) == []
    assert len(room.sent_of(ItemDelete)) == 1
    assert room.assistant_entries == []


def test_ask_is_a_turn_and_say_is_said_outside_of_it() -> None:
    room = Room(reply_ms=500)
    assert "item_id" in room.order("ask", text="How late is it?")
    room.pass_ms(2000)
    assert len(room.assistant_entries) == 1
    assert room.order("say", text="The tea is ready.") == {"queued": True}
    room.pass_ms(2000)
    assert room.server_errors == []
    assert room.order("interrupt")["interrupted"] is False


def test_an_interrupt_by_order_cancels_and_truncates() -> None:
    room = Room(reply_ms=20_000)
    room.speak()
    room.pass_ms(2000)
    answer = room.order("interrupt")
    assert answer["interrupted"] is True
    [truncate] = room.sent_of(ItemTruncate)
    assert answer["played_ms"] == truncate.audio_end_ms == room.assistant_entries[0].audio_ms


_moves = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.integers(1, 6)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
        st.tuples(st.sampled_from(["ask", "say", "interrupt"]), st.just(0)),
    ),
    max_size=14,
)


@given(moves=_moves, reply_ms=st.sampled_from([0, 40, 300, 4000]), wire_ms=st.sampled_from([0, 160, 320]))
def test_however_they_interrupt_each_other_both_end_in_peace(moves: list[tuple[str, int]], reply_ms: int, wire_ms: int) -> None:
    room = Room(reply_ms=reply_ms, wire_ms=wire_ms)
    for move, steps in moves:
        if move == "speak":
            room.speak(steps * STEP_MS)
        elif move == "wait":
            room.pass_ms(steps * STEP_MS)
        elif move == "interrupt":
            room.order("interrupt")
        else:
            room.order(move, text="words")
    room.pass_ms(4000 * (len(moves) + 2))
    assert {error.code for error in room.server_errors} <= RACES
    assert not room.playout.speaking
    states = [data["state"] for topic, data in room.published if topic == "state"]
    assert states[-1] == "listening"
    truncated = [event.item_id for event in room.sent_of(ItemTruncate)]
    assert len(truncated) == len(set(truncated))
    heard = {event.item_id: event.audio_end_ms for event in room.sent_of(ItemTruncate)}
    assert all(entry.audio_ms == heard.get(entry.id, reply_ms) for entry in room.assistant_entries)
    assert len(room.sent_of(ResponseCancel)) <= len(moves)


def test_a_question_in_writing_that_meets_the_end_of_a_spoken_one_takes_its_answer_from_nobody() -> None:
    room = Room(reply_ms=40, wire_ms=320, brain_ms=320, connect_ms=480)
    room.order("budget", exhausted="enough for today")
    room.pass_ms(STEP_MS)
    room.order("budget", exhausted="")
    room.lose()
    room.reachable = False
    room.pass_ms(3 * STEP_MS)
    room.reachable = True
    room.speak(10 * STEP_MS)
    room.order("ask", text="And how late is it?")
    room.pass_ms(8000)
    assert [entry.item.role for entry in room.link.entries()] == ["user", "user", "assistant"]
