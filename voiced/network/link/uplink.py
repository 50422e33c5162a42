"""The way to the server: the connection of now, the one that is to take over, and the wait for another try. An adapter: what
comes in is told to the session, what the session wants of a connection is done here.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable

from voiced.child import Child
from voiced.errors import ServerUnreachable, VoicedError
from voiced.messages import MonoNs
from voiced.network import events
from voiced.network.hello import Phase
from voiced.network.interface import Conversing
from voiced.network.link import reconnect
from voiced.network.link.connection import Link
from voiced.network.link.inbox import Inbox
from voiced.network.link.reach import target
from voiced.network.link.wire import ConnectionEnded
from voiced.network.outputs import Output
from voiced.network.quote import Quote

#: Events looked at between two looks at the sockets: about 0.5 ms of deltas of 16 KB.
_EVENTS_AT_A_TIME = 8
#: On a connection that is to take over: it can wait, and what comes there is looked at at once.
_FRAMES_OF_THE_NEXT = 16
_NS_PER_S = 1_000_000_000
#: A monotonic clock stands still while the machine sleeps, CLOCK_BOOTTIME does not.
_SLEPT_S = 2.0


class Uplink:
    """`do` carries out what the session wants."""

    def __init__(self, child: Child, session: Conversing, quote: Quote, do: Callable[[Iterable[Output]], None]) -> None:
        self._child = child
        self._session = session
        self._quote = quote
        self._do = do
        self._link: Link | None = None
        self._next: Link | None = None
        self._inbox = Inbox()
        self._backoff = reconnect.Backoff()
        self._retry_ns: MonoNs | None = None
        self._serving = self._broken = False  # a session is open; the last one was lost
        #: How often a session was opened after one was lost.
        self.reconnects = 0
        self._events_a_turn = _EVENTS_AT_A_TIME
        self._asleep_ns = _time_asleep_ns()

    def use(self, session: Conversing) -> None:
        """The session to speak with from here on."""
        self._session = session

    @property
    def received(self) -> int:
        """The number of the newest event."""
        return self._inbox.received

    @property
    def busy(self) -> bool:
        """Something has to be done at once: output that waits, or the end of the connection."""
        wire = None if self._link is None else self._link.wire
        return wire is not None and (wire.unsent or wire.ended is not None)

    # a turn of the loop --------------------------------------------------------------------------------------------------

    def read(self, woken: set[object], now: MonoNs) -> None:
        """What came in: a speech_started is acted upon here, the rest waits for `look`."""
        link, following = self._link, self._next
        if link is not None and link.woken(woken):
            if link.connecting is not None:
                self._opened(link, now)
            else:
                self._receive(link, now)
        if following is not None and following.woken(woken):
            self._read_next(following, now)

    def look(self, now: MonoNs) -> None:
        """Hands a few of the events that wait to the session."""
        if self._link is not None and self._link.floods:
            self._forget_received()
        for _ in range(self._events_a_turn):
            waiting = self._inbox.take()
            if waiting is None:
                return
            number, text = waiting
            wanted = self._session.feed(text, number, now)
            self._do(wanted if self._link is None else self._link.counted(wanted, now))

    def keep_up(self, now: MonoNs) -> None:
        """Everything that is due."""
        self._notice_suspension(now)
        if self._retry_ns is not None and now >= self._retry_ns:
            self.connect()
        for link in (self._link, self._next):
            if link is not None:
                link.keep_up(now)
        wire = None if self._link is None else self._link.wire
        if wire is not None and wire.ended is not None and not self._inbox:
            self._ended(wire.ended, now)
        following = None if self._next is None else self._next.wire
        if following is not None and following.ended is not None:
            self._next_lost(self._why(following.ended, self._session.next_settings), now)

    def due_ns(self, now: MonoNs) -> int | None:
        """When the next turn is due, whether or not anything happens before."""
        if self._inbox:
            return now
        times = [self._retry_ns, *(link.due_ns for link in (self._link, self._next) if link is not None)]
        return min((time for time in times if time is not None), default=None)

    # the connection of now -----------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Makes a connection because somebody wants one: what failed before says nothing about it."""
        self._backoff.forget()
        self.connect()

    def connect(self) -> None:
        """Makes a connection, at once."""
        self._retry_ns = None
        self._drop()
        self._link = Link(self._child, self._session.settings, self._quote)

    def send(self, event: events.ClientEvent) -> None:
        if self._link is not None:
            self._link.send(event)

    def healthy(self, now: MonoNs) -> None:
        """The session is open."""
        self._backoff.opened(now)
        self.reconnects += self._broken
        self._serving, self._broken = True, False

    def disconnect(self, code: int, reason: str) -> None:
        """Closes the connection; another follows."""
        if self._link is not None and self._link.wire is not None and self._link.wire.ended is None:
            self._link.end(ConnectionEnded(code, reason))

    def close(self) -> None:
        """Closes whatever is open; nothing follows."""
        self._retry_ns = None
        self._serving = self._broken = False
        self._drop()
        self.drop_next()

    def _drop(self) -> None:
        """Leaves the connection; what it still brought is void."""
        if self._link is not None:
            self._link.drop()
            self._link = None
        self._forget_received()

    def _forget_received(self) -> None:
        if self._inbox:
            self._inbox.clear()
            self._session.skipped(self._inbox.received)

    def _opened(self, link: Link, now: MonoNs) -> None:
        try:
            link.open(now)
        except VoicedError as error:
            self._link = None
            self._lost(error, now)
        else:
            self._do(self._session.connected(now, time.time()))

    def _receive(self, link: Link, now: MonoNs) -> None:
        if self._inbox.full:
            self._events_a_turn = _EVENTS_AT_A_TIME
            return
        for text in link.receive(now):
            if self._inbox.put(text):
                self._do(link.counted(self._session.overtake(text, self._inbox.received, now), now))
                if self._link is not link:  # the session has left it; the rest is void
                    return
        self._events_a_turn = 1 if link.flooded else _EVENTS_AT_A_TIME

    def _ended(self, ended: ConnectionEnded, now: MonoNs) -> None:
        """The connection is over, and all that it brought was looked at."""
        if wanted := self._session.rescued(now):
            self._do(wanted)
            return
        self._drop()
        self._broken = self._broken or self._serving
        self._serving = False
        self._lost(self._why(ended, self._session.settings), now, expired=reconnect.expired(ended.code, ended.said))

    def _why(self, ended: ConnectionEnded, settings: dict[str, object]) -> VoicedError:
        """The error behind the end of a connection that was made with these settings."""
        where, model = target(settings).where, str(settings.get("model") or "")
        error = reconnect.from_close(where, model, ended.code, self._quote(ended.said))
        return error or reconnect.broken(ended.code, ended.reason)

    def _lost(self, error: VoicedError, now: MonoNs, *, expired: bool = False) -> None:
        """No connection: another attempt later, or none where it would be useless."""
        if self._session.phase in (Phase.FAILED, Phase.ASLEEP):
            return
        error = self._backoff.verdict(error, by_command=bool(self._session.settings.get("token_command")))
        if error.fatal:
            self._do(self._session.failed(error, now))
            return
        delay_s = self._backoff.lost(now, random.random(), at_once=expired, nobody=isinstance(error, ServerUnreachable) and error.nobody)
        self._retry_ns = MonoNs(now + int(delay_s * _NS_PER_S))
        self._do(self._session.lost(error.message, self._backoff.attempt, delay_s, now))

    def _notice_suspension(self, now: MonoNs) -> None:
        """After a night's sleep the server has hung up long ago, and no ping needs to find that out."""
        asleep_ns = _time_asleep_ns()
        slept_s, self._asleep_ns = (asleep_ns - self._asleep_ns) / _NS_PER_S, asleep_ns
        if slept_s < _SLEPT_S:
            return
        self._child.log(logging.INFO, f"the machine slept for {slept_s:.0f} s; connecting anew")
        self._backoff.forget()
        if self._retry_ns is not None:
            self._retry_ns = now
        if self._next is not None:  # as dead as the other: nothing can be rescued to it
            self._next_lost(ServerUnreachable("the machine slept"), now)
        self.disconnect(reconnect.GOING_AWAY, "the machine slept")

    # the next connection -------------------------------------------------------------------------------------------------

    def open_next(self) -> None:
        self.drop_next()
        self._next = Link(self._child, self._session.next_settings, self._quote)

    def drop_next(self) -> None:
        if self._next is not None:
            self._next.drop()
            self._next = None

    def send_next(self, event: events.ClientEvent) -> None:
        if self._next is not None:
            self._next.send(event)

    def take_over(self) -> None:
        """The session has left the first connection."""
        self._drop()
        self._link, self._next = self._next, None

    def _read_next(self, link: Link, now: MonoNs) -> None:
        if link.connecting is not None:
            try:
                link.open(now)
            except VoicedError as error:
                self._next_lost(error, now)
            else:
                self._do(self._session.next_connected(now, time.time()))
            return
        for text in link.receive(now, _FRAMES_OF_THE_NEXT):
            if self._next is link:
                self._do(link.counted(self._session.next_feed(text, now), now))
            elif self._link is not link:
                return
            elif self._inbox.put(text):  # it took over meanwhile
                self._do(link.counted(self._session.overtake(text, self._inbox.received, now), now))

    def _next_lost(self, error: VoicedError, now: MonoNs) -> None:
        self.drop_next()
        error = self._backoff.verdict(error, by_command=bool(self._session.next_settings.get("token_command")))
        self._do(self._session.next_lost(error.message, now, fatal=error.fatal))


def _time_asleep_ns() -> int:
    """How long the machine has slept since its start, in all."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
