"""The programs that answer tools (RunTool): started without a shell, watched by the process's loop, stopped with all they started.

A program gets the arguments as JSON on its standard input and tells the result on its standard output. It runs in the
user's home with a bare environment, so no key that we were given is handed on. All its ends are descriptors in the loop's
poller; nothing here waits for a program.
"""

import logging
import os
import signal
import subprocess
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from voiced.files import shown_program
from voiced.network.outputs import RunTool
from voiced.urgency import waive

#: More than the model is told (calls.LONGEST_OUTPUT characters, of four bytes at the most). A program that prints more is killed.
_MOST_BYTES = 4 * 100_001
#: Of a turn of the loop: 20 us.
_READ_BYTES = 64 << 10
_LONGEST_COMPLAINT = 300
_PASSED_ON = frozenset({"PATH", "HOME", "LANG", "TZ", "XDG_RUNTIME_DIR", "VOICED_RUNTIME_DIR"})


class Loop(Protocol):
    """The part of `voiced.child.Child` that is needed."""

    def watch(self, receiver: int) -> None: ...

    def forget(self, receiver: int) -> None: ...


class Ended(NamedTuple):
    """What `Session.tool_ended` is told; `output` is what was printed, or what went wrong."""

    call_id: str
    ok: bool
    output: str


class Programs:
    def __init__(self, loop: Loop, env: Mapping[str, str] = os.environ) -> None:
        self._loop = loop
        self._env = {name: value for name, value in env.items() if name in _PASSED_ON or name.startswith("LC_")}
        self._running: list[_Program] = []

    def start(self, run: RunTool) -> Ended | None:
        """Starts a program; says at once where that is impossible."""
        home = self._env.get("HOME", "")
        try:
            program = _Program(run, self._env, home if os.path.isdir(home) else "/")
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            logging.warning("the tool program%s can't be started: %s", shown_program(run.argv[0]), why)
            return Ended(run.call_id, False, f"the tool's program can't be started: {why}")
        self._running.append(program)
        for fd in program.fds:
            self._loop.watch(fd)
        return None

    def stop(self, call_id: str) -> None:
        """Kills a program and what it started; its end is not told."""
        for program in self._running:
            if program.call_id == call_id:
                program.wanted = False
                program.kill()

    def stop_all(self) -> None:
        """The same for all: we leave."""
        for program in self._running:
            program.kill()

    def handle(self, woken: set[object]) -> list[Ended]:
        """Looks at what the loop found; returns what came to its end."""
        return [ended for program in list(self._running) if (ended := self._look(program, woken)) is not None]

    def _look(self, program: "_Program", woken: set[object]) -> Ended | None:
        over = program.exit_fd in woken
        for pipe in list(program.pipes):
            if pipe.fd in woken:
                pipe.read()
            while over and pipe.read():  # the last that it printed; what it left running may hold the other end for ever
                pass
            if pipe.full:
                program.kill()  # before the pipe's end kills but the one that prints
            if over or pipe.closed:
                program.pipes.remove(pipe)
                self._loop.forget(pipe.fd)
                os.close(pipe.fd)
        if not over:
            return None
        self._loop.forget(program.exit_fd)
        self._running.remove(program)
        result = program.result()
        return result if program.wanted else None


class _Pipe:
    """What a program prints, as far as it is wanted."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.data = bytearray()
        self.closed = False  # nothing more comes, or is wanted

    def read(self) -> bool:
        """Takes a piece; False where there is none just now, or never again."""
        if self.closed:
            return False
        try:
            piece = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self.data += piece
        self.closed = not piece or self.full
        return bool(piece)

    @property
    def full(self) -> bool:
        return len(self.data) >= _MOST_BYTES

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace").strip()


class _Program:
    """One that runs. Raises OSError and ValueError where it can't."""

    def __init__(self, run: RunTool, env: Mapping[str, str], directory: str) -> None:
        self.call_id = run.call_id
        self._argv = run.argv
        self.wanted = True
        out, out_end = os.pipe2(os.O_CLOEXEC)
        err, err_end = os.pipe2(os.O_CLOEXEC)
        # Not a pipe: that holds 64 KiB, and the rest would have to be written as the program reads.
        arguments = os.memfd_create("arguments")
        try:
            os.pwrite(arguments, run.arguments.encode(), 0)
            self._process = subprocess.Popen(
                run.argv, stdin=arguments, stdout=out_end, stderr=err_end, env=env, cwd=directory, process_group=0
            )
        except BaseException:
            os.close(out)
            os.close(err)
            raise
        finally:
            for fd in (arguments, out_end, err_end):
                os.close(fd)
        self.out, self.err = _Pipe(out), _Pipe(err)
        self.pipes = [self.out, self.err]
        self.exit_fd = os.pidfd_open(self._process.pid)
        waive(self._process.pid)

    @property
    def fds(self) -> list[int]:
        return [self.out.fd, self.err.fd, self.exit_fd]

    def kill(self) -> None:
        """With all that it started, but for what has left its process group. Its number is ours until `result`."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except PermissionError:
            logging.warning("the tool program%s runs as another user and can't be stopped", shown_program(self._argv[0]))

    def result(self) -> Ended:
        """Once it has ended."""
        os.close(self.exit_fd)
        status = self._process.wait()
        if status == 0 or self.out.full:
            return Ended(self.call_id, True, self.out.text)
        complaint = "".join(char for char in self.err.text.partition("\n")[0] if char.isprintable())[:_LONGEST_COMPLAINT]
        how = f"ended with status {status}" if status > 0 else f"was killed by signal {-status}"
        return Ended(self.call_id, False, f"the tool's program {how}" + (f": {complaint}" if complaint else ""))
