"""Who may come in to a bound socket, and how many: `Door` counts, `Doorman` asks who comes from another machine."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voiced.bus import Bus


_MOST_OFFENCES = 50
_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL


class Door:
    """Who is connected to a bound socket; more than `most` are sent away again.

    Each costs a descriptor, and where there is none for one more, libzmq ends the process (ipc: an assertion, seen with 4.3.5) or
    tries for ever at full speed (TCP). It has no way to send a single peer away but the kernel's: to unbind hangs up on all.
    """

    def __init__(self, bus: Bus, bound: zmq.Socket[bytes], most: int) -> None:
        #: Readable when somebody came or went.
        self.socket = bus.monitor(bound, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.most = most
        #: There were too many, and are still more than half of that.
        self.crowded = False
        self._where = str(bound.get_string(zmq.LAST_ENDPOINT)).rstrip("\0")
        #: Their descriptors, which are libzmq's, and how often each was offensive.
        self._inside: dict[int, int] = {}

    @property
    def peers(self) -> int:
        return len(self._inside)

    def look(self) -> bool:
        """Takes in who came and went; whether `crowded` changed."""
        was = self.crowded
        for event, descriptor in _told(self.socket):
            if event == zmq.EVENT_DISCONNECTED:
                self._inside.pop(descriptor, None)
                continue
            self._inside[descriptor] = 0
            if self.peers > self.most:
                self.crowded = True
                self._hang_up(descriptor)
        if self.peers <= self.most // 2:
            self.crowded = False
        return self.crowded is not was

    def clear(self) -> None:
        """Sends them all away; those who may will come again."""
        for descriptor in self._inside:
            self._hang_up(descriptor)

    def offended(self, descriptor: int) -> None:
        """A peer did what none should; one that did so too often is sent away."""
        if descriptor in self._inside:
            self._inside[descriptor] += 1
            if self._inside[descriptor] == _MOST_OFFENCES:
                self._hang_up(descriptor)

    def _hang_up(self, descriptor: int) -> None:
        """libzmq sees the end of the connection, and closes it."""
        with contextlib.suppress(OSError):  # it is gone by itself
            connection = socket.socket(fileno=descriptor)
            try:
                if _is_at(connection, self._where):  # or its number is another connection's by now
                    connection.shutdown(socket.SHUT_RDWR)
            finally:
                connection.detach()


class Doorman:
    """Lets in from abroad whose key is known. `knows` gives the name of a public key, "" for a stranger's; it gets the address, too.

    The protocol is ZeroMQ's RFC 27; libzmq asks for each connection, and takes no message of it before the answer.
    """

    def __init__(self, bus: Bus, knows: Callable[[bytes, str], str]) -> None:
        self.socket = bus.doorkeeper()
        self._knows = knows

    def look(self) -> None:
        """Answers those who wait outside."""
        while True:
            try:
                version, number, _, address, _, mechanism, *credentials = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            name = self._knows(credentials[0], address.decode(errors="replace")) if mechanism == b"CURVE" else ""
            status = (b"200", b"OK") if name else (b"400", b"unknown key")
            self.socket.send_multipart((version, number, *status, name.encode(), b""))


class Handshakes:
    """What became of a client's tries to be let in abroad."""

    def __init__(self, bus: Bus, socket: zmq.Socket[bytes]) -> None:
        self.socket = bus.monitor(socket, zmq.EVENT_HANDSHAKE_FAILED_AUTH | _FAILED)
        #: Its doorman does not know our key.
        self.refused = False
        #: It is not whom we expect, or went away meanwhile.
        self.failed = 0

    def look(self) -> None:
        for event, _ in _told(self.socket):
            self.refused |= event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
            self.failed += event != zmq.EVENT_HANDSHAKE_FAILED_AUTH


def _told(monitor: zmq.Socket[bytes]) -> Iterator[tuple[int, int]]:
    """Kind and value, as zmq_socket_monitor(3) packs them; the value of most is a descriptor."""
    while True:
        try:
            packed = monitor.recv_multipart(zmq.DONTWAIT)[0]
        except zmq.Again:
            return
        yield int.from_bytes(packed[:2], sys.byteorder), int.from_bytes(packed[2:6], sys.byteorder)


def _is_at(connection: socket.socket, where: str) -> bool:
    """Whether it was accepted there."""
    name = connection.getsockname()
    return where == f"ipc://{name}" if isinstance(name, str) else where.endswith(f":{name[1]}")
