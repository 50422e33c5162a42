"""What systemd is told of us while it runs us as a service: ready, the status line, the watchdog's food. Joins the parts; does nothing
where nobody asked.
"""

import os
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from voiced.supervisor.headline import Headline
from voiced.supervisor.notify import Notifier
from voiced.supervisor.policy import State
from voiced.supervisor.watchdog import Watchdog

_NO_BRAIN = ("loading", "rules")


class Service:
    """`status` is the status map of now, without figures."""

    def __init__(self, env: Mapping[str, str], status: Callable[[], Mapping[str, Any]]) -> None:
        self._notify = Notifier(env)
        self._status = status
        #: systemd started us (systemd.exec(5)), so that nobody looks on who could plug a device in and try again.
        self.unattended = env.get("SYSTEMD_EXEC_PID") == str(os.getpid())
        self._headline = Headline()
        self._watchdog = Watchdog()
        self._hungry_for = ""
        #: What systemd has no room for until it reads what it was told before.
        self._owed: dict[str, str] = {}
        #: When the watchdog is to be fed next; for ever away where there is none.
        self.deadline_s = inf if self._notify.watchdog_s is None else 0.0

    def changed(self, name: str, state: State, reason: str, now_s: float) -> None:
        self._watchdog.changed(name, state, now_s)
        if reason:
            self._headline.gone(name, reason)

    def dismissed(self, name: str) -> None:
        self._watchdog.dismissed(name)

    def beat(self, name: str, stats: Mapping[str, Any], now_s: float) -> None:
        self._watchdog.beat(name, stats, now_s)
        if "brain" in stats:
            self._headline.brain = "" if stats["brain"] in _NO_BRAIN else str(stats["brain"])

    def ready(self, now_s: float) -> None:
        """In one message with the status line: whoever waited for the start reads it next."""
        self._owed = {"READY": "1"}
        self._tell(now_s)

    def stopping(self, failure: str) -> None:
        """The last word: what kept it from starting, or nothing, so that no state of before is shown of a service that is gone."""
        self._owed = {"STOPPING": "1", "STATUS": self._headline.last(failure)}
        self._tell(0.0)

    def keep_time(self, now_s: float) -> str:
        """Tells what is new, and feeds the watchdog where that is due. Why it goes hungry from now on, for the log; "" = no news."""
        if not self._notify:
            return ""
        self._tell(now_s)
        if self._notify.watchdog_s is None or now_s < self.deadline_s:
            return ""
        self.deadline_s = now_s + self._notify.watchdog_s
        before, self._hungry_for = self._hungry_for, self._watchdog.complaint(now_s)
        if not self._hungry_for:
            self._notify.tell(WATCHDOG="1")
        return self._hungry_for if self._hungry_for != before else ""

    def _tell(self, now_s: float) -> None:
        if not self._headline.over and (line := self._headline.news(self._status(), now_s)) is not None:
            self._owed["STATUS"] = line
        if self._owed and self._notify.tell(**self._owed):
            self._owed = {}
