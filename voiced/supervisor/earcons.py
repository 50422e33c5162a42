"""When a short sound tells what a screen would: not while the user speaks, whose words it would cover. Pure."""

from collections.abc import Mapping
from typing import Any

LISTENING, ERROR = "listening", "error"
#: For the microphone that is switched off, of which there is no event.
MUTED = "muted"
#: A connection that comes and goes, or a server that repeats itself, is heard once in this time.
_EVERY_S = 5.0
#: Who says the wake word and then nothing for so long wants to know whether it was heard. Speech is told within 0.1 s.
_PAUSE_S = 0.6


class Earcons:
    """Reads the events."""

    def __init__(self) -> None:
        self.due_s: float | None = None  # when `take` has one
        self._was_away = True  # there was no session since it was told last
        self._told_s: dict[str, float] = {}

    def due(self, topic: str, data: Mapping[str, Any], now_s: float) -> str | None:
        """The name of the sound that an event is told by, if it is."""
        match topic:
            case "error":
                self.due_s = None
                return self._at_times(ERROR, now_s)
            case "wake":
                self._was_away, self.due_s = False, now_s + _PAUSE_S
            case "speech.started":
                self.due_s = None
            case "session":
                self._was_away |= not data["connected"]
            case "state" if data["state"] == "hearing":
                self._was_away, self.due_s = False, None
            case "state" if data["state"] == "listening" and (self._was_away or data["previous"] == "asleep"):
                self._was_away = False
                return self._at_times(LISTENING, now_s) if self.due_s is None else None
        return None

    def take(self, now_s: float) -> str | None:
        """The one that waited until nobody spoke, once it is due."""
        if self.due_s is None or now_s < self.due_s:
            return None
        self.due_s = None
        return self._at_times(LISTENING, now_s)

    def _at_times(self, name: str, now_s: float) -> str | None:
        if now_s - self._told_s.get(name, -_EVERY_S) < _EVERY_S:
            return None
        self._told_s[name] = now_s
        return name
