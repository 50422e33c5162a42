"""How long the machine itself keeps an idle process waiting: what a figure's outliers must be read against.

Run as a process of its own it only sleeps, and prints on its end how late it woke: the number of stalls and the worst.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

_SLEEP_S = 0.005
#: A busy core's scheduler alone makes a process wait a few milliseconds.
STALL_MS = 20.0


class Stalls(NamedTuple):
    times: int
    worst_ms: float


@contextlib.contextmanager
def watch(found: list[Stalls]) -> Iterator[None]:
    """Adds to `found`, at the end, what happened meanwhile."""
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.bench.stalls"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sleeper:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()  # it has begun
        try:
            yield
        finally:
            sleeper.send_signal(signal.SIGTERM)
            count, worst_ms = sleeper.stdout.read().split()
            found.append(Stalls(int(count), float(worst_ms)))


def main() -> None:
    late_ms: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("begun", flush=True)
    try:
        while True:
            before = time.monotonic()
            time.sleep(_SLEEP_S)
            late_ms.append((time.monotonic() - before - _SLEEP_S) * 1000)
    finally:
        print(sum(late > STALL_MS for late in late_ms), f"{max(late_ms, default=0.0):.1f}")


if __name__ == "__main__":
    main()
