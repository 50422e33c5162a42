"""Who gets the processor first, and that nobody fails for want of a privilege."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, resource, sys
from voiced.urgency import Urgency, claim
if sys.argv[2] == "without":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(claim(Urgency(sys.argv[1])), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))
"""


def claimed(urgency: str, privilege: str) -> str:
    return subprocess.run([sys.executable, "-c", PROGRAM, urgency, privilege], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give real time away, and take it from itself")
@pytest.mark.parametrize(
    ("urgency", "privilege", "got"),
    [
        ("sound", "with", f"real-time {os.SCHED_RR} 0"),
        ("prompt", "with", f"preferred {os.SCHED_OTHER} -11"),
        ("ordinary", "with", f"ordinary {os.SCHED_OTHER} 0"),
        ("sound", "without", f"ordinary {os.SCHED_OTHER} 0"),
        ("prompt", "without", f"ordinary {os.SCHED_OTHER} 0"),
    ],
)
def test_as_urgent_as_the_machine_allows(urgency: str, privilege: str, got: str) -> None:
    assert claimed(urgency, privilege) == got


def test_without_a_privilege_nothing_fails() -> None:
    assert claimed("sound", "with").split()[0] in ("real-time", "preferred", "ordinary")
