"""The real daemon, driven from another machine as people do it: by `voicectl --host`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.remote.test_remote import free_port
from tests.scripted_server import ScriptedServer
from tests.system.daemon import compatible, running
from voicectl import Client
from voiced.network import events

pytestmark = pytest.mark.system
_ROOT = Path(__file__).parents[2]


def shell(config_home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VOICED_")}
    env = clean | {"XDG_CONFIG_HOME": str(config_home), "VOICED_RUNTIME_DIR": "/nonexistent", "PYTHONPATH": str(_ROOT)}
    return subprocess.run([sys.executable, "-m", *words], env=env, capture_output=True, text=True, timeout=30)


def test_from_the_desk_to_the_kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kitchen, desk, port = tmp_path / "kitchen", tmp_path / "desk", free_port()
    settings = '[audio.capture]\ndevice = "null"\n[audio.playback]\ndevice = "null"\n' + f'[remote]\nlisten = "127.0.0.1:{port}"\n'
    with ScriptedServer() as server, running(compatible(server.url) + settings, {"XDG_CONFIG_HOME": str(kitchen)}) as (daemon, local):
        key = shell(kitchen, "voiced", "keys").stdout.split("voicectl hosts add ")[1].split()[2]
        made_known = shell(desk, "voicectl", "hosts", "add", "kitchen", f"127.0.0.1:{port}", key).stdout
        refused = shell(desk, "voicectl", "--host", "kitchen", "status")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "voiced keys allow" in refused.stderr
        shell(kitchen, *made_known.split("\n")[1].split())
        status = json.loads(shell(desk, "voicectl", "--host", "kitchen", "--json", "status").stdout)
        assert status["pid"] == daemon.process.pid
        assert {row["name"]: row["state"] for row in status["processes"]}["remote"] == "ready"
        assert shell(desk, "voicectl", "--host", "kitchen", "mute").returncode == 0
        assert local.status()["muted"] is True
        assert shell(desk, "voicectl", "--host", "kitchen", "shutdown").returncode == 1
        monkeypatch.setenv("XDG_CONFIG_HOME", str(desk))
        with Client(host="kitchen") as client, client.events("state") as told:
            local.unmute()
            event = told.next(10.0)
            assert event is not None
            assert event.data["previous"] == "muted"
        asked = shell(desk, "voicectl", "--host", "kitchen", "ask", "What time is it?")
        assert asked.returncode == 0, asked.stderr
        server.until(lambda event: isinstance(event, events.ItemCreate))
        family = daemon.family()
        local.shutdown()
        assert daemon.process.wait(10) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)
