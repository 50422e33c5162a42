"""The line to the server: a session's opening, its settings there, its sleep, and its move to the next connection. Pure.

A session ends after an hour (realtime-protocol 1.5), and some settings hold for its whole life. So the conversation moves:
the next connection is opened and greeted while the first still serves, told what was said so far, and takes over at a
quiet moment, or at the last one.
"""

import logging
from collections.abc import Callable
from typing import Any

from voiced.messages import MonoNs
from voiced.network import events
from voiced.network.configure import OF_A_CONNECTION, Updates
from voiced.network.greeting import Greeting, Refusal, Told
from voiced.network.hello import Hello, Phase
from voiced.network.limits import EARLY
from voiced.network.outputs import DropNext, OpenNext, Outbox, SendNext, Sleep, TakeOver, Wake

_NS_PER_S = 1_000_000_000
#: Nothing was said or awaited for this long: nobody will miss the moment.
QUIET_NS = 2 * _NS_PER_S
#: So long before the end it is enough that nobody speaks; what the assistant says plays on.
_HURRY_NS = 30 * _NS_PER_S
#: So long before the end nothing is waited for.
_LAST_CALL_NS = 5 * _NS_PER_S
#: The part of a session's life that may go by while the next one is waiting; short lives must not be all waiting.
_LEAD_AT_MOST = 6
#: Once the next session is ready, a change of settings that needs it is not put off for longer.
_CHANGE_WITHIN_NS = 60 * _NS_PER_S
_TRY_AGAIN_NS = 15 * _NS_PER_S
#: Of the events about MCP servers that come before the conversation does.
_LONGEST_EARLY_BYTES = 256 << 10


class Quiet:
    """How quiet the conversation is: for how long nothing has been going on, and what is."""

    def __init__(self) -> None:
        self.since_ns: int | None = None  # None: something is going on
        self.speaking = False  # the user, or a response that is being generated

    def for_ns(self, now: MonoNs) -> int:
        return 0 if self.since_ns is None or self.speaking else now - self.since_ns


class Line:
    def __init__(self, settings: dict[str, Any], new_id: Callable[[], str], out: Outbox, told: Told) -> None:
        self.woken = False  # on its way back from sleep
        self._out = out
        self._now = Greeting(settings, Updates(settings, new_id), told)
        self._wanted = settings  # what the next session is to have
        self._next: Greeting | None = None
        self._early: list[events.ServerEvent] = []
        self._changing = False  # the next session is wanted for its settings
        self._ready_ns: int | None = None  # since when the next session is ready
        self._not_before_ns = 0

    @property
    def settings(self) -> dict[str, Any]:
        return self._now.settings

    @property
    def next_settings(self) -> dict[str, Any]:
        return self._wanted

    @property
    def hello(self) -> Hello:
        return self._now.hello

    @property
    def ready(self) -> bool:
        return self._now.hello.ready

    @property
    def next_ready(self) -> bool:
        return self._next is not None and self._next.hello.ready

    # the opening ---------------------------------------------------------------------------------------------------------

    def connected(self, now: MonoNs, unix_s: float) -> None:
        self._out.send(self._now.connected(now, unix_s))

    def created(self, event: events.SessionCreated, now: MonoNs) -> None:
        self._now.created(event, now)

    def updated(self, event: events.SessionUpdated) -> bool:
        """True where that opened the session."""
        return self._now.updated(event)

    def refused(self, error: events.ErrorDetail) -> tuple[bool, bool]:
        """Whether an error is about our settings, and whether the session is open for all that."""
        refusal = self._now.refused(error)
        if refusal is None:
            return False, False
        self._tell(refusal)
        for update in refusal.updates:
            self._out.send(update)
        return True, refusal.opened

    def _tell(self, refusal: Refusal) -> None:
        if refusal.warning:
            self._out.error("setting_refused", refusal.warning)

    def overdue(self) -> bool:
        """The opening took too long; true where the session is open without an answer, else it is given up."""
        opened = self._now.overdue()
        if opened:
            self._out.log(logging.INFO, "the server did not answer session.update")
        return opened

    def closed(self, phase: Phase) -> None:
        """The session is over. The one after it has the settings of now, those too that waited for another session."""
        if self._next is not None:
            self.drop_next()
        if self._changing:
            self._adopt()
        self.woken = False
        self.hello.closed(phase)

    def _adopt(self) -> None:
        self._now = self._now.followed_by(self._wanted)
        self._changing = False
        self._not_before_ns = 0

    # sleep ---------------------------------------------------------------------------------------------------------------

    def sleep(self, reason: str) -> None:
        self.closed(Phase.ASLEEP)
        self._out.add(Sleep(reason))

    def wake(self) -> None:
        self.hello.closed(Phase.CONNECTING)
        self.woken = True
        self._out.add(Wake())

    # the settings --------------------------------------------------------------------------------------------------------

    def configure(self, settings: dict[str, Any]) -> None:
        """The settings changed: what the session can take it gets now; for the rest the conversation moves to a new one."""
        if self._next is not None:
            self.drop_next()
        self._wanted = settings
        if not self.ready:
            phase = self.hello.phase
            self._adopt()
            self.hello.closed(phase)
            return
        bound = {name: self.settings[name] for name in OF_A_CONNECTION if name in self.settings}
        for update in self._now.changed(settings | bound):
            self._out.send(update)
        self._changing = self.settings != settings
        self._not_before_ns = 0

    # the next connection -------------------------------------------------------------------------------------------------

    def step(self, quiet: Quiet, now: MonoNs) -> bool:
        """Opens the next connection where it is time; true where that may take over now."""
        if not self.ready:
            return False
        if self._next is None:
            if self._due(now):
                self._next = self._now.followed_by(self._wanted)
                self._ready_ns = None
                self._out.add(OpenNext("the settings changed" if self._changing else "the session is about to expire"))
            return False
        if not self.next_ready:
            return False
        if self._ready_ns is None:
            self._ready_ns = now
        return self._may_move(quiet, now)

    def _due(self, now: MonoNs) -> bool:
        if now < self._not_before_ns:
            return False
        return self._changing or (self._rollover_ns is not None and now >= self._rollover_ns)

    @property
    def _rollover_ns(self) -> int | None:
        expires_ns = self.hello.expires_ns
        if expires_ns is None:
            return None
        lead_ns = int(self.settings.get("rollover_s") or 300) * _NS_PER_S
        return expires_ns - min(lead_ns, self.hello.lifetime_ns // _LEAD_AT_MOST)

    def _may_move(self, quiet: Quiet, now: MonoNs) -> bool:
        left_ns = min((end - now for end in self._ends_ns), default=_HURRY_NS)
        return quiet.for_ns(now) >= QUIET_NS or (left_ns < _HURRY_NS and not quiet.speaking) or left_ns < _LAST_CALL_NS

    @property
    def _ends_ns(self) -> list[int]:
        """When the session of now can't serve any more, or shall not."""
        change_ns = self._ready_ns + _CHANGE_WITHIN_NS if self._changing and self._ready_ns is not None else None
        return [end_ns for end_ns in (self.hello.expires_ns, change_ns) if end_ns is not None]

    def next_connected(self, now: MonoNs, unix_s: float) -> None:
        if self._next is not None:
            self._out.add(SendNext(self._next.connected(now, unix_s)))

    def next_event(self, event: events.ServerEvent | events.Unknown, now: MonoNs) -> None:
        """An event on the next connection, which is not the conversation's yet."""
        if self._next is None:
            return
        match event:
            case events.SessionCreated():
                self._next.created(event, now)
            case events.SessionUpdated():
                self._next.updated(event)
            case events.ErrorEvent():
                refusal = self._next.refused(event.error)
                if refusal is not None:
                    self._tell(refusal)
                    for update in refusal.updates:
                        self._out.add(SendNext(update))
            case events.ItemAdded() | events.ItemDone() | events.McpListToolsFailed():
                if len(self._early) < EARLY and len(events.encode(event)) <= _LONGEST_EARLY_BYTES:
                    self._early.append(event)

    def next_lost(self, reason: str, now: MonoNs, *, fatal: bool) -> None:
        """The next connection could not be made: another try later; new settings that can't work are given up."""
        self._forget_next()
        self._not_before_ns = now + _TRY_AGAIN_NS
        if self._changing and fatal:
            self._changing = False
            self._wanted = self.settings
            self._out.error("settings_unusable", f"the settings of before stay in force, for the new ones do not work: {reason}")
        else:
            self._out.log(logging.WARNING, f"the next session could not be opened: {reason}")

    def drop_next(self) -> None:
        self._forget_next()
        self._out.add(DropNext())

    def _forget_next(self) -> None:
        self._next = None
        self._early = []

    def take_over(self) -> list[events.ServerEvent]:
        """The next connection is the conversation's from here on. Returns what it has told already of its MCP servers."""
        assert self._next is not None
        self._now, early = self._next, self._early
        self._forget_next()
        self._changing = False
        self._not_before_ns = 0
        self._out.add(TakeOver())
        return early

    # time ----------------------------------------------------------------------------------------------------------------

    def wake_ns(self, quiet: Quiet) -> int | None:
        """When to look again; `step` and `tick` are due then."""
        times = [self.hello.wake_ns]
        if self.ready and self._next is None:
            start_ns = 0 if self._changing else self._rollover_ns
            times.append(None if start_ns is None else max(start_ns, self._not_before_ns))
        elif self._next is not None and not self.next_ready:
            times.append(self._next.hello.wake_ns)
        elif self._next is not None:
            times.append(None if quiet.since_ns is None or quiet.speaking else quiet.since_ns + QUIET_NS)
            times += [end_ns - (_LAST_CALL_NS if quiet.speaking else _HURRY_NS) for end_ns in self._ends_ns]
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: MonoNs) -> None:
        if self._next is not None and self._next.hello.overdue(now) and not self._next.overdue():
            self.next_lost("the server accepted the connection but opened no session", now, fatal=False)
            self._out.add(DropNext())
