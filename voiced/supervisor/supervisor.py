"""The poll loop that starts the processes, watches them, serves control, and ends it all: wiring, no policy."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from voiced import __version__
from voiced.bus import CONTROL, EVENTS, FAMILY, Bus, Family, Poller
from voiced.child import PACE
from voiced.ends import EventStream, Requests
from voiced.errors import BY_CODE, BooksIncomplete, ChildDied, InternalError, VoicedError
from voiced.messages import Answer, Failed, Heartbeat, Message, Order, Publish, Ready, Refusal
from voiced.secret import secret_variables
from voiced.supervisor import log
from voiced.supervisor.books import Books
from voiced.supervisor.commands import Commands
from voiced.supervisor.earcons import MUTED, Earcons
from voiced.supervisor.home import Home
from voiced.supervisor.household import Household, given_up
from voiced.supervisor.instruments import Instruments
from voiced.supervisor.member import Member
from voiced.supervisor.policy import State
from voiced.supervisor.processes import PUSH_TO_TALK, VOLUME, Row, World, apart
from voiced.supervisor.provider import Provider
from voiced.supervisor.runtime import RuntimeDirectory
from voiced.supervisor.server import ControlServer, Doors, EventServer
from voiced.supervisor.service import Service
from voiced.supervisor.settings import Settings
from voiced.supervisor.signals import SignalPipe
from voiced.supervisor.spawn import child_environment, figures
from voiced.supervisor.status import Emission, Status

#: Waking this much later than asked is no delay of a busy machine any more.
_OVERSLEPT_S = 0.5
_LONGEST_WAIT_MS = 60_000.0
#: Orders: the microphone is let in, or not until the wake word; a short sound; the end of a duck.
EARS, EARCON, RAISE = "ears", "earcon", "raise"
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_ASK_SIGNAL = signal.SIGUSR1
_METERED = ("capture", "playback")
#: The conversation's own comings and goings are for events, not for a log.
_LOGGED_STATES = ("connecting", "offline", "failed", "muted", "asleep")
_NOBODY_ANSWERS = '{"error": "no script is listening for tool calls"}'


class Supervisor:
    """The daemon, from the first child's start to the last one's end. The runtime directory must be held."""

    def __init__(
        self,
        settings: Settings,
        table: Callable[[Provider], Iterable[Row]],
        directory: RuntimeDirectory,
        books: Books,
        say: log.Log,
        env: Mapping[str, str],
        started_s: float | None = None,
    ) -> None:
        self._settings, self._table, self._books, self._say = settings, table, books, say
        self._started_s = time.monotonic() if started_s is None else started_s
        self._token = os.urandom(24).hex()
        say.hide(self._token)
        self._service = Service(env, lambda: self._status.snapshot(self._now(), {}, {}))
        self._was_ready = False
        self._fatal: VoicedError | None = None
        self._status_changed = False
        self._metered = False  # somebody looks at `level` events
        self._earcons = Earcons()
        self._ears_open: bool | None = None  # None: no wake word is waited for

        self._poller = Poller()
        self._bus = Bus(directory.path)
        self._home = Home(directory, self._bus)
        books.heed(lambda complaint: self._tell(BooksIncomplete(complaint)) if complaint else None)
        family = Family(self._bus.bind(FAMILY))
        self._requests = Requests(self._bus.bind(CONTROL))
        stream = EventStream(self._bus.bind(EVENTS))
        for socket in (self._requests.socket, stream.socket):
            self._poller.watch(socket)

        now = settings.now
        self._child_env = child_environment(env, directory.path, secret_variables(now.config))
        self._household = Household(self, family, self._poller, self._child_env, say)
        self._instruments = Instruments(self._poller, books.directory, self._snapshot, self._household.flights, say)
        self._status = Status(now.provider, now.config["turn.mode"], now.profile, version=__version__, pid=os.getpid(), now_s=self._now())
        commands = Commands(settings, self._household, books, self._status, self._snapshot, self._apply, self._stop)
        self._control = ControlServer(
            self._requests, commands.serve, self._household.order, commands.finish, lambda line: self._say(log.ERROR, log.SELF, line)
        )
        self._events = EventServer(stream, self._snapshot, self._warn)
        self._doors = Doors(self._bus, self._poller, self._requests, stream, self._warn)

    # the loop --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Runs until told to stop. Raises what kept the daemon from starting. Leaves no process behind, whatever happens."""
        signals = SignalPipe((*_END_SIGNALS, _ASK_SIGNAL))
        self._poller.watch(signals.reader)
        told_muted = self._status.muted
        try:
            self._tell_settings()
            self._instruments.configure(self._settings.now.config)
            self._account(self._books.turn_page(time.time()))
            self._household.man(self._rows())
            while not (self._household.stopping and self._household.gone):
                asleep_until_s = self._now() + (patience_ms := self._patience_ms()) / 1000
                woken = self._poller.wait(patience_ms)
                for number in signals.read():
                    self._signalled(number)
                self._household.hear()
                self._household.see(woken)
                self._doors.look()
                self._control.receive(self._now())
                self._events.receive()
                self._instruments.see(woken, self._now())
                self._set_pace()
                if self._now() > asleep_until_s + _OVERSLEPT_S:  # it may have been in the middle of this that we were stopped
                    self._household.excuse()
                self._keep_time()
                if self._status_changed or self._status.muted != told_muted:
                    if self._status.muted and not told_muted:
                        self._sound(MUTED)
                    if self._status.answering in ("", self._settings.now.provider.name):
                        self._household.dismiss_unwanted()  # a server that the network does without by now
                    self._status_changed, told_muted = False, self._status.muted
                    self._events.publish_status()
        finally:
            self._household.kill_and_reap()
            signals.close()
            self._instruments.close()
            self._home.close()
            self._requests.socket.close(linger=200)  # the answer to `shutdown` may still be on its way
            self._bus.close()
        if self._fatal is not None:
            raise self._fatal

    def _patience_ms(self) -> float:
        others = (self._control.deadline_s, self._service.deadline_s, self._earcons.due_s, self._home.deadline_s)
        deadlines = [*self._household.deadlines, *self._instruments.deadlines, *others]
        earliest_s = min(deadline for deadline in deadlines if deadline is not None)
        return min(_LONGEST_WAIT_MS, (earliest_s - self._now()) * 1000)

    def _keep_time(self) -> None:
        """Everything that is due."""
        now_s = self._now()
        self._household.keep_time(now_s)
        for trouble in self._home.keep_time(now_s):
            self._tell(trouble)
        self._control.expire(now_s)
        self._instruments.keep_time(now_s)
        self._sound(self._earcons.take(now_s))
        if self._books.day_is_over(time.time()):
            self._account(self._books.turn_page(time.time()))
        if complaint := self._service.keep_time(now_s):
            self._say(log.ERROR, log.SELF, f"systemd's watchdog is not fed any more, so that it starts voiced anew: {complaint}")

    # what children say -----------------------------------------------------------------------------------------------

    def world(self) -> World:
        config, provider, mcp = self._settings.now
        return World(
            config,
            provider,
            self._say.level,
            self._token,
            self._status.muted,
            self._household.details(),
            mcp,
            self._books.history,
            self._books.exhausted,
            self._books.record_dir,
            self._was_ready or self._service.unattended,
            self._status.volume,
        )

    def heard(self, member: Member, message: Message) -> None:
        name = member.name
        match message:
            case Ready(detail):
                self._emit(self._status.ready(name, detail))
                self._became_ready(member)
                self._check_ready()
            case Heartbeat(stats):
                self._emit(self._status.beat(name, stats))
                self._service.beat(name, stats, self._now())
                if self._metered and name == self._status.metering:
                    self._events.publish("level", self._status.levels())
            case Publish(topic, data):
                self._published(member, topic, data)
            case Answer():
                self._emit(self._status.answered(name, message.result))
                self._control.take(message)
            case Refusal():
                self._control.take(message)
            case Failed():
                self._take_failure(member, message)
            case _:
                self._say(log.WARNING, name, f"sent a {type(message).__name__}, which is not for the supervisor")

    def changed(self, member: Member, reason: str) -> None:
        self._service.changed(member.name, member.state, reason, self._now())
        self._emit(self._status.process(member.name, member.state, member.pid, member.life.restarts, reason, self._now()))

    def _published(self, member: Member, topic: str, data: dict[str, Any]) -> None:
        name = member.name
        match topic:
            case "state" if data["state"] == "offline":
                member.begun = True
            case "ears":
                self._ears_open = data["open"]
                self._order("capture", EARS, open=data["open"])
            case "spent":
                self._account(self._books.spent(data, time.time()))
            case "turn":
                self._books.said(data, time.time())
                if self._settings.now.config["log.content"]:
                    self._say(log.INFO, name, f"{data['role']}: {data['text']}", event="turn")
            case "transcript.assistant":
                self._books.saying(data)
            # Whoever follows all events, as a log does, answers none.
            case "tool.call" if not self._events.wanted(topic, by_name="tool"):
                self._order(name, "tool_result", call_id=data["call_id"], output=_NOBODY_ANSWERS)
            case "tool.approval" if not self._events.wanted(topic, by_name="tool"):
                from shlex import quote  # 3 ms

                answer = f"voicectl approve {quote(data['approval_id'])}"
                self._say(log.WARNING, name, f"{data['server']} asks whether it may {data['name']}: {answer}")
        self._emit(self._status.published(name, topic, data))
        self._check_ready()

    def _became_ready(self, member: Member) -> None:
        self._say(log.DEBUG, member.name, "ready", event="ready")
        if self._metered and member.name in _METERED:
            self._order_pace(member.name)
        if member.name == "capture" and self._ears_open is not None:
            self._order(member.name, EARS, open=self._ears_open)
        for command, args in member.missed(self.world()):
            self._order(member.name, command, **args)
        self._household.settle()
        self._household.tell_budget(self._settings.now.provider, self._books.exhausted)
        self._status_changed = True

    def _check_ready(self) -> None:
        if self._was_ready or not self._status.all_ready:
            return
        self._was_ready = True
        devices = [next(iter(self._status.devices_in_use(direction)), "none") for direction in ("input", "output")]
        self._say(log.INFO, log.SELF, "microphone: {}; loudspeaker: {}".format(*devices))
        took_s = self._now() - self._started_s
        advice = "speak; speak again to interrupt; Ctrl-C ends; see `voicectl --help`"
        self._say(log.INFO, log.SELF, f"ready after {took_s:.2f} s: {advice}", event="ready")
        self._service.ready(self._now())

    def _take_failure(self, member: Member, failure: Failed) -> None:
        member.failure = failure
        fatal = BY_CODE.get(failure.code, InternalError).fatal
        if self._is_first_start(member) and fatal:
            self._fail_to_start(failure)
        else:
            level = log.DEBUG if failure.message == member.told else log.ERROR
            self._say(level, member.name, failure.message, event="failed", code=failure.code)
        self._emit(self._status.failed(member.name, failure.code, failure.message, fatal=fatal))

    def died(self, member: Member, reason: str) -> None:
        self._control.died(member.name)
        if member.name == "capture":
            self._order("playback", RAISE)
        if self._is_first_start(member) and not self._household.stopping and member.state is State.BACKOFF and not member.life.blameless:
            self._fail_to_start(member.failure or Failed(ChildDied.code, f"the {member.name} process died while starting: {reason}"))
        else:
            self._household.tell_death(member, reason)
            self._instruments.died(member, reason, self._now())
        if member.state is State.GIVEN_UP:
            message = f"the {member.name} process is {given_up(member, reason)}"
            self._emit([("error", {"code": ChildDied.code, "message": message, "fatal": True})])

    def _is_first_start(self, member: Member) -> bool:
        """Whether a failure is best told by the daemon's end, to somebody who has just started it and looks on."""
        return not (self._was_ready or member.begun)

    def dismissed(self, member: Member) -> None:
        self._service.dismissed(member.name)
        self._emit(self._status.dismissed(member.name))

    # settings that change --------------------------------------------------------------------------------------------

    def _tell_settings(self) -> None:
        now = self._settings.now
        for secret in now.secrets:
            self._say.hide(secret)
        self._say(log.INFO, log.SELF, now.provider.describe() + (f", by the profile {now.profile}" if now.profile else ""))
        for warning in self._settings.warnings():
            self._say(log.WARNING, log.SELF, warning)

    def _apply(self, changed: list[str]) -> None:
        """Goes by the settings of now, as far as that needs no restart."""
        config, provider, _ = self._settings.now
        self._tell_settings()
        for variable in secret_variables(config):
            self._child_env.pop(variable, None)
        self._say.level = self._settings.level
        self._household.tell_level()
        self._say(log.INFO, log.SELF, "changed: " + (", ".join(changed) or "nothing"), event="settings")
        self._emit(self._status.reconfigured(provider, config["turn.mode"], self._settings.now.profile))
        if "audio.playback.volume" in changed:
            self._status.volume = None  # whatever was chosen before
            self._order("playback", VOLUME, level=config["audio.playback.volume"])
        if "turn.mode" in changed:
            self._order("capture", PUSH_TO_TALK, on=config["turn.mode"] == "push_to_talk")
        self._instruments.configure(config)
        if "wake.word" in changed:
            self._household.renew("capture")
        self._account(self._books.configure(config, time.time()))
        self._status_changed = True
        self._household.man(self._rows())
        self._household.settle(anew=True)
        self._household.tell_budget(self._settings.now.provider, self._books.exhausted)

    def _rows(self) -> list[Row]:
        """The processes of the settings of now."""
        return [*self._table(self._settings.now.provider), *apart(self._settings.now.config)]

    def _account(self, emissions: Iterable[Emission]) -> None:
        """What the ledger has to say."""
        for topic, data in (emissions := list(emissions)):
            if topic == "error":
                self._say(log.WARNING, log.SELF, data["message"])
        self._emit(emissions)
        self._household.tell_budget(self._settings.now.provider, self._books.exhausted)

    # the end ---------------------------------------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if number == _ASK_SIGNAL:
            self._instruments.asked(self._now())
        elif self._household.stopping:
            self._household.kill()  # asked twice
        else:
            self._stop(signal.Signals(number).name)

    def _fail_to_start(self, failure: Failed) -> None:
        if self._fatal is None:
            self._fatal = BY_CODE.get(failure.code, InternalError)(failure.message)
            self._stop()

    def _stop(self, why: str = "") -> None:
        if why:
            self._say(log.INFO, log.SELF, f"stopping ({why})", event="stopping")
        self._service.stopping(self._fatal.message if self._fatal else "")
        self._household.stop()

    # control and events ----------------------------------------------------------------------------------------------

    def _set_pace(self) -> None:
        """Lets the processes of sound beat ten times a second while anybody looks at their levels."""
        if self._events.wanted("level") != self._metered:
            self._metered = not self._metered
            for name in _METERED:
                self._order_pace(name)

    def _order_pace(self, name: str) -> None:
        self._order(name, PACE, beats_per_s=10 if self._metered else 2)

    def _order(self, name: str, command: str, /, **args: Any) -> bool:
        """An order whose answer nobody waits for."""
        return self._household.order(name, Order(0, command, args))

    def _sound(self, earcon: str | None) -> None:
        if earcon is not None and self._settings.now.config["audio.earcons"]:
            self._order("playback", EARCON, name=earcon)

    def _snapshot(self) -> dict[str, Any]:
        used = {pid: figures(pid) for pid in self._status.pids()}
        of_all = self._status.snapshot(self._now(), used, self._books.usage(time.time()))
        return of_all | {"events": self._events.figures, "troubles": [*self._home.troubles, *self._books.troubles]}

    def _tell(self, trouble: VoicedError) -> None:
        """What of the machine's is wrong, or was put right: a line and an event."""
        self._warn(trouble.message)
        self._emit([("error", {"code": trouble.code, "message": trouble.message, "fatal": False})])

    def _warn(self, line: str) -> None:
        self._say(log.WARNING, log.SELF, line)

    def _emit(self, emissions: Iterable[Emission]) -> None:
        for topic, data in emissions:
            self._events.publish(topic, data)
            self._instruments.count(topic, data)
            self._sound(self._earcons.due(topic, data, self._now()))
            self._status_changed |= topic in ("state", "process", "session")
            if topic == "state":
                level = log.INFO if data["state"] in _LOGGED_STATES and not self._household.stopping else log.DEBUG
                self._say(level, log.SELF, data["state"], event="state")
            elif topic == "flush" and data.get("latency_ms") is not None:
                self._say(log.INFO, log.SELF, f"interrupted; silent after {data['latency_ms']:.1f} ms", event="flush")

    def _now(self) -> float:
        return time.monotonic()
