"""`voicectl doctor`: runs the checks, in a program of their own. All that is done here is to keep the daemon from hearing them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import voiced
from voicectl.client import Client
from voicectl.commands import complain
from voiced.errors import NotRunning, RuntimeDirUnusable, VoicedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from voicectl.client import Events

NAME = "doctor"
HELP = "Check devices, echo, key, connection and scheduling, and say what to change; `--fix` does it."
_MODULE = "voiced.doctor"
_TOLD = ("version", "pid", "state", "muted", "session", "audio", "processes")
_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_ENDS = (*_OF_THE_TERMINAL, signal.SIGTERM, signal.SIGHUP)
#: A process that starts anew takes orders again within this.
_GIVE_BACK_S = 2.0


def run(words: list[str], timeout_s: float) -> int:
    """Its exit status: 0 nothing failed, 1 something did, 2 wrong usage."""
    if {"-h", "--help"} & set(words):
        return _Checks().run(words)
    with _Checks() as checks, _deaf_daemon(timeout_s) as told:
        return checks.run([*words, "--daemon", json.dumps(told)])


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
            changes = client.events("status")
        except VoicedError:  # it is gone, or answers nothing
            yield None
            return
        with changes:
            microphone = _Microphone(changes)
            complaint = None if status["muted"] else _mute(client)
            try:
                yield {"complaint": complaint, **{name: status[name] for name in _TOLD}}
            finally:
                if not status["muted"]:
                    _give_back(client, status["pid"], microphone)


def _mute(client: Client) -> str | None:
    """Why it could not be done."""
    try:
        client.mute()
    except VoicedError as error:
        return error.message
    return None


class _Microphone:
    """What happened to it since a subscription to `status`."""

    def __init__(self, changes: Events) -> None:
        self._changes = changes
        self._was_off = self._was_switched = False

    def was_switched(self, within_s: float = 0.0) -> bool:
        """Whether it was on after it was off; waits so long for the first word. Raises NotRunning."""
        while (event := self._changes.next(within_s)) is not None:
            within_s = 0.0
            self._was_switched |= self._was_off and not event.data["muted"]
            self._was_off |= event.data["muted"]
        return self._was_switched


def _give_back(client: Client, pid: int, microphone: _Microphone) -> None:
    """The microphone, unless somebody has switched it meanwhile: then it is as they want it."""
    deadline_s = time.monotonic() + _GIVE_BACK_S
    client.timeout_s = _GIVE_BACK_S / 4
    wait_s = 0.0
    while True:
        try:
            # A process that starts anew takes orders again when it is ready, and then there is a word of it.
            if not microphone.was_switched(wait_s) and (now := client.status())["muted"] and now["pid"] == pid:
                client.unmute()
            return
        except NotRunning:  # it ended meanwhile; one that starts anew is not muted
            return
        except VoicedError as error:
            if time.monotonic() > deadline_s:
                complain(f"voiced is still muted ({error.message}): voicectl unmute")
                return
        wait_s = _GIVE_BACK_S / 8


class _Checks:
    """The program that does them. As a context manager it takes the signals that would end us: we live on for the microphone's
    sake, and the program ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_by: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._pass_on) for number in _ENDS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: object) -> None:
        self._ended_by = number
        if self._process is not None and number not in _OF_THE_TERMINAL:  # which sends them to both
            self._process.send_signal(number)

    def run(self, words: list[str]) -> int:
        if self._ended_by is not None:
            return 128 + self._ended_by
        # -P: or a file in the working directory could pose as a module.
        self._process = subprocess.Popen([sys.executable, "-P", "-m", _MODULE, *words], env=_environment())
        if self._ended_by is not None:  # it may have come too soon for it
            self._process.send_signal(self._ended_by)
        status = self._process.wait()
        return status if status >= 0 else 128 - status


def _environment() -> dict[str, str]:
    """Ours, and where this package is, if Python does not know."""
    home = Path(voiced.__file__).parent.parent
    if home.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    return os.environ | {"PYTHONPATH": os.pathsep.join(part for part in (str(home), os.environ.get("PYTHONPATH")) if part)}
