"""Open loudspeakers: what the assistant says comes back into the microphone, and only its user interrupts it."""

import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.scripted_server import Reply, ScriptedServer
from tests.system.daemon import Daemon, compatible
from voicectl import Client
from voicectl.client import Events
from voiced.audio.resample import Resampler
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import SoundServer
from voiced.network.events import InputAudioAppend, ItemTruncate

pytestmark = pytest.mark.system

STORY = (
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do. "
    "Once or twice she had peeped into the book her sister was reading."
)


def spoken(text: str, voice: str, path: Path) -> bytes:
    """Speech, s16le at 24 kHz."""
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return bytes(np.ascontiguousarray(Resampler(file.getframerate(), 24_000).process(samples)).tobytes())


class Room(NamedTuple):
    daemon: Daemon
    client: Client
    told: Events
    peer: ScriptedServer
    speaker: Recorder
    sound: SoundServer
    story: bytes

    def speak(self) -> Reply:
        reply = self.peer.begin_reply()
        self.peer.send_audio(reply, self.story)
        self.peer.end_reply(reply)
        return reply

    def wait_for(self, topic: str, **data: object) -> dict[str, object]:
        while (event := self.told.next(20)) is not None:
            if event.topic == topic and all(event.data[name] == value for name, value in data.items()):
                return event.data
        raise AssertionError(f"no {topic} within 20 s\n{self.daemon.log}")

    def until_it_has_spoken(self) -> list[str]:
        """The topics of what happens until the reply is over."""
        self.wait_for("state", state="speaking")
        topics: list[str] = []
        while (event := self.told.next(20)) is not None and (event.topic != "state" or event.data["state"] == "speaking"):
            topics.append(event.topic)
        return topics

    def microphone(self) -> bytes:
        """All that the server has got of the microphone so far."""
        self.peer.roundtrip()
        return b"".join(received.event.audio for received in self.peer.received if isinstance(received.event, InputAudioAppend))


@pytest.fixture(params=["duck"])
def room(request: pytest.FixtureRequest, sound: SoundServer, speaker: Recorder, tmp_path: Path) -> Iterator[Room]:
    sound.load_echo(60, gain_db=-6)
    sound.listen_to_microphone()
    story = spoken(STORY, "rms", tmp_path / "story.wav")
    settings = f'[barge_in]\nmode = "{request.param}"\n'
    with (
        ScriptedServer() as peer,
        Daemon(compatible(peer.url, settings), sound.env) as daemon,
        daemon.wait_until_ready().client() as client,
        client.events("flush", "duck", "state", "turn", "speech") as told,
    ):
        yield Room(daemon, client, told, peer, speaker, sound, story)


def test_it_does_not_hear_itself(room: Room) -> None:
    """Cold, from its first word to its last."""
    room.speak()
    heard = room.until_it_has_spoken()
    assert "flush" not in heard
    assert "speech.started" not in heard
    sent = np.frombuffer(room.microphone(), "<i2").astype(float)
    assert abs(sent).max() < 300, "of its own voice nothing reached the server"
    assert room.client.status()["audio"]["capture"]["echo"]["canceller"] == "ours"


def test_its_user_interrupts_it(room: Room, tmp_path: Path) -> None:
    question = spoken("Wait, please stop. I have a question.", "slt", tmp_path / "question.wav")
    at = room.speaker.samples
    reply = room.speak()
    first = room.speaker.wait_for_sound(at, timeout_s=10)
    room.speaker.wait_for_samples(first + 24 * 3000, timeout_s=20)
    before = len(room.microphone())
    speech = room.sound.play(question)
    assert room.wait_for("flush")["reason"] == "local"
    truncate = room.peer.until(lambda event: isinstance(event, ItemTruncate)).event
    assert isinstance(truncate, ItemTruncate)
    assert truncate.item_id == reply.item_id
    assert 3000 <= truncate.audio_end_ms < len(room.story) / 48
    speech.wait()
    room.wait_for("speech.stopped")
    sent = np.frombuffer(room.microphone()[before:], "<i2").astype(float)
    assert np.count_nonzero(abs(sent) > 1000) / 24 > 200, "what was said over it was sent"


@pytest.mark.parametrize("room", ["server"], indirect=True)
def test_the_server_alone_may_be_left_to_judge(room: Room) -> None:
    at = room.speaker.samples
    reply = room.speak()
    room.speaker.wait_for_sound(at, timeout_s=10)
    room.peer.until(lambda event: isinstance(event, InputAudioAppend) and any(event.audio))  # it hears all
    room.peer.interrupt(reply)
    assert room.wait_for("flush")["reason"] == "speech_started"


def test_a_knock_costs_nothing(room: Room) -> None:
    """At most the voice goes down for a moment; all of the reply is heard."""
    at = room.speaker.samples
    room.speak()
    first = room.speaker.wait_for_sound(at, timeout_s=10)
    room.speaker.wait_for_samples(first + 24 * 3000, timeout_s=20)
    time = np.arange(2400) / 24_000
    knock = 20_000 * np.exp(-time / 0.015) * np.sin(2 * np.pi * 180 * time)
    room.sound.play(np.rint(knock).astype("<i2").tobytes()).wait()
    assert "flush" not in room.until_it_has_spoken()
    last = room.speaker.wait_for_silence(300, timeout_s=10, since=first)
    # The clip begins and ends with a little silence; a duck takes back and plays again what the device holds.
    assert (last - first) / 24 == pytest.approx(len(room.story) / 48, abs=150)
    room.peer.roundtrip()
    assert not any(isinstance(received.event, ItemTruncate) for received in room.peer.received)
