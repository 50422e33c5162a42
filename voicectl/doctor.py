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
        except VoicedError:  # it is gone, or answers nothing
            yield None
            return
        complaint = _mute(client)
        try:
            yield {"complaint": complaint, **{name: status[name] for name in _TOLD}}
        finally:
            if not status["muted"] and complaint is None:
                with contextlib.suppress(VoicedError):  # it ended meanwhile; one that starts anew is not muted
                    client.unmute()


def _mute(client: Client) -> str | None:
    """Why it could not be done."""
    try:
        client.mute()
    except VoicedError as error:
        return error.message
    return None


def _checks(words: list[str]) -> int:
    # Ctrl-C and a polite end are the checks' to hear; we live on for the microphone's sake.
    with _forwarding() as running:
        # -P: or a file in the working directory could pose as a module.
        process = subprocess.Popen([sys.executable, "-P", "-m", _MODULE, *words], env=_environment())
        running.append(process)
        status = process.wait()
        return status if status >= 0 else 128 - status


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
