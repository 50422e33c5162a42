"""The linear canceller: a partitioned-block Kalman filter in the frequency domain.

It subtracts what a linear room makes of the far end and leaves everything else alone, the user included, who may be much
quieter than the echo. Each bin of each partition has a variance of its own, from which follow its step size and with it
how much double talk may disturb it (Enzner & Vary 2006; Kuech, Mabande, Enzner 2014; constants: two-path, recipe R6).
"""

import numpy as np
from numpy.typing import NDArray

from voiced.audio.echo.interface import Samples

#: 20 ms, the frame of the microphone: nothing waits here. 16 blocks are 320 ms of echo.
BLOCK = 320
PARTITIONS = 16
_FFT = 2 * BLOCK
_BINS = BLOCK + 1

#: Variance of a coefficient of which nothing is known, and the most that one may have: with 1e-2 an echo louder than the far end
#: is not followed (two-path).
_PRIOR = 0.1
#: What the room changes in a block: 1 - 0.997**2 in 16 ms (two-path), here in 20.
_CHANGE = 0.0075
_SMALL = 1e-9


class Linear:
    """One microphone and one loudspeaker. Never reset between replies: the room stays."""

    def __init__(self) -> None:
        self._far: Samples = np.zeros(_FFT, np.float32)
        # A ring of spectra, newest first, each stored twice so that all partitions are always one contiguous view.
        self._spectra: NDArray[np.complex64] = np.zeros((2 * PARTITIONS, _BINS), np.complex64)
        self._powers: Samples = np.zeros((2 * PARTITIONS, _BINS), np.float32)
        self._head = 0
        self._silent = PARTITIONS + 1  # blocks since the far end was last heard
        self.weights: NDArray[np.complex64] = np.zeros((PARTITIONS, _BINS), np.complex64)
        self._variance: Samples = np.full((PARTITIONS, _BINS), _PRIOR, np.float32)
        self._noise: Samples = np.full(_BINS, 1e-6, np.float32)
        self._padded: Samples = np.zeros(_FFT, np.float32)
        self._work: NDArray[np.complex64] = np.zeros((PARTITIONS, _BINS), np.complex64)
        self._real: Samples = np.zeros((PARTITIONS, _BINS), np.float32)
        self._half = 0

    @property
    def idle(self) -> bool:
        """Nothing of the far end is left that could echo."""
        return self._silent > PARTITIONS

    def process(self, near: Samples, far: Samples) -> tuple[Samples, Samples]:
        """A block of each; returns what is left of `near`, and the echo that was taken out."""
        self._take(far)
        if self.idle:
            return near, np.zeros(BLOCK, np.float32)
        spectra = self._spectra[self._head : self._head + PARTITIONS]
        powers = self._powers[self._head : self._head + PARTITIONS]
        np.multiply(self.weights, spectra, out=self._work)
        echo = np.fft.irfft(self._work.sum(axis=0), _FFT)[BLOCK:].astype(np.float32)
        left = near - echo
        self._learn(left, spectra, powers)
        return left, echo

    def _take(self, far: Samples) -> None:
        self._silent = 0 if far.any() else self._silent + 1
        self._far[:BLOCK] = self._far[BLOCK:]
        self._far[BLOCK:] = far
        self._head = (self._head - 1) % PARTITIONS
        spectrum = np.fft.rfft(self._far).astype(np.complex64)
        power = spectrum.real**2 + spectrum.imag**2
        for at in (self._head, self._head + PARTITIONS):
            self._spectra[at] = spectrum
            self._powers[at] = power

    def _learn(self, left: Samples, spectra: NDArray[np.complex64], powers: Samples) -> None:
        self._padded[BLOCK:] = left
        error = np.fft.rfft(self._padded).astype(np.complex64)
        self._noise += 0.5 * (error.real**2 + error.imag**2 - self._noise)
        uncertain = np.multiply(self._variance, powers, out=self._real)
        total = 0.5 * uncertain.sum(axis=0) + self._noise + _SMALL
        step = self._variance / total
        np.conjugate(spectra, out=self._work)
        self._work *= error
        self._work *= step
        self.weights += self._work
        uncertain /= total
        uncertain *= -0.5
        uncertain += 1
        self._variance *= uncertain
        self._variance += _CHANGE * (self.weights.real**2 + self.weights.imag**2) + _SMALL
        np.minimum(self._variance, _PRIOR, out=self._variance)
        self._constrain()

    def _constrain(self) -> None:
        """Every second partition back to BLOCK taps, the others next time: half the cost, and no worse (two-path)."""
        taps = np.fft.irfft(self.weights[self._half :: 2], _FFT, axis=1)
        taps[:, BLOCK:] = 0
        self.weights[self._half :: 2] = np.fft.rfft(taps, axis=1)
        self._half = 1 - self._half
