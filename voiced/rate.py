"""How often something may happen. Pure."""


class Rate:
    """A bucket of `burst` tokens that fills by `per_s`: allows so many at once, and so many a second for long. What has happened
    unasked may be spent beyond that, and is missing then."""

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s, self._burst = per_s, burst
        self._tokens, self._since_s = burst, 0.0

    def allows(self, now_s: float) -> bool:
        """Whether it may happen now; if so, it has."""
        if self.exhausted(now_s):
            return False
        self._tokens -= 1
        return True

    def spend(self, much: float, now_s: float) -> None:
        """It has happened, so often."""
        self._fill(now_s)
        self._tokens -= much

    def exhausted(self, now_s: float) -> bool:
        self._fill(now_s)
        return self._tokens < 1

    def refilled_s(self, tokens: float) -> float:
        """When there will be so many, if nothing more happens."""
        return self._since_s + max(0.0, tokens - self._tokens) / self.per_s

    def _fill(self, now_s: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._since_s) * self.per_s)
        self._since_s = now_s
