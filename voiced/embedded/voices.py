"""Speech synthesis, by the package hibari-tts or a program."""

import os
import shutil
import subprocess
from collections.abc import Callable

import numpy as np

from voiced.audio.resample import Resampler, Samples
from voiced.embedded.parts import NotHere, SpeechFailed
from voiced.messages import SAMPLE_RATE_HZ

#: No sentence of ours takes a program this long; one that hangs must not silence the server for good.
_PROGRAM_LIMIT_S = 20
#: Samples of 16 bits below this are quiet.
_QUIET = 150
_LEAD = SAMPLE_RATE_HZ * 20 // 1000
_BREATH = SAMPLE_RATE_HZ * 250 // 1000


class Hibari:
    """hibari-tts: 24 kHz, its voice in the wheel, 40 ms a sentence (signal-packages 5)."""

    name = "hibari"

    def __init__(self, voice: str | None = None) -> None:
        # Or else onnxruntime, which it runs on, sends what it does to Microsoft (its pull requests 27379 and 29843). To be set before.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import hibari
            from hibari.voices import VOICES
        except ImportError as error:
            raise NotHere("the package hibari-tts is not installed") from error
        self._hibari = hibari.Hibari(voice=voice) if voice in VOICES else hibari.Hibari()
        self._hibari("Ready.")  # its dictionaries load with the first sentence: 0.7 s nobody should wait for

    def speak(self, text: str, speed: float) -> bytes:
        try:
            sound = self._hibari(text, speed=speed)
        except Exception as error:  # a third party's, on text from anywhere
            raise SpeechFailed(f"hibari could not say it: {error}") from error
        return _s16le(np.asarray(sound) * 32767)


class Program:
    """A synthesiser that reads a text file and writes a WAV file."""

    def __init__(self, name: str) -> None:
        if shutil.which(name) is None:
            raise NotHere(f"the program {name} is not installed")
        self.name = name

    def speak(self, text: str, speed: float) -> bytes:
        # Both ways through files in memory: argv is for everybody to read, and flite hangs on pipes.
        with open(os.memfd_create("text"), "wb") as said, open(os.memfd_create("sound"), "rb") as sound_file:
            said.write(text.encode())
            said.flush()
            descriptors = (said.fileno(), sound_file.fileno())
            arguments = _ARGUMENTS[self.name](f"/dev/fd/{descriptors[0]}", f"/dev/fd/{descriptors[1]}", speed)
            try:
                subprocess.run([self.name, *arguments], capture_output=True, check=True, timeout=_PROGRAM_LIMIT_S, pass_fds=descriptors)
            except (OSError, subprocess.SubprocessError) as error:
                raise SpeechFailed(f"{self.name} failed: {error}") from error
            rate, sound = _from_wav(sound_file.read())
        resampler = Resampler(rate, SAMPLE_RATE_HZ)
        return _s16le(np.concatenate((resampler.process(sound), resampler.flush())))


def _flite(text: str, sound: str, speed: float) -> list[str]:
    return ["-voice", "slt", "--setf", f"duration_stretch={1 / speed:.2f}", "-f", text, "-o", sound]


def _espeak(text: str, sound: str, speed: float) -> list[str]:
    words_per_minute = round(165 * speed)
    return ["-v", "en-us", "-s", str(words_per_minute), "-f", text, "-w", sound]


#: How to ask each program: (text file, sound file, speed) -> arguments.
_ARGUMENTS: dict[str, Callable[[str, str, float], list[str]]] = {"flite": _flite, "espeak-ng": _espeak}


def _from_wav(wav: bytes) -> tuple[int, Samples]:
    """Rate and samples. The lengths in the header are not trusted: not every program goes back to fill them in."""
    start = wav.find(b"data") + 8
    if not wav.startswith(b"RIFF") or start < 44:
        raise SpeechFailed("the synthesiser wrote no WAV file")
    end = start + (len(wav) - start) // 2 * 2
    return int.from_bytes(wav[24:28], "little"), np.frombuffer(wav[start:end], "<i2")


def _s16le(samples: Samples) -> bytes:
    """A sentence without the quiet around it, but for a breath after it: hibari begins with 0.3 s of it, which would all
    be delay to the user."""
    loud = np.flatnonzero(np.abs(samples) > _QUIET)
    if not len(loud):
        return b""
    samples = samples[max(0, loud[0] - _LEAD) : loud[-1] + _BREATH]
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
