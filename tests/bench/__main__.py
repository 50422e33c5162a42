"""The benchmark: one table of what voiced was to reach and what it does, beside the queue-only design in the same run.

    python -m tests.bench [NAME ...] [--quick] [--markdown] [--json FILE]

Everything is measured where a user would notice it: at the speaker's monitor, at the microphone, on the wire.
"""

import argparse
import contextlib
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import barge_in, duck, endurance, loudspeakers, sessions, stalls, steady, wake
from tests.bench.options import FULL, QUICK, Options
from tests.bench.rooms import figures
from tests.bench.table import Figure, as_json, markdown_table, text_table

#: What can be measured, in the order of the table.
GROUPS: dict[str, Callable[[Options], Iterator[Figure]]] = {
    "pulse": barge_in.pulse,
    "pipewire": barge_in.pipewire,
    "duck": duck.duck,
    "loudspeakers": loudspeakers.loudspeakers,
    "start": steady.start,
    "microphone": steady.microphone,
    "dropouts": steady.dropouts,
    "costs": steady.costs,
    "voicectl": steady.voicectl,
    "reconnect": sessions.reconnect,
    "rollover": sessions.rollover,
    "burst": endurance.burst,
    "wake": wake.wake,
    "rooms": figures.rooms,
    "week": endurance.week,
}


def main() -> int:
    """Exit status: 0 all promises kept, 1 some not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures voiced beside the queue-only design.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(GROUPS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="few samples, under three minutes: to see that it works")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(GROUPS)
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is ended in order
    _put_ourselves_first()
    since, others = time.monotonic(), os.getloadavg()[0]
    found: list[stalls.Stalls] = []
    with stalls.watch(found):
        figures = [figure for name in chosen.names or GROUPS for figure in GROUPS[name](QUICK if chosen.quick else FULL)]
    minutes = (time.monotonic() - since) / 60
    about = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "minutes": minutes,
        "load_before": others,
        "stalls": found[0]._asdict(),
    }
    if chosen.json:
        chosen.json.write_text(as_json(figures, about))
    print(markdown_table(figures) if chosen.markdown else text_table(figures))
    print("target: median / 95 of 100; peers: medians, of blocking writes of 1024 / 2400 frames,")
    print("in rooms of no cancelling / a level gate / AEC3 alone; ! = not reached")
    print(
        f"{os.cpu_count()} cores, {minutes:.0f} min; load average before: {others:.1f}; a process that only sleeps was kept waiting "
        f"over {stalls.STALL_MS:.0f} ms {found[0].times} times, {found[0].worst_ms:.0f} ms at worst"
    )
    return 1 if any(figure.met is False for figure in figures) else 0


def _put_ourselves_first() -> None:
    """A busy machine must slow what is measured, not the clock: this thread, which stamps and sends, gets real-time
    priority where it may; what it starts does not."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


if __name__ == "__main__":
    sys.exit(main())
