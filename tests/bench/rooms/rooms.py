"""Rooms: what a microphone hears of a loudspeaker, with all that makes cancelling hard."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.bench.rooms.voices import RATE_HZ, Samples
from tests.bench.rooms.words import Split

_MS = RATE_HZ // 1000

#: What is difficult about a room. `single` has one strong path, `diffuse` nearly none that is direct and a long tail; in
#: `loud` the loudspeaker is overdriven; in `jump` 40 ms are lost or added, in `drift` the clocks differ by 100 ppm, in
#: `moved` another path takes over within 200 ms; `hard` is loud, jump and drift at once; `headphones` let nothing through.
Kind = Literal["single", "room", "loud", "diffuse", "jump", "drift", "moved", "hard", "headphones"]
STATIONARY: tuple[Kind, ...] = ("single", "room", "loud", "room", "diffuse")
WITH_ECHO: tuple[Kind, ...] = ("single", "room", "loud", "diffuse", "jump", "drift", "moved", "hard")

_JUMP_S = 0.04
_CHANGE_S = 0.2
#: The half-width in samples of the interpolation between samples.
_REACH = 16
_STEP = 8


class Room(NamedTuple):
    kind: Kind
    tail_ms: float
    delay_ms: float
    direct_db: float  # power of the direct path over all reflections
    echo_db: float  # of speech at the microphone, relative to what was handed to the device
    drive: float = 0.0  # of the loudspeaker: tanh(drive * x) / drive
    drift_ppm: float = 0.0
    changes_s: tuple[float, ...] = ()  # when it jumps or is moved


def room(kind: Kind, split: Split, seed: int, echo_db: float, changes_s: tuple[float, ...] = ()) -> Room:
    """One room of a kind. `changes_s` is used by the kinds that change."""
    rng = np.random.default_rng([_SPLITS[split], 1, seed])
    tail_ms, delay_ms = float(rng.uniform(60, 220)), float(rng.uniform(20, 150))
    direct_db = 3.0
    if kind == "single":
        tail_ms, direct_db = float(rng.uniform(60, 80)), 12.0
    if kind == "diffuse":
        tail_ms, delay_ms, direct_db = 250.0, float(rng.uniform(60, 150)), -15.0
    drift = float(rng.choice([-100.0, 100.0])) if kind in ("drift", "hard") else 0.0
    return Room(
        kind=kind,
        tail_ms=tail_ms,
        delay_ms=max(delay_ms, 60.0) if kind in ("jump", "hard") else delay_ms,
        direct_db=direct_db,
        echo_db=echo_db,
        drive=2.5 if kind in ("loud", "hard") else 0.0,
        drift_ppm=drift,
        changes_s=changes_s if kind in ("jump", "moved", "hard") else (),
    )


_SPLITS: dict[Split, int] = {"tune": 11, "held": 2026}


def generator(split: Split, *seeds: int) -> np.random.Generator:
    """Chance, the same in every run, and another in each split."""
    return np.random.default_rng([_SPLITS[split], 2, *seeds])


def echo(place: Room, far: Samples, rng: np.random.Generator) -> Samples:
    """What the microphone hears of `far`, which is as handed to the device; of equal length."""
    if place.kind == "headphones":
        return np.zeros_like(far)
    sounding = np.tanh(place.drive * far) / place.drive if place.drive else far
    paths = 1 + (len(place.changes_s) if place.kind == "moved" else 0)
    heard = convolved(sounding, impulse_response(place.tail_ms, place.direct_db, rng))
    for n in range(paths - 1):
        fade = np.clip((np.arange(len(far)) / RATE_HZ - place.changes_s[n]) / _CHANGE_S, 0, 1).astype(np.float32)
        heard = heard * (1 - fade) + fade * convolved(sounding, impulse_response(place.tail_ms, place.direct_db, rng))
    return np.asarray(_delayed(heard, _delay(place, len(far))) * 10 ** (place.echo_db / 20), np.float32)


def impulse_response(tail_ms: float, direct_db: float, rng: np.random.Generator) -> Samples:
    """Of unit energy: one tap, and noise that decays by 60 dB within `tail_ms`."""
    taps = round(tail_ms * _MS)
    reverb = rng.standard_normal(taps) * 10 ** (-3 * np.arange(taps) / taps)
    reverb[: 2 * _MS] = 0
    reverb *= 10 ** (-direct_db / 20) / np.linalg.norm(reverb)
    reverb[0] = 1.0
    return np.asarray(reverb / np.linalg.norm(reverb), np.float32)


def convolved(sound: Samples, response: Samples) -> Samples:
    """Of the length of `sound`."""
    size = 8192
    step = size - len(response) + 1
    spectrum = np.fft.rfft(response, size)
    blocks = -(-len(sound) // step)
    padded = np.concatenate((np.zeros(len(response) - 1), sound, np.zeros(blocks * step - len(sound))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    out = np.concatenate([np.fft.irfft(np.fft.rfft(window) * spectrum)[len(response) - 1 :] for window in windows[:blocks]])
    return np.asarray(out[: len(sound)], np.float32)


def _delay(place: Room, count: int) -> NDArray[np.float64]:
    """In samples, of the echo in each sample."""
    times = np.arange(count, dtype=np.float64)
    # A delay that shrinks by drift must not come before its cause in the longest of streams: 60 s lose 6 ms.
    delay: NDArray[np.float64] = place.delay_ms * _MS + place.drift_ppm * 1e-6 * times
    if place.kind != "moved":
        for n, at in enumerate(place.changes_s):
            delay[round(at * RATE_HZ) :] += (-1) ** n * _JUMP_S * RATE_HZ
    return delay


def _delayed(sound: Samples, delay: NDArray[np.float64]) -> Samples:
    if np.all(delay == delay[0]):
        return np.concatenate((np.zeros(round(float(delay[0])), np.float32), sound))[: len(sound)]
    # A delay for every few samples: 100 ppm move it by less than 1/1000 of one meanwhile.
    starts = np.arange(0, len(sound), _STEP)
    places = starts - delay[starts]
    first = np.floor(places).astype(np.intp)
    distance = np.arange(1 - _REACH, _REACH + 1)[None, :] - (places - first)[:, None]
    taps = np.sinc(distance) * (0.5 + 0.5 * np.cos(np.pi * distance / _REACH))
    before = _REACH + max(0, -int(first.min()))
    padded = np.concatenate((np.zeros(before, np.float32), sound, np.zeros(_REACH + _STEP, np.float32)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + _STEP - 1)[first + before + 1 - _REACH]
    each = np.lib.stride_tricks.sliding_window_view(windows, 2 * _REACH, axis=1)
    out = np.matmul(each, taps.astype(np.float32)[:, :, None])[:, :, 0].ravel()
    return np.asarray(out[: len(sound)], np.float32)
