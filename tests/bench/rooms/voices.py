"""Synthetic speakers, and what they say as 16 kHz sound, kept in a cache between runs.

A speaker is a synthesiser's voice played faster or slower, which moves pitch and formants as another throat does. Of the
held-out speakers no one is among those to tune on, and who speaks at the near end never speaks at the far end.
"""

import hashlib
import os
import subprocess
import tempfile
import wave
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.bench.rooms.words import Split
from voiced.audio.resample import Resampler

Samples = NDArray[np.float32]

RATE_HZ = 16_000
_FRAME = RATE_HZ // 100
#: A frame this far below the loudest ones of an utterance is no speech any more.
_SILENCE_DB = 30.0


class Speaker(NamedTuple):
    engine: str  # "hibari", "flite" or "espeak-ng"
    voice: str
    pitch: float = 1.0  # by which pitch and formants are raised; the tempo stays
    transcribable: bool = True  # the recogniser understands the words when nothing disturbs (espeak-ng's: signal-packages 5)


FAR: dict[Split, tuple[Speaker, ...]] = {
    "tune": (Speaker("hibari", "heart"), Speaker("flite", "rms", 0.95), Speaker("flite", "awb", 0.95), Speaker("espeak-ng", "en-us+m3")),
    "held": (Speaker("hibari", "heart", 0.93), Speaker("flite", "slt", 0.93), Speaker("flite", "kal16"), Speaker("espeak-ng", "en-gb+f2")),
}
NEAR: dict[Split, tuple[Speaker, ...]] = {
    "tune": (
        Speaker("flite", "slt"),
        Speaker("hibari", "heart", 0.85),
        Speaker("flite", "kal16", 1.1),
        Speaker("espeak-ng", "en-us+f4", transcribable=False),
    ),
    "held": (
        Speaker("flite", "rms"),
        Speaker("hibari", "heart", 1.08),
        Speaker("flite", "awb", transcribable=False),
        Speaker("hibari", "heart", 0.79),
        Speaker("espeak-ng", "en-gb-scotland+f5", transcribable=False),
    ),
}


def say(speaker: Speaker, text: str) -> Samples:
    """The text as 16 kHz sound without silence around it, at -20 dBFS while there is speech."""
    return _say(speaker, text).copy()


def level_dbfs(sound: Samples) -> float:
    """RMS of the frames that hold speech."""
    power = _frame_power(sound)
    speech = power[power > power.max() * 10 ** (-_SILENCE_DB / 10)]
    return float(10 * np.log10(speech.mean() + 1e-12))


@cache
def _say(speaker: Speaker, text: str) -> Samples:
    name = hashlib.sha256(repr((2, speaker, text)).encode()).hexdigest()[:24]
    kept = _cache() / f"{name}.npy"
    if not kept.exists():
        sound = _trimmed(_synthesise(speaker, text))
        sound *= 10 ** ((-20 - level_dbfs(sound)) / 20)
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as new:
            np.save(new, sound)
        os.replace(new.name, kept)  # another process may be making the same
    loaded: Samples = np.load(kept)
    return loaded


def _cache() -> Path:
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voiced" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _frame_power(sound: Samples) -> NDArray[np.float64]:
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    power: NDArray[np.float64] = (frames * frames).mean(axis=1)
    return power


def _trimmed(sound: Samples) -> Samples:
    power = _frame_power(sound)
    speech = np.flatnonzero(power > power.max() * 10 ** (-_SILENCE_DB / 10))
    return sound[speech[0] * _FRAME : (speech[-1] + 1) * _FRAME].copy()


def _synthesise(speaker: Speaker, text: str) -> Samples:
    tempo = 1 / speaker.pitch
    rate, sound = _hibari(text, tempo) if speaker.engine == "hibari" else _program(speaker, text, tempo)
    resampler = Resampler(round(rate * speaker.pitch / 80) * 80, RATE_HZ)
    return np.concatenate((resampler.process(sound), resampler.flush(np.float32)))


@cache
def _hibari_voice() -> Any:
    import hibari

    return hibari.Hibari()


def _hibari(text: str, tempo: float) -> tuple[int, Samples]:
    return 24_000, np.asarray(_hibari_voice()(text, speed=tempo), np.float32)


def _program(speaker: Speaker, text: str, tempo: float) -> tuple[int, Samples]:
    with tempfile.TemporaryDirectory() as folder:
        said, file = Path(folder, "said.txt"), Path(folder, "sound.wav")
        said.write_text(text)
        if speaker.engine == "flite":
            options = ["-voice", speaker.voice, "--setf", f"duration_stretch={1 / tempo:.3f}", "-f", str(said), "-o", str(file)]
        else:
            options = ["-v", speaker.voice, "-s", str(round(165 * tempo)), "-f", str(said), "-w", str(file)]
        subprocess.run([speaker.engine, *options], check=True, capture_output=True, timeout=30)
        with wave.open(str(file)) as recorded:
            pcm = recorded.readframes(recorded.getnframes())
            return recorded.getframerate(), np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
