"""What a test sound and its recording tell of loudspeaker, room and microphone. Pure.

A logarithmic sweep, divided out of what was recorded of it, leaves the impulse response of the way between: where that begins
is the delay, its energy the echo return loss, its decay the reverberation. Distortion falls before its beginning (A. Farina,
"Simultaneous measurement of impulse response and distortion with a swept-sine technique", AES 108, 2000) and spoils none of it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_LOW_HZ, _HIGH_HZ = 100.0, 10_000.0
_FADE_IN_S, _FADE_OUT_S = 0.02, 0.01
#: Of the strongest bin: below that a bin is not divided by, it would be noise.
_REGULARISATION = 1e-4
#: An echo stands out of the rest of its response by this much at its peak; 20 000 samples of noise reach 13 dB.
_STANDS_OUT_DB = 18.0
#: Beyond this it is lost in 16 bits, whatever else is heard.
_WEAKEST_DB = 80.0
#: Its first arrival is within this of the peak; the pulse of a limited band has side lobes 13 dB down, 0.1 ms away.
_ONSET_DB = 13.0
_BEFORE_S = 0.005
#: Sound is taken to reach us no sooner than this before the clocks say so: those of devices are milliseconds off.
_EARLIEST_S = 0.05
_BLOCK_S, _TAIL_BLOCK_S = 0.02, 0.005
_TAIL_DB = 30.0
_LONGEST_TAIL_S = 0.5
_CLIPPED = 0.99
FLOOR_DBFS = -96.0


class Echo(NamedTuple):
    """What comes back of one sweep."""

    delay_ms: float
    return_loss_db: float
    tail_ms: float  # until all but a thousandth of its energy is there


class Levels(NamedTuple):
    """A recording of nobody in particular."""

    noise_dbfs: float
    offset_dbfs: float  # of a constant part
    digital_silence: bool  # no converter is that quiet: the microphone is switched off


def sweep(rate: int, seconds: float) -> Samples:
    """100 Hz to 10 kHz, the frequency growing by the same factor in the same time; peak 1, faded in and out."""
    times = np.arange(round(rate * seconds)) / rate
    growth = np.log(min(_HIGH_HZ, 0.42 * rate) / _LOW_HZ) / seconds
    sound = np.sin(2 * np.pi * _LOW_HZ / growth * np.expm1(growth * times))
    for fade_s, part in ((_FADE_IN_S, sound), (_FADE_OUT_S, sound[::-1])):
        frames = round(rate * fade_s)
        part[:frames] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(frames) / frames)
    return np.asarray(sound, np.float32)


def speech_like(rate: int, seconds: float) -> Samples:
    """Noise with the long-term spectrum, the syllables and the pauses of speech; peak 1, the same each time."""
    chance = np.random.default_rng(4)
    frames = round(rate * seconds)
    spectrum = np.fft.rfft(chance.standard_normal(frames))
    hertz = np.fft.rfftfreq(frames, 1 / rate)
    spectrum *= (hertz > 80) / (1 + (hertz / 500) ** 1.5)  # flat to 500 Hz, then 9 dB an octave down
    syllables = np.repeat(chance.choice([0.0, 0.3, 0.7, 1.0], size=frames * 5 // rate + 1, p=[0.15, 0.2, 0.3, 0.35]), rate // 5)[:frames]
    soft = np.hanning(rate // 20)
    sound = np.fft.irfft(spectrum, frames) * np.convolve(np.pad(syllables, (0, frames - len(syllables))), soft / soft.sum(), "same")
    return np.asarray(sound / np.abs(sound).max(), np.float32)


def response(played: Samples, recorded: Samples, *, weighted: bool = False) -> Samples:
    """The impulse response between a sweep and its recording, which begins at the same time; negative times at the end.
    `weighted` by the spectrum of the sweep: its energy is then what came back, as a part of what was played."""
    size = 1 << int(len(played) + len(recorded) - 1).bit_length()
    source = np.fft.rfft(played, size)
    power = np.abs(source) ** 2
    found = np.fft.rfft(recorded, size) * source.conj() / (power + _REGULARISATION * power.max())
    if weighted:
        found *= np.abs(source) / np.sqrt(power.mean())
    return np.fft.irfft(found, size).astype(np.float32)


def echo(played: Samples, recorded: Samples, rate: int) -> Echo | None:
    """The echo of a sweep; None where nothing of it is heard. `recorded` begins when `played` begins to be played, and ends a
    while after it: no echo that is later by more than that is found."""
    power = _heard(response(played, recorded), len(recorded) - len(played), rate) ** 2
    noise = _noise_power(power, rate)
    peak = float(np.max(power))
    if peak < 10 ** (-_WEAKEST_DB / 10) or peak < noise * 10 ** (_STANDS_OUT_DB / 10):
        return None
    onset = int(np.argmax(power >= max(peak * 10 ** (-_ONSET_DB / 10), noise * 10 ** (_STANDS_OUT_DB / 10))))
    first, end = max(0, onset - round(_BEFORE_S * rate)), onset + round(_LONGEST_TAIL_S * rate)
    returned = _heard(response(played, recorded, weighted=True), len(recorded) - len(played), rate) ** 2
    energy = returned[first:end].sum() - _noise_power(returned, rate) * len(returned[first:end])
    delay_ms = (onset - round(_EARLIEST_S * rate)) * 1000 / rate
    return Echo(delay_ms, float(-10 * np.log10(max(energy, 1e-12))), _tail_ms(power[onset:end], noise, rate))


def _heard(response: Samples, after: int, rate: int) -> NDArray[np.float64]:
    """The part of a response in which an echo can be."""
    return np.concatenate((response[-round(_EARLIEST_S * rate) :], response[:after])).astype(np.float64)


def _noise_power(power: NDArray[np.float64], rate: int) -> float:
    """A response's own noise: what its quieter parts have, since an echo fills no more than some of it."""
    return float(np.percentile(_blocks(power, round(_BLOCK_S * rate)), 30))


def _tail_ms(power: NDArray[np.float64], noise: float, rate: int) -> float:
    """Of what is above the noise."""
    block = round(_TAIL_BLOCK_S * rate)
    above = np.nonzero(_blocks(power, block) > 4 * noise)[0]
    if not len(above):
        return 0.0
    left = np.cumsum(power[: (above[-1] + 1) * block][::-1])[::-1]
    return float(np.nonzero(left >= left[0] * 10 ** (-_TAIL_DB / 10))[0][-1] * 1000 / rate)


def _blocks(power: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.asarray(power[: len(power) // size * size].reshape(-1, size).mean(axis=1))


def drift_ppm(first: Samples, last: Samples, apart: int) -> float:
    """By how much the recorder's clock is faster than the player's, from the responses to two sweeps `apart` samples."""
    size = len(first)
    match = np.fft.irfft(np.fft.rfft(last.astype(np.float64)) * np.fft.rfft(first.astype(np.float64)).conj(), size)
    at = int(np.argmax(match))
    before, here, after = (match[(at + step) % size] for step in (-1, 0, 1))
    between = 0.5 * (before - after) / (before - 2 * here + after) if before + after != 2 * here else 0.0
    lag = (at if at < size // 2 else at - size) + between
    return float(lag / apart * 1e6)


def levels(recorded: Samples) -> Levels:
    offset = float(recorded.mean()) if len(recorded) else 0.0
    return Levels(dbfs(recorded - np.float32(offset)), _db(offset**2), not recorded.any())


def dbfs(sound: Samples) -> float:
    """RMS, relative to a full-scale square wave, as voiced.audio.meter has it."""
    return _db(float(np.mean(sound.astype(np.float64) ** 2))) if len(sound) else FLOOR_DBFS


def clipped_ms(recorded: Samples, rate: int) -> float:
    return float(np.count_nonzero(np.abs(recorded) >= _CLIPPED) * 1000 / rate)


def spread(values: Sequence[float]) -> float:
    return max(values) - min(values) if values else 0.0


def median(values: Sequence[Any]) -> float:
    return float(np.median(values))


def _db(power: float) -> float:
    return max(FLOOR_DBFS, float(10 * np.log10(power))) if power > 0 else FLOOR_DBFS
