"""Whether the daemon still does what it is for, so that systemd's watchdog may be fed. Pure.

The supervisor replaces what hangs or dies by itself, within seconds. This is for what it can't mend: then it stays hungry, and
systemd starts the whole of it anew (WatchdogSec, Restart=on-failure), up to the unit's StartLimitBurst.

Frames flow as long as the capture process counts them, which it does at the pace of sound whatever becomes of them: from a device,
or silence in the place of one that is shut by a hard mute, away or lost. So neither a mute nor push-to-talk, nor a session that is
asleep or offline, nor a long silence starves it.
"""

from collections.abc import Mapping
from typing import Any

from voiced.supervisor.policy import State

#: A device that gives nothing is replaced by silence after 4 s (voiced.capture), so standing still for twice that is no device's fault.
STILL_S = 8.0
#: The supervisor kills what is silent for 3 s, the embedded server for 20 s. One that outlives this can't be killed.
SILENT_S = 30.0
_CAPTURE = "capture"


class Watchdog:
    """`still_s`, `silent_s`: how long frames may stand still, and a process that is ready may say nothing."""

    def __init__(self, still_s: float = STILL_S, silent_s: float = SILENT_S) -> None:
        self._still_s, self._silent_s = still_s, silent_s
        self._states: dict[str, State] = {}
        self._heard_s: dict[str, float] = {}
        self._frames: int | None = None
        self._flowed_s = 0.0

    def changed(self, name: str, state: State, now_s: float) -> None:
        """A process came into this state."""
        self._states[name] = state
        self._heard_s[name] = now_s
        if name == _CAPTURE:
            self._flowed_s = now_s

    def dismissed(self, name: str) -> None:
        """It belongs to the daemon no more."""
        self._states.pop(name, None)

    def beat(self, name: str, stats: Mapping[str, Any], now_s: float) -> None:
        """A process sent its figures."""
        self._heard_s[name] = now_s
        if name == _CAPTURE and stats.get("frames") != self._frames:
            self._frames = stats.get("frames")
            self._flowed_s = now_s

    def complaint(self, now_s: float) -> str:
        """What keeps it from being fed; "" = nothing."""
        for name, state in self._states.items():
            if state is State.GIVEN_UP:
                return f"{name} was given up"
            if state is State.READY and now_s - self._heard_s[name] > self._silent_s:
                return f"{name} is silent and can't be ended"
        if self._states.get(_CAPTURE) is State.READY and now_s - self._flowed_s > self._still_s:
            return "the microphone's frames stand still"
        return ""
