"""What the network process uses for minutes of speech at once, and what it holds after a week."""

import base64
import json
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.bench import sounds
from tests.bench.options import Options
from tests.bench.programs import Voiced, cost
from tests.bench.stage import DELTA_MS, Stage, listening, next_event, progress, stage
from tests.bench.table import Figure
from tests.scripted_server import BYTES_PER_MS, ScriptedServer
from voicectl.client import Events
from voiced.demo.soundserver import PulseServer
from voiced.network import events

_NETWORK = "voiced.network"
_PLAYBACK = "voiced.playback"

# a burst -------------------------------------------------------------------------------------------------------------

_BURST_S = 200.0


def burst(options: Options) -> Iterator[Figure]:
    """What it costs the network process to take minutes of speech at once and hand them to playback."""
    progress(f"burst: {options.bursts} times {_BURST_S:g} s of speech")
    with stage(PulseServer(), Voiced) as on, listening(on, "response.done", "flush") as told:
        taken = [_take_burst(on, told, seed) for seed in range(options.bursts)]
    playback_ms, took_ms = max(each.playback_ms for each in taken), max(each.took_ms for each in taken)
    note = f"looked at within {took_ms:.0f} ms; the playback process used {playback_ms:.0f} ms"
    yield Figure(f"{_BURST_S:g} s of speech in a burst: CPU", "ms", [each.network_ms for each in taken], 500, 500, note=note)
    yield Figure("  its json.loads and base64 alone", "ms", [each.least_ms for each in taken])


class _Burst(NamedTuple):
    network_ms: float
    playback_ms: float
    took_ms: float  # to the look at its last event
    least_ms: float


def _take_burst(on: Stage, told: Events, seed: int) -> _Burst:
    pcm = sounds.noise(_BURST_S, seed)
    before, since = cost(on.program.pid), time.monotonic()
    reply = on.server.begin_reply()
    on.server.send_audio(reply, pcm, DELTA_MS)
    on.server.end_reply(reply)
    while next_event(told).topic != "response.done":
        pass
    took_ms = (time.monotonic() - since) * 1000
    on.server.send(events.SpeechStarted(item_id=on.server.new_id("item"), audio_start_ms=0))
    flushed = next_event(told).data
    after = cost(on.program.pid)
    held_s = (flushed["played_ms"] + flushed["dropped_ms"]) / 1000
    assert abs(held_s - _BURST_S) < 1, f"playback held {held_s:.1f} s of {_BURST_S:g}"
    on.server.hear()
    step = DELTA_MS * BYTES_PER_MS
    deltas = [events.OutputAudioDelta(**reply._asdict(), delta=pcm[at : at + step]) for at in range(0, len(pcm), step)]
    used_ms = {name: (after[name].cpu_s - before[name].cpu_s) * 1000 for name in (_NETWORK, _PLAYBACK)}
    return _Burst(used_ms[_NETWORK], used_ms[_PLAYBACK], took_ms, _decoding_ms([on.server.encode(delta) for delta in deltas]))


def _decoding_ms(texts: list[bytes]) -> float:
    since = time.thread_time()
    for text in texts:
        base64.b64decode(json.loads(text)["delta"])
    return (time.thread_time() - since) * 1000


# a week --------------------------------------------------------------------------------------------------------------

_FIRST_TURNS = 100
#: A younger session that is lost makes the delay before the next one grow (voiced.network.link.reconnect).
_SESSION_S = 5.2
_TIMEOUT_S = 20.0
#: Fast, since only the last of them is heard to its end.
_TURNS_AT_A_TIME = 50
#: Of these, the ones that are spoken and interrupted by the next.
_INTERRUPTED_EACH = 10
_TINY = sounds.noise(0.02, seed=5)
_WORDS = "And that is how it went, number {}, as far as anybody remembers; do you want to hear the rest of it?"
_ASKED = "What came after number {}, and who told you so?"


def week(options: Options) -> Iterator[Figure]:
    """The network process's memory after many turns and sessions, beyond what it had after the first hundred turns."""
    progress(f"week: {options.turns} turns")
    with stage(PulseServer(), Voiced) as on, listening(on, "turn") as told:
        turns = 0
        session_ends = time.monotonic() + _SESSION_S
        while turns < options.turns:
            turns += _talk(on, told, turns)
            if turns == _FIRST_TURNS:
                first_mib = _network_mib(on)
            if time.monotonic() >= session_ends:
                _end_session(on)
                session_ends = time.monotonic() + _SESSION_S
        grown_mib = _network_mib(on) - first_mib
        sessions = on.server.connections
    note = f"{turns} turns in {sessions} sessions; {first_mib:.1f} MiB after the first {_FIRST_TURNS} turns"
    yield Figure("memory of the network process, growth", "MiB", [grown_mib], 5, 5, note=note)


def _talk(on: Stage, told: Events, number: int) -> int:
    """Some turns, of which a few are interrupted and the last is heard to its end; returns how many."""
    for turn in range(_TURNS_AT_A_TIME):
        on.server.hear(_ASKED.format(number + turn))
        item_id = _answer(on.server, _WORDS.format(number + turn), aloud=turn % _INTERRUPTED_EACH == _INTERRUPTED_EACH - 1)
    while next_event(told).data["item_id"] != item_id:
        pass
    return _TURNS_AT_A_TIME


def _answer(server: ScriptedServer, words: str, *, aloud: bool) -> str:
    reply = server.begin_reply()
    if aloud:
        server.send_audio(reply, _TINY)
    spoken = [
        events.OutputTranscriptDelta(response_id=reply.response_id, item_id=reply.item_id, delta=f"{word} ") for word in words.split()
    ]
    server.send(*spoken, events.OutputTranscriptDone(response_id=reply.response_id, item_id=reply.item_id, transcript=words))
    server.end_reply(reply)
    return reply.item_id


def _end_session(on: Stage) -> None:
    """As servers do when it is an hour old."""
    following = on.server.connections + 1
    on.server.hang_up(1001, "session_expired")
    on.server.until(lambda event: isinstance(event, events.InputAudioAppend), _TIMEOUT_S, connection=following)


def _network_mib(on: Stage) -> float:
    return cost(on.program.pid)[_NETWORK].pss_mib
