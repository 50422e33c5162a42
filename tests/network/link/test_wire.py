"""The adapter against real WebSocket servers on loopback, and against a bare socket where those are too well-behaved."""

import base64
import gc
import hashlib
import http
import json
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from tests.network.process import PATIENCE_S, serving
from voiced import messages
from voiced.errors import KeyRefused, ModelRefused, ServerUnreachable, UrlInvalid, VoicedError
from voiced.network import events
from voiced.network.link import reach
from voiced.network.link import wire as wire_module
from voiced.network.link.connecting import Connecting, Target
from voiced.network.link.frames import LONGEST_MESSAGE_BYTES, frame
from voiced.network.link.wire import QUIET_NS, ConnectionEnded, Wire
from voiced.network.quote import Quote

pytestmark = pytest.mark.system


def connect(url: str, token: str = "sk-secret") -> Wire:
    connecting = Connecting(Target(url, token=token, where=url, model="m"), Quote(token))
    assert select.select([connecting.fd], [], [], PATIENCE_S)[0]
    return connecting.result(time.monotonic_ns())


def receive(wire: Wire, count: int) -> list[bytes]:
    """At least `count` messages, or what came before the end of the connection."""
    texts: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(texts) < count and wire.ended is None:
        assert wire.more or select.select([wire.fd], [], [], deadline - time.monotonic())[0], f"only {len(texts)} of {count} came"
        texts += wire.receive(time.monotonic_ns())
    return texts


def ended(wire: Wire) -> ConnectionEnded:
    receive(wire, 1 << 30)
    assert wire.ended is not None
    wire._connection.shutdown()
    return wire.ended


def test_messages_come_whole_and_in_order() -> None:
    sizes = [0, 1, 125, 126, 65_535, 65_536, 300_000, 5]

    def handler(connection: ServerConnection) -> None:
        for size in sizes:
            connection.send("x" * size)
        connection.recv()

    with serving(handler) as url:
        wire = connect(url)
        assert [len(text) for text in receive(wire, len(sizes))] == sizes
        wire.close()


def test_connections_that_ended_leave_no_space_behind() -> None:
    """Each has 256 KiB, and errors refer to it in circles."""
    with serving(lambda connection: connection.send("bye")) as url:
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(3):
                wire = connect(url)
                receive(wire, 1 << 30)
                wire.close()
            traces = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, wire_module.__file__)])
        finally:
            tracemalloc.stop()
            gc.enable()
    assert sum(trace.size for trace in traces.traces) < 100 << 10


def test_fragments_and_pings_between_them() -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send(["ab", "cd", "ef"])
        connection.ping().wait(PATIENCE_S)
        connection.send("after the pong")
        connection.recv()

    with serving(handler) as url:
        wire = connect(url)
        assert receive(wire, 2) == [b"abcdef", b"after the pong"]
        wire.close()


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 200_000])
def test_what_we_send_arrives(size: int) -> None:
    with serving(lambda connection: connection.send(connection.recv())) as url:
        wire = connect(url)
        text = b"y" * size
        wire.send(text)
        while wire.unsent:
            wire.send_rest()
        assert receive(wire, 1) == [text]
        wire.close()


def test_the_key_goes_up_and_no_origin() -> None:
    seen: list[Headers] = []

    def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.headers)

    with serving(handler) as url:
        wire = connect(url)
        ended(wire)
    assert seen[0]["Authorization"] == "Bearer sk-secret"
    assert "Origin" not in seen[0]
    assert "Sec-WebSocket-Extensions" not in seen[0]


def test_a_message_of_sixteen_megabytes_is_taken() -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send("z" * (16 << 20))
        connection.recv()

    with serving(handler) as url:
        wire = connect(url)
        assert len(receive(wire, 1)[0]) == 16 << 20
        wire.close()


@pytest.mark.parametrize("pieces", [1, 40])
def test_a_message_that_is_too_long_ends_the_connection(pieces: int) -> None:
    too_long = LONGEST_MESSAGE_BYTES + 1

    def handler(connection: ServerConnection) -> None:
        connection.send(["z" * (too_long // pieces + 1)] * pieces if pieces > 1 else "z" * too_long)

    with serving(handler) as url:
        end = ended(connect(url))
    assert end.code == 1009
    assert "32 MiB" in end.reason


@pytest.mark.parametrize(
    ("code", "reason"), [(1001, "Your session hit the maximum duration"), (3000, "invalid_request_error.invalid_api_key")]
)
def test_what_came_before_a_close_is_still_returned(code: int, reason: str) -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send("last words")
        connection.close(code, reason)

    with serving(handler) as url:
        wire = connect(url)
        assert receive(wire, 2) == [b"last words"]
        assert wire.ended is not None
        assert (wire.ended.code, wire.ended.said) == (code, reason)
        wire.close()


def refusing(status: int, body: str) -> Callable[[ServerConnection, Request], Response]:
    def process(connection: ServerConnection, request: Request) -> Response:
        return Response(status, http.HTTPStatus(status).phrase, Headers({"Content-Length": str(len(body))}), body.encode())

    return process


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, json.dumps({"error": {"code": "invalid_api_key", "message": "Incorrect API key provided"}}), KeyRefused),
        (403, "<html>", KeyRefused),
        (404, json.dumps({"error": {"code": "model_not_found", "message": "no such model"}}), ModelRefused),
        (404, "", UrlInvalid),
        (302, "", UrlInvalid),
        (503, "null", ServerUnreachable),
        (429, "[]", ServerUnreachable),
        (503, '{"error":{"code":"\\ud800","message":"is sk-secret\\u0007 yours?"}}', ServerUnreachable),
        (503, "[" * 60_000, ServerUnreachable),
    ],
)
def test_an_upgrade_that_is_refused(status: int, body: str, kind: type[VoicedError]) -> None:
    with serving(lambda connection: None, process_request=refusing(status, body)) as url, pytest.raises(VoicedError) as caught:
        connect(url)
    assert type(caught.value) is kind
    assert "sk-secret" not in caught.value.message
    assert caught.value.message.isprintable()
    messages.encode(messages.Failed("x", caught.value.message))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_handshake_that_fails_in_a_way_nobody_thought_of_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(*args: object) -> VoicedError:
        raise KeyError("a bug")

    monkeypatch.setattr(reach, "refusal", fall)
    with pytest.raises(ServerUnreachable):
        connect("ws://127.0.0.1:9/")


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServerUnreachable, match="Connection refused"):
        connect(f"ws://127.0.0.1:{port}/v1/realtime")


BAD_URLS = ("ws:///x", "", "host", "http://host/", "wss://", "wss://host:port/", "ws://host:99999/", "wss://[::1/")


@pytest.mark.parametrize(("url", "kind"), [("ws://no-such-host.invalid/x", ServerUnreachable), *((url, UrlInvalid) for url in BAD_URLS)])
def test_no_such_host(url: str, kind: type[VoicedError]) -> None:
    with pytest.raises(kind):
        connect(url)


# TLS ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    made, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    about = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", made, *about],
        check=True,
        capture_output=True,
    )
    return made, key


def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_over_tls_nothing_is_left_behind_in_the_library(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What TLS has decrypted and not handed out does not make the descriptor readable: all must be read at once."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    sizes = [100_000, 5, 3_000_000, 16_384, 1]

    def handler(connection: ServerConnection) -> None:
        for size in sizes:
            connection.send("x" * size)
        connection.send(connection.recv())

    with serving(handler, ssl=tls(certificate)) as url:
        wire = connect(url.replace("ws://", "wss://"))
        assert [len(text) for text in receive(wire, len(sizes))] == sizes
        wire.send(b"y" * 500_000)
        while wire.unsent:
            wire.send_rest()
        assert receive(wire, 1) == [b"y" * 500_000]
        wire.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: tuple[Path, Path]) -> None:
    with serving(lambda connection: None, ssl=tls(certificate)) as url, pytest.raises(ServerUnreachable, match="certificate"):
        connect(url.replace("ws://", "wss://"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", UrlInvalid),
        (b"\x15\x03\x03\x00\x02\x02\x28", ServerUnreachable),  # the alert handshake_failure
        (b"", ServerUnreachable),
    ],
)
def test_only_a_server_without_tls_is_given_up(answer: bytes, kind: type[VoicedError]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connecting = Connecting(Target(f"wss://127.0.0.1:{listener.getsockname()[1]}/", where="host"), Quote(""))
        with listener.accept()[0] as peer:
            peer.recv(4096)
            peer.sendall(answer)
        assert select.select([connecting.fd], [], [], PATIENCE_S)[0]
        with pytest.raises(kind, match="ws://"):
            connecting.result(time.monotonic_ns())


# a bare socket: what no decent server does ---------------------------------------------------------------------------------


class Bare:
    """A server that upgrades, and then writes what it is told to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.peer = socket.socket()
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        self.peer.close()
        self.peer, _ = self.listener.accept()
        request = b""
        while b"\r\n\r\n" not in request:
            request += self.peer.recv(4096)
        key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.peer.sendall(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    def connect(self) -> Wire:
        wire = connect(self.url)
        self.thread.join()
        return wire

    def close(self) -> None:
        self.peer.close()
        self.listener.close()


@pytest.fixture
def bare() -> Iterator[Bare]:
    server = Bare()
    yield server
    server.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"\xc1\x01x",  # reserved bit
        b"\x83\x00",  # unknown opcode
        b"\x80\x01x",  # continuation of nothing
        b"\x01\x01a\x01\x01b",  # a message within a message
        b"\x88\x01x",  # half a close code
    ],
)
def test_broken_frames_end_the_connection(bare: Bare, raw: bytes) -> None:
    wire = bare.connect()
    bare.peer.sendall(raw)
    assert ended(wire).code == 1002


def test_a_frame_in_single_bytes(bare: Bare) -> None:
    wire = bare.connect()
    for byte in b"\x81\x7e\x00\x7e" + b"q" * 126:
        bare.peer.sendall(bytes([byte]))
        assert select.select([wire.fd], [], [], PATIENCE_S)[0]
        texts = wire.receive(0)
    assert texts == [b"q" * 126]
    wire.close()


def test_a_length_beyond_all_sense_takes_no_memory(bare: Bare) -> None:
    wire = bare.connect()
    bare.peer.sendall(b"\x81\x7f" + struct.pack("!Q", 1 << 62))
    assert ended(wire).code == 1009


def test_a_connection_that_is_cut(bare: Bare) -> None:
    wire = bare.connect()
    bare.peer.sendall(b"\x81\x05he")
    bare.peer.close()
    end = ended(wire)
    assert end.code == 1006
    assert end.said == ""


def test_a_half_open_connection_is_noticed(bare: Bare) -> None:
    wire = bare.connect()
    now = wire.wake_ns
    wire.check(now - 1)
    wire.check(now)
    bare.peer.settimeout(PATIENCE_S)
    assert bare.peer.recv(2)[:1] == b"\x89"
    assert wire.wake_ns == now + QUIET_NS
    with pytest.raises(ConnectionEnded, match="silent"):
        wire.check(now + QUIET_NS)
    wire.close()


def test_a_server_that_takes_nothing_is_left_and_never_waited_for(bare: Bare) -> None:
    wire = bare.connect()
    wire._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    before = time.monotonic()
    with pytest.raises(ConnectionEnded, match="takes nothing"):
        send_for_ever(wire)
    assert time.monotonic() - before < PATIENCE_S
    wire.close()


def send_for_ever(wire: Wire) -> None:
    for _ in range(100_000):
        wire.send(bytes(1300))


def test_a_client_frame_is_masked() -> None:
    raw = frame(b"hello", 1)
    assert raw[:2] == b"\x81\x85"
    assert bytes(byte ^ raw[2 + at % 4] for at, byte in enumerate(raw[6:])) == b"hello"


def test_a_turn_of_a_minute_that_is_told_again_at_once_is_not_too_much(bare: Bare) -> None:
    minute = [events.encode(events.InputAudioAppend(audio=bytes(960))) for _ in range(3000)]
    wire = bare.connect()
    wire._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for message in minute:
        wire.send(message)
    assert wire.unsent
    wire.close()
