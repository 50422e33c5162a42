"""Talk to it: the real daemon on its embedded server, spoken to by a synthetic voice, answering aloud, interrupted."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.daemon import running
from voicectl import Event
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import SoundServer

pytestmark = pytest.mark.system

EMBEDDED = '[realtime]\nprovider = "embedded"\n'


def spoken(text: str, path: Path) -> Path:
    subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True)
    return path


def next_event(events: Iterator[Event], topic: str, **data: object) -> Event:
    """The next event of that topic with that data."""
    for event in events:
        if event.topic == topic and all(event.data[name] == value for name, value in data.items()):
            return event
    raise AssertionError(f"the daemon ended before a {topic}")


def test_it_understands_answers_is_interrupted_and_answers_again(sound: SoundServer, speaker: Recorder, tmp_path: Path) -> None:
    count = spoken("Please count to fifty.", tmp_path / "count.wav")
    stop = spoken("What time is it?", tmp_path / "stop.wav")
    with running(EMBEDDED, sound.env) as (daemon, client), client.events("transcript", "flush", "state", "speech") as told:
        events = iter(told)
        sound.play(count)
        heard = next_event(events, "transcript.user", final=True)
        assert "count" in heard.data["text"].lower()
        next_event(events, "state", state="speaking")
        first = speaker.wait_for_sound(0, timeout_s=10)
        speaker.wait_for_samples(first + 24 * 2000, timeout_s=20)
        sound.play(stop)
        next_event(events, "speech.started", source="local")
        flush = next_event(events, "flush")
        assert flush.data["reason"] == "local", "the server hears it when we are sure"
        next_event(events, "speech.started", source="server")
        assert flush.data["played_ms"] > 1500
        assert flush.data["dropped_ms"] > 0
        # Some words of it: how well a tiny model understands a synthetic voice is not ours to test.
        assert next_event(events, "transcript.user", final=True).data["text"].strip()
        next_event(events, "state", state="speaking")
        next_event(events, "state", state="listening")
        turns = client.transcript()
        assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant"]
        assert [turn["interrupted"] for turn in turns] == [False, True, False, False]
        assert abs(turns[1]["played_ms"] - flush.data["played_ms"]) <= 1
        status = client.status()
        assert status["session"]["provider"] == "embedded"
        assert status["barge_in"]["count"] == 1
        assert "Traceback" not in daemon.log


def test_what_is_typed_is_answered_aloud(sound: SoundServer, speaker: Recorder) -> None:
    with running(EMBEDDED, sound.env) as (_, client):
        with client.events("transcript.assistant") as told:
            client.ask("What are you?")
            answer = next_event(iter(told), "transcript.assistant", final=True)
        assert "voice" in answer.data["text"].lower()
        assert speaker.wait_for_sound(0, timeout_s=20) >= 0


def test_say_says_just_that(sound: SoundServer, speaker: Recorder) -> None:
    with running(EMBEDDED, sound.env) as (_, client):
        with client.events("transcript.assistant") as told:
            client.say("The tea is ready.")
            said = next_event(iter(told), "transcript.assistant", final=True)
        assert said.data["text"].strip() == "The tea is ready."
        assert speaker.wait_for_sound(0, timeout_s=20) >= 0
