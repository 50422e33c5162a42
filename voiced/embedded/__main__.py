"""`python -m voiced.embedded`: the Realtime server by itself, or as a child of the supervisor (VOICED_CHILD=1)."""

import logging
import os
import signal
import sys
import threading
from typing import Any

import click

from voiced import child as children
from voiced import logs
from voiced.embedded.candidates import candidates
from voiced.embedded.server import Server
from voiced.embedded.workers import Workers
from voiced.errors import NotNow, VoicedError

_WAIT_MS = 250
#: How long clients may take to say goodbye, and models to finish what they are at, when the server is asked to stop.
_PATIENCE_S = 0.3
#: The daemon's own session is set up long before; then the models load at once.
_LOAD_AFTER_S = 2.0


@click.command(help="Serves the OpenAI Realtime API on loopback, offline, until it is interrupted.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port to listen on; a free one where none is given.")
@click.option("--token", envvar="VOICED_EMBEDDED_TOKEN", help="The only bearer token to accept; any where none is given.")
@click.option("--chat-url", help="An OpenAI-compatible chat URL that thinks, as http://localhost:11434/v1.")
@click.option("--chat-model", help="The model to ask for there.")
@click.option("--voice", help="A voice of hibari-tts.")
@click.option("--verbose", is_flag=True, help="Log to stderr what happens.")
def _alone(port: int, token: str | None, chat_url: str | None, chat_model: str | None, voice: str | None, verbose: bool) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        serving = _Serving(port, token, chat_url, chat_model, voice)
    except VoicedError as error:
        print(f"voiced.embedded: {error.message}", file=sys.stderr)
        sys.exit(error.exit_status)
    print(f"listening on {serving.server.url}", flush=True)
    stop.wait()
    serving.stop()
    _leave(0, serving)


class _Serving:
    """The server and its workers. The socket listens at once; the models load meanwhile."""

    def __init__(
        self, port: int, token: str | None, chat_url: str | None, chat_model: str | None, voice: str | None, load_after_s: float = 0.0
    ) -> None:
        self.workers = Workers(candidates(chat_url or None, chat_model or None, voice or None))
        self.server = Server(self.workers, port, token or None)
        self.workers.start(load_after_s)
        self.server.start()
        self.stopped = True

    def stats(self) -> dict[str, Any]:
        return {"sessions": self.server.sessions, **self.workers.loaded()}

    def stop(self) -> None:
        """Gives clients and models a moment; whoever takes longer is left behind (`_leave`)."""
        goodbye = threading.Thread(target=self.server.stop, daemon=True)
        goodbye.start()
        goodbye.join(_PATIENCE_S)
        self.stopped = self.workers.stop(_PATIENCE_S) and not goodbye.is_alive()


def _as_child() -> int:
    serving: list[_Serving] = []

    def body(child: children.Child) -> None:
        logs.forward(child)
        settings = child.settings
        token, chat_url, chat_model, voice = (settings.get(name) for name in ("token", "chat_url", "chat_model", "voice"))
        serving.append(_Serving(0, token, chat_url, chat_model, voice, load_after_s=_LOAD_AFTER_S))
        child.ready(url=serving[0].server.url)
        while not child.stopping:
            child.wait(_WAIT_MS)
            for order in child.orders():
                child.refuse(order, NotNow(f"the embedded server takes no orders, so no {order.command}"))
            child.beat(serving[0].stats, children.now_ns())
        serving[0].stop()

    status = children.run("embedded", body)
    return _leave(status, *serving)


def _leave(status: int, *servings: _Serving) -> int:
    """Leaves at once where a model still runs (see Workers.stop) or a client does not hang up: Python would wait for it."""
    if not all(serving.stopped for serving in servings):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def main() -> int:
    if os.environ.get("VOICED_CHILD") == "1":
        return _as_child()
    _alone()
    return 0


if __name__ == "__main__":
    sys.exit(main())
