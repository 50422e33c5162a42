"""What a user makes heard without talking: coughs, knocks, doors, clicks. All at a level of 1."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.bench.rooms.voices import RATE_HZ

Wave = NDArray[np.float64]


def cough(chance: np.random.Generator) -> Wave:
    """A burst of noise through three formants, often with a voiced end, sometimes twice."""
    count = int(chance.uniform(0.12, 0.4) * RATE_HZ)
    times, hz = np.arange(count) / RATE_HZ, np.fft.rfftfreq(count, 1 / RATE_HZ)
    formants = np.zeros(len(hz))
    noise = np.fft.rfft(chance.normal(0, 1, count))
    centres = (chance.uniform(350, 900), chance.uniform(1000, 1900), chance.uniform(2200, 3600))
    for centre, width in zip(centres, (200, 300, 500), strict=True):
        formants += chance.uniform(0.3, 1) / (1 + ((hz - centre) / width) ** 2)
    sound = np.fft.irfft(noise * (formants + 0.03), count)
    if chance.random() < 0.6:
        sound = _unit(sound) + _voiced(chance, times, formants)
    sound *= np.minimum(times / 0.008, 1) * np.exp(-times / chance.uniform(0.04, 0.15))
    if chance.random() < 0.4:
        sound = np.concatenate((sound, np.zeros(int(chance.uniform(0.05, 0.25) * RATE_HZ)), sound * chance.uniform(0.3, 0.9)))
    return _level(sound)


def _voiced(chance: np.random.Generator, times: Wave, formants: Wave) -> Wave:
    pitch = chance.uniform(90, 260) * (1 + 0.1 * chance.normal()) * np.linspace(1, chance.uniform(0.7, 1.1), len(times))
    pulses = (np.diff(np.floor(np.cumsum(pitch / RATE_HZ)), prepend=0) > 0).astype(float)
    sound = _unit(np.fft.irfft(np.fft.rfft(pulses) * (formants + 0.02), len(times)))
    return np.asarray(chance.uniform(0.2, 1.0) * sound * (times > chance.uniform(0, 0.12)))


def knock(chance: np.random.Generator) -> Wave:
    """Up to three blows on wood."""
    blows = []
    times = np.arange(int(0.12 * RATE_HZ)) / RATE_HZ
    for _ in range(int(chance.integers(1, 4))):
        blow = np.zeros(len(times))
        for _ in range(int(chance.integers(2, 6))):
            tone = np.sin(2 * np.pi * chance.uniform(70, 1500) * times + chance.uniform(0, 6))
            blow += chance.uniform(0.2, 1) * tone * np.exp(-times / chance.uniform(0.005, 0.05))
        blow[:40] += chance.normal(0, 0.6, 40)
        blows += [blow, np.zeros(int(chance.uniform(0.05, 0.25) * RATE_HZ))]
    return _level(np.concatenate(blows))


def door(chance: np.random.Generator) -> Wave:
    """A door that falls shut, or something heavy put down."""
    times = np.arange(int(0.4 * RATE_HZ)) / RATE_HZ
    blow = np.zeros(len(times))
    for _ in range(int(chance.integers(3, 7))):
        tone = np.sin(2 * np.pi * chance.uniform(60, 500) * times + chance.uniform(0, 6))
        blow += chance.uniform(0.2, 1) * tone * np.exp(-times / chance.uniform(0.03, 0.15))
    blow += chance.normal(0, chance.uniform(0.3, 2), len(times)) * np.exp(-times / chance.uniform(0.003, 0.02))
    return _level(blow)


def click(chance: np.random.Generator) -> Wave:
    """Keys and switches."""
    clicks = []
    for _ in range(int(chance.integers(1, 7))):
        count = int(chance.uniform(0.004, 0.02) * RATE_HZ)
        burst = chance.normal(0, 1, count) * np.exp(-np.arange(count) / RATE_HZ / chance.uniform(0.001, 0.006))
        clicks += [burst, np.zeros(int(chance.uniform(0.03, 0.2) * RATE_HZ))]
    return _level(np.concatenate(clicks))


NOISES: dict[str, Callable[[np.random.Generator], Wave]] = {"cough": cough, "knock": knock, "door": door, "click": click}


def background(chance: np.random.Generator, count: int, level_dbfs: float) -> Wave:
    """White, pink or brown."""
    colour, noise = int(chance.integers(0, 3)), chance.normal(0, 1, count)
    if colour:
        noise = np.fft.irfft(np.fft.rfft(noise) / np.maximum(np.fft.rfftfreq(count, 1 / RATE_HZ), 60) ** (0.5 * colour), count)
    return np.asarray(_unit(noise) * 10 ** (level_dbfs / 20))


def _unit(sound: Wave) -> Wave:
    return np.asarray(sound / np.sqrt(np.mean(sound**2) + 1e-20))


def _level(sound: Wave) -> Wave:
    power = (
        np.square(sound[: len(sound) // 320 * 320].reshape(-1, 320)).mean(axis=1) if len(sound) >= 320 else np.array([np.mean(sound**2)])
    )
    return np.asarray(sound / np.sqrt(power[power > power.max() * 1e-3].mean() + 1e-20))
