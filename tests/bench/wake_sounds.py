"""What the wake word's detector is given: calls of the words, and sounds in which nobody calls."""

import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from tests.bench.rooms import rooms, voices
from tests.bench.rooms.voices import RATE_HZ, Samples, Speaker
from tests.bench.rooms.words import ANSWERS, INTERRUPTIONS, Split
from voiced.audio.resample import Resampler
from voiced.embedded.parts import Voice
from voiced.embedded.voices import Hibari, Program
from voiced.messages import SAMPLE_RATE_HZ

#: Of the speech, while there is some; the room's noise is at -60.
LEVELS_DBFS = (-20.0, -32.0, -44.0)
_NOISE_DBFS = -60.0
#: How each word is spelled for a synthesiser, so that it sounds like it.
SAID = {"okay_nabu": "okay naboo", "hey_jarvis": "hey jarvis", "hey_mycroft": "hey my croft", "alexa": "alexa"}
_ALONE = "{}."
_CALLS = (_ALONE, "{}, what time is it?", "{}, turn off the kitchen light.", "{}. Set an alarm for half past six.")
_CALLERS = (
    *(Speaker("flite", voice, pitch) for voice in ("slt", "rms", "awb") for pitch in (0.95, 1.0, 1.07)),
    *(Speaker("flite", "kal16", pitch) for pitch in (1.0, 1.1)),
    *(Speaker("hibari", "heart", pitch) for pitch in (0.79, 0.85, 0.93, 1.0, 1.08, 1.15)),
    *(Speaker("espeak-ng", f"en-us{variant}") for variant in ("", "+m3", "+m7", "+f4")),
    *(Speaker("espeak-ng", f"en-gb{variant}") for variant in ("", "+f2", "-scotland+f5", "-x-rp+m3")),
)
_LEAD_S, _TAIL_S = 1.5, 1.0
#: Every so often somebody says what nearly is one of the words.
_NEARLY_EVERY = 20
_NEARLY = (
    "Okay, now, where were we?",
    "Okay, nobody knows.",
    "Okay, not before noon.",
    "Hey, Travis, come in.",
    "Hey, the harvest is over.",
    "Hey, Marcus is here.",
    "Hey, my craft is pottery.",
    "They might drop it.",
    "Alex and I went home.",
    "Alexander asked Alexis.",
    "A lexicon is a book of words.",
    "I like Sara and the others.",
)


class Call(NamedTuple):
    sound: Samples
    engine: str
    begin: int  # of the word, in samples
    word_end: int | None  # in samples, where nothing follows the word


def calls(word: str, level_dbfs: float, count: int, after: str = "") -> Iterator[Call]:
    """Each caller alone and with a request that follows without a pause; every other one sits a metre away.

    `after`: what the same voice says half a second before.
    """
    for number in range(count):
        rng = np.random.default_rng([1, number])
        caller, text = _CALLERS[number % len(_CALLERS)], _CALLS[number // len(_CALLERS) % len(_CALLS)]
        said = voices.say(caller, text.format(SAID[word]))
        before = np.concatenate((voices.say(caller, after), _silence(0.5))) if after else _silence(0)
        sound = np.concatenate((_silence(_LEAD_S), before, said, _silence(_TAIL_S))) * np.float32(10 ** ((level_dbfs + 20) / 20))
        if number % 2:
            sound = rooms.convolved(sound, rooms.impulse_response(120, 6, rng))
        begin = round(_LEAD_S * RATE_HZ) + len(before)
        yield Call(_blocks(sound + _noise(len(sound), rng)), caller.engine, begin, begin + len(said) if text is _ALONE else None)


def own_calls(word: str, count: int) -> Iterator[tuple[Samples, Samples]]:
    """Microphone and reference of rooms in which the assistant's loudspeakers say the word; one time in four it is the first
    thing that they say, else it comes in the course of an answer."""
    speakers, answers = voices.FAR["held"], ANSWERS["held"]
    for number in range(count):
        rng = np.random.default_rng([2, number])
        speaker = speakers[number % len(speakers)]
        before = _silence(1) if number % 4 == 0 else voices.say(speaker, answers[number % len(answers)])
        asked = voices.say(speaker, f"Just say {SAID[word]}, and I will listen.")
        far = _blocks(np.concatenate((before, _silence(0.3), asked, _silence(_TAIL_S))))
        place = rooms.room(rooms.WITH_ECHO[number % len(rooms.WITH_ECHO)], "held", number, echo_db=float(rng.uniform(-15, 0)))
        near = rooms.echo(place, far, rng) + _noise(len(far), rng)
        yield np.clip(near, -1, 1).astype(np.float32), far


def speech_like(part: int, seconds: float) -> Iterator[Samples]:
    """In turns: several people at once, speech backwards, and noise with the spectrum of speech as it changes."""
    rng = np.random.default_rng([3, part])
    left = round(seconds * RATE_HZ)
    turn = 0
    while left > 0:
        made = (_babble, _backwards, _noisy)[turn % 3](rng)[:left]
        turn += 1
        left -= len(made)
        yield _somewhere(made, rng)


def assistant(part: int, seconds: float) -> Iterator[Samples]:
    """The voices that the embedded server has, mostly its best one, in full and not cancelled."""
    rng = np.random.default_rng([4, part])
    voice = _voice(("hibari", "hibari", "flite", "hibari", "espeak-ng", "hibari")[part % 6])
    left = round(seconds * RATE_HZ)
    for sentence in _sentences(part):
        pcm = np.frombuffer(voice.speak(sentence, 1.0), "<i2").astype(np.float32) / np.float32(32768)
        resampler = Resampler(SAMPLE_RATE_HZ, RATE_HZ)
        said = np.concatenate((resampler.process(pcm), resampler.flush(np.float32)))[:left]
        left -= len(said)
        yield _somewhere(said, rng)
        if left <= 0:
            return


OTHERS: dict[str, Callable[[int, float], Iterator[Samples]]] = {"noise like speech": speech_like, "its own voice": assistant}


def _babble(rng: np.random.Generator) -> Samples:
    streams = [np.concatenate([_any(rng) for _ in range(3)]) for _ in range(4)]
    length = min(len(stream) for stream in streams)
    return np.asarray(np.sum([stream[:length] for stream in streams], axis=0), np.float32)


def _backwards(rng: np.random.Generator) -> Samples:
    return np.concatenate([_any(rng)[::-1] for _ in range(3)])


def _noisy(rng: np.random.Generator) -> Samples:
    """The short-time spectrum's magnitudes of speech backwards, its phases by chance."""
    speech = _backwards(rng)
    size, hop = 512, 128
    window = np.hanning(size)
    out = np.zeros(len(speech) + size)
    for at in range(0, len(speech) - size, hop):
        spectrum = np.abs(np.fft.rfft(speech[at : at + size] * window)) * np.exp(2j * np.pi * rng.random(size // 2 + 1))
        out[at : at + size] += np.fft.irfft(spectrum) * window
    return np.asarray(out[: len(speech)], np.float32)


def _any(rng: np.random.Generator) -> Samples:
    """Something that the echo's benchmark has had synthesised already."""
    split: Split = "tune" if rng.random() < 0.5 else "held"
    return voices.say(voices.FAR[split][rng.integers(4)], str(rng.choice(ANSWERS[split])))


def _somewhere(sound: Samples, rng: np.random.Generator) -> Samples:
    """At a level between those of the calls, in the noise of the room."""
    level = float(rng.uniform(LEVELS_DBFS[-1], LEVELS_DBFS[0]))
    scaled = sound * np.float32(10 ** ((level - voices.level_dbfs(sound)) / 20))
    return np.asarray(np.clip(scaled + _noise(len(sound), rng), -1, 1), np.float32)


@cache
def _voice(name: str) -> Voice:
    return Hibari() if name == "hibari" else Program(name)


@cache
def _written() -> tuple[str, ...]:
    """Sentences of prose: those of the echo's benchmark and what Python's own manual has."""
    from pydoc_data.topics import topics

    paragraphs = [" ".join(each.split()) for topic in topics.values() for each in topic.split("\n\n") if each[:1].isalpha()]
    sentences = [sentence for each in paragraphs for sentence in re.split(r"(?<=[.?!])\s+", each)]
    plain = [sentence for sentence in sentences if re.fullmatch(r"[A-Z][A-Za-z ,'-]{25,160}[.?!]", sentence)]
    ours = [*ANSWERS["tune"], *ANSWERS["held"], *INTERRUPTIONS["tune"], *INTERRUPTIONS["held"]]
    return tuple(dict.fromkeys(ours + plain))


def _sentences(part: int) -> Iterator[str]:
    """Without end and hardly ever the same: one sentence's beginning with another one's end."""
    dice = random.Random(part)
    written = _written()
    number = 0
    while True:
        number += 1
        if number % _NEARLY_EVERY == 0:
            yield _NEARLY[number // _NEARLY_EVERY % len(_NEARLY)]
        first, last = dice.choice(written).split(), dice.choice(written).split()
        yield " ".join(first[: dice.randint(2, max(2, len(first) - 1))] + last[dice.randint(0, max(0, len(last) - 3)) :])


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def _noise(count: int, rng: np.random.Generator) -> Samples:
    return rng.standard_normal(count).astype(np.float32) * np.float32(10 ** (_NOISE_DBFS / 20))


def _blocks(sound: Samples) -> Samples:
    return sound[: len(sound) // 320 * 320].astype(np.float32)
