"""One process of ours: its row in the table, its life, and the child that lives it."""

import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from voiced.errors import BY_CODE, InternalError, MachineError, ResourcesShort
from voiced.flight import Ring
from voiced.messages import Failed
from voiced.supervisor.policy import Action, Event, Lifecycle, State
from voiced.supervisor.processes import OF_THE_MOMENT, PUSH_TO_TALK, VOLUME, Row, World
from voiced.supervisor.spawn import Spawned, without_proxies

#: The argument of the order that changes a setting.
_BY_ORDER = {PUSH_TO_TALK: "on", VOLUME: "level"}


class Member:
    """Feeds the lifecycle and does what it says. `ask` sends the order to stop."""

    def __init__(self, row: Row, env: Mapping[str, str], ask: Callable[[str], None]) -> None:
        self.row = row
        self.life = Lifecycle(row.limits)
        self.child: Spawned | None = None
        #: What it, or the last that lived it, said on the bus lately.
        self.flight: Ring | None = None
        #: Why it can't go on, in its own words.
        self.failure: Failed | None = None
        self.last_line = ""
        #: What the log has about its being unable to go on.
        self.told = ""
        #: It has said something: it listens to orders.
        self.connected = False
        #: The settings that it goes by, once it has them.
        self.given: dict[str, Any] | None = None
        #: What it told of itself when it was ready.
        self.detail: Mapping[str, Any] | None = None
        #: Its first start is behind it: it was ready, or could not reach its server, or somebody changed the settings meanwhile.
        self.begun = False
        self._env = env
        self._ask = ask

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def state(self) -> State:
        return self.life.state

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child else None

    @property
    def lacks_something(self) -> bool:
        """It went because the machine could not give it what it needs, a device or the sound server: that may come back."""
        return self.failure is not None and issubclass(BY_CODE.get(self.failure.code, InternalError), MachineError)

    def feed(self, event: Event, now_s: float) -> tuple[Action, ...]:
        actions = self.life.handle(event, now_s)
        for action in actions:
            self._do(action)
        return actions

    def settle(self, world: World, now_s: float) -> None:
        """Hands a new child its settings, once they are known."""
        if self.child is None or self.given is not None or self.state is not State.STARTING:
            return
        settings = self.row.settings(world)
        if settings is None:
            self.feed(Event.HELD, now_s)
            return
        self.given = settings
        self.child.send_settings(settings)
        self.feed(Event.SPOKE, now_s)

    def take(self, settings: dict[str, Any]) -> None:
        """Goes by these from now on; what is of the moment reaches it in other ways."""
        moment = {name: value for name, value in (self.given or {}).items() if name in OF_THE_MOMENT}
        self.given = settings | moment

    def outdated(self, world: World) -> bool:
        """Whether it goes by other settings than it would be started with now, and stays."""
        if self.given is None or self.life.blameless:
            return False
        settings = self.row.settings(world)
        return settings is not None and _lasting(settings) != _lasting(self.given)

    def missed(self, world: World) -> Iterator[tuple[str, dict[str, Any]]]:
        """Orders, with their arguments, for what changed while it loaded and did not hear them."""
        now, given = self.row.settings(world) or {}, self.given or {}
        for command, arg in _BY_ORDER.items():
            if command in now and command in given and now[command] != given[command]:
                yield command, {arg: now[command]}

    def excuse(self, now_s: float) -> None:
        """Its silence is our fault. One without a deadline is held or being killed: nobody waits for it to speak."""
        if self.state in (State.STARTING, State.READY) and self.life.deadline_s is not None:
            self.feed(Event.SPOKE, now_s)

    def _do(self, action: Action) -> None:
        if action is Action.SPAWN:
            self.failure, self.last_line = None, ""
            self.connected, self.given, self.detail = False, None, None
            try:
                self.child = Spawned(self.row.module, self._env if self.row.online else without_proxies(self._env))
            except OSError as error:  # no descriptor, process or memory left; `failure` says so, and the head has it tried again
                short = ResourcesShort(f"can't start the {self.name} process: {error.strerror}; it is tried again")
                self.failure = Failed(short.code, short.message)
            else:
                self.flight = self.child.flight
        elif action is Action.ASK:
            self._ask(self.name)
        elif self.child is not None:
            self.child.signal(signal.SIGTERM if action is Action.TERMINATE else signal.SIGKILL)

    def reap(self) -> None:
        if self.child is not None:
            self.child.reap()
            self.child = None
            self.connected, self.given, self.detail = False, None, None


def _lasting(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in OF_THE_MOMENT}
