"""Sounds of no meaning with the loudness of speech, and rooms for them, to try cancellers on."""

import numpy as np

from voiced.audio.echo.interface import RATE_HZ, Samples


def babble(seed: int, seconds: float, level: float = 0.1) -> Samples:
    """Noise with a falling spectrum that comes and goes as syllables do."""
    random = np.random.default_rng(seed)
    count = int(seconds * RATE_HZ)
    spectrum = np.fft.rfft(random.normal(0, 1, count))
    spectrum /= np.maximum(np.fft.rfftfreq(count, 1 / RATE_HZ), 200) ** 0.7
    noise = np.fft.irfft(spectrum, count)
    syllables = np.repeat(random.choice([0.05, 0.5, 1.0, 1.5], count // 2400 + 1), 2400)[:count]
    sound = noise * syllables
    return np.asarray(level * sound / np.sqrt(np.mean(sound**2)), np.float32)


def response(seed: int, delay_ms: float = 40, tail_ms: float = 80, gain: float = 0.5) -> Samples:
    random = np.random.default_rng(seed)
    taps = int(tail_ms * RATE_HZ / 1000)
    tail = random.normal(0, 1, taps) * 10 ** (-3 * np.arange(taps) / taps)
    tail /= np.linalg.norm(tail) * 1.4
    tail[0] += 1
    return np.asarray(np.concatenate((np.zeros(int(delay_ms * RATE_HZ / 1000)), gain * tail / np.linalg.norm(tail))), np.float32)


def echoed(far: Samples, path: Samples, noise: float = 1e-3) -> Samples:
    size = len(far) + len(path)
    heard = np.fft.irfft(np.fft.rfft(far, size) * np.fft.rfft(path, size), size)[: len(far)]
    return np.asarray(heard + np.random.default_rng(9).normal(0, noise, len(far)), np.float32)


def lowered_db(before: Samples, after: Samples) -> float:
    return float(10 * np.log10(np.mean(before.astype(np.float64) ** 2) / np.mean(after.astype(np.float64) ** 2)))
