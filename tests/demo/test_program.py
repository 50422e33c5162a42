"""The demonstration as a user runs it, on both sound servers, and what it says where something is missing."""

import os
import select
import shutil
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from voiced.demo.program import converse
from voiced.demo.show import Show
from voiced.demo.soundserver import PipeWireServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

DEMO = [sys.executable, "-m", "voiced", "--demo"]


def environment(home: Path, **more: str) -> dict[str, str]:
    return os.environ | {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), **more}


def seconds(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())


def processes_of(home: Path) -> list[str]:
    """The command lines of everything that runs with this home: whoever inherited it is the demonstration's."""
    mark = f"HOME={home}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes() + b"\0":
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile
    return found


def test_all_of_it_happens_and_is_shown(tmp_path: Path) -> None:
    done = subprocess.run(DEMO, env=environment(tmp_path), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    shown = done.stdout
    order = [
        "ready",
        "Please count to fifty",
        "understood",
        "answers",
        "What time is it",
        "silence",
        "flush",
        "truncated",
        "It is",
        "ended",
    ]
    places = [shown.index(word) for word in order]
    assert places == sorted(places)
    recordings = tmp_path / "state" / "voiced" / "demo"
    assert str(recordings / "speaker.wav") in shown
    assert seconds(recordings / "speaker.wav") > 6
    assert seconds(recordings / "microphone.wav") > 6
    assert processes_of(tmp_path) == []


def test_the_same_on_pipewire(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert converse(Show(), tmp_path, PipeWireServer()) == [], capsys.readouterr().out


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pulseaudio", "pactl", "parec", "pacat", "setpriv"):
        found = shutil.which(name)
        assert found, f"the tests need {name}"
        (programs / name).symlink_to(found)
    without_flite = subprocess.run(DEMO, env=environment(tmp_path, PATH=str(programs)), capture_output=True, text=True)
    assert without_flite.returncode == 1
    assert "FAILED: flite, which speaks your part, is missing" in without_flite.stdout, without_flite.stdout
    assert without_flite.stderr == ""

    (programs / "parec").unlink()
    without_parec = subprocess.run(DEMO, env=environment(tmp_path, PATH=str(programs)), capture_output=True, text=True)
    assert without_parec.returncode == 1
    assert "needs parec" in without_parec.stdout
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_of_it(tmp_path: Path, number: signal.Signals, status: int) -> None:
    with subprocess.Popen(DEMO, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        shown = []
        for line in demo.stdout:
            shown.append(line)
            if "you say" in line:
                break
        assert "you say" in shown[-1], "".join(shown)
        demo.send_signal(number)
        assert demo.wait(30) == status
        assert demo.stderr.read() == ""
    assert processes_of(tmp_path) == []


def test_no_daemon_outlives_a_killed_demonstration(tmp_path: Path) -> None:
    with subprocess.Popen(DEMO, env=environment(tmp_path), stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert any("ready" in line for line in demo.stdout)
        (daemon,) = (int(pid) for pid in Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split() if is_daemon(pid))
        with open(os.pidfd_open(daemon), "rb") as gone:
            demo.kill()
            assert select.select([gone], [], [], 20)[0]


def is_daemon(pid: str) -> bool:
    return b"--config" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_recordings_that_can_not_be_replaced_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "state" / "voiced" / "demo" / "voiced.log").mkdir(parents=True)
    done = subprocess.run(DEMO, env=environment(tmp_path), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAILED: [Errno 21] Is a directory" in done.stdout
    assert processes_of(tmp_path) == []
