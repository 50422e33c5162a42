"""Silero's voice detector, version 6, in numpy: how likely each 32 ms of sound are speech.

The network is small (a 4-frame spectrum, four convolutions, one LSTM cell), so numpy runs it in well under 1 % of a
core and onnxruntime, 60 MB of memory more, is not needed (signal-packages 2).

`silero_v6.npz` holds the weights of `silero_vad_16k_op15.onnx` from the wheel `silero-vad` 6.2.3, as float16 and under
the names of its graph, cut to their last dotted parts. MIT licence: silero_LICENSE.txt beside it.
"""

from collections.abc import Sequence
from functools import cache
from math import tanh
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE_HZ = 16_000
#: Samples that each probability covers.
WINDOW = 512
WINDOW_MS = WINDOW * 1000 // RATE_HZ
_CONTEXT = 64
_HIDDEN = 128
_STFT_LENGTH = 256
_FRAMES = 4
_CHANNELS = 64  # of the second convolution and the third


def _frames() -> NDArray[np.intp]:
    """Where each sample of the four frames lies in the context and window, reflected at the end; shape (4, 256)."""
    heard = np.arange(_CONTEXT + WINDOW)
    padded = np.concatenate((heard, heard[-2 : -2 - _CONTEXT : -1]))
    places: NDArray[np.intp] = padded[np.arange(_FRAMES)[:, None] * (_STFT_LENGTH // 2) + np.arange(_STFT_LENGTH)]
    return places


# Indices instead of numpy's own padding and sliding windows: those cost four times what the arithmetic does.
_PLACES = _frames()
#: The basis of the spectrum in the graph is a Fourier transform under this window.
_HANN: Samples = np.hanning(_STFT_LENGTH + 1)[:-1].astype(np.float32)
#: Which frames, with one of zeros at either end, each output of the first two convolutions sees.
_TAPS = (np.arange(4)[:, None] + np.arange(3), np.arange(0, 4, 2)[:, None] + np.arange(3))


@cache
def _weights() -> dict[str, Samples]:
    """Everything as (inputs, outputs), the inputs of a convolution frame by frame. Where it would see only zeros, nothing; and the three
    sigmoids of the LSTM cell as 0.5 + 0.5 * tanh(x / 2), which does not overflow."""
    with np.load(Path(__file__).with_name("silero_v6.npz")) as stored:
        w = {name: stored[name].astype(np.float32) for name in stored.files}
    for layer in range(4):
        weight = w[f"encoder{layer}.weight"]
        w[f"encoder{layer}.weight"] = weight.reshape(len(weight), -1, 3).transpose(2, 1, 0).reshape(-1, len(weight))
    w["encoder2.weight"] = w["encoder2.weight"][_CHANNELS:]
    w["encoder3.weight"] = w["encoder3.weight"][_CHANNELS : 2 * _CHANNELS]
    halves = np.repeat(np.array([0.5, 0.5, 1, 0.5], np.float32), _HIDDEN)
    w["rnn.weight"] = np.concatenate((w.pop("rnn.weight_ih"), w.pop("rnn.weight_hh")), axis=1).T * halves
    w["rnn.bias"] = w["rnn.bias"] * halves
    w["decoder.weight"] = w["decoder.weight"][0]
    return {name: np.ascontiguousarray(weight, np.float32) for name, weight in w.items()}


class Silero:
    """The detector for one stream of sound at 16 kHz."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all sound heard so far."""
        self._memory: Samples = np.zeros((2, 1, _HIDDEN), np.float32)  # of the LSTM cell: what it puts out, and its state
        self._heard: Samples = np.zeros(_CONTEXT, np.float32)  # the context of the next window, and as much of that as has come

    def process(self, samples: Samples) -> list[float]:
        """Takes float32 samples in [-1, 1], any number; returns the speech probability of each full window."""
        return [likely for (likely,) in together((self,), (samples,))]

    def _full(self, samples: Samples) -> list[Samples]:
        """Each window that is full now, with its context before it."""
        heard = np.concatenate((self._heard, samples))
        starts = range(0, len(heard) - _CONTEXT - WINDOW + 1, WINDOW)
        self._heard = heard[len(starts) * WINDOW :]
        return [heard[start : start + _CONTEXT + WINDOW] for start in starts]


def together(detectors: Sequence[Silero], sounds: Sequence[Samples]) -> list[tuple[float, ...]]:
    """What each says about its own sound, window by window; of detectors whose windows end at the same time, as many sounds of one length.
    Two take little more time than one: most of it goes into reading the weights."""
    scores = []
    for windows in zip(*(each._full(sound) for each, sound in zip(detectors, sounds, strict=True)), strict=True):
        memory = np.concatenate([each._memory for each in detectors], axis=1)
        score = _recall(_encode(np.stack(windows)), memory)
        for n, each in enumerate(detectors):
            each._memory = memory[:, n : n + 1]
        scores.append(tuple(score))
    return scores


def _encode(heard: Samples) -> Samples:
    """Of windows with their contexts, shape (streams, 576), what the memory gets to see, shape (streams, 128)."""
    streams = len(heard)
    x: Samples = np.abs(np.fft.rfft(heard.take(_PLACES, axis=1) * _HANN, axis=2)).astype(np.float32, copy=False)
    for layer, taps in enumerate(_TAPS):
        padded = np.zeros((streams, _FRAMES + 2, x.shape[2]), np.float32)
        padded[:, 1:-1] = x
        x = _layer(layer, padded[:, taps].reshape(streams * len(taps), -1)).reshape(streams, len(taps), -1)
    return _layer(3, _layer(2, x.reshape(streams, -1)))


def _layer(layer: int, x: Samples) -> Samples:
    out: Samples = x @ _weights()[f"encoder{layer}.weight"]
    out += _weights()[f"encoder{layer}.bias"]
    np.maximum(out, 0, out=out)
    return out


def _recall(encoded: Samples, memory: Samples) -> list[float]:
    """The LSTM cell and the verdict: probabilities; changes the memory, shape (2, streams, 128)."""
    w = _weights()
    hidden, cell = memory
    gates = np.concatenate((encoded, hidden), axis=1) @ w["rnn.weight"]
    gates += w["rnn.bias"]
    np.tanh(gates, out=gates)
    write, forget, candidate, read = (gates[:, at : at + _HIDDEN] for at in range(0, 4 * _HIDDEN, _HIDDEN))
    cell *= 0.5 + 0.5 * forget
    cell += (0.5 + 0.5 * write) * candidate
    hidden[:] = (0.5 + 0.5 * read) * np.tanh(cell)
    scores = np.maximum(hidden, 0) @ w["decoder.weight"] + w["decoder.bias"]
    return [0.5 + 0.5 * tanh(0.5 * float(score)) for score in scores]
