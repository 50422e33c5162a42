"""Silero's voice detector, version 6, in numpy: how likely each 32 ms of sound are speech.

The network is small (a 4-frame spectrum, four convolutions, one LSTM cell), so numpy runs it in well under 1 % of a
core and onnxruntime, 60 MB of memory more, is not needed (signal-packages 2).

`silero_v6.npy` holds the weights of `silero_vad_16k_op15.onnx` from the wheel `silero-vad` 6.2.3, as float16 and under
the names of its graph, cut to their last dotted parts. MIT licence: silero_LICENSE.txt beside it.
"""

from collections.abc import Sequence
from functools import cache
from math import tanh
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voiced.audio.spectrum import SINGLE

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


#: The basis of the spectrum in the graph is a Fourier transform under this window, which also makes up for its norm.
_HANN: Samples = np.hanning(_STFT_LENGTH + 1)[:-1].astype(np.float32) * np.float32(_STFT_LENGTH)
#: Frames that the first convolution and the second see: those of the input, with one of zeros at either end.
_PADDED = _FRAMES + 2


class _Weights(NamedTuple):
    """Everything as (inputs, outputs), the inputs of a convolution frame by frame. Where it would see only zeros, nothing; and the three
    sigmoids of the LSTM cell as 0.5 + 0.5 * tanh(x / 2), which does not overflow."""

    encoder: tuple[Samples, ...]
    biases: tuple[Samples, ...]
    rnn: Samples  # gates side by side: forget, write, read, candidate
    rnn_bias: Samples
    decoder: Samples
    decoder_bias: float


@cache
def _weights() -> _Weights:
    # One record: to open the archive of npz takes 1.6 MiB of modules. Mapped, and each weight copied once, for what malloc was given
    # in between it keeps.
    w = np.asarray(np.load(Path(__file__).with_name("silero_v6.npy"), mmap_mode="r"))
    by_channel = [w[f"encoder{n}.weight"] for n in range(4)]
    encoder = [weight.reshape(len(weight), -1, 3).transpose(2, 1, 0).reshape(-1, len(weight)) for weight in by_channel]
    encoder[2] = encoder[2][_CHANNELS:]
    encoder[3] = encoder[3][_CHANNELS : 2 * _CHANNELS]
    rnn: Samples = np.empty((2 * _HIDDEN, 4 * _HIDDEN), np.float32)
    bias: Samples = np.empty(4 * _HIDDEN, np.float32)
    for to, gate in enumerate((1, 0, 3, 2)):  # in the file: write, forget, candidate, read
        there, here = slice(gate * _HIDDEN, (gate + 1) * _HIDDEN), slice(to * _HIDDEN, (to + 1) * _HIDDEN)
        rnn[:_HIDDEN, here] = w["rnn.weight_ih"][there].T
        rnn[_HIDDEN:, here] = w["rnn.weight_hh"][there].T
        bias[here] = w["rnn.bias"][there]
    for of_sigmoids in (rnn[:, : 3 * _HIDDEN], bias[: 3 * _HIDDEN]):
        of_sigmoids *= 0.5
    return _Weights(
        tuple(np.ascontiguousarray(each, np.float32) for each in encoder),
        tuple(w[f"encoder{n}.bias"].astype(np.float32) for n in range(4)),
        rnn,
        bias,
        w["decoder.weight"][0].astype(np.float32),
        float(w["decoder.bias"][0]),
    )


class Silero:
    """The detector for one stream of sound at 16 kHz."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all sound heard so far."""
        self._memory: Samples = np.zeros((2, _HIDDEN), np.float32)  # of the LSTM cell: what it puts out, and its state
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
        memory = np.array([each._memory for each in detectors])
        score = _recall(_encode(np.array(windows)), memory)
        for each, remembered in zip(detectors, memory, strict=True):
            each._memory = remembered
        scores.append(tuple(score))
    return scores


def _encode(heard: Samples) -> Samples:
    """Of windows with their contexts, shape (streams, 576), what the memory gets to see: the left half of an array (streams, 256)."""
    w = _weights()
    streams = len(heard)
    reflected: Samples = np.empty((streams, _CONTEXT + WINDOW + _CONTEXT), np.float32)
    reflected[:, :-_CONTEXT] = heard
    reflected[:, -_CONTEXT:] = heard[:, -2 : -2 - _CONTEXT : -1]
    frames = np.fft.rfft(_every(_STFT_LENGTH // 2, reflected, _FRAMES, _STFT_LENGTH) * _HANN, norm=SINGLE)
    bins: Samples = np.zeros((streams, _PADDED, _STFT_LENGTH // 2 + 1), np.float32)
    np.abs(frames, out=bins[:, 1:-1])
    first: Samples = np.zeros((streams, _PADDED, _HIDDEN), np.float32)
    convolved = _every(bins.shape[2], bins, _FRAMES, 3 * bins.shape[2]).reshape(streams * _FRAMES, -1) @ w.encoder[0]
    convolved += w.biases[0]
    np.maximum(convolved.reshape(streams, _FRAMES, -1), 0, out=first[:, 1:-1])
    second = _layer(1, _every(2 * _HIDDEN, first, 2, 3 * _HIDDEN).reshape(streams * 2, -1))
    seen: Samples = np.empty((streams, 2 * _HIDDEN), np.float32)
    seen[:, :_HIDDEN] = _layer(3, _layer(2, second.reshape(streams, -1)))
    return seen


def _every(step: int, x: Samples, count: int, length: int) -> Samples:
    """Of each stream's numbers, `count` stretches of that length, shape (streams, count, length). numpy's own padding and sliding windows
    cost four times what the arithmetic does."""
    return np.ndarray((len(x), count, length), np.float32, x, strides=(x.strides[0], step * x.itemsize, x.itemsize))


def _layer(layer: int, x: Samples) -> Samples:
    out: Samples = x @ _weights().encoder[layer]
    out += _weights().biases[layer]
    np.maximum(out, 0, out=out)
    return out


def _recall(seen: Samples, memory: Samples) -> list[float]:
    """The LSTM cell and the verdict: probabilities; changes the memory, shape (streams, 2, 128), and the right half of what is seen."""
    w = _weights()
    hidden, cell = memory[:, 0], memory[:, 1]
    seen[:, _HIDDEN:] = hidden
    gates = seen @ w.rnn
    gates += w.rnn_bias
    np.tanh(gates, out=gates)
    sigmoids = gates[:, : 3 * _HIDDEN]
    sigmoids *= 0.5
    sigmoids += 0.5
    forget, write, read, candidate = (gates[:, at : at + _HIDDEN] for at in range(0, 4 * _HIDDEN, _HIDDEN))
    cell *= forget
    candidate *= write
    cell += candidate
    np.tanh(cell, out=hidden)
    hidden *= read
    scores = np.maximum(hidden, 0) @ w.decoder
    return [0.5 + 0.5 * tanh(0.5 * (score + w.decoder_bias)) for score in scores.tolist()]
