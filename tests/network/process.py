"""The network process for real, with everything around it played by the test: supervisor, capture, playback, server."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import zmq
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from voiced import messages
from voiced.bus import FAMILY, FLUSH, HEARD, MICROPHONE, REPLY, Bus, Poller, Receiver, Sender
from voiced.child import settings_frame
from voiced.messages import Message, MicFrame, MonoNs, PartQueued, ReplyAudio

PATIENCE_S = 10.0


class World:
    """A network process and the sockets of its neighbours."""

    def __init__(self, directory: Path, url: str, *, launch: Sequence[str] = ("-m", "voiced.network"), **settings: Any) -> None:
        self.bus = Bus(directory)
        self.family = self.bus.bind(FAMILY)
        self.replies = Receiver(self.bus.bind(REPLY))
        self.from_child: list[Message] = []
        self.process = subprocess.Popen(
            [sys.executable, *launch],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "VOICED_RUNTIME_DIR": str(directory)},
        )
        self._identity = f"network.{self.process.pid}".encode()
        assert self.process.stdin is not None
        self.process.stdin.write(settings_frame({"provider": "compatible", "url": url, "model": "m", "token": "sk-secret", **settings}))
        self.process.stdin.flush()
        self.heard = Sender(self.bus.connect(HEARD))
        self.microphone = Sender(self.bus.connect(MICROPHONE))
        self.flushes: Receiver | None = None

    def listen(self, *parts: PartQueued) -> None:
        """Subscribes to the flush, as playback does; it has these parts to play."""
        self.flushes = Receiver(self.bus.connect(FLUSH))
        order = self.until_from(self.flushes, lambda message: isinstance(message, messages.CarryOn))
        assert isinstance(order, messages.CarryOn)
        self.heard.send(messages.CarriedOn(order.epoch, parts))

    def until(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message to the supervisor that is wanted; all are kept in `from_child`."""
        poller = Poller()
        poller.watch(self.family)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if poller.wait(100):
                self._identity, header = self.family.recv_multipart()
                message = messages.decode(header)
                self.from_child.append(message)
                if wanted(message):
                    return message
        raise AssertionError(f"not within {PATIENCE_S} s; the last said were {self.from_child[-10:]}")

    def until_published(self, topic: str, **fields: Any) -> dict[str, Any]:
        found = self.until(
            lambda message: isinstance(message, messages.Publish) and message.topic == topic and fields.items() <= message.data.items()
        )
        assert isinstance(found, messages.Publish)
        return found.data

    def published(self, topic: str) -> list[dict[str, Any]]:
        """What was published so far, as far as it was waited for."""
        return [message.data for message in self.from_child if isinstance(message, messages.Publish) and message.topic == topic]

    def until_from(self, receiver: Receiver, wanted: Callable[[Message], bool]) -> Message:
        poller = Poller()
        poller.watch(receiver.socket)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            poller.wait(100)
            item = receiver.next()
            if item is not None and wanted(item[0]):
                return item[0]
        raise AssertionError(f"not within {PATIENCE_S} s")

    def next_reply(self) -> tuple[ReplyAudio, bytes]:
        """The next sound for playback, waited for."""
        poller = Poller()
        poller.watch(self.replies.socket)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            poller.wait(100)
            item = self.replies.next()
            if item is not None and isinstance(item[0], ReplyAudio):
                return item[0], item[1]
        raise AssertionError(f"no sound within {PATIENCE_S} s")

    def order(self, command: str, **args: Any) -> None:
        self.family.send_multipart((self._identity, messages.encode(messages.Order(7, command, args))))

    def speak(self, pcm: bytes) -> None:
        self.microphone.send(MicFrame(0, MonoNs(time.monotonic_ns()), False), pcm)

    def close(self) -> int:
        if self.process.poll() is None:
            with contextlib.suppress(zmq.ZMQError):  # it may leave just now
                self.order("stop")
        try:
            return self.process.wait(5)
        finally:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stderr):
                assert pipe is not None
                pipe.close()
            self.bus.close()


@contextlib.contextmanager
def serving(handler: Callable[[ServerConnection], None], **options: Any) -> Iterator[str]:
    """A WebSocket server on loopback; yields its URL."""

    def guarded(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            handler(connection)

    server: Server = serve(guarded, "127.0.0.1", 0, **options)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime"
    finally:
        server.shutdown()
        thread.join()
