"""The linear canceller: two partitioned-block filters in the frequency domain, of which one learns and one is kept.

It subtracts what a linear room makes of the far end and leaves everything else alone, the user included, who may be much
quieter than the echo. What learns is a Kalman filter: each bin of each partition has a variance of its own, from which follow
its step size and how much double talk may disturb it (Enzner & Vary 2006; constants: two-path, recipe R6). The kept filter is
what it had learned when it was last better; it is what jumps and drift are seen against, and moved by (path.py).
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voiced.audio.echo import path
from voiced.audio.echo.far import BINS, BLOCK, FFT, PARTITIONS, Far
from voiced.audio.echo.interface import RATE_HZ, Samples

#: Variance of a coefficient of which nothing is known, and the most that one may have: with 1e-2 an echo louder than the far
#: end is not followed (two-path).
_PRIOR = 0.1
#: What the room changes in a block: 1 - 0.997**2 in 16 ms (two-path), here in 20.
_CHANGE = 0.0075
_SMALL = 1e-9

#: Powers are smoothed over 5 and over 25 blocks. What learns is kept when it is better by both, or a little better for long;
#: it is given up for what was kept when it is twice as bad (after double talk).
_QUICK, _SLOW = 0.2, 0.04
_LATER = 25
#: The expected echo is not in the microphone: more than half of the power is left though a twentieth of it was to be echo.
_UNEXPLAINED, _EXPECTED = 0.5, 0.05
_PATIENCE, _BETWEEN_SEARCHES = 2, 1
_AFTER_MOVE = 8
#: The path is compared with that of 3 s ago: over 1 s, drift was seen too low by a third at -18 dB of echo.
_SPAN = 3
_BETWEEN = 50
#: Of what is seen of a drift, the part believed after the first time. The loop has 3 s of delay; 0.5 rang.
_BELIEVED = 0.35
_FASTEST = 0.1  # samples in a block: 310 ppm


class Parted(NamedTuple):
    """A block: what the microphone heard is their sum."""

    left: Samples
    echo: Samples


class Linear:
    """One microphone and one loudspeaker. Never reset between replies: the room stays."""

    def __init__(self) -> None:
        self._far = Far()
        self._learner = _Learner()
        self._kept: path.Weights = np.zeros((PARTITIONS, BINS), np.complex64)
        self._work: NDArray[np.complex64] = np.zeros((PARTITIONS, BINS), np.complex64)
        self._both: NDArray[np.complex64] = np.zeros((2, BINS), np.complex64)
        self._past_near: Samples = np.zeros(path.COMPARED, np.float32)
        self._past_echo: Samples = np.zeros(path.COMPARED, np.float32)
        self._learned = True  # which of the two spoke last
        self._quick = np.full(4, _SMALL)  # powers: microphone, left by the kept, left by the learner, echo by the kept
        self._slow = np.full(4, _SMALL)
        self._blocks = 0
        self._unexplained = 0
        #: So often the path was found to have jumped.
        self.jumps = 0
        self._drift = _Drift()

    @property
    def idle(self) -> bool:
        """Nothing of the far end is left that could echo."""
        return self._far.idle

    @property
    def erle_db(self) -> float | None:
        """By how much the microphone's power is lowered, over about half a second; what the user says is in it."""
        return float(10 * np.log10(self._slow[0] / self._slow[1])) if self._blocks > _LATER else None

    @property
    def drift_ppm(self) -> float | None:
        return self._drift.rate / BLOCK * 1e6 if self._drift.seen else None

    @property
    def delay_ms(self) -> float | None:
        return (path.strongest(self._kept) + self._far.late) * 1000 / RATE_HZ if self._kept.any() else None

    def process(self, near: Samples, far: Samples) -> Parted:
        """A block of each. `near` must not be changed afterwards."""
        self._move(self._far.take(far, self._drift.rate))
        if self.idle:
            nothing = np.zeros(BLOCK, np.float32)
            self._remember(near, nothing)
            self._drift.forget()
            return Parted(near, nothing)
        kept, learned = self._echoes()
        self._remember(near, kept)
        self._measure(near, near - kept, near - learned, kept)
        self._learner.learn(near - learned, self._far, self._work)
        echo = self._chosen(kept, learned)
        self._exchange()
        self._follow_jumps()
        if self._blocks % _BETWEEN == 0:
            self._drift.look(self._learner.weights, self._far.passed, known=self._slow[1] < 0.8 * self._slow[0])
        return Parted(near - echo, echo)

    def hold(self, by: int, past: Samples) -> None:
        """The far end that comes next is held back by so many samples more than it was; `past` is what would have come until now."""
        self._far.replace(past)
        self._move(-by)

    def _echoes(self) -> Samples:
        """What the kept filter and the learner make of the far end."""
        for weights, both in zip((self._kept, self._learner.weights), self._both, strict=True):
            np.multiply(weights, self._far.spectra, out=self._work)
            self._work.sum(axis=0, out=both)
        return np.fft.irfft(self._both, FFT)[:, BLOCK:].astype(np.float32, copy=False)

    def _remember(self, near: Samples, echo: Samples) -> None:
        for past, new in ((self._past_near, near), (self._past_echo, echo)):
            past[:-BLOCK] = past[BLOCK:]
            past[-BLOCK:] = new

    def _measure(self, near: Samples, kept: Samples, learned: Samples, echo: Samples) -> None:
        powers = np.array([x @ x for x in (near, kept, learned, echo)], np.float64) + _SMALL
        self._quick += _QUICK * (powers - self._quick)
        self._slow += _SLOW * (powers - self._slow)
        self._blocks += 1

    def _chosen(self, kept: Samples, learned: Samples) -> Samples:
        """Whichever takes out more; from one to the other by a ramp."""
        new, old = (learned, kept) if self._quick[2] < self._quick[1] else (kept, learned)
        changed = self._learned != (new is learned)
        self._learned = new is learned
        return new + (old - new) * _RAMP if changed else new

    def _exchange(self) -> None:
        _, kept, learned, _ = self._quick
        heard, long_kept, long_learned, _ = self._slow
        better = learned < 0.8 * kept and long_learned < 0.9 * min(long_kept, 0.78 * heard)
        if not better and self._blocks % _LATER == 0:
            better = learned < 0.95 * kept and long_learned < min(0.97 * long_kept, 0.5 * heard)
        if better:
            self._kept[:] = self._learner.weights
            self._quick[1], self._slow[1] = learned, long_learned
        elif learned > 2 * kept and long_learned > 1.2 * long_kept:
            self._learner.weights[:] = self._kept
            self._quick[2], self._slow[2] = kept, long_kept

    def _follow_jumps(self) -> None:
        near, kept, _, echo = self._quick
        self._unexplained = self._unexplained + 1 if kept > _UNEXPLAINED * near and echo > _EXPECTED * near else min(self._unexplained, 0)
        if self._unexplained < _PATIENCE:
            return
        self._unexplained = -_BETWEEN_SEARCHES
        by = path.jumped(self._past_near, self._past_echo)
        if by is None:
            return
        self.jumps += 1
        self._unexplained = -_AFTER_MOVE
        self._kept = path.moved(self._kept, by)
        self._learner.weights[:] = self._kept
        self._past_echo[:] = 0
        self._quick[1:3], self._slow[1:3] = self._quick[0], self._slow[0]
        self._drift.forget()

    def _move(self, by: int) -> None:
        """The far end is seen earlier by so much than it was, so the path is later."""
        if by:
            self._kept = path.moved(self._kept, by)
            self._learner.weights[:] = path.moved(self._learner.weights, by)
            self._drift.forget()


_RAMP: Samples = np.linspace(1, 0, BLOCK, dtype=np.float32)


class _Learner:
    """The Kalman filter."""

    def __init__(self) -> None:
        self.weights: path.Weights = np.zeros((PARTITIONS, BINS), np.complex64)
        self._variance: Samples = np.full((PARTITIONS, BINS), _PRIOR, np.float32)
        self._noise: Samples = np.full(BINS, 1e-6, np.float32)
        self._padded: Samples = np.zeros(FFT, np.float32)
        self._real: Samples = np.zeros((PARTITIONS, BINS), np.float32)
        self._half = 0

    def learn(self, left: Samples, far: Far, work: NDArray[np.complex64]) -> None:
        self._padded[BLOCK:] = left
        error = np.fft.rfft(self._padded).astype(np.complex64, copy=False)
        self._noise += 0.5 * (error.real**2 + error.imag**2 - self._noise)
        uncertain = np.multiply(self._variance, far.powers, out=self._real)
        total = 0.5 * uncertain.sum(axis=0) + self._noise + _SMALL
        np.conjugate(far.spectra, out=work)
        work *= error
        work *= self._variance / total
        self.weights += work
        uncertain /= total
        uncertain *= -0.5
        uncertain += 1
        self._variance *= uncertain
        changed = np.abs(self.weights, out=uncertain)
        changed *= changed
        changed *= _CHANGE
        changed += _SMALL
        self._variance += changed
        np.minimum(self._variance, _PRIOR, out=self._variance)
        self._constrain()

    def _constrain(self) -> None:
        """Every second partition back to BLOCK taps, the others next time: half the cost, and no worse (two-path)."""
        taps = np.fft.irfft(self.weights[self._half :: 2], FFT, axis=1)
        taps[:, BLOCK:] = 0
        self.weights[self._half :: 2] = np.fft.rfft(taps, axis=1)
        self._half = 1 - self._half


class _Drift:
    """How fast the path moves, from where it was some seconds ago. `rate` is in samples later in each block."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.seen = False
        self._paths: deque[tuple[int, path.Weights]] = deque()

    def forget(self) -> None:
        """The path was moved, or another run begins: where it was before says nothing about drift."""
        self._paths.clear()

    def look(self, weights: path.Weights, block: int, known: bool) -> None:
        if not known:
            self._paths.clear()
            return
        if len(self._paths) == _SPAN:
            then, before = self._paths.popleft()
            by = path.drifted(weights, before)
            if by is not None:
                self._believe(by / (block - then))
        self._paths.append((block, weights.copy()))

    def _believe(self, error: float) -> None:
        """What is still seen to move, though the far end slides at `rate` already."""
        self.rate += error * (_BELIEVED if self.seen else 1.0)
        self.rate = min(max(self.rate, -_FASTEST), _FASTEST)
        self.seen = True
