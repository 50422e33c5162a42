"""Streams of sound as capture gets them: microphone and reference, with the truth about both.

    stream = build(Scene("interrupted", "room", "tune", seed=3, ratio_db=-6))

The reference is as it was handed to the device. A jump or drift of the clocks shows in the echo alone: no time stamp tells of it.
"""

from typing import Literal, NamedTuple

import numpy as np

from tests.bench.rooms import rooms, transients, voices, words
from tests.bench.rooms.rooms import Kind
from tests.bench.rooms.voices import RATE_HZ, Samples
from tests.bench.rooms.words import Split

_NOISE_DBFS = -60.0
_FAR_DBFS = -20.0
_LEAD_S = 0.5
#: Echo of the far-only streams, relative to what was handed to the device.
_ECHOES_DB = (-6.0, 0.0, -13.0, -20.0)
_WARM_S = 6.0
_SECONDS_OF_THREE = 20.0

#: `far`: three answers and the silences between, or one where there is no time for three, and the user silent.
#: `interrupted`: an answer without end, and the user every few seconds. `cold`: the user in the first 0.2-1.6 s of the very
#: first answer. `transients`: coughs, knocks and clicks over an answer. `alone`: the user without an answer. `coughs`:
#: transients without an answer.
Plot = Literal["far", "interrupted", "cold", "transients", "alone", "coughs"]


class Scene(NamedTuple):
    """Which stream; equal scenes build equal streams."""

    plot: Plot
    kind: Kind
    split: Split
    seed: int
    ratio_db: float = 0.0  # level of the user's speech over the echo; of transients, over -26 dBFS
    number: int = 20  # of interruptions or transients
    seconds: float = 60.0  # of `far`
    change_every_s: float = 20.0  # of the kinds that change
    echo_db: float | None = None  # None: by chance or in turn


class Utterance(NamedTuple):
    onset: int  # first sample
    end: int  # the sample after the last
    text: str  # or the kind of transient
    transcribable: bool


class Stream(NamedTuple):
    """All sounds are float32 at 16 kHz and of one length, a multiple of 320."""

    near: Samples  # the microphone
    far: Samples  # the reference
    speech: Samples  # of `near`, the user alone (or the transients)
    echo: Samples  # of `near`, the echo alone
    utterances: tuple[Utterance, ...]
    changes_s: tuple[float, ...]
    room: rooms.Room


def build(scene: Scene) -> Stream:
    rng = rooms.generator(scene.split, scene.seed, _PLOTS[scene.plot], round(scene.ratio_db + 100))
    echo_db = scene.echo_db
    if echo_db is None:
        echo_db = _ECHOES_DB[scene.seed % 4] if scene.plot == "far" else float(rng.uniform(-8, 0))
    said, utterances = _near(scene, echo_db, rng)
    far = _far(scene, len(said), rng)
    span = np.arange(10.0, len(said) / RATE_HZ - 3, scene.change_every_s)
    room = rooms.room(scene.kind, scene.split, scene.seed, echo_db, tuple(float(at) for at in span))
    echo = rooms.echo(room, far, rng)
    noise = rng.standard_normal(len(said)).astype(np.float32) * 10 ** (_NOISE_DBFS / 20)
    near = np.clip(said + echo + noise, -1, 1).astype(np.float32)
    return Stream(near, far, said, echo, tuple(utterances), room.changes_s, room)


_PLOTS: dict[Plot, int] = {"far": 1, "interrupted": 2, "cold": 3, "transients": 4, "alone": 5, "coughs": 6}


def _near(scene: Scene, echo_db: float, rng: np.random.Generator) -> tuple[Samples, list[Utterance]]:
    if scene.plot == "far":
        return _whole_blocks(np.zeros(round(scene.seconds * RATE_HZ), np.float32)), []
    if scene.plot == "cold":
        onset_s, gap_s, count = _LEAD_S + float(rng.uniform(0.2, 1.6)), (0.0, 0.0), 1
    else:
        onset_s, count = (_WARM_S if scene.plot in ("interrupted", "transients") else 1.0), scene.number
        gap_s = (1.4, 2.4) if scene.plot in ("interrupted", "alone") else (1.0, 1.6)
    level = (-26.0 if scene.plot in ("transients", "alone", "coughs") else _FAR_DBFS + echo_db) + scene.ratio_db
    at = round(onset_s * RATE_HZ)
    pieces: list[tuple[int, Samples]] = []
    utterances = []
    for n in range(count):
        sound, text, transcribable = _one(scene, scene.seed * 1000 + n, rng)
        pieces.append((at, sound * np.float32(10 ** ((level + 20) / 20))))
        utterances.append(Utterance(at, at + len(sound), text, transcribable))
        at += len(sound) + round(float(rng.uniform(*gap_s)) * RATE_HZ)
    track = _whole_blocks(np.zeros(max(at, utterances[-1].end + RATE_HZ * 3 // 2), np.float32))
    for begin, sound in pieces:
        track[begin : begin + len(sound)] = sound
    if scene.seed % 2:  # every other user sits a metre away from the microphone
        track = rooms.convolved(track, rooms.impulse_response(120, 6, rng))
    return track, utterances


def _one(scene: Scene, number: int, rng: np.random.Generator) -> tuple[Samples, str, bool]:
    if scene.plot in ("transients", "coughs"):
        name = transients.NAMES[number % len(transients.NAMES)]
        return transients.make(name, rng), name, False
    speakers = voices.NEAR[scene.split]
    texts = words.INTERRUPTIONS[scene.split]
    speaker = speakers[(number + scene.seed) % len(speakers)]
    text = texts[int(rng.integers(len(texts)))]
    return voices.say(speaker, text), text, speaker.transcribable


def _far(scene: Scene, count: int, rng: np.random.Generator) -> Samples:
    far = np.zeros(count, np.float32)
    if scene.plot in ("alone", "coughs"):
        return far
    speakers, texts = voices.FAR[scene.split], words.ANSWERS[scene.split]
    answer = count // 3 if scene.plot == "far" and scene.seconds >= _SECONDS_OF_THREE else count
    at = round(_LEAD_S * RATE_HZ)
    for begin in range(0, count, answer):
        speaker = speakers[int(rng.integers(len(speakers)))]
        at = max(at, begin)
        end = min(begin + answer - (2 * RATE_HZ if answer < count else 0), count)
        while at < end:
            sound = voices.say(speaker, texts[int(rng.integers(len(texts)))])[: end - at]
            far[at : at + len(sound)] = sound
            at += len(sound) + round(float(rng.uniform(0.1, 0.4)) * RATE_HZ)
    return far


def _whole_blocks(sound: Samples) -> Samples:
    return sound[: len(sound) // 320 * 320]
