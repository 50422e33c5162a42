"""Moods and their ends: what a change of mode, a sleep, a fault or a forgetful server must not leave hanging."""

from typing import Any

from tests.network.script import MS, SETTINGS, UNIX_S, Script, played, published, sent, sound, text
from tests.network.test_session_moves import Moving, kinds, told
from tests.network.test_session_talk import CALL, TOOL, Talking, appended
from voiced.errors import KeyRefused
from voiced.messages import MicFrame
from voiced.network.outputs import Answered, DropNext, Refused, SendNext, Sleep, TakeOver, Wake

HOURS_MS = 3 * 3_600_000


def state(script: Script) -> str:
    return str(published(script.all, "state")[-1]["state"])


# push-to-talk tells nobody what is said while the key is up -----------------------------------------------------------------


def test_after_a_loss_only_what_was_said_with_the_key_down_is_told_again() -> None:
    script = Talking()
    script.speak(1000)
    script.press()
    script.speak(400)
    script.release()
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.speak(10_000)
    script.do(script.session.connected(script.now, UNIX_S))
    out = script.event("session.updated", session={})
    assert appended(out) == b"".join(script.frames[35:70])
    assert sent(out)[-2:] == [("InputAudioCommit",), ("ResponseCreate",)]


def test_two_presses_are_two_turns_of_the_next_session_too() -> None:
    script = Talking()
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    for _ in range(2):
        script.speak(5000)
        script.press()
        script.speak(400)
        script.release()
    script.do(script.session.connected(script.now, UNIX_S))
    out = script.event("session.updated", session={})
    assert sent(out).count(("InputAudioCommit",)) == 2
    assert sent(out).count(("ResponseCreate",)) == 1
    assert len(appended(out)) == 2 * len(sound(700))


def test_a_tap_while_there_is_no_session_is_no_turn() -> None:
    script = Talking()
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.press()
    script.speak(20)
    script.release()
    script.do(script.session.connected(script.now, UNIX_S))
    assert sent(script.event("session.updated", session={})) == []


# a change of mode -----------------------------------------------------------------------------------------------------------


def test_a_change_to_push_to_talk_ends_the_speech_that_is_heard() -> None:
    script = Script()
    script.speech_started()
    script.order("configure", settings=script.settings | {"mode": "push_to_talk"})
    assert state(script) == "idle"
    assert published(script.all, "speech.stopped")
    assert ("ResponseCreate",) in sent(script.order("ask", text="are you there"))


def test_a_change_from_push_to_talk_releases_the_key() -> None:
    script = Talking()
    script.press()
    script.speak(400)
    script.order("configure", settings=script.settings | {"mode": "vad"})
    assert state(script) == "listening"
    script.out.clear()
    script.wait(200_000)
    assert sent(script.out) == []


# forgetful servers ----------------------------------------------------------------------------------------------------------


def test_a_server_that_leaves_out_speech_stopped_is_understood() -> None:
    script = Script()
    script.speech_started()
    script.event("input_audio_buffer.committed", item_id="u1")
    assert published(script.all, "speech.stopped") == [{"item_id": "u1", "audio_ms": None, "source": "server"}]
    assert state(script) == "thinking"


def test_a_response_that_never_comes_is_told_and_blocks_nothing() -> None:
    script = Script()
    script.order("say", text="hello")
    assert script.session.wake_ns is not None
    assert published(script.wait(10_000), "error")[0]["code"] == "response_missing"
    assert sent(script.order("say", text="again")) == [("ResponseCreate",)]


def test_one_anonymous_complaint_about_age_is_enough_to_move_on() -> None:
    script = Script()
    out = script.event("error", error={"type": "invalid_request_error", "message": "Your session hit the maximum duration of 60 minutes."})
    assert kinds(out) == ["Disconnect"]


def test_words_that_came_in_part_stay_when_the_connection_goes() -> None:
    script = Moving()
    script.say_turn(words=None)
    script.event("conversation.item.input_audio_transcription.delta", item_id="u1", content_index=0, delta="what time")
    script.answer_heard()
    script.lose()
    assert [turn["text"] for turn in published(script.all, "turn")] == ["Once upon a time", "what time"]


# who has the floor ----------------------------------------------------------------------------------------------------------


def test_an_answer_that_was_asked_for_before_the_user_spoke_is_not_heard() -> None:
    script = Script()
    script.order("say", text="dinner")
    script.speech_started()
    out = script.created("r1", metadata={"voiced": "say"})
    assert ("ResponseCancel", "r1") in sent(out)
    assert played(script.delta("i1", sound(100))) == []


def test_interrupt_while_the_server_thinks_refuses_what_it_thought_of() -> None:
    script = Script()
    script.speech_started()
    script.speech_stopped()
    (answer,) = (output for output in script.order("interrupt") if isinstance(output, Answered))
    assert answer.result["interrupted"] is True
    assert ("ResponseCancel", "r1") in sent(script.created("r1"))
    assert played(script.delta("i1", sound(100))) == []
    script.speech_started("u2")
    script.speech_stopped("u2")
    assert sent(script.created("r2")) == []


def test_the_answer_to_a_tool_is_asked_for_again_in_the_next_session() -> None:
    script = Moving(tools=[TOOL])
    script.say_turn(words="what is the weather")
    script.created("r1")
    script.event("response.output_item.done", response_id="r1", output_index=0, item=CALL)
    script.event("response.done", response={"id": "r1", "status": "completed", "output": [CALL]})
    script.order("tool_result", call_id="c1", output="sunny")
    script.created("r2")
    script.lose()
    out = script.open()
    assert told(out)[0] == ("user", "what is the weather")
    assert sent(out).count(("ResponseCreate",)) == 1


def test_an_answer_that_has_come_is_not_asked_for_again_although_it_does_not_sound_yet() -> None:
    script = Moving()
    script.say_turn(words="what time is it")
    script.created("r1")
    script.announced("i1")
    script.delta("i1", sound(400))
    script.lose()
    assert ("ResponseCreate",) not in sent(script.open())


def test_who_goes_on_speaking_before_the_answer_is_heard_by_the_next_session() -> None:
    script = Moving()
    script.say_turn(words="what time is it")
    for number in range(20):
        script.now = type(script.now)(script.now + 20 * MS)
        script.do(script.session.microphone(MicFrame(number, script.now, False), sound(20, bytes([number, 3]))))
    script.lose()
    out = script.open()
    assert appended(out) == b"".join(sound(20, bytes([number, 3])) for number in range(20))
    assert sent(out)[-1] == ("ResponseCreate",)


# sleep ----------------------------------------------------------------------------------------------------------------------


def test_who_wakes_a_session_has_time_to_speak() -> None:
    script = Moving(idle_disconnect_s=60)
    script.wait(60_000)
    script.wait(HOURS_MS)
    script.order("wake")
    script.open()
    assert Sleep not in map(type, script.wait(1000))
    assert Sleep in map(type, script.wait(60_000))


def test_a_tool_that_ends_while_all_sleep_is_not_spoken_of_in_the_morning() -> None:
    script = Moving(tools=[TOOL])
    script.created("r1")
    script.event("response.output_item.done", response_id="r1", output_index=0, item=CALL)
    script.order("budget", exhausted="the daily cap is reached")
    script.wait(4000)
    script.order("tool_result", call_id="c1", output="sunny")
    script.order("budget", exhausted="")
    assert ("ResponseCreate",) not in sent(script.open())


def test_what_was_to_be_said_hours_ago_is_not_said() -> None:
    script = Moving(idle_disconnect_s=60)
    script.wait(60_000)
    script.order("say", text="dinner")
    script.wait(HOURS_MS)
    assert ("ResponseCreate",) not in sent(script.open())
    assert "connection_lost" in [data["code"] for data in published(script.all, "error")]


def test_a_question_that_no_session_came_for_is_told_to_be_lost() -> None:
    script = Moving(idle_disconnect_s=60)
    script.wait(60_000)
    script.order("ask", text="are you there")
    assert [data["code"] for data in published(script.wait(15_000), "error")] == ["connection_lost"]


def test_a_cap_that_is_lifted_does_not_wake_who_slept_for_another_reason() -> None:
    script = Moving(idle_disconnect_s=60)
    script.wait(60_000)
    assert Wake() not in script.order("budget", exhausted="")


def test_new_settings_do_not_open_a_session_beyond_the_cap() -> None:
    script = Moving()
    script.do(script.session.failed(KeyRefused("no"), script.now))
    script.order("budget", exhausted="the daily cap is reached")
    out = script.order("configure", settings=script.settings | {"token": "sk-other"})
    assert Wake() not in out
    assert state(script) == "asleep"


# the next session -----------------------------------------------------------------------------------------------------------


def test_settings_that_were_given_up_are_not_those_of_the_next_rollover() -> None:
    script = Moving()
    script.order("configure", settings=script.settings | {"model": "bad"})
    script.do(script.session.next_lost("no such model", script.now, fatal=True))
    assert script.session.next_settings["model"] == "m"


def test_a_key_that_the_next_session_refuses_is_final_for_it() -> None:
    script = Moving()
    script.order("configure", settings=script.settings | {"token": "sk-wrong"})
    script.do(script.session.next_connected(script.now, UNIX_S))
    error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Incorrect API key"}
    out = script.do(script.session.next_feed(text("error", error=error), script.now))
    assert DropNext() in out
    assert [data["code"] for data in published(out, "error")] == ["settings_unusable"]
    assert kinds(script.wait(60_000)) == []


def test_settings_that_wait_for_a_quiet_moment_are_those_of_a_session_after_a_loss() -> None:
    script = Moving()
    script.say_turn()
    script.answer(ms=20_000)
    script.order("configure", settings=script.settings | {"token": "sk-new"})
    assert script.session.settings["token"] == "sk-secret"
    script.lose()
    assert script.session.settings["token"] == "sk-new"


def test_a_change_waits_a_minute_for_a_quiet_moment_once_the_next_session_is_there() -> None:
    script = Moving()
    script.order("configure", settings=script.settings | {"voice": "cedar"})
    for _ in range(5):
        script.do(script.session.next_lost("no route", script.now))
        script.wait(15_000)
    script.speech_started()
    assert TakeOver() not in script.open_next()


def test_a_complaint_about_the_session_of_now_changes_nothing_in_the_next() -> None:
    script = Moving()
    script.to_rollover()
    script.do(script.session.next_connected(script.now, UNIX_S))
    error = {"type": "invalid_request_error", "message": "Audio content of 100ms is already shorter than 200ms"}
    out = script.event("error", error=error)
    assert sent(out) == []
    assert not [output for output in out if isinstance(output, SendNext)]
    assert published(out, "error")


def test_what_a_server_refused_once_is_not_tried_again_in_its_next_session() -> None:
    script = Moving(noise_reduction="near_field")
    update = next(output.event for output in reversed(script.all) if sent([output]) == [("SessionUpdate",)])
    error = {"code": "unknown_parameter", "param": "session.audio.input.noise_reduction", "message": "no", "event_id": update.event_id}
    script.event("error", error=error)
    script.to_rollover()
    (update,) = (output.event for output in script.do(script.session.next_connected(script.now, UNIX_S)) if isinstance(output, SendNext))
    assert "noise_reduction" not in update.session["audio"]["input"]


def test_a_broken_mcp_server_is_told_of_although_the_session_had_not_taken_over() -> None:
    script = Moving()
    script.to_rollover()
    script.speech_started()
    script.open_next()
    item = {"id": "l1", "type": "mcp_list_tools", "server_label": "house", "tools": []}
    script.do(script.session.next_feed(text("conversation.item.added", item=item), script.now))
    script.do(script.session.next_feed(text("mcp_list_tools.failed", item_id="l1"), script.now))
    out = script.do(script.session.rescued(script.now))
    assert any("house" in data["message"] for data in published(out, "error"))


def test_a_flood_of_things_to_say_is_refused() -> None:
    script = Script()
    script.speech_started()
    answers: list[Any] = [output for _ in range(40) for output in script.order("say", text="x") if isinstance(output, Answered | Refused)]
    assert [type(output) for output in answers].count(Refused) == 8


def test_a_slow_handshake_after_new_settings_is_waited_for() -> None:
    script = Script(ready=False)
    script.do(script.session.connected(script.now, UNIX_S))
    script.order("configure", settings=script.settings | {"token": "sk-other"})
    assert kinds(script.wait(61_000)) == []
    assert state(script) == "connecting"


def test_what_a_url_holds_of_secrets_is_not_shown_whoever_repeats_it() -> None:
    script = Script(settings=SETTINGS | {"secrets": ["hunter2hunter2"], "mcp": [{"type": "mcp", "authorization": "house-token"}]})
    out = script.event("error", error={"type": "server_error", "message": "no hunter2hunter2, no house-token, no sk-secret"})
    assert published(out, "error")[0]["message"] == "no ***, no ***, no ***"
