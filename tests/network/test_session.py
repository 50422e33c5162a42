"""The session apart from barge-in: opening, replies, orders, states, errors, nonsense."""

import logging
from typing import Any

import pytest

from tests.network.script import MS, SETTINGS, UNIX_S, Script, delta, ended, flushes, played, published, sent, sound, text
from voiced.errors import KeyRefused, ModelRefused, ServerUnreachable, SessionRefused
from voiced.messages import MonoNs
from voiced.network.events import Content, InputAudioAppend, ItemCreate, ResponseCreate, SessionUpdate
from voiced.network.outputs import Answered, Disconnect, Fail, LogLine, Opened, Output, Play, Refused, SendEvent


def of(kind: type, outputs: list[Output]) -> list[Any]:
    return [output for output in outputs if isinstance(output, kind)]


def states(outputs: list[Output]) -> list[str]:
    return [data["state"] for data in published(outputs, "state")]


# opening ------------------------------------------------------------------------------------------------------------------


def test_our_settings_are_sent_as_soon_as_the_connection_is_open() -> None:
    script = Script(ready=False)
    assert states(script.do(script.session.begin(script.now))) == ["connecting"]
    (update,) = of(SendEvent, script.do(script.session.connected(script.now, UNIX_S)))
    assert isinstance(update.event, SessionUpdate)
    listening = update.event.session["audio"]["input"]
    assert update.event.session["instructions"] == "Be brief."
    assert update.event.session["audio"]["output"]["voice"] == "marin"
    assert listening["transcription"] == {"model": "whisper-1", "language": "en"}
    assert (listening["turn_detection"]["threshold"], listening["turn_detection"]["silence_duration_ms"]) == (0.4, 450)


def test_ready_when_the_settings_are_answered() -> None:
    script = Script(ready=False)
    script.do(script.session.connected(script.now, UNIX_S))
    assert of(Opened, script.event("session.created", session={"id": "sess_1", "expires_at": 2_000_000_000})) == []
    out = script.event("session.updated", session={"id": "sess_1"})
    assert of(Opened, out)[0].detail["id"] == "sess_1"
    assert published(out, "session") == [{"connected": True, "reason": None, "attempt": 0, "retry_in_s": None}]
    assert states(out) == ["listening"]
    assert script.session.facts(2_000_000_000 - 60)["expires_in_s"] == 60


def test_ready_without_session_created() -> None:
    script = Script(ready=False)
    script.do(script.session.connected(script.now, UNIX_S))
    assert of(Opened, script.event("session.updated", session={}))


def test_ready_without_an_answer_to_the_settings_after_a_while() -> None:
    script = Script(ready=False)
    script.do(script.session.connected(script.now, UNIX_S))
    script.event("session.created", session={})
    assert of(Opened, script.wait(2999)) == []
    assert of(Opened, script.wait(1))


def test_a_server_that_says_nothing_is_left() -> None:
    script = Script(ready=False)
    script.do(script.session.connected(script.now, UNIX_S))
    assert of(Disconnect, script.wait(60_000))
    assert script.session.wake_ns is None


def test_what_is_refused_of_the_settings_is_left_out_and_told() -> None:
    script = Script(ready=False)
    script.do(script.session.connected(script.now, UNIX_S))
    script.event("session.created", session={})
    error = {"type": "invalid_request_error", "code": "invalid_value", "param": "session.audio.output.voice", "message": "no voice marin"}
    out = script.event("error", error={**error, "event_id": "id1"})
    assert "no voice marin" in published(out, "error")[0]["message"]
    assert not of(Opened, out)
    assert [type(output.event) for output in of(SendEvent, out)] in ([], [SessionUpdate])
    assert of(Opened, script.event("session.updated", session={}))


def test_a_server_that_refuses_all_settings_is_talked_to_with_its_own() -> None:
    script = Script(ready=False)
    script.do(script.session.connected(script.now, UNIX_S))
    script.event("session.created", session={})
    for _ in range(20):
        updates = [output.event for output in script.out if isinstance(output, SendEvent)]
        script.out.clear()
        for update in updates:
            script.event("error", error={"code": "invalid_value", "message": "no", "event_id": update.event_id})
    assert of(Opened, script.all)
    assert script.session.ready


def test_the_microphone_goes_up_only_in_an_open_session() -> None:
    script = Script(ready=False)
    assert script.microphone() == []
    script.do(script.session.connected(script.now, UNIX_S))
    assert script.microphone() == []
    script.event("session.updated", session={})
    (output,) = script.microphone()
    assert output == SendEvent(InputAudioAppend(audio=sound(20)))
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    assert script.microphone() == []


def test_a_lost_connection_is_told_and_the_settings_are_sent_anew() -> None:
    script = Script()
    out = script.do(script.session.lost("the server closed the connection", 2, 0.7654, script.now))
    assert published(out, "session") == [
        {"connected": False, "reason": "the server closed the connection", "attempt": 2, "retry_in_s": 0.765}
    ]
    assert states(out) == ["offline"]
    assert sent(script.do(script.session.connected(script.now, UNIX_S))) == [("SessionUpdate",)]


def test_an_outage_of_an_hour_is_a_line_for_each_reason_that_it_has_and_not_for_each_try() -> None:
    script = Script()
    reasons = ["the server closed the connection", *["connection refused", "no route"] * 900]
    for attempt, reason in enumerate(reasons, 1):
        script.do(script.session.lost(reason, attempt, 2.0, script.now))
        if attempt % 3 == 0:  # somebody takes the connection, and no more
            script.do(script.session.connected(script.now, UNIX_S))
        script.wait(2000)
    lines = [output.text for output in script.out if isinstance(output, LogLine) and output.level >= logging.INFO]
    assert [line.partition(";")[0] for line in lines] == reasons[:3]
    assert len(published(script.out, "session")) == len(reasons)
    assert states(script.out)[-1] == "offline"


def test_what_was_received_before_a_loss_plays_on_and_is_truncated_nowhere() -> None:
    script = Script()
    script.reply(ms=400)
    assert ended(script.do(script.session.lost("gone", 1, 0.5, script.now))) == ["i1"]
    script.do(script.session.connected(script.now, UNIX_S))
    script.event("session.updated", session={})
    assert flushes(script.speech_started()) == [(1001, "speech_started")]
    assert sent(script.flushed(("i1", 100))) == []


# replies ------------------------------------------------------------------------------------------------------------------


def test_sound_is_played_as_it_comes_and_ended_where_it_ends() -> None:
    script = Script()
    script.created()
    script.announced("i1")
    assert played(script.delta("i1", sound(250))) == [("i1", 12_000)]
    assert ended(script.audio_done("i1")) == ["i1"]
    assert ended(script.done()) == []


def test_a_response_that_is_done_ends_the_parts_that_were_not() -> None:
    script = Script()
    script.created()
    script.delta("i1", sound(250))
    assert ended(script.done()) == ["i1"]


def test_an_odd_byte_waits_for_the_next_delta_of_its_part() -> None:
    script = Script()
    script.created()
    script.delta("i1", b"\x01\x02\x03")
    script.delta("i2", b"\x0a\x0b")
    script.delta("i1", b"\x04\x05")
    script.delta("i1", b"\x06")
    sounds = [(output.header.item_id, output.pcm) for output in of(Play, script.out)]
    assert sounds == [("i1", b"\x01\x02"), ("i2", b"\x0a\x0b"), ("i1", b"\x03\x04"), ("i1", b"\x05\x06")]


def test_sound_of_an_item_that_was_never_announced_is_played() -> None:
    script = Script()
    assert played(script.delta("i1", sound(10), "r7")) == [("i1", 480)]


@pytest.mark.parametrize(
    ("status", "details", "code"),
    [
        ("failed", {"type": "failed", "error": {"type": "x", "code": "rate_limit_exceeded", "message": "too fast"}}, "rate_limit_exceeded"),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, "response_incomplete"),
    ],
)
def test_a_response_that_failed_is_told(status: str, details: dict[str, Any], code: str) -> None:
    script = Script()
    script.created()
    out = script.done(status=status, **details)
    assert published(out, "error")[0]["code"] == code
    assert any(line.level == logging.WARNING for line in of(LogLine, out))
    assert published(out, "response.done")[0]["status"] == status


def test_the_life_of_a_response_is_published() -> None:
    script = Script()
    assert published(script.created(), "response.started") == [{"response_id": "r1"}]
    out = script.event("response.done", response={"id": "r1", "status": "completed", "usage": {"total_tokens": 7, "odd": 1 << 70}})
    assert published(out, "response.done") == [
        {"response_id": "r1", "status": "completed", "reason": None, "usage": {"total_tokens": 7, "odd": None}}
    ]


# states -------------------------------------------------------------------------------------------------------------------


def test_the_states_of_a_turn() -> None:
    script = Script()
    script.speech_started()
    script.speech_stopped()
    script.created()
    script.delta("i1", sound(100))
    script.audio_done("i1")
    script.done()
    assert states(script.out) == ["hearing", "thinking"]
    script.started("i1")
    script.finished("i1", 100)
    assert states(script.out) == ["hearing", "thinking", "speaking", "listening"]


def test_between_two_items_it_is_still_speaking() -> None:
    script = Script()
    script.reply("i1", ms=100)
    script.audio_done("i1")
    script.delta("i2", sound(100))
    assert states(script.finished("i1", 100)) == []


def test_an_interruption_ends_speaking_at_once() -> None:
    script = Script()
    script.reply()
    assert states(script.speech_started()) == ["hearing"]


def test_nobody_thinks_for_ever() -> None:
    script = Script()
    script.speech_started()
    script.speech_stopped()
    assert states(script.wait(9_999)) == []
    assert states(script.wait(1)) == ["listening"]


def test_a_response_that_never_ends_does_not_block_for_ever() -> None:
    script = Script()
    script.created()
    script.order("say", text="hello")
    assert sent(script.out) == []
    assert sent(script.wait(60_000)) == [("ResponseCreate",)]


def test_a_cancelled_response_that_never_ends_blocks_for_a_moment_only() -> None:
    script = Script()
    script.reply()
    script.order("ask", text="something else")
    script.flushed(("i1", 5))
    script.out.clear()
    script.wait(4_999)
    assert sent(script.out) == []
    assert sent(script.wait(1)) == [("ResponseCreate",)]


def test_playback_that_never_reports_is_noticed() -> None:
    script = Script()
    script.created()
    script.delta("i1", sound(1000))
    script.audio_done("i1")
    assert published(script.wait(5_999), "error") == []
    assert published(script.wait(1), "error")[0]["code"] == "playback_lost"
    script.flushed()
    script.done()
    assert states(script.out)[-1] == "listening"


def test_a_server_that_stalls_in_the_middle_of_a_reply_is_no_fault_of_playback() -> None:
    script = Script()
    script.reply("i1", ms=100)
    script.wait(20_000)
    script.delta("i1", sound(100))
    script.wait(20_000)
    script.audio_done("i1")
    assert flushes(script.out) == []
    script.wait(5_199)
    assert published(script.out, "error") == []
    assert published(script.wait(1), "error")[0]["code"] == "playback_lost"


def test_a_reply_that_stalled_ends_well_with_its_connection() -> None:
    script = Script()
    script.reply("i1", ms=100)
    script.wait(20_000)
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.wait(100)
    script.finished("i1", 100)
    assert published(script.wait(30_000), "error") == []
    assert flushes(script.all) == []


def test_sound_after_its_end_is_dropped_and_complained_about() -> None:
    script = Script()
    script.reply("i1", ms=100)
    script.audio_done("i1")
    out = script.delta("i1", sound(100))
    assert played(out) == []
    assert [data["code"] for data in published(out, "error")] == ["protocol_violated"]


def test_speech_is_published() -> None:
    script = Script()
    assert published(script.speech_started(), "speech.started") == [{"item_id": "u1", "audio_ms": 100, "source": "server"}]
    assert published(script.speech_stopped(), "speech.stopped") == [{"item_id": "u1", "audio_ms": 900, "source": "server"}]


# orders -------------------------------------------------------------------------------------------------------------------


def test_ask_is_a_turn_of_the_user() -> None:
    script = Script()
    out = script.order("ask", text="what time is it")
    create, respond = (output.event for output in of(SendEvent, out))
    assert isinstance(create, ItemCreate)
    assert (create.item.role, create.item.content) == ("user", [Content(type="input_text", text="what time is it")])
    assert isinstance(respond, ResponseCreate)
    assert of(Answered, out)[0].result == {"item_id": create.item.id}
    assert published(out, "transcript.user") == [{"item_id": create.item.id, "text": "what time is it", "final": True}]
    assert states(out) == ["thinking"]


def test_ask_interrupts_and_waits_for_the_end_of_what_runs() -> None:
    script = Script()
    script.reply()
    out = script.order("ask", text="stop, tell me the time")
    assert flushes(out) == [(1001, "ask")]
    assert sent(out) == [("ResponseCancel", "r1"), ("ItemCreate",)]
    assert sent(script.flushed(("i1", 40))) == [("ItemTruncate", "i1", 0, 40)]
    assert sent(script.done(status="cancelled")) == [("ResponseCreate",)]


def test_say_speaks_out_of_the_conversation() -> None:
    script = Script()
    out = script.order("say", text="Dinner is ready.")
    (respond,) = (output.event for output in of(SendEvent, out))
    assert isinstance(respond, ResponseCreate)
    assert respond.response is not None
    assert respond.response.conversation == "none"
    assert respond.response.input == []
    assert "Dinner is ready." in (respond.response.instructions or "")
    assert of(Answered, out)[0].result == {"queued": True}


def test_say_waits_for_the_response_that_runs_and_for_the_one_said_before() -> None:
    script = Script()
    script.reply()
    assert sent(script.order("say", text="one")) == []
    script.order("say", text="two")
    assert sent(script.done()) == [("ResponseCreate",)]
    script.created("r2")
    assert sent(script.done("r2")) == [("ResponseCreate",)]


def test_a_create_that_lost_the_race_is_sent_again_without_its_item() -> None:
    script = Script()
    script.order("ask", text="hello")
    error = {"type": "invalid_request_error", "code": "conversation_already_has_active_response", "message": "busy"}
    out = script.event("error", error=error)
    assert published(out, "error") == []
    script.created("r1")
    script.wait(1000)
    script.out.clear()
    assert sent(script.done("r1")) == [("ResponseCreate",)]


def test_interrupt_forgets_what_waits_and_cancels_what_is_under_way() -> None:
    script = Script()
    script.order("ask", text="hello")
    script.order("say", text="later")
    (answer,) = of(Answered, script.order("interrupt"))
    assert answer.result["interrupted"] is True
    assert sent(script.created("r1")) == [("ResponseCancel", "r1")]
    assert sent(script.done("r1", status="cancelled")) == []


@pytest.mark.parametrize("fate", ["refused", "refused for now", "forgotten"])
def test_an_interrupted_create_that_came_to_nothing_cancels_nothing_later(fate: str) -> None:
    script = Script()
    script.order("say", text="hello")
    script.order("interrupt")
    if fate == "forgotten":
        script.now = MonoNs(script.now + 60_000 * MS)
    else:
        code = "invalid_value" if fate == "refused" else "conversation_already_has_active_response"
        script.event("error", error={"type": "invalid_request_error", "code": code, "message": "no"})
        script.wait(60_000)
    script.out.clear()
    script.reply("i1", response_id="r1")
    script.done()
    assert sent(script.all) == [("SessionUpdate",), ("ResponseCreate",)]
    assert played(script.all) == [("i1", 400 * 48)]


@pytest.mark.parametrize("command", ["ask", "say"])
def test_without_a_session_nothing_can_be_asked(command: str) -> None:
    script = Script()
    script.do(script.session.lost("no route to host", 1, 0.5, script.now))
    (refused,) = of(Refused, script.order(command, text="hello"))
    assert refused.error.code == "not_now"
    assert "no route to host" in refused.error.message


def test_an_unknown_order_is_refused() -> None:
    assert of(Refused, Script().order("dance"))


def test_the_transcript_tells_who_was_interrupted_where() -> None:
    script = Script()
    script.speech_started("u1")
    script.event("input_audio_buffer.committed", item_id="u1")
    script.reply("i1")
    script.event(
        "response.output_audio_transcript.delta", response_id="r1", item_id="i1", output_index=0, content_index=0, delta="Once upon "
    )
    script.event("response.output_audio_transcript.delta", response_id="r1", item_id="i1", output_index=0, content_index=0, delta="a time")
    script.event("conversation.item.input_audio_transcription.completed", item_id="u1", content_index=0, transcript="tell me a story")
    script.speech_stopped("u1")
    script.speech_started("u2")
    script.flushed(("i1", 250))
    (answer,) = of(Answered, script.order("transcript", limit=10))
    assert answer.result["turns"] == [
        {"role": "user", "text": "tell me a story", "item_id": "u1", "final": True, "interrupted": False, "played_ms": None},
        {"role": "assistant", "text": "Once upon a time", "item_id": "i1", "final": True, "interrupted": True, "played_ms": 250},
    ]
    assert published(script.out, "transcript.assistant")[-1] == {"item_id": "i1", "text": "Once upon a time", "final": True}


def test_partial_texts_are_published_in_their_time() -> None:
    script = Script()
    for word in ("one ", "two "):
        script.event("conversation.item.input_audio_transcription.delta", item_id="u1", content_index=0, delta=word)
    assert published(script.wait(0), "transcript.user") == [{"item_id": "u1", "text": "one two ", "final": False}]


# errors and nonsense --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
        "item_not_found",
    ],
)
def test_everyday_races_are_not_told(code: str) -> None:
    script = Script()
    out = script.event("error", error={"type": "invalid_request_error", "code": code, "message": "x"})
    assert [type(output) for output in out] == [LogLine]
    assert of(LogLine, out)[0].level == logging.DEBUG


def test_an_error_of_the_server_is_told_and_ends_nothing() -> None:
    script = Script()
    out = script.event("error", error={"type": "server_error", "code": None, "message": "a hiccup"})
    assert published(out, "error") == [{"code": "server_error", "message": "a hiccup", "fatal": False}]
    assert script.session.ready


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_api_key", KeyRefused),
        ("model_not_found", ModelRefused),
        ("beta_api_shape_disabled", SessionRefused),
    ],
)
def test_what_trying_again_cannot_mend_is_final(code: str, kind: type) -> None:
    script = Script()
    out = script.event("error", error={"type": "invalid_request_error", "code": code, "message": "no"})
    (fail,) = of(Fail, out)
    assert isinstance(fail.error, kind)
    assert published(out, "session")[0]["connected"] is False
    assert states(out) == ["failed"]
    assert of(Fail, script.do(script.session.failed(ServerUnreachable("x"), script.now))) == []


def test_an_expired_session_is_followed_by_another() -> None:
    script = Script()
    assert of(Disconnect, script.event("error", error={"type": "invalid_request_error", "code": "session_expired", "message": "60 min"}))


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"no": "type"}',
        b'{"type": 5}',
        text("response.output_audio.delta"),
        text("input_audio_buffer.speech_started"),
        text("response.created", response={}),
        b'{"type":"error"}',
        delta("i1", b"\0\0", content_index=-1),
        delta("i1", b"\0\0", content_index=1 << 40),
        delta("i1", b"\0\0").replace(b'"AAA="', b'"%%%"'),
    ],
)
def test_nonsense_is_told_once_and_ends_nothing(raw: bytes) -> None:
    script = Script()
    script.feed(raw)
    script.feed(raw)
    assert [data["code"] for data in published(script.out, "error")] == ["protocol_violated"]
    assert script.session.complaints.counts.total() == 2
    assert played(script.out) == []
    script.out.clear()
    script.reply()
    assert script.session.ready


def test_events_of_unknown_types_are_ignored() -> None:
    script = Script()
    assert script.event("localai.classifier.result", x=1) == []
    assert script.session.complaints.counts.total() == 0


def test_the_key_is_in_nothing_that_is_said() -> None:
    script = Script()
    script.event("error", error={"type": "x", "code": "invalid_api_key", "message": "no"})
    assert SETTINGS["token"] not in repr(script.all)
