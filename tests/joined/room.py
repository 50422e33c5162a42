"""Client, server and ear joined in memory: network.session, embedded.engine and playback.playout on one made-up clock.

Every event crosses as JSON, so both codecs are in it. What a person and a brain would do is told by the test; nothing
waits, nothing is opened.
"""

import itertools
from typing import Any

from voiced.embedded.conversation import Entry
from voiced.embedded.engine import Engine
from voiced.embedded.work import Recognise, Speak, Think
from voiced.messages import BYTES_PER_MS, Epoch, Flushed, MicFrame, MonoNs, Order
from voiced.network import events, outputs
from voiced.network.session import Session
from voiced.playback.playout import Playout

MS = 1_000_000
#: The server's detector judges windows of 32 ms, the microphone sends frames of 20: both divide this.
STEP_MS = 160
#: Topped up only once a step, the loudspeaker must hold more than one.
_DEVICE_MS = 60 + STEP_MS
SETTINGS = {
    "provider": "embedded",
    "url": "ws://joined/v1/realtime",
    "model": "joined",
    "voice": "",
    "instructions": "Be brief.",
    "language": "",
    "transcription_model": "whisper-1",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_ms": 200,
}


class Room:
    """A person and an assistant. `reply_ms` is how long the assistant talks when it is spoken to."""

    def __init__(self, reply_ms: int = 5000, wire_ms: int = 0) -> None:
        self.now_ms = 1000
        self.reply_ms = reply_ms
        self.wire_ms = wire_ms  # how long an event of the server is on its way
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[dict[str, Any]] = []
        self.sent: list[events.ClientEvent] = []
        self.server_errors: list[events.ErrorDetail] = []
        self._numbers = itertools.count(1)
        self._on_the_way: list[tuple[int, bytes]] = []
        self.playout = Playout(24 * _DEVICE_MS)
        self.engine = Engine("joined", now=self._s, wall_s=0, make_id=lambda kind: f"{kind}_{next(self._numbers)}")
        self.session = Session(SETTINGS, Epoch(1), lambda: f"client_{next(self._numbers)}")
        self._client(self.session.begin(self._now))
        self._server(self.engine.opened())
        self._client(self.session.connected(self._now, 0.0))
        self.pass_ms(STEP_MS)

    # what a test does ------------------------------------------------------------------------------------------

    def pass_ms(self, ms: int, *, speaking: bool = False) -> None:
        """Time goes by in steps of STEP_MS, in which somebody speaks or nobody does."""
        for _ in range(max(1, ms // STEP_MS)):
            self.now_ms += STEP_MS
            for _ in range(STEP_MS // 20):
                self._client(self.session.microphone(MicFrame(0, self._now, False), bytes(20 * BYTES_PER_MS)))
            self._server(self.engine.hear([0.99 if speaking else 0.01] * (STEP_MS // 32), self._s))
            self._settle()

    def speak(self, ms: int = 2 * STEP_MS) -> None:
        self.pass_ms(ms, speaking=True)

    def order(self, command: str, **args: Any) -> dict[str, Any]:
        before = len(self.answers)
        self._client(self.session.order(Order(1, command, args), self._received, self._now))
        self._settle()
        assert len(self.answers) == before + 1, f"{command} was not answered"
        return self.answers[-1]

    # what a test looks at --------------------------------------------------------------------------------------

    @property
    def assistant_entries(self) -> list[Entry]:
        """The assistant's items as the server has them."""
        return [entry for entry in self.engine._conversation.entries() if entry.item.role == "assistant"]

    def sent_of(self, kind: type[events.ClientEvent]) -> list[Any]:
        return [event for event in self.sent if isinstance(event, kind)]

    # the wires between -----------------------------------------------------------------------------------------

    @property
    def _now(self) -> MonoNs:
        return MonoNs(self.now_ms * MS)

    @property
    def _s(self) -> float:
        return self.now_ms / 1000

    _received = 0

    def _settle(self) -> None:
        """Lets everything happen that is due now."""
        while self.engine.has_delta:
            self._server(self.engine.next_delta())
        while self._on_the_way and self._on_the_way[0][0] <= self.now_ms:
            _, text = self._on_the_way.pop(0)
            self._received += 1
            self._client(self.session.feed(text, self._received, self._now))
        self._listen()
        wake = self.session.wake_ns
        if wake is not None and wake <= self._now:
            self._client(self.session.tick(self._now))
        if self._on_the_way and self._on_the_way[0][0] <= self.now_ms:
            self._settle()

    def _listen(self) -> None:
        """The loudspeaker: takes all it can hold and tells what was heard."""
        for finished in self.playout.settle(self._now):
            self._client(self.session.heard(finished, self._now))
        if not self.playout.queued_frames:
            return
        if not self.playout.running:
            self.playout.begin(self._now)
        _, started = self.playout.take(24 * _DEVICE_MS)
        for part in started:
            self._client(self.session.heard(part, self._now))

    def _client(self, wanted: list[outputs.Output]) -> None:
        for output in wanted:
            match output:
                case outputs.SendEvent(event):
                    self.sent.append(event)
                    decoded = events.decode_client(events.encode(event))
                    self._server(self.engine.receive(decoded, self._s))
                case outputs.Play(header, pcm):
                    self.playout.receive(header, pcm)
                case outputs.PlayEnd(end):
                    self.playout.end(end)
                case outputs.Broadcast(flush):
                    was_playing = self.playout.active
                    result = self.playout.flush(flush.epoch, self._now)
                    flushed = Flushed(flush.epoch, result.heard, result.dropped_ms, 500, was_playing)
                    self._client(self.session.heard(flushed, self._now))
                case outputs.PublishEvent(topic, data):
                    self.published.append((topic, data))
                case outputs.Answered(_, result):
                    self.answers.append(result)
                case outputs.Refused(_, error):
                    self.answers.append({"refused": error.code})
                case outputs.Fail(error):
                    raise error

    def _server(self, wanted: list[Any]) -> None:
        for output in wanted:
            match output:
                case events.ServerEvent():
                    if isinstance(output, events.ErrorEvent):
                        self.server_errors.append(output.error)
                    self._on_the_way.append((self.now_ms + self.wire_ms, events.encode(output)))
                case Recognise(item_id, _):
                    self._server(self.engine.recognised(item_id, "what was said"))
                case Think(response_id):
                    self._server(self.engine.thought(response_id, "An answer of one sentence.", True))
                case Speak(response_id, number):
                    pcm = b"\x10\x27" * (24 * self.reply_ms)
                    self._server(self.engine.spoken(response_id, number, pcm))
