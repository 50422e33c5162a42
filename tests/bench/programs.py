"""The programs under measurement and what burdens them: real processes, each ended by whoever started it."""

import contextlib
import os
import select
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
from typing import NamedTuple, Self

from voiced.demo.soundserver import SoundServer

_READY_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class ProgramFailed(RuntimeError):
    """A program under measurement did not start or did not stop."""


#: Settings by which the microphone's sound is sent to the sample as it comes: what the canceller makes of it can't be found again.
AS_IT_COMES = '[audio]\necho_cancellation = "off"\nnoise_suppression = false\n'


class Program:
    """One client of the scripted server, playing on a sound server; a context manager."""

    def __init__(self, command: list[str], env: Mapping[str, str]) -> None:
        self._command = command
        self._env = dict(env)
        self._directory = Path(tempfile.mkdtemp(prefix="voiced-bench-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        with open(self._directory / "log", "ab") as log:
            command = ["setpriv", "--pdeathsig", "TERM", *self._command]
            self._process = subprocess.Popen(command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def close(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def log(self) -> str:
        return (self._directory / "log").read_text(errors="replace")


class QueueOnly(Program):
    """The tutorials' design, writing `frames` at a time."""

    def __init__(self, url: str, sound: SoundServer, frames: int) -> None:
        super().__init__([sys.executable, "-m", "tests.bench.queue_only", url, str(frames)], os.environ | sound.env)


class Voiced(Program):
    """The daemon, as it is started by systemd: ready when it says so to NOTIFY_SOCKET."""

    def __init__(self, url: str, sound: SoundServer, settings: str = "") -> None:
        super().__init__([], {})
        config = self._directory / "config.toml"
        config.write_text(f'[realtime]\nprovider = "compatible"\nurl = "{url}"\n{settings}')
        self._command = [sys.executable, "-m", "voiced", "--config", str(config)]
        self._notify = self._directory / "notify"
        self.runtime_dir = self._directory / "run"
        own = {"VOICED_RUNTIME_DIR": str(self.runtime_dir), "NOTIFY_SOCKET": str(self._notify), "XDG_STATE_HOME": str(self._directory)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VOICED_")}
        self._env = inherited | sound.env | own
        #: From exec to READY=1.
        self.started_in_ms = 0.0

    def start(self) -> Self:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(self._notify))
            started = time.monotonic()
            super().start()
            try:
                self._await_ready(listener, started + _READY_TIMEOUT_S)
            except BaseException:
                self.close()
                raise
            self.started_in_ms = (time.monotonic() - started) * 1000
        return self

    def env_for_clients(self) -> dict[str, str]:
        """What `voicectl` needs to find this daemon."""
        return os.environ | {"VOICED_RUNTIME_DIR": str(self.runtime_dir)}

    def _await_ready(self, listener: socket.socket, deadline: float) -> None:
        ended = os.pidfd_open(self.pid)
        try:
            while True:
                woken = select.select([listener.fileno(), ended], [], [], max(0.0, deadline - time.monotonic()))[0]
                if listener.fileno() in woken and b"READY=1" in listener.recv(4096).splitlines():
                    return
                if ended in woken or not woken:
                    raise ProgramFailed(f"voiced {'ended' if woken else 'was not ready in time'}: {self.log().strip()[-500:]}")
        finally:
            os.close(ended)


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keeps every core busy with work of ordinary priority."""
    spin = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


class Cost(NamedTuple):
    """What a process has used so far, and holds now."""

    cpu_s: float
    pss_mib: float


def cost(pid: int) -> dict[str, Cost]:
    """Of this process and all its descendants, by the module that each runs."""
    return {_module(each): Cost(sum(int(ticks) for ticks in _stat(each)[11:13]) * _TICK_S, _pss_kib(each) / 1024) for each in _family(pid)}


def _family(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    family = [pid]
    for member in family:  # which grows as it is walked
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _module(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return words[words.index("-m") + 1] if "-m" in words else words[0]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on: the name before them may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _pss_kib(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
