"""The processes of ours together: started, given their settings, heard, watched, and buried. What they say, and what a
death means, is for the head to judge.
"""

import signal
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from voiced.bus import Family, Poller
from voiced.child import LOG_LEVEL, STOP
from voiced.errors import BadArgument, NotNow, ResourcesShort
from voiced.flight import Ring
from voiced.messages import Failed, Log, Message, MessageMalformed, Order, Ready
from voiced.supervisor import log
from voiced.supervisor.member import Member
from voiced.supervisor.policy import Action, Event, State
from voiced.supervisor.processes import Row, World, barred
from voiced.supervisor.provider import Provider
from voiced.supervisor.spawn import Spawned, ending

#: The order that hands a process its new settings, all of them.
CONFIGURE = "configure"
#: The order that says why no session may be open; "" = it may.
BUDGET = "budget"
#: A child that fails says why right before it ends, on a socket that is read by another thread than sees the end.
_LAST_WORDS_MS = 100


class Head(Protocol):
    def world(self) -> World:
        """What settings are made of now."""

    def heard(self, member: Member, message: Message) -> None:
        """A child said something."""

    def changed(self, member: Member, reason: str) -> None:
        """A child's state or process changed."""

    def died(self, member: Member, reason: str) -> None:
        """A child is gone, and its next state is decided."""

    def dismissed(self, member: Member) -> None:
        """It belongs to us no more."""


class Household:
    def __init__(self, head: Head, family: Family, poller: Poller, env: Mapping[str, str], say: log.Log) -> None:
        self._head, self._family, self._poller, self._env, self._say = head, family, poller, env, say
        self._poller.watch(family.socket)
        self.members: dict[str, Member] = {}
        self._wanted: dict[str, Row] = {}
        self.stopping = False

    def man(self, rows: Iterable[Row]) -> None:
        """Starts those of `rows` that do not run. The others stay for now: somebody may still depend on them."""
        self._wanted = {row.name: row for row in rows}
        for name, row in self._wanted.items():
            member = self.members.setdefault(name, Member(row, self._env, self._order_stop))
            if member.state is State.STOPPED and not self.stopping:
                self.feed(member, Event.START)

    def dismiss_unwanted(self) -> None:
        for member in list(self.members.values()):
            if member.name not in self._wanted and not self.stopping:
                self.feed(member, Event.STOP)
                self._ended(member)

    def replace(self, name: str) -> None:
        """Restarts one, with the settings of now. Raises BadArgument for a name that there is not, and NotNow."""
        if name == "supervisor":
            raise BadArgument("the supervisor is the daemon itself: `systemctl --user restart voiced`", "process")
        member = self.members.get(name)
        if member is None:
            raise BadArgument(f"no process {name!r}; there are: " + ", ".join(self.members), "process")
        if member.state in (State.STOPPED, State.STOPPING):
            raise NotNow(f"{name} is stopping, since the settings do without it")
        self.feed(member, Event.REPLACE)

    def renew(self, name: str) -> None:
        """Restarts one that goes by other settings than those of now, and is not on its way anyway."""
        if (member := self.members.get(name)) is not None and member.outdated(self._head.world()):
            self.feed(member, Event.REPLACE)

    def _ended(self, member: Member) -> None:
        """One that was told to end did: it is forgotten, or wanted again by now."""
        if member.state is not State.STOPPED or self.stopping:
            return
        if member.name in self._wanted:
            self.feed(member, Event.START)
        else:
            del self.members[member.name]
            self._head.dismissed(member)

    def details(self) -> dict[str, Mapping[str, Any]]:
        """By name, what those that are ready told of themselves."""
        return {name: member.detail for name, member in self.members.items() if member.detail is not None}

    def flights(self) -> dict[str, Ring]:
        """By name, what they said on the bus lately."""
        return {name: member.flight for name, member in self.members.items() if member.flight is not None}

    # settings and orders ---------------------------------------------------------------------------------------------

    def settle(self, *, anew: bool = False) -> None:
        """Gives their settings to those who wait for them, and new ones to those who can take them while they run.

        `anew`: somebody mends the settings. Also where none changed: one that failed for good, since its key was refused, tries again.
        """
        world = self._head.world()
        for member in self.members.values():
            member.settle(world, time.monotonic())
            member.begun |= anew
            if anew or member.outdated(world):
                self.configure(member, world)

    def configure(self, member: Member, world: World) -> None:
        """Orders a running process to take its settings of now. One that does not hear orders yet gets them when it does."""
        settings = member.row.settings(world) if member.row.live and member.connected else None
        if settings is not None:
            member.take(settings)
            self.order(member.name, Order(0, CONFIGURE, {"settings": settings}))

    def outdated(self) -> list[str]:
        """Who has to be restarted for the settings of now."""
        world = self._head.world()
        stay = [member for name, member in self.members.items() if name in self._wanted and not member.row.live]
        return [member.name for member in stay if member.outdated(world)]

    def order(self, name: str, order: Order) -> bool:
        """Whether there is somebody who hears it."""
        member = self.members.get(name)
        if member is None or not member.connected or member.state not in (State.STARTING, State.READY):
            return False
        self._send(member, order)
        return True

    def _send(self, member: Member, order: Order) -> None:
        if member.pid is not None:
            self._family.send(member.name, member.pid, order)

    def tell_level(self) -> None:
        """Lets them log from the level of now on."""
        for member in self.members.values():
            if member.given is None or member.given["log_level"] == self._say.level:
                continue
            if self.order(member.name, Order(0, LOG_LEVEL, {"log_level": self._say.level})):
                member.given["log_level"] = self._say.level

    def tell_budget(self, provider: Provider, exhausted: str) -> None:
        """The network must not go on where nothing more may be spent, and may where the day is a new one, or the provider is free:
        where it is about to move between such a one and another, it sleeps before, and wakes after.
        """
        network = self.members.get("network")
        if network is None or network.given is None:
            return
        reason = max(barred(name, exhausted) for name in (network.given["provider"], provider.name))
        if network.given["exhausted"] != reason and self.order("network", Order(0, BUDGET, {"exhausted": reason})):
            network.given["exhausted"] = reason

    def _order_stop(self, name: str) -> None:
        self._send(self.members[name], Order(0, STOP, {}))

    # lives -----------------------------------------------------------------------------------------------------------

    def feed(self, member: Member, event: Event) -> None:
        """One event of a child's life and what follows from it."""
        before, pid = member.state, member.pid
        actions = member.feed(event, time.monotonic())
        if Action.SPAWN in actions and member.child is not None:
            self._poller.watch(member.child.pidfd)
            self._poller.watch(member.child.output_fd)
            self._say(log.DEBUG, member.name, f"started, pid {member.child.pid}")
            member.settle(self._head.world(), time.monotonic())
        if Action.KILL in actions and event is Event.DUE:
            what = "does not stop" if member.state is State.STOPPING or member.life.blameless else "hangs"
            self._say(log.WARNING, member.name, f"{what}; killing it", event="hangs")
        if member.state is not before or member.pid != pid:
            self._head.changed(member, "")
        if Action.SPAWN in actions and member.child is None:
            self._gone(member, member.failure.message if member.failure else "")

    @property
    def deadlines(self) -> Iterable[float | None]:
        return (member.life.deadline_s for member in self.members.values())

    def keep_time(self, now_s: float) -> None:
        for member in list(self.members.values()):
            if member.life.deadline_s is not None and member.life.deadline_s <= now_s:
                self.feed(member, Event.DUE)

    def excuse(self) -> None:
        """We were stopped, or the machine slept: what the children said meanwhile may still be on its way to us."""
        for member in self.members.values():
            member.excuse(time.monotonic())

    def hear(self) -> None:
        """Takes in what the children say."""
        while True:
            try:
                heard = self._family.next()
            except MessageMalformed as error:
                self._say(log.WARNING, log.SELF, str(error))
                continue
            if heard is None:
                return
            name, pid, message = heard
            member = self.members.get(name)
            if member is not None and member.pid == pid:
                self._take(member, self._say.cleaned(message))

    def _take(self, member: Member, message: Message) -> None:
        if not member.connected:
            member.connected = True
            self._say(log.DEBUG, member.name, "first sign of life")
            self.tell_level()
            if member.outdated(world := self._head.world()):
                self.configure(member, world)
        if isinstance(message, Ready):
            member.detail, member.begun = message.detail, True
        self.feed(member, Event.READIED if isinstance(message, Ready) else Event.SPOKE)
        if isinstance(message, Log):
            self._say(message.level, member.name, message.text)
        else:
            self._head.heard(member, message)

    def see(self, woken: set[object]) -> None:
        """What children printed, and who ended."""
        for member in list(self.members.values()):
            child = member.child
            if child is not None and child.output_fd in woken:
                self._read_output(member, child)
            if child is not None and child.pidfd in woken and (status := child.ended()) is not None:
                self._bury(member, child, status)

    def _read_output(self, member: Member, child: Spawned) -> None:
        lines, child.output_open = child.printed()
        for line in lines:
            member.last_line = self._say.without_secrets(line)
            self._say(log.DEBUG, member.name, line)
        if not child.output_open:
            self._poller.forget(child.output_fd)

    def _bury(self, member: Member, child: Spawned, status: int) -> None:
        if status > 0 and member.failure is None and not self.stopping:
            self._await_last_words(member)
        if child.output_open:
            self._read_output(member, child)
        if child.output_open:
            self._poller.forget(child.output_fd)
        self._poller.forget(child.pidfd)
        if status == ResourcesShort.exit_status and member.failure is None:  # it could not even open the socket to say so
            member.failure = Failed(ResourcesShort.code, member.last_line)
        member.reap()
        self._gone(member, _reason(member, status))

    def _gone(self, member: Member, reason: str) -> None:
        member.feed(Event.LOST if member.lacks_something else Event.DIED, time.monotonic())
        self._head.changed(member, reason)
        self._head.died(member, reason)
        self._ended(member)

    def tell_death(self, member: Member, reason: str) -> None:
        """To the log, unless it was meant to end."""
        life = member.life
        if life.state is State.GIVEN_UP:
            self._say(log.ERROR, member.name, given_up(member, reason), event="given_up")
        elif life.state is State.BACKOFF and life.blameless:
            self._say(log.INFO, member.name, "starting anew, as asked")
        elif life.state is State.BACKOFF:
            wait_s = max(0.0, (life.deadline_s or 0.0) - time.monotonic())
            # A headset may be away for a day: that it still is is no news.
            level = log.DEBUG if reason == member.told else log.WARNING
            member.told = reason if member.lacks_something else ""
            again = "starting it again" + (f" in {wait_s:.1f} s" if wait_s >= 0.05 else "")
            self._say(level, member.name, f"died: {reason}; {again}", event="died")

    def _await_last_words(self, member: Member) -> None:
        ears = Poller()
        ears.watch(self._family.socket)
        until_s = time.monotonic() + _LAST_WORDS_MS / 1000
        while member.failure is None and (left_s := until_s - time.monotonic()) > 0:
            ears.wait(left_s * 1000)
            self.hear()

    # the end ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        self.stopping = True
        for member in self.members.values():
            self.feed(member, Event.STOP)

    @property
    def gone(self) -> bool:
        return all(member.state is State.STOPPED for member in self.members.values())

    def kill(self) -> None:
        for member in self.members.values():
            if member.child is not None:
                member.child.signal(signal.SIGKILL)

    def kill_and_reap(self) -> None:
        """Leaves no process behind."""
        self.kill()
        for member in self.members.values():
            if member.child is not None:
                member.reap()


def given_up(member: Member, reason: str) -> str:
    """For people: that one is tried no more, and the way out."""
    return f"given up after {member.life.restarts} restarts: {reason}; mend it, then `voicectl restart {member.name}`"


def _reason(member: Member, status: int) -> str:
    if member.failure is not None:
        return member.failure.message
    return ending(status) + (f", {member.last_line}" if status > 0 and member.last_line else "")
