"""WebSocket frames (RFC 6455, 5) from bytes and to bytes; nothing of what a server sends makes this hold more than it says. Pure.

Not websocket-client's parser, which adds up the lengths of all pieces at every piece of a frame (a frame that drips in costs time
squared), takes control frames and masks that the protocol forbids, and needs 8 us for a small frame where this takes 2. UTF-8 is
left to the JSON decoder, which refuses what is none.
"""

import os
import struct
from typing import Final

from voiced.network.limits import LONGEST_MESSAGE_BYTES

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR, TOO_BIG = 1000, 1002, 1009
_LAST, _RESERVED, _OPCODE, _MASKED = 0x80, 0x70, 0x0F, 0x80
#: RFC 6455, 5.5.
_LONGEST_CONTROL: Final = 125


class FrameRefused(Exception):
    """The server breaks the protocol; `code` is what we close with."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Frames:
    """Takes bytes as they come, gives messages and control frames. Holds a message that is not whole, and what was fed last."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._fragments: bytearray | None = None
        self._opcode = TEXT  # of the message that the fragments are of

    def feed(self, data: memoryview | bytes) -> None:
        self._bytes += data

    def take(self, most: int) -> tuple[list[tuple[int, bytes]], int]:
        """What has come whole, at most `most` frames of it, as opcode and payload, and how many were looked at; where that
        is `most`, there may be more. Raises FrameRefused when the first that is left is one to be refused."""
        found: list[tuple[int, bytes]] = []
        at = frames = 0
        with memoryview(self._bytes) as view:
            try:
                while frames < most:
                    frame = _frame_at(view, at, LONGEST_MESSAGE_BYTES - len(self._fragments or b""))
                    if frame is None:
                        break
                    first, begin, end = frame
                    whole = self._whole(first, view, begin, end)
                    if whole is not None:
                        found.append(whole)
                    at = end
                    frames += 1
            except FrameRefused:
                if not at:
                    raise
                frames = most  # what came before it first
        del self._bytes[:at]
        return found, frames

    def clear(self) -> None:
        self._bytes, self._fragments = bytearray(), None

    def _whole(self, first: int, view: memoryview, begin: int, end: int) -> tuple[int, bytes] | None:
        """The message or control frame that ends with this frame."""
        opcode, last = first & _OPCODE, first & _LAST
        if opcode < CLOSE and (opcode == CONTINUATION) != (self._fragments is not None):
            raise FrameRefused(PROTOCOL_ERROR, "fragments out of order")
        if opcode >= CLOSE or (last and self._fragments is None):
            return opcode, bytes(view[begin:end])
        if self._fragments is None:
            self._fragments, self._opcode = bytearray(), opcode
        self._fragments += view[begin:end]
        if not last:
            return None
        message, self._fragments = bytes(self._fragments), None
        return self._opcode, message


def _frame_at(view: memoryview, at: int, room: int) -> tuple[int, int, int] | None:
    """The first byte of the frame there, and where its payload begins and ends; None where it is not whole. `room`: the longest payload."""
    there = len(view) - at
    if there < 2:
        return None
    first, length = view[at], view[at + 1]
    begin = at + 2
    if first & _RESERVED:
        raise FrameRefused(PROTOCOL_ERROR, "reserved bits, as of a compression that nobody agreed upon")
    if length & _MASKED:
        raise FrameRefused(PROTOCOL_ERROR, "a masked frame")
    opcode = first & _OPCODE
    if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        raise FrameRefused(PROTOCOL_ERROR, f"opcode {opcode}")
    if opcode >= CLOSE and (length > _LONGEST_CONTROL or not first & _LAST or (opcode == CLOSE and length == 1)):
        raise FrameRefused(PROTOCOL_ERROR, "a control frame that is none")
    if length == 126:
        if there < 4:
            return None
        length, begin = int.from_bytes(view[begin : begin + 2], "big"), begin + 2
    elif length == 127:
        if there < 10:
            return None
        length, begin = int.from_bytes(view[begin : begin + 8], "big"), begin + 8
    if opcode < CLOSE and length > room:
        raise FrameRefused(TOO_BIG, f"a message of more than {LONGEST_MESSAGE_BYTES >> 20} MiB")
    end = begin + length
    return (first, begin, end) if end <= len(view) else None


def frame(data: bytes, opcode: int) -> bytes:
    """A whole frame of a client, masked (RFC 6455, 5.2). 5 us for a microphone frame where the library's takes 17: it goes
    by way of arrays, and 50 a second are most of what an idle session costs."""
    length = len(data)
    if length < 126:
        header = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    key = os.urandom(4)
    mask = int.from_bytes((key * (length // 4 + 1))[:length], "little")
    return header + key + (int.from_bytes(data, "little") ^ mask).to_bytes(length, "little")
