"""The whole process, its neighbours played by the test: opening, sound, barge-in, failures."""

import base64
import contextlib
import json
import os
import queue
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from tests.network.link.test_wire import refusing
from tests.network.process import PATIENCE_S, World, serving
from tests.network.script import delta as made_delta
from voiced.bus import FLUSH, Receiver
from voiced.messages import (
    CarryOn,
    Epoch,
    Failed,
    Flush,
    Flushed,
    LocalSpeech,
    Log,
    MicFrame,
    MonoNs,
    PartHeard,
    PartQueued,
    PlayReached,
    PlayStarted,
    Ready,
    ReplyAudio,
)

pytestmark = pytest.mark.system


class Peer:
    """A Realtime server whose events the test sends by hand."""

    def __init__(self) -> None:
        self.got: queue.Queue[dict[str, Any]] = queue.Queue()
        self.connections: queue.Queue[ServerConnection] = queue.Queue()

    def __call__(self, connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "session.created", "event_id": "e", "session": {"type": "realtime", "id": "sess_1"}}))
        update = json.loads(connection.recv())
        self.got.put(update)
        connection.send(json.dumps({"type": "session.updated", "event_id": "e", "session": update["session"]}))
        self.connections.put(connection)
        for raw in connection:
            self.got.put(json.loads(raw))

    def next(self, type: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            event = self.got.get(timeout=max(0.0, deadline - time.monotonic()))
            if event["type"] == type:
                return event


def say(connection: ServerConnection, type: str, **fields: Any) -> None:
    connection.send(json.dumps({"type": type, "event_id": "e", **fields}))


def delta(connection: ServerConnection, item_id: str, pcm: bytes, response_id: str = "r1") -> None:
    part = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
    say(connection, "response.output_audio.delta", **part, delta=base64.b64encode(pcm).decode())


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Starts network processes; each must leave as it should."""
    worlds: list[World] = []

    def start(url: str, **settings: Any) -> World:
        worlds.append(World(tmp_path, url, **settings))
        return worlds[-1]

    yield start
    assert [world.close() for world in worlds] == [0] * len(worlds)


@pytest.fixture
def world(peer: Peer, start: Callable[..., World]) -> Iterator[World]:
    with serving(peer) as url:
        yield start(url)


def test_ready_only_when_the_session_is_open(peer: Peer, world: World) -> None:
    ready = world.until(lambda message: isinstance(message, Ready))
    assert isinstance(ready, Ready)
    assert ready.detail["connected"] is True
    assert ready.detail["id"] == "sess_1"
    assert ready.detail["url"].endswith("/v1/realtime")
    assert (ready.detail["provider"], ready.detail["reconnects"], ready.detail["last_error"]) == ("compatible", 0, None)
    assert "sk-secret" not in repr(world.from_child)
    assert peer.next("session.update")["session"]["type"] == "realtime"


def test_a_frame_of_the_microphone_goes_up_as_it_is(peer: Peer, world: World) -> None:
    world.until(lambda message: isinstance(message, Ready))
    pcm = bytes(range(240)) * 4
    world.speak(pcm)
    assert base64.b64decode(peer.next("input_audio_buffer.append")["audio"]) == pcm


def test_stale_speech_is_not_handed_on(peer: Peer, world: World) -> None:
    world.until(lambda message: isinstance(message, Ready))
    for _ in range(20):
        world.microphone.send(MicFrame(0, MonoNs(time.monotonic_ns() - 1_500_000_000), False), b"\1\0" * 480)
    pcm = b"\2\0" * 480
    world.speak(pcm)
    assert base64.b64decode(peer.next("input_audio_buffer.append")["audio"]) == pcm
    told = world.until(lambda message: isinstance(message, Log) and "microphone" in message.text)
    assert isinstance(told, Log)
    assert told.text.startswith("20 frames")


def speaking(peer: Peer, world: World) -> tuple[ServerConnection, Epoch]:
    """Half a second of a reply is sounding, of that epoch."""
    world.until(lambda message: isinstance(message, Ready))
    world.listen()
    connection = peer.connections.get(timeout=PATIENCE_S)
    say(connection, "response.created", response={"id": "r1"})
    delta(connection, "i1", bytes(48 * 500))
    audio = world.until_from(world.replies, lambda message: isinstance(message, ReplyAudio))
    assert isinstance(audio, ReplyAudio)
    world.heard.send(PlayStarted("i1", 0, audio.epoch))
    world.until_published("state", state="speaking")
    return connection, audio.epoch


def test_barge_in(peer: Peer, world: World) -> None:
    connection, epoch = speaking(peer, world)
    say(connection, "input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    assert world.flushes is not None
    flush = world.until_from(world.flushes, lambda message: isinstance(message, Flush))
    assert isinstance(flush, Flush)
    assert flush.epoch > epoch
    world.heard.send(Flushed(flush.epoch, (PartHeard("i1", 0, 321),), 179, 900, True))
    truncate = peer.next("conversation.item.truncate")
    assert (truncate["item_id"], truncate["content_index"], truncate["audio_end_ms"]) == ("i1", 0, 321)
    published = world.until_published("flush")
    assert (published["epoch"], published["played_ms"], published["latency_ms"]) == (flush.epoch, 321, 0.9)


def local(world: World, phase: str) -> MonoNs:
    now = MonoNs(time.monotonic_ns())
    world.microphone.send(LocalSpeech(phase, now, 0.9))
    return now


def test_an_interruption_that_capture_is_sure_of_waits_for_no_server(peer: Peer, world: World) -> None:
    _, epoch = speaking(peer, world)
    local(world, "confirmed")
    assert world.flushes is not None
    flush = world.until_from(world.flushes, lambda message: isinstance(message, Flush))
    assert isinstance(flush, Flush)
    assert (flush.reason, flush.epoch) == ("local", epoch + 1)
    assert peer.next("response.cancel")["response_id"] == "r1"
    world.until_published("state", state="hearing")
    local(world, "stopped")
    world.until_published("speech.stopped", source="local")


def test_what_the_wake_word_sends_along_is_not_stale(peer: Peer, start: Callable[..., World]) -> None:
    with serving(peer) as url:
        world = start(url, wake_word="okay_nabu", listen_s=8)
        world.until(lambda message: isinstance(message, Ready))
        world.until_published("state", state="asleep")
        woken_ns = local(world, "wake")
        sounds = [bytes([number, 1]) * 480 for number in range(75)]
        for number, pcm in enumerate(sounds):
            world.microphone.send(MicFrame(0, MonoNs(woken_ns - (74 - number) * 20_000_000), False), pcm)
        assert [base64.b64decode(peer.next("input_audio_buffer.append")["audio"]) for _ in sounds] == sounds
        world.until_published("ears", open=True)


def test_a_session_that_sleeps_wakes_by_a_voice_and_hears_what_it_said(peer: Peer, start: Callable[..., World]) -> None:
    with serving(peer) as url:
        world = start(url, idle_disconnect_s=1)
        world.until(lambda message: isinstance(message, Ready))
        world.until_published("state", state="asleep")
        pcm = b"\3\0" * 480
        world.speak(pcm)
        local(world, "started")
        assert base64.b64decode(peer.next("input_audio_buffer.append")["audio"]) == pcm
        world.until_published("session", connected=True)


def test_sound_waits_for_playback_to_hear_the_flush(peer: Peer, world: World) -> None:
    world.until(lambda message: isinstance(message, Ready))
    connection = peer.connections.get(timeout=PATIENCE_S)
    say(connection, "response.created", response={"id": "r1"})
    delta(connection, "i1", bytes(4800))
    world.until_published("response.started")
    say(connection, "input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    say(connection, "response.created", response={"id": "r2"})
    delta(connection, "i2", bytes(4800), "r2")
    world.until_published("response.started", response_id="r2")
    world.listen()
    first = world.until_from(world.replies, lambda message: isinstance(message, ReplyAudio))
    assert isinstance(first, ReplyAudio)
    assert first.item_id == "i2"  # what was flushed while it waited is never sent


def test_a_speech_started_behind_a_burst_overtakes_it(peer: Peer, world: World) -> None:
    """200 s of speech in one go: the flush is out before most of it was handed on, and none of it comes after."""
    world.until(lambda message: isinstance(message, Ready))
    world.listen()
    assert world.flushes is not None
    connection = peer.connections.get(timeout=PATIENCE_S)
    say(connection, "response.created", response={"id": "r1"})
    raw = made_delta("i1", bytes(12_000))
    started = b'{"type":"input_audio_buffer.speech_started","item_id":"u1","audio_start_ms":0}'
    burst = (b"\x81\x7e" + struct.pack("!H", len(raw)) + raw) * 800
    connection.socket.sendall(burst + b"\x81" + bytes([len(started)]) + started)  # in one go: `send` is no burst
    say(connection, "response.created", response={"id": "r2"})
    delta(connection, "i2", bytes(4800), "r2")
    flush = world.until_from(world.flushes, lambda message: isinstance(message, Flush))
    assert isinstance(flush, Flush)
    taken: list[ReplyAudio] = []

    def last(message: Any) -> bool:
        taken.append(message)
        return bool(message.item_id == "i2")

    world.until_from(world.replies, last)
    assert all(audio.epoch < flush.epoch for audio in taken[:-1])
    assert taken[-1].epoch == flush.epoch
    assert len(taken) - 1 < 400


def test_playback_that_dies_is_given_the_rest(peer: Peer, world: World) -> None:
    connection, epoch = speaking(peer, world)
    assert world.flushes is not None
    world.heard.send(PlayReached("i1", 0, epoch, 2_400, 0, MonoNs(time.monotonic_ns())))  # 100 ms of the 500
    world.flushes.socket.close()
    delta(connection, "i1", bytes(9_600))  # nobody hears it now
    world.listen()
    given = b""
    while len(given) < 24_000 - 4_800 + 9_600:
        header, pcm = world.next_reply()
        given += pcm if header.epoch > epoch else b""  # before it is known to be gone, it may still be sent something
    assert header.item_id == "i1"
    assert len(given) == 24_000 - 4_800 + 9_600
    assert not world.published("error")


def test_playback_that_is_replaced_while_nobody_looks(peer: Peer, world: World) -> None:
    """Both happen while the process stands still, so that it finds them in one turn."""
    _, epoch = speaking(peer, world)
    assert world.flushes is not None
    world.process.send_signal(signal.SIGSTOP)
    try:
        world.flushes.socket.close()
        successor = Receiver(world.bus.connect(FLUSH))
    finally:
        world.process.send_signal(signal.SIGCONT)
    order = world.until_from(successor, lambda message: isinstance(message, CarryOn))
    assert isinstance(order, CarryOn)
    assert order.epoch > epoch


def test_what_playback_has_of_a_process_before_this_one_plays_on_and_can_be_interrupted(peer: Peer, world: World) -> None:
    world.until(lambda message: isinstance(message, Ready))
    world.listen(PartQueued("before", 0, 2_400, 48_000))
    world.until_published("state", state="speaking")
    assert world.flushes is not None
    assert world.flushes.next() is None, "no flush"
    connection = peer.connections.get(timeout=PATIENCE_S)
    say(connection, "input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    flush = world.until_from(world.flushes, lambda message: isinstance(message, Flush))
    assert isinstance(flush, Flush)
    assert flush.reason == "speech_started"


def test_orders_are_answered(peer: Peer, world: World) -> None:
    world.until(lambda message: isinstance(message, Ready))
    world.order("ask", text="hello")
    item = peer.next("conversation.item.create")["item"]
    answer: Any = world.until(lambda message: type(message).__name__ == "Answer")
    assert answer.result == {"item_id": item["id"]}
    peer.next("response.create")
    world.order("transcript", limit=5)
    answer = world.until(lambda message: type(message).__name__ == "Answer" and "turns" in message.result)  # type: ignore[union-attr]  # by its name
    assert [turn["text"] for turn in answer.result["turns"]] == ["hello"]


def test_a_lost_connection_is_made_again_with_the_settings(peer: Peer, world: World) -> None:
    world.until(lambda message: isinstance(message, Ready))
    peer.next("session.update")
    peer.connections.get(timeout=PATIENCE_S).close(1011, "restarting")
    lost = world.until_published("session", connected=False)
    assert "1011" in lost["reason"]
    assert lost["attempt"] == 1
    assert 0.3 < lost["retry_in_s"] <= 0.5
    world.until_published("state", state="offline")
    world.until_published("session", connected=True)
    peer.next("session.update")
    first, again = (message.detail for message in world.from_child if isinstance(message, Ready))
    assert again["since"] > first["since"]
    assert (again["connected"], again["reconnects"]) == (True, 1)


def test_nonsense_ends_nothing(peer: Peer, world: World) -> None:
    world.until(lambda message: isinstance(message, Ready))
    world.listen()
    connection = peer.connections.get(timeout=PATIENCE_S)
    for raw in ("not json", "[]", '{"type":"response.output_audio.delta"}', b"\xff\xfe\x00"):
        connection.send(raw)
    world.until_published("error", code="protocol_violated")
    connection.send(json.dumps({"type": "unknown.event", "padding": "x" * (16 << 20)}))
    delta(connection, "i1", b"\x01\x02\x03")
    audio = world.until_from(world.replies, lambda message: isinstance(message, ReplyAudio))
    assert isinstance(audio, ReplyAudio)
    assert audio.item_id == "i1"
    assert not any(isinstance(message, Failed) for message in world.from_child)


def test_a_message_that_is_too_long_is_one_line_and_another_connection(peer: Peer, world: World) -> None:
    world.until(lambda message: isinstance(message, Ready))
    connection = peer.connections.get(timeout=PATIENCE_S)
    with contextlib.suppress(ConnectionClosed):  # it is left in the middle of it
        connection.send("x" * (33 << 20))
    lost = world.until_published("session", connected=False)
    assert "32 MiB" in lost["reason"]
    world.until_published("session", connected=True)


def test_a_refused_key_is_final(start: Callable[..., World]) -> None:
    body = json.dumps({"error": {"code": "invalid_api_key", "message": "Incorrect API key"}})
    with serving(lambda connection: None, process_request=refusing(401, body)) as url:
        world = start(url)
        failed = world.until(lambda message: isinstance(message, Failed))
        assert isinstance(failed, Failed)
        assert failed.code == "key_refused"
        assert "realtime.api_key" in failed.message
        world.until_published("state", state="failed")
        assert [data["state"] for data in world.published("state")] == ["connecting", "failed"]
        world.order("say", text="hello")
        refusal: Any = world.until(lambda message: type(message).__name__ == "Refusal")
        assert refusal.code == "not_now"
        assert "sk-secret" not in repr(world.from_child)


def test_an_error_then_close_is_final_where_it_says_so(start: Callable[..., World]) -> None:
    def handler(connection: ServerConnection) -> None:
        say(connection, "error", error={"type": "invalid_request_error", "code": "model_not_found", "message": "no model m"})
        connection.close(3000, "invalid_request_error.model_not_found")

    with serving(handler) as url:
        world = start(url)
        failed = world.until(lambda message: isinstance(message, Failed))
        assert isinstance(failed, Failed)
        assert failed.code == "model_refused"


def test_what_came_before_the_end_is_looked_at_first(start: Callable[..., World]) -> None:
    def handler(connection: ServerConnection) -> None:
        for _ in range(200):
            say(connection, "rate_limits.updated", rate_limits=[])
        say(connection, "error", error={"type": "invalid_request_error", "code": "invalid_api_key", "message": "no"})
        connection.close(1000)

    with serving(handler) as url:
        world = start(url)
        world.until_published("state", state="failed")
        assert [data["retry_in_s"] for data in world.published("session")] == [None]


@pytest.mark.parametrize(("url", "code"), [("http://x/", "url_invalid"), ("wss://", "url_invalid")])
def test_a_wrong_url_is_final(start: Callable[..., World], url: str, code: str) -> None:
    world = start(url)
    failed = world.until(lambda message: isinstance(message, Failed))
    assert isinstance(failed, Failed)
    assert failed.code == code


def test_a_server_that_is_not_there_is_tried_again(start: Callable[..., World]) -> None:
    world = start("ws://127.0.0.1:9/v1/realtime")
    assert world.until_published("session", connected=False, attempt=1)["retry_in_s"] <= 0.5
    assert world.until_published("session", connected=False, attempt=2)["retry_in_s"] > 0.5


def test_a_server_that_hangs_in_the_handshake_holds_nothing_up(start: Callable[..., World]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        world = start(f"ws://127.0.0.1:{silent.getsockname()[1]}/")
        with silent.accept()[0]:
            beats = [world.until(lambda message: type(message).__name__ == "Heartbeat") for _ in range(3)]
            assert len(beats) == 3
            before = time.monotonic()
            world.order("stop")
            assert world.process.wait(PATIENCE_S) == 0
            assert time.monotonic() - before < 2


#: The network process with a bug in it.
BUGGY = """
from voiced.network import __main__, session
def order(*_): raise ZeroDivisionError("a bug")
session.Session.order = order
raise SystemExit(__main__.main())
"""


def test_a_bug_leaves_nothing_open(peer: Peer, tmp_path: Path) -> None:
    farewells: queue.Queue[bool] = queue.Queue()

    def handler(connection: ServerConnection) -> None:
        peer(connection)  # raises where the connection just breaks
        farewells.put(True)

    started = tmp_path / "started"
    os.mkfifo(started)
    command = ["/bin/sh", "-c", f"echo $$ >{started}; exec sleep 600"]
    tool = {"name": "lamp", "description": "", "parameters": {}, "command": command, "timeout_s": 600.0}
    with serving(handler) as url, contextlib.closing(World(tmp_path, url, launch=("-c", BUGGY), tools=[tool])) as world:
        item = {"id": "f1", "type": "function_call", "call_id": "c1", "name": "lamp", "arguments": "{}", "status": "completed"}
        say(peer.connections.get(timeout=PATIENCE_S), "response.output_item.done", response_id="r1", item=item)
        program = os.pidfd_open(int(started.read_text()))
        world.order("interrupt")
        failed = world.until(lambda message: isinstance(message, Failed))
        assert isinstance(failed, Failed)
        assert "ZeroDivisionError" in failed.message
        assert farewells.get(timeout=PATIENCE_S)
        assert select.select([program], [], [], PATIENCE_S)[0]
        os.close(program)
