"""Even time from the stamps of a device, which jitter: how far its clock is from the computer's, and how fast it goes astray. Pure."""

#: A clock that is off by more than this was set anew.
HOPELESS_S = 0.010
#: Blocks in a row that must say so, as a reader that was held up stamps its next block late.
_SURE_BLOCKS = 5
#: Of so many blocks the earliest stamp counts: a reader can be late by any time, but not early.
_BEST_OF = 16


class Clock:
    """A Kalman filter for how far a device's clock is from its nominal one, and how fast it goes astray. The first stamps are averaged,
    later ones count for less and less, with a memory of about 15 s."""

    #: Few clocks are off by more than 30 ppm, and to believe the first stamps that this one is shakes the reference.
    _SKEW2 = 30e-6**2
    _WANDER2_PER_S = 1e-13  # of the skew: 2.4 ppm in a minute

    def __init__(self, jitter_s: float) -> None:
        self.ahead_s = 0.0
        self.skew = 0.0
        self._jitter2 = jitter_s**2
        self._variance = (self._jitter2, 0.0, self._SKEW2)

    def run(self, seconds: float) -> None:
        """So much time has passed."""
        ahead2, both, skew2 = self._variance
        self.ahead_s += seconds * self.skew
        self._variance = (ahead2 + seconds * (2 * both + seconds * skew2), both + seconds * skew2, skew2 + seconds * self._WANDER2_PER_S)

    def see(self, ahead_s: float) -> None:
        """A stamp says that the clock is so much ahead of its nominal time."""
        ahead2, both, skew2 = self._variance
        total = ahead2 + self._jitter2
        off = ahead_s - self.ahead_s
        self.ahead_s += off * ahead2 / total
        self.skew += off * both / total
        self._variance = (ahead2 * self._jitter2 / total, both * self._jitter2 / total, skew2 - both * both / total)

    def jump(self, ahead_s: float) -> None:
        """The clock was set anew; how fast it goes is still known."""
        self.ahead_s = ahead_s
        self._variance = (self._jitter2, 0.0, self._variance[2])


class ReaderClock(Clock):
    """Of a device whose blocks are stamped by who reads them."""

    def __init__(self, jitter_s: float) -> None:
        super().__init__(jitter_s)
        self._surprises = 0
        self._stamps: list[float] = []  # by how much each of the last blocks was ahead
        self._settled = False

    def judge(self, ahead_s: float) -> None:
        """What the next block's stamp tells."""
        surprising = (self._settled or self._stamps) and abs(ahead_s - self.ahead_s) > HOPELESS_S
        self._surprises = self._surprises + 1 if surprising else 0
        if self._surprises >= _SURE_BLOCKS:
            self._surprises, self._settled, self._stamps = 0, False, []
        self._stamps.append(ahead_s)
        if not self._settled:
            self.jump(min(self._stamps))
        elif len(self._stamps) == _BEST_OF:
            self.see(min(self._stamps))
        if len(self._stamps) == _BEST_OF:
            self._settled, self._stamps = True, []
