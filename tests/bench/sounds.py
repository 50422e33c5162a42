"""Sound that can be recognised: noise of which every stretch occurs once, and where in it a recording is."""

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
