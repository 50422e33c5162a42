"""Who may come in to a bound socket, and how many."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voiced.bus import Bus


class Door:
    """Who is connected to a bound socket; more than `most` are sent away again.

    Each costs a descriptor, and where there is none for one more, libzmq ends the process (ipc: an assertion, seen with 4.3.5) or
    tries for ever at full speed (TCP). It has no way to send a single peer away but the kernel's: to unbind hangs up on all.
    """

    def __init__(self, bus: Bus, bound: zmq.Socket[bytes], most: int) -> None:
        self.monitor = bus.monitor(bound, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.most = most
        #: There were too many, and are still more than half of that.
        self.crowded = False
        self._inside: set[int] = set()  # their descriptors, which are libzmq's

    @property
    def peers(self) -> int:
        return len(self._inside)

    def look(self) -> bool:
        """Takes in who came and went; whether `crowded` changed."""
        was = self.crowded
        for event, descriptor in self._told():
            if event == zmq.EVENT_DISCONNECTED:
                self._inside.discard(descriptor)
                continue
            self._inside.add(descriptor)
            if self.peers > self.most:
                self.crowded = True
                _hang_up(descriptor)
        if self.peers <= self.most // 2:
            self.crowded = False
        return self.crowded is not was

    def clear(self) -> None:
        """Sends them all away; those who may will come again."""
        for descriptor in self._inside:
            _hang_up(descriptor)

    def _told(self) -> Iterator[tuple[int, int]]:
        """Kind and descriptor, as zmq_socket_monitor(3) packs them."""
        while True:
            try:
                packed = self.monitor.recv_multipart(zmq.DONTWAIT)[0]
            except zmq.Again:
                return
            yield int.from_bytes(packed[:2], sys.byteorder), int.from_bytes(packed[2:6], sys.byteorder)


def _hang_up(descriptor: int) -> None:
    """libzmq sees the end of the connection, and closes it."""
    with contextlib.suppress(OSError):  # it is gone by itself
        connection = socket.socket(fileno=descriptor)
        try:
            connection.shutdown(socket.SHUT_RDWR)
        finally:
            connection.detach()
