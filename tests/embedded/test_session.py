"""The session's loop, with a line that does what it is told: bugs, and clients that vanish while much is unread."""

import threading

import pytest

from voiced.embedded.parts import Candidates
from voiced.embedded.session import LineClosed, Session
from voiced.embedded.workers import Workers


class Line:
    def __init__(self, *, gone: bool = False) -> None:
        self.sent: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self._gone = gone

    def send(self, text: bytes) -> None:
        if self._gone:
            raise LineClosed
        self.sent.append(text)

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
