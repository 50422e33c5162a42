"""Silero's voice detector, version 6, in numpy: how likely each 32 ms of sound are speech.

The network is small (a 4-frame spectrum, four convolutions, one LSTM cell), so numpy runs it in well under 1 % of a
core and onnxruntime, 60 MB of memory more, is not needed (signal-packages 2).

`silero_v6.npz` holds the weights of `silero_vad_16k_op15.onnx` from the wheel `silero-vad` 6.2.3, as float16 and under
the names of its graph, cut to their last dotted parts. MIT licence: silero_LICENSE.txt beside it.
"""

from functools import cache
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
_STFT_HOP = 128
_BINS = _STFT_LENGTH // 2 + 1


def _frames() -> NDArray[np.intp]:
    """Where each sample of the four frames lies in the context and window, reflected at the end; shape (256, 4)."""
    heard = np.arange(_CONTEXT + WINDOW)
    padded = np.concatenate((heard, heard[-2 : -2 - _CONTEXT : -1]))
    places: NDArray[np.intp] = padded[np.arange(_STFT_LENGTH)[:, None] + np.arange(4) * _STFT_HOP]
    return places


def _taps(frames: int, stride: int) -> NDArray[np.intp]:
    """Which frames of the padded input each output frame of a convolution sees; shape (3, output frames)."""
    return np.arange(3)[:, None] + np.arange(0, frames, stride)


# Indices instead of numpy's own padding and sliding windows: those cost four times what the arithmetic does.
_FRAMES = _frames()
_TAPS = (_taps(4, 1), _taps(4, 2), _taps(2, 2), _taps(1, 1))


@cache
def _weights() -> dict[str, Samples]:
    with np.load(Path(__file__).with_name("silero_v6.npz")) as stored:
        return {name: np.ascontiguousarray(stored[name], dtype=np.float32) for name in stored.files}


class Silero:
    """The detector for one stream of sound at 16 kHz."""

    def __init__(self) -> None:
        self._w = _weights()
        self.reset()

    def reset(self) -> None:
        """Forgets all sound heard so far."""
        self._hidden: Samples = np.zeros(_HIDDEN, np.float32)
        self._cell: Samples = np.zeros(_HIDDEN, np.float32)
        self._context: Samples = np.zeros(_CONTEXT, np.float32)
        self._rest: Samples = np.zeros(0, np.float32)

    def process(self, samples: Samples) -> list[float]:
        """Takes float32 samples in [-1, 1], any number; returns the speech probability of each full window."""
        sound = np.concatenate((self._rest, samples))
        full = len(sound) // WINDOW
        self._rest = sound[full * WINDOW :]
        return [self._window(sound[n * WINDOW : (n + 1) * WINDOW]) for n in range(full)]

    def _window(self, window: Samples) -> float:
        heard = np.concatenate((self._context, window))
        self._context = window[-_CONTEXT:]
        x = self._spectrum(heard)
        for layer, taps in enumerate(_TAPS):
            x = _convolve(x, self._w[f"encoder{layer}.weight"], self._w[f"encoder{layer}.bias"], taps)
        gates = self._w["rnn.weight_ih"] @ x[:, 0] + self._w["rnn.weight_hh"] @ self._hidden + self._w["rnn.bias"]
        write, forget, candidate, read = gates.reshape(4, _HIDDEN)
        self._cell = _sigmoid(forget) * self._cell + _sigmoid(write) * np.tanh(candidate)
        self._hidden = _sigmoid(read) * np.tanh(self._cell)
        score = self._w["decoder.weight"] @ np.maximum(self._hidden, 0) + self._w["decoder.bias"]
        return float(_sigmoid(score)[0])

    def _spectrum(self, heard: Samples) -> Samples:
        """Magnitudes, shape (129, 4)."""
        both = self._w["stft.basis"] @ heard[_FRAMES]
        real, imaginary = both[:_BINS], both[_BINS:]
        magnitude: Samples = np.sqrt(real * real + imaginary * imaginary)
        return magnitude


def _convolve(x: Samples, weight: Samples, bias: Samples, taps: NDArray[np.intp]) -> Samples:
    """A kernel of 3 over (channels, frames), one frame of zeros at either end, then ReLU."""
    padded = np.zeros((x.shape[0], x.shape[1] + 2), np.float32)
    padded[:, 1:-1] = x
    out: Samples = np.maximum(weight @ padded[:, taps].reshape(-1, taps.shape[1]) + bias[:, None], 0)
    return out


def _sigmoid(x: Samples) -> Samples:
    out: Samples = 0.5 * (1 + np.tanh(0.5 * x))  # as 1 / (1 + exp(-x)), which overflows
    return out
