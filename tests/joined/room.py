"""Client, server and ear joined in memory: network.session, embedded.engine and playback.playout on one made-up clock.

Every event crosses as JSON, so both codecs are in it. What a person and a brain would do is told by the test; nothing
waits, nothing is opened. The room does for the session what `network.uplink` does: it connects, numbers what comes in, looks
at the end of a connection when all that it brought was looked at, and holds the next connection beside the one of now.

The microphone says which utterance is spoken and which frame of the day it is, in its samples; so the server's ear, which
hears what it is sent and nothing else, knows what was said, and a test knows what reached whom.
"""

import itertools
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tests.joined.capture import Capture
from voiced.embedded.conversation import Entry
from voiced.embedded.engine import Engine
from voiced.embedded.turns import WINDOW_MS
from voiced.embedded.work import HangUp, Piece, Recognise, Speak, Think
from voiced.messages import BYTES_PER_MS, Epoch, Flushed, LocalSpeech, Message, MicFrame, MonoNs, Order
from voiced.network import events, outputs
from voiced.network.hello import Phase
from voiced.network.link import reconnect
from voiced.network.session import Session
from voiced.playback.playout import Playout

MS = 1_000_000
#: The server's detector judges windows of 32 ms, the microphone sends frames of 20: both divide this.
STEP_MS = 160
#: Topped up only once a step, the loudspeaker must hold more than one.
_DEVICE_MS = 60 + STEP_MS
_WINDOW_BYTES = WINDOW_MS * BYTES_PER_MS
_FRAMES_COUNTED = 1 << 16  # a sample has 16 bits
#: More rounds than this at one moment, and the session asks to be woken for ever.
_MOST_ROUNDS = 200
SETTINGS: dict[str, Any] = {
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


class _End(NamedTuple):
    """The end of a connection, on its way to the client."""

    code: int
    reason: str


class Link:
    """One connection: a server's session, and what is on its way from there."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.on_the_way: deque[tuple[int, bytes | _End]] = deque()
        self.unheard = bytearray()
        #: The frames of the microphone that came in, by their number, in order.
        self.frames: list[int] = []

    def entries(self, role: str | None = None) -> list[Entry]:
        return [entry for entry in self.engine._conversation.entries() if role is None or entry.item.role == role]


def utterances_in(pcm: bytes) -> list[int]:
    """The utterances that are heard in this sound, in order."""
    spoken = np.frombuffer(pcm, "<u2")[::2]
    changes = np.flatnonzero(np.diff(spoken, prepend=0))
    return list(dict.fromkeys(int(spoken[at]) for at in changes if spoken[at]))


def words_of(pcm: bytes) -> str:
    """What a recogniser makes of this sound."""
    return " ".join(f"<{number}>" for number in utterances_in(pcm)) or "(noise)"


def probabilities_of(pcm: bytes) -> list[float]:
    """What a detector says of each window of this sound."""
    spoken = np.frombuffer(pcm, "<u2")[::2].reshape(-1, _WINDOW_BYTES // 4)
    return [0.99 if utterance else 0.01 for utterance in spoken.max(axis=1).tolist()]


class Room:
    """A person and an assistant. `reply_ms` is how long the assistant talks when it is spoken to, `wire_ms` how long an event of
    the server is on its way, `brain_ms` how long it takes to recognise, and to think; `connect_ms` to connect. With `local`
    capture has a voice detector and a gate; else the server alone listens, and hears all."""

    def __init__(
        self,
        reply_ms: int = 5000,
        wire_ms: int = 0,
        *,
        brain_ms: int = 0,
        connect_ms: int = 0,
        frame_ms: int = 20,
        local: bool = False,
        **settings: Any,
    ) -> None:
        self.now_ms = 1000
        self.reply_ms = reply_ms
        self.wire_ms = wire_ms
        self.brain_ms = brain_ms
        self.connect_ms = connect_ms
        self.frame_ms = frame_ms
        self._capture = Capture(frame_ms) if local else None
        self.think: Callable[[Think], Sequence[Piece]] = lambda asked: ["An answer of one sentence."]
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[dict[str, Any]] = []
        self.sent: list[events.ClientEvent] = []
        self.server_errors: list[events.ErrorDetail] = []
        self.heard_ms: dict[str, int] = {}  # by item, of what came out of the loudspeaker
        self.moves = self.utterance = self.frame = 0
        self.key_down = False
        self.reachable = True  # False: nobody answers
        self.links: deque[Link] = deque(maxlen=3)  # the newest
        self._numbers = itertools.count(1)
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._link: Link | None = None
        self._next: Link | None = None
        self._retry_ms: int | None = None
        self._next_at_ms: int | None = None
        self._hang_up: _End | None = None
        self._inbox: deque[tuple[int, bytes]] = deque()
        self._reports: deque[Message] = deque()
        self._received = 0
        self._attempt = 0
        self.playout = Playout(24 * _DEVICE_MS)
        ids = (f"client_{number:016}" for number in itertools.count(1))  # the session must not hold the room
        self.session = Session(SETTINGS | settings, Epoch(1), ids.__next__)
        self.playout.epoch = self.session.epoch  # as after the flush with which the real ones meet
        self._client(self.session.begin(self._now))
        self._connect()
        self.pass_ms(STEP_MS + wire_ms)

    # what a test does ------------------------------------------------------------------------------------------

    def pass_ms(self, ms: int, *, speaking: bool = False) -> None:
        """Time goes by in steps of STEP_MS, in which somebody speaks or nobody does."""
        for _ in range(max(1, ms // STEP_MS)):
            for _ in range(STEP_MS // self.frame_ms):
                self.now_ms += self.frame_ms
                self._hear(speaking)
            self._settle()

    def _hear(self, speaking: bool) -> None:
        """A frame of the microphone."""
        sound = self._sound(speaking)
        if self._capture is None:
            self._client(self.session.microphone(MicFrame(0, self._now, False), sound))
            return
        for message, pcm in self._capture.take(self._now, sound, speaking=speaking, sounding=self.playout.speaking):
            if isinstance(message, LocalSpeech):
                self._client(self.session.local_speech(message, self._received, self._now))
            else:
                self._client(self.session.microphone(message, pcm))

    def _sound(self, speaking: bool) -> bytes:
        self.frame = (self.frame + 1) % _FRAMES_COUNTED
        return struct.pack("<HH", self.utterance if speaking else 0, self.frame) * (12 * self.frame_ms)

    def speak(self, ms: int = 2 * STEP_MS) -> int:
        """An utterance, and its number."""
        self.utterance += 1
        self.pass_ms(ms, speaking=True)
        return self.utterance

    def skip_to(self, now_ms: int) -> None:
        """Time goes by at once while nobody says anything; of the microphone's silence nothing is sent."""
        assert self.still
        self.now_ms = max(self.now_ms, now_ms)
        self._settle()

    def order(self, command: str, **args: Any) -> dict[str, Any]:
        before = len(self.answers)
        self._client(self.session.order(Order(1, command, args), self._received, self._now))
        self._settle()
        assert len(self.answers) == before + 1, f"{command} was not answered"
        return self.answers[-1]

    def lose(self, *, gently: bool = False) -> None:
        """The connection breaks; `gently`, what the server said still arrives."""
        link = self._link
        if link is None:
            return
        if not gently:
            link.on_the_way.clear()
        link.on_the_way.append((self.now_ms, _End(1006, "the server closed the connection without a word")))
        link.on_the_way = deque((self.now_ms, what) for _, what in link.on_the_way)
        self._settle()

    def lose_next(self) -> None:
        """The connection that is to take over breaks."""
        if self._next is not None or self._next_at_ms is not None:
            self._next, self._next_at_ms = None, None
            self._client(self.session.next_lost("it broke", self._now))
            self._settle()

    # what a test looks at --------------------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """The connection of now."""
        assert self._link is not None
        return self._link

    @property
    def connected(self) -> bool:
        return self._link is not None

    @property
    def still(self) -> bool:
        """Nothing sounds, and nothing is on its way but what the session waits for."""
        under_way = any(link.on_the_way for link in (self._link, self._next) if link) or self._later
        return not (self.playout.speaking or under_way or self._next_at_ms or self._retry_ms)

    @property
    def engine(self) -> Engine:
        return self.link.engine

    @property
    def assistant_entries(self) -> list[Entry]:
        """The assistant's items as the server has them."""
        return self.link.entries("assistant")

    @property
    def state(self) -> str:
        return str(self.of("state")[-1]["state"])

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [data for published, data in self.published if published == topic]

    def sent_of(self, kind: type[events.ClientEvent]) -> list[Any]:
        return [event for event in self.sent if isinstance(event, kind)]

    # the wires between -----------------------------------------------------------------------------------------

    @property
    def _now(self) -> MonoNs:
        return MonoNs(self.now_ms * MS)

    @property
    def _s(self) -> float:
        return self.now_ms / 1000

    def _settle(self) -> None:
        """Lets everything happen that is due now."""
        for _ in range(_MOST_ROUNDS):
            self._servers()
            self._connections()
            self._receive()
            self._listen()
            if self._wake_is_due:
                self._client(self.session.tick(self._now))
            elif not self._something_is_due:
                return
        raise AssertionError("the session asks to be woken again and again")

    @property
    def _wake_is_due(self) -> bool:
        wake = self.session.wake_ns
        return wake is not None and wake <= self._now

    @property
    def _something_is_due(self) -> bool:
        if self._inbox or self._reports or any(due_ms <= self.now_ms for due_ms, _ in self._later):
            return True
        if any(at_ms is not None and at_ms <= self.now_ms for at_ms in (self._retry_ms, self._next_at_ms)) or self._hang_up is not None:
            return True
        return any(
            link.engine.has_delta or (link.on_the_way and link.on_the_way[0][0] <= self.now_ms) for link in (self._link, self._next) if link
        )

    def _servers(self) -> None:
        due = [work for due_ms, work in self._later if due_ms <= self.now_ms]
        self._later = [(due_ms, work) for due_ms, work in self._later if due_ms > self.now_ms]
        for work in due:
            work()
        for link in (self._link, self._next):
            if link is None:
                continue
            whole = len(link.unheard) - len(link.unheard) % _WINDOW_BYTES
            if whole:
                sound = bytes(link.unheard[:whole])
                del link.unheard[:whole]
                self._server(link, link.engine.hear(probabilities_of(sound), self._s))
            while link.engine.has_delta:
                self._server(link, link.engine.next_delta())
            if link.engine.deadline <= self._s:
                self._server(link, link.engine.tick(self._s))

    # the connections: what network.uplink does -------------------------------------------------------------------

    def _connections(self) -> None:
        if self._hang_up is not None and not self._inbox:
            end, self._hang_up = self._hang_up, None
            self._ended(end)
        if self._retry_ms is not None and self.now_ms >= self._retry_ms:
            self._retry_ms = None
            if self.reachable:
                self._connect()
            else:
                self._lost("nobody answers")
        if self._next_at_ms is not None and self.now_ms >= self._next_at_ms:
            self._next_at_ms = None
            if self.reachable:
                self._next = self._opened()
                self._client(self.session.next_connected(self._now, self._s))
            else:
                self._client(self.session.next_lost("nobody answers", self._now))

    def _opened(self) -> Link:
        engine = Engine("joined", now=self._s, wall_s=self._s, make_id=lambda kind: f"{kind}_{next(self._numbers):016}")
        link = Link(engine)
        self.links.append(link)
        self._server(link, engine.opened())
        return link

    def _connect(self) -> None:
        self._link = self._opened()
        self._client(self.session.connected(self._now, self._s))

    def _ended(self, end: _End) -> None:
        self._link = None
        if wanted := self.session.rescued(self._now):
            self._client(wanted)
        else:
            self._lost(end.reason, at_once=reconnect.expired(end.code, end.reason))

    def _lost(self, reason: str, *, at_once: bool = False) -> None:
        if self.session.phase in (Phase.FAILED, Phase.ASLEEP):
            return
        delay_ms = 0 if at_once else 500
        self._attempt += 1
        self._retry_ms = self.now_ms + delay_ms + self.connect_ms
        self._client(self.session.lost(reason, self._attempt, delay_ms / 1000, self._now))

    def _receive(self) -> None:
        link = self._link
        while link is not None and link.on_the_way and link.on_the_way[0][0] <= self.now_ms:
            what = link.on_the_way.popleft()[1]
            if isinstance(what, _End):
                self._hang_up = what
                link.on_the_way.clear()
            else:
                self._put(what)
        while self._inbox:
            number, text = self._inbox.popleft()
            self._client(self.session.feed(text, number, self._now))
        following = self._next
        while following is not None and following.on_the_way and following.on_the_way[0][0] <= self.now_ms:
            what = following.on_the_way.popleft()[1]
            if self._next is not following:
                assert self._link is following
                following.on_the_way.appendleft((self.now_ms, what))
                return
            if isinstance(what, _End):
                return self.lose_next()
            self._client(self.session.next_feed(what, self._now))

    def _put(self, text: bytes) -> None:
        self._received += 1
        self._inbox.append((self._received, text))
        self._client(self.session.overtake(text, self._received, self._now))

    # the loudspeaker -----------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Takes all it can hold and tells what was heard."""
        self._note_finished()
        if self.playout.queued_frames:
            if not self.playout.running:
                self.playout.begin(self._now)
            held = 24 * self.playout.remaining_ns(self._now) // MS
            self._reports += self.playout.take(24 * _DEVICE_MS - held)[1]
        while self._reports:
            self._client(self.session.heard(self._reports.popleft(), self._now))

    def _note_finished(self) -> None:
        for finished in self.playout.settle(self._now):
            self.heard_ms[finished.item_id] = finished.played_ms
            self._reports.append(finished)

    def _flush(self, epoch: Epoch) -> None:
        """At once; what was heard is reported in its turn, as from another process."""
        self._note_finished()
        was_playing = self.playout.speaking
        result = self.playout.flush(epoch, self._now)
        for part in result.heard:
            self.heard_ms[part.item_id] = part.played_ms
        self._reports.append(Flushed(epoch, result.heard, result.dropped_ms, 500, was_playing))

    # what both sides want --------------------------------------------------------------------------------------------

    def _client(self, wanted: Iterable[outputs.Output]) -> None:
        for output in wanted:
            match output:
                case outputs.SendEvent(event):
                    self._to_server(self._link, event)
                case outputs.SendNext(event):
                    self._to_server(self._next, event)
                case outputs.Play(header, pcm):
                    self.playout.receive(header, pcm)
                case outputs.PlayEnd(end):
                    self.playout.end(end)
                case outputs.Broadcast(flush):
                    self._flush(flush.epoch)
                case outputs.PublishEvent(topic, data):
                    self.published.append((topic, data))
                case outputs.Answered(_, result):
                    self.answers.append(result)
                case outputs.Refused(_, error):
                    self.answers.append({"refused": error.code})
                case outputs.Fail(error):
                    raise error
                case outputs.LogLine() | outputs.Opened():
                    pass
                case _:
                    self._about_connections(output)

    def _about_connections(self, output: outputs.Output) -> None:
        match output:
            case outputs.OpenNext():
                self._next, self._next_at_ms = None, self.now_ms + self.connect_ms
            case outputs.DropNext():
                self._next = self._next_at_ms = None
            case outputs.TakeOver():
                assert self._next is not None
                self._link, self._next = self._next, None
                self._hang_up = None
                self._inbox.clear()
                self.moves += 1
                self.session.skipped(self._received)
            case outputs.Disconnect(reason, code):
                self._hang_up = _End(code, reason)
            case outputs.Sleep():
                self._link = self._next = self._retry_ms = self._next_at_ms = self._hang_up = None
                self._inbox.clear()
            case outputs.Wake():
                self._link, self._retry_ms = None, self.now_ms + self.connect_ms
            case _:
                raise TypeError(f"no way to do {output!r}")

    def _to_server(self, link: Link | None, event: events.ClientEvent) -> None:
        self.sent.append(event)
        if link is None or (link is self._link and self._hang_up is not None):
            return
        decoded = events.decode_client(events.encode(event))
        if isinstance(decoded, events.InputAudioAppend):
            link.unheard += decoded.audio
            link.frames.append(struct.unpack_from("<H", decoded.audio, 2)[0])
        self._server(link, link.engine.receive(decoded, self._s))

    def _server(self, link: Link, wanted: list[Any]) -> None:
        for output in wanted:
            match output:
                case events.ServerEvent():
                    if isinstance(output, events.ErrorEvent):
                        self.server_errors.append(output.error)
                    link.on_the_way.append((self.now_ms + self.wire_ms, events.encode(output)))
                case HangUp(code, reason):
                    link.on_the_way.append((self.now_ms + self.wire_ms, _End(code, reason)))
                case Recognise(item_id, pcm):
                    self._work(link, partial(link.engine.recognised, item_id, words_of(pcm)))
                case Think():
                    self._work(link, partial(self._thought, link, output))
                case Speak(response_id, number):
                    self._server(link, link.engine.spoken(response_id, number, b"\x10\x27" * (24 * self.reply_ms)))

    def _work(self, link: Link, work: Callable[[], list[Any]]) -> None:
        if self.brain_ms:
            self._later.append((self.now_ms + self.brain_ms, lambda: self._server(link, work())))
        else:
            self._server(link, work())

    def _thought(self, link: Link, asked: Think) -> list[Any]:
        pieces = self.think(asked)
        wanted: list[Any] = []
        for place, piece in enumerate(pieces, 1):
            wanted += link.engine.thought(asked.response_id, piece, place == len(pieces))
        return wanted
