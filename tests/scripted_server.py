"""A scripted Realtime server: a real WebSocket on loopback that does just what a test tells it.

    with ScriptedServer() as server:
        ...                                              # a client connects to server.url
        server.wait_for_client()
        reply = server.begin_reply()
        server.send_audio(reply, pcm)                    # in one burst
        sent_ns = server.send(events.SpeechStarted(item_id="user"))
        truncate = server.until(lambda event: isinstance(event, events.ItemTruncate))

It greets with session.created and answers session.update; everything else is the test's. Every client event is kept
with its time of arrival, every `send` says when. Times are monotonic_ns, taken just before the bytes are handed to the
kernel and just after they came out of it.
"""

import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, NamedTuple, Self, TypeVar

from tests import loopback_websocket as wire
from voiced.network import events
from voiced.network.events import ClientEvent, Content, Item, Part, Response, ServerEvent, Unknown, WireMalformed

BYTES_PER_MS = 48
_FLOOD_EVERY_S = 0.005
_Found = TypeVar("_Found")


class Manner(NamedTuple):
    """How the server behaves from the first byte on; the default is a good server."""

    refuse: int | None = None  # the HTTP status that answers the upgrade
    refusal_body: bytes = b""
    accepts: bool = True  # False: takes the connection and never says a word
    greets: bool = True  # session.created
    answers_update: bool = True  # session.updated
    pongs: bool = True
    # what servers do differently (realtime-protocol 7)
    key: tuple[str, str] | None = None  # the header, in lower case, without which the upgrade gets a 401
    greets_after_s: float = 0.0
    lifetime_s: int = 3600  # the age at which a session says that it expires; nothing ends it
    busy: int = 0  # so many clients are told that there is no session free, and sent away
    lacks: frozenset[type[ServerEvent]] = frozenset()  # events that it never sends
    names: Mapping[type[ServerEvent], str] = MappingProxyType({})  # events that it calls otherwise
    answers: bool = False  # what the client creates, truncates and deletes
    whole_deltas: bool = False  # all of an utterance in one
    cancels_first: bool = False  # ends the response of an interruption before it says speech_started


class Received(NamedTuple):
    """A client event and when it came."""

    mono_ns: int
    event: ClientEvent | Unknown
    connection: int  # 1 for the first client, 2 for the second ...


class Reply(NamedTuple):
    """The names of a reply that is being streamed."""

    response_id: str
    item_id: str


class ScriptedServer:
    """A context manager; talks to the newest client. `manner` may be changed at any time."""

    def __init__(self, manner: Manner | None = None) -> None:
        self.manner = manner or Manner()
        self.received: list[Received] = []
        #: The upgrade requests, refused ones too.
        self.requests: list[wire.Request] = []
        #: (code, reason) of every close that a client sent; None where it just hung up.
        self.closes: list[tuple[int, str] | None] = []
        self._pongs: list[tuple[int, bytes]] = []
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._clients: list[socket.socket] = []
        self._serving: list[threading.Thread] = []
        self._ids = itertools.count(1)
        self._mute: list[socket.socket] = []
        self.port = 0
        self.serve()

    def serve(self) -> None:
        """Listens; after a `close` it does so at the same port, as a server that was started anew."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listener.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, args=(self._listener,), name="scripted server", daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    @property
    def connections(self) -> int:
        """How many clients were accepted so far."""
        return len(self._clients)

    @property
    def _client(self) -> socket.socket:
        """Whom it talks to."""
        return self._clients[-1]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for client in (*self._clients, *self._mute):
            _hang_up(client)
        for thread in self._serving:
            thread.join()
        for client in (*self._clients, *self._mute):
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # what the client did ---------------------------------------------------------------------------------------------

    def wait_for_client(self, timeout_s: float = 10.0, connection: int = 1) -> None:
        """Returns when that many clients have come so far."""
        self._wait(lambda: self.connections >= connection, timeout_s, "no client came")

    def until(
        self, wanted: Callable[[ClientEvent | Unknown], bool], timeout_s: float = 5.0, since: int = 0, connection: int | None = None
    ) -> Received:
        """The first event from index `since` of `received` (of one connection) that is wanted, waited for. Raises TimeoutError."""
        scanned = since

        def find() -> Received | None:
            nonlocal scanned
            fresh = self.received[scanned:]
            scanned += len(fresh)
            return next((each for each in fresh if connection in (None, each.connection) and wanted(each.event)), None)

        return self._wait(find, timeout_s, "the client did not send what was waited for")

    def roundtrip(self, timeout_s: float = 10.0) -> None:
        """Returns when the client has read all that was sent so far: pings, and waits for the answer."""
        name = str(next(self._ids)).encode()
        self.send_bytes(wire.frame(name, wire.PING))
        self._wait(lambda: any(payload == name for _, payload in self._pongs), timeout_s, "the client answered no ping")

    def wait_for_close(self, timeout_s: float = 5.0) -> tuple[int, str] | None:
        """What the client closed with, the last time it did."""
        self._wait(lambda: self.closes, timeout_s, "the client did not close")
        return self.closes[-1]

    # what the server says --------------------------------------------------------------------------------------------

    def send(self, *said: ServerEvent) -> int:
        """Sends events in one write, but for those that this server lacks; returns when."""
        return self.send_bytes(b"".join(wire.frame(self.encode(event)) for event in said if type(event) not in self.manner.lacks))

    def encode(self, event: ServerEvent) -> bytes:
        event.event_id = event.event_id or self.new_id("event")
        text = events.encode(event)
        name = self.manner.names.get(type(event))
        if name is None:
            return text
        return text.replace(f'"{event.__struct_config__.tag}"'.encode(), f'"{name}"'.encode(), 1)  # the type comes first

    def send_text(self, text: bytes) -> int:
        """Sends one message that may be no event at all."""
        return self.send_bytes(wire.frame(text))

    def send_bytes(self, data: bytes) -> int:
        """Sends what may be no frame at all. Raises OSError where the client is gone."""
        with self._sending:
            now_ns = time.monotonic_ns()
            self._client.sendall(data)
        return now_ns

    def hang_up(self, code: int | None = None, reason: str = "") -> None:
        """Closes with this code; without one, just ends the connection (TCP FIN)."""
        if code is None:
            _hang_up(self._client)
        else:
            self.send_bytes(wire.frame(code.to_bytes(2, "big") + reason.encode(), wire.CLOSE))

    def reset(self) -> None:
        """Drops the connection as a machine does that forgot it (TCP RST)."""
        client = self._client
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.shutdown(socket.SHUT_RD)  # which nobody sees but the thread that reads; the close that follows it resets

    def new_id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids):06}"

    def begin_reply(self, response_id: str | None = None) -> Reply:
        """Sends all that comes before the first delta (realtime-protocol 4.1)."""
        reply = Reply(response_id or self.new_id("resp"), self.new_id("item"))
        opening = [] if response_id else [events.ResponseCreated(response=Response(id=reply.response_id, status="in_progress"))]
        self.send(*opening, *self._open_item(reply))
        return reply

    def send_audio(self, reply: Reply, pcm: bytes, delta_ms: int = 250) -> int:
        """Sends sound, all its deltas in one burst; returns when."""
        step = len(pcm) if self.manner.whole_deltas else delta_ms * BYTES_PER_MS
        deltas = (pcm[at : at + step] for at in range(0, len(pcm), step))
        return self.send(*(events.OutputAudioDelta(response_id=reply.response_id, item_id=reply.item_id, delta=delta) for delta in deltas))

    def pace_audio(self, reply: Reply, pcm: bytes, delta_ms: int = 250, lead_ms: int = 1000) -> None:
        """Sends sound as fast as it is played, `lead_ms` ahead; returns when the last delta is sent."""
        step = delta_ms * BYTES_PER_MS
        start = time.monotonic() - lead_ms / 1000
        for at in range(0, len(pcm), step):
            time.sleep(max(0.0, start + at / BYTES_PER_MS / 1000 - time.monotonic()))
            self.send_audio(reply, pcm[at : at + step], delta_ms)

    def end_reply(self, reply: Reply, status: str = "completed", reason: str | None = None) -> int:
        """Sends the dones of a reply."""
        item = Item(type="message", id=reply.item_id, role="assistant", status="completed" if status == "completed" else "incomplete")
        response_id, item_id = reply
        details = events.StatusDetails(type=status, reason=reason) if reason else None
        return self.send(
            events.OutputAudioDone(response_id=response_id, item_id=item_id),
            events.OutputTranscriptDone(response_id=response_id, item_id=item_id, transcript=""),
            events.ContentPartDone(response_id=response_id, item_id=item_id, part=Part(type="audio")),
            events.ItemDone(item=item),
            events.OutputItemDone(response_id=reply.response_id, item=item),
            events.ResponseDone(response=Response(id=reply.response_id, status=status, status_details=details, output=[item])),
        )

    def hear(self, words: str = "Hello there.") -> str:
        """Sends what a turn of the user's brings, up to its transcript (realtime-protocol 4.1); returns its item."""
        item_id = self.new_id("item")
        item = Item(type="message", id=item_id, role="user", status="completed", content=[Content(type="input_audio")])
        self.send(events.SpeechStarted(item_id=item_id, audio_start_ms=10))
        self.send(
            events.SpeechStopped(item_id=item_id, audio_end_ms=900),
            events.InputAudioCommitted(item_id=item_id),
            events.ItemAdded(item=item),
            events.ItemDone(item=item),
            events.TranscriptionDelta(item_id=item_id, delta=words),
            events.TranscriptionCompleted(item_id=item_id, transcript=words),
        )
        return item_id

    def interrupt(self, reply: Reply) -> None:
        """Sends what an interruption of a reply by voice brings (realtime-protocol 4.2)."""
        if self.manner.cancels_first:
            self.end_reply(reply, "cancelled", "turn_detected")
            self.send(events.SpeechStarted(item_id=self.new_id("item")))
        else:
            self.send(events.SpeechStarted(item_id=self.new_id("item")))
            self.end_reply(reply, "cancelled", "turn_detected")

    @contextlib.contextmanager
    def flood(self, per_second: int) -> Iterator[None]:
        """Sends transcript events at this rate, encoded beforehand so that it costs this process next to nothing."""
        said = events.TranscriptionDelta(item_id="item_flood", delta="so many words and more ")
        lot = wire.frame(self.encode(said)) * max(1, round(per_second * _FLOOD_EVERY_S))
        over = threading.Event()

        def pour() -> None:
            due = time.monotonic()
            while not over.wait(max(0.0, due - time.monotonic())):
                self.send_bytes(lot)
                due += _FLOOD_EVERY_S

        thread = threading.Thread(target=pour, name="flood", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _open_item(self, reply: Reply) -> Iterable[ServerEvent]:
        item = Item(type="message", id=reply.item_id, role="assistant", status="in_progress", content=[])
        yield events.OutputItemAdded(response_id=reply.response_id, item=item)
        yield events.ItemAdded(item=item)
        yield events.ContentPartAdded(response_id=reply.response_id, item_id=reply.item_id, part=Part(type="audio", transcript=""))

    # the connection --------------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # the listener was closed: that is how this ends
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(client,), name="scripted connection", daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client.makefile("rb") as stream:
                if not self._welcome(client, stream):
                    return
                self._listen(client, stream)
        except OSError:  # the client went away in the middle of something
            self._note(self.closes.append, None)
        client.close()

    def _welcome(self, client: socket.socket, stream: BinaryIO) -> bool:
        request = wire.read_request(stream)
        if request is None:
            client.close()
            return False
        self._note(self.requests.append, request)
        manner = self.manner
        if not manner.accepts:
            self._mute.append(client)
            return False
        refuse = 401 if manner.key is not None and request.headers.get(manner.key[0]) != manner.key[1] else manner.refuse
        if refuse is not None:
            client.sendall(wire.refusal(refuse, manner.refusal_body))
            _hang_up(client)
            client.close()
            return False
        if manner.busy:
            self.manner = manner._replace(busy=manner.busy - 1)
            self._send_away(client, request)
            return False
        greeting = wire.frame(self.encode(events.SessionCreated(session=self._session({})))) if manner.greets else b""
        client.sendall(wire.upgrade(request) + (b"" if manner.greets_after_s else greeting))
        self._note(self._clients.append, client)
        if manner.greets_after_s:
            time.sleep(manner.greets_after_s)  # it is busy with itself, and reads nothing meanwhile
            client.sendall(greeting)
        return True

    def _send_away(self, client: socket.socket, request: wire.Request) -> None:
        error = events.ErrorDetail(type="session_limit_reached", message="All sessions are in use.")
        said = wire.frame(self.encode(events.ErrorEvent(error=error)))
        client.sendall(wire.upgrade(request) + said + wire.frame((1008).to_bytes(2, "big") + b"session_limit_reached", wire.CLOSE))
        self._mute.append(client)

    def _listen(self, client: socket.socket, stream: BinaryIO) -> None:
        number = self.connections
        while (message := wire.read_frame(stream)) is not None:
            now_ns = time.monotonic_ns()
            if message.opcode == wire.CLOSE:
                code, reason = int.from_bytes(message.payload[:2], "big"), message.payload[2:].decode()
                self._note(self.closes.append, (code, reason))
                with self._sending:
                    client.sendall(wire.frame(message.payload[:2], wire.CLOSE))
                _hang_up(client)
                return
            if message.opcode == wire.PING and self.manner.pongs:
                with self._sending:
                    client.sendall(wire.frame(message.payload, wire.PONG))
            elif message.opcode == wire.PONG:
                self._note(self._pongs.append, (now_ns, message.payload))
            elif message.opcode in (wire.TEXT, wire.BINARY):
                self._take(Received(now_ns, _decode(message.payload), number))
        self._note(self.closes.append, None)

    def _take(self, received: Received) -> None:
        self._note(self.received.append, received)
        if isinstance(received.event, events.SessionUpdate) and self.manner.answers_update:
            self.send(events.SessionUpdated(session=self._session(received.event.session)))
        elif self.manner.answers:
            self.send(*_answers(received.event))

    def _session(self, wanted: dict[str, Any]) -> dict[str, Any]:
        defaults = {"type": "realtime", "object": "realtime.session", "id": "sess_scripted", "model": "scripted"}
        return defaults | {"expires_at": int(time.time()) + self.manner.lifetime_s} | wanted

    def _note(self, keep: Callable[[_Found], None], what: _Found) -> None:
        with self._changed:
            keep(what)
            self._changed.notify_all()

    def _wait(self, found: Callable[[], _Found | None], timeout_s: float, complaint: str) -> _Found:
        with self._changed:
            result = self._changed.wait_for(found, timeout_s)
        if result is None or result is False or result == []:
            raise TimeoutError(f"{complaint} (waited {timeout_s:g} s)")
        return result


def _decode(text: bytes) -> ClientEvent | Unknown:
    """What is no event is kept as one that nobody asked for, so that the test that waits says so."""
    try:
        return events.decode_client(text)
    except WireMalformed as error:
        return Unknown(type=f"malformed: {error}")


def _answers(event: ClientEvent | Unknown) -> Iterable[ServerEvent]:
    """What says that the conversation was changed as wanted."""
    match event:
        case events.ItemCreate(item=item):
            return events.ItemAdded(item=item), events.ItemDone(item=item)
        case events.ItemTruncate(item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms):
            return (events.ItemTruncated(item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms),)
        case events.ItemDelete(item_id=item_id):
            return (events.ItemDeleted(item_id=item_id),)
    return ()


def _hang_up(client: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it hung up first
        client.shutdown(socket.SHUT_RDWR)
