"""From speech_started to silence, from a delta to its first sound, and what is claimed to have been heard."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from tests.bench.options import Options
from tests.bench.programs import QueueOnly, Voiced, busy_cores
from tests.bench.stage import Interruption, Stage, StartProgram, interrupt, progress, stage
from tests.bench.table import Figure
from voiced.demo.soundserver import PipeWireServer, PulseServer, SoundServer

_REPLY_S = 8.0
_BURST_S = 200.0
_WORDS_PER_SECOND = 2000
_QUEUE_ONLY_FRAMES = (1024, 2400)
#: The quanta of PipeWire: its default, and what a low-latency desktop runs.
_QUANTA = (1024, 256)

Situation = Callable[[Stage], contextlib.AbstractContextManager[None]]


def pulse(options: Options) -> Iterator[Figure]:
    """On PulseAudio: alone, under load, behind a burst, after an underrun; beside the queue-only design."""
    n = options.samples
    alone = _rounds("PulseAudio", PulseServer, Voiced, _alone, n, _REPLY_S)
    loaded = _rounds("PulseAudio, loaded", PulseServer, Voiced, _loaded, n, _REPLY_S)
    burst = _rounds("PulseAudio, burst", PulseServer, Voiced, _alone, n, _BURST_S, behind_burst=True)
    underrun = _rounds("PulseAudio, underrun", PulseServer, Voiced, _alone, n, _REPLY_S, underrun=True)
    few = options.baseline_samples
    base_alone = _baseline(PulseServer, _alone, few, _REPLY_S)
    base_loaded = _baseline(PulseServer, _loaded, few, _REPLY_S)
    base_burst = _baseline(PulseServer, _alone, few, _BURST_S, behind_burst=True)
    yield Figure("speech_started → silence", "ms", _silence(alone), 1.5, 5, _each(base_alone, _silence))
    yield Figure("  both cores busy, 2000 events/s", "ms", _silence(loaded), 3, 10, _each(base_loaded, _silence))
    yield Figure("  behind 200 s received in a burst", "ms", _silence(burst), 3, 10, _each(base_burst, _silence))
    yield Figure("delta sent → first sound", "ms", _first_sound(alone), 6, None, _each(base_alone, _first_sound))
    yield Figure("  both cores busy, 2000 events/s", "ms", _first_sound(loaded), None, None, _each(base_loaded, _first_sound))
    yield Figure("audio_end_ms against what left the sink", "ms", _truncation(alone), 1, 5)
    yield Figure("  both cores busy, 2000 events/s", "ms", _truncation(loaded))
    yield Figure("  after an underrun", "ms", _truncation(underrun), 1, 5)


def pipewire(options: Options) -> Iterator[Figure]:
    """On PipeWire, at fixed quanta."""
    for quantum in _QUANTA:
        quantum_ms = quantum / 48
        start = partial(PipeWireServer, quantum=quantum)
        rounds = _rounds(f"PipeWire {quantum}", start, Voiced, _alone, options.samples, _REPLY_S)
        baseline = _baseline(start, _alone, options.baseline_samples, _REPLY_S)
        name = f"PipeWire, quantum {quantum_ms:.1f} ms"
        yield Figure(f"{name}: → silence", "ms", _silence(rounds), quantum_ms, None, _each(baseline, _silence))
        yield Figure("  delta sent → first sound", "ms", _first_sound(rounds), None, None, _each(baseline, _first_sound))
        yield Figure("  audio_end_ms against what left the sink", "ms", _truncation(rounds))


@contextlib.contextmanager
def _alone(_: Stage) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _loaded(on: Stage) -> Iterator[None]:
    with busy_cores(), on.server.flood(_WORDS_PER_SECOND):
        yield


def loaded(on: Stage) -> contextlib.AbstractContextManager[None]:
    """Both cores busy and 2000 transcript events a second."""
    return _loaded(on)


def _rounds(
    what: str,
    sound: Callable[[], SoundServer],
    program: StartProgram,
    situation: Situation,
    n: int,
    reply_s: float,
    *,
    behind_burst: bool = False,
    underrun: bool = False,
) -> list[Interruption]:
    progress(f"{what}: {n} interruptions")
    with stage(sound(), program) as on:
        interrupt(on, _REPLY_S, seed=0)  # the first start of everything is a figure of its own
        with situation(on):
            return [interrupt(on, reply_s, seed, behind_burst=behind_burst, underrun=underrun) for seed in range(1, n + 1)]


def _baseline(
    sound: Callable[[], SoundServer], situation: Situation, n: int, reply_s: float, *, behind_burst: bool = False
) -> Mapping[str, list[Interruption]]:
    def start(frames: int) -> StartProgram:
        return lambda url, on: QueueOnly(url, on, frames)

    return {
        f"{frames} frames": _rounds(f"queue-only, {frames} frames", sound, start(frames), situation, n, reply_s, behind_burst=behind_burst)
        for frames in _QUEUE_ONLY_FRAMES
    }


def _each(rounds: Mapping[str, list[Interruption]], take: Callable[[list[Interruption]], list[float]]) -> Mapping[str, list[float]]:
    return {column: take(interruptions) for column, interruptions in rounds.items()}


def _silence(rounds: list[Interruption]) -> list[float]:
    return [each.silence_ms for each in rounds]


def _first_sound(rounds: list[Interruption]) -> list[float]:
    return [each.first_sound_ms for each in rounds]


def _truncation(rounds: list[Interruption]) -> list[float]:
    return [abs(each.truncate_error_ms) for each in rounds if each.truncate_error_ms is not None]
