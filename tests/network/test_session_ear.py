"""Our own voice detector and the wake word: interruptions that wait for no network, the state, waking, and what is sent of a press."""

from typing import Any

from tests.network.script import MS, SETTINGS, UNIX_S, Script, flushes, published, sent, sound
from tests.network.test_session_moves import Moving
from tests.network.test_session_talk import appended
from voiced.errors import KeyRefused
from voiced.messages import LocalSpeech, MicFrame, MonoNs
from voiced.network.outputs import Broadcast, Output, PublishEvent, Refused, SendEvent, Sleep, TakeOver, Wake

LOCAL = {"item_id": None, "audio_ms": None, "source": "local"}


class Eared(Script):
    """A session whose capture process has a voice detector."""

    def __init__(self, *, ready: bool = True, **changes: Any) -> None:
        super().__init__(ready=ready, settings=SETTINGS | {"listen_s": 8} | changes)
        if not ready:
            self.do(self.session.begin(self.now))

    def local(self, phase: str) -> list[Output]:
        return self.do(self.session.local_speech(LocalSpeech(phase, self.now, 0.9), self.received, self.now))

    def talk(self, *, pressed: bool) -> list[Output]:
        return self.order("talk", pressed=pressed)

    def utter(self, ms: int) -> bytes:
        """Speech as the detector tells it: 100 ms late, and over 400 ms late."""
        first = len(self.frames)
        self.speak(100)
        self.local("started")
        self.speak(ms - 100)
        self.speak(400)
        self.local("stopped")
        return b"".join(self.frames[first : first + ms // 20])

    def open(self) -> list[Output]:
        before = len(self.all)
        self.do(self.session.connected(self.now, UNIX_S))
        self.event("session.created", session={"id": "sess_2"})
        self.event("session.updated", session={"id": "sess_2"})
        return self.all[before:]

    @property
    def state(self) -> str:
        return str(published(self.all, "state")[-1]["state"])

    @property
    def told(self) -> list[tuple[str, str, str | None]]:
        """When the user spoke, as published."""
        topics = ("speech.started", "speech.stopped")
        return [
            (output.topic.removeprefix("speech."), output.data["source"], output.data["item_id"])
            for output in self.all
            if isinstance(output, PublishEvent) and output.topic in topics
        ]


# interruptions --------------------------------------------------------------------------------------------------------------


def test_a_confirmed_interruption_flushes_first_cancels_and_truncates_by_what_was_heard() -> None:
    script = Eared()
    script.reply("i1", 400)
    out = script.local("confirmed")
    assert isinstance(out[0], Broadcast)
    assert flushes(out) == [(1001, "local")]
    assert sent(out) == [("ResponseCancel", "r1")]
    assert script.told == [("started", "local", None)]
    assert script.state == "hearing"
    assert sent(script.flushed(("i1", 130))) == [("ItemTruncate", "i1", 0, 130)]
    assert published(script.all, "flush")[0]["reason"] == "local"


def test_what_the_server_says_of_it_later_flushes_nothing_and_names_the_item() -> None:
    script = Eared()
    script.reply("i1", 400)
    script.local("confirmed")
    script.flushed(("i1", 130))
    script.out.clear()
    script.speech_started("u1")
    script.done(status="cancelled")
    script.local("stopped")
    assert script.state == "hearing"
    script.speech_stopped("u1")
    assert flushes(script.out) == sent(script.out) == []
    assert script.told == [("started", "local", None), ("started", "server", "u1"), ("stopped", "server", "u1")]
    assert script.state == "thinking"


def test_sound_of_the_interrupted_answer_that_was_on_its_way_is_not_played() -> None:
    script = Eared()
    script.reply("i1", 400)
    script.local("confirmed")
    assert not [output for output in script.delta("i1", sound(200)) if type(output).__name__ == "Play"]


def test_an_interruption_that_the_server_never_notices_is_over_after_three_seconds() -> None:
    script = Eared(idle_disconnect_s=60)
    script.reply("i1", 400)
    script.local("confirmed")
    script.flushed(("i1", 130))
    script.done(status="cancelled")
    script.wait(2999)
    assert script.state == "hearing"
    script.wait(1)
    assert script.state == "listening"
    assert script.told == [("started", "local", None), ("stopped", "local", None)]
    assert Sleep in map(type, script.wait(57_001)), "nothing is owed to anybody"


def test_speech_that_ends_unnoticed_is_over_at_once() -> None:
    script = Eared()
    script.local("started")
    assert script.state == "hearing"
    script.local("stopped")
    assert script.state == "listening"
    assert script.told == [("started", "local", None), ("stopped", "local", None)]


def test_speech_that_the_server_heard_first_is_told_once() -> None:
    script = Eared()
    script.speech_started("u1")
    script.local("started")
    script.local("stopped")
    script.speech_stopped("u1")
    assert script.told == [("started", "server", "u1"), ("stopped", "server", "u1")]


def test_what_was_asked_for_before_is_not_said_after_an_interruption() -> None:
    script = Eared()
    script.reply("i1", 4000)
    script.done()
    script.order("say", text="dinner")
    script.local("confirmed")
    assert ("ResponseCancel", "r2") in sent(script.created("r2", metadata={"voiced": "say"}))


def test_what_may_be_an_echo_is_no_speech_until_it_is_confirmed() -> None:
    script = Eared()
    script.reply("i1", 400)
    assert script.local("started") == []
    assert script.state == "speaking"
    assert flushes(script.local("confirmed")) == [(1001, "local")]


def test_an_answer_that_is_about_to_sound_is_interrupted_too() -> None:
    script = Eared()
    script.created("r1")
    script.announced("i1")
    assert sent(script.local("confirmed")) == [("ResponseCancel", "r1"), ("ItemDelete", "i1")]
    assert flushes(script.delta("i1", sound(100))) == []


def test_who_mutes_the_microphone_is_not_heard_any_more() -> None:
    script = Eared()
    script.local("started")
    script.speak(20, muted=True)
    script.wait(0)
    assert script.state == "listening"
    assert script.told[-1] == ("stopped", "local", None)


# the sound that follows -----------------------------------------------------------------------------------------------------


def gated(script: Eared, ms: int) -> list[bytes]:
    """The microphone behind the gate: silence goes out; returns what was heard."""
    held = []
    for number in range(ms // 20):
        script.now = MonoNs(script.now + 20 * MS)
        held.append(sound(20, bytes([number, 7])))
        script.do(script.session.microphone(MicFrame(0, script.now, False), bytes(960)))
    return held


def test_what_capture_sends_along_reaches_the_server_and_takes_the_place_of_the_silence() -> None:
    script = Eared()
    script.reply("i1", 4000)
    held = gated(script, 500)
    script.out.clear()
    script.local("confirmed")
    began = script.now - 480 * MS
    for number, pcm in enumerate(held):
        script.do(script.session.microphone(MicFrame(0, MonoNs(began + number * 20 * MS), False), pcm))
    assert appended(script.out) == b"".join(held)
    script.flushed(("i1", 500))
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    assert appended(script.open()) == b"".join(held)


def test_the_server_s_clock_is_understood_after_frames_that_came_late() -> None:
    script = Eared()
    script.reply("i1", 4000)
    held = gated(script, 1000)
    script.local("confirmed")
    for number, pcm in enumerate(held[-25:]):
        script.do(script.session.microphone(MicFrame(0, MonoNs(script.now - (24 - number) * 20 * MS), False), pcm))
    script.speak(200)  # the server has 1000 ms of silence, 500 sent along, and 200
    script.event("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=1100)
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    assert appended(script.open()) == b"".join([*held[-20:], *script.frames[-10:]])


def test_the_conversation_moves_to_no_other_session_in_the_middle_of_a_word() -> None:
    script = Moving(listen_s=8)
    script.to_rollover()
    speech = LocalSpeech("started", script.now, 0.9)
    script.do(script.session.local_speech(speech, script.received, script.now))
    script.open_next()
    script.wait(2_900)
    wake_ns = script.session.wake_ns
    assert wake_ns is not None
    assert wake_ns > script.now, "it asks to be woken for ever"
    assert TakeOver() not in script.out
    assert TakeOver() in script.wait(100)


# waking ---------------------------------------------------------------------------------------------------------------------


def test_a_sleeping_session_wakes_when_somebody_speaks_and_hears_it_from_the_start() -> None:
    script = Eared(idle_disconnect_s=60)
    assert Sleep in map(type, script.wait(60_000))
    script.speak(10_000)
    first = len(script.frames)
    script.speak(100)
    assert Wake() in script.local("started")
    script.speak(3000)
    out = appended(script.open())
    assert out.endswith(b"".join(script.frames[first:]))
    assert len(out) <= len(b"".join(script.frames[first:])) + len(sound(400))


def test_it_does_not_wake_beyond_the_cap_nor_by_voice_where_a_key_is_pressed() -> None:
    script = Eared()
    script.order("budget", exhausted="enough for today")
    assert Wake() not in script.local("started")
    script = Eared(mode="push_to_talk", idle_disconnect_s=60)
    script.wait(60_000)
    assert Wake() not in script.local("started")


def test_what_is_said_before_the_very_first_session_is_heard_by_it() -> None:
    script = Eared(ready=False)
    script.speak(1000)
    said = script.utter(1500)
    assert script.state == "connecting"
    assert said in appended(script.open())


def test_of_words_that_are_too_old_nothing_is_sent_and_nothing_is_owed() -> None:
    script = Eared(ready=False, idle_disconnect_s=60)
    script.utter(1500)
    script.speak(20_000)
    assert appended(script.open()) == b""
    assert published(script.all, "error") == []
    assert Sleep in map(type, script.wait(60_000))


def test_of_somebody_who_talks_on_and_on_the_last_quarter_of_a_minute_is_kept() -> None:
    script = Eared(ready=False)
    script.speak(100)
    script.local("started")
    script.speak(40_000)
    assert appended(script.open()) == b"".join(script.frames[-750:])


def test_a_guess_that_the_server_never_notices_is_forgotten() -> None:
    script = Eared(ready=False, idle_disconnect_s=60)
    script.utter(300)
    script.open()
    assert Sleep not in map(type, script.wait(15_000))
    assert Sleep in map(type, script.wait(60_000))


def test_an_answer_that_is_owed_is_asked_for_although_somebody_coughs_in_between() -> None:
    script = Eared()
    script.speech_started("u1")
    script.speech_stopped("u1")
    script.event("input_audio_buffer.committed", item_id="u1")
    script.event("conversation.item.input_audio_transcription.completed", item_id="u1", content_index=0, transcript="what time is it")
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.utter(300)
    assert ("ResponseCreate",) in sent(script.open())


def test_what_is_said_while_the_last_answer_plays_on_without_a_session_is_not_answered_by_it() -> None:
    script = Eared()
    script.reply("i1", 4000)
    script.delta("i2", sound(400))
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    said = script.utter(1000)
    script.speak(3000)
    script.started("i2")
    assert said in appended(script.open())


def test_what_was_told_again_and_understood_is_not_told_a_third_time() -> None:
    script = Eared(ready=False)
    said = script.utter(1000)
    script.open()
    script.speech_started("u1")
    script.speech_stopped("u1")
    script.event("input_audio_buffer.committed", item_id="u1")
    script.event("conversation.item.input_audio_transcription.completed", item_id="u1", content_index=0, transcript="what time is it")
    script.speak(5000)
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.speak(5000)
    assert said not in appended(script.open())


def test_what_is_said_while_nothing_may_be_spent_is_not_told_when_it_may() -> None:
    script = Eared()
    script.order("budget", exhausted="enough for today")
    script.utter(1000)
    script.order("budget", exhausted="")
    script.speak(500)
    assert appended(script.open()) == b""


def test_nobody_falls_asleep_in_the_middle_of_a_word() -> None:
    script = Eared(idle_disconnect_s=60)
    script.wait(59_000)
    script.local("started")
    assert Sleep not in map(type, script.wait(2_900))
    assert Sleep in map(type, script.wait(100))


# the wake word --------------------------------------------------------------------------------------------------------------

WORD: dict[str, Any] = {"wake_word": "okay_nabu"}


def ears(outputs: list[Output]) -> list[bool]:
    return [data["open"] for data in published(outputs, "ears")]


def test_until_the_wake_word_all_sleep_and_what_is_said_is_not_heard() -> None:
    script = Eared(**WORD)
    assert ears(script.all) == [False]
    assert script.state == "asleep"
    script.local("started")
    assert script.state == "asleep"
    assert script.told == []


def test_the_wake_word_opens_ears_that_close_when_it_has_been_quiet_for_a_while() -> None:
    script = Eared(**WORD)
    script.wait(100_000)
    script.all.clear()
    script.local("wake")
    assert published(script.all, "wake") == [{"word": "okay_nabu", "probability": 0.9}]
    assert ears(script.all) == [True]
    assert script.state == "listening"
    script.wait(7_900)
    script.local("started")
    script.wait(2_000)
    script.speech_started("u1")
    script.wait(10_000)
    script.speech_stopped("u1")
    script.reply("i1", 400)
    script.done()
    script.finished("i1", 400)
    script.wait(7_900)
    assert script.state == "listening"
    script.wait(100)
    assert script.state == "asleep"
    assert ears(script.all) == [True, False]


def test_with_an_idle_limit_nothing_is_connected_before_the_wake_word() -> None:
    script = Eared(ready=False, **WORD, idle_disconnect_s=60)
    assert [type(output) for output in script.all if isinstance(output, Sleep | SendEvent)] == [Sleep]
    assert script.state == "asleep"
    held = gated(script, 1500)
    assert Wake() in script.local("wake")
    for number, pcm in enumerate(held):
        script.do(script.session.microphone(MicFrame(0, MonoNs(script.now - (len(held) - 1 - number) * 20 * MS), False), pcm))
    script.speak(800)
    assert appended(script.open()).endswith(b"".join([*held, *script.frames]))
    assert script.state == "listening"
    assert ears(script.wait(7_900)) == [], "nobody noticed what was said"
    assert ears(script.wait(100)) == [False]
    assert Sleep in map(type, script.wait(52_000))
    assert script.state == "asleep"


def test_an_order_to_wake_and_a_key_open_the_ears_too() -> None:
    script = Eared(**WORD)
    assert ears(script.order("wake")) == [True]
    script = Eared(**WORD, mode="push_to_talk")
    assert ears(script.talk(pressed=True)) == [True]
    assert script.state == "hearing"


def test_a_voice_that_is_not_listened_to_interrupts_nobody() -> None:
    script = Eared(**WORD)
    script.order("say", text="dinner")
    script.reply("i1", 4000)
    assert flushes(script.local("confirmed")) == []


def test_who_says_the_wake_word_has_time_to_speak() -> None:
    script = Eared(**WORD, idle_disconnect_s=60)
    script.order("wake")
    script.open()
    script.wait(55_000)
    assert script.state == "asleep"
    script.local("wake")
    assert Sleep not in map(type, script.wait(6_000))
    assert script.state == "listening"


def test_a_session_that_falls_asleep_closes_the_ears_and_hears_no_more() -> None:
    script = Eared(**WORD)
    script.local("wake")
    script.local("started")
    assert ears(script.order("budget", exhausted="enough for today")) == [False]
    script.speak(500)
    script.order("budget", exhausted="")
    script.speak(500)
    assert appended(script.open()) == b""


def test_the_wake_word_stops_what_is_being_said() -> None:
    script = Eared(**WORD)
    script.order("say", text="dinner")
    script.reply("i1", 4000)
    assert script.state == "speaking"
    assert flushes(script.local("wake")) == [(1001, "local")]


def test_the_wake_word_is_refused_where_nothing_may_be_spent() -> None:
    script = Eared(**WORD)
    script.order("budget", exhausted="enough for today")
    script.out.clear()
    script.local("wake")
    assert [data["message"] for data in published(script.out, "error")] == ["enough for today"]
    assert ears(script.out)[-1] is False
    assert Wake() not in script.out


def test_without_a_session_the_word_alone_opens_the_ears_for_a_while() -> None:
    script = Eared(**WORD)
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.local("wake")
    script.speak(7_900)
    assert ears(script.all)[-1]
    script.speak(100)
    script.wait(100)
    assert not ears(script.all)[-1]
    script.speak(20_000)
    assert not any(appended(script.open()))


def test_where_no_session_can_be_the_word_opens_the_ears_for_a_while_and_owes_nothing() -> None:
    script = Eared(**WORD)
    script.do(script.session.failed(KeyRefused("no"), script.now))
    script.local("wake")
    assert ears(script.wait(8_000)) == [False]
    script.order("configure", settings=script.settings)
    assert appended(script.open()) == b""


def test_what_follows_the_word_without_a_session_is_told_to_the_next() -> None:
    script = Eared(**WORD)
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.local("wake")
    script.speak(500)
    said = script.utter(1000)
    script.wait(12_000)
    assert not ears(script.all)[-1]
    assert said in appended(script.open())


def test_nothing_is_let_in_by_a_capture_process_that_missed_that_the_ears_are_closed() -> None:
    script = Eared(**WORD)
    script.all.clear()
    script.speak(980)
    assert not any(appended(script.all))
    assert ears(script.all) == [], "the order may be on its way"
    script.speak(3000)
    assert not any(appended(script.all))
    assert ears(script.all) == [False] * 3
    script.local("wake")
    assert appended(script.speak(100)) == b"".join(script.frames[-5:])


def test_the_flush_for_the_wake_word_comes_before_all_else() -> None:
    script = Eared(**WORD)
    script.order("say", text="dinner")
    script.reply("i1", 4000)
    assert isinstance(script.local("wake")[0], Broadcast)


def test_who_is_muted_in_the_middle_of_a_word_speaks_no_longer() -> None:
    script = Eared(ready=False)
    script.speak(100)
    script.local("started")
    script.speak(500)
    script.speak(60_000, muted=True)
    script.speak(20_000)
    assert appended(script.open()) == b""


def test_a_wake_word_that_is_set_or_dropped_while_it_runs_closes_and_opens_the_ears() -> None:
    script = Eared()
    assert ears(script.all) == []
    assert ears(script.order("configure", settings=script.settings | WORD)) == [False]
    assert ears(script.order("configure", settings=script.settings)) == [True]


# push-to-talk ---------------------------------------------------------------------------------------------------------------


class Keyed(Eared):
    """With a detector that has spoken before."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(mode="push_to_talk", talk_limit_s=60, **changes)
        self.utter(300)
        self.speak(3000)
        self.out.clear()


def test_silence_before_and_after_what_is_said_with_the_key_down_is_not_sent() -> None:
    script = Keyed()
    out = script.talk(pressed=True)
    out += script.speak(5000)
    assert appended(out) == b""
    said = script.utter(1000)
    script.speak(5000)
    script.talk(pressed=False)
    audio = appended(script.out)
    assert said in audio
    assert len(audio) <= len(said) + len(sound(300 + 400 + 20))
    assert sent(script.out)[-2:] == [("InputAudioCommit",), ("ResponseCreate",)]


def test_a_pause_within_what_is_said_is_sent_whole() -> None:
    script = Keyed()
    script.talk(pressed=True)
    first = len(script.frames)
    script.utter(500)
    script.speak(2000)
    script.utter(500)
    script.talk(pressed=False)
    assert b"".join(script.frames[first:]) in appended(script.out)


def test_a_press_in_which_the_detector_heard_nobody_is_sent_whole() -> None:
    script = Keyed()
    first = len(script.frames) - 15  # 300 ms before the press
    script.talk(pressed=True)
    script.speak(240)
    out = script.talk(pressed=False)
    script.local("started")
    assert appended(out) == b"".join(script.frames[first:])
    assert sent(script.out)[-2:] == [("InputAudioCommit",), ("ResponseCreate",)]


def test_a_tap_a_stuck_key_and_a_microphone_that_is_off_are_no_turn() -> None:
    script = Keyed()
    script.talk(pressed=True)
    script.speak(80)
    assert sent(script.talk(pressed=False)) == [("InputAudioClear",)]
    assert script.state == "idle"
    script.talk(pressed=True)
    script.speak(60_000)
    out = script.wait(100)
    assert sent(out) == [("InputAudioClear",)]
    script.talk(pressed=True)
    script.speak(1000, muted=True)
    assert sent(script.talk(pressed=False)) == [("InputAudioClear",)]
    assert script.state == "idle"


def test_without_a_detector_all_of_a_press_is_sent() -> None:
    script = Eared(mode="push_to_talk", talk_limit_s=60)
    script.talk(pressed=True)
    script.speak(1000)
    assert appended(script.out) == b"".join(script.frames)
    assert sent(script.talk(pressed=False)) == [("InputAudioCommit",), ("ResponseCreate",)]


def test_a_detector_that_goes_away_during_a_press_holds_nothing_back() -> None:
    script = Keyed()
    script.talk(pressed=True)
    first = len(script.frames)
    script.speak(400)
    script.now = MonoNs(script.now + 800 * MS)  # another capture process was started
    script.speak(400)
    script.talk(pressed=False)
    assert appended(script.out).endswith(b"".join(script.frames[first:]))
    assert ("InputAudioCommit",) in sent(script.out)


def test_of_a_press_without_a_session_the_next_one_gets_no_silence_either() -> None:
    script = Keyed()
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.talk(pressed=True)
    script.speak(3000)
    said = script.utter(1000)
    script.speak(3000)
    script.talk(pressed=False)
    audio = appended(script.open())
    assert said in audio
    assert len(audio) <= len(said) + len(sound(300 + 400 + 20))


def test_another_capture_process_is_not_known_to_have_a_detector() -> None:
    script = Keyed()
    script.now = MonoNs(script.now + 800 * MS)
    script.speak(1000)
    script.out.clear()
    script.talk(pressed=True)
    first = len(script.frames)
    script.speak(400)
    assert appended(script.out).endswith(b"".join(script.frames[first:]))


def test_a_press_without_a_session_in_which_nobody_was_heard_is_told_to_the_next() -> None:
    script = Keyed()
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    first = len(script.frames)
    script.talk(pressed=True)
    script.speak(1000)
    script.talk(pressed=False)
    out = script.open()
    assert appended(out).endswith(b"".join(script.frames[first:]))
    assert sent(out)[-2:] == [("InputAudioCommit",), ("ResponseCreate",)]


def test_a_key_that_is_down_when_nothing_more_may_be_spent_is_up_from_then_on() -> None:
    script = Eared(mode="push_to_talk", talk_limit_s=60)
    script.talk(pressed=True)
    script.speak(500)
    script.order("budget", exhausted="enough for today")
    assert script.told == [("started", "local", None), ("stopped", "local", None)]
    script.all.clear()
    script.wait(61_000)
    assert script.all == []


def test_a_session_that_opens_before_the_first_word_of_a_press_gets_no_silence() -> None:
    script = Keyed()
    script.do(script.session.lost("gone", 1, 0.5, script.now))
    script.talk(pressed=True)
    script.speak(3000)
    assert appended(script.open()) == b""
    script.out.clear()
    said = script.utter(1000)
    script.talk(pressed=False)
    audio = appended(script.out)
    assert said in audio
    assert len(audio) <= len(said) + len(sound(300 + 400 + 20))


def test_a_question_in_writing_during_a_press_does_not_take_its_words() -> None:
    script = Keyed(idle_disconnect_s=60)
    script.wait(60_000)
    script.talk(pressed=True)
    script.order("ask", text="and how late is it")
    said = script.utter(1000)
    script.talk(pressed=False)
    out = script.open()
    assert said in appended(out)
    assert sent(out).count(("InputAudioCommit",)) == 1


def test_a_voice_does_not_interrupt_where_a_key_does() -> None:
    script = Keyed()
    script.reply("i1", 4000)
    assert flushes(script.local("confirmed")) == []
    assert script.state == "speaking"
    assert not [output for output in script.talk(pressed=True) if isinstance(output, Refused)]
