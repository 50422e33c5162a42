"""The WebSocket: websocket-client's handshake and frames, over a socket that never blocks.

What matters here is to empty the socket fast: the library's own `recv` makes a chain of calls and several system calls a
frame. So the socket is read in pieces of up to 256 KiB, and the library's frame parser is fed from memory (8 us a small
frame, 12 us one of 16 KB, measured). UTF-8 is left to the JSON decoder, which refuses what is none.
"""

import logging
import os
import socket
import ssl
import struct
import threading
from typing import Any

import websocket

from voiced.errors import ServerUnreachable, VoicedError
from voiced.network.link import reach
from voiced.network.link.credentials import KeyCommand, headers
from voiced.network.link.reach import Target as Target
from voiced.network.quote import Quote
from voiced.shown import password_in

_READ_BYTES = 256 << 10
#: Most that is read before the caller gets a chance to look at its other sockets.
_SLICE_BYTES = 4 << 20
#: More than this at once is a burst: first empty the socket, then look at what came.
_FLOOD_BYTES = 128 << 10
#: One message of the server; the longest that makes sense is far below (realtime-protocol 5.3).
LONGEST_MESSAGE_BYTES = 32 << 20
#: Unsent output: a turn of a minute that is told again (kept.LONGEST_NS) is 4 MB at once. A server that takes nothing beyond is gone.
_MOST_UNSENT_BYTES = 6 << 20
#: From the first byte on to the answer of the upgrade; the steps have time-outs of their own.
_HANDSHAKE_S = 25.0
#: Nothing received for this long: ask whether anybody is there; nothing for as long again: nobody is.
QUIET_NS = 20_000_000_000
_NORMAL, _TOO_BIG, _PROTOCOL = websocket.STATUS_NORMAL, websocket.STATUS_MESSAGE_TOO_BIG, websocket.STATUS_PROTOCOL_ERROR


class ConnectionEnded(Exception):
    """The connection is over; `code` is the close code, 1006 where there was no close frame."""

    def __init__(self, code: int, reason: str, said: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.said = said  # the reason in the server's own words


class _NothingMore(Exception):
    """All bytes that were read are parsed."""


class _TooLong(Exception):
    """A message is longer than we take."""


class _Frames(websocket.frame_buffer):
    """websocket-client's frame parser, fed from memory; it keeps a half frame until `feed` brings the rest."""

    def __init__(self) -> None:
        self._data: memoryview | bytes = b""
        self._at = 0
        super().__init__(self._more, skip_utf8_validation=True)

    def feed(self, data: memoryview) -> None:
        """Until `recv_frame` has nothing more, `data` must stay as it is."""
        self._data, self._at = data, 0

    def _more(self, count: int) -> bytes:
        piece = bytes(self._data[self._at : self._at + count])
        if not piece:
            raise _NothingMore
        self._at += len(piece)
        return piece

    def recv_strict(self, bufsize: int) -> bytes:
        end = self._at + bufsize
        if self.recv_buffer or end > len(self._data):
            return bytes(super().recv_strict(bufsize))
        piece = bytes(self._data[self._at : end])  # the usual case, in one go: 4 us a frame instead of 10
        self._at = end
        return piece

    def recv_length(self) -> None:
        super().recv_length()
        if (self.length or 0) > LONGEST_MESSAGE_BYTES:
            raise _TooLong


class Wire:
    """One open WebSocket."""

    def __init__(self, connection: Any, now_ns: int) -> None:
        self._connection = connection
        self._socket: socket.socket = connection.sock
        self._socket.setblocking(False)
        self._tls = isinstance(self._socket, ssl.SSLSocket)
        self._frames = _Frames()
        self._fragments: bytearray | None = None
        self._space = bytearray(_READ_BYTES)
        self._view = memoryview(self._space)
        self._unsent = bytearray()
        self._received_ns = now_ns
        self._pinged = False
        self.fd = self._socket.fileno()
        #: There may be more to read although the descriptor does not say so.
        self.more = False
        #: The last `receive` found so much that the server is likely to be at it still.
        self.flooded = False
        self.ended: ConnectionEnded | None = None

    # in ----------------------------------------------------------------------------------------------------------------

    def receive(self, now_ns: int) -> list[bytes]:
        """The messages that are there, at most a slice of 4 MiB of them (`more` says whether that left some). When the
        connection ends, `ended` is set, and what came before is still returned."""
        texts: list[bytes] = []
        self.more = False
        taken = 0
        try:
            while taken < _SLICE_BYTES:
                count = self._read()
                if not count:
                    return texts
                taken += count
                self._received_ns = now_ns
                self._pinged = False
                self._frames.feed(self._view[:count])
                self._parse(texts)
                if count < _READ_BYTES and not self._tls:  # TLS hands out a record at a time, of 16 KB at most
                    return texts
            self.more = True
        except ConnectionEnded as ended:
            self.ended = ended
        finally:
            self.flooded = taken >= _FLOOD_BYTES
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

    def _parse(self, texts: list[bytes]) -> None:
        try:
            while True:
                frame: Any = self._frames.recv_frame()
                if frame.opcode == websocket.ABNF.OPCODE_TEXT and frame.fin and self._fragments is None:
                    texts.append(frame.data)
                else:
                    self._other(frame, texts)
        except _NothingMore:
            return
        except _TooLong:
            self._say_goodbye(_TOO_BIG)
            raise ConnectionEnded(_TOO_BIG, f"the server sent a message of more than {LONGEST_MESSAGE_BYTES >> 20} MiB") from None
        except websocket.WebSocketException as error:
            self._say_goodbye(_PROTOCOL)
            raise ConnectionEnded(_PROTOCOL, f"the server breaks the WebSocket protocol: {error}") from error

    def _other(self, frame: Any, texts: list[bytes]) -> None:
        """Every frame that is no whole text message."""
        kinds = websocket.ABNF
        if frame.opcode == kinds.OPCODE_PING:
            self._queue(frame.data, kinds.OPCODE_PONG)
        elif frame.opcode == kinds.OPCODE_CLOSE:
            code = struct.unpack("!H", frame.data[:2])[0] if len(frame.data) >= 2 else 1005
            said = frame.data[2:].decode("utf-8", "replace")
            self._say_goodbye(_NORMAL)
            raise ConnectionEnded(code, f"the server closed the connection (code {code}{': ' + said if said else ''})", said)
        elif frame.opcode in (kinds.OPCODE_TEXT, kinds.OPCODE_BINARY, kinds.OPCODE_CONT):
            self._fragment(frame, texts)

    def _fragment(self, frame: Any, texts: list[bytes]) -> None:
        if (frame.opcode == websocket.ABNF.OPCODE_CONT) != (self._fragments is not None):
            raise websocket.WebSocketProtocolException("fragments out of order")
        if self._fragments is None:
            self._fragments = bytearray()
        self._fragments += frame.data
        if len(self._fragments) > LONGEST_MESSAGE_BYTES:
            raise _TooLong
        if frame.fin:
            texts.append(bytes(self._fragments))
            self._fragments = None

    # out ---------------------------------------------------------------------------------------------------------------

    def send(self, text: bytes) -> None:
        """Sends a message, or keeps what the socket won't take until `send_rest`. Raises ConnectionEnded."""
        self._queue(text, websocket.ABNF.OPCODE_TEXT)

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
        if len(self._unsent) > _MOST_UNSENT_BYTES:
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
        self._queue(b"", websocket.ABNF.OPCODE_PING)

    def close(self) -> None:
        """Leaves without waiting for the other side. Nothing can be received any more."""
        self._say_goodbye(_NORMAL)
        self._connection.shutdown()
        # The parser and the tracebacks of errors refer in circles, which the collector is late to find: at least without the space.
        self._frames.feed(memoryview(b""))
        self._view.release()
        self._space = bytearray()

    def _say_goodbye(self, code: int) -> None:
        try:
            self._queue(struct.pack("!H", code), websocket.ABNF.OPCODE_CLOSE)
        except (ConnectionEnded, OSError, ValueError) as error:
            logging.debug("no farewell to the server: %s", error)


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


# the handshake -----------------------------------------------------------------------------------------------------------


class _TooLate(Exception):
    """Nobody waits for this connection any more."""


class Connecting:
    """A handshake in a thread of its own: the key's command, names, TCP, TLS and the upgrade take seconds where the network
    is bad, and the loop must go on meanwhile. `fd` becomes readable when `result` has something. Then either `result` or
    `abandon`, once."""

    def __init__(self, target: Target, quote: Quote) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._target = target
        self._quote = quote
        self._lock = threading.Lock()
        self._abandoned = self._late = self._done = False
        self._socket: socket.socket | None = None
        self._command = KeyCommand(target.token_command, quote)
        self._outcome: Any = ServerUnreachable(f"can't connect to {target.where}")
        self._thread = threading.Thread(target=self._run, name="connect", daemon=True)
        self._thread.start()

    def result(self, now_ns: int) -> Wire:
        """The open connection. Raises the VoicedError that says why there is none. Only when `fd` is readable."""
        self._thread.join()
        os.close(self.fd)
        if isinstance(self._outcome, VoicedError):
            raise self._outcome
        return Wire(self._outcome, now_ns)

    def abandon(self) -> None:
        """Gives it up at once, whatever it has come to; `fd` must not be watched any more. What it has open is closed, at
        the latest when the step that it is in has timed out."""
        with self._lock:
            self._abandoned = True
            os.close(self.fd)
            self._hang_up()
            if self._done and self._socket is not None:
                self._socket.close()
        self._command.stop()

    def _run(self) -> None:
        outcome = self._outcome
        try:
            outcome = self._connect()
        except Exception as error:  # whatever it is, the loop has to hear of it
            outcome = reach.refusal(TimeoutError() if self._late else error, self._target, self._quote)
        finally:
            with self._lock:
                self._outcome, self._done = outcome, True
                if self._socket is not None and (self._abandoned or isinstance(outcome, VoicedError)):
                    self._socket.close()
                if not self._abandoned:
                    os.eventfd_write(self.fd, 1)  # come what may, or the loop waits for us for ever

    def _connect(self) -> Any:
        target = self._target
        self._quote.hide(target.token)
        self._quote.hide(password_in(target.proxy))
        key = self._command.key() if target.token_command else target.token
        limit = threading.Timer(_HANDSHAKE_S, self._time_out)  # a server may say a byte every nine seconds
        limit.daemon = True
        limit.start()
        try:
            plain = self._hold(reach.tcp(target))
            secure = self._hold(reach.tls(plain, target))
            if isinstance(secure, ssl.SSLSocket):
                secure.do_handshake()
            return websocket.create_connection(
                target.url,
                socket=secure,
                header=headers(target.auth, key),
                suppress_origin=True,
                redirect_limit=0,  # or our key would follow to wherever the server points
                skip_utf8_validation=True,
                enable_multithread=False,
            )
        finally:
            limit.cancel()

    def _hold(self, opened: socket.socket) -> socket.socket:
        """From now on this is what is closed."""
        with self._lock:
            self._socket = opened
            if self._abandoned or self._late:
                raise _TooLate
        return opened

    def _time_out(self) -> None:
        with self._lock:
            self._late = True
            self._hang_up()

    def _hang_up(self) -> None:
        """Wakes the thread from what it waits for on its socket."""
        if self._socket is not None:
            try:
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # not TLS's own, which would pull its state from under the thread
            except OSError as error:
                logging.debug("it was closed already: %s", error)
