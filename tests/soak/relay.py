"""The network between voiced and its server: a TCP relay on loopback that can stand still, or be away."""

import contextlib
import os
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

_PIECE = 1 << 16


class Relay:
    """A context manager. While `stalled` nothing flows and nothing is lost; while `away` whoever connects is reset."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        self._peers: dict[socket.socket, socket.socket] = {}
        self.stalled = self.away = False
        self._over = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over = True
        os.write(self._wake, b"-")
        self._thread.join()
        for end in (*self._peers, self._listener):
            end.close()
        self._selector.close()
        os.close(self._woken)
        os.close(self._wake)

    def stall(self) -> None:
        self.stalled = True
        os.write(self._wake, b"-")

    def leave(self) -> None:
        """The network is gone: connections stand still for ever, and new ones fail."""
        self.away = True
        self.stall()

    def come_back(self) -> None:
        """What stood still flows on; after `leave` it is cut, as by a router that forgot it."""
        if self.away:
            self._cut()
        self.stalled = self.away = False
        os.write(self._wake, b"-")

    def _cut(self) -> None:
        for end in list(self._peers):
            with contextlib.suppress(OSError):  # it is cut already
                end.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select():
                if key.fileobj == self._woken:
                    os.read(self._woken, _PIECE)
                    self._watch()
                elif key.fileobj is self._listener:
                    self._accept()
                elif not self.stalled and isinstance(key.fileobj, socket.socket):
                    self._pass_on(key.fileobj)

    def _watch(self) -> None:
        """While nothing flows nobody reads: what is sent fills the kernel's buffers, as it does on a dead line."""
        for end in self._peers:
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)
            if not self.stalled:
                self._selector.register(end, selectors.EVENT_READ)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self.away:
            client.close()
            return
        try:
            server = socket.create_connection(self._to)
        except OSError:  # it is being restarted
            client.close()
            return
        for end, other in ((client, server), (server, client)):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[end] = other
            if not self.stalled:
                self._selector.register(end, selectors.EVENT_READ)

    def _pass_on(self, end: socket.socket) -> None:
        other = self._peers.get(end)
        if other is None:
            return
        try:
            piece = end.recv(_PIECE)
            other.sendall(piece)
        except OSError:
            piece = b""
        if not piece:
            for each in (end, other):
                with contextlib.suppress(KeyError):
                    self._selector.unregister(each)
                del self._peers[each]
                each.close()
