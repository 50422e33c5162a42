"""A user of the embedded server: the openai package's own Realtime client, and what tests say and read with it."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from openai import OpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

_server_event: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_FRAME_BYTES = 960  # 20 ms


class Client:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []

    def next(self) -> Any:
        """The next event, checked strictly: the package itself reads whatever comes."""
        text = self.connection.recv_bytes()
        event = _server_event.validate_json(text)
        self.events.append(event)
        return event

    def until(self, kind: str) -> Any:
        """Reads on to the next event of a type."""
        while True:
            event = self.next()
            if event.type == kind:
                return event

    def say(self, pcm: bytes) -> None:
        """Sound as fast as it can be sent; the server's clock is the sound's own."""
        for start in range(0, len(pcm), _FRAME_BYTES):
            self.connection.input_audio_buffer.append(audio=base64.b64encode(pcm[start : start + _FRAME_BYTES]).decode())

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]


@contextmanager
def connected(url: str, token: str = "any", model: str = "gpt-realtime", **headers: str) -> Iterator[Client]:
    """A session at `ws://.../v1/realtime`."""
    base = url.replace("ws://", "http://").removesuffix("/realtime")
    with (
        OpenAI(api_key=token, base_url=base, max_retries=0) as openai,
        openai.realtime.connect(model=model, extra_headers=headers) as connection,
    ):
        yield Client(connection)


def quiet(ms: int) -> bytes:
    return bytes(48 * ms)
