"""Conversion between sample rates of a running stream, with little delay.

A polyphase windowed-sinc filter: each output sample is a weighted sum of the input samples around its place in time,
with one row of weights for each of the fractional places that the ratio of the rates can produce. The stopband is over
80 dB down and the delay at most 1.4 ms; soxr's streaming holds back 20-76 ms (signal-packages 3).
"""

from functools import cache
from math import ceil, gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]

#: Filter reach on either side, in samples of the lower of the two rates.
_REACH = 16
_LONGEST_DELAY_S = 0.0014
#: Kaiser's beta: 80 dB. The passband ends where it must for the images to lie in the stopband.
_BETA = 8.0
_CUTOFF = 0.92
#: Rates as 16, 24 and 48 kHz have cycles of a few samples, and 44.1 kHz one of 147.
_SHORT_CYCLE = 8


def windowed_sinc(phases: int, reach: int, cutoff: float) -> NDArray[np.float32]:
    """Shape (phases, 2 * reach): row p weighs the inputs around a place that lies p / phases after an input sample; -80 dB above
    `cutoff`, of half the input's rate."""
    distance = np.arange(-reach + 1, reach + 1)[None, :] - np.arange(phases)[:, None] / phases
    window = np.i0(_BETA * np.sqrt(np.maximum(0, 1 - (distance / reach) ** 2)))
    rows = np.sinc(distance * cutoff) * window
    return np.asarray(rows / rows.sum(axis=1, keepdims=True), np.float32)


@cache
def _weights(up: int, down: int, reach: int) -> NDArray[np.float32]:
    """One row for each place that an output can have between two inputs."""
    return windowed_sinc(up, reach, _CUTOFF * min(1.0, up / down))


@cache
def _cycle(up: int, down: int, reach: int, phase: int) -> NDArray[np.float32]:
    """All rows at once: shape (inputs, up), for the `up` outputs that `down` inputs lead to, beginning with that phase."""
    rows = _weights(up, down, reach)
    places = [divmod(phase + output * down, up) for output in range(up)]
    columns = np.zeros((2 * reach + places[-1][0], up), np.float32)
    for output, (first, row) in enumerate(places):
        columns[first : first + 2 * reach, output] = rows[row]
    return columns


class Resampler:
    """One stream, from `in_rate` to `out_rate` Hz. How the input is cut into blocks does not change the output, but for rounding."""

    def __init__(self, in_rate: int, out_rate: int) -> None:
        common = gcd(in_rate, out_rate)
        self._up = out_rate // common
        self._down = in_rate // common
        self._reach = max(1, min(ceil(_REACH * max(1.0, in_rate / out_rate)), int(_LONGEST_DELAY_S * in_rate)))
        self._same = in_rate == out_rate
        self._block = in_rate  # a second; the windows of a whole recording at once take a hundred times its memory
        #: Seconds of input after a sample that must be there before it can come out.
        self.delay_s = 0.0 if self._same else self._reach / in_rate
        self.reset()

    def reset(self) -> None:
        """Forgets the past: what comes next is the beginning of a stream."""
        self._kept: NDArray[np.float32] = np.zeros(self._reach - 1, np.float32)
        self._place = 0  # of the next output, in units of 1 / up input samples after the one that its window begins with

    def process(self, samples: Samples) -> Samples:
        """The next samples (int16 or float32, mono); returns what can be said of the output by now, in the same type."""
        if self._same:
            return samples
        if len(samples) <= self._block:
            return self._process(samples)
        return np.concatenate([self._process(samples[at : at + self._block]) for at in range(0, len(samples), self._block)])

    def _process(self, samples: Samples) -> Samples:
        sound: NDArray[np.float32] = np.empty(len(self._kept) + len(samples), np.float32)
        sound[: len(self._kept)] = self._kept
        sound[len(self._kept) :] = samples
        last = (len(sound) - 2 * self._reach) * self._up + self._up - 1  # the last place whose window is complete
        out = self._whole(sound) if self._down <= _SHORT_CYCLE else np.zeros(0, np.float32)
        if self._place <= last:
            out = np.concatenate((out, self._each(sound, last)))
        passed = min(self._place // self._up, len(sound))
        self._place -= passed * self._up
        self._kept = sound[passed:]
        return _as(samples.dtype, out)

    def _each(self, sound: NDArray[np.float32], last: int) -> NDArray[np.float32]:
        """The outputs up to the place `last`."""
        places = np.arange(self._place, last + 1, self._down)
        first, phase = np.divmod(places, self._up)
        self._place = int(places[-1]) + self._down
        windows = np.lib.stride_tricks.sliding_window_view(sound, 2 * self._reach)
        out: NDArray[np.float32] = (windows[first] * _weights(self._up, self._down, self._reach)[phase]).sum(axis=1)
        return out

    def _whole(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs of whole cycles, by one product of matrices: 20 ms of 24 to 16 kHz take a fifth of the time that they do alone."""
        start, phase = divmod(self._place, self._up)
        columns = _cycle(self._up, self._down, self._reach, phase)
        cycles = max(0, (len(sound) - start - len(columns)) // self._down + 1)
        if not cycles:
            return np.zeros(0, np.float32)
        step = sound.itemsize
        windows = np.ndarray((cycles, len(columns)), np.float32, sound, start * step, (self._down * step, step))
        self._place += cycles * self._down * self._up
        out: NDArray[np.float32] = (windows.copy() @ columns).reshape(-1)
        return out

    def flush(self, dtype: Any = np.int16) -> Samples:
        """The end of the stream: returns the rest of the output and is ready for another stream."""
        rest = self.process(np.zeros(0 if self._same else self._reach, dtype))
        self.reset()
        return rest


def _as(dtype: Any, out: NDArray[np.float32]) -> Samples:
    if np.issubdtype(dtype, np.integer):
        return np.clip(np.rint(out), -32768, 32767).astype(np.int16)
    return out
