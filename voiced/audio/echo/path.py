"""The echo's path as weights of a partitioned filter: moving it in time, and finding out by how much it moved.

A path that has been learned stays true when 40 ms are lost or the clocks differ: it only has to be moved. So nothing is learned
again after a jump (ERLE is back within a second, where learning takes two to five), and drift is taken out before it does harm.
"""

import numpy as np
from numpy.typing import NDArray

from voiced.audio.echo.interface import RATE_HZ, Samples
from voiced.audio.spectrum import SINGLE

#: (partitions, bins) of the transforms of BLOCK taps each, with as many zeros behind them.
Weights = NDArray[np.complex64]

_FROM_HZ, _TO_HZ = 200, 5700
#: The microphone's and the echo's last 256 ms are compared: a jump of 40 ms leaves most of them in common.
COMPARED = 4096
#: Jumps are searched up to 56 ms. A peak says that the echo is where it points only if it stands out from the one at zero,
#: and is 0.12 of what two equal sounds give (right in all of 40 jumps, never there when a user talked or the room changed).
_FARTHEST = 900
_AT_ZERO = 1
_SURE = 0.12
_OVER_ZERO = 2.0
#: A drift is seen to a sixteenth of a sample.
_FINE = 16
_SLOWEST = 14
#: Two paths that are less alike than this are not the same one moved: 0.5 to 1 are seen while it drifts, 0.2 after it was exchanged.
_ALIKE = 0.3


def moved(weights: Weights, samples: int) -> Weights:
    """The path later by so many samples (earlier if negative); what leaves the filter at an end is lost."""
    partitions, bins = weights.shape
    block = bins - 1
    taps = np.fft.irfft(weights, axis=1)[:, :block].ravel()
    shifted = np.zeros((partitions, 2 * block), np.float32)
    there = np.zeros_like(taps)
    if samples > 0:
        there[samples:] = taps[:-samples]
    else:
        there[: max(0, len(taps) + samples)] = taps[-samples:]
    shifted[:, :block] = there.reshape(partitions, block)
    return np.fft.rfft(shifted, axis=1).astype(np.complex64)


def drifted(now: Weights, before: Weights) -> float | None:
    """By how many samples the path is later than it was: the peak of the correlation of the two. None if nothing can be said."""
    bins = now.shape[1]
    band = slice(bins * 2 * _FROM_HZ // RATE_HZ, bins * 2 * _TO_HZ // RATE_HZ)
    cross = np.zeros(bins, np.complex64)
    cross[band] = (now[:, band] * np.conj(before[:, band])).sum(axis=0)
    whole = 2 * np.sqrt(np.sum(np.abs(now[:, band]) ** 2) * np.sum(np.abs(before[:, band]) ** 2))
    length = 2 * (bins - 1) * _FINE
    around = _around_zero(np.fft.irfft(cross, length) * length, _SLOWEST * _FINE)
    at = int(np.argmax(around))
    likeness = around[at] / (whole + 1e-20)
    return (at - _SLOWEST * _FINE) / _FINE if likeness > _ALIKE and 0 < at < len(around) - 1 else None


def jumped(near: Samples, echo: Samples) -> int | None:
    """By how many samples what is heard comes later than the `echo` that was expected; None if it can't be told or did not.

    Both COMPARED samples long. Phases alone are compared (GCC-PHAT); the room's are the same in both, so the peak is sharp.
    """
    heard, expected = np.fft.rfft((near, echo), 2 * COMPARED, norm=SINGLE)
    cross = heard * np.conj(expected)
    first, last = (2 * COMPARED * hz // RATE_HZ for hz in (_FROM_HZ, _TO_HZ))
    correlation = np.fft.irfft(phases(cross, first, last), 2 * COMPARED) * (COMPARED / (last - first))
    around = _around_zero(correlation, _FARTHEST)
    peak = int(np.argmax(np.abs(around)))
    unmoved = np.abs(around[_FARTHEST - _AT_ZERO : _FARTHEST + _AT_ZERO + 1]).max()
    sure = around[peak] > _SURE and around[peak] > _OVER_ZERO * unmoved
    return peak - _FARTHEST if sure and abs(peak - _FARTHEST) > _AT_ZERO else None


def phases(cross: NDArray[np.complexfloating], first: int, last: int) -> NDArray[np.complexfloating]:
    """Of a cross spectrum, what GCC-PHAT compares: those of the bins from `first` to `last`, the weakest less than the others."""
    cross[:first] = 0
    cross[last:] = 0
    size = np.abs(cross)
    return np.asarray(cross / (size + 1e-3 * size.max() + 1e-20))


def strongest(weights: Weights) -> int:
    """Where the strongest tap is, in samples."""
    taps = np.fft.irfft(weights, axis=1)[:, : weights.shape[1] - 1]
    return int(np.argmax(np.abs(taps.ravel())))


def _around_zero(correlation: NDArray[np.floating], reach: int) -> NDArray[np.floating]:
    return np.concatenate((correlation[-reach:], correlation[: reach + 1]))
