"""What becomes of a conversation when a session ends: the way back after a loss, and the move to the next one."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import websocket

from tests.bench import sounds
from tests.bench.options import Options
from tests.bench.programs import AS_IT_COMES, Voiced
from tests.bench.stage import Stage, listening, next_event, progress, stage
from tests.bench.table import Figure
from tests.scripted_server import BYTES_PER_MS, Manner, ScriptedServer
from voicectl.client import Event, Events
from voiced.demo.recorder import RATE_HZ
from voiced.demo.soundserver import PulseServer
from voiced.network import events

_PLAIN = partial(Voiced, settings=AS_IT_COMES)
_TIMEOUT_S = 20.0
_BYTES = 2

# a lost connection ---------------------------------------------------------------------------------------------------

#: A session that held for so long lets the next delay be the first again (voiced.network.link.reconnect).
_HEALTHY_S = 5.2
_RESTART_S = 1.0


def reconnect(options: Options) -> Iterator[Figure]:
    """From the loss of a connection to the first sound of the microphone in the next session, less the delays announced."""
    progress(f"reconnect: {options.drops} restarts, FINs and RSTs each")
    beyond: list[float] = []
    waited: list[float] = []
    with stage(PulseServer(), _PLAIN) as on, listening(on, "session") as told:
        for number in range(options.drops):
            if number:
                time.sleep(_HEALTHY_S)
            for drop in (_restart, ScriptedServer.hang_up, ScriptedServer.reset):
                total_ms, delays_ms = _lose(on, told, drop)
                beyond.append(total_ms - sum(delays_ms))
                waited.append(sum(delays_ms))
    note = f"a restart of {_RESTART_S:g} s, FIN and RST in turn; back-off waited beside: {min(waited):.0f} to {max(waited):.0f} ms"
    yield Figure("connection lost → working, less back-off", "ms", beyond, 1200, 1200, note=note)
    with ScriptedServer() as server:
        yield Figure("  connecting alone, of a bare client", "ms", [_bare_connection(server) for _ in beyond])


def _restart(server: ScriptedServer) -> None:
    server.close()
    time.sleep(_RESTART_S)
    server.serve()


def _lose(on: Stage, told: Events, drop: Callable[[ScriptedServer], None]) -> tuple[float, list[float]]:
    """How long the loss lasted, and the delays before each new attempt, in milliseconds."""
    following = on.server.connections + 1
    lost_ns = time.monotonic_ns()
    drop(on.server)
    working = on.server.until(_is_sound, _TIMEOUT_S, connection=following)
    delays_ms = []
    while not (event := next_event(told)).data["connected"]:
        delays_ms.append(event.data["retry_in_s"] * 1000)
    return (working.mono_ns - lost_ns) / 1e6, delays_ms


def _bare_connection(server: ScriptedServer) -> float:
    """Milliseconds that a client needs for the least: connect, session.update and its answer, one append."""
    following = server.connections + 1
    since_ns = time.monotonic_ns()
    client = websocket.create_connection(server.url, skip_utf8_validation=True)
    client.recv()
    client.send(events.encode(events.SessionUpdate(session={"type": "realtime"})))
    client.recv()
    client.send(events.encode(events.InputAudioAppend(audio=bytes(960))))
    arrived_ns = server.until(_is_sound, connection=following).mono_ns
    client.close()
    return (arrived_ns - since_ns) / 1e6


# the move to the next session ----------------------------------------------------------------------------------------

#: About the shortest life that voiced believes in; it moves when a sixth of it is left, whoever speaks.
_LIFETIME_S = 12
_REPLY_AT_S = 7.5
_REPLY_S = 4.0
_TURN_AT_S = 6.0
#: A server notices that somebody speaks so much later than it says they began (300 ms of padding, and its own delay).
_NOTICED_LATER_MS = 490  # which is within a frame, as words begin anywhere


class _Move(NamedTuple):
    lost_samples: int
    told_again_ms: float
    of_turn: int | None  # samples of the turn under way that the next session did not get
    gap_ms: float | None  # in the reply that played meanwhile


def rollover(options: Options) -> Iterator[Figure]:
    """The move to the next session at the last moment, while the microphone hears noise: once with a turn of the user's under
    way, once with a reply playing, and so on."""
    progress(f"rollover: {2 * options.moves} sessions of {_LIFETIME_S} s")
    said = sounds.noise(_LIFETIME_S * (2 * options.moves + 1), seed=4)
    with stage(PulseServer(), _PLAIN, Manner(lifetime_s=_LIFETIME_S)) as on, listening(on, "flush") as told:
        speech = on.sound.play(said)
        moves = [(_during_reply if number % 2 else _during_turn)(on, said, number) for number in range(2 * options.moves)]
        speech.stop()
        flushes = len(_waiting(told))
    lost = [float(move.lost_samples) for move in moves]
    of_turns = [float(move.of_turn) for move in moves if move.of_turn is not None]
    gaps = [move.gap_ms for move in moves if move.gap_ms is not None]
    again = [move.told_again_ms for move in moves if move.of_turn is None]
    note = f"both sessions were told the same {min(again):.0f} to {max(again):.0f} ms"
    yield Figure("rollover: microphone samples lost", "count", lost, 0, 0, note=note)
    yield Figure("  of a turn under way, in the next session", "count", of_turns, 0, 0)
    yield Figure("  gap in the speech that plays", "ms", gaps, 0, 0, note=f"flushes: {flushes}")


def _during_turn(on: Stage, said: bytes, seed: int) -> _Move:
    """The user has been speaking for seconds when the session ends."""
    current = on.server.connections
    _reach_age(on, current, _TURN_AT_S)
    began_ms = len(_sound_of(on, current)) // BYTES_PER_MS - _NOTICED_LATER_MS
    on.server.send(events.SpeechStarted(item_id=on.server.new_id("item"), audio_start_ms=began_ms))
    _await_move(on, current)
    on.server.hear()
    began = began_ms * BYTES_PER_MS
    [(began_at, _)] = sounds.stretches(_sound_of(on, current)[began : began + 20 * BYTES_PER_MS], said)
    before, after = _told(on, current, said)
    return _Move(sounds.missing([*before, *after]), _overlap_ms(before, after), sounds.missing([(began_at - 1, began_at), *after]), None)


def _during_reply(on: Stage, said: bytes, seed: int) -> _Move:
    """A reply that the server is done with plays on."""
    current = on.server.connections
    _reach_age(on, current, _REPLY_AT_S)
    pcm = sounds.noise(_REPLY_S, seed)
    since = on.heard.samples
    reply = on.server.begin_reply()
    on.server.send_audio(reply, pcm)
    on.server.end_reply(reply)
    moved_ns = _await_move(on, current)
    last = on.heard.wait_for_silence(400, _TIMEOUT_S, since=on.heard.sample_at(moved_ns))
    first = on.heard.first_sound(since)
    assert first is not None, "a silence after sound was waited for"
    assert 0 < moved_ns - on.heard.time_ns(first) < _REPLY_S * 1e9, "the reply was to play over the move"
    heard = on.heard.sound(first, last + 1)
    end = len(pcm) // _BYTES
    # Not from its very first sample: the monitor misses what begins within a block that it has shown already.
    never_played = sounds.missing([*sounds.stretches(heard, pcm), (end - 1, end)])
    gap_ms = (sum(sounds.gaps(sounds.as_samples(heard))) + never_played) * 1000 / RATE_HZ
    before, after = _told(on, current, said)
    return _Move(sounds.missing([*before, *after]), _overlap_ms(before, after), None, gap_ms)


def _reach_age(on: Stage, connection: int, age_s: float) -> None:
    opened_ns = on.server.until(_is_update, connection=connection).mono_ns
    time.sleep(max(0.0, age_s - (time.monotonic_ns() - opened_ns) / 1e9))


def _await_move(on: Stage, current: int) -> int:
    """Returns when the next session was told live sound, and when its first came."""
    first = on.server.until(_is_sound, _TIMEOUT_S, connection=current + 1)
    known = len(on.server.received)
    for _ in range(10):
        known = on.server.received.index(on.server.until(_is_sound, since=known, connection=current + 1), known) + 1
    return first.mono_ns


def _sound_of(on: Stage, connection: int) -> bytes:
    return b"".join(
        received.event.audio
        for received in list(on.server.received)
        if received.connection == connection and isinstance(received.event, events.InputAudioAppend)
    )


def _told(on: Stage, current: int, said: bytes) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The stretches of what was said that this session and the next were told."""
    return sounds.stretches(_sound_of(on, current), said), sounds.stretches(_sound_of(on, current + 1), said)


def _overlap_ms(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> float:
    return (before[-1][1] - after[0][0]) * 1000 / RATE_HZ


def _waiting(told: Events) -> list[Event]:
    return list(iter(lambda: told.next(0), None))


def _is_sound(event: object) -> bool:
    return isinstance(event, events.InputAudioAppend)


def _is_update(event: object) -> bool:
    return isinstance(event, events.SessionUpdate)
