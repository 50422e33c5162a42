"""How soon a process gets the processor when it wakes: asked for at its start, before it has threads, which inherit it.

Both needs a privilege that a desktop session mostly lacks (`ulimit -r`, `ulimit -e`; a service unit's LimitRTPRIO): without
it everything works as before, only a machine whose processors are all busy shows.
"""

import os
from collections.abc import Callable
from enum import Enum

_RT_PRIORITY = 5  # as pulseaudio for its own threads: neither starves the other
_NICE = -11  # pulseaudio's default for the same reason


class Urgency(Enum):
    SOUND = "sound"  # has a device to feed: real time, or first among equals
    PROMPT = "prompt"  # must answer soon; never real time, for a server decides how busy it is
    ORDINARY = "ordinary"


def claim(urgency: Urgency) -> str:
    """Asks for it; what was got: "real-time", "preferred" or "ordinary"."""
    if urgency is Urgency.SOUND and _allowed(lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_RT_PRIORITY))):
        return "real-time"
    if urgency is not Urgency.ORDINARY and _allowed(lambda: os.setpriority(os.PRIO_PROCESS, 0, _NICE)):
        return "preferred"
    return "ordinary"


def waive(group: int) -> None:
    """Takes the preference, which is ours, from the process group of a program that we started. One that became somebody else
    by now, as sudo does, keeps it: it is not ours to change."""
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        _allowed(lambda: os.setpriority(os.PRIO_PGRP, group, 0))


def _allowed(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except OSError:  # refused, or a kernel or sandbox that does not know it (EINVAL, ENOSYS)
        return False
    return True
