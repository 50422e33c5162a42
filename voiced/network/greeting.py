"""The opening of one session, and its settings there: what the connection of now and the next one have alike. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from voiced.messages import MonoNs
from voiced.network import events
from voiced.network.configure import Updates
from voiced.network.hello import Hello, Phase

Told = Callable[[Mapping[str, Any]], dict[str, Any]]


class Refusal(NamedTuple):
    """What follows from an error about our settings."""

    warning: str  # "": nothing is given up yet
    updates: tuple[events.SessionUpdate, ...]  # sent instead
    opened: bool  # the session is open for all that


class Greeting:
    """`told` makes of a session object of the server's one that may be shown."""

    def __init__(self, settings: dict[str, Any], updates: Updates, told: Told) -> None:
        self.settings = settings
        self.hello = Hello(loads_models=settings.get("provider") == "compatible")
        self._updates = updates
        self._told = told

    def followed_by(self, settings: dict[str, Any]) -> "Greeting":
        """That of the next session."""
        return Greeting(settings, self._updates.successor(settings), self._told)

    def connected(self, now: MonoNs, unix_s: float) -> events.SessionUpdate:
        """The WebSocket is open: what goes out ahead of everything else."""
        self.hello.connected(now, unix_s)
        return self._updates.hello()

    def created(self, event: events.SessionCreated, now: MonoNs) -> None:
        self.hello.created(self._told(event.session), now)

    def updated(self, event: events.SessionUpdated) -> bool:
        """True where that opened the session."""
        self._updates.answered()
        return self.hello.answered(self._told(event.session))

    def refused(self, error: events.ErrorDetail) -> Refusal | None:
        """None where the error is not about our settings."""
        retry = self._updates.refused(error)
        if retry is None:
            return None
        over = not retry.updates and not self._updates.unanswered and self.hello.phase is Phase.GREETING
        return Refusal(retry.warning, retry.updates, over and self.hello.refused())

    def overdue(self) -> bool:
        """The opening took too long: true where the session is open without an answer."""
        self._updates.settle()
        return self.hello.refused()

    def changed(self, settings: dict[str, Any]) -> tuple[events.SessionUpdate, ...]:
        """What an open session has to be told of new settings that it can take."""
        self.settings = settings
        return self._updates.change(settings).updates
