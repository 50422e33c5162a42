"""The opening of a session: from the open WebSocket to `ready`. Pure.

Servers differ (realtime-protocol 7): OpenAI sends session.created and answers session.update with session.updated; xAI
sends no session.created; some never answer the update. So: ready when our update is answered, or soon after
session.created where it never is.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

_HELLO_WITHIN_NS = 10_000_000_000
_UPDATED_WITHIN_NS = 3_000_000_000


class Phase(Enum):
    CONNECTING = auto()  # nothing tried has worked or failed yet
    GREETING = auto()  # the WebSocket is open, session.update is sent
    READY = auto()
    OFFLINE = auto()  # the connection was lost or refused for now; another attempt follows
    FAILED = auto()  # no other attempt follows


class Hello:
    """Where the opening of the session stands, and what the server told about it."""

    def __init__(self) -> None:
        self.phase = Phase.CONNECTING
        self.session_id: str | None = None
        self.expires_at: int | None = None  # unix seconds
        self.model: str | None = None
        self._created = False
        self._deadline_ns: int | None = None

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY

    def connected(self, now_ns: int) -> None:
        self.phase = Phase.GREETING
        self._created = False
        self.session_id = self.expires_at = self.model = None
        self._deadline_ns = now_ns + _HELLO_WITHIN_NS

    def closed(self, phase: Phase) -> None:
        self.phase = phase
        self.session_id = self.expires_at = None
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
        if isinstance(model, str):
            self.model = model
        if isinstance(expires_at, int) and 0 < expires_at < 1 << 53:
            self.expires_at = expires_at
