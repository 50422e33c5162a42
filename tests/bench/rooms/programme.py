"""Which streams each figure is taken from, and their run through every engine, on both cores."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

from tests.bench.rooms import score, transcripts
from tests.bench.rooms.peers import Aec3, Bare, Engine, LevelGate
from tests.bench.rooms.rooms import STATIONARY, WITH_ECHO, Kind
from tests.bench.rooms.streams import Scene, Stream, build
from tests.bench.rooms.voices import RATE_HZ
from tests.bench.rooms.words import Split


def _ours() -> Engine:
    from voiced.audio.echo.canceller import Canceller

    return Canceller()


#: What is measured, and beside it what peers do: nothing, a gate on the level, WebRTC's canceller.
ENGINES: Mapping[str, Callable[[], Engine]] = {"voiced": _ours, "none": Bare, "level gate": LevelGate, "AEC3": Aec3}

_WORKERS = 2
#: Of the residual echo: nobody promises anything before.
_SETTLED_S = 2.0
_AFTER_JUMP_S = (2.0, 8.0)


class Job(NamedTuple):
    figure: str  # what it is a part of
    scene: Scene


class Outcome(NamedTuple):
    """Of one engine on one stream."""

    figure: str
    scene: Scene
    engine: str
    seconds: float
    suspected: score.Heard
    confirmed: score.Heard
    kinds: tuple[str, ...]  # of transients; else what was said
    cpu_us: float
    echo_left_db: float | None = None
    delay_ms: float | None = None
    words: transcripts.Errors | None = None


def jobs(split: Split, amount: float) -> list[Job]:
    """Everything at `amount` 1: ten minutes of each room, a hundred interruptions of each sort. Below `_GLANCE`, one stream of each."""

    def streams(full: int) -> range:
        return range(1 if amount < _GLANCE else full)

    def some(full: int) -> range:
        return range(max(1, round(full * amount)))

    def few(full: int) -> int:
        return max(4, round(full * amount))

    minute = 24.0 if amount < _GLANCE else 60.0
    far = [Job(f"far {kind}", Scene("far", kind, split, seed, seconds=minute)) for kind in WITH_ECHO for seed in some(10)]
    far += [Job("far headphones", Scene("far", "headphones", split, seed, seconds=minute)) for seed in some(2)]
    begun = [Job("begun", Scene("far", _of(_COLD, seed), split, 900 + seed, seconds=5)) for seed in some(100)]
    said = [
        Job(f"said {name} {ratio:+.0f} dB", Scene("interrupted", _of(kinds, seed), split, 100 + seed, ratio, few(20)))
        for name, kinds, ratios in _SAID
        for ratio in ratios
        for seed in streams(5)
    ]
    cold = [Job("cold 0 dB", Scene("cold", _of(_COLD, seed), split, 200 + seed)) for seed in some(100)]
    alone = [Job("said alone", Scene("alone", "room", split, 400 + seed, number=few(20))) for seed in streams(3)]
    noises = [Job("transients", Scene("transients", "room", split, 500 + seed, (0, 12, 0)[seed % 3], few(18))) for seed in streams(6)]
    echo = [Job(f"echo {kind}", _echo_scene(kind, split, 600 + seed)) for kind in _ECHO_DB for seed in some(4)]
    words = [Job("words 0 dB", Scene("interrupted", "room", split, 700 + seed, 0.0, few(18))) for seed in streams(4)]
    delay = [Job("delay", Scene("alone", "headphones", split, 800, number=3))]
    return delay + echo + words + far + begun + said + cold + alone + noises


#: A smaller amount only shows that everything works.
_GLANCE = 0.1
_SAID: tuple[tuple[str, tuple[Kind, ...], tuple[float, ...]], ...] = (
    ("stationary", STATIONARY, (6.0, 0.0, -6.0, -12.0)),
    ("drift", ("drift",), (0.0, -6.0, -12.0)),
    ("jump", ("jump",), (0.0, -6.0, -12.0)),
    ("moved", ("moved",), (0.0,)),
    ("headphones", ("headphones",), (0.0,)),
)
_COLD: tuple[Kind, ...] = ("single", "room", "loud", "room", "diffuse", "drift")
#: Level of the echo where what is left of it is measured. A strong path is as loud as what was handed to the device; what
#: noise of -60 dBFS leaves room for is 40 dB there and 34 dB elsewhere, without noise suppression.
_ECHO_DB: dict[Kind, float] = {"single": 0.0, "diffuse": -6.0, "jump": -6.0, "drift": -6.0}


def _of(kinds: tuple[Kind, ...], seed: int) -> Kind:
    return kinds[seed % len(kinds)]


def _echo_scene(kind: Kind, split: Split, seed: int) -> Scene:
    return Scene("far", kind, split, seed, seconds=32, change_every_s=10, echo_db=_ECHO_DB[kind])


def measure(todo: Iterable[Job], engines: tuple[str, ...], told: Callable[[int, int], None]) -> dict[str, list[Outcome]]:
    """All outcomes by figure, in the order of the jobs. `told` hears how many jobs are done, of how many."""
    # Every library else puts threads of its own on the cores that the workers share.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    listed = list(todo)
    found: dict[int, list[Outcome]] = {}
    with get_context("spawn").Pool(_WORKERS) as pool:  # left in whatever way, it ends its processes
        for n, outcomes in pool.imap_unordered(partial(_numbered, engines=engines), enumerate(listed)):
            found[n] = outcomes
            told(len(found), len(listed))
    by_figure: dict[str, list[Outcome]] = defaultdict(list)
    for n, job in enumerate(listed):
        by_figure[job.figure] += found[n]
    return dict(by_figure)


def _numbered(job: tuple[int, Job], engines: tuple[str, ...]) -> tuple[int, list[Outcome]]:
    n, (figure, scene) = job
    stream = build(scene)
    return n, [_outcome(Job(figure, scene), stream, name) for name in engines]


def _outcome(job: Job, stream: Stream, engine: str) -> Outcome:
    track = score.run(ENGINES[engine](), stream)
    outcome = Outcome(
        job.figure,
        job.scene,
        engine,
        len(stream.near) / RATE_HZ,
        score.heard(track.at, track.suspected, stream),
        score.heard(track.at, track.confirmed, stream),
        tuple(each.text for each in stream.utterances),
        track.cpu_us,
    )
    if job.figure == "delay":
        return outcome._replace(delay_ms=score.delay_of(track.sound, stream.near) * 1000 / RATE_HZ)
    if job.figure.startswith("echo "):
        return outcome._replace(echo_left_db=_echo_left(track, stream))
    if job.figure.startswith("words"):
        return outcome._replace(words=transcripts.errors(track, outcome.confirmed, stream))
    return outcome


def _echo_left(track: score.Track, stream: Stream) -> float:
    spans = [(_SETTLED_S + 0.5, 1e9)]
    if stream.changes_s:
        first, last = _AFTER_JUMP_S
        spans = [(at + first, at + last) for at in stream.changes_s]
    # AEC3 is a few ms late: less than the frames of 10 ms that are compared, over seconds.
    return score.echo_left_db(track, stream, 0, spans)
