"""Random scenes to learn from: what moves in the room, who talks, coughs and knocks, and where the user speaks.

Not the laboratory's rooms (tests/bench/rooms), which judge what was learned here: only its speakers and sentences to tune on are
used, and more speakers made of the same voices, none of which is kept for judging.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.bench.fusion.noises import NOISES, background
from tests.bench.rooms.voices import RATE_HZ, Speaker, say
from tests.bench.rooms.words import ANSWERS, INTERRUPTIONS

Wave = NDArray[np.float64]

NEAR = (
    Speaker("flite", "slt"),
    Speaker("hibari", "heart", 0.85),
    Speaker("flite", "kal16", 1.1),
    Speaker("espeak-ng", "en-us+f4", transcribable=False),
    Speaker("flite", "slt", 0.9),
    Speaker("flite", "slt", 1.12),
    Speaker("hibari", "heart", 0.92),
    Speaker("flite", "kal16", 0.97),
    Speaker("espeak-ng", "en-us+m1", transcribable=False),
    Speaker("espeak-ng", "en-us+f2", 0.95, transcribable=False),
)
FAR = (
    Speaker("hibari", "heart"),
    Speaker("flite", "rms", 0.95),
    Speaker("flite", "awb", 0.95),
    Speaker("espeak-ng", "en-us+m3"),
    Speaker("hibari", "heart", 0.88),
    Speaker("flite", "kal16", 1.1),
    Speaker("flite", "awb", 1.1),
    Speaker("espeak-ng", "en-us+f1", transcribable=False),
)
KINDS = ("still", "still", "still", "jump", "drift", "both", "moved")
_FEW_NOISES = ("cough", "cough", "knock", "click")
_MANY_NOISES = ("cough", "cough", "knock", "knock", "door", "door", "click")
RATIOS_DB = (6, 0, -6, -6, -12, -12, -12, -15)
SECONDS = 24.0
#: In the scenes from this seed on it is mostly noises that are heard of the user.
NOISY_FROM = 2000


class Scene(NamedTuple):
    near: NDArray[np.float32]  # the microphone
    far: NDArray[np.float32]
    speaks: NDArray[np.bool_]  # the user, sample by sample, pauses within words left out
    utterances: list[tuple[float, float]]  # seconds
    changes_s: list[float]  # of the echo's path


def scene(seed: int) -> Scene:
    chance = np.random.default_rng(seed)
    headset, noisy = np.random.default_rng(seed + 5), seed >= NOISY_FROM
    density = 1.6 if noisy else float(headset.choice([0.0, 0.5, 1.0, 1.6]))
    kind = "headset" if headset.random() < 0.07 and not noisy else str(chance.choice(KINDS))
    speaker = FAR[chance.integers(len(FAR))]
    far, starts = _answers(chance, speaker, int(SECONDS * RATE_HZ))
    changes_s: list[float] = []
    echo = _echo(chance, far, kind, changes_s)
    echo = _restamped(np.random.default_rng(seed + 7777), echo, far, starts, changes_s)
    return _spoken_over(chance, speaker, far, echo, kind, density, starts[0] / RATE_HZ, noisy)._replace(changes_s=changes_s)


def _answers(chance: np.random.Generator, speaker: Speaker, count: int) -> tuple[Wave, list[int]]:
    """The assistant: answers of some sentences, with pauses of up to 6 s between; and where they start."""
    far, starts = np.zeros(count), []
    at, level = int(chance.uniform(0.2, 1.0) * RATE_HZ), 10 ** (chance.uniform(-26, -17) / 20)
    texts = ANSWERS["tune"]
    while at < count:
        starts.append(at)
        for _ in range(int(chance.integers(1, 5))):
            said = say(speaker, texts[chance.integers(len(texts))])
            length = min(len(said), count - at)
            if length <= 0:
                break
            far[at : at + length] = (said / active_rms(said) * level)[:length]
            at += length + int(chance.uniform(0.02, 0.35) * RATE_HZ)
        at += int(chance.choice([0, 0.5, 1.5, 4.0]) * chance.uniform(0.5, 1.5) * RATE_HZ)
    return np.clip(far, -1, 1), starts


class _Place(NamedTuple):
    tail_ms: float
    delay_ms: float
    direct_db: float


def _echo(chance: np.random.Generator, far: Wave, kind: str, changes_s: list[float]) -> Wave:
    """What the microphone hears of it; adds to `changes_s`."""
    sounding = far
    if chance.random() < 0.3:
        drive = chance.uniform(1.5, 4.0)
        sounding = np.tanh(drive * far) / drive
    tail, delay = float(chance.choice([60, 100, 130, 200, 250])), float(chance.uniform(20, 200))
    place = _Place(tail, max(20, 310 - tail) if delay + tail > 310 else delay, float(chance.choice([-15, -6, 0, 3, 6, 12])))
    gain = 10 ** (chance.uniform(-21, 1) / 20)
    if kind == "headset":
        gain = 10 ** (chance.uniform(-90, -55) / 20)
    path = response(chance, place.tail_ms, place.direct_db)
    ppm = float(chance.choice([-1, 1]) * chance.uniform(30, 110)) if kind in ("drift", "both") else 0.0
    drifting = drifted(sounding, ppm) if ppm else sounding
    echo = _at(convolved(drifting, path) * gain, place.delay_ms)
    return _changed(chance, kind, place, echo, drifting * gain, path, changes_s) if kind in ("jump", "both", "moved") else echo


def _changed(chance: np.random.Generator, kind: str, place: _Place, echo: Wave, sounding: Wave, path: Wave, changes_s: list[float]) -> Wave:
    """Every 6 to 14 s the path becomes another, or 40 ms longer or shorter."""
    delay, at = place.delay_ms, 0.0
    while (at := at + chance.uniform(6, 14)) < SECONDS - 2:
        if kind == "moved":
            path = response(chance, place.tail_ms, place.direct_db)
        else:
            step = float(chance.choice([-40, 40]))
            delay += step
            if delay < 10 or delay > 300 - place.tail_ms * 0.5:
                delay -= 2 * step
            delay = max(delay, 5)
        fade = np.clip((np.arange(len(echo)) - int(at * RATE_HZ)) / (3200 if kind == "moved" else 1), 0, 1)
        echo = echo * (1 - fade) + _at(convolved(sounding, path), delay) * fade
        changes_s.append(at)
    return echo


def _restamped(chance: np.random.Generator, echo: Wave, far: Wave, starts: list[int], changes_s: list[float]) -> Wave:
    """In two of five scenes, each answer after a pause is up to 3 ms off from where the reference believes it."""
    if chance.random() >= 0.4:
        return echo
    out = echo.copy()
    for start in starts[1:]:
        by = int(chance.uniform(-48, 48))
        if not far[max(0, start - 4800) : start].any():
            out[start:] = np.roll(echo, by)[start:]
            changes_s.append(start / RATE_HZ)
    return out


def _spoken_over(
    chance: np.random.Generator, assistant: Speaker, far: Wave, echo: Wave, kind: str, density: float, first_s: float, noisy: bool
) -> Scene:
    loud = active_rms(echo[echo != 0]) if np.any(echo) else 1e-3
    quiet = background(chance, len(far), chance.uniform(-75, -48))
    near, speaks, utterances = np.zeros(len(far)), np.zeros(len(far), bool), []
    others = [s for s in NEAR if s != assistant and (s.voice != assistant.voice or assistant.engine == "espeak-ng")]
    user = others[chance.integers(len(others))]
    at = first_s + chance.uniform(0.1, 1.6) if chance.random() < 0.5 else chance.uniform(2.5, 6)
    room = response(chance, float(chance.choice([30, 120, 200])), float(chance.choice([3, 9, 15]))) if chance.random() < 0.6 else None
    while at < SECONDS - 1 and density > 0:
        level = max(loud * 10 ** (chance.choice(RATIOS_DB) / 20), 2.5 * np.sqrt(np.mean(quiet**2)))
        if kind == "headset":
            level = 10 ** (chance.uniform(-40, -22) / 20)
        begin = int(at * RATE_HZ)
        if chance.random() < (0.75 if noisy else 0.22):
            noise = NOISES[str(chance.choice(_MANY_NOISES if noisy else _FEW_NOISES))](chance)
            noise = np.clip(noise * level * 10 ** (chance.uniform(-3, 12) / 20), -1, 1)
            _add(near, noise, begin)
            at += len(noise) / RATE_HZ + chance.uniform(0.8, 2.0) / density
            continue
        said = say(user, INTERRUPTIONS["tune"][chance.integers(len(INTERRUPTIONS["tune"]))])
        said = said / active_rms(said) * level
        _add(near, said if room is None else convolved(np.concatenate((said, np.zeros(len(room)))), room), begin)
        count = min(len(said), len(far) - begin)
        frames = np.square(said[: count // 320 * 320]).reshape(-1, 320).mean(axis=1) > level**2 * 0.01
        speaks[begin : begin + len(frames) * 320] = np.repeat(frames, 320)
        utterances.append((begin / RATE_HZ, (begin + count) / RATE_HZ))
        at = (begin + count) / RATE_HZ + chance.uniform(0.7, 3.0) / density
    heard = np.clip(echo + near + quiet, -1, 1)
    return Scene(heard.astype(np.float32), far.astype(np.float32), speaks, utterances, [])


def _add(to: Wave, sound: Any, at: int) -> None:
    count = min(len(sound), len(to) - at)
    to[at : at + count] += sound[:count]


def _at(sound: Wave, delay_ms: float) -> Wave:
    return np.concatenate((np.zeros(int(delay_ms * RATE_HZ / 1000)), sound))[: len(sound)]


def active_rms(sound: Any) -> float:
    """Of the frames that are at most 30 dB below the loudest."""
    power = np.square(sound[: len(sound) // 320 * 320].reshape(-1, 320)).mean(axis=1)
    return float(np.sqrt(power[power > power.max() * 1e-3].mean() + 1e-20))


def response(chance: np.random.Generator, tail_ms: float, direct_db: float) -> Wave:
    """Of unit energy: a direct path and a tail that decays by 60 dB, coloured, through a small loudspeaker."""
    count = int(tail_ms * RATE_HZ / 1000)
    tail = chance.normal(0, 1, count) * 10 ** (-3 * np.arange(count) / count)
    tail[: int(chance.integers(8, 40))] = 0
    tail = np.convolve(tail, [1, chance.uniform(-0.5, 0.6)])[:count]
    tail *= 10 ** (-direct_db / 20) / np.linalg.norm(tail)
    tail[0] += 1
    speaker = chance.normal(0, 1, 24) * np.exp(-np.arange(24) / chance.uniform(2, 6))
    speaker[0] += 2
    whole = np.convolve(tail, speaker)
    return np.asarray(whole / np.linalg.norm(whole))


def convolved(sound: Wave, path: Wave) -> Wave:
    size = 1 << (len(sound) + len(path)).bit_length()
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(path, size), size)[: len(sound)]


def drifted(sound: Wave, ppm: float) -> Wave:
    places = np.arange(len(sound)) * (1 + ppm * 1e-6)
    whole = np.clip(np.floor(places).astype(int), 8, len(sound) - 10)
    rest = places - np.floor(places)
    out = np.zeros(len(sound))
    for tap in range(-7, 9):
        out += sound[whole + tap] * np.sinc(rest - tap) * (0.5 + 0.5 * np.cos(np.pi * (rest - tap) / 9))
    return out
