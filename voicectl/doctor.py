"""`voicectl doctor`: runs the checks, in a program of their own. All that is done here is to keep the daemon from hearing them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import voiced
from voicectl.client import Client
from voiced.errors import NotRunning, RuntimeDirUnusable, VoicedError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "doctor"
HELP = "Check devices, echo, key, connection and scheduling, and say what to change; `--fix` does it."
_MODULE = "voiced.doctor"
_TOLD = ("version", "pid", "state", "muted", "session", "audio", "processes")


def run(words: list[str], timeout_s: float) -> int:
    """Its exit status: 0 nothing failed, 1 something did, 2 wrong usage."""
    if {"-h", "--help"} & set(words):
        return _checks(words)
    with _deaf_daemon(timeout_s) as told:
        return _checks([*words, "--daemon", json.dumps(told)])


@contextlib.contextmanager
def _deaf_daemon(timeout_s: float) -> Iterator[dict[str, Any] | None]:
    """What a running daemon tells of itself, None where none runs. Until the end its microphone is off: it would take a sweep
    for somebody who speaks."""
    try:
        client = Client(timeout_s=timeout_s)
    except (NotRunning, RuntimeDirUnusable):
        yield None
        return
    with client:
        try:
            status = client.status()
            was_muted = status["muted"]
            client.mute()
        except NotRunning:
            yield None
            return
        except VoicedError as error:
            yield {"complaint": error.message, "processes": [], "session": {}}
            return
        try:
            yield {name: status[name] for name in _TOLD}
        finally:
            if not was_muted:
                with contextlib.suppress(NotRunning):
                    client.unmute()


def _checks(words: list[str]) -> int:
    # Ctrl-C and a polite end are the checks' to hear; we live on for the microphone's sake.
    with _forwarding() as running:
        # -P: or a file in the working directory could pose as a module.
        process = subprocess.Popen([sys.executable, "-P", "-m", _MODULE, *words], env=_environment())
        running.append(process)
        return process.wait()


@contextlib.contextmanager
def _forwarding() -> Iterator[list[subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def forward(number: int, frame: object) -> None:
        for process in running:
            if number != signal.SIGINT:  # which the terminal sends to both
                process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield running
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment() -> dict[str, str]:
    """Ours, and where this package is, if Python does not know."""
    home = Path(voiced.__file__).parent.parent
    if home.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    return os.environ | {"PYTHONPATH": os.pathsep.join(part for part in (str(home), os.environ.get("PYTHONPATH")) if part)}
