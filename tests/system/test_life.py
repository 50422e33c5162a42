"""The daemon's life: mute on the wire, a clean end, and every bad start or bad peer met with one clear line."""

import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripted_server import Manner, ScriptedServer
from tests.system.daemon import Daemon, compatible, running
from voiced.demo.soundserver import SoundServer
from voiced.network import events
from voiced.network.events import InputAudioAppend

pytestmark = pytest.mark.system

NO_SOUND_CARD = '[audio.capture]\ndevice = "null"\n[audio.playback]\ndevice = "null"\n'
SAID = b"\x10\x27" * 48_000  # 2 s
#: What left before the answer to a mute may be on its way for so long.
ON_ITS_WAY_NS = 200_000_000


@pytest.fixture
def peer() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def appends(peer: ScriptedServer, since_ns: int) -> list[bytes]:
    heard = [received for received in peer.received if received.mono_ns >= since_ns]
    return [received.event.audio for received in heard if isinstance(received.event, InputAudioAppend)]


def test_muted_means_that_no_sample_is_on_the_wire(sound: SoundServer, peer: ScriptedServer) -> None:
    with running(compatible(peer.url), sound.env) as (_, client):
        speech = sound.play(SAID * 4)
        peer.until(lambda event: isinstance(event, InputAudioAppend) and any(event.audio))
        assert client.mute() is True
        # What left before the answer comes before the first silence.
        peer.until(lambda event: isinstance(event, InputAudioAppend) and not any(event.audio), since=len(peer.received))
        muted_ns = time.monotonic_ns()
        assert client.status()["state"] == "muted"
        for _ in range(50):
            peer.until(lambda event: isinstance(event, InputAudioAppend), since=len(peer.received))
        assert len(appends(peer, muted_ns)) >= 50
        assert not any(any(audio) for audio in appends(peer, muted_ns))
        assert client.toggle_mute() is False
        peer.until(lambda event: isinstance(event, InputAudioAppend) and any(event.audio), since=len(peer.received))
        speech.stop()


def test_mute_holds_from_its_answer_on(sound: SoundServer, peer: ScriptedServer) -> None:
    """The strict half: nothing that the server receives a moment after the answer is older than the answer."""
    with running(compatible(peer.url), sound.env) as (_, client):
        speech = sound.play(SAID * 10)
        for _ in range(5):
            client.unmute()
            peer.until(lambda event: isinstance(event, InputAudioAppend) and any(event.audio), since=len(peer.received))
            client.mute()
            silent_ns = time.monotonic_ns() + ON_ITS_WAY_NS
            while len(appends(peer, silent_ns)) < 5:
                peer.until(lambda event: isinstance(event, InputAudioAppend), since=len(peer.received))
            assert not any(any(audio) for audio in appends(peer, silent_ns))
        speech.stop()


def mapped_below(directory: str, pid: int) -> list[Path]:
    """The files there that the process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [Path(directory + line.partition(directory)[2]) for line in lines if directory in line]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_within_two_seconds_and_leaves_nothing(peer: ScriptedServer, signum: signal.Signals) -> None:
    with Daemon(compatible(peer.url) + NO_SOUND_CARD) as daemon:
        daemon.wait_until_ready()
        pids = daemon.family()
        assert len(pids) == 4
        shared_memory = {path for pid in pids for path in mapped_below("/dev/shm/", pid)}
        began = time.monotonic()
        daemon.process.send_signal(signum)
        assert daemon.process.wait(5) == 0
        assert time.monotonic() - began < 2
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert not daemon.runtime_dir.exists()
        assert not any(path.exists() for path in shared_memory)
        assert "Traceback" not in daemon.log


def test_shutdown_by_command_is_clean_too(peer: ScriptedServer) -> None:
    with running(compatible(peer.url) + NO_SOUND_CARD) as (daemon, client):
        client.shutdown()
        assert daemon.process.wait(5) == 0
        assert not daemon.runtime_dir.exists()


def test_the_runtime_directory_is_for_the_user_alone(peer: ScriptedServer) -> None:
    with Daemon(compatible(peer.url) + NO_SOUND_CARD) as daemon:
        daemon.wait_until_ready()
        assert stat.S_IMODE(daemon.runtime_dir.stat().st_mode) == 0o700
        for entry in daemon.runtime_dir.iterdir():
            assert stat.S_IMODE(entry.stat().st_mode) & 0o077 == 0, entry


def refused(daemon: Daemon, status: int, *words: str) -> None:
    """The daemon leaves with that status, and its log has one line with these words and no traceback."""
    assert daemon.process.wait(20) == status, daemon.log
    complaints = [line for line in daemon.log.splitlines() if line.startswith("voiced: ")]
    assert len(complaints) == 1, daemon.log
    for word in words:
        assert word in complaints[0]
    assert "Traceback" not in daemon.log
    assert not daemon.runtime_dir.exists()


def test_no_sound_device(sound: SoundServer, peer: ScriptedServer) -> None:
    with Daemon(compatible(peer.url), {**sound.env, "PULSE_SERVER": "unix:/nonexistent"}) as daemon:
        refused(daemon, 71, "device", "null")


@pytest.mark.parametrize("direction", ["capture", "playback"])
def test_a_device_that_does_not_exist(sound: SoundServer, peer: ScriptedServer, direction: str) -> None:
    with Daemon(compatible(peer.url) + f'[audio.{direction}]\ndevice = "gramophone"\n', sound.env) as daemon:
        refused(daemon, 78, "gramophone", f"audio.{direction}.device")


def test_a_sound_server_that_goes_away_is_told_and_survived(sound: SoundServer, peer: ScriptedServer) -> None:
    with running(compatible(peer.url), sound.env) as (daemon, client):
        with client.events("process") as told:
            sound.close()
            names = set()
            while names != {"playback"}:
                event = told.next(timeout_s=15)
                assert event is not None
                if event.data["state"] != "ready":
                    names.add(event.data["name"])
                    assert event.data["reason"]
        assert "the sound server went away" in daemon.log
        assert client.ping()["pid"] == daemon.process.pid
        assert "Traceback" not in daemon.log


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("http://127.0.0.1/v1/realtime", 78, ("ws://", "realtime.url")),
        ("ws://", 78, ("realtime.url",)),
    ],
)
def test_a_url_that_is_none(url: str, status: int, words: tuple[str, ...]) -> None:
    with Daemon(compatible(url) + NO_SOUND_CARD) as daemon:
        refused(daemon, status, *words)


def test_a_refused_key(peer: ScriptedServer) -> None:
    peer.manner = Manner(refuse=401)
    with Daemon(compatible(peer.url, 'api_key_env = "OPENAI_API_KEY"') + NO_SOUND_CARD, {"OPENAI_API_KEY": "sk-not-to-be-seen"}) as daemon:
        refused(daemon, 77, "key")
        assert "sk-not-to-be-seen" not in daemon.log


def test_the_key_is_in_no_log_no_status_and_no_command_line(peer: ScriptedServer) -> None:
    key = "sk-not-to-be-seen"
    config = compatible(peer.url, 'api_key_env = "OPENAI_API_KEY"') + NO_SOUND_CARD + '[log]\nlevel = "debug"\n'
    with running(config, {"OPENAI_API_KEY": key}) as (daemon, client):
        assert peer.requests[0].headers["authorization"] == f"Bearer {key}"
        assert key not in repr(client.status())
        assert key not in daemon.log
        for pid in daemon.family():
            assert key.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
            if pid != daemon.process.pid:  # whose environment it was given in
                assert key.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_server_that_is_not_there_is_waited_for(peer: ScriptedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Daemon(compatible(f"ws://127.0.0.1:{port}/v1/realtime") + NO_SOUND_CARD) as daemon:
        deadline = time.monotonic() + 20
        while not (daemon.runtime_dir / "control").exists():
            assert time.monotonic() < deadline
        with daemon.client() as client, client.events("session") as told:
            event = told.next(timeout_s=20)
            assert event is not None
            assert event.data["connected"] is False
            assert event.data["retry_in_s"] > 0
            assert client.status()["state"] in ("offline", "connecting")
        assert "Traceback" not in daemon.log


NONSENSE = {
    "not JSON": b"hello",
    "no object": b"[1, 2]",
    "an unknown event": b'{"type": "response.sung"}',
    "missing fields": b'{"type": "response.output_audio.delta"}',
    "wrong types": b'{"type": "input_audio_buffer.speech_started", "item_id": 7}',
    "not base64": b'{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "*"}',
    "an odd number of bytes": b'{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "AAAA"}',
    "16 MB": b'{"type": "response.sung", "song": "' + b"la" * (8 << 20) + b'"}',
}


def test_a_server_that_talks_nonsense_ends_nothing(peer: ScriptedServer) -> None:
    with running(compatible(peer.url) + NO_SOUND_CARD) as (daemon, client):
        with client.events("error", "transcript.user") as told:
            for text in NONSENSE.values():
                peer.send_text(text)
            peer.roundtrip()
            peer.send(events.TranscriptionCompleted(item_id="user", transcript="still here"))
            seen = []
            while not seen or seen[-1].topic != "transcript.user":
                event = told.next(timeout_s=10)
                assert event is not None
                seen.append(event)
        assert seen[-1].data["text"] == "still here"
        assert any(event.topic == "error" for event in seen)
        assert client.status()["session"]["connected"] is True
        assert peer.connections == 1
        assert "Traceback" not in daemon.log


def test_a_second_daemon_is_refused_and_the_first_one_lives(peer: ScriptedServer) -> None:
    with running(compatible(peer.url) + NO_SOUND_CARD) as (first, client):
        second = Daemon(compatible(peer.url) + NO_SOUND_CARD)
        second.env["VOICED_RUNTIME_DIR"] = str(first.runtime_dir)
        with second:
            assert second.process.wait(10) == 75
            assert str(first.process.pid) in second.log
            assert "Traceback" not in second.log
        assert client.ping()["pid"] == first.process.pid


def test_stale_sockets_are_no_obstacle(peer: ScriptedServer) -> None:
    daemon = Daemon(compatible(peer.url) + NO_SOUND_CARD)
    daemon.runtime_dir.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(daemon.runtime_dir / "control"))
    with daemon, daemon.wait_until_ready().client() as client:
        assert client.ping()["pid"] == daemon.process.pid


def test_a_broken_configuration_names_every_problem() -> None:
    broken = '[realtime]\nprovidr = "openai"\n[audio]\nframe_ms = 15\n[turn]\nthreshold = "high"\n'
    with Daemon(broken) as daemon:
        assert daemon.process.wait(10) == 78
        lines = daemon.log.splitlines()
        assert len(lines) == 3
        assert "realtime.provider" in daemon.log
        assert all(line.startswith("voiced: ") for line in lines)
    with Daemon("this is not = toml [") as daemon:
        refused(daemon, 78, "config.toml")


def test_levels_come_ten_times_a_second_while_anybody_looks(sound: SoundServer, peer: ScriptedServer) -> None:
    as_it_is = '[audio]\necho_cancellation = "off"\nnoise_suppression = false\n'  # a constant is no sound to a canceller
    with running(compatible(peer.url, as_it_is), sound.env) as (_, client):
        with client.events("level") as told:
            speech = sound.play(SAID)
            seen = [told.next(timeout_s=5) for _ in range(20)]
            speech.stop()
        assert all(event is not None for event in seen)
        heard = [event for event in seen if event is not None]
        assert 1.0 < heard[-1].time - heard[0].time < 4.0
        assert max(event.data["input_dbfs"] for event in heard) == pytest.approx(-10.3, abs=0.5)
        assert all(event.data["output_dbfs"] == -96.0 for event in heard)
