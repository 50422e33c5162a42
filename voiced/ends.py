"""The sockets of the control contract, typed: the daemon's ends, and those of a process that passes on what others say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import zmq

if TYPE_CHECKING:
    from collections.abc import Callable

#: Frames of an envelope: each proxy on the way adds one, REQ an empty one.
_MOST_HANDS = 16


class Requests:
    """The daemon's end of the control socket. An envelope is what leads an answer back: the peer's routing id and
    whatever stood before the body, the empty delimiter of a REQ among it."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def next(self) -> tuple[tuple[bytes, ...], bytes] | None:
        """The next envelope and body, None where nothing waits. Of one that passed through more hands than `_MOST_HANDS` the
        body is empty, which is answered as no request; so much of its envelope leads back."""
        try:
            frames = self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        return _opened(frames)

    def reply(self, envelope: tuple[bytes, ...], body: bytes) -> None:
        """Never waits; a client that is gone does not get it."""
        self.socket.send_multipart((*envelope, body), zmq.DONTWAIT)


def _opened(frames: list[bytes]) -> tuple[tuple[bytes, ...], bytes]:
    """Envelope and body."""
    *envelope, body = frames
    return (tuple(envelope), body) if len(envelope) <= _MOST_HANDS else (tuple(envelope[:_MOST_HANDS]), b"")


class Guests:
    """The control socket that those from abroad are connected to: as `Requests`, with the name that each was let in by."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.reply = Requests(socket).reply

    def next(self) -> tuple[tuple[bytes, ...], bytes, str] | None:
        """The next envelope, body and name, None where nothing waits."""
        try:
            frames = self.socket.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return None
        return *_opened([bytes(frame.buffer) for frame in frames]), str(frames[-1].get("User-Id"))


#: One that goes on for ever must not keep us.
_NOTES_AT_ONCE = 100


class Subscription(NamedTuple):
    topic: bytes
    wanted: bool  # or given up


class EventStream:
    """The daemon's end of the event socket. A subscription takes effect when it is read here, not before, so that
    what is published right after is the first that its subscriber gets."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        socket.setsockopt(zmq.XPUB_MANUAL, 1)
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        #: Told of a subscriber, by its descriptor, that wants what can't be, or says what is no subscription. libzmq keeps each topic of
        #: each, 3 KB, whether it is in effect or not; only the end of the connection ends that.
        self.nonsense: Callable[[int], None] = lambda descriptor: None

    def next(self, may_be: Callable[[bytes], bool] = lambda topic: True) -> Subscription | None:
        """The next subscription, now in effect; None where nothing waits. Those to topics that can't be are passed over, and
        what a subscriber says otherwise."""
        for _ in range(_NOTES_AT_ONCE):
            try:
                first, *more = self.socket.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return None
            note = bytes(first.buffer)
            if not more and note[:1] in (b"\x00", b"\x01") and may_be(note[1:]):
                wanted = note[:1] == b"\x01"
                self.socket.setsockopt(zmq.SUBSCRIBE if wanted else zmq.UNSUBSCRIBE, note[1:])
                return Subscription(note[1:], wanted)
            if (descriptor := _descriptor(first)) is not None:
                self.nonsense(descriptor)
        return None

    def publish(self, topic: str, body: bytes) -> bool:
        """Never waits; a subscriber that lags by more than the high water mark loses it. False when one begins to: libzmq then leaves it
        out, without a word for each event, until it has caught up by half."""
        frames = (topic.encode(), body)
        try:
            self.socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:  # to nobody, so that we know of it
            self.socket.setsockopt(zmq.XPUB_NODROP, 0)
            self.socket.send_multipart(frames, zmq.DONTWAIT)
            self.socket.setsockopt(zmq.XPUB_NODROP, 1)
            return False
        return True


def _descriptor(frame: zmq.Frame) -> int | None:
    """The connection that it came from. None where libzmq says nothing of that: with its own farewell for a subscriber that is gone, and
    with other notes now and then."""
    try:
        return int(frame.get(zmq.SRCFD))
    except zmq.ZMQError:
        return None


class Upstream:
    """A client's end of the control socket, on behalf of others: envelopes go along, and come back with the answer."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def send(self, envelope: tuple[bytes, ...], body: bytes) -> bool:
        """Never waits; False where the daemon takes no more at the moment."""
        try:
            self.socket.send_multipart((*envelope, body), zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def next(self) -> tuple[tuple[bytes, ...], bytes] | None:
        try:
            *envelope, body = self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        return tuple(envelope), body


class Feed:
    """A client's end of the event socket, on behalf of others: what they want is subscribed to once."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def subscribe(self, topic: bytes) -> None:
        self.socket.setsockopt(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, topic: bytes) -> None:
        self.socket.setsockopt(zmq.UNSUBSCRIBE, topic)

    def next(self) -> tuple[str, bytes] | None:
        """The topic and body of the next event."""
        try:
            topic, body = self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        return topic.decode(), body
