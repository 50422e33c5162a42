"""Sound that can be recognised: noise of which every stretch occurs once, and where in it a recording is."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RATE_HZ = 24_000
Samples = npt.NDArray[np.float64]

#: Enough noise to be found again beyond doubt, and its end clear of a fade after an abort (5 ms at most).
_PROBE = RATE_HZ * 30 // 1000
_LEAST_PROBE = RATE_HZ * 2 // 1000
_CLEAR_OF_FADE = RATE_HZ * 6 // 1000
_SURE = 0.8
_HOLE = RATE_HZ // 1000
#: So many samples of noise occur nowhere else.
_ANCHOR = 16


def noise(seconds: float, seed: int) -> bytes:
    """s16le noise at about -16 dBFS without a single zero sample."""
    count = round(seconds * RATE_HZ)
    samples = np.random.default_rng(seed).integers(-9000, 9000, count, dtype=np.int16)
    return (samples | 1).astype("<i2").tobytes()


def as_samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def place(heard: Samples, last: int, source: Samples) -> float | None:
    """How many samples of `source` had been played when sample `last` of the recording was.

    None where the recording's end is no part of it.
    """
    # A hole belongs to no source; a single zero sample is none: a resampled signal crosses zero.
    sounding = np.flatnonzero(heard[: last + 1])
    after_holes = sounding[1:][np.diff(sounding) > _HOLE]
    begin = int(after_holes[-1]) if len(after_holes) else 0
    end = last - _CLEAR_OF_FADE
    probe = heard[max(begin, end - _PROBE) : max(begin, end)]
    if len(probe) < _LEAST_PROBE:
        return None
    size = 1 << (len(source) + len(probe)).bit_length()
    spectrum = np.fft.rfft(source, size) * np.conj(np.fft.rfft(probe, size))
    match = np.fft.irfft(spectrum, size)[: len(source) - len(probe) + 1]
    at = int(match.argmax())
    likeness = match[at] / (np.linalg.norm(source[at : at + len(probe)]) * np.linalg.norm(probe))
    return float(at + len(probe) + last + 1 - end) if likeness > _SURE else None


def gaps(heard: Samples) -> list[int]:
    """The lengths of the runs of silence inside a recording of `noise`, ends apart."""
    sounding = np.flatnonzero(heard)
    steps = np.diff(sounding)
    return [int(step) - 1 for step in steps[steps > 1]]


def stretches(told: bytes, source: bytes) -> list[tuple[int, int]]:
    """Which stretches of `source`, noise, `told` consists of: first sample and end of each, in the order of `told`.

    What is not to the sample as in the source, silence among it, belongs to none.
    """
    theirs, ours = np.frombuffer(told, "<i2"), np.frombuffer(source, "<i2")
    found = []
    at = 0
    while at + _ANCHOR <= len(theirs):
        sounding = np.flatnonzero(theirs[at:])
        if not len(sounding):
            break
        at += int(sounding[0])
        place = _find(source, told[2 * at : 2 * (at + _ANCHOR)])
        if place is None:
            at += _ANCHOR
            continue
        most = min(len(theirs) - at, len(ours) - place)
        different = np.flatnonzero(theirs[at : at + most] != ours[place : place + most])
        length = int(different[0]) if len(different) else most
        found.append((place, place + length))
        at += length
    return found


def missing(told: Sequence[tuple[int, int]]) -> int:
    """How many samples these stretches leave out, between the first and the last that they have."""
    have = np.zeros(max(end for _, end in told), bool)
    for first, end in told:
        have[first:end] = True
    return int(np.count_nonzero(~have[min(first for first, _ in told) :]))


def _find(source: bytes, probe: bytes) -> int | None:
    at = source.find(probe)
    while at % 2 and at >= 0:
        at = source.find(probe, at + 1)
    return at // 2 if at >= 0 else None
