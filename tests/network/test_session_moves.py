"""The conversation outlives its sessions: rollover, reconnection, sleep, changed settings."""

from typing import Any

import pytest

from tests.network.script import MS, SETTINGS, UNIX_S, Script, flushes, played, published, sent, sound, text
from voiced.errors import KeyRefused
from voiced.messages import MicFrame
from voiced.network.events import InputAudioAppend, ItemCreate
from voiced.network.outputs import Answered, DropNext, Opened, OpenNext, Output, Refused, SendEvent, SendNext, Sleep, TakeOver, Wake

HOUR_S = 3600


class Moving(Script):
    """A session that expires an hour after it was opened."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(ready=False, settings=SETTINGS | changes)
        self.open()

    def open(self, session_id: str = "sess_1") -> list[Output]:
        before = len(self.all)
        self.do(self.session.connected(self.now, UNIX_S))
        self.event("session.created", session={"id": session_id, "expires_at": int(UNIX_S) + HOUR_S})
        self.event("session.updated", session={"id": session_id, "expires_at": int(UNIX_S) + HOUR_S})
        self.out.clear()
        return self.all[before:]

    def open_next(self) -> list[Output]:
        out = self.do(self.session.next_connected(self.now, UNIX_S + HOUR_S))
        for kind in ("session.created", "session.updated"):
            message = text(kind, session={"id": "sess_2", "expires_at": int(UNIX_S) + 2 * HOUR_S})
            out += self.do(self.session.next_feed(message, self.now))
        return out

    def to_rollover(self) -> list[Output]:
        return self.wait((HOUR_S - 300) * 1000 + 1)

    def lose(self) -> list[Output]:
        return self.do(self.session.lost("gone", 1, 0.5, self.now))

    def say_turn(self, item_id: str = "u1", words: str | None = "tell me a story") -> None:
        self.speech_started(item_id)
        self.speech_stopped(item_id)
        self.event("input_audio_buffer.committed", item_id=item_id)
        if words is not None:
            self.event("conversation.item.input_audio_transcription.completed", item_id=item_id, content_index=0, transcript=words)

    def answer(self, item_id: str = "i1", response_id: str = "r1", words: str = "Once upon a time", ms: float = 1000) -> None:
        self.reply(item_id, ms, response_id)
        part = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        self.event("response.output_audio_transcript.done", **part, transcript=words)
        self.done(response_id)

    def answer_heard(self, item_id: str = "i1", response_id: str = "r1", words: str = "Once upon a time", ms: int = 1000) -> None:
        self.answer(item_id, response_id, words, ms)
        self.finished(item_id, ms)


def kinds(outputs: list[Output]) -> list[str]:
    return [type(output).__name__ for output in outputs if not type(output).__name__.startswith(("Publish", "Log"))]


def told(outputs: list[Output]) -> list[tuple[str, str]]:
    """The turns that the server is told of as text."""
    items = [output.event.item for output in outputs if isinstance(output, SendEvent) and isinstance(output.event, ItemCreate)]
    return [(item.role, item.content[0].text) for item in items]


def appended(outputs: list[Output]) -> bytes:
    events = [output.event for output in outputs if isinstance(output, SendEvent | SendNext)]
    return b"".join(event.audio for event in events if isinstance(event, InputAudioAppend))


# the rollover -------------------------------------------------------------------------------------------------------------


def test_the_next_session_is_opened_before_this_one_expires() -> None:
    script = Moving()
    assert kinds(script.wait((HOUR_S - 301) * 1000)) == []
    assert kinds(script.wait(1001)) == ["OpenNext"]


def test_the_conversation_moves_at_a_quiet_moment_and_takes_its_words_along() -> None:
    script = Moving()
    script.say_turn()
    script.answer_heard()
    script.to_rollover()
    out = script.open_next()
    assert kinds(out)[:3] == ["SendNext", "TakeOver", "Opened"]
    assert told(out) == [("user", "tell me a story"), ("assistant", "Once upon a time")]
    assert published(out, "session")[-1]["connected"] is True
    assert script.session.facts(UNIX_S)["id"] == "sess_2"


def test_nobody_is_cut_off_by_a_move() -> None:
    script = Moving()
    script.to_rollover()
    script.speech_started()
    assert TakeOver() not in script.open_next()
    script.speech_stopped()
    script.event("input_audio_buffer.committed", item_id="u1")
    script.event("conversation.item.input_audio_transcription.completed", item_id="u1", content_index=0, transcript="hello")
    script.answer()
    assert TakeOver() not in script.wait(1500)
    script.finished("i1", 1000)
    assert TakeOver() not in script.wait(1900)
    assert TakeOver() in script.wait(200)


def test_the_last_seconds_of_the_microphone_are_told_again_to_the_session_that_takes_over() -> None:
    script = Moving()
    script.to_rollover()
    script.speak(3000)
    out = script.open_next()
    assert TakeOver() in out
    again = appended(out[out.index(TakeOver()) :])
    assert again == b"".join(script.frames[-50:])


def test_at_the_last_call_the_turn_under_way_moves_as_sound() -> None:
    script = Moving()
    script.to_rollover()
    script.wait(200_000)
    script.speak(2020)
    script.event("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=2020 - 400)
    script.speak(5980)
    assert TakeOver() not in script.open_next()
    assert TakeOver() not in script.wait(80_000)
    out = script.wait(10_000)
    assert TakeOver() in out
    assert appended(out) == b"".join(script.frames[81:])


def test_a_turn_moves_from_the_frame_in_which_it_began_however_late_the_server_says_so() -> None:
    script = Moving()
    script.to_rollover()
    script.wait(200_000)
    frames = []
    for number in range(400):
        script.now = type(script.now)(script.now + 20 * MS)
        frames.append(sound(20, bytes([number % 250, 2])))
        script.do(script.session.microphone(MicFrame(number, script.now, False), frames[-1]))
        if number == 100:
            script.now = type(script.now)(script.now + 19 * MS)  # the next frame is nearly full, and not sent yet
            script.event("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=20 * 101 - 390)
    script.open_next()
    assert appended(script.wait(90_000)) == b"".join(frames[81:])


def test_a_next_session_that_fails_is_tried_again() -> None:
    script = Moving()
    script.to_rollover()
    script.do(script.session.next_lost("no route", script.now))
    assert kinds(script.wait(14_999)) == []
    assert kinds(script.wait(1)) == ["OpenNext"]


def test_a_session_that_is_ready_saves_the_one_that_breaks() -> None:
    script = Moving()
    assert script.session.rescued(script.now) == []
    script.to_rollover()
    script.speech_started()
    script.open_next()
    out = script.do(script.session.rescued(script.now))
    assert TakeOver() in out
    assert script.session.ready


def test_an_answer_that_still_sounds_is_told_once_it_was_heard() -> None:
    script = Moving()
    script.say_turn()
    script.answer(ms=20_000)
    script.lose()
    assert told(script.open()) == [("user", "tell me a story")]
    assert told(script.finished("i1", 20_000)) == [("assistant", "Once upon a time")]


def test_of_an_answer_that_is_interrupted_after_a_move_the_heard_words_are_told() -> None:
    script = Moving()
    script.say_turn()
    script.answer(ms=4000, words="One two three four five six seven eight nine ten")
    script.lose()
    script.open()
    assert flushes(script.speech_started("u2")) == [(1001, "speech_started")]
    out = script.flushed(("i1", 1000))
    assert sent(out) == [("ItemCreate",)]
    assert told(out) == [("assistant", "One two …")]


# what is owed -------------------------------------------------------------------------------------------------------------


def test_a_question_without_an_answer_is_asked_again_by_its_words() -> None:
    script = Moving()
    script.say_turn(words="what time is it")
    script.lose()
    script.wait(900)
    out = script.open()
    assert told(out) == [("user", "what time is it")]
    assert sent(out)[-1] == ("ResponseCreate",)


def test_a_question_whose_words_are_not_known_is_told_again_by_its_sound() -> None:
    script = Moving()
    for number in range(100):
        script.now = type(script.now)(script.now + 20 * MS)
        script.do(script.session.microphone(MicFrame(number, script.now, False), sound(20, bytes([number, 3]))))
        if number == 60:
            script.event("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=1000)
    script.speech_stopped()
    script.event("input_audio_buffer.committed", item_id="u1")
    script.lose()
    script.wait(900)
    out = script.open()
    assert told(out) == []
    assert appended(out) == b"".join(sound(20, bytes([number, 3])) for number in range(50, 100))
    assert ("ResponseCreate",) not in sent(out)  # the server hears it and answers


def test_an_answered_question_is_not_asked_again() -> None:
    script = Moving()
    script.say_turn()
    script.answer_heard()
    script.lose()
    assert ("ResponseCreate",) not in sent(script.open())


def test_what_was_said_long_ago_is_not_answered_any_more() -> None:
    script = Moving()
    script.say_turn(words="what time is it")
    script.order("say", text="wait")
    script.lose()
    script.wait(15_001)
    out = script.open()
    assert told(out) == [("user", "what time is it")]
    assert ("ResponseCreate",) not in sent(out)
    assert [data["code"] for data in published(script.all, "error")] == ["connection_lost"] * 2  # what was said, and what was to be


def test_say_survives_a_lost_connection() -> None:
    script = Moving()
    script.order("say", text="dinner")
    script.lose()
    assert sent(script.open())[-1] == ("ResponseCreate",)


# settings -----------------------------------------------------------------------------------------------------------------


def test_what_a_session_can_take_it_gets_at_once() -> None:
    script = Moving()
    out = script.order("configure", settings=script.settings | {"instructions": "Be long."})
    (update,) = (output.event for output in out if isinstance(output, SendEvent))
    assert update.session == {"type": "realtime", "instructions": "Be long."}
    assert OpenNext not in map(type, out)


def test_another_voice_needs_another_session() -> None:
    script = Moving()
    script.answer_heard()
    out = script.order("configure", settings=script.settings | {"voice": "cedar"})
    assert kinds(out) == ["Answered", "OpenNext"]
    assert script.session.settings["voice"] == "marin"
    out = script.open_next()
    assert TakeOver() not in out
    (update,) = (output.event for output in out if isinstance(output, SendNext))
    assert update.session["audio"]["output"]["voice"] == "cedar"
    out = script.wait(2000)
    assert TakeOver() in out
    assert told(out) == [("assistant", "Once upon a time")]
    assert script.session.settings["voice"] == "cedar"


def test_what_does_not_need_the_other_session_does_not_wait_for_it() -> None:
    script = Moving()
    script.say_turn()
    script.answer(ms=20_000)
    out = script.order("configure", settings=script.settings | {"voice": "cedar", "mode": "push_to_talk"})
    (update,) = (output.event for output in out if isinstance(output, SendEvent))
    assert update.session["audio"]["input"]["turn_detection"] is None
    assert "voice" not in update.session["audio"].get("output", {})
    assert [type(output) for output in script.order("talk", pressed=True)].count(Refused) == 0


def test_settings_that_do_not_work_are_given_up() -> None:
    script = Moving()
    script.order("configure", settings=script.settings | {"url": "ws://127.0.0.1:2/v1/realtime"})
    out = script.do(script.session.next_lost("no such model", script.now, fatal=True))
    assert [data["code"] for data in published(out, "error")] == ["settings_unusable"]
    assert script.session.ready
    assert kinds(script.wait(60_000)) == []


def test_new_settings_are_another_try_for_a_session_that_failed() -> None:
    script = Moving()
    script.do(script.session.failed(KeyRefused("no"), script.now))
    out = script.order("configure", settings=script.settings | {"token": "sk-other"})
    assert Wake() in out
    assert script.session.settings["token"] == "sk-other"


# sleep --------------------------------------------------------------------------------------------------------------------


def test_an_idle_session_falls_asleep_and_wakes_for_a_question() -> None:
    script = Moving(idle_disconnect_s=60)
    script.answer_heard()
    assert Sleep not in map(type, script.wait(59_999))
    out = script.wait(1)
    assert Sleep in map(type, out)
    assert published(out, "state") == [{"state": "asleep"}]
    assert script.microphone() == []
    out = script.order("ask", text="are you there")
    assert Wake() in out
    out = script.open()
    assert told(out) == [("assistant", "Once upon a time"), ("user", "are you there")]
    assert sent(out)[-1] == ("ResponseCreate",)


def test_what_was_said_beside_a_sleeping_session_stays_here() -> None:
    script = Moving(idle_disconnect_s=60)
    script.wait(60_000)
    for _ in range(50):
        script.microphone()
    script.order("wake")
    assert appended(script.open()) == b""


def test_an_exhausted_budget_closes_the_session_and_refuses_to_wake() -> None:
    script = Moving()
    out = script.order("budget", exhausted="the daily cap is reached")
    assert Sleep("the daily cap is reached") in out
    (refused,) = (output for output in script.order("wake") if isinstance(output, Refused))
    assert "cap" in refused.error.message
    assert Wake() in script.order("budget", exhausted="")


def test_a_budget_that_was_exhausted_before_the_start_opens_nothing() -> None:
    script = Script(ready=False, settings=SETTINGS | {"exhausted": "the daily cap is reached"})
    out = script.do(script.session.begin(script.now))
    assert published(out, "state")[-1] == {"state": "asleep"}
    assert script.session.wake_ns is None


# what was said before -----------------------------------------------------------------------------------------------------


def test_a_new_process_goes_on_with_what_was_said() -> None:
    history = [
        {"item_id": "u0", "role": "user", "text": "hello", "heard": "hello", "interrupted": False, "played_ms": None},
        {"item_id": "i0", "role": "assistant", "text": "Hello to you", "heard": "Hello", "interrupted": True, "played_ms": 300},
    ]
    script = Script(ready=False, history=history)
    script.do(script.session.connected(script.now, UNIX_S))
    assert told(script.event("session.updated", session={})) == [("user", "hello"), ("assistant", "Hello …")]
    (answer,) = (output for output in script.order("transcript", limit=5) if isinstance(output, Answered))
    assert [turn["text"] for turn in answer.result["turns"]] == ["hello", "Hello to you"]
    assert published(script.all, "turn") == []


def test_each_turn_is_published_once_when_it_is_over() -> None:
    script = Moving()
    script.say_turn()
    script.answer(words="One two three four", ms=2000)
    script.speech_started("u2")
    script.flushed(("i1", 1000))
    assert published(script.all, "turn") == [
        {"item_id": "u1", "role": "user", "text": "tell me a story", "heard": "tell me a story", "interrupted": False, "played_ms": None},
        {"item_id": "i1", "role": "assistant", "text": "One two three four", "heard": "One two", "interrupted": True, "played_ms": 1000},
    ]


@pytest.mark.parametrize(("most", "expected"), [(100, 3), (10, 2), (5, 1)])
def test_a_new_session_is_told_the_newest_that_fits(most: int, expected: int) -> None:
    script = Moving(context_chars=most)
    for number in range(3):
        script.say_turn(f"u{number}", f"turn{number}")
    script.lose()
    script.wait(16_000)
    assert told(script.open()) == [("user", f"turn{number}") for number in range(3)][-expected:]


@pytest.mark.parametrize(("most", "expected"), [(2, [("user", "st")]), (0, [])])
def test_what_a_new_session_is_told_has_a_limit(most: int, expected: list[tuple[str, str]]) -> None:
    script = Moving(context_chars=most)
    script.say_turn("u1", "the last")
    script.lose()
    script.wait(16_000)
    assert told(script.open()) == expected


def test_a_dropped_next_connection_is_closed() -> None:
    script = Moving()
    script.to_rollover()
    assert DropNext() in script.lose()
    assert Opened not in map(type, script.all[-3:])


def test_a_server_that_counts_its_items_from_one_in_each_session_loses_no_turn() -> None:
    script = Moving()
    script.say_turn("u1", "first")
    script.answer_heard("i1", "r1", "one")
    script.lose()
    script.open()
    script.say_turn("u1", "second")
    script.answer_heard("i1", "r1", "two")
    assert [turn["text"] for turn in published(script.all, "turn")] == ["first", "one", "second", "two"]
    script.speech_started("u2")
    script.reply("i2", 400, "r2")
    script.speech_started("u3")
    script.lose()
    script.flushed(("i2", 10))
    script.open()
    assert played(script.delta("i2", sound(10), "r2")) == [("i2", 480)]
