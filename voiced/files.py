"""Files and programs that somebody named, in settings above all: opened so that they can't hold us up, shown so that a key in
the place of a name is not."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

#: Much longer than a key of any server, and no settings are as long.
_LONGEST_SHOWN = 200


class Refused(OSError):
    """The file is there and is not read: `strerror` says why."""


def read_file(path: Path, most_bytes: int, objection: Callable[[os.stat_result], str | None] = lambda _: None) -> bytes:
    """The content of a regular file of at most `most_bytes`, unless `objection` has something against it.

    Never waits: a pipe or a terminal in the place of a file would make us do so for ever, and some devices have no end. Raises
    OSError, whose `strerror` is for people, and ValueError for what can't be a name.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        found = os.fstat(descriptor)
        wrong = "it is no regular file" if not stat.S_ISREG(found.st_mode) else objection(found)
        if wrong:
            raise Refused(errno.EINVAL, wrong)
        content = b""
        while len(content) <= most_bytes and (piece := os.read(descriptor, most_bytes + 1 - len(content))):
            content += piece
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:
        raise Refused(errno.EFBIG, f"it is larger than {most_bytes >> 10} KiB")
    return content


def write_whole(path: str | os.PathLike[str], content: bytes, mode: int = 0o600, *, anew: bool = False) -> None:
    """Puts a file there, whole or not at all. `anew`: not in the place of one that is there. Raises OSError."""
    import tempfile  # 15 ms, for those who write

    directory, name = os.path.split(path)
    descriptor, written = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        if anew:
            os.link(written, path)  # which fails where there is one
        else:
            os.rename(written, path)
    finally:
        if os.path.lexists(written):
            os.unlink(written)


def shown_path(path: Path) -> str:
    """` PATH` for a message; nothing where it may be a key that begins with a slash: such a file lies in no directory."""
    parent = path.parent
    return f" {path}" if len(str(path)) <= _LONGEST_SHOWN and parent != parent.parent and os.path.isdir(parent) else ""


def shown_program(named: str) -> str:
    """` 'NAME'` of a program for a message, without its directory; nothing where there is no such program: then it may be a key."""
    from shutil import which  # 15 ms, for those who name a program

    try:
        return f" {os.path.basename(named)!r}" if which(named) else ""
    except ValueError:  # a NUL
        return ""
