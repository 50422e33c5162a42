import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from tests.supervisor.running import daemon
from tests.until import until
from voiced.flight import Ring
from voiced.messages import MicFrame, MonoNs
from voiced.supervisor.flights import Flights


class Writer:
    """Flights, what they complained of, and a ring with one record."""

    def __init__(self, directory: Path | None) -> None:
        self.complaints: list[str] = []
        self.flights = Flights(directory, self.complaints.append)
        self._ring = Ring()
        self._ring.note(True, MicFrame(4711, MonoNs(1), False), 960)

    def write(self, name: str, now_s: float, *, always: bool = False) -> Path | None:
        path = self.flights.write(name, f"{name} died", {"capture": self._ring}, now_s, always=always)
        self.flights.wait()
        return path


def test_a_file_says_what_went_by_and_is_nobody_else_s(home: Path) -> None:
    path = Writer(home).write("capture", 100.0)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_text()
    assert text.startswith("voiced ")
    assert "capture died" in text.splitlines()[0]
    assert "-> MicFrame     seq 4711 960 B of sound" in text.splitlines()[-1]


def test_a_process_that_dies_again_and_again_makes_one_file_of_it(home: Path) -> None:
    writer = Writer(home)
    assert writer.write("a", 100.0)
    assert writer.write("b", 105.0) is None
    assert writer.write("c", 106.0, always=True)
    assert writer.write("d", 117.0)


def test_few_files_are_kept_the_newest(home: Path) -> None:
    (home / "flights").mkdir()
    kept = home / "flights" / "notes.txt"
    kept.write_text("mine")
    for number in range(12):
        (home / "flights" / f"flight-2026-01-{number + 1:02}T00-00-00-capture.txt").touch()
    newest = Writer(home).write("network", 100.0)
    left = sorted(entry.name for entry in (home / "flights").iterdir())
    assert len(left) == 9
    assert {kept.name, "flight-2026-01-12T00-00-00-capture.txt", newest.name if newest else ""} <= set(left)


def test_without_a_directory_nothing_is_written() -> None:
    assert Writer(None).write("capture", 100.0) is None


def test_where_no_thread_can_be_started_all_else_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = Writer(home)
    monkeypatch.setattr(threading.Thread, "start", refused)
    assert writer.write("capture", 100.0) is None


def test_a_disk_that_refuses_is_told_of(home: Path) -> None:
    (home / "flights").write_text("a file in the place of the directory")
    writer = Writer(home)
    assert writer.write("capture", 100.0)
    assert len(writer.complaints) == 1
    assert writer.complaints[0].endswith("could not be written: File exists")


@pytest.mark.system
def test_a_process_that_dies_leaves_what_it_said(home: Path) -> None:
    with daemon(home) as running:
        running.wait_until_ready()
        os.kill(running.children()["capture"], signal.SIGKILL)
        running.wait_for_log("what went over the bus in the 30 s before: ")
        [line] = [line for line in running.log().splitlines() if "what went over" in line]
        path = Path(line.rpartition("before: ")[2])
        until(lambda: path.exists() and path.read_text().endswith("\n"), "the file")
        text = path.read_text()
        assert "the capture process died: killed by SIGKILL" in text
        assert {"capture", "network", "playback"} <= {line.split()[1] for line in text.splitlines()[3:]}
        assert "-> Ready" in text


@pytest.mark.system
def test_somebody_may_ask_for_it(home: Path) -> None:
    with daemon(home) as running:
        running.wait_until_ready()
        running.process.send_signal(signal.SIGUSR1)
        running.wait_for_log("what went over the bus")
        written = (home / "state/voiced/flights").glob
        until(lambda: any("asked for by SIGUSR1" in path.read_text() for path in written("flight-*-voiced.txt")), "the file")
        assert running.stop()[0] == 0
