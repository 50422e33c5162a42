"""Open loudspeakers, whole: the real daemon and its embedded server, what it says coming back into its microphone.

The echo path is a loopback of the sound server's; the room of tests.bench.rooms is more of one, this has the devices.
"""

import random
import subprocess
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tests.bench.options import Options
from tests.bench.programs import Voiced
from tests.bench.sounds import RATE_HZ, Samples, as_samples
from tests.bench.stage import progress
from tests.bench.table import Figure
from voicectl.client import Client, Events
from voiced.audio.resample import Resampler
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import PulseServer, SoundServer

_DELAY_MS = 60
_ECHO_DB = -6.0
#: Said by voices that are not the assistant's.
_PHRASES = ("Stop, please stop reading now.", "Wait, I have a question for you.", "Could you tell me the time instead?")
_VOICES = ("slt", "rms", "awb")
_TIMEOUT_S = 30.0
#: A voice begins where its clip reaches this part of its loudest.
_ONSET = 0.05
_SETTLED_S = 4.0
_PAUSE_MS = 700.0


class _Interruption(NamedTuple):
    ducked_ms: float | None
    silent_ms: float | None
    #: What happened before anybody spoke.
    false: dict[str, int]


def loudspeakers(options: Options) -> Iterator[Figure]:
    """Interruptions of a story, and how long it is told without one."""
    with TemporaryDirectory(prefix="voiced-bench-") as made, PulseServer() as sound, sound.recorder() as heard:
        clips = [_clip(Path(made), text, voice) for voice in _VOICES for text in _PHRASES]
        sound.load_echo(_DELAY_MS, _ECHO_DB)
        sound.listen_to_microphone()
        with _Embedded(sound) as program, Client(program.runtime_dir) as client:
            progress(f"loudspeakers: {options.told_minutes:g} min of story")
            false = _tell(client, options.told_minutes * 60)
            progress(f"loudspeakers: {options.samples} interruptions")
            rounds = [_interrupt(sound, heard, client, clips[n % len(clips)], n) for n in range(options.samples)]
    yield Figure(f"echo at {_ECHO_DB:g} dB: self-interruptions in {options.told_minutes:g} min", "count", [false["flush"]], 0)
    yield Figure("  its voice lowered for nothing", "count", [false["duck"]])
    begun = f"in the first seconds of {len(rounds)} answers"
    yield Figure("  self-interruptions at a beginning", "count", [sum(each.false["flush"] for each in rounds)], 0, note=begun)
    yield Figure("  its voice lowered for nothing there", "count", [sum(each.false["duck"] for each in rounds)], note=begun)
    ducked = [each.ducked_ms for each in rounds if each.ducked_ms is not None]
    silent = [each.silent_ms for each in rounds if each.silent_ms is not None]
    yield Figure("  interruptions not heard", "count", [len(rounds) - len(silent)], 0, note=f"of {len(rounds)}")
    yield Figure("  onset of your voice → lowered", "ms", ducked, 130)
    yield Figure("  onset of your voice → silence", "ms", silent, 250)


class _Embedded(Voiced):
    """The daemon with the server that is built in."""

    def __init__(self, sound: SoundServer) -> None:
        super().__init__("", sound)
        (self._directory / "config.toml").write_text('[realtime]\nprovider = "embedded"\n')


def _tell(client: Client, seconds: float) -> dict[str, int]:
    """Has stories told for so long; counts what stopped or lowered the voice meanwhile."""
    with client.events("flush", "duck", "state") as told:
        client.ask("Tell me a story.")
        found = _count(told, seconds, again=lambda: client.ask("Tell me a story."))
        client.interrupt()
    return found


def _count(told: Events, seconds: float, again: Callable[[], object] = lambda: None) -> dict[str, int]:
    """How often it fell silent or lowered its voice in that time; `again` is for when it has nothing more to say."""
    found = {"flush": 0, "duck": 0}
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0 and (event := told.next(left_s)) is not None:
        by_ear = event.topic == "flush" and event.data["reason"] in ("local", "speech_started")  # and not by `ask`
        if by_ear or (event.topic == "duck" and event.data["lowered"]):
            found[event.topic] += 1
        if event.topic == "state" and event.data["state"] in ("listening", "idle"):
            again()
    return found


def _interrupt(sound: SoundServer, heard: Recorder, client: Client, clip: bytes, seed: int) -> _Interruption:
    with client.events("flush", "duck", "state") as told:
        client.ask("Tell me a story.")
        _await_state(told, "speaking")
        false = _count(told, _SETTLED_S + random.Random(seed).uniform(0, 2))  # it shall be in the middle of it, anywhere
        microphone = sound.listen_to_microphone()
        before = microphone.samples
        speech = sound.play(clip)
        ducked_ns = flushed = None
        while flushed is None and (event := told.next(3.0)) is not None:
            if event.topic == "duck" and event.data["lowered"] and ducked_ns is None:
                ducked_ns = time.monotonic_ns()
            if event.topic == "flush":
                flushed = event
        speech.wait()
        onset_ns = microphone.time_ns(before + _place(as_samples(microphone.sound(before)), as_samples(clip)) + _onset(clip))
        silent_ns = None
        if flushed is not None:
            silent_ns = _silent_ns(heard, heard.sample_at(onset_ns))
        _settle(client, told)
    return _Interruption(_ms(ducked_ns, onset_ns), _ms(silent_ns, onset_ns), false)


def _settle(client: Client, told: Events) -> None:
    """Waits until the answer to what was said has begun, and ends it: the next round begins in silence."""
    deadline_s = time.monotonic() + _SETTLED_S
    while (event := told.next(max(0.0, deadline_s - time.monotonic()))) is not None:
        if event.topic == "state" and event.data["state"] == "speaking":
            break
    client.interrupt()


def _await_state(told: Events, state: str) -> None:
    while (event := told.next(_TIMEOUT_S)) is not None:
        if event.topic == "state" and event.data["state"] == state:
            return
    raise TimeoutError(f"voiced was not {state} within {_TIMEOUT_S:g} s")


def _ms(at_ns: int | None, since_ns: int) -> float | None:
    return None if at_ns is None else (at_ns - since_ns) / 1e6


def _silent_ns(heard: Recorder, since: int) -> int:
    """The end of the last sound before a quiet longer than any pause of the voice's."""
    return heard.time_ns(heard.wait_for_silence(_PAUSE_MS, _TIMEOUT_S, since=since) + 1)


def _clip(directory: Path, text: str, voice: str) -> bytes:
    path = directory / "clip.wav"
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
    with wave.open(str(path), "rb") as file:
        return _resampled(file.readframes(file.getnframes()), file.getframerate())


def _resampled(pcm: bytes, rate_hz: int) -> bytes:
    samples: npt.NDArray[np.int16] = Resampler(rate_hz, RATE_HZ).process(np.frombuffer(pcm, "<i2"))
    return samples.tobytes()


def _onset(clip: bytes) -> int:
    """The sample with which somebody begins to speak."""
    loudness = abs(as_samples(clip))
    return int((loudness > _ONSET * loudness.max()).argmax())


def _place(heard: Samples, said: Samples) -> int:
    """Where in the recording the clip begins, whatever else is in it."""
    size = 1 << (len(heard) + len(said)).bit_length()
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    return int(match[: len(heard)].argmax())
