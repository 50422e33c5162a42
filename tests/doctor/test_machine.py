"""Scheduling and the daemon, as findings."""

import os
from typing import Any

import pytest

from voiced.doctor import machine
from voiced.doctor.finding import Verdict
from voiced.doctor.machine import Scheduling

STATUS: dict[str, Any] = {
    "complaint": None,
    "version": "1",
    "pid": 7,
    "state": "listening",
    "muted": False,
    "session": {"connected": True, "last_error": None},
    "processes": [],
}


@pytest.mark.parametrize(
    ("here", "daemon", "verdict", "words"),
    [
        ("real-time", None, "ok", ""),
        ("preferred", None, "ok", ""),
        ("ordinary", None, "warning", "/etc/security/limits.d"),
        ("ordinary", "real-time", "ok", ""),  # what counts is what the daemon has
        ("real-time", "ordinary", "warning", "user@.service"),
    ],
)
def test_what_a_sound_process_gets(here: str, daemon: str | None, verdict: str, words: str) -> None:
    found = machine.judged(Scheduling(here, daemon, 0, 20, rtkit=True))
    assert found.verdict.value == verdict
    assert words in found.remedy
    assert bool(found.remedy) == (verdict != "ok")


@pytest.mark.parametrize("there", [True, False])
def test_rtkit_is_recommended_where_it_is_missing(there: bool) -> None:
    assert ("rtkit" in machine.judged(Scheduling("ordinary", None, 0, 20, rtkit=there)).remedy) is not there


def test_the_kernel_says_what_the_daemon_s_processes_have() -> None:
    rows = [{"name": "capture", "pid": os.getpid()}, {"name": "network", "pid": 1}, {"name": "playback", "pid": None}]
    found = machine.scheduling("real-time", STATUS | {"processes": rows})
    assert found.daemon == ("preferred" if os.getpriority(os.PRIO_PROCESS, 0) < 0 else "ordinary")
    assert machine.scheduling("real-time", None).daemon is None


def test_a_daemon_that_just_ended_is_no_trouble() -> None:
    with open("/proc/sys/kernel/pid_max") as file:
        nobody = int(file.read())  # one more than any process has
    assert machine.scheduling("ordinary", STATUS | {"processes": [{"name": "capture", "pid": nobody}]}).daemon is None


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, Verdict.OK, "off during the test"),
        ({"muted": True}, Verdict.OK, "off already"),
        ({"complaint": "capture is not running"}, Verdict.WARNING, "capture is not running"),
        ({"session": {"connected": False, "last_error": "the key was refused"}}, Verdict.WARNING, "the key was refused"),
        ({"session": {"connected": False, "last_error": None}, "state": "asleep"}, Verdict.OK, "asleep"),
    ],
)
def test_the_daemon(changes: dict[str, Any], verdict: Verdict, words: str) -> None:
    found = machine.daemon(STATUS | changes)
    assert found.verdict is verdict
    assert words in found.meaning


def test_no_daemon_is_no_trouble() -> None:
    assert machine.daemon(None).verdict is Verdict.OK
