import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.running import daemon
from tests.supervisor.test_headline import session, status
from voiced.supervisor.policy import State
from voiced.supervisor.service import Service


class Systemd:
    """Its end of the socket, and the service that talks to it."""

    def __init__(self, listening: socket.socket, path: Path) -> None:
        self._listening = listening
        self.shown = status()
        self.service = Service({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "4000000"}, lambda: self.shown)
        self.service.changed("capture", State.READY, "", 0.0)

    def told(self) -> list[str]:
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self._listening.recv(4096).decode())
        return messages


@pytest.fixture
def systemd(home: Path) -> Iterator[Systemd]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(home / "notify"))
        listening.setblocking(False)
        yield Systemd(listening, home / "notify")


def test_ready_and_the_status_come_together(systemd: Systemd) -> None:
    systemd.service.ready(1.0)
    assert systemd.told() == ["READY=1\nSTATUS=listening · gpt-realtime-2.1"]


def test_ready_and_the_last_status_reach_a_systemd_that_was_busy(systemd: Systemd) -> None:
    for now_s in range(0, 10_000, 2):  # more than net.unix.max_dgram_qlen
        systemd.service.beat("capture", {"frames": now_s}, now_s)
        systemd.service.keep_time(now_s)
    systemd.service.ready(10_000.0)
    systemd.shown = status("muted")
    systemd.service.keep_time(10_000.0)
    assert not any("READY" in message for message in systemd.told())
    systemd.service.keep_time(10_000.0)
    assert systemd.told() == ["READY=1\nSTATUS=muted · gpt-realtime-2.1 · 2 h 46 min"]


@pytest.mark.parametrize(("failure", "shown"), [("", ""), ("no key\nMAINPID=1", "failed · no key MAINPID=1")])
def test_the_last_word_is_why_it_failed_or_none(systemd: Systemd, failure: str, shown: str) -> None:
    systemd.service.stopping(failure)
    systemd.shown = status("connecting")
    systemd.service.keep_time(1.0)
    assert systemd.told() == [f"STOPPING=1\nSTATUS={shown}", "WATCHDOG=1"]


def test_it_is_fed_at_half_of_what_systemd_waits(systemd: Systemd) -> None:
    systemd.service.ready(1.0)
    for tenths in range(10, 70):
        systemd.service.beat("capture", {"frames": tenths}, tenths / 10)
        systemd.service.keep_time(tenths / 10)
    assert systemd.told()[1:] == ["WATCHDOG=1"] * 3
    assert systemd.service.deadline_s == 7.0


def test_it_goes_hungry_where_no_frames_flow_and_says_so_once(systemd: Systemd) -> None:
    systemd.service.ready(1.0)
    said = [systemd.service.keep_time(float(now_s)) for now_s in range(1, 21)]
    assert [line for line in said if line] == ["the microphone's frames stand still"]
    assert systemd.told().count("WATCHDOG=1") == 4


@pytest.mark.parametrize("state", ["muted", "asleep", "offline", "idle"])
def test_no_state_that_is_in_order_starves_it(systemd: Systemd, state: str) -> None:
    """Silence is counted as sound is, where the microphone is shut on purpose or its device is away."""
    away = {"capture": {"open": False}, "playback": {"open": False}}
    systemd.shown = status(state, muted=state == "muted", session=session(connected=False), audio=away)
    fed = 0
    for now_s in range(3600):
        systemd.service.beat("capture", {"frames": 50 * now_s}, now_s)
        assert systemd.service.keep_time(now_s) == ""
        fed += systemd.told().count("WATCHDOG=1")
    assert fed == 1800


def test_what_thinks_is_taken_from_the_embedded_server(systemd: Systemd) -> None:
    systemd.shown = status(session=session(provider="embedded"))
    for brain, shown in (("loading", "embedded"), ("smollm2", "embedded smollm2")):
        systemd.service.beat("embedded", {"brain": brain}, 0.0)
        systemd.service.keep_time(0.0)
        assert f"STATUS=listening · {shown}" in systemd.told()


def test_nobody_who_asked_is_nobody_to_tell() -> None:
    asked: list[float] = []

    def shown() -> dict[str, Any]:
        asked.append(1.0)
        return status()

    service = Service({}, shown)
    assert service.deadline_s == inf
    assert service.keep_time(1.0) == ""
    assert asked == []


@pytest.mark.parametrize(("pid", "unattended"), [("our own", True), ("1", False), ("", False)])
def test_nobody_looks_on_where_systemd_started_this_very_process(pid: str, unattended: bool) -> None:
    """In a terminal of the desktop the variable is there, too: of the terminal's own start."""
    assert Service({"SYSTEMD_EXEC_PID": pid.replace("our own", str(os.getpid()))}, status).unattended is unattended


def test_a_daemon_that_gave_a_process_up_leaves_the_watchdog_hungry(home: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(home / "notify"))
        listening.settimeout(0.8)  # four times as long as it would take to feed
        with daemon(home, NOTIFY_SOCKET=str(home / "notify"), WATCHDOG_USEC="400000") as running:
            running.wait_until_ready()
            while (row := running.row("playback"))["state"] != "given_up":
                if row["pid"]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(row["pid"], signal.SIGKILL)
            running.wait_for_log("systemd's watchdog is not fed any more, so that it starts voiced anew: playback was given up")
            told = []
            with contextlib.suppress(TimeoutError):
                while True:
                    told.append(listening.recv(4096).decode())
    assert "WATCHDOG=1" in told
    assert told[-1].endswith("STATUS=failed · playback was given up: killed by SIGKILL")
