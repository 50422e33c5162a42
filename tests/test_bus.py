import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from zmq import POLLOUT, Again

from voiced import bus
from voiced.bus import (
    CONTROL,
    ENDPOINTS,
    EVENTS,
    FAMILY,
    MICROPHONE,
    REFERENCE,
    REPLY,
    Bus,
    Family,
    Poller,
    Receiver,
    Sender,
)
from voiced.ends import EventStream, Requests
from voiced.errors import RuntimeDirUnusable, SocketFailed
from voiced.messages import Epoch, Heartbeat, Message, MessageMalformed, MicFrame, MonoNs, Order, Played, Ready, ReplyAudio

_PATIENCE_MS = 5000


@pytest.fixture
def ends(home: Path) -> Iterator[tuple[Bus, Bus]]:
    """Two processes' ends of the bus."""
    one, other = Bus(home), Bus(home)
    yield one, other
    one.close()
    other.close()


def wait_for(receiver: Receiver) -> tuple[Message, bytes]:
    assert receiver.socket.poll(_PATIENCE_MS)
    item = receiver.next()
    assert item is not None
    return item


def test_every_endpoint_can_be_bound_and_connected(ends: tuple[Bus, Bus]) -> None:
    for endpoint in ENDPOINTS:
        ends[0].bind(endpoint)
        ends[1].connect(endpoint)


def test_sockets_are_for_their_owner_to_read_and_write(ends: tuple[Bus, Bus], home: Path) -> None:
    ends[0].bind(CONTROL)
    assert (home / "control").stat().st_mode & 0o777 == 0o600


def test_sound_travels_beside_its_header(ends: tuple[Bus, Bus]) -> None:
    receiver = Receiver(ends[0].bind(REPLY))
    sender = Sender(ends[1].connect(REPLY))
    assert sender.send(ReplyAudio(Epoch(1), "item", 0), b"\x01\x02")
    assert sender.send(ReplyAudio(Epoch(2), "item", 0))
    assert wait_for(receiver) == (ReplyAudio(Epoch(1), "item", 0), b"\x01\x02")
    assert wait_for(receiver) == (ReplyAudio(Epoch(2), "item", 0), b"")
    assert receiver.next() is None


def test_draining_is_bounded(ends: tuple[Bus, Bus]) -> None:
    receiver = Receiver(ends[0].bind(REPLY))
    sender = Sender(ends[1].connect(REPLY))
    for _ in range(5):
        sender.send(ReplyAudio(Epoch(1), "item", 0))
    wait_for(receiver)
    taken = 0
    while taken < 4:
        taken += len(list(receiver.drain(3)))
        assert taken in (0, 1, 2, 3, 4)
    assert list(receiver.drain(3)) == []


def test_a_sender_never_waits_and_counts_what_is_lost(ends: tuple[Bus, Bus]) -> None:
    sender = Sender(ends[1].connect(MICROPHONE))  # nobody binds it
    for seq in range(MICROPHONE.high_water + 7):
        sender.send(MicFrame(seq, MonoNs(0), False), bytes(960))
    assert sender.dropped == 7


def test_what_is_fleeting_is_not_kept_for_who_comes_later(ends: tuple[Bus, Bus]) -> None:
    sender = Sender(ends[1].connect(REFERENCE))
    assert not sender.send(Played(0, MonoNs(0)), bytes(960))
    receiver = Receiver(ends[0].bind(REFERENCE))
    while not sender.send(Played(480, MonoNs(20_000_000)), bytes(960)):
        sender.socket.poll(10, POLLOUT)
    assert wait_for(receiver) == (Played(480, MonoNs(20_000_000)), bytes(960))


def test_a_child_is_told_from_its_predecessor(ends: tuple[Bus, Bus], home: Path) -> None:
    family = Family(ends[0].bind(FAMILY))
    first = Sender(ends[1].connect(FAMILY, identity="capture.41"))
    first.send(Ready({}))
    assert family.socket.poll(_PATIENCE_MS)
    assert family.next() == ("capture", 41, Ready({}))
    third = Bus(home)  # a second process of that name, while the first connection still stands
    second = third.connect(FAMILY, identity="capture.42")
    Sender(second).send(Heartbeat({}))
    assert family.socket.poll(_PATIENCE_MS)
    assert family.next() == ("capture", 42, Heartbeat({}))
    family.send("capture", 42, Order(1, "mute", {}))
    assert second.poll(_PATIENCE_MS)
    assert Receiver(second).next() == (Order(1, "mute", {}), b"")
    assert Receiver(first.socket).next() is None
    family.send("nobody", 43, Order(2, "mute", {}))
    assert family.next() is None
    third.close()


@pytest.mark.parametrize("identity", ["x", "capture", "capture.", ".7", "\u00b2.\u00b2"])
def test_who_has_no_process_id_is_nobody(ends: tuple[Bus, Bus], identity: str) -> None:
    family = Family(ends[0].bind(FAMILY))
    Sender(ends[1].connect(FAMILY, identity=identity)).send(Heartbeat({}))
    assert family.socket.poll(_PATIENCE_MS)
    heard = family.next()
    assert heard is not None
    assert not (heard[0] and heard[1])


def test_garbage_in_the_family_is_malformed(ends: tuple[Bus, Bus]) -> None:
    family = Family(ends[0].bind(FAMILY))
    ends[1].connect(FAMILY, identity="x").send(b"\xc1")
    assert family.socket.poll(_PATIENCE_MS)
    with pytest.raises(MessageMalformed):
        family.next()


def test_an_envelope_leads_back(ends: tuple[Bus, Bus]) -> None:
    requests = Requests(ends[0].bind(CONTROL))
    client = ends[1].connect(CONTROL)
    for frames in ([b"body"], [b"", b"body"], [b"hop", b"", b"body"]):
        client.send_multipart(frames)
        assert requests.socket.poll(_PATIENCE_MS)
        arrived = requests.next()
        assert arrived is not None
        envelope, body = arrived
        assert body == b"body"
        requests.reply(envelope, b"answer")
        assert client.poll(_PATIENCE_MS)
        assert client.recv_multipart() == [*frames[:-1], b"answer"]
    assert requests.next() is None


def test_a_subscription_takes_effect_when_it_is_read(ends: tuple[Bus, Bus]) -> None:
    stream = EventStream(ends[0].bind(EVENTS))
    subscriber = ends[1].connect(EVENTS, topics=("state",))
    assert stream.socket.poll(_PATIENCE_MS)
    stream.publish("state", b"before")
    assert stream.next() == (b"state", True)
    stream.publish("flush", b"another topic")
    stream.publish("state", b"after")
    assert subscriber.poll(_PATIENCE_MS)
    assert subscriber.recv_multipart() == [b"state", b"after"]
    subscriber.close()
    assert stream.socket.poll(_PATIENCE_MS)
    assert stream.next() == (b"state", False)
    assert stream.next() is None


def test_an_envelope_of_too_many_frames_is_no_request(ends: tuple[Bus, Bus]) -> None:
    requests = Requests(ends[0].bind(CONTROL))
    ends[1].connect(CONTROL).send_multipart([b"hop"] * 1000 + [b"body"])
    assert requests.socket.poll(_PATIENCE_MS)
    arrived = requests.next()
    assert arrived is not None
    assert (len(arrived[0]), arrived[1]) == (16, b"")


def test_a_client_that_floods_and_reads_nothing_is_made_to_wait(ends: tuple[Bus, Bus]) -> None:
    requests = Requests(ends[0].bind(CONTROL))
    client = ends[1].connect(CONTROL)
    client.sndtimeo = 300
    sent = 0
    with contextlib.suppress(Again):
        while sent < 10_000:
            client.send(bytes(1 << 16))
            sent += 1
    assert sent < 300
    while requests.next() is not None:
        pass


def test_only_the_subscriber_that_does_not_keep_up_misses_something(ends: tuple[Bus, Bus]) -> None:
    stream = EventStream(ends[0].bind(EVENTS))
    ends[1].connect(EVENTS, topics=("state",))  # never read
    reader = ends[1].connect(EVENTS, topics=("state",))
    for _ in range(2):
        assert stream.socket.poll(_PATIENCE_MS)
        assert stream.next() == (b"state", True)
    missed = 0
    for number in range(10_000):
        missed += not stream.publish("state", b"%d" % number + bytes(1000))
        assert reader.poll(_PATIENCE_MS)
        assert int(reader.recv_multipart()[1].rstrip(b"\0")) == number
    assert missed == 1, "libzmq leaves it out from then on"


def test_subscriptions_to_what_can_not_be_are_passed_over(ends: tuple[Bus, Bus]) -> None:
    stream = EventStream(ends[0].bind(EVENTS))
    subscriber = ends[1].connect(EVENTS, topics=(*(f"junk{number}" for number in range(40)), "state"))
    taken = None
    while taken is None:
        assert stream.socket.poll(_PATIENCE_MS)
        taken = stream.next(lambda topic: b"state".startswith(topic))
    assert taken == (b"state", True)
    stream.publish("junk1", b"x")
    stream.publish("state", b"y")
    assert subscriber.poll(_PATIENCE_MS)
    assert subscriber.recv_multipart() == [b"state", b"y"]


def test_goodbyes_are_noticed(ends: tuple[Bus, Bus]) -> None:
    bound = ends[0].bind(EVENTS)
    subscriber = ends[1].connect(EVENTS)
    gone = ends[1].goodbyes(subscriber)
    assert bound.poll(_PATIENCE_MS)
    assert not gone.poll(0)
    bound.close()
    poller = Poller()
    poller.watch(gone)
    assert poller.wait(_PATIENCE_MS) == {gone}
    subscriber.disable_monitor()
    gone.close()


def test_a_bus_closes_with_a_monitor_that_was_left_open(home: Path) -> None:
    """It kept the context's end waiting for ever."""
    made = Bus(home)
    made.goodbyes(made.connect(EVENTS))
    closing = threading.Thread(target=made.close, daemon=True)
    closing.start()
    closing.join(_PATIENCE_MS / 1000)
    assert not closing.is_alive()


def test_the_poller_takes_descriptors_and_rounds_up() -> None:
    reader, writer = os.pipe()
    poller = Poller()
    poller.watch(reader)
    assert poller.wait(0.4) == set()
    os.write(writer, b"x")
    assert poller.wait(None) == {reader}
    poller.forget(reader)
    assert poller.wait(0) == set()
    os.close(reader)
    os.close(writer)


def test_a_socket_that_can_not_be_bound_is_one_line(home: Path) -> None:
    made = Bus(home / "missing")
    with pytest.raises(SocketFailed, match=r"can't open .*/missing/control"):
        made.bind(CONTROL)
    made.close()


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"VOICED_RUNTIME_DIR": "/x", "XDG_RUNTIME_DIR": "/tmp"}, "/x"),
        ({"XDG_RUNTIME_DIR": "/tmp"}, "/tmp/voiced"),
    ],
)
def test_where_the_sockets_are(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], expected: str) -> None:
    for name in ("VOICED_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert bus.runtime_dir() == expected


def test_nowhere_to_put_them_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICED_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/does/not/exist")
    with pytest.raises(RuntimeDirUnusable, match="set VOICED_RUNTIME_DIR"):
        bus.runtime_dir()


def test_the_longest_path_that_fits_fits() -> None:
    room = 107 - len("/" + CONTROL.name)
    assert bus.address("x" * room, CONTROL)
    with pytest.raises(RuntimeDirUnusable, match="too long"):
        bus.address("x" * (room + 1), CONTROL)
