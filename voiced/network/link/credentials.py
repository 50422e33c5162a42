"""The key for a connection: from the settings or from a program that is asked for it, and the header that carries it."""

import logging
import os
import select
import signal
import subprocess
import threading
from collections.abc import Sequence
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SHRINK, fcntl
from typing import BinaryIO, Final

from voiced.errors import KeyUnavailable
from voiced.files import shown_program
from voiced.network.quote import Quote
from voiced.urgency import waive

#: A keyring that is asked for a passphrase takes longer; it is unlocked by then, and the next attempt finds it so.
_WITHIN_S: Final = 10.0
_DYING_S: Final = 1.0
_LONGEST_BYTES: Final = 64 << 10
_NAMES: Final = {"bearer": "Authorization", "api-key": "api-key", "x-api-key": "X-API-Key"}


def headers(auth: str, key: str) -> list[str]:
    """The header with the key, as this kind of server wants it; none where there is no key or `auth` is "none"."""
    if not key or auth not in _NAMES:
        return []
    return [f"{_NAMES[auth]}: {'Bearer ' if auth == 'bearer' else ''}{key}"]


class KeyCommand:
    """A program that prints the key as the first line of its output (`realtime.api_key_command`), run at most once."""

    def __init__(self, argv: Sequence[str], quote: Quote) -> None:
        self._argv = list(argv)
        self._quote = quote
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def key(self) -> str:
        """Runs the program and waits for it, for 10 s at most; `quote` hides the key from then on. Raises KeyUnavailable."""
        # Its output stays in memory, and an endless one ends with an error of the program's: no pipe that would have to be
        # emptied, or that what the program leaves running could hold open.
        with _memory("stdout") as out, _memory("stderr") as err:
            status = self._run(out.fileno(), err.fileno())
            said, complaint = _first_line(out), _first_line(err)
        if status is None:
            raise self._unavailable(f"told no key within {_WITHIN_S:g} s")
        if status != 0:
            complaint = self._quote(complaint.replace(said, "***") if said else complaint)
            ended = f"ended with status {status}" if status > 0 else f"was killed by signal {-status}"
            raise self._unavailable(f"{ended}: {complaint}" if complaint else ended)
        if not said:
            raise self._unavailable("printed nothing")
        if not all("!" <= char <= "~" for char in said):  # it becomes an HTTP header
            raise self._unavailable("printed more than a key, which is one word of ASCII letters, digits and signs")
        self._quote.hide(said, passing=True)
        return said

    def stop(self) -> None:
        """Ends the program, from any thread: its key is not wanted any more."""
        with self._lock:
            self._stopped = True
            self._kill()

    def _run(self, out: int, err: int) -> int | None:
        """The exit status; None where it took too long or was stopped."""
        with self._lock:
            if self._stopped:
                return None
            try:
                running = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
            except (OSError, ValueError, IndexError) as error:
                raise self._unavailable(f"can't be run ({getattr(error, 'strerror', None) or error})") from error
            self._running = running
            waive(running.pid)
        ended = os.pidfd_open(running.pid)
        in_time = select.select([ended], [], [], _WITHIN_S)[0]
        os.close(ended)
        with self._lock:
            if not in_time:
                self._kill()
            self._running = None  # its number may be another's as soon as it was waited for
            status = _reap(running)
            return None if self._stopped or not in_time else status

    def _kill(self) -> None:
        """With the lock held. The program was not waited for, so the number of its group is still its own."""
        if self._running is not None:
            try:
                os.killpg(self._running.pid, signal.SIGKILL)
            except PermissionError as error:  # it became somebody else, as sudo does
                logging.debug("the program of realtime.api_key_command can't be ended: %s", error)

    def _unavailable(self, what: str) -> KeyUnavailable:
        """Names the program alone: its arguments may hold secrets."""
        program = shown_program(self._argv[0]) if self._argv else ""
        return KeyUnavailable(f"the program{program} of realtime.api_key_command {what}; try the command in a shell")


def _reap(program: "subprocess.Popen[bytes]") -> int | None:
    try:
        return program.wait(_DYING_S)
    except subprocess.TimeoutExpired:  # it may not be killed, or hangs in the kernel; Popen looks after it later
        return None


def _memory(name: str) -> BinaryIO:
    """A file in memory alone that does not grow: what is written beyond its end fails."""
    file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, _LONGEST_BYTES)
    fcntl(file, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK)
    return open(file, "rb", buffering=0)


def _first_line(file: BinaryIO) -> str:
    written = os.pread(file.fileno(), _LONGEST_BYTES, 0).partition(b"\0")[0].strip()
    return written.partition(b"\n")[0].decode("utf-8", "replace").strip()
