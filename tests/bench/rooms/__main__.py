"""For tuning: the figures of the laboratory on the split to tune on, or on some of its streams, in a short table.

    python -m tests.bench.rooms [PREFIX ...] [--split tune] [--amount 0.2] [--engines voiced,AEC3] [--where]

PREFIX chooses figures: "far", "far jump", "said stationary", "cold", "echo", "words", "transients", "delay".
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import get_args

from tests.bench.rooms.programme import ENGINES, Job, Outcome, jobs, measure
from tests.bench.rooms.score import Heard
from tests.bench.rooms.words import Split


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rooms", description="What the echo canceller does in synthetic rooms.")
    parser.add_argument("prefixes", nargs="*", metavar="PREFIX", help="figures that begin so; default: all")
    parser.add_argument("--split", choices=get_args(Split), default="tune")
    parser.add_argument("--amount", type=float, default=0.2, help="share of the full programme")
    parser.add_argument("--engines", default="voiced", help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--where", action="store_true", help="also say in which streams, when")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers are ended
    todo = [job for job in jobs(chosen.split, chosen.amount) if not chosen.prefixes or job.figure.startswith(tuple(chosen.prefixes))]
    found = run(todo, tuple(chosen.engines.split(",")))
    for figure, all_of_it in found.items():
        for engine in dict.fromkeys(each.engine for each in all_of_it):
            ours = [each for each in all_of_it if each.engine == engine]
            print(f"{figure:22} {engine:10} {summary(ours)}")
            if chosen.where:
                print("\n".join(where(ours)))
    return 0


def run(todo: Sequence[Job], engines: tuple[str, ...]) -> dict[str, list[Outcome]]:
    since = time.monotonic()

    def told(done: int, of: int) -> None:
        if sys.stderr.isatty() or done == of:
            print(
                f"\r{done} of {of} streams, {time.monotonic() - since:.0f} s", end="\n" if done == of else "", file=sys.stderr, flush=True
            )

    return measure(todo, engines, told)


def summary(ours: Sequence[Outcome]) -> str:
    """One engine's outcomes of one figure, in a line."""
    minutes = sum(each.seconds for each in ours) / 60
    cpu_us = min(each.cpu_us for each in ours)
    parts = []
    for name, heard in (("susp", [each.suspected for each in ours]), ("conf", [each.confirmed for each in ours])):
        latencies = [ms for each in heard for ms in each.latencies_ms]
        if latencies:
            missed = [ms for ms in latencies if ms is None]
            known = sorted(ms for ms in latencies if ms is not None)
            times = f"{median(known):.0f}/{known[len(known) * 9 // 10]:.0f} ms" if known else "-"
            parts.append(f"{name}: missed {len(missed)} of {len(latencies)}, {times}")
        false = sum(len(each.false_s) for each in heard)
        parts.append(f"{name} false {false} ({false / minutes * 10:.1f}/10 min)")
    left = [each.echo_left_db for each in ours if each.echo_left_db is not None]
    if left:
        parts = [f"ERLE {' '.join(f'{-db:.1f}' for db in left)} dB"]
    words = [each.words for each in ours if each.words]
    if words:
        said = sum(each.words for each in words) / 100
        parts.append(
            f"words wrong {sum(each.wrong for each in words) / said:.0f} %, clean {sum(each.clean for each in words) / said:.0f} %"
        )
    if ours[0].delay_ms is not None:
        parts = [f"added delay {ours[0].delay_ms:.1f} ms"]
    return "; ".join([*parts, f"{cpu_us:.0f} us/10 ms"])


def where(ours: Sequence[Outcome]) -> list[str]:
    """Misses and false alarms stream by stream, for whom they puzzle."""
    lines = []
    for each in ours:
        told = [f"{name} {_where(heard, each.kinds)}" for name, heard in (("susp", each.suspected), ("conf", each.confirmed))]
        lines.append(f"    {each.scene.kind} seed {each.scene.seed}: {'; '.join(told)}")
    return lines


def _where(heard: Heard, kinds: Sequence[str]) -> str:
    missed = [f"{n} {kinds[n]!r}" for n, ms in enumerate(heard.latencies_ms) if ms is None]
    false = [f"{at:.1f}" for at in heard.false_s]
    return f"missed [{', '.join(missed)}] false at [{', '.join(false)}] s"


if __name__ == "__main__":
    sys.exit(main())
