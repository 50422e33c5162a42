"""A day of voiced in minutes: a conversation without a pause, and faults at random.

    python -m tests.soak [--minutes 30] [--seed N] [--only WORD] [--log FILE]

The same seed brings the same faults in the same order. At the end there is a table: what was done to it, how soon all worked
again, which words were lost, and what the processes hold beyond what they held at noon, from when on none of them was
replaced. Exit status 1 where anything is not as it should be.
"""

import argparse
import random
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.scripted_server import BYTES_PER_MS
from tests.soak.faults import FAULTS, Deck, Fault
from tests.soak.stage import Day, Held, day
from tests.soak.talk import written
from voiced.errors import VoicedError

_WORDS_OF_A_TURN = 12
#: The conversation alone, at the start and before what is held is looked at: what is loaded late is loaded by then.
_SETTLES_S = 20.0
#: Between two faults.
_PAUSE_S = (0.5, 4.0)
#: The part of the day in which processes are replaced, after which those that live on tell whether they hold ever more.
_LETHAL_PART = 0.6
_GROWTH_KIB = 1024


class Outcome(NamedTuple):
    """`back_s` is from the end of the cause; None where all did not work again, or the fault could not even be brought about."""

    fault: Fault
    back_s: float | None
    why: str = ""

    @property
    def survived(self) -> bool:
        return not self.why and self.back_s is not None and self.back_s <= self.fault.limit_s


class Calm:
    """The pauses between the faults, in which all of the microphone's sound should reach the server; what is on its way at either end
    of a pause, some 40 ms, makes up for itself over many."""

    def __init__(self, today: Day) -> None:
        self._partner = today.stage.partner
        self._lasted_s = self._sound_s = 0.0

    def pause(self, seconds: float) -> None:
        since_s, before = time.monotonic(), self._partner.sound_bytes
        time.sleep(seconds)
        self._lasted_s += time.monotonic() - since_s
        self._sound_s += (self._partner.sound_bytes - before) / BYTES_PER_MS / 1000

    @property
    def arrived(self) -> float:
        return self._sound_s / self._lasted_s if self._lasted_s else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="A day of voiced in minutes, with faults at random.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="WORD", help="only faults with this in their names")
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep voiced's log, at debug, in FILE")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is ended in order
    among = tuple(fault for fault in FAULTS if chosen.only in fault.name)
    if not among:
        parser.error(f"no fault has {chosen.only!r} in its name")
    with day(chosen.seed) as today:
        try:
            return _live(today, among, chosen.minutes * 60, random.Random(chosen.seed))
        finally:
            if chosen.log:
                chosen.log.write_text(today.stage.daemon.log)


def _live(today: Day, among: tuple[Fault, ...], length_s: float, chance: random.Random) -> int:
    since_s = time.monotonic()
    time.sleep(_SETTLES_S)
    calm = Calm(today)
    outcomes = _befall(today, calm, Deck(among, chance), since_s + length_s * _LETHAL_PART, chance)
    time.sleep(_SETTLES_S)
    noon = today.stage.held()
    outcomes += _befall(today, calm, Deck(tuple(fault for fault in among if not fault.lethal), chance), since_s + length_s, chance)
    time.sleep(_SETTLES_S)
    evening = today.stage.held()
    today.talk.over = True
    today.talk.join()
    return _tell(today, calm, outcomes, noon, evening, length_s)


def _befall(today: Day, calm: Calm, deck: Deck, until_s: float, chance: random.Random) -> list[Outcome]:
    outcomes: list[Outcome] = []
    while time.monotonic() < until_s:
        calm.pause(chance.uniform(*_PAUSE_S))
        if (fault := deck.draw(time.monotonic())) is None:
            continue
        outcomes.append(outcome := _one(today, fault, chance))
        took = "not back" if outcome.back_s is None else f"back after {outcome.back_s:.2f} s"
        note = "" if outcome.survived else f"  ! {outcome.why or 'too late'}"
        print(f"{time.strftime('%H:%M:%S')} turn {today.talk.number:<6} {fault.name:<34} {took}{note}", flush=True)
    return outcomes


def _one(today: Day, fault: Fault, chance: random.Random) -> Outcome:
    stage, talk, listener = today
    confirmed = max(listener.told["user"], default=0)
    current = stage.partner.current
    talk.disturbed = True
    why = ""
    try:
        ended_ns = fault.inject(stage, chance) or time.monotonic_ns()
    except (VoicedError, TimeoutError, OSError) as error:
        why, ended_ns = f"{type(error).__name__}: {error}", time.monotonic_ns()
    back_s = stage.wait_until_working(ended_ns, current if fault.reconnects else 0)
    if back_s is None:
        why = f"not back: {stage.daemon.log.splitlines()[-1]}"
        if stage.has_ended:
            stage.start_again()
        if stage.wait_until_working(time.monotonic_ns(), 0) is None:
            raise SystemExit(f"{fault.name}: {why}\n{stage.daemon.log[-4000:]}")
    talk.disturbed = False
    if fault.reconnects and confirmed and not why and not stage.partner.was_told(confirmed, current + 1, fault.limit_s):
        why = f"the new session was not told number {confirmed}"
    return Outcome(fault, back_s, why)


def _tell(today: Day, calm: Calm, outcomes: list[Outcome], before: dict[str, Held], after: dict[str, Held], length_s: float) -> int:
    print(f"\n{'fault':<34} {'injected':>8} {'survived':>8} {'median':>7} {'worst':>7} {'limit':>6}")
    for fault in FAULTS:
        own = [outcome for outcome in outcomes if outcome.fault is fault]
        if own:
            took = sorted(outcome.back_s for outcome in own if outcome.back_s is not None)
            good = sum(outcome.survived for outcome in own)
            mark = "" if good == len(own) else " !"
            times = f"{took[len(took) // 2]:6.2f}s {took[-1]:6.2f}s" if took else f"{'never':>7} {'':>7}"
            print(f"{fault.name:<34} {len(own):>8} {good:>8} {times} {fault.limit_s:>5g}s{mark}")
    survived = sum(outcome.survived for outcome in outcomes)
    print(f"{'all':<34} {len(outcomes):>8} {survived:>8}")
    files, said = written(today.stage.state_dir), today.talk.said
    lost = sorted({number for role in said for number in said[role] - files[role]} | set(today.talk.unheard))
    turns, answered = len(said["user"]), len(said["assistant"])
    print(f"\n{turns} turns in {length_s / 60:g} minutes, {turns - answered} answers interrupted; {today.talk.said_again} times a turn was")
    print("said again because of a fault")
    print(f"words lost: {len(lost) * _WORDS_OF_A_TURN}" + (f" (turns {lost[:10]})" if lost else ""))
    print(f"sound of the microphone that reached the server between the faults, also what it was told again: {calm.arrived:.1%}")
    grown = _tell_growth(before, after)
    log = today.stage.daemon.log
    bugs = [line for line in log.splitlines() if "a bug in" in line or "Traceback" in line]
    for line in bugs[:10]:
        print(f"in the log: {line}")
    print(f"log: {log.count(chr(10))} lines at debug")
    return 0 if survived == len(outcomes) and not lost and not grown and not bugs else 1


def _tell_growth(before: dict[str, Held], after: dict[str, Held]) -> bool:
    grown = False
    print(f"\n{'process':<12} {'memory, KiB':>20} {'growth':>7}  {'descriptors':>12} {'growth':>7}")
    for name, now in after.items():
        was = before[name]
        kib, descriptors = now.anonymous_kib - was.anonymous_kib, now.descriptors - was.descriptors
        grown |= kib > _GROWTH_KIB or descriptors > 0
        memory, files = f"{was.anonymous_kib} -> {now.anonymous_kib}", f"{was.descriptors} -> {now.descriptors}"
        print(f"{name:<12} {memory:>20} {kib:>+7}  {files:>12} {descriptors:>+7}")
    return grown


if __name__ == "__main__":
    sys.exit(main())
