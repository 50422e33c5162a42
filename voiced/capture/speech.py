"""When the user speaks, from the probabilities of a voice detector. Pure: time is counted in windows of sound.

Two thresholds, so that a voice that wavers about one of them is not cut to pieces; two windows in a row before it counts,
which no steady noise, music or clicks reached (signal-packages 2: 82 ms after the onset in quiet, 104 ms at 5 dB); and a
hangover that outlasts the stops inside words and the pauses between them.
"""

from math import ceil

from voiced.audio.silero import WINDOW_MS
from voiced.messages import LocalSpeech, MonoNs

ONSET_MS = 64
HANGOVER_MS = 400
#: By how much a window that goes on with speech may be less sure than one that begins it.
_HYSTERESIS = 0.15


class Segments:
    """Turns probabilities into `started` and `stopped`, always in turns. `threshold` is that of the beginning, 0 to 1."""

    def __init__(self, threshold: float) -> None:
        self._begins_at = threshold
        self._goes_on_at = max(threshold - _HYSTERESIS, threshold / 2)
        self._onset = ceil(ONSET_MS / WINDOW_MS)
        self._hangover = ceil(HANGOVER_MS / WINDOW_MS)
        self.reset()

    def reset(self) -> None:
        """Nobody speaks, and nothing was heard before."""
        self.speaking = False
        self._against = 0  # windows in a row that speak against the present state

    def heard(self, probability: float, captured_ns: MonoNs) -> LocalSpeech | None:
        """The next window, of which `captured_ns` is the last sample's time; None while nothing changes."""
        against = probability < self._goes_on_at if self.speaking else probability >= self._begins_at
        self._against = self._against + 1 if against else 0
        if self._against < (self._hangover if self.speaking else self._onset):
            return None
        self.speaking = not self.speaking
        self._against = 0
        return LocalSpeech("started" if self.speaking else "stopped", captured_ns, probability)
