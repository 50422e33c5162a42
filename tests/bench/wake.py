"""The wake word: how often it is missed, how often something else is taken for it, and what it costs.

Each of the words that can be configured is measured, through the detector that the capture process uses. Voices are
synthetic and so is the room; nobody who really spoke was recorded.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from tests.bench import wake_sounds
from tests.bench.options import Options
from tests.bench.rooms.voices import RATE_HZ, Samples
from tests.bench.stage import progress
from tests.bench.table import Figure
from tests.bench.wake_sounds import LEVELS_DBFS, SAID
from voiced.audio.echo.canceller import Canceller
from voiced.capture.wakeword import WakeWord

_SENTENCE = "Nobody is meant to hear this."
_FRAME = RATE_HZ * 20 // 1000
#: So much of a sound is one job.
_PART_MINUTES = 10.0
_MEMORY = """
import sys
import numpy as np
def pss_kib():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
from voiced.capture import wakeword
before = pss_kib()
word = wakeword.WakeWord(sys.argv[1])
for _ in range(100):
    word.process(np.zeros(320, np.float32))
print((pss_kib() - before) / 1024)
"""


class Caught(NamedTuple):
    """What became of the calls at one level."""

    missed: int
    #: Of those that were heard and had nothing after them: from the end of the word to the moment at which it was known.
    late_ms: list[float]
    missed_by: dict[str, int]  # of each synthesiser


def wake(options: Options) -> Iterator[Figure]:
    """Everything about the wake word, in a process that is nicer than the one that measures latencies."""
    progress(f"wake: {options.wakes} calls of each word at each level, {options.unlike_minutes:g} min of each other sound")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), os.nice, (5,)) as elsewhere:
        parts, few = _parts(options.unlike_minutes), max(1, options.wakes // 4)  # a canceller costs 20 times what a detector does
        calls = {word: [elsewhere.submit(caught, word, level, options.wakes) for level in LEVELS_DBFS] for word in SAID}
        after = {word: elsewhere.submit(caught, word, LEVELS_DBFS[1], options.wakes, after=_SENTENCE) for word in SAID}
        cleaned = {word: elsewhere.submit(caught, word, LEVELS_DBFS[1], few, cleaned=True) for word in SAID}
        own = {word: elsewhere.submit(called_itself, word, few) for word in SAID}
        others = {
            name: [elsewhere.submit(accepted, name, part, 60 * minutes) for part, minutes in enumerate(parts)]
            for name in wake_sounds.OTHERS
        }
        for word in SAID:
            yield from _calls(word, options.wakes, calls[word])
            yield Figure(f"{word} missed after a sentence", f"of {options.wakes}", [float(after[word].result().missed)])
            yield Figure(f"{word} missed, cancelled", f"of {few}", [float(cleaned[word].result().missed)])
        for name, heard in others.items():
            for word in SAID:
                yield _accepted(word, name, options.unlike_minutes, heard)
        for word in SAID:
            yield Figure(f"{word} in its own, cancelled", f"of {few}", [own[word].result()])
        yield Figure("the detector of a word, CPU", "µs per 10 ms", [elsewhere.submit(cost_us, word).result() for word in SAID])
    yield Figure("the detector of a word, memory (PSS)", "MiB", [_memory_mib(word) for word in SAID])


def caught(word: str, level_dbfs: float, count: int, *, after: str = "", cleaned: bool = False) -> Caught:
    """Calls of the word at this level, half a second after the caller has said something else if need be; behind the whole
    canceller, noise suppression and all, where they are `cleaned`."""
    detector = WakeWord(word)
    missed_by: dict[str, int] = {}
    late = []
    for call in wake_sounds.calls(word, level_dbfs, count, after):
        detector.reset()
        sound = _cleaned(call.sound, np.zeros_like(call.sound)) if cleaned else call.sound
        at = next((at for at in times(detector, sound) if at > call.begin), None)
        if at is None:
            missed_by[call.engine] = missed_by.get(call.engine, 0) + 1
        elif call.word_end is not None:
            late.append((at - call.word_end) * 1000 / RATE_HZ)
    return Caught(sum(missed_by.values()), late, missed_by)


def accepted(name: str, part: int, seconds: float) -> dict[str, int]:
    """How often each word was heard in a stretch of a sound in which nobody said it."""
    detectors = {word: WakeWord(word) for word in SAID}
    heard = dict.fromkeys(SAID, 0)
    for sound in wake_sounds.OTHERS[name](part, seconds):
        for word, detector in detectors.items():
            heard[word] += sum(1 for _ in times(detector, sound))
    return heard


def called_itself(word: str, count: int) -> int:
    """Of so many answers that have the word in them, over loudspeakers in the rooms of the echo's benchmark: how many
    were taken for a call behind the canceller."""
    detector = WakeWord(word)
    heard = 0
    for near, far in wake_sounds.own_calls(word, count):
        detector.reset()
        heard += any(times(detector, _cleaned(near, far)))
    return heard


def times(detector: WakeWord, sound: Samples) -> Iterator[int]:
    """The samples at which the word was known; each time the detector starts afresh, as it does when the gate closes again."""
    for begin in range(0, len(sound), _FRAME):
        if detector.process(sound[begin : begin + _FRAME]) is not None:
            yield begin + _FRAME
            detector.reset()


def cost_us(word: str) -> float:
    """Of process CPU per 10 ms of sound."""
    detector = WakeWord(word)
    sound = next(wake_sounds.calls(word, LEVELS_DBFS[0], 1)).sound
    since = time.process_time()
    for _ in range(10):
        for begin in range(0, len(sound), _FRAME):
            detector.process(sound[begin : begin + _FRAME])
    return (time.process_time() - since) * 1e6 / (10 * len(sound) / (RATE_HZ // 100))


def _cleaned(near: Samples, far: Samples) -> Samples:
    canceller = Canceller(0.5, _FRAME)
    pieces = range(0, len(near) // _FRAME * _FRAME, _FRAME)
    return np.concatenate([canceller.process(near[at : at + _FRAME], far[at : at + _FRAME]).sound for at in pieces])


def _parts(minutes: float) -> list[float]:
    whole, rest = divmod(minutes, _PART_MINUTES)
    return [_PART_MINUTES] * int(whole) + [rest] * bool(rest)


def _calls(word: str, count: int, levels: list[Future[Caught]]) -> Iterator[Figure]:
    found = [level.result() for level in levels]
    missed = [float(each.missed) for each in found]
    note = "; ".join(
        f"{level:g} dBFS: {each.missed}" + "".join(f", {engine} {number}" for engine, number in each.missed_by.items())
        for level, each in zip(LEVELS_DBFS, found, strict=True)
    )
    yield Figure(f"{word} missed at 3 levels", f"of {count}", missed, note=note)
    yield Figure(f"{word} known after its end", "ms", [late for each in found for late in each.late_ms])


def _accepted(word: str, name: str, minutes: float, parts: list[Future[dict[str, int]]]) -> Figure:
    heard = sum(part.result()[word] for part in parts)
    return Figure(f"{word} in {name}", f"/ {minutes:g} min", [float(heard)])


def _memory_mib(word: str) -> float:
    done = subprocess.run([sys.executable, "-c", _MEMORY, word], check=True, capture_output=True, text=True)
    return float(done.stdout)
