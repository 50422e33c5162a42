"""Where the sockets are, who binds which, and typed sockets over them. With `voiced.doors` (who may come in) and `voiced.ends`
(the control contract) all that the daemon knows of zmq.

Everything is an ipc socket in one runtime directory (0700) that only the user may enter.

    control     clients    -> supervisor   requests of the control contract
    events      supervisor -> clients      the event stream of the control contract
    family      children  <-> supervisor   ready, heartbeat, logs, events up; orders down
    microphone  capture    -> network      sound
    reply       network    -> playback     sound, as large as a whole reply: unbounded, epochs make the old void
    flush       network    -> everybody    orders that must never queue behind sound
    heard       playback   -> network      what came out of the loudspeaker
    reference   playback   -> capture      the same before it sounds, for the echo canceller
    duck        capture    -> playback     lower the voice, or raise it again
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
from typing import TYPE_CHECKING, NamedTuple

import zmq
from zmq.utils import z85

from voiced import messages
from voiced.errors import RuntimeDirUnusable, SocketFailed

if TYPE_CHECKING:  # pathlib costs 6 ms, which voicectl can do without
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from voiced.messages import Message

#: For those who only hold one.
Socket = zmq.Socket[bytes]

# sun_path holds 108 bytes, the last a NUL (unix(7)).
_LONGEST_SOCKET_PATH = 107


#: Who starts before the one that binds tries again. libzmq's 100-200 ms were heard: the first reply waited for them.
_RECONNECT_MS = 5
#: A client's daemon may be away for a day, or send it away: its tries get rarer, up to this.
_STRANGER_MS = 2000


class Endpoint(NamedTuple):
    """One row of the table: `binds` and `connects` are the socket types at either end."""

    name: str
    binds: int
    connects: int
    #: Most messages kept by the sender for a peer that does not read; 0 is without limit.
    high_water: int
    #: Longest frame that is taken in; whoever sends a longer one is hung up on. -1 is without limit.
    largest: int = -1
    #: What is sent while nobody has bound it is dropped at once, else kept for whoever does.
    fleeting: bool = False
    #: Most messages of each peer that wait to be read by who binds it; None is as `high_water`. Then the peer has to wait.
    unread: int | None = None


#: Of what strangers may send: far above what is answered, so that whoever exceeds that is told.
LARGEST_BYTES = 2 << 20
#: Of a subscription: topics are short.
_LARGEST_SUBSCRIPTION = 512
#: Who connects and says nothing is hung up on after this; libzmq would wait for 30 s.
_HANDSHAKE_MS = 5000
#: Beyond this machine a peer may vanish without a word: it is asked so often, and given up for lost after that.
_HEARTBEAT_MS, _LOST_MS = 5000, 15_000
#: The domain of those whom `voiced.doors.Doorman` asks.
ZAP_DOMAIN = b"voiced"
#: What the wake word sends along in one go, 1.5 s in frames of 10 ms, fits at either end of the socket; and there is what the
#: kernel holds between. Stale speech in it is the reader's to drop, by `captured_ns`.
_MIC_FRAMES_KEPT = 200

#: What a client that floods us, and reads no answer, may cost: 16 requests and 200 answers; or 16 subscriptions and 1000 events.
CONTROL = Endpoint("control", zmq.ROUTER, zmq.DEALER, 200, LARGEST_BYTES, unread=16)
EVENTS = Endpoint("events", zmq.XPUB, zmq.SUB, 1000, _LARGEST_SUBSCRIPTION, unread=16)
FAMILY = Endpoint("family", zmq.ROUTER, zmq.DEALER, 0)
MICROPHONE = Endpoint("microphone", zmq.PULL, zmq.PUSH, _MIC_FRAMES_KEPT)
REPLY = Endpoint("reply", zmq.PULL, zmq.PUSH, 0)
FLUSH = Endpoint("flush", zmq.XPUB, zmq.SUB, 0)
HEARD = Endpoint("heard", zmq.PULL, zmq.PUSH, 0)
#: A few seconds: what is older than the device's buffer has sounded, and cancels nothing any more.
REFERENCE = Endpoint("reference", zmq.PULL, zmq.PUSH, 200, fleeting=True)
DUCK = Endpoint("duck", zmq.PULL, zmq.PUSH, 100)
ENDPOINTS = (CONTROL, EVENTS, FAMILY, MICROPHONE, REPLY, FLUSH, HEARD, REFERENCE, DUCK)


class Abroad(NamedTuple):
    """An endpoint over TCP, under CURVE: nobody reads along, and both ends know whom they talk to."""

    where: str  # tcp://HOST:PORT
    secret: bytes  # our own key
    #: The public key of who binds, for who connects.
    server: bytes = b""


def runtime_dir() -> str:
    """The path of the directory of the sockets, by the control contract.

    Raises RuntimeDirUnusable where neither variable nor /run/user/UID leads to one.
    """
    named = os.environ.get("VOICED_RUNTIME_DIR")
    if named:
        return named
    xdg = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    if not os.path.isdir(xdg):
        raise RuntimeDirUnusable(
            "no runtime directory: XDG_RUNTIME_DIR is not set and "
            f"/run/user/{os.getuid()} does not exist; set VOICED_RUNTIME_DIR to a directory of your own"
        )
    return f"{xdg}/voiced"


def address(directory: Path | str, endpoint: Endpoint) -> str:
    """The ZeroMQ address of an endpoint. Raises RuntimeDirUnusable where the path is too long for a socket."""
    path = f"{directory}/{endpoint.name}"
    if len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise RuntimeDirUnusable(
            f"{path} is too long for a socket (over {_LONGEST_SOCKET_PATH} bytes); set VOICED_RUNTIME_DIR to a shorter one"
        )
    return f"ipc://{path}"


def new_secret() -> bytes:
    """A CURVE key of 32 bytes."""
    return z85.decode(zmq.curve_keypair()[1])


def public_key(secret: bytes) -> bytes:
    """What others may know of it."""
    return z85.decode(zmq.curve_public(z85.encode(secret)))


def _bind(socket: zmq.Socket[bytes], where: str) -> None:
    socket.bind(where)
    os.chmod(where.removeprefix("ipc://"), 0o600)  # the contract's; the umask alone leaves 0700


class Bus:
    """A ZeroMQ context and the sockets of one process; closing it drops what nobody has read."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = directory
        self._context = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._bound: dict[str, zmq.Socket[bytes]] = {}  # by path

    def bind(self, endpoint: Endpoint, abroad: Abroad | None = None) -> zmq.Socket[bytes]:
        socket = self._made(endpoint, endpoint.binds, abroad)
        socket.rcvhwm = endpoint.high_water if endpoint.unread is None else endpoint.unread
        socket.maxmsgsize = endpoint.largest
        socket.handshake_ivl = _HANDSHAKE_MS
        if abroad is not None:
            socket.curve_server = True
            socket.zap_domain = ZAP_DOMAIN
            socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # or without a doorman everybody would be let in
            return self._opened(socket, abroad.where, socket.bind)
        # Beside the directory, which others can't enter: the kernel says who connects (SO_PEERCRED). Root may; it can be us anyway.
        for user in {os.geteuid(), 0}:
            socket.setsockopt(zmq.IPC_FILTER_UID, user)

        where = address(self.directory, endpoint)
        self._opened(socket, where, lambda where: _bind(socket, where))
        self._bound[where] = socket
        return socket

    def look(self) -> int:
        """Binds anew what has lost its file, as where somebody cleaned up the directory, once that is there again; says how many. Who is
        connected stays so."""
        lost = [(where, socket) for where, socket in self._bound.items() if not os.path.exists(where.removeprefix("ipc://"))]
        count = 0
        for where, socket in lost:
            with contextlib.suppress(zmq.ZMQError, OSError):  # the next look tries again
                _bind(socket, where)
                count += 1
        return count

    def connect(
        self,
        endpoint: Endpoint,
        identity: str | None = None,
        topics: Sequence[str] = ("",),
        abroad: Abroad | None = None,
        before: Callable[[zmq.Socket[bytes]], None] = lambda socket: None,
    ) -> zmq.Socket[bytes]:
        """`topics` are prefixes, for a subscriber; the empty one takes everything. `before` gets the socket first: who is refused
        abroad is told so once, and a monitor that comes later does not hear of it."""
        socket = self._made(endpoint, endpoint.connects, abroad)
        socket.reconnect_ivl = _RECONNECT_MS
        if endpoint in (CONTROL, EVENTS):
            socket.reconnect_ivl_max = _STRANGER_MS
        socket.immediate = endpoint.fleeting
        if identity is not None:
            socket.identity = identity.encode()
        if endpoint.connects == zmq.SUB:
            for topic in topics:  # in this order: libzmq keeps it on the wire
                socket.subscribe(topic)
        if abroad is not None:
            socket.curve_serverkey = abroad.server
        before(socket)
        return self._opened(socket, abroad.where if abroad else address(self.directory, endpoint), socket.connect)

    def doorkeeper(self) -> zmq.Socket[bytes]:
        """Where this process is asked whether a peer from abroad may come in (ZeroMQ RFC 27). To be there before anything is bound."""
        socket: zmq.Socket[bytes] = self._context.socket(zmq.REP)
        self._sockets.append(socket)
        socket.linger = 0
        socket.bind("inproc://zeromq.zap.01")
        return socket

    def _made(self, endpoint: Endpoint, kind: int, abroad: Abroad | None) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        self._sockets = [*(other for other in self._sockets if not other.closed), socket]
        socket.linger = 0
        socket.sndhwm = endpoint.high_water
        socket.rcvhwm = endpoint.high_water
        if abroad is not None:
            socket.ipv6 = True
            socket.heartbeat_ivl, socket.heartbeat_timeout = _HEARTBEAT_MS, _LOST_MS
            socket.curve_publickey, socket.curve_secretkey = public_key(abroad.secret), abroad.secret
        return socket

    def _opened(self, socket: zmq.Socket[bytes], where: str, open: Callable[[str], object]) -> zmq.Socket[bytes]:
        try:
            open(where)
        except (zmq.ZMQError, OSError) as error:
            socket.close()
            reason = os.strerror(error.errno) if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENODEV) else str(error)
            raise SocketFailed(f"can't open {where.removeprefix('ipc://')}: {reason}") from error
        return socket

    def goodbyes(self, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        """A socket that becomes readable when the peer of `socket` goes away."""
        return self.monitor(socket, zmq.EVENT_DISCONNECTED)

    def monitor(self, socket: zmq.Socket[bytes], events: int) -> zmq.Socket[bytes]:
        """A socket that tells these events of another's connections, as zmq_socket_monitor(3) packs them."""
        monitor: zmq.Socket[bytes] = socket.get_monitor_socket(events)
        self._sockets.append(monitor)  # one that is left open lets term() wait for ever
        return monitor

    def close(self) -> None:
        for socket in self._sockets:
            socket.close(linger=0)
        self._context.term()


_FIRST_OF_TWO = int(zmq.DONTWAIT) | int(zmq.SNDMORE)
#: Called with what goes over the bus: whether it was sent, the message, bytes of sound. `voiced.flight` puts itself here.
tap: Callable[[bool, Message, int], None] | None = None


class Sender:
    """The sending half of a one-way endpoint. Never waits: a peer that does not read loses messages, and `dropped`
    counts them."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.dropped = 0

    def send(self, message: Message, sound: bytes | None = None) -> bool:
        header = messages.encode(message)
        try:
            if sound is None:
                self.socket.send(header, zmq.DONTWAIT)
            else:
                # Not send_multipart: its loop costs as much again, 50 times a second.
                self.socket.send(header, _FIRST_OF_TWO)
                self.socket.send(sound, zmq.DONTWAIT)
        except zmq.Again:
            self.dropped += 1
            return False
        if tap is not None:
            tap(True, message, len(sound) if sound else 0)
        return True


class Broadcaster(Sender):
    """The sending half of a broadcast endpoint: knows how many listen, since what is sent before that is lost."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        super().__init__(socket)
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # or only the first subscription and the last farewell are told
        self.listeners = 0

    def update(self) -> int:
        """Takes in who came and went; returns how many went, since one may have come in its place."""
        gone = 0
        while True:
            try:
                frame = self.socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                return gone
            if frame[:1] == b"\x01":
                self.listeners += 1
            else:
                self.listeners -= 1
                gone += 1


class Receiver:
    """The receiving half of a one-way endpoint."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def next(self) -> tuple[Message, bytes] | None:
        """The next message and its sound (empty where it has none), or None where nothing waits."""
        try:
            header, *sound = self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        message, pcm = messages.decode(header), sound[0] if sound else b""
        if tap is not None:
            tap(False, message, len(pcm))
        return message, pcm

    def drain(self, limit: int) -> Iterator[tuple[Message, bytes]]:
        """At most `limit` waiting messages, so that a burst can't keep the caller from its other sockets."""
        for _ in range(limit):
            item = self.next()
            if item is None:
                return
            yield item


class Family:
    """The supervisor's end of the family. A child is known by its name and process id: what a dead one still said must not
    count for its successor."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def send(self, name: str, pid: int, message: Message) -> None:
        """Never waits; a child that is not connected does not get it."""
        self.socket.send_multipart((f"{name}.{pid}".encode(), messages.encode(message)), zmq.DONTWAIT)

    def next(self) -> tuple[str, int, Message] | None:
        """The next message with its sender's name and process id, None where nothing waits. Raises messages.MessageMalformed."""
        try:
            identity, *frames = self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        name, _, pid = identity.decode(errors="replace").rpartition(".")
        return name, int(pid) if pid.isdecimal() else 0, messages.decode(frames[0] if frames else b"")


class Poller:
    """Waits for sockets and file descriptors at once."""

    def __init__(self) -> None:
        self._poller = zmq.Poller()

    def watch(self, source: zmq.Socket[bytes] | int, *, writable: bool = False) -> None:
        self._poller.register(source, zmq.POLLIN | (zmq.POLLOUT if writable else 0))

    def forget(self, source: zmq.Socket[bytes] | int) -> None:
        self._poller.unregister(source)

    def wait(self, timeout_ms: float | None) -> set[object]:
        """The sources that have something, after at most `timeout_ms` (rounded up, or a wait of 0.4 ms would spin; None is forever)."""
        return {source for source, _ in self._poller.poll(None if timeout_ms is None else math.ceil(max(0.0, timeout_ms)))}
