"""The real daemon under test: `python -m voiced` with a runtime directory and a configuration of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from voicectl import Client

READY_WITHIN_S = 30.0
_NOT_INHERITED = ("VOICED_", "OPENAI_", "NOTIFY_SOCKET", "WATCHDOG_", "CREDENTIALS_DIRECTORY")


class Daemon:
    """A context manager: started inside (wait_until_ready where it should become so), gone outside."""

    def __init__(self, config: str, env: Mapping[str, str] | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="voiced-"))
        self.runtime_dir = self.home / "run"
        self.config = self.home / "config.toml"
        self.config.write_text(config)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        self.env = {
            **inherited,
            **(env or {}),
            "VOICED_RUNTIME_DIR": str(self.runtime_dir),
            "NOTIFY_SOCKET": str(self.home / "notify"),
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
        }
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log = self.home / "log"
        self.process: subprocess.Popen[bytes]

    def start(self) -> Self:
        self._notify.bind(self.env["NOTIFY_SOCKET"])
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "voiced", "--config", str(self.config)]
            self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._notify.close()
        if kind is not None:
            print(self.log, file=sys.stderr)
        shutil.rmtree(self.home, ignore_errors=True)

    def wait_until_ready(self) -> Self:
        deadline = time.monotonic() + READY_WITHIN_S
        self._notify.settimeout(0.1)
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if b"READY=1" in self._notify.recv(4096):
                    return self
            except TimeoutError:
                continue
        raise AssertionError(f"not ready (exit status {self.process.poll()}):\n{self.log}")

    def client(self) -> Client:
        return Client(self.runtime_dir)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def family(self) -> list[int]:
        """The pids of the daemon and its children."""
        with self.client() as client:
            return [row["pid"] for row in client.status()["processes"] if row["pid"]]


@contextlib.contextmanager
def running(config: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[Daemon, Client]]:
    """A daemon that is ready, and a client of it."""
    with Daemon(config, env) as daemon, daemon.wait_until_ready().client() as client:
        yield daemon, client


def compatible(url: str, extra: str = "") -> str:
    """A configuration that talks to a server at `url`."""
    return f'[realtime]\nprovider = "compatible"\nurl = "{url}"\n{extra}\n'
