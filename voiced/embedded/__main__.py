"""`python -m voiced.embedded`: the Realtime server by itself, or as a child of the supervisor (VOICED_CHILD=1)."""

import logging
import os
import signal
import sys
import threading

import click

from voiced import child as children
from voiced.embedded.parts import candidates
from voiced.embedded.server import Server
from voiced.embedded.workers import Workers
from voiced.errors import NotNow, VoicedError

_WAIT_MS = 500


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
        server, _ = _start(port, token, chat_url, chat_model, voice)
    except VoicedError as error:
        print(f"voiced.embedded: {error.message}", file=sys.stderr)
        sys.exit(error.exit_status)
    print(f"listening on {server.url}", flush=True)
    stop.wait()
    server.stop()


def _body(child: children.Child) -> None:
    settings = child.settings
    server, workers = _start(0, settings.get("token"), settings.get("chat_url"), settings.get("chat_model"), settings.get("voice"))
    child.ready(url=server.url)
    while not child.stopping:
        child.wait(_WAIT_MS)
        for order in child.orders():
            child.refuse(order, NotNow(f"the embedded server takes no orders, {order.command} neither"))
        child.beat(lambda: {"sessions": server.sessions, **workers.loaded()}, children.now_ns())
    server.stop()


def _start(port: int, token: str | None, chat_url: str | None, chat_model: str | None, voice: str | None) -> tuple[Server, Workers]:
    workers = Workers(candidates(chat_url, chat_model, voice))
    server = Server(workers, port, token or None)
    workers.start()
    server.start()
    return server, workers


def main() -> int:
    if os.environ.get("VOICED_CHILD") == "1":
        return children.run("embedded", _body)
    _alone()
    return 0


if __name__ == "__main__":
    sys.exit(main())
