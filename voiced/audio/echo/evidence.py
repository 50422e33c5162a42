"""What one moment's sounds say about who is speaking, in numbers that do not depend on how loud anything is.

Microphone (d), what the linear canceller leaves (e) and takes out (y), AEC3's output (a) and the far end (x) are compared in
bands: an echo that is known shows in y and is missing in e; the user shows in e more than y can leave behind.
"""

import numpy as np
from numpy.typing import NDArray

from voiced.audio.echo.far import BLOCK
from voiced.audio.echo.interface import RATE_HZ, WINDOW, Samples

_EDGES_HZ = (100, 250, 400, 600, 850, 1150, 1500, 1950, 2500, 3200, 4100, 5300, 7000)
BANDS = len(_EDGES_HZ) - 1
_EDGES = np.array([hz * WINDOW // RATE_HZ for hz in _EDGES_HZ])
_KINDS = 7
_SINGLES = 9
#: Numbers in one piece of evidence.
SIZE = _KINDS * BANDS + _SINGLES

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


class Evidence:
    """Keeps the last moments of all five sounds, and what is normal for the echo left over."""

    def __init__(self) -> None:
        self._past: Samples = np.zeros((5, WINDOW + 2 * BLOCK), np.float32)
        self._far = np.full((_ECHOING, BANDS), _NOTHING)
        self._expected = np.full(BANDS, _NOTHING)
        self._left_db = np.zeros(BANDS)  # what is normally left of an expected echo
        self._floor_db: NDArray[np.float64] | None = None
        self._cancelled = np.full(2, _NOTHING)
        self._far_windows = 0

    def take(self, near: Samples, left: Samples, echo: Samples, strict: Samples, far: Samples) -> None:
        """A block of each."""
        self._past[:, :-BLOCK] = self._past[:, BLOCK:]
        for row, sound in enumerate((near, left, echo, strict, far)):
            self._past[row, -BLOCK:] = sound

    def weigh(self, since: int, likely_left: float, likely_strict: float) -> Samples:
        """Shape (SIZE,): of the window that ended `since` samples ago, with Silero's opinion of it in e and in a."""
        end = self._past.shape[1] - since
        spectra = np.fft.rfft(self._past[:, end - WINDOW : end] * _HANN, axis=1)
        power = np.add.reduceat(spectra.real**2 + spectra.imag**2, _EDGES, axis=1)[:, :-1] + _NOTHING
        d, e, y, a, x = power
        together = np.add.reduceat((spectra[0] * np.conj(spectra[2])).real, _EDGES)[:-1] / np.sqrt(d * y)
        self._far[:-1] = self._far[1:]
        self._far[-1] = x
        echoing = self._far.max(axis=0)
        excess, above = self._follow(e, y)
        bands = (
            above / 20,
            _db(e / d, -30, 6) / 10,
            _db(y / d, -40, 10) / 10,
            _db(a / d, -40, 6) / 10,
            excess / 10,
            together,
            _db(d / echoing, -40, 30) / 10,
        )
        singles = self._singles(d, e, x, echoing, self._past[1:4:2, end - _HEARD : end], likely_left, likely_strict)
        return np.concatenate((*bands, singles)).astype(np.float32)

    def _follow(self, e: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By how many dB e is above what an echo normally leaves, and above the noise."""
        self._expected = np.maximum(y, _FADING * self._expected)
        ratio = 10 * np.log10(e / self._expected)
        excess = np.clip(ratio - self._left_db, -20, 30)
        echo = y > 100 * _NOTHING
        self._left_db += np.where(echo, np.where(ratio > self._left_db, _UP, -_DOWN), 0)
        np.clip(self._left_db, -35, 10, out=self._left_db)
        e_db = 10 * np.log10(e)
        self._floor_db = e_db if self._floor_db is None else np.minimum(self._floor_db + _FLOOR_UP, e_db)
        return excess, np.clip(e_db - self._floor_db, 0, 60)

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
        return np.concatenate(
            (
                [
                    _logit(likely_left) / 3,
                    _logit(likely_strict) / 3,
                    _db(self._cancelled[1] / self._cancelled[0], -30, 3) / 10,
                    np.log10(1 + self._far_windows / 10) - 1,
                    _db(echoing.sum() / _NOTHING, 0, 90) / 30 - 2,
                    _db(x.sum() / echoing.sum(), -60, 0) / 20,
                    float(_db(d.sum() / _NOTHING, 0, 90)) / 30 - 2,
                ],
                _voiced(heard),
            )
        )


_HANN = np.hanning(WINDOW).astype(np.float32)


def _db(ratio: NDArray[np.float64] | float, least: float, most: float) -> NDArray[np.float64]:
    db: NDArray[np.float64] = np.clip(10 * np.log10(ratio), least, most)
    return db


def _logit(likely: float) -> float:
    bounded = min(max(likely, 1e-3), 1 - 1e-3)
    return float(np.log(bounded / (1 - bounded)))


def _voiced(heard: Samples) -> NDArray[np.float64]:
    """How periodic each sound is at the pitch of a voice, 0 to 1: coughs and knocks are not."""
    spectra = np.fft.rfft(heard, 1024, axis=1)[:, _VOICE]
    power = np.zeros((len(heard), 513))
    power[:, _VOICE] = spectra.real**2 + spectra.imag**2
    correlation = np.fft.irfft(power, axis=1)
    voiced: NDArray[np.float64] = correlation[:, _PITCH].max(axis=1) / (correlation[:, 0] + 1e-9)
    return voiced
