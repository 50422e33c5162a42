"""Sounds that are no speech and must not interrupt: coughs, knocks and key clicks."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tests.bench.rooms.voices import RATE_HZ, Samples, level_dbfs

Name = Literal["cough", "knock", "click"]
NAMES: tuple[Name, ...] = get_args(Name)

_MS = RATE_HZ // 1000
_Sound = NDArray[np.float64]


def make(name: Name, rng: np.random.Generator) -> Samples:
    """One of them, each time another, at -20 dBFS while it sounds."""
    sound = {"cough": _cough, "knock": _knocks, "click": _clicks}[name](rng)
    loud = np.asarray(sound, np.float32)
    return np.asarray(loud * 10 ** ((-20 - level_dbfs(loud)) / 20), np.float32)


def _cough(rng: np.random.Generator) -> _Sound:
    """A burst of breath, noise through the throat's resonances, and now and then a voiced end; once or twice."""
    return np.concatenate([_one_cough(rng) for _ in range(int(rng.integers(1, 3)))])


def _one_cough(rng: np.random.Generator) -> _Sound:
    count = round(float(rng.uniform(180, 350)) * _MS)
    time = np.arange(count) / RATE_HZ
    source = rng.standard_normal(count)
    if rng.random() < 0.5:
        pitch = float(rng.uniform(110, 260)) * (1 - 0.5 * time / time[-1])
        voiced = np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ) ** 9 * 3
        source += voiced * np.clip((time - 0.08) / 0.05, 0, 1)
    formants = (float(rng.uniform(450, 750)), float(rng.uniform(1000, 1600)), float(rng.uniform(2200, 3000)))
    sound = sum(_resonance(source, hz, hz / 6) for hz in formants) + 0.15 * source
    rise, fall = 0.004, float(rng.uniform(0.04, 0.09))
    envelope = np.clip(time / rise, 0, 1) * (np.exp(-time / fall) + 0.25 * np.exp(-(((time - 0.15) / 0.06) ** 2)))
    return np.concatenate((sound * envelope, np.zeros(round(float(rng.uniform(40, 120)) * _MS))))


def _knocks(rng: np.random.Generator) -> _Sound:
    """One to three blows on wood, or a door that falls shut."""
    door = rng.random() < 0.25
    blows = 1 if door else int(rng.integers(1, 4))
    gap = round(float(rng.uniform(110, 260)) * _MS)
    out = np.zeros(gap * blows + 400 * _MS)
    body = [(float(rng.uniform(70, 500)), float(rng.uniform(0.06 if door else 0.01, 0.15 if door else 0.04))) for _ in range(4)]
    for n in range(blows):
        time = np.arange(300 * _MS) / RATE_HZ
        modes = sum(np.sin(2 * np.pi * hz * time + rng.uniform(0, 6)) * np.exp(-time / fall) for hz, fall in body)
        crack = rng.standard_normal(len(time)) * np.exp(-time / 0.006)
        out[n * gap : n * gap + len(time)] += modes + crack * (1.5 if door else 0.8)
    return out


def _clicks(rng: np.random.Generator) -> _Sound:
    """Someone types a few letters."""
    keys = int(rng.integers(1, 7))
    out = np.zeros(keys * 220 * _MS + 200 * _MS)
    at = 0
    for _ in range(keys):
        for begin, loudness in ((at, 1.0), (at + round(float(rng.uniform(60, 110)) * _MS), 0.5)):
            time = np.arange(30 * _MS) / RATE_HZ
            tick = rng.standard_normal(len(time)) * np.exp(-time / 0.002)
            ring = np.sin(2 * np.pi * float(rng.uniform(1500, 4500)) * time) * np.exp(-time / 0.004)
            out[begin : begin + len(time)] += loudness * (tick + ring)
        at += round(float(rng.uniform(90, 220)) * _MS)
    return out


def _resonance(source: _Sound, hz: float, width_hz: float) -> _Sound:
    spectrum = np.fft.rfft(source)
    frequencies = np.fft.rfftfreq(len(source), 1 / RATE_HZ)
    return np.fft.irfft(spectrum / (1 + 1j * (frequencies**2 - hz**2) / (np.maximum(frequencies, 1) * width_hz)), len(source))
