"""How often something may happen. Pure."""


class Rate:
    """A bucket of `burst` tokens that fills by `per_s`: allows so many at once, and so many a second for long."""

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s, self._burst = per_s, burst
        self._tokens, self._since_s = burst, 0.0

    def allows(self, now_s: float) -> bool:
        """Whether it may happen now; if so, it has."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._since_s) * self.per_s)
        self._since_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
