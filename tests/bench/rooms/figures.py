"""The laboratory's lines of the benchmark's table. Every promise is an upper limit: echo left, false starts, misses."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from tests.bench.options import Options
from tests.bench.rooms.programme import ENGINES, Outcome, jobs, measure
from tests.bench.rooms.rooms import WITH_ECHO, Kind
from tests.bench.rooms.score import Heard
from tests.bench.rooms.transients import NAMES
from tests.bench.stage import progress
from tests.bench.table import Figure

_OURS = next(iter(ENGINES))
_By = Mapping[str, Sequence[Outcome]]


def rooms(options: Options) -> Iterator[Figure]:
    """Everything, on rooms, voices and sentences that nobody tuned on."""
    todo = jobs("held", options.rooms)
    progress(f"rooms: {len(todo)} streams, each through {', '.join(ENGINES)}")

    def told(done: int, of: int) -> None:
        if done % 50 == 0:
            progress(f"rooms: {done} of {of}")

    found = measure(todo, tuple(ENGINES), told)
    yield from _echo(found)
    yield from _false(found)
    yield from _missed(found)
    yield from _latencies(found)
    yield from _transients(found)
    yield from _words(found)
    yield from _costs(found)


class _Line(NamedTuple):
    name: str
    limit: float | None = None
    figure: str = ""  # of the programme


_Samples = Callable[[Sequence[Outcome]], list[float]]


def _figure(outcomes: Sequence[Outcome], line: _Line, unit: str, samples: _Samples, note: str = "") -> Figure:
    """Ours, and in the last column the peers' in the order of ENGINES."""
    of = {name: samples([each for each in outcomes if each.engine == name]) for name in ENGINES}
    ours = of.pop(_OURS)
    return Figure(line.name, unit, ours, line.limit, baseline=of, note=note)


_ECHO = (
    _Line("echo left after 2 s: strong single path", -35, "echo single"),
    _Line("  diffuse, 250 ms", -25, "echo diffuse"),
    _Line("  2 s after a jump of 40 ms", -25, "echo jump"),
    _Line("  100 ppm of drift", -30, "echo drift"),
)


def _echo(found: _By) -> Iterator[Figure]:
    for line in _ECHO:
        yield _figure(found[line.figure], line, "dB", _left)


def _left(outcomes: Sequence[Outcome]) -> list[float]:
    return [each.echo_left_db for each in outcomes if each.echo_left_db is not None]


def _false(found: _By) -> Iterator[Figure]:
    kinds: tuple[Kind, ...] = (*WITH_ECHO, "headphones")
    for kind in kinds:
        far = found[f"far {kind}"]
        line = _Line(f"false starts: {kind}" if kind == kinds[0] else f"  {kind}", 0)
        yield _figure(far, line, "in 10 min", _starts, f"answers lowered in vain: {_ducks(far):.1f}")
    yield _figure(found["begun"], _Line("  in 5 s after a cold start", 0), "of 100", _false_begins)
    said = [each for figure, outcomes in found.items() if figure.startswith(("said ", "words ")) for each in outcomes]
    yield _figure(said, _Line("  between interruptions", 0), "in 10 min", _starts)


def _false_begins(outcomes: Sequence[Outcome]) -> list[float]:
    return [100 * sum(bool(each.confirmed.false_s) for each in outcomes) / len(outcomes)]


def _starts(outcomes: Sequence[Outcome]) -> list[float]:
    return [_each_10_min(outcomes, sum(len(each.confirmed.false_s) for each in outcomes))]


def _ducks(outcomes: Sequence[Outcome]) -> float:
    ours = [each for each in outcomes if each.engine == _OURS]
    return _each_10_min(ours, sum(len(each.suspected.false_s) for each in ours))


def _each_10_min(outcomes: Sequence[Outcome], count: int) -> float:
    return count * 600 / sum(each.seconds for each in outcomes)


_MISSED = (
    _Line("missed: +6 dB over the echo", None, "said stationary +6 dB"),
    _Line("  0 dB", 1, "said stationary +0 dB"),
    _Line("  -6 dB", 2, "said stationary -6 dB"),
    _Line("  -12 dB", 5, "said stationary -12 dB"),
    _Line("  drift, 0 dB", 3, "said drift +0 dB"),
    _Line("  drift, -6 dB", 5, "said drift -6 dB"),
    _Line("  drift, -12 dB", 15, "said drift -12 dB"),
    _Line("  jumps, 0 dB", 3, "said jump +0 dB"),
    _Line("  jumps, -6 dB", 5, "said jump -6 dB"),
    _Line("  jumps, -12 dB", 15, "said jump -12 dB"),
    _Line("  moved, 0 dB", None, "said moved +0 dB"),
    _Line("  headphones", None, "said headphones +0 dB"),
    _Line("  no answer playing", None, "said alone"),
    _Line("  first 2 s of all, 0 dB", 5, "cold 0 dB"),
)


def _missed(found: _By) -> Iterator[Figure]:
    for line in _MISSED:
        yield _figure(found[line.figure], line, "of 100", _misses)


def _misses(outcomes: Sequence[Outcome]) -> list[float]:
    latencies = [ms for each in outcomes for ms in each.confirmed.latencies_ms]
    return [100 * latencies.count(None) / len(latencies)]


def _latencies(found: _By) -> Iterator[Figure]:
    stationary = [each for name, outcomes in found.items() if name.startswith("said stationary") for each in outcomes]
    yield _figure(stationary, _Line("onset → suspected", 110), "ms", lambda some: _known(each.suspected for each in some))
    yield _figure(stationary, _Line("onset → confirmed"), "ms", lambda some: _known(each.confirmed for each in some))


def _known(heard: Iterable[Heard]) -> list[float]:
    return [ms for each in heard for ms in each.latencies_ms if ms is not None]


def _transients(found: _By) -> Iterator[Figure]:
    for kind in NAMES:
        line = _Line(f"taken for the user: {kind}s" if kind == NAMES[0] else f"  {kind}s")
        yield _figure(found["transients"], line, "of 100", partial(_taken, kind=kind))
    yield _figure(found["transients"], _Line("  of all three", 3), "of 100", _taken)


def _taken(outcomes: Sequence[Outcome], kind: str = "") -> list[float]:
    took = [ms for each in outcomes for name, ms in zip(each.kinds, each.confirmed.latencies_ms, strict=True) if name.startswith(kind)]
    return [100 * (len(took) - took.count(None)) / len(took)]


def _words(found: _By) -> Iterator[Figure]:
    outcomes = found["words 0 dB"]
    counts = [each.words for each in outcomes if each.words and each.engine == _OURS]
    clean = 100 * sum(each.clean for each in counts) / sum(each.words for each in counts)
    yield _figure(outcomes, _Line("words wrong at 0 dB", 15), "%", _wrong, f"of the user's voice alone: {clean:.0f} %")


def _wrong(outcomes: Sequence[Outcome]) -> list[float]:
    counts = [each.words for each in outcomes if each.words]
    return [100 * sum(each.wrong for each in counts) / sum(each.words for each in counts)]


def _costs(found: _By) -> Iterator[Figure]:
    # While an answer plays; whatever else the machine does only adds.
    cost = _Line("canceller, for 10 ms of sound", 800)
    yield _figure(found["far room"], cost, "µs", lambda some: [min(each.cpu_us for each in some)])
    delay = _Line("added delay", 20)
    yield _figure(found["delay"], delay, "ms", lambda some: [each.delay_ms for each in some if each.delay_ms is not None])
