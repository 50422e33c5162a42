"""Clients that a daemon should survive, over real sockets."""

import socket
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import msgpack
import zmq

from tests.attack.fuzz import openings

_PATIENCE_MS = 20_000
#: Requests of one client that wait for their answers.
_AHEAD = 50


class Attackers:
    """A context manager. `fuzz` sends requests by several clients at once and takes every answer; meanwhile others connect and
    hang, speak no ZeroMQ, subscribe to nonsense, never read an event, come and go."""

    def __init__(self, runtime: Path, seed: int, clients: int = 4) -> None:
        self._runtime = runtime
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._clients = [self._connect(zmq.DEALER, "control") for _ in range(clients)]
        self._waiting = [0] * clients
        self._deaf = self._connect(zmq.SUB, "events")
        self._deaf.rcvhwm = 1
        self._deaf.subscribe("")
        self._openings = openings(seed)
        self._hanging: list[socket.socket] = []
        self.sent = self.bytes = 0
        #: By code; "ok" are results.
        self.answers: Counter[str] = Counter()

    def fuzz(self, requests: Iterator[list[bytes]], count: int) -> None:
        """Returns when all that was sent is answered. Raises TimeoutError where an answer does not come."""
        for number, frames in enumerate(islice(requests, count)):
            turn = number % len(self._clients)
            self._clients[turn].send_multipart(frames)
            self._waiting[turn] += 1
            self.sent += 1
            self.bytes += sum(map(len, frames))
            while self._waiting[turn] >= _AHEAD:
                self._take(turn)
            if number % 20 == 0:
                self._disturb()
        for turn in range(len(self._clients)):
            while self._waiting[turn]:
                self._take(turn)

    def _take(self, turn: int) -> None:
        if not self._clients[turn].poll(_PATIENCE_MS):
            raise TimeoutError(f"{self._waiting[turn]} requests were not answered within {_PATIENCE_MS / 1000:g} s")
        answer = msgpack.unpackb(self._clients[turn].recv_multipart()[-1], strict_map_key=False)
        self._waiting[turn] -= 1
        self.answers["ok" if answer["ok"] else answer["error"]["code"]] += 1

    def _disturb(self) -> None:
        """One that hangs, and leaves when fifty others have come; and one that subscribes to nonsense and goes."""
        for endpoint in ("control", "events", "family"):
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(str(self._runtime / endpoint))
            peer.setblocking(False)
            peer.send(next(self._openings))
            self._hanging.append(peer)
        while len(self._hanging) > 50:
            self._hanging.pop(0).close()
        with self._connect(zmq.XSUB, "events") as subscriber:
            for topic in (b"\x01nonsense", b"\x00never", b"\x02", b"\x01status"):
                subscriber.send(topic)

    def _connect(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.linger = 100
        made.connect(f"ipc://{self._runtime}/{endpoint}")
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for peer in self._hanging:
            peer.close()
        self._context.destroy(linger=0)
