"""Whatever the server, playback and people do in whatever order: the session never raises, and barge-in stays exact."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter

from tests.network.script import SETTINGS, UNIX_S, Script, delta, sent, sound, text
from voiced import messages
from voiced.control import EVENTS
from voiced.messages import Epoch, Flushed, LocalSpeech, MicFrame, MonoNs, Order, PartHeard, PlayFinished, PlayStarted
from voiced.network import events
from voiced.network.outputs import Broadcast, Output, Play, PlayEnd, PublishEvent, SendEvent

_CLIENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)

ITEMS = st.sampled_from(["i1", "i2", "i3", "i4"])
RESPONSES = st.sampled_from(["r1", "r2", "r3"])
NUMBERS = st.one_of(st.integers(-5, 2000), st.integers())
JSON = st.recursive(st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))


def _of_part(type: str, **extra: Any) -> st.SearchStrategy[bytes]:
    fields = {"response_id": RESPONSES, "item_id": ITEMS, "output_index": st.just(0), "content_index": st.sampled_from([0, 0, 0, 1, -1])}
    return st.fixed_dictionaries({**fields, **extra}).map(lambda made: text(type, **made))


SERVER = st.one_of(
    st.builds(delta, ITEMS, st.binary(max_size=5000), RESPONSES, st.sampled_from([0, 0, 0, 1])),
    _of_part("response.output_audio.done"),
    _of_part("response.output_audio_transcript.delta", delta=st.text(max_size=9)),
    _of_part("response.output_audio_transcript.done", transcript=st.text(max_size=9)),
    _of_part("response.output_text.delta", delta=st.text(max_size=9)),
    st.builds(lambda r: text("response.created", response={"id": r}), RESPONSES),
    st.builds(lambda r: text("response.created", response={"id": r, "metadata": {"voiced": "say"}}), RESPONSES),
    st.builds(
        lambda r, s, u: text("response.done", response={"id": r, "status": s, "usage": {"x": u}}),
        RESPONSES,
        st.sampled_from(["completed", "cancelled", "failed", "incomplete"]),
        JSON,
    ),
    st.builds(lambda r, i: text("response.output_item.added", response_id=r, item={"id": i, "type": "message"}), RESPONSES, ITEMS),
    st.builds(lambda i, n: text("input_audio_buffer.speech_started", item_id=i, audio_start_ms=n), st.sampled_from(["u1", "u2"]), NUMBERS),
    st.builds(lambda i, n: text("input_audio_buffer.speech_stopped", item_id=i, audio_end_ms=n), st.sampled_from(["u1", "u2"]), NUMBERS),
    st.builds(
        lambda c: text("error", error={"type": "t", "code": c, "message": "m"}),
        st.sampled_from(["conversation_already_has_active_response", "session_expired", "item_not_found", "invalid_value"]),
    ),
    st.builds(
        lambda kind, made: text(kind, **made),
        st.sampled_from(sorted(events.SERVER_EVENTS)),
        st.dictionaries(st.sampled_from(["item_id", "response_id", "delta", "session", "response", "item", "error"]), JSON, max_size=4),
    ),
    st.binary(max_size=30),
    JSON.map(lambda value: json.dumps(value).encode()),
)
STEPS = st.one_of(
    st.tuples(st.just("feed"), SERVER),
    st.tuples(st.just("feed"), SERVER),
    st.tuples(st.just("feed"), SERVER),
    st.tuples(st.just("burst"), st.lists(SERVER, max_size=6)),
    st.tuples(st.just("started"), ITEMS),
    st.tuples(st.just("finished"), ITEMS),
    st.tuples(st.just("reached"), st.tuples(ITEMS, st.integers(0, 500), st.integers(0, 100))),
    st.tuples(st.just("carried"), st.lists(st.tuples(ITEMS, st.integers(0, 200), st.integers(200, 500)), max_size=3)),
    st.tuples(st.just("flushed"), st.lists(st.tuples(ITEMS, st.integers(-10, 500)), max_size=4)),
    st.tuples(st.just("wait"), st.sampled_from([1, 50, 251, 4000, 11_000, 70_000])),
    st.tuples(st.just("order"), st.sampled_from(["interrupt", "ask", "say", "transcript", "wake", "talk", "other"])),
    st.tuples(st.just("local"), st.sampled_from(["started", "stopped", "confirmed", "wake", "other"])),
    st.tuples(st.just("frame"), st.sampled_from(["loud", "muted", "held back"])),
    st.tuples(st.just("link"), st.sampled_from(["lost", "connected", "gone"])),
)


MOODS: list[dict[str, Any]] = [
    {},
    {"idle_disconnect_s": 60},
    {"wake_word": "okay_nabu", "listen_s": 8},
    {"wake_word": "okay_nabu", "listen_s": 8, "idle_disconnect_s": 60},
    {"mode": "push_to_talk", "idle_disconnect_s": 60},
]


class Judge:
    """Watches the outputs, and what must hold of them."""

    def __init__(self) -> None:
        self.epoch = Epoch(1000)
        self.forwarded: dict[tuple[str, int], int] = {}

    def see(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Broadcast):
                assert output.flush.epoch == self.epoch + 1
                self.epoch = output.flush.epoch
            elif isinstance(output, Play):
                assert output.header.epoch == self.epoch
                assert output.pcm
                assert len(output.pcm) % 2 == 0
                part = (output.header.item_id, output.header.content_index)
                self.forwarded[part] = self.forwarded.get(part, 0) + len(output.pcm)
            elif isinstance(output, PlayEnd):
                assert output.header.epoch == self.epoch
            elif isinstance(output, SendEvent):
                self._sent(output.event)
            elif isinstance(output, PublishEvent):
                assert output.topic in ("spent", "ears") or set(output.data) <= set(EVENTS[output.topic].fields)
                messages.encode(messages.Publish(output.topic, output.data))  # msgpack takes it

    def _sent(self, event: events.ClientEvent) -> None:
        _CLIENT.validate_json(events.encode(event))
        if isinstance(event, events.ItemTruncate):
            part = (event.item_id, event.content_index)
            assert 0 <= event.audio_end_ms <= self.forwarded.get(part, 0) // 48


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40), st.sampled_from(MOODS))
def test_any_order_of_anything(steps: list[tuple[str, Any]], mood: dict[str, Any]) -> None:
    script, judge = Script(settings=SETTINGS | mood), Judge()
    session = script.session
    for kind, what in steps:
        script.now = MonoNs(script.now + 1_000_000)
        before = len(script.all)
        judge.epoch = Epoch(judge.epoch + ((kind, what) == ("link", "gone")))
        step(script, kind, what)
        for _ in range(10):
            script.wait(0)
        judge.see(script.all[before:])
        assert session.epoch == judge.epoch
        wake_ns = session.wake_ns
        assert wake_ns is None or wake_ns > script.now, "it asks to be woken for ever"


def step(script: Script, kind: str, what: Any) -> None:
    session = script.session
    match kind:
        case "local":
            script.do(session.local_speech(LocalSpeech(what, script.now, 0.5), script.received, script.now))
        case "frame":
            captured_ns = MonoNs(script.now - (500_000_000 if what == "held back" else 0))
            script.do(session.microphone(MicFrame(0, captured_ns, what == "muted"), sound(20)))
        case "feed":
            script.feed(what)
        case "burst":
            base = script.received
            for number, raw in enumerate(what, base + 1):
                if b"speech_started" in raw:
                    script.do(session.overtake(raw, number, script.now))
            for raw in what:
                script.feed(raw)
        case "started":
            script.do(session.heard(PlayStarted(what, 0, session.epoch), script.now))
        case "reached":
            script.reached(*what)
        case "carried":
            script.carried_on(*what)
        case "finished":
            script.do(session.heard(PlayFinished(what, 0, session.epoch, 10), script.now))
        case "flushed":
            script.do(session.heard(Flushed(session.epoch, tuple(PartHeard(i, 0, ms) for i, ms in what), 5, 100, True), script.now))
        case "wait":
            script.wait(what)
        case "order":
            script.do(session.order(Order(1, what, {"text": "hello", "limit": 5, "pressed": True}), script.received, script.now))
        case "link":
            _link(script, what)


def _link(script: Script, what: str) -> None:
    session = script.session
    if what == "lost":
        script.do(session.lost("gone", 1, 0.5, script.now))
    elif what == "connected":
        script.do(session.connected(script.now, UNIX_S))
    else:
        script.do(session.playback_gone(script.now))


LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(0, 1300), st.data())
def test_an_interruption_at_any_moment_of_a_reply_tells_exactly_what_was_heard(
    lengths: list[int], heard_ms: int, data: st.DataObject
) -> None:
    """Items of these lengths are played one after the other, and cut off after `heard_ms` of sound. What was received
    behind the back of the flush (in the backlog, or late) never sounds, and each part is mended at most once."""
    script = Script()
    script.created()
    waiting = data.draw(st.integers(0, len(lengths)), "items still undecoded")
    seen = len(lengths) - waiting
    for number in range(seen):
        script.delta(f"i{number}", bytes(48 * lengths[number]))
        script.audio_done(f"i{number}")
    heard, left = [], heard_ms
    for number in range(seen):
        played_ms = min(left, lengths[number])
        left -= played_ms
        if played_ms:
            script.started(f"i{number}")
        if played_ms == lengths[number] and data.draw(st.booleans(), "finished is reported"):
            script.finished(f"i{number}", played_ms)
        else:
            heard.append((f"i{number}", played_ms))
    script.out.clear()
    backlog = [delta(f"i{number}", bytes(48 * lengths[number])) for number in range(seen, len(lengths))]
    started = text("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    script.do(script.session.overtake(started, script.received + len(backlog) + 1, script.now))
    if data.draw(st.booleans(), "playback answers before the backlog is seen"):
        script.flushed(*heard)
    for raw in [*backlog, started]:
        script.feed(raw)
    script.flushed(*heard)
    script.delta("i0", bytes(480))
    script.delta("late", bytes(480))
    script.done(status="cancelled")
    script.flushed(*heard)

    expected: list[tuple[Any, ...]] = []
    left = heard_ms
    for number, length in enumerate(lengths):
        played_ms = min(left, length) if number < seen else 0
        left -= played_ms
        if played_ms == 0:
            expected.append(("ItemDelete", f"i{number}"))
        elif played_ms < length:
            expected.append(("ItemTruncate", f"i{number}", 0, played_ms))
    assert sent(script.out) == [*expected, ("ItemDelete", "late")]
    assert not any(isinstance(output, Play) for output in script.out)
