"""The stage on which all is measured: a sound server, its recorder, a scripted Realtime server and one program between."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.bench import sounds
from tests.bench.programs import Program, Voiced
from tests.scripted_server import Manner, Reply, ScriptedServer
from voicectl.client import Client, Event, Events
from voiced.demo.recorder import RATE_HZ, Recorder
from voiced.demo.soundserver import SoundServer
from voiced.network import events

DELTA_MS = 250  # what the service sends (realtime-protocol 5.3)
_DELTA_BYTES = DELTA_MS * 48
_QUIET_MS = 400.0
_TIMEOUT_S = 15.0
_LISTEN_S = (0.3, 0.9)
#: The recorder wakes in step with the sound server's blocks; an interruption comes at any moment of one.
_PHASE_S = 0.043
#: Where in a reply an interruption can be found again: it comes within the first seconds.
_SEARCHED_S = 8

StartProgram = Callable[[str, SoundServer], Program]


class Stage(NamedTuple):
    sound: SoundServer
    heard: Recorder
    server: ScriptedServer
    program: Program


class Interruption(NamedTuple):
    """One reply that was interrupted. `truncate_error_ms` is what the program claimed to have played minus what left
    the sink; None where it claimed nothing, or nothing can be said because a hole came just before."""

    first_sound_ms: float
    silence_ms: float
    truncate_error_ms: float | None


@contextlib.contextmanager
def stage(sound: SoundServer, start: StartProgram, manner: Manner | None = None) -> Iterator[Stage]:
    """Everything runs inside, and is gone outside."""
    with sound, ScriptedServer(manner) as server, sound.recorder() as heard:
        sound.listen_to_microphone()
        with start(server.url, sound) as program:
            server.wait_for_client()
            heard.wait_for_silence(_QUIET_MS, _TIMEOUT_S)
            yield Stage(sound, heard, server, program)


@contextlib.contextmanager
def listening(on: Stage, *topics: str) -> Iterator[Events]:
    """The daemon's events of these topics, from here on."""
    assert isinstance(on.program, Voiced)
    with Client(on.program.runtime_dir) as client, client.events(*topics) as told:
        yield told


def next_event(told: Events) -> Event:
    event = told.next(_TIMEOUT_S)
    if event is None:
        raise TimeoutError(f"voiced told nothing for {_TIMEOUT_S:g} s")
    return event


def interrupt(on: Stage, reply_s: float, seed: int, *, behind_burst: bool = False, underrun: bool = False) -> Interruption:
    """Has a reply spoken and interrupts it.

    `behind_burst` interrupts as soon as the program has read the whole reply; `underrun` makes the deltas pause, once
    the reply has begun, for longer than any device holds.
    """
    pcm = sounds.noise(reply_s, seed)
    before = on.heard.samples
    reply, sent_ns = _begin(on, pcm[:_DELTA_BYTES])
    if underrun:
        on.heard.wait_for_sound(before, _TIMEOUT_S)
        resumed = on.heard.wait_for_silence(_QUIET_MS, _TIMEOUT_S) + 1
        on.server.send_audio(reply, pcm[_DELTA_BYTES:], DELTA_MS)
        since = on.heard.wait_for_sound(resumed, _TIMEOUT_S)
    else:
        on.server.send_audio(reply, pcm[_DELTA_BYTES:], DELTA_MS)
        since = on.heard.wait_for_sound(before, _TIMEOUT_S)
    if behind_burst:
        on.server.roundtrip(_TIMEOUT_S)
    else:
        chance = random.Random(seed)
        on.heard.wait_for_samples(since + round(chance.uniform(*_LISTEN_S) * RATE_HZ), _TIMEOUT_S)
        time.sleep(chance.uniform(0, _PHASE_S))
    ordered_ns, claimed_ms = _interrupt(on, reply)
    last = on.heard.wait_for_silence(_QUIET_MS, _TIMEOUT_S, since=on.heard.sample_at(ordered_ns))
    first = on.heard.first_sound(before)
    assert first is not None, "it was waited for"
    claimed = claimed_ms()
    left_ms = _left_the_sink_ms(on, before, last, pcm)
    error_ms = None if claimed is None or left_ms is None else claimed - left_ms
    return Interruption(_ms(on.heard.time_ns(first) - sent_ns), _ms(on.heard.time_ns(last + 1) - ordered_ns), error_ms)


def speak(on: Stage, pcm: bytes) -> float:
    """Has a reply spoken to its end; returns the milliseconds from its first delta to its first sound."""
    before = on.heard.samples
    reply, sent_ns = _begin(on, pcm[:_DELTA_BYTES])
    if len(pcm) > _DELTA_BYTES:
        on.server.send_audio(reply, pcm[_DELTA_BYTES:], DELTA_MS)
    on.server.end_reply(reply)
    first = on.heard.wait_for_sound(before, _TIMEOUT_S)
    on.heard.wait_for_silence(_QUIET_MS, _TIMEOUT_S + len(pcm) / (2 * RATE_HZ))
    return _ms(on.heard.time_ns(first) - sent_ns)


def _begin(on: Stage, delta: bytes) -> tuple[Reply, int]:
    reply = on.server.begin_reply()
    return reply, on.server.send_audio(reply, delta, DELTA_MS)


def _interrupt(on: Stage, reply: Reply) -> tuple[int, Callable[[], float | None]]:
    """Sends speech_started and what follows it; returns when, and how to learn what the program claims was heard."""
    known = len(on.server.received)
    user = on.server.new_id("item")
    ordered_ns = on.server.send(events.SpeechStarted(item_id=user, audio_start_ms=0))
    on.server.end_reply(reply, "cancelled", "turn_detected")
    on.server.send(events.SpeechStopped(item_id=user), events.InputAudioCommitted(item_id=user))

    def claimed_ms() -> float | None:
        # The silence was waited for, and the claim goes out with it: what has not come by now never will.
        for received in on.server.received[known:]:
            if isinstance(received.event, events.ItemTruncate) and received.event.item_id == reply.item_id:
                return float(received.event.audio_end_ms)
        return None

    return ordered_ns, claimed_ms


def _left_the_sink_ms(on: Stage, first: int, last: int, pcm: bytes) -> float | None:
    source = sounds.as_samples(pcm[: _SEARCHED_S * RATE_HZ * 2])
    heard = sounds.as_samples(on.heard.sound(first, last + 1))
    place = sounds.place(heard, len(heard) - 1, source)
    return None if place is None else place * 1000 / RATE_HZ


def _ms(ns: int) -> float:
    return ns / 1e6


def progress(text: str) -> None:
    """A line for whoever watches."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
