"""A WebSocket's server end on loopback (RFC 6455), small enough to misbehave: for test doubles only.

It knows just what a client of the Realtime API does: text messages, pings, closes, no extensions. Made by hand because
a test wants to refuse the upgrade, stay silent, send broken frames, and send thousands of frames in one write.
"""

import base64
import hashlib
from typing import BinaryIO, NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_CONTINUATION = 0x0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Request(NamedTuple):
    path: str
    headers: dict[str, str]  # names in lower case


class Frame(NamedTuple):
    opcode: int
    payload: bytes


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A server's frame: whole, unmasked."""
    length = len(payload)
    head = bytes([0x80 | opcode])
    if length < 126:
        return head + bytes([length]) + payload
    if length < 1 << 16:
        return head + b"\x7e" + length.to_bytes(2, "big") + payload
    return head + b"\x7f" + length.to_bytes(8, "big") + payload


def read_request(stream: BinaryIO) -> Request | None:
    """The client's upgrade request; None where it went away instead."""
    lines = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line.decode("latin-1").rstrip())
    if not lines:
        return None
    pairs = (line.partition(":") for line in lines[1:])
    return Request(lines[0].split(" ")[1], {name.lower(): value.strip() for name, _, value in pairs})


def upgrade(request: Request) -> bytes:
    """The answer that makes the connection a WebSocket."""
    digest = hashlib.sha1(request.headers["sec-websocket-key"].encode() + _GUID).digest()
    accept = base64.b64encode(digest).decode()
    fields = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}")
    return "\r\n".join(("HTTP/1.1 101 Switching Protocols", *fields, "", "")).encode()


def refusal(status: int, body: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def read_frame(stream: BinaryIO) -> Frame | None:
    """The client's next message or control frame; None at the end of the connection."""
    opcode, payload = _CONTINUATION, b""
    while True:
        head = _exactly(stream, 2)
        if head is None:
            return None
        length = head[1] & 0x7F
        if length >= 126:
            extended = _exactly(stream, 2 if length == 126 else 8)
            if extended is None:
                return None
            length = int.from_bytes(extended, "big")
        mask, masked = _exactly(stream, 4), _exactly(stream, length)
        if mask is None or masked is None:
            return None
        opcode = (head[0] & 0xF) or opcode
        payload += _unmask(masked, mask)
        if head[0] & 0x80:
            return Frame(opcode, payload)


def _unmask(masked: bytes, mask: bytes) -> bytes:
    # As one long number: a hundred times faster than byte by byte.
    key = (mask * (len(masked) // 4 + 1))[: len(masked)]
    return (int.from_bytes(masked, "big") ^ int.from_bytes(key, "big")).to_bytes(len(masked), "big")


def _exactly(stream: BinaryIO, count: int) -> bytes | None:
    """`stream` is buffered by socket.makefile, whose read returns less only at the end."""
    data = stream.read(count)
    return data if len(data) == count else None
