import json
from typing import Any

import pytest

from voicectl import output
from voicectl.client import Event
from voiced import control
from voiced.supervisor.ledger import Ledger
from voiced.supervisor.policy import State
from voiced.supervisor.provider import Provider
from voiced.supervisor.status import Status


def shown(capsys: pytest.CaptureFixture[str], command: str, result: dict[str, Any]) -> list[str]:
    output.show(command, result, as_json=False)
    return capsys.readouterr().out.splitlines()


USAGE = Ledger(None, {}, 0.0, 0.0).snapshot(0.0)


def status() -> Status:
    made = Status(Provider("embedded", "", "m", "", "", None), version="1.0", pid=7, now_s=0.0)
    for name in ("network", "capture", "playback"):
        made.process(name, State.STOPPED, None, 0, "", 0.0)
    return made


def test_json_is_exactly_the_map(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"text": "naïve \x1b[31m 漢字 \x9b", "none": None, "n": [1.5, True]}
    output.show("transcript", result, as_json=True)
    printed = capsys.readouterr().out
    assert json.loads(printed) == result
    assert printed.isascii()
    assert len(printed.splitlines()) == 1


def test_status_before_anything_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "status", status().snapshot(5.0, {7: (10240, 0.25)}, USAGE)) == [
        "state        connecting",
        "answering    embedded, m, not connected",
        "microphone   not open",
        "loudspeaker  not open",
        "barge-in     no interruption yet",
        "usage        0.0000 USD since the start, 0.0000 USD today",
        "daemon       voiced 1.0, pid 7, up 5 s",
        "  supervisor ready     pid 7, 10 MiB, 0.2 s CPU",
        "  network    stopped",
        "  capture    stopped",
        "  playback   stopped",
    ]


def test_status_in_the_middle_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    made = status()
    for name in ("network", "capture", "playback"):
        made.process(name, State.READY, 8, 2, "", 1.0)
        made.ready(
            name, {"device": "Jabra", "rate": 48000, "url": "ws://h/rt?model=m"} if name != "network" else {"url": "ws://h/rt?model=m"}
        )
    made.published("network", "state", {"state": "speaking"})
    made.published("network", "flush", {"reason": "speech_started", "latency_ms": 1.25})
    made.beat("capture", {"muted": True, "level_dbfs": -33.3, "overruns": 1})
    made.beat("playback", {"queued_ms": 12_345, "underruns": 2})
    lines = shown(capsys, "status", made.snapshot(7300.0, {}, USAGE))
    assert lines[:7] == [
        "state        speaking, microphone off",
        "answering    embedded, m, ws://h/rt, connected",
        "microphone   Jabra, 48000 Hz, -33 dBFS, 1 overrun",
        "loudspeaker  Jabra, 48000 Hz, 12.3 s still to say, 2 underruns",
        "barge-in     silent after 1.2 ms; of 1 median 1.2, 95 % within 1.2, worst 1.2",
        "usage        0.0000 USD since the start, 0.0000 USD today",
        "daemon       voiced 1.0, pid 7, up 2 h 1 min",
    ]
    assert lines[8].endswith(", 2 restarts")


def test_status_of_sound_that_is_lowered_cancelled_and_asleep(capsys: pytest.CaptureFixture[str]) -> None:
    made = status()
    for name in ("capture", "playback"):
        made.process(name, State.READY, 8, 0, "", 1.0)
        made.ready(name, {"device": "Jabra", "rate": 48000})
    echo = {"canceller": "ours", "erle_db": 31.4, "delay_ms": 40.0, "drift_ppm": None, "converged": True}
    made.beat("capture", {"echo": echo, "listening": False})
    made.beat("playback", {"volume": 60, "ducked": True})
    lines = shown(capsys, "status", made.snapshot(1.0, {}, USAGE))
    assert lines[2:4] == [
        "microphone   Jabra, 48000 Hz, echo 31 dB lower, waits for the wake word",
        "loudspeaker  Jabra, 48000 Hz, 60 %, lowered",
    ]
    made.beat("capture", {"echo": echo | {"canceller": "system"}, "listening": True})
    assert shown(capsys, "status", made.snapshot(1.0, {}, USAGE))[2].endswith("48000 Hz, echo cancelled by the sound server")
    made.beat("capture", {"echo": echo | {"canceller": "off"}, "open": False})
    assert shown(capsys, "status", made.snapshot(1.0, {}, USAGE))[2] == "microphone   not open"


def answering(capsys: pytest.CaptureFixture[str], made: Status) -> list[str]:
    lines = shown(capsys, "status", made.snapshot(1.0, {}, USAGE))
    return [line[13:] for line in lines[:2]]


def test_status_of_a_profile_that_expires_with_push_to_talk(capsys: pytest.CaptureFixture[str]) -> None:
    provider = Provider("openai", "wss://h/rt?model=m", "m", "", "", None)
    made = Status(provider, "push_to_talk", "work", version="1.0", pid=7, now_s=0.0)
    made.process("network", State.READY, 8, 0, "", 1.0)
    made.ready("network", {"expires_in_s": 3300})
    made.published("network", "state", {"state": "idle"})
    assert answering(capsys, made) == ["idle, push to talk", "openai, m, wss://h/rt, profile work, connected, for 55 min more"]
    made.published("network", "session", {"connected": False, "reason": "nothing was said for 300 s"})
    made.published("network", "state", {"state": "asleep"})
    assert answering(capsys, made)[1] == "openai, m, wss://h/rt, profile work, asleep, nothing was said for 300 s"


def test_usage_in_tokens_and_money(capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(None, {"m": {"audio_in": 10.0}}, 5.0, 0.0)
    usage = {"input_tokens": 1500, "input_token_details": {"text_tokens": 500, "audio_tokens": 1000, "cached_tokens": 300}}
    ledger.spend("response", "m", {**usage, "output_tokens": 20, "output_token_details": {"text_tokens": 20}}, 0.0)
    ledger.spend("transcription", "whisper", {"type": "duration", "seconds": 90}, 0.0)
    snapshot = ledger.snapshot(0.0)
    lines = shown(capsys, "usage", snapshot)
    assert lines[:4] == [
        "since the start: 0.0100 or more USD, 1 responses, 1 transcriptions",
        "  text         500 tokens in, 300 of them cached; 20 out",
        "  audio        1000 tokens in, 0 of them cached; 0 out",
        "  transcribed  0 tokens, 1 min",
    ]
    assert lines[4].startswith("today: ")
    assert lines[8:10] == ["daily cap: 5 USD", f"prices: as of {snapshot['prices_as_of']}, where [prices] says nothing else; indicative"]
    assert "whisper" in lines[10]


def test_a_reload_says_what_changed_and_what_is_to_be_restarted(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "reload", {"changed": ["turn.mode", "audio.frame_ms"], "restart": ["capture"]}) == [
        "changed: turn.mode, audio.frame_ms",
        "needs a restart: voicectl restart capture",
    ]
    assert shown(capsys, "reload", {"changed": [], "restart": []}) == ["changed: nothing"]


def test_profiles_mark_the_one_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "profile", {"profile": "work", "profiles": ["home", "work"], "restart": []}) == ["  home", "* work"]
    one = shown(capsys, "profile", {"profile": "work", "profiles": ["work"], "restart": ["embedded"]})
    assert one == ["* work", "needs a restart: voicectl restart embedded"]
    assert "[profiles.NAME]" in shown(capsys, "profile", {"profile": None, "profiles": [], "restart": []})[0]


def test_a_transcript_reads_as_a_dialogue(capsys: pytest.CaptureFixture[str]) -> None:
    turns = [
        {"role": "user", "text": "Count to\nten.", "interrupted": False},
        {"role": "assistant", "text": "One, two,", "interrupted": True, "played_ms": 1234},
        {"role": "assistant", "text": "", "interrupted": True, "played_ms": None},
    ]
    assert shown(capsys, "transcript", {"turns": turns}) == [
        "    you: Count to ten.",
        " voiced: One, two,  [interrupted after 1.2 s]",
        " voiced:   [interrupted]",
    ]
    assert shown(capsys, "transcript", {"turns": []}) == ["nothing was said yet"]


def test_devices_mark_the_one_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"number": 0, "name": "default", "host_api": "ALSA", "channels": 2, "rate": 48000, "default": True, "in_use": True},
        {"number": 11, "name": "hw:0", "host_api": "ALSA", "channels": 1, "rate": 44100, "default": False, "in_use": False},
    ]
    assert shown(capsys, "devices", {"input": rows, "output": []}) == [
        "input:",
        " *   0  default  2 ch, 48000 Hz, ALSA, default",
        "    11  hw:0     1 ch, 44100 Hz, ALSA",
        "output: none",
    ]


@pytest.mark.parametrize(
    ("command", "result", "line"),
    [
        ("mute", {"muted": True}, "microphone off"),
        ("unmute", {"muted": False}, "microphone on"),
        ("interrupt", {"interrupted": False, "item_id": None, "played_ms": None}, "nothing was being said"),
        ("interrupt", {"interrupted": True, "item_id": "i", "played_ms": 40}, "interrupted after 40 ms"),
        ("interrupt", {"interrupted": True, "item_id": "i", "played_ms": None}, "interrupted"),
        ("say", {"queued": True}, "accepted"),
        ("shutdown", {"stopping": True}, "stopping"),
        ("talk", {"pressed": True}, "listening to you"),
        ("talk", {"pressed": False}, "your turn is over"),
        ("wake", {"connected": True}, "awake"),
        ("wake", {"connected": False}, "waking up"),
        ("volume", {"volume": 80}, "volume 80 %"),
        ("tool_result", {"accepted": True}, "accepted"),
        ("approve", {"accepted": False}, "too late: nobody waits for it"),
        ("record", {"recording": True, "path": "/x"}, "recording to /x"),
        ("record", {"recording": False, "path": "/x"}, "recorded /x"),
        ("record", {"recording": False, "path": None}, "not recording"),
        ("restart", {"process": "capture"}, "restarting capture"),
        ("ping", {"version": "1", "pid": 7, "protocol": 1}, "voiced 1, pid 7"),
        ("later_command", {"some_field": 3}, "some field: 3"),
    ],
)
def test_short_answers(capsys: pytest.CaptureFixture[str], command: str, result: dict[str, Any], line: str) -> None:
    assert shown(capsys, command, result) == [line]


def test_describe_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(shown(capsys, "describe", control.describe()))
    assert all(name in text for name in (*control.COMMANDS, *control.EVENTS))


def test_what_a_model_says_can_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    turn = {"role": "assistant", "text": "\x1b]0;owned\x07 \x9b31m ok\u00a0there", "interrupted": False}
    (line,) = shown(capsys, "transcript", {"turns": [turn]})
    assert line.isprintable()
    assert line.endswith("ok there")


class _Client:
    """Events without a daemon."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def events(self, *topics: str) -> "_Client":
        return self

    def __enter__(self) -> list[Event]:
        return self._events

    def __exit__(self, *error: object) -> None:
        pass


def test_events_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    flush = Event("flush", 3, 0.0, {"epoch": 1, "item_id": None, "played_ms": 40})
    events = [flush, Event("status", 4, 0.0, {"state": "idle", "muted": False})]
    output.follow(_Client(events), [], as_json=False)  # type: ignore[arg-type]  # a client for this one method
    lines = capsys.readouterr().out.splitlines()
    assert [line[10:] for line in lines] == ["flush                 epoch=1  played_ms=40", "status                state=idle  muted=no"]
    output.follow(_Client(events), [], as_json=True)  # type: ignore[arg-type]  # the same
    assert [json.loads(line)["topic"] for line in capsys.readouterr().out.splitlines()] == ["flush", "status"]
