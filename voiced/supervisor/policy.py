"""When a process is started, given up, killed: its life as a state machine. Pure: all that affects a state is in here.

               START            READIED
    stopped ─────────► starting ───────► ready        a silence over the limit (DUE) kills either
       ▲                ▲  │ DIED         │ DIED
       │            DUE │  ▼              │
       │ STOP          backoff ◄──────────┘           after the last delay: given_up
       └── stopping ◄── STOP, from starting or ready; DUE there means SIGTERM, then SIGKILL

Alive is not ready: a process may stay `starting` for as long as it gives signs of life (a server that can't be reached),
and only one that was ready for `stable_s` gets its restarts back. LOST is a death that is never given up. REPLACE ends
one that runs, and starts one that waits or was given up at once.
"""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    GIVEN_UP = "given_up"


class Event(StrEnum):
    START = "start"
    HELD = "held"  # it waits for its settings, until it SPOKE: silence is no fault
    SPOKE = "spoke"  # any message
    READIED = "readied"
    DIED = "died"
    LOST = "lost"  # died, for want of a device, a sound server or of something else that may come back
    DUE = "due"  # the deadline has passed
    STOP = "stop"
    REPLACE = "replace"  # restart it: somebody asked for it, and it is not to blame


class Action(StrEnum):
    SPAWN = "spawn"
    ASK = "ask"  # order it to stop
    TERMINATE = "terminate"
    KILL = "kill"


class Limits(NamedTuple):
    #: Longest silence before it is ready. A cold start with a full disk cache to fill took 4 s on a small machine.
    silent_start_s: float = 15.0
    #: Longest silence after. Children beat twice a second.
    silent_s: float = 3.0
    #: Before the first restart, the second, ...; no more of them after the last.
    delays_s: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0)
    #: At most, for one that lacks a device, a sound server, memory or descriptors: what was missing may be there at any time.
    look_again_s: float = 2.0
    stable_s: float = 20.0
    #: After which the loss of a device is a new one and no flapping: nobody plugs faster.
    settled_s: float = 2.0
    #: From the order to stop to SIGTERM, and from there to SIGKILL: together well within the 2 s that a stop may take.
    terminate_after_s: float = 0.7
    kill_after_s: float = 0.5


_S, _E = State, Event
#: (state, event) -> next state. What is not in here is illegal and changes nothing.
NEXT: dict[tuple[State, Event], State] = {
    (_S.STOPPED, _E.START): _S.STARTING,
    (_S.STOPPED, _E.STOP): _S.STOPPED,
    (_S.STARTING, _E.HELD): _S.STARTING,
    (_S.STARTING, _E.SPOKE): _S.STARTING,
    (_S.STARTING, _E.READIED): _S.READY,
    (_S.STARTING, _E.DIED): _S.BACKOFF,
    (_S.STARTING, _E.LOST): _S.BACKOFF,
    (_S.STARTING, _E.DUE): _S.STARTING,
    (_S.STARTING, _E.STOP): _S.STOPPING,
    (_S.STARTING, _E.REPLACE): _S.STARTING,
    (_S.READY, _E.SPOKE): _S.READY,
    (_S.READY, _E.READIED): _S.READY,  # it opened its device or session anew
    (_S.READY, _E.DIED): _S.BACKOFF,
    (_S.READY, _E.LOST): _S.BACKOFF,
    (_S.READY, _E.DUE): _S.READY,
    (_S.READY, _E.STOP): _S.STOPPING,
    (_S.READY, _E.REPLACE): _S.READY,
    (_S.BACKOFF, _E.DUE): _S.STARTING,
    (_S.BACKOFF, _E.STOP): _S.STOPPED,
    (_S.BACKOFF, _E.REPLACE): _S.STARTING,
    (_S.STOPPING, _E.SPOKE): _S.STOPPING,
    (_S.STOPPING, _E.READIED): _S.STOPPING,
    (_S.STOPPING, _E.DIED): _S.STOPPED,
    (_S.STOPPING, _E.LOST): _S.STOPPED,
    (_S.STOPPING, _E.DUE): _S.STOPPING,
    (_S.STOPPING, _E.STOP): _S.STOPPING,
    (_S.STOPPING, _E.REPLACE): _S.STOPPING,
    (_S.GIVEN_UP, _E.STOP): _S.STOPPED,
    (_S.GIVEN_UP, _E.REPLACE): _S.STARTING,
}


class IllegalEvent(Exception):
    """A bug of ours: this can't happen in that state."""


class Lifecycle:
    """One process's life. Feed it events with the time; do what it returns; tell it DUE when `deadline_s` has passed."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.state = State.STOPPED
        self.deadline_s: float | None = None
        self.restarts = 0
        self._failures = self._losses = 0  # since it was last stable
        self._ready_since_s: float | None = None
        self.blameless = False  # it goes because it was told to
        #: What is done to one that does not go, in turn; None while it may stay.
        self._pressure: list[Action] | None = None

    def handle(self, event: Event, now_s: float) -> tuple[Action, ...]:
        """The actions to take. Raises IllegalEvent, and changes nothing, for an event that is not in the table."""
        before = self.state
        after = NEXT.get((before, event))
        if after is None:
            raise IllegalEvent(f"{event} while {before}")
        self.state = after
        running = before in (State.STARTING, State.READY)
        if event is Event.REPLACE and not running and after is State.STARTING:
            self._failures = self._losses = 0
        if after is State.STARTING and before in (State.STOPPED, State.BACKOFF, State.GIVEN_UP):
            return self._spawn(now_s, again=event is not Event.START)
        if event is Event.DUE:
            return self._press(now_s)
        if event in (Event.STOP, Event.REPLACE) and running:
            return self._leave(now_s, loading=before is State.STARTING, blameless=event is Event.REPLACE)
        if event in (Event.DIED, Event.LOST) and running:
            self._died(now_s, lost=event is Event.LOST)
        elif event in (Event.HELD, Event.SPOKE, Event.READIED):
            self._heard(event, now_s)
        elif after is State.STOPPED:
            self.deadline_s = None
        return ()

    def _spawn(self, now_s: float, *, again: bool) -> tuple[Action, ...]:
        self.restarts += again
        self._pressure, self.blameless, self._ready_since_s = None, False, None
        self.deadline_s = now_s + self.limits.silent_start_s
        return (Action.SPAWN,)

    def _heard(self, event: Event, now_s: float) -> None:
        if self._pressure is not None:
            return
        if event is Event.READIED and self._ready_since_s is None:
            self._ready_since_s = now_s
        if event is Event.HELD:
            self.deadline_s = None
        else:
            self.deadline_s = now_s + (self.limits.silent_s if self.state is State.READY else self.limits.silent_start_s)

    def _died(self, now_s: float, *, lost: bool) -> None:
        """Decides between another start, after a delay, and giving up."""
        ready_s = 0.0 if self._ready_since_s is None else now_s - self._ready_since_s
        if ready_s >= self.limits.stable_s:
            self._failures = 0
        if ready_s >= self.limits.settled_s:
            self._losses = 0
        delays_s = self.limits.delays_s
        if self.blameless:
            self.deadline_s = now_s
        elif lost:
            delay_s = delays_s[self._losses] if self._losses < len(delays_s) else self.limits.look_again_s
            self.deadline_s = now_s + min(delay_s, self.limits.look_again_s)
            self._losses += 1
        elif self._failures < len(delays_s):
            self.deadline_s = now_s + delays_s[self._failures]
            self._failures += 1
        else:
            self.state = State.GIVEN_UP
            self.deadline_s = None

    def _leave(self, now_s: float, *, loading: bool, blameless: bool) -> tuple[Action, ...]:
        if blameless and self._pressure is not None:
            return ()  # it is leaving, or being killed; to ask again gives it no more time
        self.blameless = blameless
        self._pressure = [Action.TERMINATE, Action.KILL]
        self.deadline_s = now_s + self.limits.terminate_after_s
        # One that still loads does not hear orders; SIGTERM ends it at once.
        return (Action.ASK, Action.TERMINATE) if loading else (Action.ASK,)

    def _press(self, now_s: float) -> tuple[Action, ...]:
        """It was silent for too long, or does not go."""
        if self._pressure is None:
            self._pressure = []
            self.deadline_s = None
            return (Action.KILL,)
        step = self._pressure.pop(0)
        self.deadline_s = now_s + self.limits.kill_after_s if self._pressure else None
        return (step,)
