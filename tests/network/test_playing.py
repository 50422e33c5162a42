"""Playback goes away and comes back, or was there before this network process: what it is given then, and what the server is told
after that of what was heard."""

from typing import Any

import pytest

from tests.network.script import SETTINGS, UNIX_S, Script, ended, flushes, played, published, sent, sound
from voiced.messages import Epoch
from voiced.network import part as parts
from voiced.network import voice
from voiced.network.outputs import Output, Play
from voiced.network.owed import owed_of_before
from voiced.network.session import Session


def given(outputs: list[Output]) -> bytes:
    return b"".join(output.pcm for output in outputs if isinstance(output, Play))


def ramp(ms: int) -> bytes:
    """No two samples alike."""
    return b"".join(number.to_bytes(2, "little") for number in range(24 * ms))


def speaking(ms: int = 400, *, reached_ms: int = 120) -> Script:
    """A reply of so much, in deltas of 100 ms, of which so much was heard."""
    script = Script()
    script.created()
    pcm = ramp(ms)
    for at in range(0, len(pcm), 4800):
        script.delta("i1", pcm[at : at + 4800])
    script.started("i1")
    script.wait(reached_ms)
    script.reached("i1", reached_ms)
    script.out.clear()
    return script


def test_a_successor_is_given_the_rest_from_where_it_was_heard() -> None:
    script = speaking(400, reached_ms=120)
    script.wait(30)
    before = script.session.epoch
    script.playback_gone()
    script.wait(200)
    out = script.carried_on()
    assert given(out) == ramp(400)[48 * 150 :]
    assert script.session.epoch > before, "what is on its way to the old one is void"
    assert [output.header.epoch for output in out if isinstance(output, Play)] == [script.session.epoch] * 3
    assert published(script.all, "error") == []


def test_what_the_device_never_had_was_not_heard_however_long_playback_hung() -> None:
    script = speaking(400, reached_ms=120)
    script.wait(3000)
    script.playback_gone()
    assert given(script.carried_on()) == ramp(400)[48 * 180 :], "60 ms were in the device"


def test_what_comes_meanwhile_is_given_too_and_the_end() -> None:
    script = speaking(200, reached_ms=100)
    script.playback_gone()
    script.delta("i1", sound(100))
    script.audio_done("i1")
    out = script.carried_on()
    assert given(out) == ramp(200)[4800:] + sound(100)
    assert ended(out) == ["i1"]


def test_an_interruption_of_the_rest_tells_how_much_was_heard_in_all() -> None:
    script = speaking(400, reached_ms=120)
    script.playback_gone()
    script.carried_on()
    script.started("i1")
    script.wait(80)
    script.speech_started()
    assert sent(script.flushed(("i1", 80))) == [("ItemTruncate", "i1", 0, 200)]


def test_an_interruption_while_it_is_away_tells_how_much_was_heard_before() -> None:
    script = speaking(400, reached_ms=120)
    script.playback_gone()
    script.wait(100)
    script.speech_started()
    assert sent(script.wait(500)) == [("ItemTruncate", "i1", 0, 120)]
    assert given(script.carried_on()) == b""


def test_an_interruption_of_one_that_hangs_counts_what_its_device_had_after_the_flush() -> None:
    script = speaking(400, reached_ms=120)
    script.wait(10)
    script.speech_started()
    assert sent(script.wait(499)) == []
    assert sent(script.wait(1)) == [("ItemTruncate", "i1", 0, 180)], "60 ms were in the device"


def test_a_second_death_goes_on_from_there() -> None:
    script = speaking(400, reached_ms=120)
    script.playback_gone()
    script.carried_on()
    script.started("i1")
    script.wait(100)
    script.reached("i1", 100)
    script.playback_gone()
    assert given(script.carried_on()) == ramp(400)[48 * 220 :]


def test_the_rest_that_is_heard_to_its_end_is_a_reply_like_any_other() -> None:
    script = speaking(400, reached_ms=120)
    script.audio_done("i1")
    script.done()
    script.playback_gone()
    script.carried_on()
    script.started("i1")
    script.finished("i1", 280)
    assert sent(script.out) == []
    assert published(script.out, "state")[-1] == {"state": "listening"}


def test_a_line_that_broke_and_was_mended_loses_and_repeats_nothing() -> None:
    script = speaking(400, reached_ms=120)
    script.playback_gone()
    script.delta("i1", sound(100))
    out = script.carried_on(("i1", 130, 300))
    assert given(out) == ramp(400)[48 * 300 :] + sound(100)
    script.speech_started()
    assert sent(script.flushed(("i1", 200))) == [("ItemTruncate", "i1", 0, 200)]


def test_an_answer_from_before_it_went_away_again_is_out_of_date() -> None:
    script = speaking()
    script.playback_gone()
    epoch = script.session.epoch
    script.playback_gone()
    assert script.carried_on(epoch=epoch) == []
    assert given(script.carried_on()) != b""


def test_reports_of_a_process_that_is_gone_do_not_count_for_its_successor() -> None:
    script = speaking(400, reached_ms=120)
    old: Any = script.session.epoch
    script.playback_gone()
    script.session._talk.voice.epoch, new = old, script.session.epoch
    script.finished("i1", 400)
    script.session._talk.voice.epoch = new
    assert given(script.carried_on()) == ramp(400)[48 * 120 :]


def test_what_was_flushed_while_it_did_not_hear_is_flushed_when_it_does() -> None:
    script = speaking()
    script.playback_gone()
    script.speech_started()
    script.wait(500)
    out = script.carried_on(("i1", 130, 300))
    assert flushes(out) == [(script.session.epoch, "restart")]
    assert played(out) == []


def test_what_is_further_ahead_of_the_ear_than_is_kept_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "KEPT_BYTES", 48 * 300)
    script = speaking(400, reached_ms=120)
    script.playback_gone()
    out = script.carried_on()
    assert published(out, "error")[0]["code"] == "playback_lost"
    assert sent(out) == [("ResponseCancel", "r1"), ("ItemTruncate", "i1", 0, 120)]


def test_what_is_kept_is_what_was_not_heard() -> None:
    part = parts.Part(0)
    for _ in range(10_000):
        part.forward(bytes(4800))
        part.reach(part.forwarded // 2 - 1200, 1200, 0)
    assert part.carry_on(part.forwarded // 2) is not None
    assert len(part._kept) <= 2


def test_what_an_earlier_process_had_said_plays_on_and_ends() -> None:
    turn = {"item_id": "before", "role": "assistant", "text": "One two three.", "heard": "One two three.", "over": False}
    script = Script(history=[turn])
    assert [name for name, *_ in sent(script.all)] == ["SessionUpdate"], "it is told when it was heard"
    out = script.carried_on(("before", 500, 1000))
    assert (played(out), flushes(out)) == ([], [])
    assert published(script.out, "state")[-1] == {"state": "speaking"}
    script.finished("before", 1000)
    [told] = published(script.out, "turn")
    assert (told["text"], told["heard"], told["interrupted"]) == ("One two three.", "One two three.", False)
    assert published(script.out, "state")[-1] == {"state": "listening"}
    assert ("ItemCreate",) in sent(script.out)


def test_what_an_earlier_process_had_said_can_be_interrupted() -> None:
    turn = {"item_id": "before", "role": "assistant", "text": "One two three four.", "heard": "", "over": False}
    script = Script(history=[turn])
    script.carried_on(("before", 500, 2000))
    out = script.speech_started()
    assert flushes(out) == [(1001, "speech_started")]
    out = script.flushed(("before", 1000))
    assert sent(out) == [("ItemCreate",)], "no server of now could truncate it"
    [told] = published(out, "turn")
    assert (told["heard"], told["interrupted"], told["played_ms"]) == ("One two", True, 1000)


@pytest.mark.parametrize("finished", [True, False])
def test_what_an_earlier_process_had_said_and_nobody_says_any_more(finished: bool) -> None:
    turn = {"item_id": "before", "role": "assistant", "text": "One two three.", "heard": "", "over": False}
    script = Script(history=[turn])
    if finished:
        script.finished("before", 1000)
    script.carried_on()
    [told] = published(script.out, "turn")
    assert (told["heard"], told["interrupted"]) == ("One two three.", not finished)


def test_the_first_sound_waits_for_playback() -> None:
    script = Script()
    script.created()
    script.delta("i1", sound(100))
    out = script.carried_on(epoch=Epoch(1000))
    assert given(out) == sound(100)


@pytest.mark.parametrize(
    ("role", "age_s", "owed"), [("user", 1, True), ("user", 14, True), ("user", 16, False), ("user", -3600, False), ("assistant", 1, False)]
)
def test_a_question_that_an_earlier_process_left_unanswered_is_answered(role: str, age_s: float, owed: bool) -> None:
    turn = {"item_id": "item_of_before_0001", "role": role, "text": "What time is it?", "heard": "What time is it?", "time": UNIX_S - age_s}
    found = owed_of_before([turn], UNIX_S)
    assert (found == turn["item_id"]) is owed
    script = Script(ready=False)
    script.session = Session(SETTINGS, Epoch(1000), lambda: "id", [turn], owed=found)
    script.do(script.session.begin(script.now))
    script.do(script.session.connected(script.now, UNIX_S))
    script.event("session.created", session={"type": "realtime", "id": "sess_1"})
    out = script.event("session.updated", session={"type": "realtime", "id": "sess_1"})
    assert sent(out) == [("ItemCreate",), *([("ResponseCreate",)] if owed else [])]


def test_nobody_waits_for_an_answer_to_nothing_or_to_one_that_is_being_said() -> None:
    assert owed_of_before([], UNIX_S) is None
    asked = {"item_id": "i", "role": "user", "text": "x", "heard": "x", "time": UNIX_S}
    assert owed_of_before([asked, {"item_id": "a", "role": "assistant", "text": "One", "heard": "One", "over": False}], UNIX_S) is None
