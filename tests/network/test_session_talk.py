"""Push-to-talk, and what a failed answer leads to."""

from typing import Any

from tests.network.script import SETTINGS, UNIX_S, Script, flushes, published, sent, text
from voiced.network.events import InputAudioAppend, ResponseCreate
from voiced.network.outputs import Answered, Output, Refused, SendEvent


class Talking(Script):
    def __init__(self, **changes: Any) -> None:
        super().__init__(settings=SETTINGS | {"mode": "push_to_talk", "talk_limit_s": 10} | changes)

    def press(self) -> list[Output]:
        return self.order("talk", pressed=True)

    def release(self) -> list[Output]:
        return self.order("talk", pressed=False)


def appended(outputs: list[Output]) -> bytes:
    events = [output.event for output in outputs if isinstance(output, SendEvent)]
    return b"".join(event.audio for event in events if isinstance(event, InputAudioAppend))


def test_nothing_is_sent_while_the_key_is_up() -> None:
    script = Talking()
    assert appended(script.speak(1000)) == b""
    assert published(script.all, "state")[-1] == {"state": "idle"}


def test_a_turn_begins_300_ms_before_the_press_and_ends_with_the_release() -> None:
    script = Talking()
    script.speak(1000)
    out = script.press()
    assert sent(out)[0] == ("InputAudioClear",)
    assert published(out, "state") == [{"state": "hearing"}]
    assert published(out, "speech.started") == [{"item_id": None, "audio_ms": None, "source": "local"}]
    out += script.speak(500)
    assert appended(out) == b"".join(script.frames[35:75])
    out = script.release()
    assert sent(out) == [("InputAudioCommit",), ("ResponseCreate",)]
    assert published(out, "state") == [{"state": "thinking"}]
    assert appended(script.speak(100)) == b""


def test_a_press_interrupts_and_the_answer_waits_for_the_end_of_what_ran() -> None:
    script = Talking()
    script.reply()
    out = script.press()
    assert flushes(out) == [(1001, "talk")]
    assert ("ResponseCancel", "r1") in sent(out)
    script.speak(200)
    assert sent(script.release()) == [("InputAudioCommit",)]
    assert sent(script.flushed(("i1", 40))) == [("ItemTruncate", "i1", 0, 40)]
    assert sent(script.done(status="cancelled")) == [("ResponseCreate",)]


def test_a_tap_is_no_turn() -> None:
    script = Talking()
    script.press()
    script.speak(80)
    assert sent(script.release()) == [("InputAudioClear",)]
    assert published(script.all, "state")[-1] == {"state": "idle"}


def test_pressing_twice_is_one_press() -> None:
    script = Talking()
    script.press()
    script.speak(200)
    assert sent(script.press()) == []
    script.release()
    assert sent(script.release()) == []


def test_a_key_that_is_never_released_is_taken_for_released() -> None:
    script = Talking()
    script.press()
    script.speak(9980)
    assert ("InputAudioCommit",) not in sent(script.wait(10))
    assert ("InputAudioCommit",) in sent(script.wait(20))
    assert appended(script.speak(100)) == b""


def test_a_muted_microphone_is_not_talked_into() -> None:
    script = Talking()
    script.speak(20, muted=True)
    (refused,) = (output for output in script.press() if isinstance(output, Refused))
    assert "unmute" in refused.error.message


def test_talk_says_how_to_get_it() -> None:
    (refused,) = (output for output in Script().order("talk", pressed=True) if isinstance(output, Refused))
    assert 'turn.mode = "push_to_talk"' in refused.error.message


def test_a_turn_goes_on_over_a_lost_connection() -> None:
    script = Talking()
    script.speak(400)
    script.press()
    script.speak(400)
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.speak(600)
    (answer,) = (output for output in script.release() if isinstance(output, Answered))
    assert answer.result == {"pressed": False}
    script.do(script.session.connected(script.now, UNIX_S))
    out = script.event("session.updated", session={})
    assert appended(out) == b"".join(script.frames[5:70])
    assert sent(out)[-2:] == [("InputAudioCommit",), ("ResponseCreate",)]


def test_a_failed_answer_is_said_aloud_on_request_and_a_failure_to_say_so_is_not() -> None:
    script = Script(settings=SETTINGS | {"report_aloud": True})
    error = {"type": "server_error", "code": "server_error", "message": "no more room"}
    script.created()
    out = script.done(status="failed", error=error)
    (create,) = (output.event for output in out if isinstance(output, SendEvent))
    assert isinstance(create, ResponseCreate)
    assert create.response is not None
    assert "no more room" in (create.response.instructions or "")
    script.created("r2", metadata={"voiced": "say"})
    assert sent(script.done("r2", status="failed", error=error)) == []


def test_an_empty_account_is_final() -> None:
    script = Script()
    script.created()
    script.done(status="failed", error={"code": "insufficient_quota", "message": "You exceeded your current quota"})
    assert published(script.all, "state")[-1] == {"state": "failed"}


# who has the floor --------------------------------------------------------------------------------------------------------

TOOL = {"name": "weather", "description": "", "parameters": {}, "command": [], "timeout_s": 5.0}
CALL = {"id": "f1", "type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}", "status": "completed"}


def test_a_tool_that_answers_while_the_user_speaks_does_not_take_the_floor() -> None:
    script = Script(settings=SETTINGS | {"tools": [TOOL]})
    burst = [
        text("response.created", response={"id": "r1", "status": "in_progress"}),
        text("response.output_item.done", response_id="r1", output_index=0, item=CALL),
        text("response.done", response={"id": "r1", "status": "completed", "output": [CALL]}),
        text("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=100),
    ]
    script.do(script.session.overtake(burst[3], 4, script.now))
    for message in burst:
        script.feed(message)
    assert sent(script.order("tool_result", call_id="c1", output="sunny")) == [("ItemCreate",)]
    script.speech_stopped()
    assert ("ResponseCreate",) not in sent(script.wait(1000))


def test_nothing_is_asked_for_while_the_user_speaks() -> None:
    script = Script()
    script.speech_started()
    assert sent(script.order("say", text="dinner")) == []
    assert sent(script.speech_stopped()) == [("ResponseCreate",)]


def test_an_answer_that_waits_is_not_asked_for_once_the_user_goes_on() -> None:
    script = Script()
    script.reply()
    script.order("ask", text="what time is it")
    script.flushed(("i1", 40))
    script.speech_started()
    script.done(status="cancelled")
    script.speech_stopped()
    assert ("ResponseCreate",) not in sent(script.wait(1000))
