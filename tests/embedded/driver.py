"""Drives an engine in tests: feeds it, keeps what it says, and holds every event against the openai package's models."""

import json
from collections import defaultdict
from itertools import count
from typing import Any, TypeVar

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from voiced.embedded.engine import Engine
from voiced.embedded.reply import Outputs
from voiced.embedded.work import Piece, Recognise, Request, Speak, Think
from voiced.network import events as wire

Asked = TypeVar("Asked")

WINDOW_BYTES = 32 * 48
_server_event: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)


def checked(event: wire.ServerEvent) -> dict[str, Any]:
    """The event as a client reads it. Fails where the openai package would not understand it."""
    text = wire.encode(event)
    _server_event.validate_json(text)
    read: dict[str, Any] = json.loads(text)
    assert read["event_id"]
    return read


class Driver:
    def __init__(self, **session: Any) -> None:
        numbers: defaultdict[str, count[int]] = defaultdict(lambda: count(1))
        self.engine = Engine("test-model", now=0.0, wall_s=1_800_000_000.0, make_id=lambda kind: f"{kind}_{next(numbers[kind])}")
        self.now = 0.0
        self.events: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.take(self.engine.opened())
        if session:
            self.send("session.update", session={"type": "realtime", **session})
        self.sent_since()

    # feeding -----------------------------------------------------------------------------------------------------

    def take(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Keeps outputs; returns the events among them."""
        news = [checked(output) for output in outputs if isinstance(output, wire.ServerEvent)]
        self.events += news
        self.requests += [output for output in outputs if not isinstance(output, wire.ServerEvent)]
        return news

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """A client event, through the real codec."""
        try:
            event = wire.decode_client(json.dumps({"type": kind, **fields}))
        except wire.WireMalformed as malformed:
            return self.take(self.engine.refuse(malformed))
        return self.take(self.engine.receive(event, self.now))

    def hear(self, *spans: tuple[float, int]) -> list[dict[str, Any]]:
        """Sound as the detector judges it: (probability, ms) each. The sound itself is numbered, never silent."""
        news = []
        for probability, ms in spans:
            windows = ms // 32
            news += self.take(self.engine.receive(wire.InputAudioAppend(audio=b"\x01\x02" * (WINDOW_BYTES // 2 * windows)), self.now))
            news += self.take(self.engine.hear([probability] * windows, self.now))
        return news

    def turn(self, text: str | None = "hello", ms: int = 640) -> list[dict[str, Any]]:
        """A spoken turn with the quiet around it, recognised as `text`."""
        news = self.hear((0.01, 640), (0.9, ms), (0.01, 320))
        return news + self.recognise(text)

    def recognise(self, text: str | None) -> list[dict[str, Any]]:
        return self.take(self.engine.recognised(self.last(Recognise).item_id, text, None if text is not None else "no ears"))

    def think(self, *pieces: Piece, last: bool = True) -> list[dict[str, Any]]:
        response_id = self.last(Think).response_id
        news = []
        for place, piece in enumerate(pieces):
            news += self.take(self.engine.thought(response_id, piece, last and place == len(pieces) - 1))
        return news

    def speak(self, ms_a_sentence: int = 1000) -> None:
        """Answers every request to speak with that much sound."""
        for request in self.requests:
            if isinstance(request, Speak):
                self.take(self.engine.spoken(request.response_id, request.number, b"\x05\x06" * (24 * ms_a_sentence)))
        self.requests = [request for request in self.requests if not isinstance(request, Speak)]

    def drain(self, limit: int = 10_000) -> list[dict[str, Any]]:
        """At most `limit` deltas."""
        news = []
        while self.engine.has_delta and limit:
            news += self.take(self.engine.next_delta())
            limit -= 1
        return news

    def reply(self, text: str = "It is noon. Time for lunch.", ms_a_sentence: int = 1000) -> list[dict[str, Any]]:
        """Thinks, speaks and sends a whole reply."""
        news = self.think(text)
        self.speak(ms_a_sentence)
        return news + self.drain()

    # looking -----------------------------------------------------------------------------------------------------

    def last(self, kind: type[Asked]) -> Asked:
        return [request for request in self.requests if isinstance(request, kind)][-1]

    def sent_since(self) -> list[dict[str, Any]]:
        """What was sent since this was asked last."""
        news, self.events = self.events, []
        return news


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def one(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The only event of a type."""
    found = [event for event in events if event["type"] == kind]
    assert len(found) == 1, types(events)
    return found[0]


def error(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The body of the only event there is, an error."""
    assert types(events) == ["error"]
    body: dict[str, Any] = events[0]["error"]
    return body
