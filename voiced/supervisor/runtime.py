"""The runtime directory: ours alone while we run, and gone, with all that is in it, when we are."""

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType

from voiced.bus import ENDPOINTS, address
from voiced.errors import AlreadyRunning, RuntimeDirUnusable

LOCK = "lock"


class RuntimeDirectory:
    """Holds the directory between `with` and its end.

    Raises RuntimeDirUnusable where others may enter it or it can't be had, AlreadyRunning where a daemon holds it.
    """

    def __init__(self, path: Path, *, ours: bool) -> None:
        """`ours`: the directory is removed at the end even if it was there before (a killed run leaves it behind)."""
        self.path = path
        self._ours = ours
        self._lock = -1

    def __enter__(self) -> "RuntimeDirectory":
        for endpoint in ENDPOINTS:
            address(self.path, endpoint)
        self._make()
        _check(self.path)
        self._lock = self._locked()
        # Under the lock whatever socket is here was left behind by a run that was killed.
        self._sweep()
        return self

    def renew(self) -> bool:
        """Makes it anew where somebody removed it, as who cleans up /tmp does; true where that was so.

        Raises RuntimeDirUnusable where that can't be done now, AlreadyRunning where another daemon has taken it.
        """
        if _is_at(self._lock, self.path / LOCK):
            return False
        try:
            self._make()
            _check(self.path)
            lost, self._lock = self._lock, self._locked()
        except OSError as error:  # it is being removed while we look
            raise RuntimeDirUnusable(f"can't make the runtime directory {self.path} again: {error.strerror}") from error
        os.close(lost)
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if _is_at(self._lock, self.path / LOCK):  # or it is another daemon's by now
            self._sweep()
            (self.path / LOCK).unlink(missing_ok=True)
            if self._ours:
                with contextlib.suppress(OSError):  # somebody's files are in it
                    self.path.rmdir()
        os.close(self._lock)

    def _make(self) -> None:
        _check_way(self.path)
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            return
        except OSError as error:
            raise RuntimeDirUnusable(f"can't make the runtime directory {self.path}: {error.strerror}; set VOICED_RUNTIME_DIR") from error
        self._ours = True

    def _locked(self) -> int:
        """The descriptor of the lock file, locked, our process id in it."""
        path = self.path / LOCK
        while True:
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise RuntimeDirUnusable(f"can't open {path}: {error.strerror}; remove it or set VOICED_RUNTIME_DIR") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(lock, 20).decode(errors="replace").strip()
                os.close(lock)
                raise AlreadyRunning(
                    f"voiced is already running (pid {holder or 'unknown'}); "
                    "`voicectl shutdown` ends it, VOICED_RUNTIME_DIR makes room for a second"
                ) from None
            if _is_at(lock, path):
                try:
                    os.truncate(lock, 0)
                    os.write(lock, str(os.getpid()).encode())
                except OSError as error:
                    os.close(lock)
                    raise RuntimeDirUnusable(f"can't write {path}: {error.strerror}; make room there or set VOICED_RUNTIME_DIR") from error
                return lock
            os.close(lock)  # its holder removed it between our open and our lock

    def _sweep(self) -> None:
        for endpoint in ENDPOINTS:
            (self.path / endpoint.name).unlink(missing_ok=True)


def _check(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise RuntimeDirUnusable(f"the runtime directory {path} is a symbolic link; set VOICED_RUNTIME_DIR to the directory itself")
    if not stat.S_ISDIR(found.st_mode):
        raise RuntimeDirUnusable(f"the runtime directory {path} is no directory; remove it or set VOICED_RUNTIME_DIR")
    if found.st_uid != os.geteuid():
        raise RuntimeDirUnusable(f"the runtime directory {path} belongs to user {found.st_uid}, not to you; set VOICED_RUNTIME_DIR")
    if found.st_mode & 0o077:
        raise RuntimeDirUnusable(f"others may enter the runtime directory {path}; run: chmod 700 {path}")


def _check_way(path: Path) -> None:
    """Who may write to a directory on the way can put another in the place of ours, whatever mode that has."""
    on_the_way = {*path.absolute().parents, *path.resolve().parents}
    for each in sorted(each for each in on_the_way if os.path.lexists(each)):
        found = each.lstat()
        if found.st_uid not in (0, os.geteuid(), _unmapped_uid()):
            raise RuntimeDirUnusable(f"{each}, on the way to the runtime directory, belongs to user {found.st_uid}; set VOICED_RUNTIME_DIR")
        if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise RuntimeDirUnusable(f"anybody may replace the runtime directory {path}; run: chmod o-w {each}, or set VOICED_RUNTIME_DIR")


def _unmapped_uid() -> int:
    """Whom everything seems to belong to, in a sandbox, that is root's or another user's outside (user_namespaces(7))."""
    return int(Path("/proc/sys/kernel/overflowuid").read_bytes())


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
