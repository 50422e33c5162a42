"""Attacks a real daemon with all that a server may send, one after the other, and shows what that costs:

python -m tests.hostile [--seconds 6] [ATTACK]...
"""

import argparse
import sys

from tests.hostile.attacks import ATTACKS
from tests.hostile.measured import Cost, measure
from voiced.demo.soundserver import PulseServer

_COLUMNS = (
    "sent MB",
    "network +MiB",
    "playback +MiB",
    "voiced +MiB",
    "network CPU",
    "flush ms",
    "answer ms",
    "underruns",
    "log lines",
    "restarts",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", choices=[*ATTACKS, []], help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=float, default=6.0)
    given = parser.parse_args()
    print(f"{'attack':20}" + "".join(f"{column:>14}" for column in _COLUMNS))
    with PulseServer() as sound:
        for name in given.attacks or ATTACKS:
            print(f"{name:20}" + "".join(f"{_shown(value):>14}" for value in measure(name, sound, given.seconds)), flush=True)
    return 0


def _shown(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.1f}"


assert len(_COLUMNS) == len(Cost._fields)

if __name__ == "__main__":
    sys.exit(main())
