"""What outlives a run: the state directory, and files of rows, one a local day, in it.

A row is a line of JSON, appended by one write: a kill -9 loses at most the row that is being made, a power cut what the
kernel had not yet written. Nothing is fsynced: that may take seconds, and the supervisor must not wait. No error of
the disk gets out of here: it becomes a complaint, told once until the disk does its work again.
"""

import contextlib
import errno
import json
import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

#: Rows that wait for a disk that is full or gone; the oldest give way.
MOST_WAITING = 200
#: A clock that leaps ahead further than this is not believed until it has said so for a day: nothing is removed by it.
_LEAP_DAYS = 7
_DAY_S = 86_400


def state_dir(env: Mapping[str, str]) -> tuple[Path | None, str | None]:
    """$XDG_STATE_HOME/voiced or ~/.local/state/voiced, made if need be; or None and why it is not used."""
    home = env.get("XDG_STATE_HOME", "")
    try:
        # A relative path is to be ignored (XDG Base Directory Specification).
        base = Path(home) if os.path.isabs(home) else Path(env.get("HOME") or "~").expanduser() / ".local" / "state"
    except RuntimeError:
        return None, "nothing is kept: there is no home directory; set XDG_STATE_HOME"
    path = base / "voiced"
    try:
        _make(path)
        os.close(_entered(path))
    except OSError as error:
        return None, f"nothing is kept: {path}: {error.strerror}; put that right, or set XDG_STATE_HOME"
    return path, None


def day_of(wall_s: float) -> str:
    """The local day, as 2026-11-22; of a time that no calendar has, the first of all."""
    try:
        return time.strftime("%Y-%m-%d", time.localtime(wall_s))
    except (OverflowError, ValueError, OSError):
        return "1970-01-01"


class DayFiles:
    """`NAME-2026-11-22.jsonl`, kept for `days`. Without a directory it keeps and says nothing."""

    def __init__(self, directory: Path | None, name: str, days: int, day: str, loss: str) -> None:
        """`loss`: for people, what it means that nothing can be written."""
        self._directory = directory
        self._name = name
        self._is_ours = re.compile(rf"{name}-(\d{{4}}-\d\d-\d\d)\.jsonl", re.ASCII)
        self._keep = days
        self._loss = loss
        self._day = day
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=MOST_WAITING)
        self._complaint: str | None = None
        self.trouble = ""  # what is wrong now
        self._sweep(day)

    @property
    def complaint(self) -> str | None:
        """What has gone wrong, or is right again, handed over once."""
        complaint, self._complaint = self._complaint, None
        return complaint

    def append(self, day: str, row: Mapping[str, Any]) -> None:
        """Writes the row, and those before it that could not be written."""
        if self._directory is None:
            return
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str, skipkeys=True)
        # Half of a surrogate pair is no text in UTF-8; as \udXXX it is JSON.
        self._waiting.append((day, text.encode(errors="backslashreplace") + b"\n"))
        with self._complaining(), self._open_directory() as directory:
            while self._waiting:
                _write(directory, self._file(self._waiting[0][0]), self._waiting[0][1])
                self._waiting.popleft()
            if self.trouble:
                self._complaint = f"{self._directory}: written down again, with what had to wait"
            self.trouble = ""
        if day != self._day:
            self._sweep(day if _days_between(self._day, day) <= _LEAP_DAYS else self._day)
            self._day = day

    def rows(self, day: str, most_bytes: int) -> list[dict[str, Any]]:
        """The rows of a day as they were written, of its last `most_bytes`; what is no row, as a torn line, is left out."""
        data = b""
        if self._directory is not None:
            with self._complaining(), self._open_directory() as directory, contextlib.suppress(FileNotFoundError):
                data = _read_end(directory, self._file(day), most_bytes)
        parsed = (_parsed(line) for line in data.splitlines())
        return [row for row in parsed if row is not None]

    def days(self) -> list[str]:
        """The days of which there is a file, the newest first."""
        if self._directory is None:
            return []
        names: list[str] = []
        with self._complaining(), self._open_directory() as directory:
            names = os.listdir(directory)
        return sorted((match[1] for match in map(self._is_ours.fullmatch, names) if match), reverse=True)

    def _sweep(self, today: str) -> None:
        for day in self.days():
            if _days_between(day, today) > self._keep:
                with self._complaining(), self._open_directory() as directory:
                    os.unlink(self._file(day), dir_fd=directory)

    def _file(self, day: str) -> str:
        return f"{self._name}-{day}.jsonl"

    @contextlib.contextmanager
    def _open_directory(self) -> Iterator[int]:
        """A descriptor of the directory, which is made anew where somebody removed it."""
        assert self._directory is not None
        try:
            descriptor = _entered(self._directory)
        except FileNotFoundError:
            _make(self._directory)
            descriptor = _entered(self._directory)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self.trouble:
                self._complaint = f"{self._directory}: {error.strerror}; {self._loss}"
            self.trouble = f"{self._directory}: {error.strerror}; {self._loss}"


# the disk ----------------------------------------------------------------------------------------------------------------


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)


def _entered(path: Path) -> int:
    """A descriptor of the directory. Raises OSError where it is not ours alone to write in."""
    if path.is_symlink():  # O_NOFOLLOW alone would call it no directory
        raise OSError(errno.ELOOP, "it is a symbolic link")
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and not found.st_mode & 0o022:
        return descriptor
    os.close(descriptor)
    reason = "others may write in it" if found.st_uid == os.geteuid() else f"it belongs to user {found.st_uid}, not to you"
    raise OSError(errno.EPERM, reason)


def _opened(directory: int, name: str, flags: int) -> int:
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600, dir_fd=directory)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EPERM, f"{name} is no file of yours")


def _write(directory: int, name: str, line: bytes) -> None:
    descriptor = _opened(directory, name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        found = os.fstat(descriptor)
        if stat.S_IMODE(found.st_mode) != 0o600:
            os.fchmod(descriptor, 0o600)
        if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
            line = b"\n" + line  # the last line was torn
        # A line that lacks just its end is whole, and must not be written twice.
        if os.write(descriptor, line) < len(line) - 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _read_end(directory: int, name: str, most_bytes: int) -> bytes:
    descriptor = _opened(directory, name, os.O_RDONLY)
    try:
        # May begin within a line: the end of an object's text never is one, since its quotes don't pair off.
        return os.pread(descriptor, most_bytes, max(0, os.fstat(descriptor).st_size - most_bytes))
    finally:
        os.close(descriptor)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _days_between(earlier: str, later: str) -> int:
    """Days from one to the other; 0 where one is none, so that nothing is removed for it."""
    try:
        first, last = (_noon(*map(int, day.split("-"))) for day in (earlier, later))
    except OverflowError:
        return 0
    return round((last - first) / _DAY_S)  # an hour more or less where summer time began or ended


def _noon(year: int, month: int, day: int) -> float:
    return time.mktime((year, month, day, 12, 0, 0, 0, 0, -1))
