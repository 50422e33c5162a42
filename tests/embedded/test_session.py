"""The session's loop, with a line that does what it is told: bugs, and clients that vanish while much is unread."""

import threading
from collections.abc import Callable

import pytest

from voiced.embedded import session as session_module
from voiced.embedded.parts import Candidates
from voiced.embedded.session import LineClosed, Session
from voiced.embedded.workers import Workers


class Line:
    def __init__(self, *, gone: bool = False) -> None:
        self.sent: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self._gone = gone
        self._mark: tuple[bytes, Callable[[], None]] | None = None

    def until(self, mark: bytes, then: Callable[[], None]) -> None:
        """What to do when this is sent."""
        self._mark = (mark, then)

    def send(self, text: bytes) -> None:
        if self._gone:
            raise LineClosed
        self.sent.append(text)
        if self._mark and self._mark[0] in text:
            self._mark[1]()

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


def session_on(line: Line) -> Session:
    return Session(line, Workers(Candidates([], [], [])), "m")


def test_a_reader_does_not_wait_for_a_session_that_is_over() -> None:
    session = session_on(Line(gone=True))
    session.run()

    def read() -> None:
        for _ in range(200):
            session.take(b"{}")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    session.end()
    reader.join(timeout=10)
    assert not reader.is_alive()


def test_a_bug_ends_the_session_with_a_word(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    line = Line()
    session = session_on(line)
    monkeypatch.setattr(session._engine, "receive", lambda *_: 1 / 0)
    session.take(b'{"type": "response.cancel"}')
    session.run()
    assert line.closed == (1011, "internal error")
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" not in caplog.text


def answer_of(workers: Workers, *messages: bytes) -> Line:
    """What a session says to these messages until it is done with a response."""
    line = Line()
    session = Session(line, workers, "m")
    line.until(b'"response.done"', session.end)
    for message in messages:
        session.take(message)
    session.run()
    return line


class Broken:
    name = "broken"
    knows_better = True

    def recognise(self, pcm: bytes) -> str:
        raise ZeroDivisionError

    def speak(self, text: str, speed: float) -> bytes:
        raise ZeroDivisionError

    def answer(self, *_: object) -> None:
        raise ZeroDivisionError


HELLO = b'{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[%s]}}'
SOUND = b'{"type":"input_audio","audio":"%s"}' % (b"AAAA" * 4000)


@pytest.mark.parametrize(
    ("parts", "content", "told"),
    [
        (Candidates([], [], [Broken]), b'{"type":"input_text","text":"Why?"}', b'"internal error: ZeroDivisionError"'),
        (Candidates([], [Broken], []), b'{"type":"input_text","text":"Hello"}', b'"internal error: ZeroDivisionError"'),
        (Candidates([Broken], [], []), SOUND, b"no speech synthesis"),
    ],
)
def test_a_part_with_a_bug_ends_the_response_and_not_the_worker(parts: Candidates, content: bytes, told: bytes) -> None:
    workers = Workers(parts)
    workers.start()
    try:
        for _ in range(2):
            line = answer_of(workers, HELLO % content, b'{"type":"response.create"}')
            assert b'"failed"' in line.sent[-1]
            assert told in line.sent[-1]
    finally:
        assert workers.stop(within_s=10)


def test_what_a_gone_session_asked_for_is_not_recognised() -> None:
    heard: list[bytes] = []

    class Ears:
        name = "ears"

        def recognise(self, pcm: bytes) -> str:
            heard.append(pcm)
            return ""

    workers = Workers(Candidates([Ears], [], []))
    workers.recognise(b"gone", lambda: False, lambda *_: None)
    workers.recognise(b"here", lambda: True, lambda *_: None)
    workers.start()
    assert workers.stop(within_s=10)
    assert heard == [b"here"]


def test_sound_that_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_UNHEARD_BYTES", 20_000)
    workers = Workers(Candidates([], [], []))  # not started: nothing is recognised meanwhile
    line = Line()
    session = Session(line, workers, "m")
    line.until(b"transcription.failed", session.end)
    session.take(b'{"type":"session.update","session":{"type":"realtime","audio":{"input":{"transcription":{"model":"whisper-1"}}}}}')
    for _ in range(2):
        session.take(HELLO % SOUND)
    session.run()
    assert b"too much sound waits" in line.sent[-1]


def test_reading_ahead_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_READ_AHEAD_BYTES", 100_000)
    monkeypatch.setattr(session_module, "_LOOK_UP_S", 0.01)
    room = session_module._Room()
    assert room.enter(10_000_000)  # alone
    assert not room.enter(1)
    room.leave(10_000_000)
    assert room.enter(50_000)
    assert not room.enter(50_000)
