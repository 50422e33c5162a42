"""What a server may make the conversation hold and say (`limits`), by events fed to a session."""

import json
import sys
from typing import Any

import pytest

from tests.network.script import MS, SETTINGS, Script, flushes, published, sent, sound
from voiced import messages
from voiced.messages import Publish
from voiced.network import events
from voiced.network.complaints import sane
from voiced.network.limits import (
    AWAITED,
    ERRORS_AT_ONCE,
    ITEMS,
    LONGEST_EVENT_BYTES,
    PARTS,
    REPLIES,
    SOUND_AHEAD_MS,
    TRANSCRIPT_CHARS,
    TURN_CHARS,
)
from voiced.network.outputs import LogLine, Play, PlayEnd, PublishEvent, SendEvent
from voiced.network.quote import Quote
from voiced.network.transcript import ASSISTANT, USER, Transcript

MINUTE = sound(60_000)


def told(script: Script) -> list[str]:
    return [data["message"] for data in published(script.all, "error")]


def forwarded(script: Script) -> int:
    return sum(len(output.pcm) for output in script.all if isinstance(output, Play))


def test_a_reply_without_end_is_cut_cancelled_and_played_as_far_as_it_came() -> None:
    script = Script()
    script.created()
    for _ in range(32):
        script.delta("i1", MINUTE)
    assert 27 * len(MINUTE) < forwarded(script) <= SOUND_AHEAD_MS * 48
    cancels = [output.event for output in script.all if isinstance(output, SendEvent) and isinstance(output.event, events.ResponseCancel)]
    assert [event.response_id for event in cancels] == ["r1"]
    assert len([output for output in script.all if isinstance(output, PlayEnd)]) == 1
    assert len(told(script)) == 2  # once for what is too much, once for what comes after it was cut
    script.started("i1")
    script.speech_started()
    script.flushed(("i1", 900))
    script.speech_stopped()
    script.done("r1", "cancelled")
    script.wait(5000)
    script.created("r2")
    assert [output for output in script.delta("i2", MINUTE, "r2") if isinstance(output, Play)]  # the next one is heard


def test_items_and_parts_beyond_all_sense_are_ignored_and_said_to_be_once() -> None:
    script = Script()
    script.created()
    for number in range(3 * ITEMS):
        script.delta(f"i{number}", b"\1\0")
    assert len([output for output in script.all if isinstance(output, Play)]) == min(ITEMS, PARTS)
    for number in range(50):
        script.delta("i0", b"\1\0", content_index=number)
        script.announced(f"n{number}")
    assert len([output for output in script.all if isinstance(output, Play)]) == min(ITEMS, PARTS) + 1  # of a part that is known
    assert len(told(script)) == 1
    assert sum(len(reply.items) for reply in script.session._talk.voice._replies) == ITEMS


def test_replies_that_never_end_are_forgotten_oldest_first() -> None:
    script = Script()
    for number in range(3 * REPLIES):
        script.delta(f"i{number}", b"\1\0", f"r{number}")
    assert len([output for output in script.all if isinstance(output, Play)]) == 3 * REPLIES


def test_what_sounds_can_be_interrupted_however_many_replies_are_begun() -> None:
    script = Script()
    script.reply("i1", ms=4000)
    for number in range(3 * REPLIES):
        script.created(f"empty{number}")
    assert len(flushes(script.speech_started())) == 1
    assert sent(script.flushed(("i1", 120)))[0] == ("ItemTruncate", "i1", 0, 120)


def test_a_transcript_is_bounded_in_turns_in_text_and_in_all() -> None:
    transcript = Transcript()
    for number in range(100):
        transcript.finish(USER, f"u{number}", "x" * 300_000)
        for _ in range(100):
            transcript.add(ASSISTANT, f"i{number}", "y" * 3_000, 0)
            transcript.add(ASSISTANT, f"i{number}", "", 0)
    turns = transcript.last(1000)
    assert {len(turn["text"]) for turn in turns} == {TURN_CHARS}
    assert sum(len(turn["text"]) for turn in turns) <= TRANSCRIPT_CHARS
    assert turns[-1]["item_id"] == "i99"


def test_a_text_of_nothing_takes_nothing() -> None:
    transcript = Transcript()
    transcript.add(ASSISTANT, "i", "a", 0)
    turn = transcript._turns["i"]
    for _ in range(10_000):
        transcript.add(ASSISTANT, "i", "", 0)
    assert sys.getsizeof(turn.pieces) < 1000


def test_partial_texts_of_many_items_do_not_come_all_at_once() -> None:
    transcript = Transcript()
    for number in range(1000):
        transcript.add(ASSISTANT, f"i{number}", "x" * 1000, 0)
    assert len(list(transcript.due(0))) < 10
    assert transcript.wake_ns == 100 * MS
    assert list(transcript.due(99 * MS)) == []
    assert list(transcript.due(100 * MS)) != []


def test_a_long_partial_text_comes_less_often() -> None:
    transcript = Transcript()
    transcript.add(ASSISTANT, "i", "x" * 50_000, 0)
    assert len(list(transcript.due(0))) == 1
    transcript.add(ASSISTANT, "i", "y", 0)
    assert list(transcript.due(599 * MS)) == []
    assert len(list(transcript.due(600 * MS))) == 1


def test_turns_whose_words_never_come_are_not_all_waited_for() -> None:
    script = Script()
    for number in range(10 * AWAITED):
        script.event("input_audio_buffer.committed", item_id=f"u{number}")
    assert len(script.session._talk.turn._awaited) == AWAITED


@pytest.mark.parametrize(
    ("type", "fields"),
    [
        ("session.updated", {"session": {"a": "x" * LONGEST_EVENT_BYTES}}),
        ("error", {"error": {"message": "x" * LONGEST_EVENT_BYTES}}),
        ("response.output_text.delta", {"response_id": "r", "item_id": "i", "delta": "x" * LONGEST_EVENT_BYTES}),
    ],
)
def test_an_event_that_is_too_long_is_not_looked_at(type: str, fields: dict[str, Any]) -> None:
    with pytest.raises(events.WireMalformed, match="too long"):
        events.decode_server(json.dumps({"type": type, **fields}).encode())


def test_sound_may_be_as_long_as_a_message() -> None:
    script = Script()
    script.delta("i", MINUTE)
    assert forwarded(script) == len(MINUTE)


def test_an_error_is_cut_before_anybody_looks_for_words_in_it() -> None:
    event = events.decode_server(json.dumps({"type": "error", "error": {"code": "c" * 9999, "message": "m" * 99_999}}).encode())
    assert isinstance(event, events.ErrorEvent)
    assert len(event.error.message) <= 4000
    assert len(event.error.code or "") <= 200


def test_what_is_passed_on_of_a_map_is_small_and_can_travel() -> None:
    wild = {"a" * 999: [float("nan"), float("inf"), 1 << 70, "x" * 999, {"b": {"c": {"d": {"e": 1}}}}]} | {
        str(n): [n] * 99 for n in range(999)
    }
    tame = sane(wild)
    assert len(messages.encode(Publish("spent", {"usage": tame}))) < 10_000
    assert isinstance(tame, dict)
    assert next(iter(tame.items())) == ("a" * 200, [None, None, None, "x" * 200, {"b": {"c": None}}])


def test_a_usage_map_of_a_real_server_stays_as_it_is() -> None:
    usage = {
        "total_tokens": 9,
        "input_token_details": {"text_tokens": 5, "cached_tokens_details": {"audio_tokens": 3}},
        "x": [1.5, None, True],
    }
    assert sane(usage) == usage


def test_half_a_key_at_the_end_of_what_is_looked_at_is_not_shown() -> None:
    key = "sk-" + "k" * 40
    quote = Quote(key)
    for at in range(4096 - 60, 4096 + 4):
        assert "sk-" not in quote(" " * at + key + " " * 9000)
    for at in range(8192 - 60, 8192 + 4):
        assert "sk-" not in quote(" " * at + key + " " * 9000)


def test_a_server_that_errs_for_an_hour_fills_no_log() -> None:
    script = Script()
    for number in range(3600):
        script.wait(1000)
        script.event("error", error={"type": "t", "code": f"c{number}", "message": "no"})
    lines = len([output for output in script.all if isinstance(output, LogLine)])
    assert ERRORS_AT_ONCE < lines < 3600 / 10 + 2 * ERRORS_AT_ONCE


def test_a_flood_of_speech_is_one_interruption_that_is_not_settled() -> None:
    script = Script()
    for number in range(1000):
        raw = json.dumps({"type": "input_audio_buffer.speech_started", "item_id": f"u{number}"}).encode()
        script.do(script.session.overtake(raw, script.received + number + 2, script.now))
    assert len(script.session._talk.voice._bargein._pending) == 1


def test_a_model_that_changes_its_name_is_counted_by_the_one_it_began_with() -> None:
    script = Script(settings=SETTINGS | {"model": ""})
    for number in range(5):
        script.event("session.updated", session={"id": "s", "model": f"m{number}"})
        script.event("response.done", response={"id": f"r{number}", "status": "completed", "usage": {"total_tokens": 1}})
    spent = [output.data["model"] for output in script.all if isinstance(output, PublishEvent) and output.topic == "spent"]
    assert len(set(spent)) == 1
