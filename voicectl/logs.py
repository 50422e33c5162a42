"""`voicectl logs`: the daemon's log, where the systemd journal has it; else where it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from voicectl.commands import complain

NAME = "logs"
HELP = "Show what happened: the log of the service, from the journal."
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "err"}
UNIT = "voiced"
_LINES = 200
#: Where systemd runs (sd_booted(3)).
_BOOTED = Path("/run/systemd/system")
_SPAN = re.compile(r"\d+ *[a-z]+")
_NOTHING = 1


def arguments(*, follow: bool, since: str | None, level: str | None, process: str | None, as_json: bool) -> list[str]:
    """Of journalctl(1). `since` is as it has it, or a span of time like 10min; `process` as in `voicectl status`."""
    chosen = ["--user", f"--unit={UNIT}"]
    if since is not None:
        chosen.append(f"--since=-{since}" if _SPAN.fullmatch(since) else f"--since={since}")
    else:
        chosen.append(f"--lines={_LINES}")
    if level is not None:
        chosen.append(f"--priority={LEVELS[level]}")
    if follow:
        chosen.append("--follow")
    if as_json:
        chosen.append("--output=json")
    return [*chosen, *([f"VOICED_PROCESS={UNIT if process == 'supervisor' else process}"] if process else [])]


def run(words: list[str], *, follow: bool) -> int:
    """Becomes journalctl with these words, which shows long logs by a pager; or says why not, and returns the exit status."""
    program = shutil.which("journalctl")
    if program is None or not _BOOTED.exists():
        return _without("systemd does not run here, so there is no journal")
    if not follow and not _has_entries([program, "--user", f"--unit={UNIT}"]):
        return _without(f"the journal has nothing of the service {UNIT}")
    os.execv(program, [program, *words])


def _has_entries(journalctl: list[str]) -> bool:
    return bool(subprocess.run([*journalctl, "--lines=1", "--quiet"], capture_output=True).stdout.strip())


def _without(why: str) -> int:
    complain(why)
    complain("voiced that you started yourself writes its log to where you started it; to keep that: voiced 2>>voiced.log")
    complain(f"as a service: systemctl --user enable --now {UNIT}; how it does: systemctl --user status {UNIT}, voicectl status")
    return _NOTHING
