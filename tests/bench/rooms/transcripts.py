"""What a recogniser makes of an interruption, beside what was said."""

import re
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from tests.bench.rooms.score import Heard, Track
from tests.bench.rooms.streams import Stream
from tests.bench.rooms.voices import RATE_HZ, Samples

_BEFORE = RATE_HZ * 300 // 1000
_AFTER = RATE_HZ * 400 // 1000
#: As much as capture sends along with a confirmation.
_REPLAYED = RATE_HZ // 2


class Errors(NamedTuple):
    words: int  # that were said
    wrong: int  # substituted, left out and put in
    clean: int  # the same, of the user's voice alone


def errors(track: Track, confirmed: Heard, stream: Stream) -> Errors:
    """Of all utterances of a stream as they go on the wire and, for comparison, of the user's voice alone."""
    words = wrong = clean = 0
    for utterance, latency_ms in zip(stream.utterances, confirmed.latencies_ms, strict=True):
        if not utterance.transcribable:
            continue
        cut = slice(max(0, utterance.onset - _BEFORE), utterance.end + _AFTER)
        said = normalised(utterance.text)
        words += len(said)
        wrong += distance(said, normalised(_recognised(_on_the_wire(track, cut, utterance.onset, latency_ms))))
        clean += distance(said, normalised(_recognised(stream.speech[cut])))
    return Errors(words, wrong, clean)


def _on_the_wire(track: Track, cut: slice, onset: int, latency_ms: float | None) -> Samples:
    """Where an engine has a clear sound: silence until the interruption is confirmed, then half a second of that, then live."""
    if track.clear is None:
        return track.sound[cut]
    if latency_ms is None:
        return track.sound[:0]
    confirmed = onset + round(latency_ms * RATE_HZ / 1000)
    return np.concatenate((track.clear[max(0, confirmed - _REPLAYED) : confirmed], track.sound[confirmed : cut.stop]))


def normalised(text: str) -> list[str]:
    """The words, spelled as recognisers and we agree."""
    plain = re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("'", ""))
    return [word for each in plain.split() for word in _SPELLINGS.get(each, each).split()]


_SPELLINGS = {
    "okay": "ok",
    "doorbell": "door bell",
    "too": "to",
    "two": "to",
    "their": "there",
    "tomorrow": "to morrow",
    "4": "four",
    "10": "ten",
    "2": "to",
    "630": "half past six",
    "oclock": "o clock",
}


def distance(said: list[str], understood: list[str]) -> int:
    """Words substituted, left out and put in, at least."""
    row = list(range(len(understood) + 1))
    for n, word in enumerate(said, 1):
        before, row = row, [n]
        for m, other in enumerate(understood, 1):
            row.append(min(before[m] + 1, row[m - 1] + 1, before[m - 1] + (word != other)))
    return row[-1]


@cache
def _recogniser() -> Any:
    from moonshine_voice import ModelArch, get_model_path
    from moonshine_voice.transcriber import Transcriber

    options = {"vad_threshold": "0.0", "identify_speakers": "false"}
    return Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options=options)


def _recognised(sound: Samples) -> str:
    return _recognised_pcm(sound.tobytes())


@lru_cache(256)  # the user's voice alone comes with each engine, and the bare microphone with two
def _recognised_pcm(pcm: bytes) -> str:
    sound = np.frombuffer(pcm, np.float32)
    if not len(sound):
        return ""
    # Loud as from a good microphone: what is measured is the echo, not the level.
    peak = float(np.abs(sound).max())
    heard = sound * min(30.0, 0.5 / peak) if peak else sound
    transcript = _recogniser().transcribe_without_streaming(heard.tolist(), RATE_HZ)
    return " ".join(line.text.strip() for line in transcript.lines if line.text)
