"""The control and event sockets of a real daemon, from clients of every kind."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.supervisor import running
from tests.supervisor.running import Daemon
from voiced import control
from voiced.bus import LARGEST_BYTES
from voiced.ends import EventStream, Requests
from voiced.supervisor.server import ControlServer, EventServer

pytestmark = pytest.mark.system
_PATIENCE_MS = 8000


Socket = zmq.Socket[bytes]


class Clients:
    """Sockets of this test, all closed at its end."""

    def __init__(self) -> None:
        self._context: zmq.Context[Socket] = zmq.Context()
        self._sockets: list[Socket] = []  # or they would be collected, unclosed, at the end of the test

    def connect(self, daemon: Daemon, kind: int, endpoint: str = "control") -> Socket:
        socket = self._context.socket(kind)
        self._sockets.append(socket)
        socket.rcvtimeo = _PATIENCE_MS
        socket.connect(f"ipc://{daemon.runtime}/{endpoint}")
        return socket

    def subscribe(self, daemon: Daemon, *topics: str) -> Socket:
        socket = self.connect(daemon, zmq.SUB, "events")
        for topic in topics:
            socket.subscribe(topic)
        return socket

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def clients() -> Iterator[Clients]:
    made = Clients()
    yield made
    made.close()


def ask(socket: Socket, request: Any) -> dict[str, Any]:
    socket.send(msgpack.packb(request))
    return received(socket)


def received(socket: Socket) -> dict[str, Any]:
    answer: dict[str, Any] = msgpack.unpackb(socket.recv())
    return answer


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER])
def test_both_kinds_of_client_are_served(clients: Clients, ready_daemon: Daemon, kind: int) -> None:
    client = clients.connect(ready_daemon, kind)
    for id in (1, "two", None, [3, {"four": 4.0}]):
        answer = ask(client, {"v": 1, "id": id, "cmd": "ping", "args": {}})
        result = {"version": answer["result"]["version"], "pid": ready_daemon.process.pid, "protocol": 1}
        assert answer == {"v": 1, "id": id, "ok": True, "result": result}


def test_what_may_be_left_out_is_left_out(clients: Clients, ready_daemon: Daemon) -> None:
    assert ask(clients.connect(ready_daemon, zmq.REQ), {"cmd": "ping", "more": "ignored"})["ok"]


def test_answers_find_their_requests(clients: Clients, ready_daemon: Daemon) -> None:
    """A slow command does not hold up a quick one of the same client."""
    client = clients.connect(ready_daemon, zmq.DEALER)
    for id, cmd in enumerate(["interrupt", "ping", "mute", "status", "unmute", "transcript"]):
        client.send(msgpack.packb({"id": id, "cmd": cmd}))
    answers = {answer["id"]: answer for answer in (received(client) for _ in range(6))}
    assert set(answers) == set(range(6))
    assert answers[2]["result"] == {"muted": True}
    assert answers[4]["result"] == {"muted": False}
    assert answers[5]["result"] == {"turns": [{"limit": 20}]}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ([1, 2], {"code": "bad_request"}),
        ({"id": 5}, {"code": "unknown_command"}),
        ({"v": 2, "cmd": "ping"}, {"code": "unsupported_version"}),
        ({"cmd": "say"}, {"code": "bad_argument", "field": "text"}),
        ({"cmd": "ask", "args": {"text": "x"}}, {"code": "not_now", "message": "the server is away"}),
    ],
)
def test_refusals(clients: Clients, ready_daemon: Daemon, request_: Any, error: dict[str, str]) -> None:
    answer = ask(clients.connect(ready_daemon, zmq.REQ), request_)
    assert not answer["ok"]
    assert error.items() <= answer["error"].items()


def test_too_large_is_refused(clients: Clients, ready_daemon: Daemon) -> None:
    client = clients.connect(ready_daemon, zmq.REQ)
    client.send(bytes((1 << 20) + 1))
    assert received(client)["error"]["code"] == "bad_request"


@pytest.mark.parametrize("endpoint", ["control", "events"])
def test_far_too_large_is_not_even_taken_in(clients: Clients, ready_daemon: Daemon, endpoint: str) -> None:
    """It would stand in memory twice."""
    client = clients.connect(ready_daemon, zmq.DEALER if endpoint == "control" else zmq.XSUB, endpoint)
    gone = client.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    if endpoint == "control":
        assert ask(client, {"cmd": "ping"})["ok"]
    else:
        client.send(b"\x01status")
        client.recv_multipart()
    client.send(b"\x02" + bytes(LARGEST_BYTES))
    assert gone.poll(_PATIENCE_MS), "it hangs up"
    client.disable_monitor()
    gone.close()
    assert ask(clients.connect(ready_daemon, zmq.DEALER), {"cmd": "ping"})["ok"]


def test_what_is_too_large_but_not_by_far_is_answered(clients: Clients, ready_daemon: Daemon) -> None:
    client = clients.connect(ready_daemon, zmq.DEALER)
    client.send(bytes(LARGEST_BYTES))
    assert received(client)["error"]["code"] == "bad_request"


@pytest.mark.parametrize("field", ["v", "cmd", "id"])
def test_hostile_depth_is_refused(clients: Clients, ready_daemon: Daemon, field: str) -> None:
    client = clients.connect(ready_daemon, zmq.REQ)
    client.send(b"\x81" + msgpack.packb(field) + b"\x91" * 1015 + b"\x01")
    assert not received(client)["ok"]


def test_a_bug_of_ours_is_an_answer_and_a_line() -> None:
    class OneRequest:
        """In place of a socket."""

        def __init__(self) -> None:
            self.waiting = [((b"peer",), control.pack_request(7, "ping", {}))]
            self.answers: list[tuple[Any, Any]] = []

        def next(self) -> tuple[tuple[bytes, ...], bytes] | None:
            return self.waiting.pop() if self.waiting else None

        def reply(self, envelope: tuple[bytes, ...], body: bytes) -> None:
            self.answers.append(control.unpack_answer(body))

    def broken(command: str, args: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("oops")

    requests, lines = OneRequest(), list[str]()
    server = ControlServer(cast(Requests, requests), broken, lambda owner, order: False, lambda command, result: result, lines.append)
    server.receive(0.0)
    [(id, error)] = requests.answers
    assert (id, error.code) == (7, "internal")
    assert lines == ["a bug in voiced, in a request: KeyError: 'oops'; please report this"]


def test_a_script_that_runs_wild_is_refused_and_the_others_served(clients: Clients, ready_daemon: Daemon) -> None:
    client = clients.connect(ready_daemon, zmq.DEALER)
    client.rcvhwm = 0
    for id in range(800):
        client.send(msgpack.packb({"id": id, "cmd": "volume"}))
    other = clients.connect(ready_daemon, zmq.REQ)
    assert ask(other, {"cmd": "devices"})["ok"]
    answers = [received(client) for _ in range(800)]
    assert {answer["id"] for answer in answers} == set(range(800))
    served = sum(answer["ok"] for answer in answers)
    assert 500 <= served < 800
    assert {answer["error"]["code"] for answer in answers if not answer["ok"]} == {"not_now"}


def test_a_client_that_reads_no_answer_does_not_hold_up_the_others(clients: Clients, ready_daemon: Daemon) -> None:
    client = clients.connect(ready_daemon, zmq.DEALER)
    client.rcvhwm, client.sndtimeo = 1, 2000
    for _ in range(3000):
        client.send(msgpack.packb({"cmd": "describe"}))
    assert ask(clients.connect(ready_daemon, zmq.REQ), {"cmd": "ping"})["ok"]


def test_a_program_that_forgets_to_close_its_clients_is_sent_away(home: Path) -> None:
    with running.daemon(home) as daemon, daemon.wait_until_ready().client() as client, contextlib.ExitStack() as stack:
        client.ping()  # it is inside before them
        for _ in range(800):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(daemon.runtime / "control"))
        daemon.wait_for_log("more are sent away")
        assert client.ping()["pid"] == daemon.process.pid
        stack.close()
        daemon.wait_for_log("more may come again")
        with daemon.client() as another:
            assert another.ping()["pid"] == daemon.process.pid
        assert daemon.log().count("clients are connected to the control socket") == 2


def test_a_subscriber_that_falls_behind_is_counted_each_time_and_told_of_once() -> None:
    class Stream:
        """In place of a socket: at every second event somebody falls behind."""

        sent = 0

        def publish(self, topic: str, body: bytes) -> bool:
            self.sent += 1
            return self.sent % 2 == 0

    lines: list[str] = []
    server = EventServer(cast(EventStream, Stream()), dict, lines.append)
    for _ in range(10):
        server.publish("state", {})
    assert server.figures == {"subscriptions": 0, "lagged": 5}
    assert len(lines) == 1
    assert "does not keep up" in lines[0]


def test_status_counts_subscriptions_and_who_fell_behind(clients: Clients, ready_daemon: Daemon) -> None:
    event(clients.subscribe(ready_daemon, "nonsense", "status"))
    figures = ask(clients.connect(ready_daemon, zmq.REQ), {"cmd": "status"})["result"]["events"]
    assert figures["subscriptions"] >= 1
    assert figures["lagged"] == 0


def test_who_subscribes_to_no_end_of_nonsense_is_hung_up_on(clients: Clients, ready_daemon: Daemon) -> None:
    other = clients.subscribe(ready_daemon, "status")
    event(other)
    client = clients.connect(ready_daemon, zmq.XSUB, "events")
    gone = client.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    for number in range(150):
        client.send(b"\x01nonsense %d" % number)
    assert gone.poll(_PATIENCE_MS)
    client.disable_monitor()
    gone.close()
    client.close()
    ask(clients.connect(ready_daemon, zmq.REQ), {"cmd": "mute"})
    assert event(other)[1]["data"]["muted"] is True
    ask(clients.connect(ready_daemon, zmq.REQ), {"cmd": "unmute"})


def test_a_child_that_gives_no_answer_is_a_timeout(clients: Clients, ready_daemon: Daemon) -> None:
    with running.home() as home, running.daemon(home) as daemon:
        answer = ask(clients.connect(daemon.wait_until_ready(), zmq.REQ), {"cmd": "say", "args": {"text": "deaf"}})
    assert answer["error"]["code"] == "timeout"
    assert "network process" in answer["error"]["message"]


_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
_ANYTHING = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_SCALARS, inner, max_size=4), max_leaves=12)
#: Not `shutdown`, and nothing that makes the test children misbehave.
_HARMLESS = [name for name in control.COMMANDS if name not in ("shutdown", "say")]
_NEARLY = st.fixed_dictionaries(
    {}, optional={"v": _ANYTHING | st.just(1), "id": _ANYTHING, "cmd": _ANYTHING | st.sampled_from(_HARMLESS), "args": _ANYTHING}
)


@given(st.binary(max_size=300) | _NEARLY.map(msgpack.packb) | _ANYTHING.map(msgpack.packb))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_an_answer(clients: Clients, ready_daemon: Daemon, body: bytes) -> None:
    with clients.connect(ready_daemon, zmq.DEALER) as client:
        client.send(body)
        answer = received(client)
    assert answer["v"] == 1
    assert answer["ok"] or answer["error"]["code"] in ("bad_request", "unsupported_version", "unknown_command", "bad_argument", "not_now")
    assert answer["ok"] or "Traceback" not in answer["error"]["message"]


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frames_to_any_socket_are_survived(clients: Clients, ready_daemon: Daemon, frames: list[bytes]) -> None:
    for kind, endpoint in ((zmq.DEALER, "control"), (zmq.DEALER, "family"), (zmq.XSUB, "events")):
        with clients.connect(ready_daemon, kind, endpoint) as socket:
            socket.send_multipart(frames)
    with clients.connect(ready_daemon, zmq.REQ) as client:
        assert ask(client, {"cmd": "ping"})["ok"]


def event(socket: Socket) -> tuple[str, dict[str, Any]]:
    topic, body = socket.recv_multipart()
    return topic.decode(), msgpack.unpackb(body)


@pytest.mark.parametrize("topic", ["", "sta", "status"])
def test_a_snapshot_comes_first(clients: Clients, ready_daemon: Daemon, topic: str) -> None:
    control_client = clients.connect(ready_daemon, zmq.DEALER)
    for _ in range(5):  # events are about while the subscription arrives
        control_client.send(msgpack.packb({"cmd": "toggle_mute"}))
        with clients.subscribe(ready_daemon, topic) as socket:
            name, body = event(socket)
        assert name == "status"
        assert body["v"] == 1
        assert {"state", "muted", "session", "processes"} <= set(body["data"])
        received(control_client)


def test_another_topic_gets_no_snapshot(clients: Clients, ready_daemon: Daemon) -> None:
    socket = clients.subscribe(ready_daemon, "flush", "status")
    assert event(socket)[0] == "status"  # so the subscription to `flush`, sent before, stands
    assert ask(clients.connect(ready_daemon, zmq.REQ), {"cmd": "interrupt"})["ok"]
    topic, body = event(socket)
    assert (topic, body["data"]["item_id"]) == ("flush", "item_1")


def test_the_sequence_has_no_holes(clients: Clients, ready_daemon: Daemon) -> None:
    everything = clients.subscribe(ready_daemon, "")
    numbers = [event(everything)[1]["seq"]]
    client = clients.connect(ready_daemon, zmq.REQ)
    with clients.subscribe(ready_daemon, "status") as another:  # whose snapshot is one in the sequence, too
        event(another)
        for command in ("interrupt", "mute", "unmute", "interrupt"):
            assert ask(client, {"cmd": command})["ok"]
    flushes = 0
    while flushes < 2:
        topic, body = event(everything)
        numbers.append(body["seq"])
        flushes += topic == "flush"
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_status_tells_of_every_change_to_those_who_follow_it(clients: Clients, ready_daemon: Daemon) -> None:
    socket = clients.subscribe(ready_daemon, "status")
    assert event(socket)[1]["data"]["state"] == "idle"
    client = clients.connect(ready_daemon, zmq.REQ)
    ask(client, {"cmd": "mute"})
    assert event(socket)[1]["data"]["state"] == "muted"
    ask(client, {"cmd": "unmute"})
    assert event(socket)[1]["data"]["state"] == "idle"


def test_status_tells_of_mute_where_it_changes_no_state(clients: Clients, ready_daemon: Daemon) -> None:
    client = clients.connect(ready_daemon, zmq.REQ)
    ask(client, {"cmd": "say", "args": {"text": "be speaking"}})
    try:
        socket = clients.subscribe(ready_daemon, "status")
        assert event(socket)[1]["data"]["state"] == "speaking"
        ask(client, {"cmd": "mute"})
        while not (data := event(socket)[1]["data"])["muted"]:  # the snapshot may have come before the event of the state
            assert data["state"] == "speaking"
        assert data["state"] == "speaking"
    finally:
        ask(client, {"cmd": "unmute"})
        ask(client, {"cmd": "say", "args": {"text": "be idle"}})
