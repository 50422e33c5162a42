"""What is fuzzed, and what must hold whatever comes: no exception but the one that is promised, and nothing that can't travel on."""

from collections.abc import Callable
from typing import Final

from tests.network.script import SETTINGS, UNIX_S
from voiced import control, messages
from voiced.messages import Epoch, MessageMalformed, MonoNs, PlayFinished, PlayStarted, Publish
from voiced.network import events
from voiced.network.limits import TURN_CHARS
from voiced.network.link.frames import TEXT, FrameRefused, Frames
from voiced.network.outputs import Answered, Broadcast, LogLine, Opened, Output, Play, PlayEnd, PublishEvent, SendEvent, SendNext
from voiced.network.session import Session

_GREETING: Final = (
    b'{"type":"session.created","session":{"id":"s","model":"m","expires_at":1000003600}}',
    b'{"type":"session.updated","session":{"id":"s"}}',
)
_TOOLS: Final = [{"name": "ask", "command": [], "timeout_s": 5.0}, {"name": "run", "command": ["/bin/true"], "timeout_s": 5.0}]
_MS: Final = 1_000_000
_MOST_MESSAGES: Final = 64


def wire(data: bytes) -> None:
    """A stream of frames from a server, and the same bytes as messages, a line each, in a session that is open."""
    cut = data[0] % 8 if data else 0
    assert _framed([data]) == _framed([data[:cut], data[cut:]]), "it matters where a stream is cut"
    _converse(data.split(b"\n")[:_MOST_MESSAGES])


def bus(data: bytes) -> None:
    """A header frame of the internal bus."""
    try:
        message = messages.decode(data)
    except MessageMalformed:
        return
    header = messages.encode(message)
    again = messages.decode(header)
    assert type(again) is type(message)
    assert messages.encode(again) == header, "it does not arrive as it was sent"


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"wire": wire, "bus": bus}


def _framed(pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], int | None]:
    """All that is whole, and the code with which the stream is refused."""
    frames, found = Frames(), []
    try:
        for piece in pieces:
            frames.feed(piece)
            looked = 3
            while looked == 3:
                some, looked = frames.take(3)
                found += some
    except FrameRefused as refused:
        return found, refused.code
    return found, None


def _converse(texts: list[bytes]) -> None:
    ids = iter(range(1 << 30))
    session = Session({**SETTINGS, "tools": _TOOLS}, Epoch(1), lambda: f"made_{next(ids):012}", ())
    now, number = MonoNs(1_000_000_000), 0
    _check(session.begin(now))
    _check(session.connected(now, UNIX_S))
    for text in (*_GREETING, *texts):
        now, number = MonoNs(now + 7 * _MS), number + 1
        _check(list(session.overtake(text, number, now)))
        for output in _check(session.feed(text, number, now)):
            if isinstance(output, Play):
                _, item_id, index = output.header
                _check(session.heard(PlayStarted(item_id, index, session.epoch), now))
            elif isinstance(output, PlayEnd):
                _, item_id, index = output.header
                _check(session.heard(PlayFinished(item_id, index, session.epoch, 10), now))
    messages.encode(messages.Heartbeat(session.facts(UNIX_S)))
    for _ in range(4):
        now = MonoNs(max(now + 300 * _MS, session.wake_ns or 0))
        _check(session.tick(now))
    _check(session.lost("over", 1, 0.5, now))
    _check(session.connected(now, UNIX_S))
    for text in _GREETING:
        number += 1
        _check(session.feed(text, number, now))


def _check(outputs: list[Output]) -> list[Output]:
    """Whether each can be carried out."""
    for output in outputs:
        match output:
            case SendEvent(event) | SendNext(event):
                events.decode_client(events.encode(event))
            case PublishEvent(topic, data):
                # `state` has another form between the processes, and these never leave the daemon.
                assert topic in control.EVENTS or topic in ("turn", "spent", "ears"), topic
                assert len(messages.encode(Publish(topic, data))) < 8 * TURN_CHARS + 1000
            case LogLine(_, text):
                assert len(text) <= 400
                assert text.isprintable()
            case Play(header, pcm):
                messages.encode(header)
                assert pcm
                assert len(pcm) % 2 == 0
            case PlayEnd(header):
                messages.encode(header)
            case Broadcast(flush):
                messages.encode(flush)
            case Opened(detail):
                messages.encode(messages.Ready(detail))
            case Answered():
                raise AssertionError("nobody has asked")
    return outputs


#: So that the seeds need no WebSocket's arithmetic.
def framed(*texts: bytes) -> bytes:
    return b"".join(bytes([0x80 | TEXT, len(text)]) + text for text in texts)
