"""A daemon under test: the real supervisor with small children, in a runtime directory of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import voicectl
from tests.until import until

ROOT = Path(__file__).parent.parent.parent
READY_WITHIN_S = 20.0
_NOT_INHERITED = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "NOTIFY_SOCKET", "JOURNAL_STREAM", "VOICED_CONFIG", "VOICED_LOG__LEVEL")


class Daemon:
    """`python -m MODULE` in an environment of its own; its log is a file that can be read at any time."""

    def __init__(self, home: Path, env: dict[str, str] | None = None, module: str = "tests.supervisor.daemon") -> None:
        self.runtime = home / "r"
        self.log_file = home / "log"
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        own = {
            "VOICED_RUNTIME_DIR": str(self.runtime),
            "XDG_CONFIG_HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "PYTHONPATH": str(ROOT),
        }
        self.env = inherited | own | (env or {})
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", module], cwd=home, env=self.env, stderr=log, stdin=subprocess.DEVNULL)

    def wait_until_ready(self) -> "Daemon":
        self.wait_for_log("ready after")
        return self

    def wait_for_log(self, text: str, times: int = 1) -> None:
        until(lambda: self.log().count(text) >= times or self.process.poll() is not None, f"{text!r} in the log")
        assert self.log().count(text) >= times, self.log()

    def log(self) -> str:
        return self.log_file.read_text()

    def client(self, timeout_s: float = 8.0) -> voicectl.Client:
        return voicectl.Client(self.runtime, timeout_s=timeout_s)

    def row(self, name: str) -> dict[str, Any]:
        with self.client() as client:
            row: dict[str, Any] = next(row for row in client.status()["processes"] if row["name"] == name)
        return row

    def children(self) -> dict[str, int]:
        with self.client() as client:
            rows = client.status()["processes"]
        return {row["name"]: row["pid"] for row in rows if row["name"] != "supervisor" and row["pid"]}

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """The exit status, and the seconds it took."""
        started_s = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(10), time.monotonic() - started_s


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def home() -> Iterator[Path]:
    """A directory whose path is short enough for sockets (pytest's is not)."""
    path = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def daemon(where: Path, table: dict[str, Any] | None = None, **env: str) -> Iterator[Daemon]:
    """A running daemon; whatever the test did to it, nothing of it is left."""
    running = Daemon(where, {"TEST_TABLE": json.dumps(table or {}), **env})
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            try:
                running.process.wait(5)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()


def loaded(*program: str, env: dict[str, str] | None = None) -> set[str]:
    """The modules that a Python program loads."""
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)} if env is None else env
    command = [sys.executable, "-X", "importtime", *program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
