"""`voicectl doctor` as people run it: on a sound server with open loudspeakers, without one, and beside the daemon."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.scripted_server import ScriptedServer
from tests.system.daemon import compatible, running
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import SAID, SPEAKER, SoundServer

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
NO_SOUND = '[audio.capture]\ndevice = "null"\n[audio.playback]\ndevice = "null"\n'
#: What PulseAudio makes of 10 dB less: its scale is cubic.
MINUS_10_DB = "68%"


def doctor(
    home: Path, *words: str, config: str = "", env: Mapping[str, str] | None = None, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    (home / "voiced").mkdir(exist_ok=True)
    if config:
        (home / "voiced" / "config.toml").write_text(config)
    left_out = ("VOICED_", "OPENAI_", "AZURE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    own = {"VOICED_RUNTIME_DIR": str(home / "run"), "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "voicectl", "doctor", *words]
    done = subprocess.run(command, env=inherited | own | dict(env or {}), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_open_loudspeakers_are_measured(sound: SoundServer, speaker: Recorder, home: Path) -> None:
    """An echo of 60 ms and -10 dB, and the embedded server. The recorders keep the null devices awake."""
    sound.listen_to_microphone()
    sound.load_echo(60)
    echo = next(line.split("\t")[0] for line in sound.pactl("list", "short", "sink-inputs").splitlines())
    sound.pactl("set-sink-input-volume", echo, MINUS_10_DB)
    # A long buffer: other tests may keep this machine busy.
    done = doctor(home, "--json", config="[audio.playback]\nbuffer_ms = 500\n", env=sound.env)
    found = findings(done)
    assert done.returncode == 0, done.stdout
    assert found["microphone"]["verdict"] == found["loudspeaker"]["verdict"] == "ok"
    assert found["round trip"]["figure"] == pytest.approx(60, abs=10)
    assert found["round trip"]["details"]["delay_spread_ms"] < 3
    assert found["echo"]["figure"] == pytest.approx(10, abs=1)
    assert found["canceller"]["verdict"] == "ok"
    assert found["canceller"]["figure"] > 20
    assert found["key"]["details"]["provider"] == "embedded"
    assert found["connection"]["verdict"] == "ok"
    assert found["connection"]["figure"] > 0


def test_a_microphone_that_gives_nothing_is_switched_off(sound: SoundServer, home: Path) -> None:
    sound.pactl("set-sink-mute", SAID, "1")
    done = doctor(home, "--silent", "--offline", "--json", env=sound.env)
    assert done.returncode == 1
    assert findings(done)["noise"]["details"]["digital_silence"] is True
    assert "Unmute it" in findings(done)["noise"]["remedy"]


def test_a_canceller_of_the_sound_server_is_recognised(sound: SoundServer, home: Path) -> None:
    sound.pactl("load-module", "module-echo-cancel", f"source_master={SAID}.monitor", f"sink_master={SPEAKER}", "source_name=quiet")
    sound.pactl("set-default-source", "quiet")
    done = doctor(home, "--silent", "--offline", "--json", config='[audio]\necho_cancellation = "on"\n', env=sound.env)
    assert findings(done)["canceller"]["settings"] == {"audio.echo_cancellation": "auto"}


def test_a_device_that_is_gone_is_mended_in_the_file(sound: SoundServer, home: Path) -> None:
    config = '# mine\n[audio.playback]\nvolume = 80 # not too loud\ndevice = "conch"\n'
    file = home / "voiced" / "config.toml"
    asked = doctor(home, "--silent", "--offline", "--fix", config=config, env=sound.env)
    assert asked.returncode == 1
    assert '-device = "conch"' in asked.stdout
    assert "Nothing is written." in asked.stdout
    assert file.read_text() == config
    done = doctor(home, "--silent", "--offline", "--fix", "--yes", env=sound.env)
    assert done.returncode == 1
    assert "No output device like 'conch'" in done.stdout
    assert "+device = " in done.stdout
    assert file.read_text() == config.replace('"conch"', '""')
    assert (home / "voiced" / "config.toml.bak").read_text() == config


@pytest.fixture
def peer() -> Iterator[ScriptedServer]:
    with ScriptedServer() as made:
        yield made


def test_the_daemon_does_not_hear_the_test_and_hears_again_after_it(peer: ScriptedServer, sound: SoundServer, home: Path) -> None:
    config = compatible(peer.url)
    with running(config, sound.env) as (daemon, client), client.events("state") as states:
        env = {**sound.env, "VOICED_RUNTIME_DIR": str(daemon.runtime_dir)}
        done = doctor(home, "--silent", "--json", config=config, env=env)
        assert client.status()["muted"] is False
        seen: list[str] = []
        while "muted" not in seen:
            event = states.next(10)
            assert event is not None, seen
            seen.append(event.data.get("state", ""))
    found = findings(done)
    assert "off during the test" in found["daemon"]["meaning"]
    assert found["scheduling"]["details"]["daemon"] in ("real-time", "preferred", "ordinary")
    assert (found["key"]["verdict"], found["connection"]["verdict"]) == ("ok", "ok")


def test_a_daemon_that_was_muted_stays_so(peer: ScriptedServer, home: Path) -> None:
    with running(compatible(peer.url) + NO_SOUND) as (daemon, client):
        client.mute()
        done = doctor(home, "--offline", "--json", config=NO_SOUND, env={"VOICED_RUNTIME_DIR": str(daemon.runtime_dir)})
        assert client.status()["muted"] is True
    assert "off already" in findings(done)["daemon"]["meaning"]
    assert "goes by compatible" in findings(done)["key"]["remedy"]


def test_without_a_sound_server_it_says_what_is_missing(home: Path) -> None:
    env = {
        "PULSE_SERVER": f"unix:{home}/nobody",
        "PULSE_RUNTIME_PATH": str(home),
        "PIPEWIRE_RUNTIME_DIR": str(home),
        "XDG_RUNTIME_DIR": str(home),
    }
    done = doctor(home, "--offline", env=env)
    assert done.returncode == 1
    assert "✗ loudspeaker" in done.stdout
    assert "✗ microphone" in done.stdout


def test_a_key_that_is_missing_fails_and_nothing_is_connected(home: Path) -> None:
    done = doctor(home, "--json", config=NO_SOUND + '[realtime]\nprovider = "openai"\n')
    assert done.returncode == 1
    assert findings(done)["key"]["details"]["code"] == "key_refused"
    assert "connection" not in findings(done)


def test_settings_that_are_wrong_are_all_told(home: Path) -> None:
    done = doctor(home, "--offline", config=NO_SOUND + '[turn]\nmode = "telepathy"\n[log]\nlevel = "loud"\n')
    assert done.returncode == 1
    assert "telepathy" in done.stdout
    assert "loud" in done.stdout


def test_a_terminal_without_utf8_gets_ascii(home: Path) -> None:
    done = doctor(home, "--offline", config=NO_SOUND, encoding="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert done.stdout.startswith("+ settings")


@pytest.mark.parametrize(("words", "status"), [(("--help",), 0), (("--nonsense",), 2), (("--config", "/nonexistent", "--offline"), 1)])
def test_its_exit_status(home: Path, words: tuple[str, ...], status: int) -> None:
    done = doctor(home, *words, env={"VOICED_AUDIO__CAPTURE__DEVICE": "null"})
    assert done.returncode == status
    assert "Usage: voicectl doctor" in done.stdout + done.stderr or "no configuration file /nonexistent" in done.stdout
