"""One connection, from the first try to its end: what is watched of it in the loop, and how much of it is taken. An adapter."""

import logging
from collections.abc import Iterable, Iterator

from voiced.child import Child, now_ns
from voiced.messages import MonoNs
from voiced.network import events
from voiced.network.limits import TOLD_CHARS
from voiced.network.link.connecting import Connecting
from voiced.network.link.flow import Flow
from voiced.network.link.reach import target
from voiced.network.link.wire import ConnectionEnded, Wire
from voiced.network.outputs import Output, PublishEvent
from voiced.network.quote import Quote

#: How soon output that the socket did not take is tried again.
_SEND_AGAIN_NS = 5_000_000
#: RFC 6455, 7.4.1: it violates our policy.
_POLICY = 1008


class Link:
    """One connection, from the first try to its end."""

    def __init__(self, child: Child, settings: dict[str, object], quote: Quote) -> None:
        self._child = child
        self.wire: Wire | None = None
        self.connecting: Connecting | None = Connecting(target(settings), quote)
        self._watched = self.connecting.fd
        child.watch(self._watched)
        self._flow = Flow()
        self._held_back = self._told_of = False
        #: Hung up on; what it has sent is void.
        self.floods = False

    def woken(self, fds: set[object]) -> bool:
        """Whether there is something to do: a handshake that has ended, or something to read."""
        if self.connecting is not None:
            return self.connecting.fd in fds
        if self.wire is None or self.wire.ended is not None or self._held_back:
            return False
        return self.wire.fd in fds or self.wire.more

    def receive(self, now: MonoNs, most_frames: int | None = None) -> list[bytes]:
        """What the server has sent; nothing for a while where it sends too fast."""
        wire = self.wire
        assert wire is not None
        if self._flow.too_fast(now):
            self._hold_back()
            return []
        texts = wire.receive(now) if most_frames is None else wire.receive(now, most_frames)
        self._flow.came(1 + wire.frames, wire.taken, now)  # 1: a drip costs a turn of the loop each time
        if wire.ended is not None:
            self.end(wire.ended)
        return texts

    def counted(self, wanted: Iterable[Output], now: MonoNs) -> Iterator[Output]:
        """What the session wants done because of this connection. One that brings more to tell than anybody takes in is ended."""
        told = 0
        for output in wanted:
            if isinstance(output, PublishEvent):
                told += 1 + sum(len(value) // TOLD_CHARS for value in output.data.values() if isinstance(value, str))
            yield output
        if not told:
            return
        self._flow.told(told, now)
        if self._flow.too_much(now) and self.wire is not None and self.wire.ended is None:
            self.floods = True
            self.end(ConnectionEnded(_POLICY, "the server floods us with events; hung up on it"))

    def _hold_back(self) -> None:
        """A descriptor that is watched and not read wakes us again and again."""
        if not self._told_of:
            self._told_of = True
            self._child.log(logging.WARNING, "the server sends faster than makes sense; it has to wait")
        self._held_back = True
        self._unwatch()

    def open(self, now: MonoNs) -> Wire:
        """The connection whose handshake has ended. Raises the VoicedError that says why there is none."""
        connecting, self.connecting = self.connecting, None
        assert connecting is not None
        self._unwatch()
        self.wire = connecting.result(now)
        self._watched = self.wire.fd
        self._child.watch(self._watched)
        return self.wire

    @property
    def flooded(self) -> bool:
        """There is so much to read that it goes first."""
        return self.wire is not None and self.wire.flooded

    def send(self, event: events.ClientEvent) -> None:
        wire = self.wire
        if wire is None or wire.ended is not None:
            return
        try:
            wire.send(events.encode(event))
        except ConnectionEnded as ended:
            self.end(ended)

    def keep_up(self, now: MonoNs) -> None:
        """What is due: the rest of the output, a ping."""
        wire = self.wire
        if wire is None or wire.ended is not None:
            return
        if self._held_back and now >= self._flow.open_ns:
            self._held_back = False
            self._watched = wire.fd
            self._child.watch(self._watched)
        if not (wire.unsent or now >= wire.wake_ns):
            return
        try:
            wire.send_rest()
            wire.check(now)
        except ConnectionEnded as ended:
            self.end(ended)

    def end(self, ended: ConnectionEnded) -> None:
        """Nothing more comes or goes; what came is still looked at. A closed socket would be readable for ever."""
        if self.wire is not None:
            self.wire.ended = ended
        self._unwatch()

    def drop(self) -> None:
        """Leaves, whatever it has come to."""
        self._unwatch()
        if self.connecting is not None:
            self.connecting.abandon()
            self.connecting = None
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def _unwatch(self) -> None:
        if self._watched >= 0:
            self._child.forget(self._watched)
            self._watched = -1

    @property
    def due_ns(self) -> int | None:
        """When `keep_up` is due."""
        wire = self.wire
        if wire is None:
            return None
        if wire.ended is not None:
            return 0
        if self._held_back:
            return self._flow.open_ns if not wire.unsent else min(self._flow.open_ns, now_ns() + _SEND_AGAIN_NS)
        if wire.more:
            return 0
        return now_ns() + _SEND_AGAIN_NS if wire.unsent else wire.wake_ns
