"""A WebSocket's handshake, websocket-client's, in a thread of its own."""

import logging
import os
import socket
import ssl
import threading
from typing import Any

import websocket

from voiced.errors import ServerUnreachable, VoicedError
from voiced.network.limits import ANSWER_BYTES
from voiced.network.link import reach
from voiced.network.link.credentials import KeyCommand, headers
from voiced.network.link.reach import Target as Target
from voiced.network.link.wire import Wire
from voiced.network.quote import Quote
from voiced.shown import password_in

#: From the first byte on to the answer of the upgrade; the steps have time-outs of their own.
_HANDSHAKE_S = 25.0


class _TooLate(Exception):
    """Nobody waits for this connection any more."""


class _Answer:
    """A socket of which no more than an answer is read: the library would read for as long as it is sent something."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self._left = ANSWER_BYTES

    def recv(self, most: int) -> bytes:
        data = self._real.recv(most)
        self._left -= len(data)
        if self._left < 0:
            raise websocket.WebSocketProtocolException(f"its answer is longer than {ANSWER_BYTES >> 10} KiB")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


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
            opened = websocket.create_connection(
                target.url,
                socket=_Answer(secure),
                header=headers(target.auth, key),
                suppress_origin=True,
                redirect_limit=0,  # or our key would follow to wherever the server points
                skip_utf8_validation=True,
                enable_multithread=False,
            )
            opened.sock = secure
            return opened
        finally:
            limit.cancel()
            websocket._handshake.CookieJar.jar.clear()  # the library keeps a server's cookies for the next one, and for ever

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
