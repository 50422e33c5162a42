"""When a short sound tells what a screen would. Pure."""

from collections.abc import Mapping
from typing import Any

LISTENING, ERROR = "listening", "error"
#: For the microphone that is switched off, of which there is no event.
MUTED = "muted"
#: A connection that comes and goes, or a server that repeats itself, is heard once in this time.
_EVERY_S = 5.0
_LISTENS = ("listening", "hearing")


class Earcons:
    """Reads the events."""

    def __init__(self) -> None:
        self._was_away = True  # there was no session since it was told last
        self._told_s: dict[str, float] = {}

    def due(self, topic: str, data: Mapping[str, Any], now_s: float) -> str | None:
        """The name of the sound that an event is told by, if it is."""
        match topic:
            case "error":
                return self._at_times(ERROR, now_s)
            case "wake":
                self._was_away = False
                return self._at_times(LISTENING, now_s)
            case "session":
                self._was_away |= not data["connected"]
            case "state" if data["state"] in _LISTENS and (self._was_away or data["previous"] == "asleep"):
                self._was_away = False
                return self._at_times(LISTENING, now_s)
        return None

    def _at_times(self, name: str, now_s: float) -> str | None:
        if now_s - self._told_s.get(name, -_EVERY_S) < _EVERY_S:
            return None
        self._told_s[name] = now_s
        return name
