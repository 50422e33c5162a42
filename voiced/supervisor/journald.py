"""The systemd journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram an entry, with fields to search by.

Not by the `systemd` packages, which want its C headers and a compiler; ours would be three calls of theirs.
"""

import errno
import socket
from collections.abc import Mapping
from pathlib import Path

_SOCKET = Path("/run/systemd/journal/socket")
#: Of a value. An entry must fit in one datagram (net.core.wmem_max is 208 KiB); larger ones want a file instead.
_LONGEST = 32 << 10
#: It is not there, or is being started anew: what is said then goes to where systemd told us to write.
_ABSENT = (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTCONN, errno.EACCES, errno.EPERM)


def entry(fields: Mapping[str, str]) -> bytes:
    """Fields as the journal wants them: names in capitals; of a value with a line's end, its length comes first."""
    return b"".join(_field(name, value.encode(errors="backslashreplace")[:_LONGEST]) for name, value in fields.items())


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return b"%s\n%s%s\n" % (name.encode(), len(value).to_bytes(8, "little"), value)
    return b"%s=%s\n" % (name.encode(), value)


class Journald:
    """Never waits: what a journal that stands still does not take is lost, and `lost` counts it."""

    def __init__(self, where: Path = _SOCKET) -> None:
        self._where = str(where)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self.lost = 0

    def send(self, fields: Mapping[str, str]) -> bool:
        """Whether it was dealt with; False where there is no journal. Unconnected, so that one that was started anew is found."""
        try:
            self._socket.sendto(entry(fields), self._where)
        except OSError as error:
            if error.errno in _ABSENT:
                return False
            self.lost += 1
        return True

    def close(self) -> None:
        self._socket.close()
