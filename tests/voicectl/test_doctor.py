"""The microphone of a running daemon, off for as long as `voicectl doctor` tests, and given back."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor import running
from tests.supervisor.running import Daemon
from tests.until import until
from voicectl import doctor

pytestmark = pytest.mark.system


@pytest.fixture
def daemon(ready_daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setenv("VOICED_RUNTIME_DIR", str(ready_daemon.runtime))
    return ready_daemon


class Checks:
    """A shell script in their place."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._program, self.told = folder / "python", folder / "told"
        self._monkeypatch = monkeypatch

    def do(self, script: str) -> None:
        self._program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" | tail -n 1 >"{self.told}"\n{script}\n')
        self._program.chmod(0o755)
        self._monkeypatch.setattr("sys.executable", str(self._program))

    @property
    def word(self) -> Any:
        return json.loads(self.told.read_text())


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checks:
    return Checks(tmp_path, monkeypatch)


VOICECTL = f"PYTHONPATH={running.ROOT} {sys.executable} -m voicectl"


def muted(daemon: Daemon) -> bool:
    with daemon.client() as client:
        return bool(client.status()["muted"])


def test_it_is_off_meanwhile_and_on_again(daemon: Daemon, checks: Checks, tmp_path: Path) -> None:
    checks.do(f"{VOICECTL} --json status >{tmp_path}/status; exit 1")
    assert doctor.run([], 5.0) == 1
    assert json.loads((tmp_path / "status").read_text())["muted"] is True
    assert checks.word["complaint"] is None
    assert not muted(daemon)


def test_what_somebody_switches_meanwhile_stays_so(daemon: Daemon, checks: Checks) -> None:
    checks.do(f"{VOICECTL} unmute && {VOICECTL} mute")
    assert doctor.run([], 5.0) == 0
    assert muted(daemon)
    with daemon.client() as client:
        client.unmute()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_before_the_checks_leaves_it_on(number: int, daemon: Daemon, checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    checks.do("exit 0")
    mute = doctor._mute

    def interrupted(client: Any) -> str | None:
        os.kill(os.getpid(), number)
        return mute(client)

    monkeypatch.setattr(doctor, "_mute", interrupted)
    assert doctor.run([], 5.0) == 128 + number
    assert not checks.told.exists()
    assert not muted(daemon)


def test_a_signal_during_the_checks_ends_them_and_gives_it_back(daemon: Daemon, checks: Checks, tmp_path: Path) -> None:
    checks.do("exec sleep 60")
    done: list[int] = []

    def end() -> None:
        until(checks.told.exists, "checks")
        os.kill(os.getpid(), signal.SIGTERM)

    ending = threading.Thread(target=end)
    ending.start()
    done.append(doctor.run([], 5.0))
    ending.join()
    assert done == [128 + signal.SIGTERM]
    assert not muted(daemon)


def test_a_daemon_that_does_not_answer_any_more_is_told_of(
    home: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running.daemon(home) as hanging:
        hanging.wait_until_ready()
        monkeypatch.setenv("VOICED_RUNTIME_DIR", str(hanging.runtime))
        checks.do(f"kill -STOP {hanging.process.pid}")
        assert doctor.run([], 5.0) == 0
        os.kill(hanging.process.pid, signal.SIGCONT)
        told = capsys.readouterr().err
        assert told.startswith("voicectl: voiced is still muted (no answer within")
        assert told.endswith("): voicectl unmute\n")


def test_a_daemon_that_ended_meanwhile_is_nothing_to_tell(
    home: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running.daemon(home) as ending:
        ending.wait_until_ready()
        monkeypatch.setenv("VOICED_RUNTIME_DIR", str(ending.runtime))
        checks.do(
            f"{VOICECTL} shutdown; while kill -0 {ending.process.pid} 2>/dev/null && [ -S {ending.runtime}/control ]; do sleep 0.02; done"
        )
        assert doctor.run([], 5.0) == 0
        assert capsys.readouterr().err == ""
