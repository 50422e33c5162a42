"""Who listens to the broadcast: one that went and one that came in its place are two pieces of news."""

from collections import deque
from typing import Any

import zmq

from voiced.bus import Broadcaster


class Notes:
    """The notes of an XPUB socket."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()

    def setsockopt(self, option: int, value: int) -> None:
        assert (option, value) == (zmq.XPUB_VERBOSER, 1)

    def recv(self, flags: int) -> bytes:
        if not self.waiting:
            raise zmq.Again
        return self.waiting.popleft()


def test_a_change_of_listeners_within_one_look_is_told() -> None:
    notes: Any = Notes()
    flush = Broadcaster(notes)
    notes.waiting.append(b"\1")
    assert (flush.update(), flush.listeners) == (0, 1)
    notes.waiting += [b"\0", b"\1"]
    assert (flush.update(), flush.listeners) == (1, 1)
    assert (flush.update(), flush.listeners) == (0, 1)
