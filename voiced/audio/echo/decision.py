"""From evidence to a decision: a small network says how likely the user speaks now, and what it says is added up over time.

The network sees the last eight pieces of evidence (256 ms). Its weights, `decision.npy`, were learned from synthetic rooms and
voices; tests/bench/fusion makes them. While nothing of the assistant can be heard, Silero's word alone counts.
"""

from functools import cache
from math import log, tanh
from pathlib import Path

import numpy as np

from voiced.audio.echo.evidence import BANDS, KINDS
from voiced.audio.echo.interface import RATE_HZ, WINDOW, Decision, Samples

#: Pieces of evidence that the network sees.
MOMENTS = 8

#: What one window may add to the sum of log odds, or take from it, and the most that the sum may come to: from there it takes
#: four windows of silence to end what was confirmed.
_MOST = 3.0
_FULL = 12.0
#: Sums that are enough, and below which they are not any more. Chosen on the rooms to tune on: from 1 to 0.3, ducking comes 19 ms
#: sooner (109 ms after onset), and an assistant alone ducks itself 14 times instead of 4 in 15 minutes, nearly all just after a
#: jump. From 6 to 10 nothing false was confirmed there; 8 takes 164, 216, 219 and 280 ms from onset where the
#: user is 6 dB louder than the echo, as loud, 6 and 12 dB lower.
_SUSPECTED = 0.3
_CONFIRMED = 8.0
_OVER = 0.15
#: The same in the first 3 s in which the assistant is heard at all, until some of its echo can be taken out; then the sum begins anew. A
#: vowel that begins the first answer teaches no path, and was the user for what judges. Of 100 first answers one interrupted itself on the
#: rooms to tune on and two on the others, now none; of 100 users in their first two seconds one and two are missed, as before.
_FULL_AT_FIRST, _CONFIRMED_AT_FIRST = 24.0, 22.0
_AT_FIRST = 3 * RATE_HZ // WINDOW


@cache
def _weights() -> dict[str, Samples]:
    stored = np.load(Path(__file__).with_name("decision.npy"))
    return {name: np.ascontiguousarray(stored[name], dtype=np.float32) for name in stored.dtype.names}


class Fusion:
    """The network: what each band says is weighed alike and averaged, a whole piece of evidence condensed, eight of those judged."""

    def __init__(self) -> None:
        self._w = _weights()
        self._condensed: Samples = np.zeros((MOMENTS, self._w["condense.bias"].size), np.float32)

    def likely(self, evidence: Samples) -> float:
        """The newest piece, shape (evidence.SIZE,); returns log odds that the user speaks."""
        w = self._w
        of_bands = evidence[: KINDS * BANDS].reshape(KINDS, BANDS).T
        bands = _leaky(of_bands @ w["band.weight"], w["band.bias"])
        halves = _HALVES @ bands
        whole = np.concatenate((halves.ravel(), evidence[KINDS * BANDS :]))
        self._condensed[:-1] = self._condensed[1:]
        self._condensed[-1] = _leaky(whole @ w["condense.weight"], w["condense.bias"])
        inner = _leaky(self._condensed.ravel() @ w["judge.weight"], w["judge.bias"])
        return float(inner @ w["score.weight"] + w["score.bias"][0])


class Judge:
    """Adds up log odds, as in Wald's sequential test. `threshold`: the probability that counts neither for nor against the user."""

    def __init__(self, threshold: float) -> None:
        self._neutral = log(threshold / (1 - threshold))
        self._sum = 0.0
        self._suspected = False
        self._confirmed = False
        self._at_first = _AT_FIRST  # windows that are left of it

    def forget(self) -> None:
        """What spoke for the user was the echo on another path."""
        self._sum = 0.0

    def decide(self, odds: float, far_active: bool, *, known: bool = True) -> Decision:
        """`odds`: log odds that the user speaks; `known`: the echo's path is."""
        strange = far_active and self._strange(known)
        full, confirmed = (_FULL_AT_FIRST, _CONFIRMED_AT_FIRST) if strange else (_FULL, _CONFIRMED)
        self._sum = min(max(self._sum + min(max(odds - self._neutral, -_MOST), _MOST), 0.0), full)
        still = self._sum > _OVER
        self._suspected = self._sum >= _SUSPECTED or (self._suspected and still)
        self._confirmed = self._sum >= confirmed or (self._confirmed and still)
        speech = 0.5 * (1 + tanh(0.5 * odds))
        return Decision(speech, self._suspected, self._confirmed, far_active)

    def _strange(self, known: bool) -> bool:
        if known and self._at_first:
            self._at_first = 0
            self.forget()
        self._at_first = max(0, self._at_first - 1)
        return self._at_first > 0


#: Means over the lower bands and the upper ones.
_HALVES: Samples = np.repeat(np.eye(2, dtype=np.float32), BANDS // 2, axis=1) * np.float32(2 / BANDS)
_LEAK = np.float32(0.05)


def _leaky(x: Samples, bias: Samples) -> Samples:
    x += bias
    leaky: Samples = np.maximum(x, x * _LEAK, out=x)
    return leaky
