"""Answers scrapes: GET /metrics over a loopback port or a unix socket, in the supervisor's own loop.

Whoever connects is a stranger. So nothing here waits, and what he may cost is bounded: visitors at once and a second, pieces and
bytes of a request, and the time until he is gone. The text is made when a request is whole, ten times a second at the most.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from voiced.checks import is_loopback
from voiced.rate import Rate
from voiced.supervisor.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from voiced.bus import Poller

_VISITORS = 8
_A_SECOND = 10.0
#: From the first byte to the last; a scrape takes milliseconds.
_PATIENCE_S = 2.0
#: A head comes in one piece of some hundred bytes. Each piece wakes the loop.
_MOST_PIECES = 16
_PIECE = 4096
_END_OF_HEAD = b"\r\n\r\n"
_UNIX = "unix:"


class _Visitor:
    def __init__(self, connection: socket.socket, deadline_s: float) -> None:
        self.connection, self.deadline_s = connection, deadline_s
        self.head = b""
        self.pieces = 0
        self.answer = b""


class Scrapes:
    """Off until `listen`. `text` makes the metrics; `complain` takes a line for the log."""

    def __init__(self, poller: Poller, text: Callable[[], str], complain: Callable[[str], None]) -> None:
        self._poller, self._text, self._complain = poller, text, complain
        self._where = ""
        self._listener: socket.socket | None = None
        self._visitors: dict[int, _Visitor] = {}
        self._rate = Rate(_A_SECOND, _A_SECOND)
        self._shut_until_s: float | None = None

    def listen(self, where: str) -> None:
        """As metrics.listen has it, "" for not at all. Where that can't be, somebody is told, and all else goes on."""
        if where == self._where:
            return
        self.close()
        self._where = where
        if not where:
            return
        try:
            self._listener = _listening(where)
        except OSError as error:
            self._where = ""  # the next reload tries again
            why = error.strerror or str(error)
            self._complain(f"metrics.listen: can't listen at {where}: {why}; make room there or choose another, then `voicectl reload`")
            return
        self._poller.watch(self._listener.fileno())

    def close(self) -> None:
        for visitor in list(self._visitors.values()):
            self._leave(visitor)
        if self._listener is not None:
            if self._shut_until_s is None:
                self._poller.forget(self._listener.fileno())
            self._listener.close()
            if self._where.startswith(_UNIX):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(_path(self._where))
        self._listener, self._where, self._shut_until_s = None, "", None

    # the loop --------------------------------------------------------------------------------------------------------

    @property
    def deadlines(self) -> Iterator[float]:
        yield from (visitor.deadline_s for visitor in self._visitors.values())
        if self._shut_until_s is not None:
            yield self._shut_until_s

    def keep_time(self, now_s: float) -> None:
        for visitor in [visitor for visitor in self._visitors.values() if visitor.deadline_s <= now_s]:
            self._leave(visitor)
        if self._listener is not None and self._shut_until_s is not None and self._shut_until_s <= now_s:
            self._shut_until_s = None
            self._poller.watch(self._listener.fileno())

    def see(self, woken: set[object], now_s: float) -> None:
        for descriptor in [descriptor for descriptor in self._visitors if descriptor in woken]:
            self._serve(self._visitors[descriptor])
        if self._listener is not None and self._shut_until_s is None and self._listener.fileno() in woken:
            self._welcome(self._listener, now_s)

    def _welcome(self, listener: socket.socket, now_s: float) -> None:
        if len(self._visitors) >= _VISITORS or not self._rate.allows(now_s):
            # He waits with the kernel, and the loop is not woken by him.
            self._poller.forget(listener.fileno())
            self._shut_until_s = now_s + 1 / _A_SECOND
            return
        try:
            connection, _ = listener.accept()
        except OSError as error:  # he is gone again, or there is no descriptor left for him: that must not spin
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                self._poller.forget(listener.fileno())
                self._shut_until_s = now_s + 1
            return
        connection.setblocking(False)
        self._visitors[connection.fileno()] = _Visitor(connection, now_s + _PATIENCE_S)
        self._poller.watch(connection.fileno())

    def _serve(self, visitor: _Visitor) -> None:
        try:
            if not visitor.answer:
                self._read(visitor)
            if visitor.answer:
                self._write(visitor)
        except BlockingIOError:
            return
        except OSError:  # he hung up
            self._leave(visitor)

    def _read(self, visitor: _Visitor) -> None:
        piece = visitor.connection.recv(_PIECE)
        visitor.head += piece
        visitor.pieces += 1
        if _END_OF_HEAD in visitor.head:
            visitor.answer = self._answered(_parsed(visitor.head))
            self._poller.forget(visitor.connection.fileno())
            self._poller.watch(visitor.connection.fileno(), writable=True)
        elif not piece or visitor.pieces >= _MOST_PIECES:
            self._leave(visitor)

    def _answered(self, request: _Request) -> bytes:
        try:
            return _response(request, self._where, self._text)
        except Exception as error:  # the fence: a bug of ours costs one visitor his answer, not everybody the daemon
            self._complain(f"a bug in voiced, in its metrics: {type(error).__name__}: {error}; please report this")
            return _answer("500 Internal Server Error", "a bug in voiced; its log says more\n")

    def _write(self, visitor: _Visitor) -> None:
        visitor.answer = visitor.answer[visitor.connection.send(visitor.answer) :]
        if not visitor.answer:
            self._leave(visitor)

    def _leave(self, visitor: _Visitor) -> None:
        descriptor = visitor.connection.fileno()
        del self._visitors[descriptor]
        self._poller.forget(descriptor)
        visitor.connection.close()


# HTTP, as much as a scrape needs of it -----------------------------------------------------------------------------------


class _Request(NamedTuple):
    method: str
    path: str
    host: str


def _parsed(head: bytes) -> _Request:
    first, *lines = head.partition(_END_OF_HEAD)[0].decode("latin-1").split("\r\n")
    words = first.split(" ")
    method, path = (words[0], words[1].partition("?")[0]) if len(words) == 3 and words[2].startswith("HTTP/1.") else ("", "")
    hosts = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("host:")]
    return _Request(method, path, hosts[0] if hosts else "")


def _response(request: _Request, where: str, text: Callable[[], str]) -> bytes:
    if not request.method:
        return _answer("400 Bad Request", "this is HTTP/1.1\n")
    if request.method not in ("GET", "HEAD"):
        return _answer("405 Method Not Allowed", "GET /metrics\n", "Allow: GET, HEAD\r\n")
    # A page in a browser may be at a name that leads here; its Host says so.
    if request.host and not where.startswith(_UNIX) and not is_loopback(_host(request.host)):
        return _answer("403 Forbidden", "only for programs of this machine\n")
    if request.path != "/metrics":
        return _answer("404 Not Found", "GET /metrics\n")
    return _answer("200 OK", text(), kind=CONTENT_TYPE, bare=request.method == "HEAD")


def _host(named: str) -> str:
    """Of `127.0.0.1:9780` or `[::1]:9780`."""
    return named.partition("]")[0].removeprefix("[") if named.startswith("[") else named.partition(":")[0]


def _answer(status: str, text: str, more: str = "", kind: str = "text/plain", *, bare: bool = False) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n".encode()
    return head if bare else head + body


# where it listens --------------------------------------------------------------------------------------------------------


def _path(where: str) -> str:
    return os.path.expanduser(where.removeprefix(_UNIX))


def _listening(where: str) -> socket.socket:
    """Raises OSError."""
    import socket  # 4 ms, for those who measure

    if where.startswith(_UNIX):
        listener = socket.socket(socket.AF_UNIX)
        address: str | tuple[str, int] = _path(where)
    else:
        host, _, port = where.rpartition(":")
        host = "127.0.0.1" if host == "localhost" else host.strip("[]")
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = (host, int(port))
    try:
        listener.setblocking(False)
        if isinstance(address, str):
            _clear(address)
        listener.bind(address)
        if isinstance(address, str):
            os.chmod(address, 0o600)
        listener.listen(_VISITORS)
    except OSError:
        listener.close()
        raise
    return listener


def _clear(path: str) -> None:
    """Takes away the socket that a killed daemon of ours left; nothing else, and none that somebody listens at."""
    import socket

    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() and probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)
