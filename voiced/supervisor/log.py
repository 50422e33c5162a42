"""The log: one line for one thing, in the systemd journal with fields, else on stderr. Formats; decides nothing but what is
below the level.

A field of `fields` is VOICED_FIELD in the journal, beside VOICED_PROCESS: `journalctl --user VOICED_EVENT=died`. Nothing that was
said is in any of it, at any level, but where `log.content` asks for that.
"""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from voiced.messages import Failed, Heartbeat, Message, Publish, Ready, Refusal
from voiced.shown import harmless

if TYPE_CHECKING:
    from voiced.supervisor.journald import Journald

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # logging's
#: syslog(3) priorities, which systemd reads from a line's `<N>`.
_PRIORITY = {DEBUG: 7, INFO: 6, WARNING: 4, ERROR: 3}

#: The daemon itself, among those who log.
SELF = "voiced"

#: Fields of events and figures that are sentences.
_PROSE = ("reason", "message", "last_error")


class Log:
    """`log(INFO, "capture", "ready", event="ready")`. Text of `hidden` secrets never gets through."""

    def __init__(
        self,
        level: int,
        stream: TextIO,
        *,
        journal: bool,
        hidden: Sequence[str] = (),
        clock: Callable[[], str] | None = None,
        journald: "Journald | None" = None,
    ) -> None:
        """`journal`: the stream is the journal's, which wants priorities and has the time; `journald` takes entries with fields."""
        self.level = level
        self._stream = stream
        self._journal = journal
        self._journald = journald
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

    def __call__(self, level: int, who: str, text: str, **fields: str) -> None:
        if level < self.level:
            return
        for line in map(harmless, self.without_secrets(text).splitlines()):
            priority = _PRIORITY.get(level // 10 * 10, 3)
            if self._journald is not None and self._entered(self._journald, priority, who, line, fields):
                continue
            if self._journal:
                self._write(f"<{priority}>{who}: {line}\n")
            else:
                self._write(f"{self._clock()} {who:<10} {line}\n")

    def _entered(self, journald: "Journald", priority: int, who: str, line: str, fields: Mapping[str, str]) -> bool:
        lost = {"VOICED_LOST": str(journald.lost)} if journald.lost else {}
        own = {f"VOICED_{name.upper()}": harmless(self.without_secrets(value)) for name, value in fields.items()}
        message = line if who == SELF else f"{who}: {line}"
        told = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": SELF, "VOICED_PROCESS": who, **own, **lost}
        return journald.send(told)

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


def to_journal_or_stderr(level: int, env: Mapping[str, str], hidden: Sequence[str]) -> Log:
    # Without a buffer: Python would flush sys.stderr's at the end, and exit with 120 where nobody reads it any more.
    stream = io.TextIOWrapper(io.FileIO(sys.stderr.fileno(), "w", closefd=False), errors="backslashreplace", write_through=True)
    if not is_journal(env):
        return Log(level, stream, journal=False, hidden=hidden)
    from voiced.supervisor.journald import Journald  # 5 ms, where systemd runs us

    return Log(level, stream, journal=True, hidden=hidden, journald=Journald())
