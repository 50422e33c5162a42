import contextlib
import os
import socket
from pathlib import Path

import pytest

from voiced.supervisor.notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_fields_are_lines_of_one_datagram(home: Path, abstract: bool) -> None:
    name = f"{home}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else name)
        systemd.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name}" if abstract else name}).tell(READY="1", STATUS="idle")
        assert systemd.recv(100) == b"READY=1\nSTATUS=idle"


def test_nobody_there_is_no_trouble(home: Path) -> None:
    Notifier({}).tell(READY="1")
    Notifier({"NOTIFY_SOCKET": str(home / "gone")}).tell(READY="1")


def test_a_full_queue_does_not_silence_us_for_good(home: Path) -> None:
    name = str(home / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name)
        systemd.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": name})
        for _ in range(5000):  # more than net.unix.max_dgram_qlen
            notifier.tell(WATCHDOG="1")
        with contextlib.suppress(BlockingIOError):
            while systemd.recv(100):
                pass
        notifier.tell(STOPPING="1")
        assert systemd.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize(
    ("env", "ping_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(env: dict[str, str], ping_s: float | None) -> None:
    assert Notifier(env).watchdog_s == ping_s
