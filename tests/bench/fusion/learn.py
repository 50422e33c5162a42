"""The fit: cross entropy of "the user speaks" per window, by Adam, in numpy.

The network is the one of voiced/audio/echo/decision.py. What keeps it from learning these rooms and voices by heart: few weights
(all bands share theirs), noise on each number and on each number's mean per stretch, numbers and condensed ones left out at random.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.bench.fusion.scenes import Scene
from voiced.audio.echo.decision import MOMENTS
from voiced.audio.echo.evidence import BANDS, KINDS, SINGLES
from voiced.audio.echo.interface import RATE_HZ, WINDOW

Floats = NDArray[np.float32]
Net = dict[str, Floats]

_OF_BAND, _CONDENSED, _INNER = 8, 12, 12
_LEAK = np.float32(0.05)
_STRETCH, _BATCH = 96, 24  # windows in one stretch of a scene; stretches in a step
_RATE, _DECAY = 3e-3, 3e-4
_NOISE, _LEFT_OUT, _LEFT_OUT_WITHIN, _SMOOTH = 0.2, 0.08, 0.15, 0.02
#: What a window without the user weighs against one with him: false starts are dearer than 30 ms of delay. And just after the
#: path changed, when there are most of them.
_QUIET, _CHANGED = 1.5, 3.0
_CHANGING_S = (-0.05, 1.2)
#: After the user's last word the room goes on for so many windows; they count for nothing.
_FADING = 5


class Lesson(NamedTuple):
    """One scene: its pieces of evidence, whether the user speaks in each, and how much that counts."""

    evidence: Floats  # (windows, evidence.SIZE)
    speaks: Floats
    counts: Floats


def lesson(scene: Scene, evidence: Floats, far_active: NDArray[np.bool_]) -> Lesson:
    windows = len(evidence)
    share = scene.speaks[: windows * WINDOW].reshape(windows, WINDOW).mean(axis=1)
    speaks = (share > 0.5).astype(np.float32)
    counts = np.where((share > 0) & (share <= 0.5), 0, 1).astype(np.float32)
    for begin, end in scene.utterances:
        first, last = int(begin * RATE_HZ / WINDOW), int(end * RATE_HZ / WINDOW) + 1
        counts[first:last][speaks[first:last] == 0] = 0
        counts[last : last + _FADING] = 0
    counts *= far_active * np.where(speaks > 0, 1, _QUIET).astype(np.float32)
    times = np.arange(windows) * WINDOW / RATE_HZ
    for at in scene.changes_s:
        counts[(times > at + _CHANGING_S[0]) & (times < at + _CHANGING_S[1]) & (speaks == 0)] *= _CHANGED
    return Lesson(evidence, speaks, counts)


def fit(lessons: Sequence[Lesson], epochs: int, seed: int = 0) -> Net:
    """The weights, as decision.npy holds them."""
    chance = np.random.default_rng(seed)
    scale = _Scale.of(lessons)
    inputs = [scale.scaled(each.evidence) for each in lessons]
    net = _begin(chance)
    adam = _Adam(net)
    places = [(n, at) for n, each in enumerate(lessons) for at in range(0, len(each.evidence) - _STRETCH, _STRETCH)]
    for epoch in range(epochs):
        rate = 0.5 * _RATE * (1 + np.cos(np.pi * epoch / epochs)) + 1e-5
        shift, order = int(chance.integers(0, _STRETCH)), chance.permutation(len(places))
        for batch in range(0, len(order) - _BATCH + 1, _BATCH):
            bands, whole, y, w = _batch(lessons, inputs, [places[n] for n in order[batch : batch + _BATCH]], shift)
            kept = (chance.random((_BATCH, 1, _CONDENSED)) > _LEFT_OUT_WITHIN) / np.float32(1 - _LEFT_OUT_WITHIN)
            adam.step(_slopes(net, _blurred(chance, bands), _blurred(chance, whole), y, w, kept.astype(np.float32)), rate)
    return scale.stored(net)


class _Scale(NamedTuple):
    """Mean and spread of each kind of number, over all bands, and of each of the others."""

    band_mean: Floats
    band_spread: Floats
    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, lessons: Sequence[Lesson]) -> "_Scale":
        bands, whole = _parted(np.concatenate([each.evidence for each in lessons]))
        return cls(bands.mean((0, 1)), bands.std((0, 1)) + np.float32(0.05), whole.mean(0), whole.std(0) + np.float32(0.05))

    def scaled(self, evidence: Floats) -> tuple[Floats, Floats]:
        """With zeros for the moments before the first."""
        bands, whole = _parted(evidence)
        before = MOMENTS - 1
        return (
            np.pad((bands - self.band_mean) / self.band_spread, ((before, 0), (0, 0), (0, 0))),
            np.pad((whole - self.mean) / self.spread, ((before, 0), (0, 0))),
        )

    def stored(self, net: Net) -> Net:
        """Mean and spread go into the layers; 16 bits are enough."""
        condense = net["condense.weight"].copy()
        condense[2 * _OF_BAND :] /= self.spread[:, None]
        folded = net | {
            "band.weight": net["band.weight"] / self.band_spread[:, None],
            "band.bias": net["band.bias"] - (self.band_mean / self.band_spread) @ net["band.weight"],
            "condense.weight": condense,
            "condense.bias": net["condense.bias"] - (self.mean / self.spread) @ net["condense.weight"][2 * _OF_BAND :],
            "judge.weight": net["judge.weight"].reshape(-1, _INNER),
        }
        return {name: weights.astype(np.float16) for name, weights in folded.items()}


class _Adam:
    def __init__(self, net: Net) -> None:
        self._net = net
        self._first, self._second = ({name: np.zeros_like(w) for name, w in net.items()} for _ in range(2))
        self._steps = 0

    def step(self, slopes: Net, rate: float) -> None:
        self._steps += 1
        for name, weights in self._net.items():
            slope = slopes[name] + _DECAY * weights * (weights.ndim > 1)
            self._first[name] = np.asarray(0.9 * self._first[name] + 0.1 * slope, np.float32)
            self._second[name] = np.asarray(0.99 * self._second[name] + 0.01 * slope * slope, np.float32)
            size = np.sqrt(self._second[name] / (1 - 0.99**self._steps)) + 1e-7
            self._net[name] = np.asarray(weights - rate * self._first[name] / (1 - 0.9**self._steps) / size, np.float32)


def _parted(evidence: Floats) -> tuple[Floats, Floats]:
    """(windows, BANDS, KINDS) and (windows, SINGLES)."""
    count = KINDS * BANDS
    return evidence[:, :count].reshape(-1, KINDS, BANDS).swapaxes(1, 2), evidence[:, count:]


def _begin(chance: np.random.Generator) -> Net:
    sizes: dict[str, tuple[int, ...]] = {
        "band": (KINDS, _OF_BAND),
        "condense": (2 * _OF_BAND + SINGLES, _CONDENSED),
        "judge": (MOMENTS, _CONDENSED, _INNER),
        "score": (_INNER,),
    }
    net = {}
    for name, size in sizes.items():
        inputs = size[0] if len(size) < 3 else size[0] * size[1]
        net[f"{name}.weight"] = chance.normal(0, 1 / np.sqrt(inputs), size).astype(np.float32)
        net[f"{name}.bias"] = np.zeros(size[-1] if len(size) > 1 else 1, np.float32)
    return net


def _batch(lessons: Sequence[Lesson], inputs: list[tuple[Floats, Floats]], places: list[tuple[int, int]], shift: int) -> tuple[Floats, ...]:
    rows = []
    for n, at in places:
        begin = min(at + shift, len(lessons[n].evidence) - _STRETCH)
        seen, told = slice(begin, begin + _STRETCH + MOMENTS - 1), slice(begin, begin + _STRETCH)
        rows.append((inputs[n][0][seen], inputs[n][1][seen], lessons[n].speaks[told], lessons[n].counts[told]))
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


def _blurred(chance: np.random.Generator, x: Floats) -> Floats:
    """Of each stretch (first axis): noise, another mean as in another room or voice, and now and then a number missing."""
    once = (len(x), 1, *x.shape[2:])
    noisy = x + chance.normal(0, _NOISE, x.shape) + chance.normal(0, _NOISE, once)
    return np.asarray(noisy * (chance.random((len(x),) + (1,) * (x.ndim - 2) + x.shape[-1:]) > _LEFT_OUT), np.float32)


def _leaky(x: Floats) -> Floats:
    return np.asarray(np.maximum(x, _LEAK * x))


def _slopes(net: Net, bands: Floats, whole: Floats, y: Floats, w: Floats, kept: Floats) -> Net:
    """Of the loss over all weights: forward through the layers, and back."""
    half, over = BANDS // 2, (0, 1)
    of_bands = _leaky(bands @ net["band.weight"] + net["band.bias"])
    joined = np.concatenate((of_bands[:, :, :half].mean(2), of_bands[:, :, half:].mean(2), whole), axis=-1)
    condensed = _leaky(joined @ net["condense.weight"] + net["condense.bias"]) * kept
    count = whole.shape[1] - MOMENTS + 1
    inner = _leaky(net["judge.bias"] + sum(condensed[:, k : k + count] @ net["judge.weight"][k] for k in range(MOMENTS)))
    odds = inner @ net["score.weight"] + net["score.bias"][0]

    wrong = w * (0.5 + 0.5 * np.tanh(0.5 * odds) - (y * (1 - 2 * _SMOOTH) + _SMOOTH)) / (w.sum() + 1e-9)
    to_inner = wrong[..., None] * net["score.weight"] * np.where(inner > 0, 1, _LEAK)
    judge, to_condensed = np.empty_like(net["judge.weight"]), np.zeros_like(condensed)
    for k in range(MOMENTS):
        judge[k] = np.tensordot(condensed[:, k : k + count], to_inner, (over, over))
        to_condensed[:, k : k + count] += to_inner @ net["judge.weight"][k].T
    to_condensed *= kept * np.where(condensed > 0, 1, _LEAK)
    to_joined = to_condensed @ net["condense.weight"].T
    low, high = to_joined[..., None, :_OF_BAND], to_joined[..., None, _OF_BAND : 2 * _OF_BAND]
    to_bands = np.concatenate((low.repeat(half, 2), high.repeat(half, 2)), axis=2) / half * np.where(of_bands > 0, 1, _LEAK)
    return {
        "band.weight": np.tensordot(bands, to_bands, ((0, 1, 2), (0, 1, 2))),
        "band.bias": to_bands.sum((0, 1, 2)),
        "condense.weight": np.tensordot(joined, to_condensed, (over, over)),
        "condense.bias": to_condensed.sum(over),
        "judge.weight": judge,
        "judge.bias": to_inner.sum(over),
        "score.weight": np.tensordot(wrong, inner, (over, over)),
        "score.bias": np.array([wrong.sum()]),
    }
