"""Waits for what has no event to wait for: another process's log, or its end."""

import time
from collections.abc import Callable


def until(happened: Callable[[], object], what: str, within_s: float = 10.0) -> float:
    """Returns how many seconds it took."""
    began_s = time.monotonic()
    while not happened():
        assert time.monotonic() - began_s < within_s, f"no {what} within {within_s} s"
        time.sleep(0.01)
    return time.monotonic() - began_s
