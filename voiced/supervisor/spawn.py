"""One child process as the system sees it: exec, its pipes, its signals, its end, its figures in /proc."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import voiced
from voiced import flight
from voiced.child import settings_frame

#: What a pipe takes that nobody reads, pipe(7). Up to 1 MiB a user may ask for.
_PIPE_BYTES = 1 << 16
#: A line without an end is cut here.
_LONGEST_LINE = 4096
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
#: A setting in the environment: children have theirs by the pipe, and a URL in it may hold a key.
_SETTING = "__"
#: What is ours alone: systemd's sockets, and where it put the key.
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY")


def child_environment(env: Mapping[str, str], directory: Path, secrets: Collection[str]) -> dict[str, str]:
    """The environment of the children: ours, without settings and the variables of `secrets`, and with where to find the sockets and
    this package."""
    left_out = {*_NOT_INHERITED, *secrets, *(name for name in env if name.startswith("VOICED_") and _SETTING in name)}
    inherited = {name: value for name, value in env.items() if name not in left_out}
    home = str(Path(voiced.__file__).parent.parent)
    # They are started with -P, or a file in the working directory could pose as one of their modules. So a source
    # tree that was on our path only as the working directory has to be named.
    if Path(home).name not in ("site-packages", "dist-packages"):
        inherited["PYTHONPATH"] = os.pathsep.join(part for part in (home, env.get("PYTHONPATH")) if part)
    return inherited | {"VOICED_RUNTIME_DIR": str(directory), "VOICED_CHILD": "1"}


def without_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """For a process that reaches no server: a proxy's URL may hold a password."""
    return {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}


class Spawned:
    """A running child, in a process group of its own: Ctrl-C in a terminal does not reach it (we stop it in order), and
    what it started goes with it. Raises OSError where there is no descriptor, process or memory left for it."""

    def __init__(self, module: str, env: Mapping[str, str]) -> None:
        #: What it said on the bus lately; outlives it.
        self.flight, descriptor = flight.shared()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**env, flight.VARIABLE: str(descriptor)},
                process_group=0,
                bufsize=0,
                pass_fds=(descriptor,),
            )
        finally:
            os.close(descriptor)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._settings = self._process.stdin
        self._output = self._process.stdout
        self.pid = self._process.pid
        try:
            #: Readable when the child has ended.
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:  # no descriptor left: one that can't be watched must not live
            self._process.kill()
            self._process.communicate()
            raise
        #: Readable when the child, or a library in it, printed something.
        self.output_fd = self._output.fileno()
        self.output_open = True
        os.set_blocking(self.output_fd, False)
        self._partial = b""

    def send_settings(self, settings: dict[str, object]) -> None:
        """Hands the settings over. A child that is already dead does not take them; its death is noticed elsewhere. The memory of a long
        conversation is more than a pipe holds by itself, and one that hangs before it reads must not keep us."""
        frame = memoryview(settings_frame(settings))
        if len(frame) > _PIPE_BYTES:
            with contextlib.suppress(OSError):  # it may be more than a user may have; then we wait for the child
                fcntl.fcntl(self._settings, fcntl.F_SETPIPE_SZ, len(frame))
        with contextlib.suppress(BrokenPipeError):
            while frame:
                frame = frame[os.write(self._settings.fileno(), frame) :]

    def printed(self) -> tuple[list[str], bool]:
        """The lines that were printed since the last call, and whether more can come."""
        piece = b"-"
        while piece and len(self._partial) < 16 * _LONGEST_LINE:
            try:
                piece = os.read(self.output_fd, 1 << 16)
            except BlockingIOError:
                break
            self._partial += piece
        *lines, self._partial = self._partial.split(b"\n")
        if self._partial and (not piece or len(self._partial) > _LONGEST_LINE):
            lines.append(self._partial)
            self._partial = b""
        return [text for line in lines if (text := line[:_LONGEST_LINE].decode(errors="replace").strip())], bool(piece)

    def signal(self, number: int) -> None:
        """Signals the child and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def ended(self) -> int | None:
        """The exit status, negative for a signal, of a child that has ended and waits to be reaped."""
        end = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end is None:
            return None
        return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status

    def reap(self) -> None:
        """Waits for the end and clears away what is left, processes that the child started among it."""
        self.signal(signal.SIGKILL)  # its group, while the unreaped child still keeps the number from reuse
        self._process.wait()
        self._settings.close()
        self._output.close()
        os.close(self.pidfd)


def ending(status: int) -> str:
    """For people: how a child with this exit status ended."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def figures(pid: int) -> tuple[int, float]:
    """Resident KiB and CPU seconds of a process, from proc_pid_stat(5); zeros for one that is gone, or without a descriptor."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0, 0.0
    user, system, resident = (int(fields[number - 3]) for number in (14, 15, 24))
    return resident * _PAGE_KIB, (user + system) / _TICKS_PER_S
