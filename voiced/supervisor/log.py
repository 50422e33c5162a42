"""The log: one line for one thing, on stderr. Formats; decides nothing but what is below the level."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from voiced.messages import Failed, Heartbeat, Message, Publish, Ready, Refusal
from voiced.shown import harmless

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # logging's
#: syslog(3) priorities, which systemd reads from a line's `<N>`.
_PRIORITY = {DEBUG: 7, INFO: 6, WARNING: 4, ERROR: 3}

#: Fields of events and figures that are sentences.
_PROSE = ("reason", "message", "last_error")


class Log:
    """`log(INFO, "capture", "ready")`. Text of `hidden` secrets never gets through."""

    def __init__(
        self, level: int, stream: TextIO, *, journal: bool, hidden: Sequence[str] = (), clock: Callable[[], str] | None = None
    ) -> None:
        self.level = level
        self._stream = stream
        self._journal = journal
        self._hidden: list[str] = []  # longest first: one may be a part of another
        for secret in hidden:
            self.hide(secret)
        self._clock = clock or (_clock_ms if level <= DEBUG else _clock)

    def hide(self, secret: str) -> None:
        """From now on, and for ever: who was told a key once may repeat it after it was changed."""
        if secret and secret not in self._hidden:
            self._hidden = sorted([*self._hidden, secret], key=len, reverse=True)

    def without_secrets(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    def cleaned(self, message: Message) -> Message:
        """A child's message without secrets in what it says to people: a server may quote the key that it refuses."""
        match message:
            case Failed():
                return Failed(message.code, self.without_secrets(message.message))
            case Refusal():
                return Refusal(message.order_id, message.code, self.without_secrets(message.message), message.field)
            case Publish():
                return Publish(message.topic, self._cleaned(message.data))
            case Heartbeat():
                return Heartbeat(self._cleaned(message.stats))
            case Ready():
                return Ready(self._cleaned(message.detail))
        return message

    def _cleaned(self, data: dict[str, Any]) -> dict[str, Any]:
        """Not every text: what programs go by stays as it is, also with a key that is a common word."""
        return {name: self.without_secrets(value) if name in _PROSE and isinstance(value, str) else value for name, value in data.items()}

    def __call__(self, level: int, who: str, text: str) -> None:
        if level < self.level:
            return
        for line in map(harmless, self.without_secrets(text).splitlines()):
            if self._journal:
                priority = _PRIORITY.get(level // 10 * 10, 3)
                self._write(f"<{priority}>{who}: {line}\n")
            else:
                self._write(f"{self._clock()} {who:<10} {line}\n")

    def _write(self, line: str) -> None:
        # Whoever read our stderr may be gone (`voiced 2>&1 | head`); that must not end a conversation.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line)
            self._stream.flush()


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _clock_ms() -> str:
    now_s = time.time()
    return time.strftime("%H:%M:%S", time.localtime(now_s)) + f".{int(now_s % 1 * 1000):03}"


def is_journal(env: Mapping[str, str], descriptor: int = 2) -> bool:
    """Whether stderr is the journal itself: JOURNAL_STREAM is inherited by those who redirect it, too (systemd.exec(5))."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return env.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def to_stderr(level: int, env: Mapping[str, str], hidden: Sequence[str]) -> Log:
    # Without a buffer: Python would flush sys.stderr's at the end, and exit with 120 where nobody reads it any more.
    stream = io.TextIOWrapper(io.FileIO(sys.stderr.fileno(), "w", closefd=False), errors="backslashreplace", write_through=True)
    return Log(level, stream, journal=is_journal(env), hidden=hidden)
