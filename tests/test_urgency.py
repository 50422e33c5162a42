"""Who gets the processor first, and that nobody fails for want of a privilege."""

import errno
import os
import subprocess
import sys

import pytest

from voiced.urgency import Urgency, claim

CLAIM = """
import os, resource, sys
from voiced.urgency import Urgency, claim
if sys.argv[2] == "without":
    for limit in (resource.RLIMIT_RTPRIO, resource.RLIMIT_NICE):
        resource.setrlimit(limit, (0, 0))
    if os.getuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(claim(Urgency(sys.argv[1])), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))
"""
REAL_TIME = "os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))"
NICE = "os.setpriority(os.PRIO_PROCESS, 0, -11)"


def claimed(urgency: str, privilege: str) -> str:
    return subprocess.run([sys.executable, "-c", CLAIM, urgency, privilege], capture_output=True, text=True, check=True).stdout.strip()


def may(what: str) -> bool:
    """Being root does not tell: containers take the privilege away, and limits give it to others."""
    return subprocess.run([sys.executable, "-c", f"import os; {what}"], stderr=subprocess.DEVNULL).returncode == 0


def ordinary() -> str:
    return f"ordinary {os.sched_getscheduler(0)} {os.getpriority(os.PRIO_PROCESS, 0)}"


@pytest.mark.skipif(not may(REAL_TIME), reason="this machine gives us no real time")
def test_sound_gets_real_time_where_it_may() -> None:
    assert claimed("sound", "with") == f"real-time {os.SCHED_RR} {os.getpriority(os.PRIO_PROCESS, 0)}"


@pytest.mark.skipif(not may(NICE), reason="this machine gives us no preference")
def test_what_is_prompt_is_preferred_where_it_may_and_never_real_time() -> None:
    assert claimed("prompt", "with") == f"preferred {os.sched_getscheduler(0)} -11"


@pytest.mark.parametrize(("urgency", "privilege"), [("ordinary", "with"), ("sound", "without"), ("prompt", "without")])
def test_what_asks_for_nothing_or_may_not_have_it_stays_as_it_was(urgency: str, privilege: str) -> None:
    assert claimed(urgency, privilege) == ordinary()


def test_a_kernel_that_does_not_know_it_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "sched_setscheduler", unknown)
    monkeypatch.setattr(os, "setpriority", unknown)
    assert claim(Urgency.SOUND) == "ordinary"


def test_without_a_privilege_nothing_fails() -> None:
    assert claimed("sound", "with").split()[0] in ("real-time", "preferred", "ordinary")
