"""The daemon under demonstration: a real `voiced` on the private sound server, apart from any other of the user's."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import voiced

_READY_WITHIN_S = 60.0  # the language model's first read from a slow disk
_STOPPED_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05
#: What would make it another daemon than the one this shows.
_NOT_INHERITED = ("VOICED_", "OPENAI_", "NOTIFY_SOCKET", "WATCHDOG_", "CREDENTIALS_DIRECTORY")


class DaemonFailed(RuntimeError):
    """It did not start, or did not end, as it should; the message says how."""


class Daemon:
    """A context manager: ready inside, gone outside. `env` is what leads it to its sound server."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        self._given = dict(env)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._home = tempfile.TemporaryDirectory(prefix="voiced-demo-")
        self.runtime_dir = Path(self._home.name) / "run"

    def __enter__(self) -> Self:
        settings = Path(self._home.name) / "config.toml"
        settings.write_text('[realtime]\nprovider = "embedded"\n')
        env = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        # -P keeps a file in the working directory from posing as one of our modules; so a source tree has to be named.
        env["PYTHONPATH"] = os.pathsep.join(part for part in (str(Path(voiced.__file__).parents[1]), env.get("PYTHONPATH")) if part)
        notify = Path(self._home.name) / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, self._log.open("wb") as log:
            listener.bind(str(notify))
            # With setpriv the daemon ends even where a SIGKILL ended the demonstration.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", sys.executable, "-P", "-m", "voiced", "--config", str(settings)],
                env=env
                | self._given
                | {"VOICED_RUNTIME_DIR": str(self.runtime_dir), "NOTIFY_SOCKET": str(notify), "XDG_STATE_HOME": self._home.name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                self._await_ready(listener)
            except BaseException:
                self._end()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def wait_until_gone(self) -> None:
        """After a `shutdown`. Raises DaemonFailed where it stays, complains, or leaves sockets behind."""
        assert self._process is not None
        try:
            status = self._process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            raise DaemonFailed(f"voiced did not end within {_STOPPED_WITHIN_S:g} s of a shutdown") from error
        left = [entry.name for entry in self.runtime_dir.iterdir()] if self.runtime_dir.exists() else []
        if status or left:
            raise DaemonFailed(f"voiced ended with status {status} and left {', '.join(left) or 'nothing'} behind")

    def _await_ready(self, listener: socket.socket) -> None:
        assert self._process is not None
        listener.settimeout(_LOOK_EVERY_S)
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline:
            try:
                if b"READY=1" in listener.recv(4096).splitlines():
                    return
            except TimeoutError:
                if self._process.poll() is not None:
                    raise DaemonFailed(f"voiced ended with status {self._process.returncode}: {self._last_line()}") from None
        raise DaemonFailed(f"voiced was not ready within {_READY_WITHIN_S:g} s: {self._last_line()}")

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it gave no reason"

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._home.cleanup()
