"""The poll loop that starts the processes, watches them, serves control, and ends it all: wiring, no policy."""

import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from voiced import __version__, control
from voiced.bus import CONTROL, EVENTS, FAMILY, Bus, EventStream, Family, Poller, Requests
from voiced.child import PACE, STOP
from voiced.config import Config
from voiced.errors import BY_CODE, ChildDied, InternalControlError, InternalError, VoicedError
from voiced.messages import Answer, Failed, Heartbeat, Log, Message, MessageMalformed, Order, Publish, Ready, Refusal
from voiced.supervisor import log
from voiced.supervisor.member import Member
from voiced.supervisor.notify import Notifier
from voiced.supervisor.policy import Action, Event, State
from voiced.supervisor.processes import Row, World
from voiced.supervisor.provider import Provider
from voiced.supervisor.server import ControlServer, EventServer
from voiced.supervisor.signals import SignalPipe
from voiced.supervisor.spawn import Spawned, child_environment, ending, figures
from voiced.supervisor.status import Emission, Status

SELF = "voiced"
#: A child that fails says why right before it ends, on a socket that is read by another thread than sees the end.
_LAST_WORDS_MS = 100
#: Waking this much later than asked is no delay of a busy machine any more.
_OVERSLEPT_S = 0.5
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_METERED = ("capture", "playback")
#: The conversation's own comings and goings are for events, not for a log.
_LOGGED_STATES = ("connecting", "offline", "failed", "muted", "asleep")


class Supervisor:
    """The daemon, from the first child's start to the last one's end. The runtime directory must be held."""

    def __init__(
        self,
        config: Config,
        provider: Provider,
        rows: Iterable[Row],
        directory: Path,
        say: log.Log,
        env: Mapping[str, str],
        started_s: float | None = None,
    ) -> None:
        self._config, self._provider, self._say = config, provider, say
        self._started_s = time.monotonic() if started_s is None else started_s
        self._token = os.urandom(24).hex()
        say.hide(self._token)
        self._details: dict[str, Mapping[str, Any]] = {}
        self._notify = Notifier(env)
        self._next_ping_s = 0.0 if self._notify.watchdog_s else float("inf")
        self._was_ready = self._stopping = False
        self._fatal: VoicedError | None = None
        self._status_changed = False
        self._metered = False  # somebody looks at `level` events

        self._poller = Poller()
        self._bus = Bus(directory)
        self._family = Family(self._bus.bind(FAMILY))
        self._requests = Requests(self._bus.bind(CONTROL))
        stream = EventStream(self._bus.bind(EVENTS))
        for socket in (self._family.socket, self._requests.socket, stream.socket):
            self._poller.watch(socket)

        child_env = child_environment(env, directory, config["realtime.api_key_env"])
        self._members = {row.name: Member(row, child_env, self._order_stop) for row in rows}
        self._status = Status(provider, version=__version__, pid=os.getpid(), now_s=self._now(), names=self._members)
        self._control = ControlServer(
            self._requests, self._serve, self._forward, self._finish, lambda line: self._say(log.ERROR, SELF, line)
        )
        self._events = EventServer(stream, self._snapshot)

    # the loop --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Runs until told to stop. Raises what kept the daemon from starting. Leaves no process behind, whatever happens."""
        signals = SignalPipe(_END_SIGNALS)
        self._poller.watch(signals.reader)
        self._say(log.INFO, SELF, self._provider.describe())
        told_muted = self._status.muted
        try:
            for member in self._members.values():
                self._feed(member, Event.START)
            while not self._finished():
                asleep_until_s = self._now() + (patience_ms := self._patience_ms()) / 1000
                woken = self._poller.wait(patience_ms)
                if self._now() > asleep_until_s + _OVERSLEPT_S:
                    self._excuse_children()
                for number in signals.read():
                    self._signalled(number)
                self._hear_children()
                self._see_children(woken)
                self._control.receive(self._now())
                self._events.receive()
                self._set_pace()
                self._keep_time()
                if self._status_changed or self._status.muted != told_muted:
                    self._status_changed, told_muted = False, self._status.muted
                    self._events.publish_status()
        finally:
            self._kill_all()
            signals.close()
            self._requests.socket.close(linger=200)  # the answer to `shutdown` may still be on its way
            self._bus.close()
        if self._fatal is not None:
            raise self._fatal

    def _patience_ms(self) -> float:
        deadlines = [member.life.deadline_s for member in self._members.values()]
        deadlines += [self._control.deadline_s, self._next_ping_s]
        earliest = min(deadline for deadline in deadlines if deadline is not None)
        return min(60_000.0, (earliest - self._now()) * 1000)

    def _excuse_children(self) -> None:
        """We were stopped, or the machine slept: what the children said meanwhile may still be on its way to us."""
        for member in self._members.values():
            member.excuse(self._now())

    def _keep_time(self) -> None:
        """Everything that is due."""
        now_s = self._now()
        for member in self._members.values():
            if member.life.deadline_s is not None and member.life.deadline_s <= now_s:
                self._feed(member, Event.DUE)
        self._control.expire(now_s)
        if now_s >= self._next_ping_s and self._notify.watchdog_s:
            self._next_ping_s = now_s + self._notify.watchdog_s
            self._notify.tell(WATCHDOG="1")

    # children --------------------------------------------------------------------------------------------------------

    def _feed(self, member: Member, event: Event) -> None:
        """One event of a child's life and what follows from it."""
        before, pid = member.state, member.pid
        actions = member.feed(event, self._now())
        if Action.SPAWN in actions and member.child is not None:
            self._poller.watch(member.child.pidfd)
            self._poller.watch(member.child.output_fd)
            self._say(log.DEBUG, member.name, f"started, pid {member.child.pid}")
            member.settle(self._world(), self._now())
        if Action.KILL in actions and event is Event.DUE:
            what = "does not stop" if self._stopping else "hangs"
            self._say(log.WARNING, member.name, f"{what}; killing it")
        if member.state is not before or member.pid != pid:
            self._announce(member, "")

    def _announce(self, member: Member, reason: str) -> None:
        self._emit(self._status.process(member.name, member.state, member.pid, member.life.restarts, reason, self._now()))

    def _hear_children(self) -> None:
        while True:
            try:
                heard = self._family.next()
            except MessageMalformed as error:
                self._say(log.WARNING, SELF, str(error))
                continue
            if heard is None:
                return
            name, pid, message = heard
            member = self._members.get(name)
            if member is not None and member.pid == pid:
                self._hear(member, self._say.cleaned(message))

    def _hear(self, member: Member, message: Message) -> None:
        if not member.connected:
            member.connected = True
            self._say(log.DEBUG, member.name, "first sign of life")
        self._feed(member, Event.READIED if isinstance(message, Ready) else Event.SPOKE)
        name = member.name
        match message:
            case Ready(detail):
                self._emit(self._status.ready(name, detail))
                self._became_ready(member, detail)
            case Heartbeat(stats):
                self._emit(self._status.beat(name, stats))
                if self._metered and name == "capture":
                    self._events.publish("level", self._status.levels())
            case Publish(topic, data):
                self._emit(self._status.published(name, topic, data))
            case Answer():
                self._emit(self._status.answered(name, message.result))
                self._control.take(message)
            case Refusal():
                self._control.take(message)
            case Log(level, text):
                self._say(level, name, text)
            case Failed():
                self._take_failure(member, message)
            case _:
                self._say(log.WARNING, name, f"sent a {type(message).__name__}, which is not for the supervisor")

    def _became_ready(self, member: Member, detail: Mapping[str, Any]) -> None:
        self._say(log.DEBUG, member.name, "ready")
        self._details[member.name] = detail
        if self._metered and member.name in _METERED:
            self._order_pace(member.name)
        for other in self._members.values():
            other.settle(self._world(), self._now())
        if not self._was_ready and self._status.all_ready:
            self._was_ready = True
            devices = [self._status.device_in_use(direction) or "none" for direction in ("input", "output")]
            self._say(log.INFO, SELF, "microphone: {}; loudspeaker: {}".format(*devices))
            took_s = self._now() - self._started_s
            self._say(log.INFO, SELF, f"ready after {took_s:.2f} s: speak; speak again to interrupt; Ctrl-C ends; see `voicectl --help`")
            self._notify.tell(READY="1", STATUS=self._status.state)

    def _take_failure(self, member: Member, failure: Failed) -> None:
        member.failure = failure
        fatal = BY_CODE.get(failure.code, InternalError).fatal
        if not self._was_ready and fatal:
            self._fail_to_start(failure)
        else:
            self._say(log.DEBUG if failure.message == member.told else log.ERROR, member.name, failure.message)
        self._emit(self._status.failed(member.name, failure.code, failure.message, fatal=fatal))

    def _see_children(self, woken: set[object]) -> None:
        """What children printed, and who ended."""
        for member in self._members.values():
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
        if status > 0 and member.failure is None and not self._stopping:
            self._await_last_words(member)
        if child.output_open:
            self._read_output(member, child)
        if child.output_open:
            self._poller.forget(child.output_fd)
        self._poller.forget(child.pidfd)
        member.reap()
        self._details.pop(member.name, None)
        self._control.died(member.name)
        member.feed(Event.LOST if member.lacks_something else Event.DIED, self._now())
        reason = _reason(member, status)
        self._announce(member, reason)
        if self._stopping:
            return
        if not self._was_ready and member.state is State.BACKOFF and not member.life.blameless:
            self._fail_to_start(member.failure or Failed(ChildDied.code, f"the {member.name} process died while starting: {reason}"))
            return
        self._tell_death(member, reason)
        for other in self._members.values():
            if other.row.depends_on == member.name and other.has_settings and other.child is not None:
                self._feed(other, Event.REPLACE)

    def _await_last_words(self, member: Member) -> None:
        ears = Poller()
        ears.watch(self._family.socket)
        until_s = self._now() + _LAST_WORDS_MS / 1000
        while member.failure is None and (left_s := until_s - self._now()) > 0:
            ears.wait(left_s * 1000)
            self._hear_children()

    def _tell_death(self, member: Member, reason: str) -> None:
        life = member.life
        if life.state is State.GIVEN_UP:
            self._say(log.ERROR, member.name, f"given up after {life.restarts} restarts: {reason}; mend it, then start voiced anew")
        elif life.blameless:
            self._say(log.INFO, member.name, f"starting anew, for {member.row.depends_on} has a new address")
        else:
            wait_s = max(0.0, (life.deadline_s or 0.0) - self._now())
            # A headset may be away for a day: that it still is is no news.
            level = log.DEBUG if reason == member.told else log.WARNING
            member.told = reason if member.lacks_something else ""
            self._say(level, member.name, f"died: {reason}; starting it again" + (f" in {wait_s:.1f} s" if wait_s >= 0.05 else ""))

    def _world(self) -> World:
        return World(self._config, self._provider, self._say.level, self._token, self._status.muted, self._details)

    # the end ---------------------------------------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if self._stopping:
            self._kill_children()  # asked twice
        else:
            self._say(log.INFO, SELF, f"stopping ({signal.Signals(number).name})")
            self._stop()

    def _fail_to_start(self, failure: Failed) -> None:
        if self._fatal is None:
            self._fatal = BY_CODE.get(failure.code, InternalError)(failure.message)
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._notify.tell(STOPPING="1")
        for member in self._members.values():
            self._feed(member, Event.STOP)

    def _finished(self) -> bool:
        return self._stopping and all(member.state is State.STOPPED for member in self._members.values())

    def _order_stop(self, name: str) -> None:
        self._order(name, Order(0, STOP, {}))

    def _kill_children(self) -> None:
        for member in self._members.values():
            if member.child is not None:
                member.child.signal(signal.SIGKILL)

    def _kill_all(self) -> None:
        self._kill_children()
        for member in self._members.values():
            if member.child is not None:
                member.reap()

    # control and events ----------------------------------------------------------------------------------------------

    def _serve(self, command: str, args: dict[str, Any]) -> dict[str, Any]:
        match command:
            case "ping":
                return {"version": __version__, "pid": os.getpid(), "protocol": control.PROTOCOL}
            case "status":
                return self._snapshot()
            case "shutdown":
                if not self._stopping:
                    self._say(log.INFO, SELF, "stopping (voicectl shutdown)")
                    self._stop()
                return {"stopping": True}
            case "describe":
                return control.describe()
        raise InternalControlError(f"voiced does not know its own command {command}; please report this")

    def _forward(self, owner: str, order: Order) -> bool:
        member = self._members.get(owner)
        if member is None or not member.connected or member.state not in (State.STARTING, State.READY):
            return False
        self._order(owner, order)
        return True

    def _finish(self, command: str, result: dict[str, Any]) -> dict[str, Any]:
        """Capture lists the devices; which are open, playback knows for the other half."""
        if command == "devices":
            for direction in ("input", "output"):
                open_one = self._status.device_in_use(direction)
                for device in result.get(direction, []):
                    device["in_use"] = device.get("name") == open_one
        return result

    def _set_pace(self) -> None:
        """Lets the processes of sound beat ten times a second while anybody looks at their levels."""
        if self._events.wanted("level") != self._metered:
            self._metered = not self._metered
            for name in _METERED:
                self._order_pace(name)

    def _order_pace(self, name: str) -> None:
        self._order(name, Order(0, PACE, {"beats_per_s": 10 if self._metered else 2}))

    def _order(self, name: str, order: Order) -> None:
        if (pid := self._members[name].pid) is not None:
            self._family.send(name, pid, order)

    def _snapshot(self) -> dict[str, Any]:
        return self._status.snapshot(self._now(), {pid: figures(pid) for pid in self._status.pids()})

    def _emit(self, emissions: Iterable[Emission]) -> None:
        for topic, data in emissions:
            self._events.publish(topic, data)
            self._status_changed |= topic in ("state", "process", "session")
            if topic == "state":
                self._notify.tell(STATUS=data["state"])
                self._say(log.INFO if data["state"] in _LOGGED_STATES and not self._stopping else log.DEBUG, SELF, data["state"])
            elif topic == "flush" and data.get("latency_ms") is not None:
                self._say(log.INFO, SELF, f"interrupted; silent after {data['latency_ms']:.1f} ms")

    def _now(self) -> float:
        return time.monotonic()


def _reason(member: Member, status: int) -> str:
    if member.failure is not None:
        return member.failure.message
    return ending(status) + (f", {member.last_line}" if status > 0 and member.last_line else "")
