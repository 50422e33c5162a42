"""The wake word, for real: until it is said nothing of the microphone leaves the capture process and nothing is connected,
and then what was said with it arrives whole."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.scripted_server import ScriptedServer
from tests.system.daemon import Daemon, compatible, running
from tests.system.family import PATIENCE_S, Family
from tests.system.test_capture import SETTINGS
from tests.until import until
from voicectl import Event
from voicectl.client import Events
from voiced.audio.resample import Resampler
from voiced.bus import MICROPHONE, Poller, Receiver
from voiced.capture.ears import KEPT_MS
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import SoundServer
from voiced.errors import PackageMissing
from voiced.messages import BYTES_PER_MS, LocalSpeech, Message, MicFrame, Ready
from voiced.network.events import InputAudioAppend

pytestmark = pytest.mark.system

WORD = "hey_mycroft"
WAKE = f'[wake]\nword = "{WORD}"\nlisten_s = 2\n'
CANCELLING = {"echo_cancellation": "on", "noise_suppression": True, "wake_word": WORD}
_NS_PER_MS = 1_000_000
#: Louder is speech, and not what silence is made into on its way.
_LOUD = 300


class Said(NamedTuple):
    sentence: bytes
    call: bytes  # the word, and a question that follows without a pause
    call_ms: float  # from its first loud sample to its last one


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    path = tmp_path_factory.mktemp("said") / "said.wav"
    call = _spoken("Hey mycroft, what time is it?", path)
    # Who calls pauses before it; the detector wants that.
    return Said(_spoken("Nobody is meant to hear this.", path), bytes(BYTES_PER_MS * 1000) + call, loud_ms(call))


def _spoken(text: str, path: Path) -> bytes:
    """s16le at 24 kHz."""
    subprocess.run(["flite", "-voice", "rms", "-t", text, "-o", str(path)], check=True)
    resampler = Resampler(16_000, 24_000)
    samples = resampler.process(np.frombuffer(path.read_bytes()[44:], "<i2"))
    return np.concatenate((samples, resampler.flush())).tobytes()


def loud_ms(pcm: bytes) -> float:
    """From the first loud sample to the last one."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > _LOUD)
    return float(loud[-1] - loud[0]) * 2 / BYTES_PER_MS if len(loud) else 0.0


Taken = list[tuple[Message, bytes]]


def take(microphone: Receiver, enough: Callable[[Taken], bool]) -> Taken:
    """What comes from the capture process until it is enough."""
    taken: Taken = []
    poller = Poller()
    poller.watch(microphone.socket)
    deadline = time.monotonic() + PATIENCE_S
    while not enough(taken):
        assert time.monotonic() < deadline, f"not enough in {len(taken)} messages"
        poller.wait(50)
        if (item := microphone.next()) is not None:
            taken.append(item)
    return taken


def is_word(message: Message) -> bool:
    return isinstance(message, LocalSpeech) and message.phase == "wake"


def quiet_at_last(taken: Taken) -> bool:
    """Something was loud, and then nothing for 300 ms."""
    sounds = [pcm for _, pcm in taken if pcm]
    return loud_ms(b"".join(sounds)) > 0 and loud_ms(b"".join(sounds[-15:])) == 0


def test_nothing_leaves_before_the_word_and_then_all_that_was_said_with_it(family: Family, sound: SoundServer, said: Said) -> None:
    microphone = Receiver(family.bus.bind(MICROPHONE))
    family.start("capture", **SETTINGS | CANCELLING)
    assert family.wait_for(Ready).detail["listening"] is False
    sound.play(said.sentence).wait()
    sound.play(said.call)
    *before, (word, _) = take(microphone, lambda taken: any(is_word(message) for message, _ in taken[-1:]))
    assert len(before) > 75
    assert all(isinstance(message, MicFrame) for message, _ in before)
    assert not any(any(pcm) for _, pcm in before)

    family.send("capture", "ears", open=True)  # the network process, which has been told; nothing may be lost by it
    taken = take(microphone, quiet_at_last)
    after = [(message, pcm) for message, pcm in taken if isinstance(message, MicFrame)]
    assert [message.seq for message, _ in after] == list(range(after[0][0].seq, after[0][0].seq + len(after)))
    assert [message.phase for message, _ in taken if isinstance(message, LocalSpeech)] == ["started"]
    assert isinstance(word, LocalSpeech)
    assert (word.captured_ns - after[0][0].captured_ns) / _NS_PER_MS == pytest.approx(KEPT_MS - 20, abs=40)
    assert loud_ms(b"".join(pcm for _, pcm in after)) == pytest.approx(said.call_ms, abs=50)
    # Neither a hole nor an overlap where what was kept meets what is live.
    told_ms = (after[-1][0].captured_ns - after[0][0].captured_ns) / _NS_PER_MS
    assert told_ms == pytest.approx((len(after) - 1) * 20, abs=60)

    family.send("capture", "ears", open=False)
    take(microphone, lambda taken: any(pcm and not any(pcm) for _, pcm in taken))
    sound.play(said.sentence).wait()
    assert not any(any(pcm) for _, pcm in take(microphone, lambda taken: len(taken) > 50))


def test_nothing_is_connected_before_the_word_and_what_was_said_with_it_is_sent(sound: SoundServer, said: Said) -> None:
    with ScriptedServer() as peer, running(compatible(peer.url, "idle_disconnect_s = 5") + WAKE, sound.env) as (_, client):
        with client.events("wake", "speech", "state") as told:
            assert client.status()["state"] == "asleep"
            sound.play(said.sentence).wait()
            assert peer.requests == []
            sound.play(said.call)
            event = told.next(10)
            assert event is not None
            assert (event.topic, event.data["word"]) == ("wake", WORD)
        peer.wait_for_client()

        def sent() -> bytes:
            return b"".join(each.event.audio for each in list(peer.received) if isinstance(each.event, InputAudioAppend))

        until(lambda: loud_ms(sent()) > 0 and loud_ms(sent()[-300 * BYTES_PER_MS :]) == 0, "the end of the call at the server")
        assert loud_ms(sent()) == pytest.approx(said.call_ms, abs=50)
        peer.hear("Hey Mycroft, what time is it?")
        peer.end_reply(peer.begin_reply())
        until(lambda: client.status()["state"] == "asleep", "sleep")
        assert peer.connections == 1


def test_the_question_behind_the_word_is_answered(sound: SoundServer, speaker: Recorder, said: Said) -> None:
    with running('[realtime]\nprovider = "embedded"\n' + WAKE, sound.env) as (daemon, client):
        assert client.status()["state"] == "asleep"
        with client.events("wake", "transcript.user", "state") as told:
            sound.play(said.sentence).wait()
            sound.play(said.call)
            events = [event for event in _until_answered(told)]
            topics = [event.topic for event in events]
            assert topics.index("wake") < topics.index("transcript.user")
            assert (
                "time" in next(event.data["text"] for event in events if event.topic == "transcript.user" and event.data["final"]).lower()
            )
        assert [turn["role"] for turn in client.transcript()][:2] == ["user", "assistant"]
        assert "Traceback" not in daemon.log


def _until_answered(told: Events) -> Iterator[Event]:
    for event in told:
        yield event
        if event.topic == "state" and event.data["state"] == "speaking":
            return
    raise AssertionError("the daemon ended before it answered")


def test_without_the_package_it_ends_with_a_line_that_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pymicro_wakeword.py").write_text("raise ImportError('not here')")
    null = '[audio.capture]\ndevice = "null"\n[audio.playback]\ndevice = "null"\n'
    with Daemon('[realtime]\nprovider = "embedded"\n' + WAKE + null, {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}) as daemon:
        assert daemon.process.wait(10) == PackageMissing.exit_status
        assert "pip install 'pymicro-wakeword" in daemon.log
        assert "Traceback" not in daemon.log
