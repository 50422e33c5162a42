"""Writes the flight recorders' rings into files, when something went wrong or somebody asks (SIGUSR1)."""

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from voiced import __version__, flight

#: A process that dies at every start makes one file of it, and not one a try.
_EVERY_S = 10.0
_MOST_FILES = 8
_OURS = re.compile(r"flight-[\dT-]+-\w+\.txt", re.ASCII)


class Flights:
    """`complain` takes a line for the log, from another thread. Without a directory nothing is written."""

    def __init__(self, directory: Path | None, complain: Callable[[str], None]) -> None:
        self._directory = None if directory is None else directory / "flights"
        self._complain = complain
        self._next_s = 0.0
        self._writing: threading.Thread | None = None

    def write(self, name: str, why: str, rings: Mapping[str, flight.Ring], now_s: float, *, always: bool = False) -> Path | None:
        """The file that is now being written, by a thread: to put the lines in order takes 50 ms, and a disk what it likes. None
        where there is no place for one, or one was made just now."""
        busy = self._writing is not None and self._writing.is_alive()
        if self._directory is None or busy or (now_s < self._next_s and not always):
            return None
        self._next_s = now_s + _EVERY_S
        path = self._directory / f"flight-{time.strftime('%Y-%m-%dT%H-%M-%S')}-{name}.txt"
        copies = {who: ring.copy() for who, ring in rings.items()}
        self._writing = threading.Thread(target=self._write, args=(path, why, copies, time.monotonic_ns()), name="flight", daemon=True)
        try:
            self._writing.start()
        except RuntimeError:  # no thread or memory is left; that may be what it died of
            self._writing = None
            return None
        return path

    def wait(self) -> None:
        """Until what is being written is there, at the end; not longer than an end may take."""
        if self._writing is not None:
            self._writing.join(0.5)

    def _write(self, path: Path, why: str, rings: Mapping[str, bytes], now_ns: int) -> None:
        try:
            os.makedirs(path.parent, mode=0o700, exist_ok=True)
            for old in _surplus(path.parent):
                old.unlink(missing_ok=True)
            # A name that is there may be a link of somebody's; it is left alone.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"voiced {__version__}, {time.strftime('%Y-%m-%d %H:%M:%S')}: {why}\n")
                file.write("The headers on the bus in the 30 s before, without sound and words; times are seconds before that.\n\n")
                file.writelines(f"{line}\n" for line in flight.lines(rings, now_ns))
        except OSError as error:
            self._complain(f"{path} could not be written: {error.strerror}")


def _surplus(directory: Path) -> list[Path]:
    """The oldest files, so that with one more there are not too many."""
    return sorted(entry for entry in directory.iterdir() if _OURS.fullmatch(entry.name))[: 1 - _MOST_FILES]
