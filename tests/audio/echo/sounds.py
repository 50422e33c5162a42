"""Sounds for the cancellers, and what can be measured of them."""

import numpy as np

from voiced.audio.echo.interface import RATE_HZ


def syllables(seed: int, seconds: float, level: float = 0.1) -> np.ndarray:
    """Noise with the spectrum and the rhythm of speech, which cancellers take for speech."""
    random = np.random.default_rng(seed)
    frames = int(seconds * RATE_HZ)
    spectrum = np.fft.rfft(random.standard_normal(frames))
    hz = np.fft.rfftfreq(frames, 1 / RATE_HZ)
    spectrum *= (hz > 100) / (1 + (hz / 500) ** 2) ** 0.5
    places = np.arange(0, frames + 4000, 4000)
    rhythm = np.interp(np.arange(frames), places, random.choice([0.05, 0.5, 1.0, 1.5], len(places)))
    sound = np.fft.irfft(spectrum, frames) * rhythm
    return (sound * level / np.sqrt(np.mean(sound**2))).astype(np.float32)


def lag(of: np.ndarray, behind: np.ndarray) -> int:
    """Samples by which the one comes after the other."""
    size = 2 * len(of)
    together = np.fft.irfft(np.fft.rfft(of, size) * np.conj(np.fft.rfft(behind, size)), size)
    at = int(np.argmax(together))
    return at if at < len(of) else at - size


def in_pieces(process, *sounds: np.ndarray, frames: int = 320) -> np.ndarray:
    return np.concatenate([process(*(s[at : at + frames] for s in sounds)) for at in range(0, len(sounds[0]), frames)])


def db(sound: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-12))
