"""The opening of a session: from the open WebSocket to `ready`. Pure.

Servers differ (realtime-protocol 7): OpenAI sends session.created and answers session.update with session.updated; xAI
sends no session.created; some never answer the update. So: ready when our update is answered, or soon after
session.created where it never is.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

_HELLO_WITHIN_NS = 10_000_000_000
#: One that loads its models first (realtime-protocol 7.2).
_LOADED_WITHIN_NS = 60_000_000_000
_UPDATED_WITHIN_NS = 3_000_000_000
_NS_PER_S = 1_000_000_000
#: No session lives longer (realtime-protocol 1.5); a clock that is wrong must not make it seem so.
_LONGEST_S = 3600
#: Nor is one this short: the clock, ours or theirs, is wrong.
_SHORTEST_S = 10


class Phase(Enum):
    CONNECTING = auto()  # nothing tried has worked or failed yet
    GREETING = auto()  # the WebSocket is open, session.update is sent
    READY = auto()
    OFFLINE = auto()  # the connection was lost or refused for now; another attempt follows
    ASLEEP = auto()  # disconnected by our own will, until somebody wakes us
    FAILED = auto()  # no other attempt follows


class Hello:
    """Where the opening of the session stands, and what the server told about it."""

    def __init__(self, *, loads_models: bool = False) -> None:
        self._patience_ns = _LOADED_WITHIN_NS if loads_models else _HELLO_WITHIN_NS
        self.phase = Phase.CONNECTING
        self.session_id: str | None = None
        self.expires_at: int | None = None  # unix seconds
        self.model: str | None = None
        self.expires_ns: int | None = None  # the same by our clock
        self._created = False
        self._deadline_ns: int | None = None
        self._now_ns = 0
        self._unix_s = 0.0

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY

    @property
    def lifetime_ns(self) -> int:
        """From the open WebSocket to the session's end."""
        return 0 if self.expires_ns is None else self.expires_ns - self._now_ns

    def connected(self, now_ns: int, unix_s: float) -> None:
        """The WebSocket is open; `unix_s` is what the wall clock says now."""
        self.phase = Phase.GREETING
        self._created = False
        self.session_id = self.expires_at = self.model = self.expires_ns = None
        self._now_ns, self._unix_s = now_ns, unix_s
        self._deadline_ns = now_ns + self._patience_ns

    def closed(self, phase: Phase) -> None:
        self.phase = phase
        self.session_id = self.expires_at = self.expires_ns = None
        self._deadline_ns = None

    def created(self, session: Mapping[str, Any], now_ns: int) -> None:
        self._learn(session)
        if self.phase is Phase.GREETING and not self._created:
            self._created = True
            self._deadline_ns = now_ns + _UPDATED_WITHIN_NS

    def answered(self, session: Mapping[str, Any]) -> bool:
        """The update was answered; true where that opened the session."""
        self._learn(session)
        opened = self.phase is Phase.GREETING
        if opened:
            self.phase = Phase.READY
            self._deadline_ns = None
        return opened

    def refused(self) -> bool:
        """The update was refused: the session goes on with the server's defaults, where there is one."""
        return self._created and self.answered({})

    def overdue(self, now_ns: int) -> bool:
        return self._deadline_ns is not None and now_ns >= self._deadline_ns

    @property
    def wake_ns(self) -> int | None:
        return self._deadline_ns

    def _learn(self, session: Mapping[str, Any]) -> None:
        session_id, model, expires_at = session.get("id"), session.get("model"), session.get("expires_at")
        if isinstance(session_id, str):
            self.session_id = session_id
        if isinstance(model, str) and self.phase is Phase.GREETING:  # each model is a line of its own in what is spent
            self.model = model
        if isinstance(expires_at, int) and 0 < expires_at < 1 << 53:
            self.expires_at = expires_at
            left_s = min(_LONGEST_S, expires_at - self._unix_s)
            self.expires_ns = self._now_ns + int(left_s * _NS_PER_S) if left_s > _SHORTEST_S else None
