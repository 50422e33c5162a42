"""Turn detection: from a stream of speech probabilities to "speech started" and "speech stopped". Pure."""

from enum import Enum

from voiced.embedded.settings import SemanticVad, ServerVad

#: What one probability covers: a window of Silero's detector, 512 samples at 16 kHz (voiced.audio.silero.WINDOW_MS).
WINDOW_MS = 32
#: Speech must last this long to count: no click or cough starts a turn (signal-packages 2, "hold 64").
_HOLD_WINDOWS = 2
#: Silero's own hysteresis: what has begun as speech ends this far below the threshold, but never below any probability.
_HYSTERESIS = 0.15
_LOWEST_END = 0.01
#: A threshold of 0 is allowed, but what silence reaches, too, would be a turn without an end.
_LOWEST_THRESHOLD = 0.02
_EAGERNESS_MS = {"low": 1000, "medium": 600, "auto": 600, "high": 300}


class Turn(Enum):
    STARTED = "started"
    STOPPED = "stopped"


class TurnDetector:
    """One stream of probabilities. `heard_ms` is its clock, `onset_ms` where the speech in progress began."""

    def __init__(self) -> None:
        self.heard_ms = 0
        self.onset_ms = 0
        self.speaking = False
        self._held = 0
        self._silent_ms = 0

    def step(self, probability: float, vad: ServerVad | SemanticVad) -> Turn | None:
        """Takes the next window's probability; says what it changed."""
        self.heard_ms += WINDOW_MS
        threshold, silence_ms = _limits(vad)
        if self.speaking:
            return self._while_speaking(probability, threshold, silence_ms)
        self._held = self._held + 1 if probability >= threshold else 0
        if self._held < _HOLD_WINDOWS:
            return None
        self.speaking = True
        self.onset_ms = self.heard_ms - self._held * WINDOW_MS
        self._silent_ms = 0
        return Turn.STARTED

    def _while_speaking(self, probability: float, threshold: float, silence_ms: int) -> Turn | None:
        low = probability < max(threshold - _HYSTERESIS, _LOWEST_END)
        if probability >= threshold:
            self._silent_ms = 0
        elif low or self._silent_ms:
            self._silent_ms += WINDOW_MS
        if not low or self._silent_ms < silence_ms:
            return None
        self.forget_turn()
        return Turn.STOPPED

    def forget_turn(self) -> None:
        """Ends the speech in progress, if there is any; the clock goes on."""
        self.speaking = False
        self._held = 0


def _limits(vad: ServerVad | SemanticVad) -> tuple[float, int]:
    """Threshold and silence in ms. Without a model of sentence ends, semantic detection is a patience by eagerness."""
    if isinstance(vad, SemanticVad):
        return 0.5, _EAGERNESS_MS[vad.eagerness]
    return max(vad.threshold, _LOWEST_THRESHOLD), vad.silence_duration_ms
