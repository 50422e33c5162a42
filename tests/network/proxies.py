"""An HTTP proxy that knows CONNECT and a SOCKS5 proxy, each real and tiny, on loopback."""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.network.process import PATIENCE_S

USER, PASSWORD = "ann", "p@ss:word"
ENCODED = "ann:p%40ss%3Aword"


class Proxy(NamedTuple):
    port: int
    asked: list[str]  # the destinations, as they were asked for
    dialled: list[tuple[str, int]]  # (host, port) it is to connect to instead of what was asked for; empty: as asked

    def instead(self, url: str) -> None:
        """Whatever is asked for, this server is connected to."""
        host, _, port = url.partition("://")[2].partition("/")[0].partition(":")
        self.dialled.append((host, int(port)))


Serve = Callable[..., socket.socket | None]  # of the client's socket and the proxy


@contextlib.contextmanager
def proxy(serve: Serve) -> Iterator[Proxy]:
    """`serve` makes the way: it answers the client and returns the connection to the server, or None."""
    listener = socket.create_server(("127.0.0.1", 0))
    running = Proxy(listener.getsockname()[1], [], [])
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def take(client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either side may leave at any time
            server = serve(client, running)
            if server is None:
                client.close()
                return
            opened.append(server)
            back = threading.Thread(target=_pump, args=(server, client))
            back.start()
            threads.append(back)
            _pump(client, server)

    def accept() -> None:
        with contextlib.suppress(OSError):  # the listener was closed: that is how this ends
            while True:
                client, _ = listener.accept()
                opened.append(client)
                threads.append(threading.Thread(target=take, args=(client,)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield running
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for sock in list(opened):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE_S)
        for sock in opened:
            sock.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


def connecting(client: socket.socket, running: Proxy, *, known: bool = False) -> socket.socket | None:
    """CONNECT; `known`: only for user and password."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += client.recv(4096)
    head, *fields = request.decode().split("\r\n")
    method, where, _ = head.split(" ")
    assert method == "CONNECT"
    running.asked.append(where)
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    if known and f"Proxy-Authorization: Basic {credentials}" not in fields:
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
        return None
    host, _, port = where.rpartition(":")
    server = socket.create_connection(running.dialled[0] if running.dialled else (host, int(port)))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in (b"HTTP/1.1 200 Conn", b"ection established\r\nVia: ", b"a proxy\r\n", b"\r\n"):  # in pieces, as the net has it
        client.sendall(piece)
    return server


def socks5(client: socket.socket, running: Proxy, *, known: bool = False, reply: int = 0) -> socket.socket | None:
    """RFC 1928 and 1929; `known`: only for user and password; `reply`: answers the request with this."""
    stream = client.makefile("rb")
    version, count = stream.read(2)
    methods = stream.read(count)
    assert version == 5
    method = 2 if known else 0
    client.sendall(bytes([5, method if method in methods else 255]))
    if method not in methods:
        return None
    if known:
        stream.read(1)
        user = stream.read(stream.read(1)[0]).decode()
        password = stream.read(stream.read(1)[0]).decode()
        right = (user, password) == (USER, PASSWORD)
        client.sendall(bytes([1, 0 if right else 1]))
        if not right:
            return None
    kind = stream.read(4)[3]
    host = stream.read(stream.read(1)[0]).decode() if kind == 3 else socket.inet_ntoa(stream.read(4))
    port = int.from_bytes(stream.read(2), "big")
    running.asked.append(f"{host}:{port}")
    server = None if reply else socket.create_connection(running.dialled[0] if running.dialled else (host, port))
    client.sendall(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
    return server
