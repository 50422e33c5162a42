"""What one moment's sounds say about who is speaking, in numbers that do not depend on how loud anything is.

Microphone (d), what the linear canceller leaves (e) and takes out (y), AEC3's output (a) and the far end (x) are compared in
bands: an echo that is known shows in y and is missing in e; the user shows in e more than y can leave behind.
"""

from math import log, log10

import numpy as np
from numpy.typing import NDArray

from voiced.audio.echo.far import BLOCK
from voiced.audio.echo.interface import RATE_HZ, WINDOW, Samples

_EDGES_HZ = (100, 250, 400, 600, 850, 1150, 1500, 1950, 2500, 3200, 4100, 5300, 7000)
BANDS = len(_EDGES_HZ) - 1
_EDGES = np.array([hz * WINDOW // RATE_HZ for hz in _EDGES_HZ])
#: Shape (bins, BANDS): which bins add up to which band.
_IN_BANDS = ((np.arange(WINDOW // 2 + 1)[:, None] >= _EDGES[:-1]) & (np.arange(WINDOW // 2 + 1)[:, None] < _EDGES[1:])).astype(np.float32)
#: Numbers of each band, and numbers of the whole; in this order in a piece of evidence.
KINDS = 7
SINGLES = 19
SIZE = KINDS * BANDS + SINGLES

#: Power of a window that counts as nothing: -100 dBFS.
_NOTHING = 1e-10 * WINDOW * WINDOW / 4
_HEARD = 640  # samples in which a voice's pitch is looked for
_PITCH = slice(RATE_HZ // 400, RATE_HZ // 70)
_VOICE = slice(100 * 1024 // RATE_HZ, 2000 * 1024 // RATE_HZ)
#: The far end's last 0.35 s could be what is heard now.
_ECHOING = 11
#: Reverberation: what was expected fades by 8 dB a window (two-path: 0.9 of the power in half of one, held 6 of those).
_FADING = 0.5
#: dB a window by which the leftover echo's level is followed, up and down: its lower 40 %, so that a user who talks moves it little.
_UP, _DOWN = 0.12, 0.18
_FLOOR_UP = 0.1  # dB a window by which the noise floor may rise: 3 dB/s
#: Windows over which the rise and fall of two sounds is compared, and over which the microphone is held against the echo.
_RHYTHMS = (4, 12)
_SPANS = (3, 6, 12)
_LASTS = [count - 1 for count in _SPANS]


class Evidence:
    """Keeps the last moments of all five sounds, and what is normal for the echo left over."""

    def __init__(self) -> None:
        self._past: Samples = np.zeros((5, WINDOW + 2 * BLOCK), np.float32)
        self._products: Samples = np.zeros((6, WINDOW // 2 + 1), np.float32)  # spectra: the powers of all five; what d and y have in common
        self._far = np.full((_ECHOING, BANDS), _NOTHING)
        self._expected = np.full(BANDS, _NOTHING)
        self._left_db = np.zeros(BANDS)  # what is normally left of an expected echo
        self._floor_db: NDArray[np.float64] | None = None
        self._cancelled = np.full(2, _NOTHING)
        self._far_windows = 0
        # The last windows, shape (4, windows, bands): e, y, a, d in dB; and powers of e, y, what d and y have in common, d.
        self._levels: NDArray[np.float64] | None = None
        self._powers = np.zeros(0)

    def take(self, near: Samples, left: Samples, echo: Samples, strict: Samples, far: Samples) -> None:
        """A block of each."""
        self._past[:, :-BLOCK] = self._past[:, BLOCK:]
        for row, sound in enumerate((near, left, echo, strict, far)):
            self._past[row, -BLOCK:] = sound

    def weigh(self, since: int, likely_left: float, likely_strict: float) -> Samples:
        """Shape (SIZE,): of the window that ended `since` samples ago, with Silero's opinion of it in e and in a."""
        end = self._past.shape[1] - since
        spectra = np.fft.rfft(self._past[:, end - WINDOW : end] * _HANN, axis=1)
        np.square(np.abs(spectra), out=self._products[:5])
        self._products[5] = (spectra[0] * np.conj(spectra[2])).real
        in_bands = (self._products @ _IN_BANDS).astype(np.float64)
        power, together = in_bands[:5], in_bands[5]
        power += _NOTHING
        d, e, y, _, x = power
        together /= np.sqrt(d * y)
        self._far[:-1] = self._far[1:]
        self._far[-1] = x
        echoing = self._far.max(axis=0)
        self._expected = np.maximum(y, _FADING * self._expected)
        db = 10 * np.log10(np.concatenate((power[:4], (self._expected, echoing))))
        left, echo, strict, over_far = np.minimum(np.maximum(db[_OVER] - db[_UNDER], _LEAST), _MOST)
        excess, above = self._follow(db[1], db[1] - db[4], y)
        bands = (above / 20, left / 10, echo / 10, strict / 10, excess / 10, together, over_far / 10)
        singles = self._singles(d, e, x, echoing, self._past[1:4:2, end - _HEARD : end], likely_left, likely_strict)
        near = above - left
        self._recall(np.stack((above, near + echo, near + strict, near)), together)
        return np.concatenate((*bands, singles, *(self._alike(count) for count in _RHYTHMS), self._explained())).astype(np.float32)

    def _follow(
        self, e_db: NDArray[np.float64], ratio_db: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By how many dB e is above what an echo normally leaves, and above the noise. `ratio_db`: of e to the expected echo."""
        excess = np.minimum(np.maximum(ratio_db - self._left_db, -20), 30)
        self._left_db += np.where(y > 100 * _NOTHING, np.where(ratio_db > self._left_db, _UP, -_DOWN), 0)
        self._left_db = np.minimum(np.maximum(self._left_db, -35), 10)
        self._floor_db = e_db if self._floor_db is None else np.minimum(self._floor_db + _FLOOR_UP, e_db)
        return excess, np.minimum(e_db - self._floor_db, 60)

    def _recall(self, levels: NDArray[np.float64], together: NDArray[np.float64]) -> None:
        """Of this window: e, y, a and d in dB, and what d and y have in common."""
        powers = 10 ** (levels / 10)
        powers[2] = together * np.sqrt(powers[1] * powers[3])
        if self._levels is None:
            count = max(*_RHYTHMS, *_SPANS)
            self._levels, self._powers = np.repeat(levels[:, None], count, axis=1), np.repeat(powers[:, None], count, axis=1)
        for past, new in ((self._levels, levels), (self._powers, powers)):
            past[:, :-1] = past[:, 1:]
            past[:, -1] = new

    def _alike(self, count: int) -> NDArray[np.float64]:
        """How much e, a and d rise and fall as the expected echo does, -1 to 1. What a wrong path leaves does, the user does not:
        of all numbers these helped most (cross entropy 0.19 -> 0.16)."""
        assert self._levels is not None
        levels = self._levels[:, -count:]
        rhythms = (levels - levels.sum(axis=1, keepdims=True) / count).reshape(4, -1)
        alike = rhythms @ rhythms.T
        sizes = alike.diagonal() + 50
        return np.asarray((alike[1] / np.sqrt(sizes * sizes[1]))[_BESIDE_ECHO])

    def _explained(self) -> NDArray[np.float64]:
        """The echo's share in the microphone against what it should be: 1 where the path is right, whoever talks, near 0 after a jump
        (two-path, feature b); and what is left of the microphone."""
        over = self._powers[:, ::-1].cumsum(axis=1)[:, _LASTS]
        left, expected, common, _ = (over / (over[3] + 1e-9)).sum(axis=2)
        short, middle, long = np.minimum(np.maximum(common / (expected + 0.03), -1), 2)
        unexplained = log10(min(max(left[1] / BANDS, 1e-3), 4))
        return np.array((short, middle, unexplained, long))

    def _singles(
        self,
        d: NDArray[np.float64],
        e: NDArray[np.float64],
        x: NDArray[np.float64],
        echoing: NDArray[np.float64],
        heard: Samples,
        likely_left: float,
        likely_strict: float,
    ) -> NDArray[np.float64]:
        sounds = x.sum() > 1000 * _NOTHING
        self._far_windows += int(sounds)
        if sounds:
            self._cancelled += 0.03 * (np.array([d.sum(), e.sum()]) - self._cancelled)
        heard_x, could_echo = float(x.sum()), float(echoing.sum())
        of_all = (
            _logit(likely_left) / 3,
            _logit(likely_strict) / 3,
            _single_db(self._cancelled[1] / self._cancelled[0], -30, 3) / 10,
            log10(1 + self._far_windows / 10) - 1,
            _single_db(could_echo / _NOTHING, 0, 90) / 30 - 2,
            _single_db(heard_x / could_echo, -60, 0) / 20,
            _single_db(float(d.sum()) / _NOTHING, 0, 90) / 30 - 2,
        )
        return np.concatenate((of_all, _voiced(heard)))


_HANN = np.hanning(WINDOW).astype(np.float32)
#: Levels that are compared: e, y and a to d; d to the far end. With bounds in dB.
_OVER, _UNDER = [1, 2, 3, 0], [0, 0, 0, 5]
_LEAST, _MOST = np.array([[-30.0], [-40], [-40], [-40]]), np.array([[6.0], [10], [6], [30]])
_BESIDE_ECHO = [0, 2, 3]


def _single_db(ratio: float, least: float, most: float) -> float:
    return min(max(10 * log10(ratio), least), most)


def _logit(likely: float) -> float:
    bounded = min(max(likely, 1e-3), 1 - 1e-3)
    return log(bounded / (1 - bounded))


# The autocorrelation at lag 0 and at those of a pitch, from a power spectrum: a fifth of an inverse transform's cost.
_LAGS = np.concatenate(([0], np.arange(_PITCH.start, _PITCH.stop)))
_TO_LAGS = (np.cos(2 * np.pi / 1024 * np.outer(np.arange(_VOICE.start, _VOICE.stop), _LAGS)) / 512).astype(np.float32)


def _voiced(heard: Samples) -> NDArray[np.float64]:
    """How periodic each sound is at the pitch of a voice, 0 to 1: coughs and knocks are not."""
    spectra = np.fft.rfft(heard, 1024, axis=1)[:, _VOICE]
    correlation = np.square(np.abs(spectra)) @ _TO_LAGS
    return np.asarray(correlation[:, 1:].max(axis=1) / (correlation[:, 0] + 1e-9))
