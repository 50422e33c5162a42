"""The WebSocket server on loopback: who may come in, and a session for each who does."""

import hmac
import http
import logging
import socket
import struct
import threading
from collections.abc import Sequence
from functools import partial
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server as WebSocketServer
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from voiced.embedded.engine import random_id
from voiced.embedded.settings import DEFAULT_MODEL
from voiced.embedded.workers import Workers
from voiced.errors import SocketFailed
from voiced.network import events as wire

logger = logging.getLogger(__name__)

PATH = "/v1/realtime"
_SESSIONS = 8
#: An append of 15 MiB (realtime-protocol 1.5) is 20 MiB of base64.
_MAX_MESSAGE_BYTES = 24 * 1024 * 1024
_SEND_LIMIT_S = 10
_BETA_CLOSE_CODE = 4000
_BETA_REFUSED = "beta_api_shape_disabled"
#: What clients that can't set headers offer (browsers; realtime-protocol 1.1).
_SUBPROTOCOL = Subprotocol("realtime")
_KEY_PROTOCOL = "openai-insecure-api-key."


class Server:
    """Listens as soon as it is made. `token` None lets everybody on this machine in."""

    def __init__(self, workers: Workers, port: int = 0, token: str | None = None) -> None:
        self._workers = workers
        self._token = token
        self._seats = threading.BoundedSemaphore(_SESSIONS)
        self.sessions = 0
        try:
            listening = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise SocketFailed(f"can't listen on 127.0.0.1:{port}: {error.strerror}; choose another port") from error
        self.url = f"ws://127.0.0.1:{listening.getsockname()[1]}{PATH}"
        self._server: WebSocketServer = serve(
            self._serve,
            sock=listening,
            process_request=self._admit,
            select_subprotocol=_select_subprotocol,
            compression=None,  # audio does not shrink, and loopback is fast
            max_size=_MAX_MESSAGE_BYTES,
            close_timeout=1,
            server_header="voiced",
        )

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="accept", daemon=True).start()

    def stop(self) -> None:
        """Closes the listening socket and tells every client that the server goes away (1001)."""
        self._server.shutdown()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """None lets the client in."""
        try:
            return self._judge(connection, request)
        except ValueError:  # from urllib
            return connection.respond(http.HTTPStatus.BAD_REQUEST, "The path or the origin is no URL.\n")

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Raises ValueError where the request can't be understood."""
        if urlsplit(request.path).path != PATH:
            return connection.respond(http.HTTPStatus.NOT_FOUND, f"The Realtime API is at {PATH}.\n")
        if not _is_local(request.headers.get("Origin")):
            # Any page in the user's browser can reach loopback; only pages served from here may talk to us.
            return connection.respond(http.HTTPStatus.FORBIDDEN, "Web pages of other hosts are not let in.\n")
        if self._token is not None and not hmac.compare_digest(_token_of(request).encode(), self._token.encode()):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "Incorrect API key provided.\n")
        if "transcription" in parse_qs(urlsplit(request.path).query).get("intent", []):
            return connection.respond(http.HTTPStatus.BAD_REQUEST, "This server has no transcription sessions.\n")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        request = connection.request
        if request is None or _speaks_beta(request):
            _refuse_beta(connection)
        elif not self._seats.acquire(blocking=False):
            connection.close(1013, f"{_SESSIONS} sessions are open; close one")
        else:
            try:
                self.sessions += 1
                self._converse(connection, request)
            finally:
                self.sessions -= 1
                self._seats.release()

    def _converse(self, connection: ServerConnection, request: Request) -> None:
        from voiced.embedded.session import Session  # numpy comes with it, and 0.1 s that the ready time is not to pay

        model = parse_qs(urlsplit(request.path).query).get("model", [DEFAULT_MODEL])[0]
        # A client that does not read must not keep its seat. The kernel counts, as websockets sends without a limit.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _SEND_LIMIT_S, 0))
        session = Session(_WebSocketLine(connection), self._workers, model)
        thread = threading.Thread(target=session.run, name="session", daemon=True)
        thread.start()
        try:
            for message in connection:
                session.take(message)
        except ConnectionClosed as closed:
            logger.debug("a client left: %s", closed)
        finally:
            session.end()
            thread.join()


class _WebSocketLine:
    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.close = partial(connection.close)

    def send(self, text: bytes) -> None:
        from voiced.embedded.session import LineClosed

        try:
            self._connection.send(text, text=True)
        except ConnectionClosed as closed:
            raise LineClosed from closed


def _token_of(request: Request) -> str:
    bearer = request.headers.get("Authorization", "")
    if bearer.lower().startswith("bearer "):
        return bearer[7:].strip()
    return next((name[len(_KEY_PROTOCOL) :] for name in _subprotocols(request) if name.startswith(_KEY_PROTOCOL)), "")


def _subprotocols(request: Request) -> list[str]:
    return [name.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")]


def _select_subprotocol(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return _SUBPROTOCOL if _SUBPROTOCOL in offered else None


def _is_local(origin: str | None) -> bool:
    return origin is None or urlsplit(origin).hostname in ("localhost", "127.0.0.1", "::1")


def _speaks_beta(request: Request) -> bool:
    return "realtime=v1" in request.headers.get("OpenAI-Beta", "") or "openai-beta.realtime-v1" in _subprotocols(request)


def _refuse_beta(connection: ServerConnection) -> None:
    """What the API does since the beta ended (realtime-protocol 1.3)."""
    message = "The Realtime Beta API is no longer supported. Use the GA API: leave the OpenAI-Beta header out."
    detail = wire.ErrorDetail(type="invalid_request_error", code=_BETA_REFUSED, message=message)
    connection.send(wire.encode(wire.ErrorEvent(error=detail, event_id=random_id("event"))), text=True)
    connection.close(_BETA_CLOSE_CODE, f"invalid_request_error.{_BETA_REFUSED}")
