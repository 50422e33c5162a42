"""An open WebSocket, over a socket that never blocks; how it is opened, `connecting` knows.

What matters here is to empty the socket fast, and never to be held up by what is in it: it is read in pieces of up to 256 KiB, and
looked at a bounded number of frames at a time.
"""

import logging
import socket
import ssl
import struct
from typing import Any

from voiced.network.limits import UNSENT_BYTES
from voiced.network.link.frames import BINARY, CLOSE, NORMAL, PING, PONG, PROTOCOL_ERROR, TEXT, FrameRefused, Frames, frame

_READ_BYTES = 256 << 10
#: Most that is read before the caller gets a chance to look at its other sockets...
_SLICE_BYTES = 4 << 20
#: ... and most frames that are looked at: half a millisecond of empty ones. 4 MiB of those were 17 s, and the process was replaced.
_FRAMES_AT_A_TIME = 256
#: More than this at once is a burst: first empty the socket, then look at what came.
_FLOOD_BYTES = 128 << 10
#: Nothing received for this long: ask whether anybody is there; nothing for as long again: nobody is.
QUIET_NS = 20_000_000_000


class ConnectionEnded(Exception):
    """The connection is over; `code` is the close code, 1006 where there was no close frame."""

    def __init__(self, code: int, reason: str, said: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.said = said  # the reason in the server's own words


class Wire:
    """One open WebSocket."""

    def __init__(self, connection: Any, now_ns: int) -> None:
        self._connection = connection
        self._socket: socket.socket = connection.sock
        self._socket.setblocking(False)
        self._tls = isinstance(self._socket, ssl.SSLSocket)
        self._frames = Frames()
        self._space = bytearray(_READ_BYTES)
        self._view = memoryview(self._space)
        self._unsent = bytearray()
        self._received_ns = now_ns
        self._pinged = False
        self.fd = self._socket.fileno()
        #: What the last `receive` looked at, messages or not, and read.
        self.frames = self.taken = 0
        #: There may be more to read although the descriptor does not say so.
        self.more = False
        #: The last `receive` found so much that the server is likely to be at it still.
        self.flooded = False
        self.ended: ConnectionEnded | None = None

    # in ----------------------------------------------------------------------------------------------------------------

    def receive(self, now_ns: int, most_frames: int = _FRAMES_AT_A_TIME) -> list[bytes]:
        """The messages that are there, at most a slice of 4 MiB and so many frames of them (`more` says whether that left some).
        When the connection ends, `ended` is set, and what came before is still returned."""
        texts: list[bytes] = []
        self.frames = self.taken = 0
        try:
            while True:
                self.more = self._take(texts, most_frames - self.frames)
                if self.more or self.taken >= _SLICE_BYTES:
                    self.more = True
                    break
                count = self._read()
                self.taken += count
                if count:
                    self._received_ns = now_ns
                    self._pinged = False
                    self._frames.feed(self._view[:count])
                if count < _READ_BYTES and not (self._tls and count):  # TLS hands out a record at a time, of 16 KB at most
                    self.more = self._take(texts, most_frames - self.frames)
                    break
        except ConnectionEnded as ended:
            self.more = False
            self.ended = ended
        finally:
            self.flooded = self.more or self.taken >= _FLOOD_BYTES
        return texts

    def _read(self) -> int:
        try:
            count = self._socket.recv_into(self._space)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            raise ConnectionEnded(1006, f"the connection broke: {error.strerror or error}") from error
        if not count:
            raise ConnectionEnded(1006, "the server closed the connection without a word")
        return count

    def _take(self, texts: list[bytes], most: int) -> bool:
        """Looks at what was read; true where there may be more of that."""
        try:
            found, looked = self._frames.take(most)
        except FrameRefused as refused:
            self._say_goodbye(refused.code)
            why = f"the server sent {refused}" if refused.code != PROTOCOL_ERROR else f"the server breaks the WebSocket protocol: {refused}"
            raise ConnectionEnded(refused.code, why) from refused
        self.frames += looked
        asked: bytes | None = None
        for opcode, payload in found:
            if opcode in (TEXT, BINARY):
                texts.append(payload)
            elif opcode == PING:
                asked = payload
            elif opcode == CLOSE:
                self._closed(payload)
        if asked is not None:  # the last of several is enough (RFC 6455, 5.5.3)
            self._queue(asked, PONG)
        return looked == most

    def _closed(self, payload: bytes) -> None:
        code = struct.unpack("!H", payload[:2])[0] if payload else 1005
        said = payload[2:].decode("utf-8", "replace")
        self._say_goodbye(NORMAL)
        raise ConnectionEnded(code, f"the server closed the connection (code {code}{': ' + said if said else ''})", said)

    # out ---------------------------------------------------------------------------------------------------------------

    def send(self, text: bytes) -> None:
        """Sends a message, or keeps what the socket won't take until `send_rest`. Raises ConnectionEnded."""
        self._queue(text, TEXT)

    def send_rest(self) -> None:
        """Sends what was left, as far as the socket takes it."""
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise ConnectionEnded(1006, f"the connection broke: {error.strerror or error}") from error

    @property
    def unsent(self) -> bool:
        return bool(self._unsent)

    def _queue(self, data: bytes, opcode: int) -> None:
        self._unsent += frame(data, opcode)
        self.send_rest()
        if len(self._unsent) > UNSENT_BYTES:
            raise ConnectionEnded(1006, "the server takes nothing any more")

    # life and end --------------------------------------------------------------------------------------------------------

    @property
    def wake_ns(self) -> int:
        """When `check` wants to be called."""
        return self._received_ns + QUIET_NS * (2 if self._pinged else 1)

    def check(self, now_ns: int) -> None:
        """Asks a silent server whether it is there; raises ConnectionEnded where it does not answer."""
        if now_ns < self.wake_ns:
            return
        if self._pinged:
            raise ConnectionEnded(1006, f"the server has been silent for {2 * QUIET_NS // 1_000_000_000} s")
        self._pinged = True
        self._queue(b"", PING)

    def close(self) -> None:
        """Leaves without waiting for the other side. Nothing can be received any more."""
        self._say_goodbye(NORMAL)
        self._connection.shutdown()
        # The tracebacks of errors refer in circles, which the collector is late to find: at least without the space.
        self._frames.clear()
        self._view.release()
        self._space = bytearray()

    def _say_goodbye(self, code: int) -> None:
        try:
            self._queue(struct.pack("!H", code), CLOSE)
        except (ConnectionEnded, OSError, ValueError) as error:
            logging.debug("no farewell to the server: %s", error)
