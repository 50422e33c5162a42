"""The line to the server: a session's opening, its settings there, its sleep, and its move to the next connection. Pure.

A session ends after an hour (realtime-protocol 1.5), and some settings hold for its whole life. So the conversation moves:
the next connection is opened and greeted while the first still serves, told what was said so far, and takes over at a
quiet moment, or at the last one.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from voiced.messages import MonoNs
from voiced.network import events
from voiced.network.configure import OF_A_CONNECTION, Retry, Updates
from voiced.network.hello import Hello, Phase
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
#: A change of settings that needs a new session is not put off for longer.
_CHANGE_WITHIN_NS = 60 * _NS_PER_S
_TRY_AGAIN_NS = 15 * _NS_PER_S


def _hello(settings: Mapping[str, Any]) -> Hello:
    return Hello(loads_models=settings.get("provider") == "compatible")


class Quiet:
    """How quiet the conversation is: for how long nothing has been going on, and what is."""

    def __init__(self) -> None:
        self.since_ns: int | None = None  # None: something is going on
        self.speaking = False  # the user, or a response that is being generated

    def for_ns(self, now: MonoNs) -> int:
        return 0 if self.since_ns is None else now - self.since_ns


class Line:
    def __init__(
        self, settings: dict[str, Any], new_id: Callable[[], str], out: Outbox, told: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> None:
        self.settings = settings
        self.next_settings = settings
        self.hello = _hello(settings)
        self.next: Hello | None = None
        self.woken = False  # on its way back from sleep
        self._out = out
        self._told = told
        self._new_id = new_id
        self._updates = self._next_updates = Updates(settings, new_id)
        self._change_ns: int | None = None  # since when a change waits for the next session
        self._not_before_ns = 0

    @property
    def ready(self) -> bool:
        return self.hello.ready

    # the opening ---------------------------------------------------------------------------------------------------------

    def connected(self, now: MonoNs, unix_s: float) -> None:
        """The WebSocket is open: our settings go out at once, ahead of everything else."""
        self.hello.connected(now, unix_s)
        self._out.send(self._updates.hello())

    def created(self, event: events.SessionCreated, now: MonoNs) -> None:
        self.hello.created(self._told(event.session), now)

    def updated(self, event: events.SessionUpdated) -> bool:
        """True where that opened the session."""
        self._updates.answered()
        return self.hello.answered(self._told(event.session))

    def refused(self, error: events.ErrorDetail) -> tuple[bool, bool]:
        """Whether an error is about our settings, and whether the session is open for all that."""
        retry = self._updates.refused(error)
        if retry is None:
            return False, False
        for update in self._taken_in(retry):
            self._out.send(update)
        over = not retry.updates and not self._updates.unanswered
        return True, over and self.hello.phase is Phase.GREETING and self.hello.refused()

    def _taken_in(self, retry: Retry) -> tuple[events.SessionUpdate, ...]:
        if retry.warning:
            self._out.error("setting_refused", retry.warning)
        return retry.updates

    def overdue(self) -> bool:
        """The opening took too long; true where the session is open without an answer, else it is given up."""
        if self.hello.refused():
            self._updates.settle()
            self._out.log(logging.INFO, "the server did not answer session.update")
            return True
        return False

    def closed(self, phase: Phase) -> None:
        self.woken = False
        self.hello.closed(phase)
        if self.next is not None:
            self.drop_next()

    # sleep ---------------------------------------------------------------------------------------------------------------

    def sleep(self, reason: str) -> None:
        self.closed(Phase.ASLEEP)
        self._out.add(Sleep(reason))

    def wake(self) -> None:
        self.woken = True
        self.hello.phase = Phase.CONNECTING
        self._out.add(Wake())

    # the settings --------------------------------------------------------------------------------------------------------

    def configure(self, settings: dict[str, Any], now: MonoNs) -> None:
        """The settings changed: what the session can take it gets now; for the rest the conversation moves to a new one."""
        if self.next is not None:
            self.drop_next()
        self.next_settings = settings
        self._change_ns = None
        if not self.ready:
            self.settings = settings
            self._updates = self._next_updates = Updates(settings, self._new_id)
            if self.hello.phase is not Phase.ASLEEP:
                self.wake()
            return
        bound = {name: self.settings[name] for name in OF_A_CONNECTION if name in self.settings}
        self.settings = settings | bound
        for update in self._updates.change(self.settings).updates:
            self._out.send(update)
        self._next_updates = self._updates
        if self.settings != settings:
            self._next_updates = Updates(settings, self._new_id)
            self._change_ns = now
            self._not_before_ns = 0

    # the next connection -------------------------------------------------------------------------------------------------

    def step(self, quiet: Quiet, now: MonoNs) -> bool:
        """Opens the next connection where it is time; true where that may take over now."""
        if not self.ready:
            return False
        if self.next is None:
            if self._due(now):
                self.next = _hello(self.next_settings)
                self._out.add(OpenNext("the settings changed" if self._change_ns is not None else "the session is about to expire"))
            return False
        return self.next.ready and self._may_move(quiet, now)

    def _due(self, now: MonoNs) -> bool:
        if now < self._not_before_ns:
            return False
        return self._change_ns is not None or (self._rollover_ns is not None and now >= self._rollover_ns)

    @property
    def _rollover_ns(self) -> int | None:
        expires_ns = self.hello.expires_ns
        if expires_ns is None:
            return None
        lead_ns = int(self.settings.get("rollover_s") or 300) * _NS_PER_S
        return expires_ns - min(lead_ns, self.hello.lifetime_ns // _LEAD_AT_MOST)

    def _may_move(self, quiet: Quiet, now: MonoNs) -> bool:
        left_ns = self._left_ns(now)
        return quiet.for_ns(now) >= QUIET_NS or (left_ns < _HURRY_NS and not quiet.speaking) or left_ns < _LAST_CALL_NS

    def _left_ns(self, now: MonoNs) -> int:
        """How long the session of now may still serve."""
        ends = [self.hello.expires_ns, None if self._change_ns is None else self._change_ns + _CHANGE_WITHIN_NS]
        return min((end - now for end in ends if end is not None), default=_HURRY_NS)

    def next_connected(self, now: MonoNs, unix_s: float) -> None:
        if self.next is not None:
            self.next.connected(now, unix_s)
            self._out.add(SendNext(self._next_updates.hello()))

    def next_event(self, event: events.ServerEvent | events.Unknown, now: MonoNs) -> None:
        """An event on the next connection, which is not the conversation's yet."""
        if self.next is None:
            return
        match event:
            case events.SessionCreated():
                self.next.created(self._told(event.session), now)
            case events.SessionUpdated():
                self._next_updates.answered()
                self.next.answered(self._told(event.session))
            case events.ErrorEvent():
                retry = self._next_updates.refused(event.error)
                if retry is None:
                    return
                for update in self._taken_in(retry):
                    self._out.add(SendNext(update))
                if not retry.updates and not self._next_updates.unanswered:
                    self.next.refused()

    def next_lost(self, reason: str, now: MonoNs, *, fatal: bool) -> None:
        """The next connection could not be made: another try later; new settings that can't work are given up."""
        self.next = None
        self._next_updates.settle()
        self._not_before_ns = now + _TRY_AGAIN_NS
        if self._change_ns is not None and fatal:
            self._change_ns = None
            self._out.error("settings_unusable", f"the settings of before stay in force, for the new ones do not work: {reason}")
        else:
            self._out.log(logging.WARNING, f"the next session could not be opened: {reason}")

    def drop_next(self) -> None:
        self.next = None
        self._next_updates.settle()
        self._out.add(DropNext())

    def take_over(self) -> None:
        """The next connection is the conversation's from here on."""
        assert self.next is not None
        self.hello, self.next = self.next, None
        self.settings, self._updates = self.next_settings, self._next_updates
        self._change_ns = None
        self._not_before_ns = 0
        self._out.add(TakeOver())

    # time ----------------------------------------------------------------------------------------------------------------

    def wake_ns(self, quiet: Quiet) -> int | None:
        """When to look again; `step` and `tick` are due then."""
        times = [self.hello.wake_ns]
        if self.ready and self.next is None:
            start_ns = 0 if self._change_ns is not None else self._rollover_ns
            times.append(None if start_ns is None else max(start_ns, self._not_before_ns))
        elif self.next is not None and not self.next.ready:
            times.append(self.next.wake_ns)
        elif self.next is not None:
            times.append(None if quiet.since_ns is None else quiet.since_ns + QUIET_NS)
            for end_ns in (self.hello.expires_ns, None if self._change_ns is None else self._change_ns + _CHANGE_WITHIN_NS):
                if end_ns is not None:
                    times.append(end_ns - (_HURRY_NS if not quiet.speaking else _LAST_CALL_NS))
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: MonoNs) -> None:
        if self.next is not None and self.next.overdue(now) and not self.next.refused():
            self.next_lost("the server accepted the connection but opened no session", now, fatal=False)
            self._out.add(DropNext())
