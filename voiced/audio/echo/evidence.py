"""What one moment's sounds say about who is speaking, in numbers that do not depend on how loud anything is.

Microphone (d), what the linear canceller leaves (e) and takes out (y), AEC3's output (a) and the far end (x) are compared in
bands: an echo that is known shows in y and is missing in e; the user shows in e more than y can leave behind.
"""

from math import log, log10, sqrt

import numpy as np

from voiced.audio.echo.far import BLOCK
from voiced.audio.echo.interface import RATE_HZ, WINDOW, Samples
from voiced.audio.spectrum import SINGLE

_EDGES_HZ = (100, 250, 400, 600, 850, 1150, 1500, 1950, 2500, 3200, 4100, 5300, 7000)
BANDS = len(_EDGES_HZ) - 1
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
_KEPT = max(*_RHYTHMS, *_SPANS)


class Evidence:
    """Keeps the last moments of all five sounds, and what is normal for the echo left over.

    What costs is not the arithmetic but each step of it, the more so in a process that has slept: hence few of them, over many numbers.
    """

    def __init__(self) -> None:
        # Rows: x, d, e, y, a, of which the windows end where they were taken.
        self._past: Samples = np.zeros((5, WINDOW + 2 * BLOCK), np.float32)
        # Spectra, real and imaginary parts side by side: what d and y have in common, and the powers of x, d, e, y, a.
        self._products: Samples = np.zeros((6, WINDOW + 2), np.float32)
        # The same in bands, then the expected echo and the far end that could be heard now.
        self._powers: Samples = np.full((8, BANDS), _NOTHING, np.float32)
        self._far: Samples = np.full((_ECHOING, BANDS), _NOTHING, np.float32)
        self._windows = 0
        self._kinds: Samples = np.zeros((KINDS, BANDS), np.float32)
        self._left_db: Samples = np.zeros(BANDS, np.float32)  # what is normally left of an expected echo
        self._floor_db: Samples = np.full(BANDS, np.inf, np.float32)
        self._cancelled = (_NOTHING, _NOTHING)
        self._far_windows = 0
        # The last windows, shape (2, 4, windows, bands): e, y, a, d in dB; and powers of e, y, what d and y have in common, d.
        self._recent: Samples = np.zeros((2, 4, _KEPT, BANDS), np.float32)

    def take(self, near: Samples, left: Samples, echo: Samples, strict: Samples, far: Samples) -> None:
        """A block of each."""
        past = self._past
        past[:, :-BLOCK] = past[:, BLOCK:]
        past[0, -BLOCK:] = far
        past[1, -BLOCK:] = near
        past[2, -BLOCK:] = left
        past[3, -BLOCK:] = echo
        past[4, -BLOCK:] = strict

    def weigh(self, since: int, likely_left: float, likely_strict: float) -> Samples:
        """Shape (SIZE,): of the window that ended `since` samples ago, with Silero's opinion of it in e and in a."""
        end = self._past.shape[1] - since
        self._listen(self._past[:, end - WINDOW : end])
        db = np.log10(self._powers[2:])
        db *= 10
        kinds = self._kinds  # above, left, echo, strict, excess, together, over_far
        ratio = db[1] - db[4]
        np.subtract(db[1:4], db[0], out=kinds[1:4])
        np.subtract(ratio, self._left_db, out=kinds[4])
        np.subtract(db[0], db[5], out=kinds[6])
        self._follow(kinds[4])
        self._floor_db += _FLOOR_UP
        np.minimum(self._floor_db, db[1], out=self._floor_db)
        np.subtract(db[1], self._floor_db, out=kinds[0])
        np.maximum(kinds, _LEAST, out=kinds)
        np.minimum(kinds, _MOST, out=kinds)
        piece: Samples = np.empty(SIZE, np.float32)
        np.multiply(kinds, _SCALE, out=piece[: KINDS * BANDS].reshape(KINDS, BANDS))
        self._recall(kinds)
        piece[KINDS * BANDS :] = (
            *self._singles(likely_left, likely_strict),
            *_voiced(self._past[2::2, end - _HEARD : end]),
            *self._history(),
        )
        return piece

    def _listen(self, windows: Samples) -> None:
        """The powers of a window in bands, what is expected of the echo, and what d and y have in common."""
        spectra = np.fft.rfft(windows * _HANN, norm=SINGLE).astype(np.complex64, copy=False).view(np.float32)
        np.square(spectra, out=self._products[1:])
        np.multiply(spectra[1], spectra[3], out=self._products[0])
        powers = self._powers
        np.matmul(self._products, _IN_BANDS, out=powers[:6])
        powers[1:6] += _NOTHING
        common = np.multiply(powers[2], powers[4])
        np.sqrt(common, out=common)
        np.divide(powers[0], common, out=self._kinds[5])
        self._far[self._windows % _ECHOING] = powers[1]
        self._windows += 1
        self._far.max(axis=0, out=powers[7])
        powers[6] *= _FADING
        np.maximum(powers[4], powers[6], out=powers[6])

    def _follow(self, excess: Samples) -> None:
        """What an echo normally leaves, where there is one. `excess`: by how many dB more is left now."""
        step = np.where(excess > 0, _RISE, _FALL)
        step *= self._powers[4] > 100 * _NOTHING
        self._left_db += step
        np.maximum(self._left_db, -35, out=self._left_db)
        np.minimum(self._left_db, 10, out=self._left_db)

    def _recall(self, kinds: Samples) -> None:
        """Of this window: e, y, a and d in dB, and what d and y have in common."""
        levels: Samples = np.empty((2, 4, BANDS), np.float32)
        decibels, powers = levels
        np.subtract(kinds[0], kinds[1], out=decibels[3])
        np.add(decibels[3], kinds[2:4], out=decibels[1:3])
        decibels[0] = kinds[0]
        np.multiply(decibels, _PER_DB, out=powers)
        np.exp(powers, out=powers)
        np.multiply(powers[1], powers[3], out=powers[2])
        np.sqrt(powers[2], out=powers[2])
        powers[2] *= kinds[5]
        recent = self._recent
        if self._windows == 1:
            recent[:] = levels[:, :, None]
        recent[:, :, :-1] = recent[:, :, 1:]
        recent[:, :, -1] = levels

    def _history(self) -> list[float]:
        """How much e, a and d rise and fall as the expected echo does, -1 to 1, over each of _RHYTHMS. What a wrong path leaves does, the
        user does not: of all numbers these helped most (cross entropy 0.19 -> 0.16). Then the echo's share in the microphone against what
        it should be: 1 where the path is right, whoever talks, near 0 after a jump (two-path, feature b); and what is left of the
        microphone."""
        of_windows = np.matmul(_OF_WINDOWS, self._recent)
        rhythms, over = of_windows[0, :, :_VARIED], of_windows[1, :, _VARIED:]
        products: Samples = np.empty((2, 4, _VARIED, BANDS), np.float32)
        np.multiply(rhythms, rhythms[1], out=products[0])
        np.square(rhythms, out=products[1])
        sums = (products.reshape(8, -1) @ _OF_RHYTHMS).T.reshape(len(_RHYTHMS), 2, 4).tolist()
        alike = [common[n] / sqrt((sizes[n] + 50) * (sizes[1] + 50)) for common, sizes in sums for n in _BESIDE_ECHO]
        left, expected, common, _ = (over / (over[3] + _LITTLE)).sum(axis=2).tolist()
        short, middle, long = (min(max(seen / (should + 0.03), -1), 2) for seen, should in zip(common, expected, strict=True))
        return [*alike, short, middle, log10(min(max(left[1] / BANDS, 1e-3), 4)), long]

    def _singles(self, likely_left: float, likely_strict: float) -> tuple[float, ...]:
        _, heard_x, d, e, _, _, _, could_echo = self._powers.sum(axis=1).tolist()
        if heard_x > 1000 * _NOTHING:
            self._far_windows += 1
            of_d, of_e = self._cancelled
            self._cancelled = of_d + 0.03 * (d - of_d), of_e + 0.03 * (e - of_e)
        return (
            _logit(likely_left) / 3,
            _logit(likely_strict) / 3,
            _single_db(self._cancelled[1] / self._cancelled[0], -30, 3) / 10,
            log10(1 + self._far_windows / 10) - 1,
            _single_db(could_echo / _NOTHING, 0, 90) / 30 - 2,
            _single_db(heard_x / could_echo, -60, 0) / 20,
            _single_db(d / _NOTHING, 0, 90) / 30 - 2,
        )


def _column(*numbers: float) -> Samples:
    return np.array(numbers, np.float32)[:, None]


def _in_bands() -> Samples:
    """Shape (2 * bins, BANDS): which bins, real and imaginary parts, add up to which band."""
    edges = np.array([hz * WINDOW // RATE_HZ for hz in _EDGES_HZ])
    bins = np.arange(WINDOW + 2)[:, None] // 2
    return ((bins >= edges[:-1]) & (bins < edges[1:])).astype(np.float32)


def _of_windows() -> Samples:
    """Shape (numbers, windows): of the last windows of each of _RHYTHMS, by how much each is above their mean; sums over _SPANS."""
    rows = np.zeros((_VARIED + len(_SPANS), _KEPT), np.float32)
    at = 0
    for count in _RHYTHMS:
        rows[at : at + count, -count:] = np.eye(count) - 1 / count
        at += count
    for row, count in zip(rows[at:], _SPANS, strict=True):
        row[-count:] = 1
    return rows


_HANN = np.hanning(WINDOW).astype(np.float32) * np.float32(WINDOW)  # makes up for the transform's norm
_IN_BANDS = _in_bands()
_VARIED = sum(_RHYTHMS)
_OF_WINDOWS = _of_windows()
#: Shape (_VARIED * BANDS, rhythms): what belongs to which.
_OF_RHYTHMS = np.repeat(np.eye(len(_RHYTHMS), dtype=np.float32), [count * BANDS for count in _RHYTHMS], axis=0)
_BESIDE_ECHO = (0, 2, 3)
#: In the order of kinds: bounds, and what makes numbers of about one of them.
_LEAST, _MOST = _column(0, -30, -40, -40, -20, -100, -40), _column(60, 6, 10, 6, 30, 100, 30)
_SCALE = _column(0.05, 0.1, 0.1, 0.1, 0.1, 1, 0.1)
_RISE, _FALL = np.float32(_UP), np.float32(-_DOWN)
_PER_DB = np.float32(log(10) / 10)
_LITTLE = np.float32(1e-9)


def _single_db(ratio: float, least: float, most: float) -> float:
    return min(max(10 * log10(ratio), least), most)


def _logit(likely: float) -> float:
    bounded = min(max(likely, 1e-3), 1 - 1e-3)
    return log(bounded / (1 - bounded))


# The autocorrelation at lag 0 and at those of a pitch, from a power spectrum: a fifth of an inverse transform's cost.
_LAGS = np.concatenate(([0], np.arange(_PITCH.start, _PITCH.stop)))
_TO_LAGS = (np.cos(2 * np.pi / 1024 * np.outer(np.arange(_VOICE.start, _VOICE.stop), _LAGS)) * 1024**2 / 512).astype(np.float32)


def _voiced(heard: Samples) -> list[float]:
    """How periodic each sound is at the pitch of a voice, 0 to 1: coughs and knocks are not."""
    size = np.abs(np.fft.rfft(heard, 1024, norm=SINGLE)[:, _VOICE])
    correlation = (size * size) @ _TO_LAGS
    highest = correlation[:, 1:].max(axis=1)
    return [most / (power + 1e-9) for most, power in zip(highest.tolist(), correlation[:, 0].tolist(), strict=True)]
