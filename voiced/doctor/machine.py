"""What the machine lets voiced do: real-time scheduling; and the daemon, where one runs."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from voiced.doctor.finding import Finding, Verdict

#: Of Debian, and where others keep it.
_RTKIT = "/usr/share/dbus-1/system-services/org.freedesktop.RealtimeKit1.service"
_LIMITS = "/etc/security/limits.d/60-voiced.conf"
_POLICIES = {os.SCHED_RR: "real-time", os.SCHED_FIFO: "real-time"}
_WITH_SOUND = ("capture", "playback")

Daemon = Mapping[str, Any]


class Scheduling(NamedTuple):
    """What a process with a sound device gets."""

    #: voiced.urgency's word of a process started here.
    here: str
    #: The same of the running daemon's capture and playback, by what the kernel says; the worst, None where none runs.
    daemon: str | None
    most_priority: int  # RLIMIT_RTPRIO
    least_nice: int  # by RLIMIT_NICE
    rtkit: bool


def scheduling(here: str, daemon: Daemon | None) -> Scheduling:
    processes = daemon["processes"] if daemon else []
    pids = [row["pid"] for row in processes if row["name"] in _WITH_SOUND and row["pid"]]
    words = [word for pid in pids if (word := _urgency_of(pid)) is not None]
    worst = max(words, key=("real-time", "preferred", "ordinary").index) if words else None
    priority, nice = (resource.getrlimit(limit)[0] for limit in (resource.RLIMIT_RTPRIO, resource.RLIMIT_NICE))
    return Scheduling(here, worst, 99 if priority < 0 else priority, -20 if nice < 0 else 20 - nice, Path(_RTKIT).exists())


def _urgency_of(pid: int) -> str | None:
    try:
        policy = os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK
        return _POLICIES.get(policy) or ("preferred" if os.getpriority(os.PRIO_PROCESS, pid) < 0 else "ordinary")
    except OSError:  # it has ended meanwhile
        return None


def judged(found: Scheduling) -> Finding:
    got = found.daemon or found.here
    details = found._asdict()
    if got == "real-time":
        return Finding("scheduling", Verdict.OK, "Capture and playback get the processor at once: real-time scheduling.", details=details)
    if got == "preferred":
        meaning = f"Capture and playback come first among equals (nice {found.least_nice}), and seldom wait."
        return Finding("scheduling", Verdict.OK, meaning, details=details)
    meaning = "Capture and playback wait for the processor like any program: sound may drop out where all are busy."
    service = "`systemctl edit user@.service` with LimitRTPRIO=10 and LimitNICE=-11 in [Service]"
    if found.here != "ordinary":
        remedy = f"The service has less than this session: {service}; reboot."
    else:
        lines = f"the lines `@audio - rtprio 10` and `@audio - nice -11` in {_LIMITS}"
        remedy = f"As root: {lines}, `adduser {_user()} audio`; for the service, {service}. Then log in anew."
    if not found.rtkit:
        remedy += " Install rtkit: the sound server's own threads get theirs from it."
    return Finding("scheduling", Verdict.WARNING, meaning, found.most_priority, "rtprio", remedy, {}, details)


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())


def daemon(told: Daemon | None) -> Finding:
    """What its `status` says; None where none runs."""
    if told is None:
        return Finding("daemon", Verdict.OK, "voiced is not running; nothing shares the devices with this test.")
    session = told["session"]
    connected = "connected" if session["connected"] else f"not connected ({session['last_error'] or told['state']})"
    says = f"voiced {told['version']} runs, {connected}"
    if told["complaint"]:
        remedy = "Mute it, or end it by `voicectl shutdown`, before this test: it may take the sweeps for somebody who speaks."
        return Finding("daemon", Verdict.WARNING, f"{says}; its microphone could not be turned off: {told['complaint']}.", remedy=remedy)
    hears = "its microphone was off already" if told["muted"] else "its microphone is off during the test"
    verdict = Verdict.OK if session["connected"] or told["state"] == "asleep" else Verdict.WARNING
    return Finding("daemon", verdict, f"{says}; {hears}.")
