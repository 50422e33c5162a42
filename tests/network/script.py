"""A conversation played by hand: feed the session, look at its outputs."""

import base64
import itertools
import json
from collections.abc import Iterable
from typing import Any

from voiced.messages import (
    CarriedOn,
    Epoch,
    Flushed,
    MicFrame,
    MonoNs,
    Order,
    PartHeard,
    PartQueued,
    PlayFinished,
    PlayReached,
    PlayStarted,
)
from voiced.network.outputs import Broadcast, Output, Play, PlayEnd, PublishEvent, SendEvent
from voiced.network.session import Session

SETTINGS: dict[str, Any] = {
    "provider": "compatible",
    "url": "ws://127.0.0.1:1/v1/realtime",
    "model": "m",
    "voice": "marin",
    "instructions": "Be brief.",
    "language": "en",
    "transcription_model": "whisper-1",
    "threshold": 0.4,
    "prefix_padding_ms": 250,
    "silence_ms": 450,
    "token": "sk-secret",
}
MS = 1_000_000
#: What the wall clock says, at any time.
UNIX_S = 1_000_000_000.0


def sound(ms: float, value: bytes = b"\x01\x00") -> bytes:
    return value * round(ms * 24)


class Script:
    """One session, its clock and all it put out."""

    def __init__(self, *, ready: bool = True, settings: dict[str, Any] = SETTINGS, history: Iterable[dict[str, Any]] = ()) -> None:
        ids = itertools.count(1)
        self.settings = settings
        self.session = Session(settings, Epoch(1000), lambda: f"id{next(ids)}", history)
        self.now = MonoNs(1_000_000_000)
        self.received = 0
        self.out: list[Output] = []
        self.all: list[Output] = []
        self.frames: list[bytes] = []  # what `speak` said
        if ready:
            self.do(self.session.connected(self.now, UNIX_S))
            self.event("session.created", session={"type": "realtime", "id": "sess_1"})
            self.event("session.updated", session={"type": "realtime", "id": "sess_1"})
            self.out.clear()

    def do(self, wanted: Iterable[Output]) -> list[Output]:
        outputs = list(wanted)
        self.out += outputs
        self.all += outputs
        return outputs

    def wait(self, ms: float) -> list[Output]:
        self.now = MonoNs(self.now + round(ms * MS))
        return self.do(self.session.tick(self.now))

    # the server

    def event(self, type: str, **fields: Any) -> list[Output]:
        return self.feed(text(type, **fields))

    def feed(self, raw: bytes) -> list[Output]:
        self.received += 1
        return self.do(self.session.feed(raw, self.received, self.now))

    def created(self, response_id: str = "r1", **fields: Any) -> list[Output]:
        return self.event("response.created", response={"id": response_id, "status": "in_progress", **fields})

    def announced(self, item_id: str, response_id: str = "r1") -> list[Output]:
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress"}
        return self.event("response.output_item.added", response_id=response_id, output_index=0, item=item)

    def delta(self, item_id: str, pcm: bytes, response_id: str = "r1", content_index: int = 0) -> list[Output]:
        return self.feed(delta(item_id, pcm, response_id, content_index))

    def audio_done(self, item_id: str, response_id: str = "r1") -> list[Output]:
        return self.event("response.output_audio.done", response_id=response_id, item_id=item_id, output_index=0, content_index=0)

    def done(self, response_id: str = "r1", status: str = "completed", **details: Any) -> list[Output]:
        return self.event("response.done", response={"id": response_id, "status": status, "status_details": details or None})

    def speech_started(self, item_id: str = "u1") -> list[Output]:
        return self.event("input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=100)

    def speech_stopped(self, item_id: str = "u1") -> list[Output]:
        return self.event("input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=900)

    # the microphone and playback

    def microphone(self, ms: float = 20, *, muted: bool = False) -> list[Output]:
        """One frame, read now."""
        return self.do(self.session.microphone(MicFrame(0, self.now, muted), sound(ms)))

    def speak(self, ms: int, *, muted: bool = False) -> list[Output]:
        """The microphone goes on, a frame each 20 ms, no two alike."""
        before = len(self.all)
        for _ in range(ms // 20):
            self.now = MonoNs(self.now + 20 * MS)
            self.frames.append(sound(20, len(self.frames).to_bytes(2, "little")))
            self.do(self.session.microphone(MicFrame(0, self.now, muted), self.frames[-1]))
        return self.all[before:]

    def started(self, item_id: str) -> list[Output]:
        return self.do(self.session.heard(PlayStarted(item_id, 0, self.session.epoch), self.now))

    def finished(self, item_id: str, played_ms: int) -> list[Output]:
        return self.do(self.session.heard(PlayFinished(item_id, 0, self.session.epoch, played_ms), self.now))

    def reached(self, item_id: str, played_ms: int, held_ms: int = 60) -> list[Output]:
        message = PlayReached(item_id, 0, self.session.epoch, 24 * played_ms, 24 * held_ms, self.now)
        return self.do(self.session.heard(message, self.now))

    def playback_gone(self) -> list[Output]:
        return self.do(self.session.playback_gone(self.now))

    def carried_on(self, *parts: tuple[str, int, int], epoch: Epoch | None = None) -> list[Output]:
        """Playback listens, and has these parts: so much of each was heard, of so much (ms)."""
        queued = tuple(PartQueued(item_id, 0, 24 * played_ms, 24 * received_ms) for item_id, played_ms, received_ms in parts)
        return self.do(self.session.heard(CarriedOn(self.session.epoch if epoch is None else epoch, queued), self.now))

    def flushed(self, *heard: tuple[str, int], epoch: Epoch | None = None, was_playing: bool = True) -> list[Output]:
        parts = tuple(PartHeard(item_id, 0, played_ms) for item_id, played_ms in heard)
        message = Flushed(self.session.epoch if epoch is None else epoch, parts, 70, 1500, was_playing)
        return self.do(self.session.heard(message, self.now))

    def order(self, command: str, **args: Any) -> list[Output]:
        return self.do(self.session.order(Order(5, command, args), self.received, self.now))

    # what came of it

    def reply(self, item_id: str = "i1", ms: float = 400, response_id: str = "r1") -> None:
        """A whole reply up to its sound, now sounding."""
        self.created(response_id)
        self.announced(item_id, response_id)
        self.delta(item_id, sound(ms), response_id)
        self.started(item_id)
        self.out.clear()


def text(type: str, **fields: Any) -> bytes:
    return json.dumps({"type": type, "event_id": "event_1", **fields}).encode()


def delta(item_id: str, pcm: bytes, response_id: str = "r1", content_index: int = 0) -> bytes:
    fields = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": content_index}
    return text("response.output_audio.delta", **fields, delta=base64.b64encode(pcm).decode())


def sent(outputs: list[Output]) -> list[tuple[Any, ...]]:
    """The client events among outputs, brief."""
    brief: list[tuple[Any, ...]] = []
    for output in outputs:
        if isinstance(output, SendEvent):
            event: Any = output.event
            kind = type(event).__name__
            if kind == "ItemTruncate":
                brief.append((kind, event.item_id, event.content_index, event.audio_end_ms))
            elif kind == "ItemDelete":
                brief.append((kind, event.item_id))
            elif kind == "ResponseCancel":
                brief.append((kind, event.response_id))
            else:
                brief.append((kind,))
    return brief


def published(outputs: list[Output], topic: str) -> list[dict[str, Any]]:
    return [output.data for output in outputs if isinstance(output, PublishEvent) and output.topic == topic]


def played(outputs: list[Output]) -> list[tuple[str, int]]:
    """The sound among outputs: item and bytes."""
    return [(output.header.item_id, len(output.pcm)) for output in outputs if isinstance(output, Play)]


def ended(outputs: list[Output]) -> list[str]:
    return [output.header.item_id for output in outputs if isinstance(output, PlayEnd)]


def flushes(outputs: list[Output]) -> list[tuple[int, str]]:
    return [(output.flush.epoch, output.flush.reason) for output in outputs if isinstance(output, Broadcast)]
