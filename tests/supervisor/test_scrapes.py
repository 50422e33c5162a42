"""The endpoint with real sockets, driven as the supervisor's loop drives it."""

import contextlib
import os
import random
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.running import daemon
from voiced.bus import Poller
from voiced.supervisor.scrapes import Scrapes

GET = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n"


class Loop:
    """What the supervisor does with it, with its own clock; counts how often it is woken."""

    def __init__(self, where: str) -> None:
        self.complaints: list[str] = []
        self.made = 0
        self.wakings = 0
        self.now_s = 100.0
        self._poller = Poller()
        self.scrapes = Scrapes(self._poller, self._text, self.complaints.append)
        self.scrapes.listen(where)

    def _text(self) -> str:
        self.made += 1
        return "voiced_up 1\n"

    def turn(self, wait_ms: float = 0.0) -> bool:
        """Whether there was anything to do."""
        woken = self._poller.wait(wait_ms)
        self.wakings += bool(woken)
        self.scrapes.see(woken, self.now_s)
        self.scrapes.keep_time(self.now_s)
        return bool(woken)

    def settle(self) -> None:
        while self.turn(20.0):
            assert self.wakings < 10_000, "it spins"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def loop(port: int) -> Iterator[Loop]:
    made = Loop(f"127.0.0.1:{port}")
    yield made
    made.scrapes.close()


def connected(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(5)
    return client


def answer(loop: Loop, client: socket.socket, request: bytes = GET) -> tuple[str, str]:
    """The status line and the body."""
    client.sendall(request)
    loop.settle()
    received = b""
    while piece := client.recv(1 << 16):
        received += piece
    head, _, body = received.decode().partition("\r\n\r\n")
    return head.splitlines()[0], body


def is_gone(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_scrape_is_answered(loop: Loop, port: int) -> None:
    with connected(port) as client:
        assert answer(loop, client) == ("HTTP/1.1 200 OK", "voiced_up 1\n")


def test_over_a_unix_socket_that_is_nobody_else_s(home: Path) -> None:
    path = home / "metrics"
    loop = Loop(f"unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert answer(loop, client, GET.replace(b"127.0.0.1:9", b"anything"))[0] == "HTTP/1.1 200 OK"
    loop.scrapes.close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET.replace(b"/metrics", b"/metrics?x=1"), "200 OK"),
        (GET.replace(b"/metrics", b"/"), "404 Not Found"),
        (GET.replace(b"GET", b"POST"), "405 Method Not Allowed"),
        (GET.replace(b"127.0.0.1:9", b"evil.example"), "403 Forbidden"),  # a name that leads here, in somebody's browser
        (GET.replace(b"127.0.0.1:9", b"[::1]:9"), "200 OK"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", "400 Bad Request"),
        (b"GET /metrics\r\n\r\n", "400 Bad Request"),
    ],
)
def test_what_else_may_be_asked(loop: Loop, port: int, request_: bytes, status: str) -> None:
    with connected(port) as client:
        assert answer(loop, client, request_)[0] == f"HTTP/1.1 {status}"


def test_head_gets_the_head(loop: Loop, port: int) -> None:
    with connected(port) as client:
        assert answer(loop, client, GET.replace(b"GET", b"HEAD")) == ("HTTP/1.1 200 OK", "")


def test_who_says_nothing_is_sent_away(loop: Loop, port: int) -> None:
    with connected(port) as client:
        loop.settle()
        assert list(loop.scrapes.deadlines) == [102.0]
        loop.now_s = 102.0
        loop.turn()
        assert is_gone(client)
        assert list(loop.scrapes.deadlines) == []


def test_who_dribbles_wakes_it_few_times(loop: Loop, port: int) -> None:
    with connected(port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.settle()
        before = loop.wakings
        sent = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 1000:
                sent += client.send(b"x")
                loop.turn(50.0)
        assert sent < 100
        assert loop.wakings - before <= 20


def test_an_endless_head_is_cut_off(loop: Loop, port: int) -> None:
    with connected(port) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000)
        loop.settle()
        assert is_gone(client)
        assert loop.made == 0


def test_who_does_not_read_his_answer_is_sent_away(loop: Loop, port: int) -> None:
    with connected(port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.sendall(GET)
        for _ in range(20):
            loop.turn(5.0)
        loop.now_s += 3.0
        loop.turn()
        assert list(loop.scrapes.deadlines) == []


def test_a_crowd_waits_outside_and_is_let_in_one_by_one(loop: Loop, port: int) -> None:
    crowd = []
    for _ in range(2):
        crowd += [connected(port) for _ in range(6)]
        loop.settle()
    assert loop.wakings < 40
    assert len(list(loop.scrapes.deadlines)) == 8 + 1  # eight, and when the next are let in
    loop.now_s += 2.5
    for _ in range(3):
        loop.settle()
        loop.now_s += 2.5
        loop.turn()
    for client in crowd:
        assert is_gone(client)
        client.close()
    loop.now_s += 1.0
    loop.turn()
    with connected(port) as client:
        assert answer(loop, client)[0] == "HTTP/1.1 200 OK"


def test_a_second_has_few_scrapes(loop: Loop, port: int) -> None:
    for _ in range(10):
        with connected(port) as client:
            answer(loop, client)
    with connected(port) as client:
        client.sendall(GET)
        loop.settle()
        assert loop.made == 10
        loop.now_s += 0.2
        loop.turn()
        loop.settle()
        assert loop.made == 11
        assert client.recv(15) == b"HTTP/1.1 200 OK"


def test_noise_from_all_sides_ends_nothing(loop: Loop, port: int) -> None:
    chance = random.Random(5)
    for _ in range(300):
        with connected(port) as client:
            client.send(chance.choice([b"", os.urandom(chance.randint(1, 600)), GET[: chance.randint(1, len(GET))], GET * 3]) or b"x")
            loop.turn(1.0)
        loop.now_s += 0.2
        loop.turn()
    loop.settle()
    loop.now_s += 3.0
    loop.turn()
    with connected(port) as client:
        assert answer(loop, client)[0] == "HTTP/1.1 200 OK"


def test_a_bug_in_the_metrics_costs_one_answer(loop: Loop, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise KeyError("session")

    monkeypatch.setattr(loop.scrapes, "_text", broken)
    with connected(port) as client:
        assert answer(loop, client)[0] == "HTTP/1.1 500 Internal Server Error"
    assert loop.complaints == ["a bug in voiced, in its metrics: KeyError: 'session'; please report this"]


def test_a_port_that_is_taken_is_told_and_costs_nothing_else(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        loop = Loop(f"127.0.0.1:{port}")
    assert loop.complaints == [
        f"metrics.listen: can't listen at 127.0.0.1:{port}: Address already in use; make room there or choose another, "
        "then `voicectl reload`"
    ]
    loop.scrapes.listen(f"127.0.0.1:{port}")
    with connected(port) as client:
        assert answer(loop, client)[0] == "HTTP/1.1 200 OK", "the next reload finds that there is room"
    loop.scrapes.listen("")
    loop.scrapes.close()


def test_a_path_that_is_too_long_is_told(home: Path) -> None:
    loop = Loop(f"unix:{home / ('x' * 200)}")
    assert ": AF_UNIX path too long; make room there or choose another, then `voicectl reload`" in loop.complaints[0]


def test_what_a_killed_daemon_left_is_taken_away_and_nothing_else(home: Path) -> None:
    path = home / "metrics"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    Loop(f"unix:{path}").scrapes.close()
    path.write_text("somebody's")
    assert "Address already in use" in Loop(f"unix:{path}").complaints[0]
    assert path.read_text() == "somebody's"


def test_it_moves_with_the_settings(loop: Loop, home: Path, port: int) -> None:
    loop.scrapes.listen(f"unix:{home / 'metrics'}")
    with pytest.raises(ConnectionRefusedError):
        connected(port)
    loop.scrapes.listen("")
    assert not (home / "metrics").exists()
    assert not loop.turn()


@pytest.mark.system
def test_the_daemon_is_measured(home: Path, port: int) -> None:
    with daemon(home, VOICED_METRICS__LISTEN=f"127.0.0.1:{port}") as running:
        running.wait_until_ready()
        with connected(port) as client:
            client.sendall(GET)
            deadline_s = time.monotonic() + 5
            received = b""
            while (piece := client.recv(1 << 16)) and time.monotonic() < deadline_s:
                received += piece
        assert b'voiced_process_up{process="capture"} 1\n' in received
        assert b"voiced_up 1\n" in received
        assert b"\nvoiced_event_subscriptions 0\n" in received
        assert b"\nvoiced_subscriber_lags_total 0\n" in received
        assert running.stop()[0] == 0
