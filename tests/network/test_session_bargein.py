"""Barge-in as the session does it: what is silenced, what the server is told, what is dropped."""

from tests.network.script import Script, delta, ended, flushes, played, published, sent, sound, text
from voiced.messages import Epoch
from voiced.network.bargein import ANSWER_WITHIN_NS
from voiced.network.outputs import Answered, Broadcast, Play


def test_the_flush_comes_before_everything_else() -> None:
    script = Script()
    script.reply()
    first, *rest = script.speech_started()
    assert isinstance(first, Broadcast)
    assert first.flush == (Epoch(1001), "speech_started", script.now)
    assert not flushes(rest)


def test_what_was_heard_in_part_is_truncated_there() -> None:
    script = Script()
    script.reply(ms=400)
    assert sent(script.speech_started()) == []
    out = script.flushed(("i1", 123))
    assert sent(out) == [("ItemTruncate", "i1", 0, 123)]
    assert published(out, "flush") == [
        {"epoch": 1001, "reason": "speech_started", "item_id": "i1", "played_ms": 123, "dropped_ms": 70, "latency_ms": 1.5}
    ]


def test_a_truncate_never_goes_beyond_what_was_received() -> None:
    script = Script()
    script.reply(ms=400)
    script.delta("i1", sound(99.99))
    script.speech_started()
    assert sent(script.flushed(("i1", 9999))) == [("ItemTruncate", "i1", 0, 500)]


def test_what_was_not_heard_at_all_is_deleted() -> None:
    script = Script()
    script.created()
    script.delta("i1", sound(400))
    script.speech_started()
    assert sent(script.flushed(("i1", 0))) == [("ItemDelete", "i1")]


def test_an_item_that_playback_does_not_list_was_not_heard() -> None:
    script = Script()
    script.created()
    script.delta("i1", sound(400))
    script.speech_started()
    assert sent(script.flushed()) == [("ItemDelete", "i1")]


def test_an_item_that_was_announced_and_brought_no_sound_is_deleted() -> None:
    script = Script()
    script.created()
    script.announced("i1")
    out = script.speech_started()
    assert sent(out) == [("ItemDelete", "i1")]
    assert flushes(out) == []


def test_what_was_heard_to_its_end_is_left_alone() -> None:
    script = Script()
    script.reply(ms=400)
    script.audio_done("i1")
    script.done()
    script.speech_started()
    assert sent(script.flushed(("i1", 400))) == []


def test_what_playback_had_finished_is_left_alone() -> None:
    script = Script()
    script.reply("i1", ms=400)
    script.audio_done("i1")
    script.finished("i1", 400)
    script.delta("i2", sound(300))
    script.started("i2")
    script.speech_started()
    assert sent(script.flushed(("i2", 20))) == [("ItemTruncate", "i2", 0, 20)]


def test_all_sound_heard_of_a_part_that_goes_on_is_truncated() -> None:
    script = Script()
    script.reply(ms=400)
    script.speech_started()
    assert sent(script.flushed(("i1", 400))) == [("ItemTruncate", "i1", 0, 400)]


def test_each_item_of_a_response_gets_its_own() -> None:
    script = Script()
    script.reply("i1", ms=200)
    script.audio_done("i1")
    script.finished("i1", 200)
    script.delta("i2", sound(200))
    script.audio_done("i2")
    script.delta("i3", sound(200))
    script.speech_started()
    assert sent(script.flushed(("i2", 80), ("i3", 0))) == [("ItemTruncate", "i2", 0, 80), ("ItemDelete", "i3")]


def test_a_flush_with_nothing_playing_does_nothing() -> None:
    script = Script()
    out = script.speech_started()
    assert flushes(out) == []
    assert sent(out) == []
    assert published(out, "flush") == []
    assert script.session.epoch == 1000


def test_after_a_reply_that_was_heard_nothing_is_flushed() -> None:
    script = Script()
    script.reply(ms=400)
    script.audio_done("i1")
    script.done()
    script.finished("i1", 400)
    out = script.speech_started()
    assert flushes(out) == []
    assert sent(out) == []


def test_a_reply_that_is_done_but_still_sounding_is_flushed() -> None:
    script = Script()
    script.reply(ms=10_000)
    script.audio_done("i1")
    script.done()
    assert flushes(script.speech_started()) == [(1001, "speech_started")]
    assert sent(script.flushed(("i1", 1500))) == [("ItemTruncate", "i1", 0, 1500)]


def test_the_same_speech_does_not_flush_twice() -> None:
    script = Script()
    script.reply()
    script.speech_started("u1")
    script.flushed(("i1", 10))
    script.created("r2")
    script.delta("i2", sound(50), "r2")
    out = script.speech_started("u1")
    assert out == []


def test_the_next_speech_flushes_again() -> None:
    script = Script()
    script.reply()
    script.speech_started("u1")
    script.flushed(("i1", 10))
    script.done(status="cancelled", type="cancelled", reason="turn_detected")
    script.speech_stopped("u1")
    script.reply("i2", response_id="r2")
    assert flushes(script.speech_started("u2")) == [(1002, "speech_started")]
    assert sent(script.flushed(("i2", 33))) == [("ItemTruncate", "i2", 0, 33)]


def test_late_sound_of_the_interrupted_response_is_dropped() -> None:
    script = Script()
    script.reply()
    script.speech_started()
    assert played(script.delta("i1", sound(100))) == []
    script.flushed(("i1", 100))
    assert played(script.delta("i1", sound(100))) == []
    script.done(status="cancelled")
    assert played(script.delta("i1", sound(100))) == []


def test_an_item_announced_after_the_flush_is_dropped_and_deleted_once() -> None:
    script = Script()
    script.reply()
    script.speech_started()
    script.flushed(("i1", 100))
    script.announced("i2")
    assert played(script.delta("i2", sound(100))) == []
    assert sent(script.done(status="cancelled")) == [("ItemDelete", "i2")]
    assert sent(script.done(status="cancelled")) == []


def test_the_next_reply_plays_at_once_on_the_new_epoch() -> None:
    script = Script()
    script.reply()
    script.speech_started()
    script.created("r2")
    (output,) = script.delta("i2", sound(20), "r2")[:1]
    assert isinstance(output, Play)
    assert output.header.epoch == 1001


def test_a_cancelled_response_may_be_done_before_its_speech_started() -> None:
    script = Script()
    script.reply(ms=400)
    script.audio_done("i1")
    script.done(status="cancelled", type="cancelled", reason="turn_detected")
    script.speech_started()
    assert sent(script.flushed(("i1", 60))) == [("ItemTruncate", "i1", 0, 60)]


def test_without_an_answer_of_playback_what_it_said_last_tells_how_much_was_heard() -> None:
    script = Script()
    script.reply("i1", ms=400)
    script.delta("i2", sound(100))
    script.wait(100)
    script.reached("i1", 100, held_ms=50)
    script.wait(10)
    script.speech_started()
    assert sent(script.wait(499)) == []
    out = script.wait(1)
    assert sent(out) == [("ItemTruncate", "i1", 0, 150), ("ItemDelete", "i2")]
    assert published(out, "flush")[0]["latency_ms"] is None
    assert sent(script.flushed(("i1", 90))) == []


def test_the_session_asks_to_be_woken_for_that() -> None:
    script = Script()
    script.reply()
    script.speech_started()
    assert script.session.wake_ns == script.now + ANSWER_WITHIN_NS


def test_playback_that_went_away_will_not_answer_a_flush_any_more() -> None:
    script = Script()
    script.reply(ms=400)
    script.wait(100)
    script.speech_started()
    assert sent(script.do(script.session.playback_gone(script.now))) == [("ItemTruncate", "i1", 0, 100)]
    assert sent(script.flushed()) == []


def test_an_answer_to_the_newer_flush_answers_the_older_too() -> None:
    script = Script()
    script.reply("i1")
    script.speech_started("u1")
    script.done(status="cancelled")
    script.speech_stopped("u1")
    script.created("r2")
    script.delta("i2", sound(100), "r2")
    script.speech_started("u2")
    out = script.flushed(("i1", 5), ("i2", 7))
    assert sent(out) == [("ItemTruncate", "i1", 0, 5), ("ItemTruncate", "i2", 0, 7)]


def test_words_out_of_the_conversation_are_cancelled_and_not_truncated() -> None:
    script = Script()
    script.created("r1", metadata={"voiced": "say"})
    script.announced("i1")
    script.delta("i1", sound(400))
    script.started("i1")
    assert sent(script.speech_started()) == [("ResponseCancel", "r1")]
    assert sent(script.flushed(("i1", 100))) == []


# a speech_started that overtakes what was received before it --------------------------------------------------------------


def overtaking(script: Script, backlog: list[bytes]) -> int:
    """`backlog` is received, then speech_started, which is handed over at once. Returns its number."""
    number = script.received + len(backlog) + 1
    raw = text("input_audio_buffer.speech_started", item_id="u9", audio_start_ms=0)
    script.do(script.session.overtake(raw, number, script.now))
    return number


def test_a_speech_started_overtakes_sound_that_waits() -> None:
    script = Script()
    script.reply("i1", ms=100)
    backlog = [delta("i1", sound(100)), delta("i2", sound(100))]
    overtaking(script, backlog)
    assert flushes(script.out) == [(1001, "speech_started")]
    script.flushed(("i1", 100))
    assert sent(script.out) == []  # not before all older events were seen
    for raw in backlog:
        assert played(script.feed(raw)) == []
    # All that playback had was heard, but more was received: what the user heard ends at 100 ms.
    assert sent(script.out) == [("ItemTruncate", "i1", 0, 100), ("ItemDelete", "i2")]
    script.out.clear()
    assert script.event("input_audio_buffer.speech_started", item_id="u9", audio_start_ms=0) == []


def test_a_whole_response_that_waits_is_void_and_the_next_is_not() -> None:
    script = Script()
    item = {"id": "i1", "type": "message", "role": "assistant"}
    backlog = [
        text("response.created", response={"id": "r1"}),
        text("response.output_item.added", response_id="r1", output_index=0, item=item),
        delta("i1", sound(100)),
        text("response.done", response={"id": "r1", "status": "completed"}),
    ]
    overtaking(script, backlog)
    assert flushes(script.out) == []  # nothing of ours can sound
    for raw in backlog:
        assert played(script.feed(raw)) == []
    script.event("input_audio_buffer.speech_started", item_id="u9", audio_start_ms=0)
    assert sent(script.out) == [("ItemDelete", "i1")]
    script.created("r2")
    assert played(script.delta("i2", sound(10), "r2")) == [("i2", 480)]
    assert played(script.delta("i1", sound(10))) == []


def test_sound_that_waits_is_void_without_a_response_created_too() -> None:
    script = Script()
    overtaking(script, backlog := [delta("i1", sound(100))])
    for raw in backlog:
        assert played(script.feed(raw)) == []
    assert sent(script.out) == [("ItemDelete", "i1")]
    script.event("input_audio_buffer.speech_started", item_id="u9", audio_start_ms=0)
    assert played(script.delta("i2", sound(10), "r2")) == [("i2", 480)]


def test_a_response_done_that_waits_changes_nothing() -> None:
    script = Script()
    script.reply("i1", ms=100)
    backlog = [
        text("response.output_audio.done", response_id="r1", item_id="i1", output_index=0, content_index=0),
        text("response.done", response={"id": "r1", "status": "completed"}),
    ]
    overtaking(script, backlog)
    script.flushed(("i1", 40))
    for raw in backlog:
        assert ended(script.feed(raw)) == []
    assert sent(script.out) == [("ItemTruncate", "i1", 0, 40)]


def test_an_earlier_speech_that_waits_is_not_told_any_more() -> None:
    script = Script()
    script.reply("i1")
    backlog = [
        text("input_audio_buffer.speech_started", item_id="u8", audio_start_ms=0),
        text("input_audio_buffer.speech_stopped", item_id="u8", audio_end_ms=0),
    ]
    overtaking(script, backlog)
    script.out.clear()
    for raw in backlog:
        script.feed(raw)
    assert published(script.out, "speech.started") == []
    assert published(script.out, "state") == []


def test_what_only_looks_like_a_speech_started_overtakes_nothing() -> None:
    script = Script()
    script.reply()
    for raw in (b'{"type": "x", "a": "input_audio_buffer.speech_started"}', b'"input_audio_buffer.speech_started"', b""):
        assert list(script.session.overtake(raw, script.received + 1, script.now)) == []


# a local order ------------------------------------------------------------------------------------------------------------


def test_interrupt_cancels_flushes_truncates_and_then_answers() -> None:
    script = Script()
    script.reply()
    first, *rest = script.order("interrupt")
    assert isinstance(first, Broadcast)
    assert first.flush.reason == "interrupt"
    assert sent(rest) == [("ResponseCancel", "r1")]
    out = script.flushed(("i1", 77))
    assert sent(out) == [("ItemTruncate", "i1", 0, 77)]
    (answer,) = (output for output in out if isinstance(output, Answered))
    assert answer.result == {
        "interrupted": True,
        "item_id": "i1",
        "played_ms": 77,
    }


def test_interrupt_of_what_is_done_does_not_cancel() -> None:
    script = Script()
    script.reply()
    script.audio_done("i1")
    script.done()
    assert sent(script.order("interrupt")) == []


def test_interrupt_with_nothing_playing_says_so() -> None:
    script = Script()
    (answer,) = script.order("interrupt")
    assert isinstance(answer, Answered)
    assert answer.result == {"interrupted": False, "item_id": None, "played_ms": 0}


def test_interrupt_while_the_model_thinks_cancels() -> None:
    script = Script()
    script.created()
    out = script.order("interrupt")
    assert sent(out) == [("ResponseCancel", "r1")]
    assert flushes(out) == []
    assert played(script.delta("i1", sound(10))) == []


def test_interrupt_voids_a_response_that_waits_to_be_seen() -> None:
    script = Script()
    script.received += 2  # received, not yet fed
    script.order("interrupt")
    script.received -= 2
    assert sent(script.created("r1")) == [("ResponseCancel", "r1")]
    assert played(script.delta("i1", sound(10))) == []


def test_two_interrupts_at_once_are_both_answered() -> None:
    script = Script()
    script.reply()
    script.order("interrupt")
    script.order("interrupt")
    out = script.flushed(("i1", 5))
    assert len([output for output in out if isinstance(output, Answered)]) == 2
    assert sent(out) == [("ItemTruncate", "i1", 0, 5)]
