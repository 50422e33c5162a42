"""The line that `systemctl --user status voiced` shows: what a person who looks on wants to read. Pure.

listening · gpt-realtime-2.1 · 12 min
offline · can't reach api.openai.com: no route to host; trying again
failed · capture was given up: killed by SIGSEGV
"""

from collections.abc import Mapping
from typing import Any

from voiced.shown import harmless

#: systemctl cuts what is wider than a terminal; a message of a server may be a page.
_LONGEST = 200
_MINUTE_S, _HOUR_MIN, _DAY_MIN = 60, 60, 24 * 60
_LACKING = {"capture": "no microphone", "playback": "no loudspeaker"}
_AWAITED = {"capture": "the microphone", "playback": "the loudspeaker", "network": "the server", "embedded": "the embedded server"}


class Headline:
    """Told the `status` map again and again; says when there is something new to read, by time at most once a minute."""

    def __init__(self) -> None:
        self._said = ""
        self._connected_s: float | None = None
        self._reasons: dict[str, str] = {}
        #: What thinks in the embedded server; "" = not known.
        self.brain = ""
        #: There will be no other line.
        self.over = False

    def gone(self, name: str, reason: str) -> None:
        """Why a process ended."""
        self._reasons[name] = reason

    def news(self, status: Mapping[str, Any], now_s: float) -> str | None:
        """The line, where it is another than the last."""
        if not status["session"]["connected"]:
            self._connected_s = None
        elif self._connected_s is None:
            self._connected_s = now_s
        line = _shown(self._parts(status, now_s))
        if line == self._said:
            return None
        self._said = line
        return line

    def last(self, failure: str) -> str:
        """The line to end with."""
        self.over = True
        return _shown(["failed", failure]) if failure else ""

    def _parts(self, status: Mapping[str, Any], now_s: float) -> list[str]:
        state, session = status["state"], status["session"]
        if state == "failed":
            return [state, self._given_up(status) or session["last_error"] or ""]
        if state == "offline":
            return [state, session["last_error"] or ""]
        if state == "connecting":
            return [state, self._answering(session), *_lacking(status), _awaited(status)]
        minutes = 0 if self._connected_s is None else int((now_s - self._connected_s) // _MINUTE_S)
        return [state, self._answering(session), *_lacking(status), duration(minutes)]

    def _given_up(self, status: Mapping[str, Any]) -> str:
        names = [row["name"] for row in status["processes"] if row["state"] == "given_up"]
        return "; ".join(f"{name} was given up: {self._reasons.get(name, 'see the log')}" for name in names)

    def _answering(self, session: Mapping[str, Any]) -> str:
        if session["provider"] == "embedded":
            return f"embedded {self.brain}".rstrip()
        return str(session["model"])


def duration(minutes: int) -> str:
    """`12 min`, `3 h 5 min`, `2 d 4 h`; "" within the first minute."""
    if minutes < _HOUR_MIN:
        return f"{minutes} min" if minutes else ""
    if minutes < _DAY_MIN:
        return f"{minutes // _HOUR_MIN} h {minutes % _HOUR_MIN} min"
    return f"{minutes // _DAY_MIN} d {minutes % _DAY_MIN // _HOUR_MIN} h"


def _shown(parts: list[str]) -> str:
    return harmless(" · ".join(part for part in parts if part))[:_LONGEST]


def _lacking(status: Mapping[str, Any]) -> list[str]:
    """Devices that are away: a process that is ready goes on without. A microphone that is shut on purpose is none."""
    ready = {row["name"] for row in status["processes"] if row["state"] == "ready"}
    shut = ["capture"] if status["muted"] else []
    return [text for name, text in _LACKING.items() if name in ready and name not in shut and not status["audio"][name]["open"]]


def _awaited(status: Mapping[str, Any]) -> str:
    names = [row["name"] for row in status["processes"] if row["state"] != "ready"]
    return "waiting for " + ", ".join(_AWAITED.get(name, name) for name in names) if names else ""
