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
from voiced.audio.spectrum import SINGLE

#: Variance of a coefficient of which nothing is known, and the most that one may have: with 1e-2 an echo louder than the far
#: end is not followed (two-path).
_PRIOR = 0.1
#: What the room changes in a block: 1 - 0.997**2 in 16 ms (two-path), here in 20.
_CHANGE = 0.0075
_CHANGES = np.float32(_CHANGE**0.5)
_SMALL = 1e-9
#: A microphone that is quieter than a converter's last digit says nothing of a jump.
_AUDIBLE = 1e-8

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
        # Both filters in one piece, for what is done to both.
        self._weights: NDArray[np.complex64] = np.zeros((2, PARTITIONS, BINS), np.complex64)
        self._kept: path.Weights = self._weights[_KEPT]
        self._learner = _Learner(self._weights[_LEARNER])
        self._work = np.zeros_like(self._weights)
        self._both: NDArray[np.complex64] = np.zeros((2, BINS), np.complex64)
        self._past: deque[_Past] = deque([_Past(_NOTHING, _NOTHING)] * _COMPARED, _COMPARED)
        self._spoke = _LEARNER  # last
        self._quick = [_SMALL] * 4  # powers: microphone, left by the kept, left by the learner, echo by the kept
        self._slow = [_SMALL] * 4
        self._blocks = 0
        self._unexplained = 0
        #: Some of the echo was once taken out.
        self.known = False
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
        return (path.strongest(self._kept) + self._far.late) * 1000 / RATE_HZ if self.known else None

    def process(self, near: Samples, far: Samples) -> Parted:
        """A block of each. `near` must not be changed afterwards."""
        self._move(self._far.take(far, self._drift.rate))
        if self.idle:
            self._past.append(_Past(near, _NOTHING))
            self._drift.forget()
            return Parted(near, np.zeros(BLOCK, np.float32))
        echoes = self._echoes()
        left: Samples = near - echoes
        self._past.append(_Past(near, echoes[_KEPT]))
        self._measure(near, left, echoes[_KEPT])
        self._learner.learn(left[_LEARNER], self._far, self._work[_LEARNER])
        parted = self._chosen(near, left, echoes)
        self._exchange()
        self._follow_jumps()
        if self._blocks % _BETWEEN == 0:
            self._drift.look(self._learner.weights, self._far.passed, known=self._slow[1] < 0.8 * self._slow[0])
        return parted

    def hold(self, by: int, past: Samples) -> None:
        """The far end that comes next is held back by so many samples more than it was; `past` is what would have come until now."""
        self._far.replace(past)
        self._move(-by)

    def _echoes(self) -> Samples:
        """What the kept filter and the learner make of the far end."""
        np.multiply(self._weights, self._far.spectra, out=self._work)
        self._work.sum(axis=1, out=self._both)
        return np.fft.irfft(self._both, FFT)[:, BLOCK:].astype(np.float32, copy=False)

    def _measure(self, near: Samples, left: Samples, echo: Samples) -> None:
        powers = [float(x @ x) + _SMALL for x in (near, *left, echo)]
        self._quick = [old + _QUICK * (new - old) for old, new in zip(self._quick, powers, strict=True)]
        self._slow = [old + _SLOW * (new - old) for old, new in zip(self._slow, powers, strict=True)]
        self._blocks += 1

    def _chosen(self, near: Samples, left: Samples, echoes: Samples) -> Parted:
        """Whichever takes out more; from one to the other by a ramp."""
        before, self._spoke = self._spoke, _LEARNER if self._quick[2] < self._quick[1] else _KEPT
        new = echoes[self._spoke]
        if self._spoke == before:
            return Parted(left[self._spoke], new)
        echo = new + (echoes[before] - new) * _RAMP
        return Parted(near - echo, echo)

    def _exchange(self) -> None:
        _, kept, learned, _ = self._quick
        heard, long_kept, long_learned, _ = self._slow
        better = learned < 0.8 * kept and long_learned < 0.9 * min(long_kept, 0.78 * heard)
        if not better and self._blocks % _LATER == 0:
            better = learned < 0.95 * kept and long_learned < min(0.97 * long_kept, 0.5 * heard)
        if better:
            self._kept[:] = self._learner.weights
            self.known = True
            self._quick[1], self._slow[1] = learned, long_learned
        elif learned > 2 * kept and long_learned > 1.2 * long_kept:
            self._learner.weights[:] = self._kept
            self._quick[2], self._slow[2] = kept, long_kept

    def _follow_jumps(self) -> None:
        near, kept, _, echo = self._quick
        self._unexplained = self._unexplained + 1 if kept > _UNEXPLAINED * near and echo > _EXPECTED * near else min(self._unexplained, 0)
        if self._unexplained < _PATIENCE or near < _AUDIBLE:
            return
        self._unexplained = -_BETWEEN_SEARCHES
        by = self._jumped()
        if by is None:
            return
        self.jumps += 1
        self._unexplained = -_AFTER_MOVE
        self._weights[:] = path.moved(self._kept, by)
        self._past.extend([_Past(past.near, _NOTHING) for past in self._past])
        for powers in (self._quick, self._slow):
            powers[1] = powers[2] = powers[0]
        self._drift.forget()

    def _jumped(self) -> int | None:
        near, echo = (np.concatenate(sounds)[-path.COMPARED :] for sounds in zip(*self._past, strict=True))
        return path.jumped(near, echo)

    def _move(self, by: int) -> None:
        """The far end is seen earlier by so much than it was, so the path is later."""
        if by:
            for weights in self._weights:
                weights[:] = path.moved(weights, by)
            self._drift.forget()


_KEPT, _LEARNER = 0, 1
_RAMP: Samples = np.linspace(1, 0, BLOCK, dtype=np.float32)
_NOTHING: Samples = np.zeros(BLOCK, np.float32)
#: Blocks that hold what is compared.
_COMPARED = -(-path.COMPARED // BLOCK)


class _Past(NamedTuple):
    near: Samples
    echo: Samples  # by the kept filter


class _Learner:
    """The Kalman filter; `weights` are zeros that it may change in place."""

    def __init__(self, weights: path.Weights) -> None:
        self.weights = weights
        self._variance: Samples = np.full((PARTITIONS, BINS), _PRIOR, np.float32)
        self._noise: Samples = np.full(BINS, 1e-6, np.float32)
        self._padded: Samples = np.zeros(FFT, np.float32)
        self._real: Samples = np.zeros((PARTITIONS, BINS), np.float32)
        # The variance, without an imaginary part: complex numbers times real ones take twenty times as long as times complex ones.
        self._complex: NDArray[np.complex64] = np.zeros((PARTITIONS, BINS), np.complex64)
        self._half = 0

    def learn(self, left: Samples, far: Far, work: NDArray[np.complex64]) -> None:
        np.multiply(left, FFT, out=self._padded[BLOCK:])  # makes up for the transform's norm
        error = np.fft.rfft(self._padded, norm=SINGLE).astype(np.complex64, copy=False)
        power = np.square(np.abs(error))
        power -= self._noise
        power *= 0.5
        self._noise += power
        variance = self._variance
        uncertain = np.multiply(variance, far.powers, out=self._real)
        total = uncertain.sum(axis=0)
        total *= 0.5
        total += self._noise
        total += _SMALL
        error /= total
        self._complex.real = variance
        np.multiply(far.conjugates, error, out=work)
        work *= self._complex
        self.weights += work
        uncertain *= np.divide(-0.5, total, out=total)
        uncertain += 1
        variance *= uncertain
        changed = np.abs(self.weights, out=uncertain)
        changed *= _CHANGES
        changed *= changed
        changed += _SMALL
        variance += changed
        np.minimum(variance, _PRIOR, out=variance)
        self._constrain()

    def _constrain(self) -> None:
        """Every second partition back to BLOCK taps, the others next time: half the cost, and no worse (two-path)."""
        taps = np.fft.irfft(self.weights[self._half :: 2], FFT, axis=1)
        taps[:, BLOCK:] = 0
        np.multiply(np.fft.rfft(taps, norm=SINGLE), FFT, out=self.weights[self._half :: 2], casting="same_kind")
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
