"""The far end as the linear canceller looks at it: the spectra of its last blocks, slid in time against the drift of the clocks.

Sliding the far end keeps the path in its place exactly. Turning the path's phases instead was tried: what crosses from one
partition to the next gets lost, 9 dB where that is the strongest tap.
"""

import numpy as np
from numpy.typing import NDArray

from voiced.audio.echo.interface import Samples
from voiced.audio.spectrum import SINGLE

#: 20 ms, the frame of the microphone: nothing waits here. 16 blocks are 320 ms of echo.
BLOCK = 320
PARTITIONS = 16
FFT = 2 * BLOCK
BINS = BLOCK + 1

#: Silence that is longer ends a run (1.4 s): what comes then was stamped anew, and its echo is where that of the run before began.
_RUN_ENDS = PARTITIONS + 1 + 50

#: The far end is seen so many samples late, between the limits; beyond, the path moves by half the range instead.
_EARLIEST, _START, _LATEST = 8, 24, 40
MOVE = 16
_REACH = 8
_PLACES = 1024  # between two samples
#: Samples that are kept of it.
PAST = (PARTITIONS + 1) * BLOCK + _LATEST + _REACH


class Far:
    """`spectra`, their `conjugates` and `powers`, shape (PARTITIONS, BINS), newest first."""

    def __init__(self) -> None:
        # Each block is stored twice, so that the newest PARTITIONS of the ring are always one contiguous view.
        self._spectra: NDArray[np.complex64] = np.zeros((2, PARTITIONS, BINS), np.complex64)
        self._conjugates = np.zeros_like(self._spectra)
        self._powers: Samples = np.zeros((2, PARTITIONS, BINS), np.float32)
        self._head = 0
        self._past: Samples = np.zeros(PAST, np.float32)  # times FFT, which makes up for the transform's norm
        self._silent = _RUN_ENDS + 1  # blocks since it was last heard
        self._run = 0  # blocks since the run began
        self._late = float(_START)
        #: Blocks that came, silent ones too.
        self.passed = 0

    @property
    def idle(self) -> bool:
        """Nothing is left that could echo."""
        return self._silent > PARTITIONS + 1

    @property
    def late(self) -> float:
        """By how many samples it is seen later than it came."""
        return self._late

    @property
    def spectra(self) -> NDArray[np.complex64]:
        return self._spectra.reshape(-1, BINS)[self._head : self._head + PARTITIONS]

    @property
    def conjugates(self) -> NDArray[np.complex64]:
        return self._conjugates.reshape(-1, BINS)[self._head : self._head + PARTITIONS]

    @property
    def powers(self) -> Samples:
        return self._powers.reshape(-1, BINS)[self._head : self._head + PARTITIONS]

    def take(self, block: Samples, rate: float) -> int:
        """The next block, and by how many samples in a block its echo comes later; returns by how many the path has to move, mostly 0."""
        self.passed += 1
        move = self._slide(self._later(bool(block.any()), rate))
        if self.idle:
            return move
        self._past[:-BLOCK] = self._past[BLOCK:]
        np.multiply(block, FFT, out=self._past[-BLOCK:])
        if move:
            for back in range(PARTITIONS - 1, 0, -1):
                self._look(back)
        self._look(0)
        return move

    def _later(self, sounds: bool, rate: float) -> float:
        """By how many samples more it is to be seen late. What a run drifted ends with it, also what was learned before it was known
        as drift. To slide on in silence unlearned the room: 60 ms in ten minutes at 100 ppm."""
        begins = sounds and self._silent > _RUN_ENDS
        self._silent = 0 if sounds else self._silent + 1
        if begins:
            drifted, self._run = rate * self._run, 0
            return -drifted
        if self._silent > _RUN_ENDS:
            return 0.0
        self._run += 1
        return rate

    def _slide(self, later: float) -> int:
        self._late += later
        move = 0
        while self._late > _LATEST:
            self._late -= MOVE
            move += MOVE
        while self._late < _EARLIEST:
            self._late += MOVE
            move -= MOVE
        return move

    def replace(self, past: Samples) -> None:
        """Another past, of the same length or longer: what came was held back by more, or by less, than what will come."""
        np.multiply(past[-len(self._past) :], FFT, out=self._past)
        for back in range(PARTITIONS - 1, -1, -1):
            self._look(back)

    def _look(self, back: int) -> None:
        """The spectrum of the two blocks that ended `back` blocks ago becomes the newest of the ring."""
        end = len(self._past) - back * BLOCK
        whole = int(np.floor(self._late))
        rest = self._late - whole
        if rest < 1e-3:
            seen = self._past[max(0, end - whole - FFT) : end - whole]
        else:
            seen = np.convolve(
                self._past[max(0, end - whole - FFT - _REACH) : end - whole + _REACH - 1], _BETWEEN[round(rest * _PLACES)], "valid"
            )
        if len(seen) < FFT:  # the oldest block, for lack of what was before it
            seen = np.concatenate((np.zeros(FFT - len(seen), np.float32), seen))
        self._head = (self._head - 1) % PARTITIONS
        spectrum = np.fft.rfft(seen, norm=SINGLE).astype(np.complex64, copy=False)
        self._spectra[:, self._head] = spectrum
        self._conjugates[:, self._head] = np.conjugate(spectrum)
        self._powers[:, self._head] = np.square(np.abs(spectrum))


def _between() -> Samples:
    """Row n: weights that give what was heard n / _PLACES of a sample earlier (a windowed sinc, 60 dB true below 6 kHz)."""
    distance = np.arange(-_REACH, _REACH) + 1 - np.arange(_PLACES + 1)[:, None] / _PLACES
    weights = np.sinc(distance) * np.cos(np.pi / 2 * distance / (_REACH + 1)) ** 2
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


_BETWEEN = _between()
