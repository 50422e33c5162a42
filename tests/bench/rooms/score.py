"""What came out of an engine, judged against the truth: interruptions heard, missed and invented, and echo that is left."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.bench.rooms.peers import Engine
from tests.bench.rooms.streams import Stream
from tests.bench.rooms.voices import RATE_HZ, Samples

BLOCK = RATE_HZ * 20 // 1000
#: A detection counts for an utterance from a little before its onset to a little after its end (signal-packages 1.3).
_EARLY = RATE_HZ * 50 // 1000
_LATE = RATE_HZ // 2
#: A flag that was down for this long makes the next one a new detection (two-path, recipe R6).
_REARM = RATE_HZ * 416 // 1000
#: Echo below this is silence.
_HEARD_DBFS = -50.0


class Track(NamedTuple):
    """An engine's run over a stream."""

    sound: Samples  # what goes on the wire
    clear: Samples | None  # what is sent along of the time before a confirmation, where an engine has that
    at: NDArray[np.intp]  # of each decision: the samples that had been taken when it was told
    suspected: NDArray[np.bool_]
    confirmed: NDArray[np.bool_]
    cpu_us: float  # of process CPU per 10 ms of sound


class Heard(NamedTuple):
    """What one of the flags did over a stream."""

    latencies_ms: tuple[float | None, ...]  # of each utterance, from its onset; None: missed, or up already at the onset
    false_s: tuple[float, ...]  # when it rose without an utterance


def run(engine: Engine, stream: Stream) -> Track:
    """Gives the stream to the engine in blocks of 20 ms, as capture does."""
    sounds, clears, at, suspected, confirmed = [], [], [], [], []
    since = time.process_time()
    for begin in range(0, len(stream.near), BLOCK):
        told = engine.process(stream.near[begin : begin + BLOCK], stream.far[begin : begin + BLOCK])
        sounds.append(told.sound)
        if (clear := getattr(told, "clear", None)) is not None:
            clears.append(clear)
        for decision in told.decisions:
            at.append(begin + BLOCK)
            suspected.append(decision.suspected)
            confirmed.append(decision.confirmed)
    cpu_s = time.process_time() - since
    per_piece = cpu_s * 1e6 / (len(stream.near) / (RATE_HZ // 100))
    flags = np.array(suspected, bool), np.array(confirmed, bool)
    return Track(np.concatenate(sounds), np.concatenate(clears) if clears else None, np.array(at, np.intp), *flags, per_piece)


def heard(at: NDArray[np.intp], flags: NDArray[np.bool_], stream: Stream) -> Heard:
    """Each decision's flag, told at sample `at`, against the stream's utterances."""
    rises = _rises(at, flags)
    latencies: list[float | None] = []
    theirs = np.zeros(len(at), bool)
    for utterance in stream.utterances:
        first, last = utterance.onset - _EARLY, utterance.end + _LATE
        window = (at > first) & (at <= last)
        theirs |= window
        before = np.flatnonzero(at <= first)
        up = np.flatnonzero(window & flags)
        already = len(before) and flags[before[-1]]
        latencies.append(None if already or not len(up) else float(at[up[0]] - utterance.onset) * 1000 / RATE_HZ)
    return Heard(tuple(latencies), tuple(float(at[n]) / RATE_HZ for n in rises if not theirs[n]))


def _rises(at: NDArray[np.intp], flags: NDArray[np.bool_]) -> list[int]:
    found: list[int] = []
    last_up = -_REARM - 1
    for n in np.flatnonzero(flags):
        if at[n] - last_up > _REARM:
            found.append(int(n))
        last_up = int(at[n])
    return found


def delay_of(sound: Samples, source: Samples) -> int:
    """By how many samples, at most 250 ms, `sound` is behind `source`: found by cross-correlation."""
    size = 1 << (2 * len(source)).bit_length()
    match = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(source, size)), size)
    return int(np.abs(match[: RATE_HZ // 4]).argmax())


def echo_left_db(track: Track, stream: Stream, delay: int, spans_s: Sequence[tuple[float, float]]) -> float:
    """Power on the wire over that of the microphone, while echo is heard within these spans."""
    out = np.concatenate((track.sound[delay:], np.zeros(delay, np.float32)))
    frame = RATE_HZ // 100
    power = [np.square(each.astype(np.float64)).reshape(-1, frame).mean(axis=1) for each in (stream.near, out, stream.echo)]
    times = np.arange(len(power[0])) / 100
    chosen = (power[2] > 10 ** (_HEARD_DBFS / 10)) & np.any([(times >= first) & (times < end) for first, end in spans_s], axis=0)
    return float(10 * np.log10(power[1][chosen].mean() / power[0][chosen].mean()))
