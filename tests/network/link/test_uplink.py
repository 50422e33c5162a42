"""The way to the server: which bytes of which connection the session gets, and what becomes of it when one ends.

Real frames over real sockets; only the handshake is played, and the machine's sleep.
"""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import websocket

from tests.network.script import MS, SETTINGS, Script, delta, published, text
from voiced.errors import ServerUnreachable, VoicedError
from voiced.messages import MonoNs
from voiced.network import outputs
from voiced.network.hello import Phase
from voiced.network.limits import FRAMES_AT_ONCE, TOLD_AT_ONCE
from voiced.network.link import connection, uplink
from voiced.network.link.uplink import Uplink
from voiced.network.link.wire import Wire
from voiced.network.outputs import Output
from voiced.network.quote import Quote


class Server:
    """The far end of one connection."""

    def __init__(self) -> None:
        self._socket, self.theirs = socket.socketpair()
        self.fd = os.eventfd(1, os.EFD_CLOEXEC)
        self.refusal: VoicedError | None = None
        self.hung_up = False

    # what Connecting does

    def result(self, now_ns: int) -> Wire:
        os.close(self.fd)
        if self.refusal is not None:
            raise self.refusal
        return Wire(self, now_ns)

    def abandon(self) -> None:
        os.close(self.fd)

    # what websocket-client's connection does

    @property
    def sock(self) -> socket.socket:
        return self.theirs

    def shutdown(self) -> None:
        self.hung_up = True

    # the server

    def say(self, *texts: bytes) -> None:
        self._socket.sendall(b"".join(_frame(websocket.ABNF.OPCODE_TEXT, text) for text in texts))

    def hang_up(self, code: int, reason: str) -> None:
        self._socket.sendall(_frame(websocket.ABNF.OPCODE_CLOSE, struct.pack("!H", code) + reason.encode()))

    def live(self, times: int = 1) -> None:
        """Shows that it is there, or a minute without a word would end the connection."""
        if not self.hung_up:
            self._socket.sendall(_frame(websocket.ABNF.OPCODE_PONG, b"") * times)

    def close(self) -> None:
        self._socket.close()
        self.theirs.close()


def _frame(opcode: int, data: bytes) -> bytes:
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    return bytes([0x80 | opcode]) + length + data


class Machine:
    """The process around the uplink, with a session that is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], lives_s: int) -> None:
        self.script = Script(ready=False, settings=settings)
        self.servers: list[Server] = []
        self.out: list[Output] = []
        self.logged: list[str] = []
        self.watched: set[int] = set()
        self.asleep_s = 0.0
        monkeypatch.setattr(connection, "Connecting", self._connecting)
        monkeypatch.setattr(uplink, "_time_asleep_ns", lambda: int(self.asleep_s * 1e9))
        monkeypatch.setattr(connection, "now_ns", lambda: self.now)
        monkeypatch.setattr("random.random", lambda: 1.0)
        self.uplink = Uplink(self, self.script.session, Quote("sk-secret"), self._do)  # type: ignore[arg-type]  # what it needs of a Child
        self.uplink.connect()
        self.lives_s = lives_s
        self.greet(self.servers[0])

    def _connecting(self, *_: object) -> Server:
        self.servers.append(Server())
        return self.servers[-1]

    @property
    def now(self) -> MonoNs:
        return self.script.now

    def watch(self, receiver: int) -> None:
        self.watched.add(receiver)

    def forget(self, receiver: int) -> None:
        self.watched.remove(receiver)

    def log(self, level: int, line: str) -> None:
        self.logged.append(line)

    def _do(self, wanted: Iterable[Output]) -> None:
        for output in wanted:
            self.out.append(output)
            match output:
                case outputs.SendEvent(event):
                    self.uplink.send(event)
                case outputs.SendNext(event):
                    self.uplink.send_next(event)
                case outputs.OpenNext():
                    self.uplink.open_next()
                case outputs.DropNext():
                    self.uplink.drop_next()
                case outputs.TakeOver():
                    self.uplink.take_over()
                case outputs.Disconnect(reason, code):
                    self.uplink.disconnect(code, reason)
                case outputs.Opened():
                    self.uplink.healthy(self.now)
                case outputs.Sleep() | outputs.Fail():
                    self.uplink.close()
                case outputs.Wake():
                    self.uplink.wake()

    def read(self) -> None:
        woken: set[object] = set()
        for server in self.servers:
            woken |= {server.fd, server.theirs.fileno()}
        self.uplink.read(woken, self.now)

    def turn(self, ms: float = 0) -> None:
        """A turn of the loop, so much later."""
        self.script.now = MonoNs(self.now + round(ms * MS))
        for server in self.servers:
            server.live()
        self.read()
        self.uplink.look(self.now)
        self._do(self.script.session.tick(self.now))
        self.uplink.keep_up(self.now)

    def order(self, command: str, **args: Any) -> None:
        self._do(self.script.order(command, **args))

    def found(self, *kinds: type[Any]) -> list[str]:
        return [type(output).__name__ for output in self.out if isinstance(output, kinds)]

    def greet(self, server: Server) -> None:
        """The server opens a session."""
        self.turn()
        session = {"id": "s", "expires_at": int(time.time()) + self.lives_s} if self.lives_s else {"id": "s"}
        server.say(text("session.created", session=session), text("session.updated", session=session))
        self.turn()

    def open_next(self) -> Server:
        """Waits for the next connection."""
        while not self.found(outputs.OpenNext):
            self.turn(1000)
        self.turn()
        return self.servers[-1]

    def close(self) -> None:
        self.uplink.close()
        for server in self.servers:
            server.close()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Machine]]:
    with contextlib.ExitStack() as stack:

        def made(lives_s: int = 0, **settings: Any) -> Machine:
            built = Machine(monkeypatch, SETTINGS | settings, lives_s)
            stack.callback(built.close)
            return built

        yield made


def test_a_session_that_sleeps_gets_nothing_more(machine: Callable[..., Machine]) -> None:
    one = machine()
    one.servers[0].say(text("response.created", response={"id": "r1"}), *[delta("i1", b"\1\0" * 480)] * 20)
    one.read()
    one.order("budget", exhausted="the cap")
    one.out.clear()
    for _ in range(5):
        one.turn(10)
    assert one.script.session.phase is Phase.ASLEEP
    assert one.out == []
    one.order("budget", exhausted="")
    one.greet(one.servers[1])
    one.order("ask", text="hi")
    assert "ResponseCreate" in repr(one.out[-4:])  # and does not wait for what will never come


def test_what_follows_on_a_connection_that_was_left_is_void(machine: Callable[..., Machine]) -> None:
    one = machine(lives_s=3600)
    following = one.open_next()
    one.servers[0].say(text("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0))
    one.turn()
    one.greet(following)
    last_call_ns = one.script.session.moment()["expires_ns"] - 5_000 * MS
    while one.now < last_call_ns - 100 * MS:
        one.turn(100)
    one.script.now = MonoNs(one.now + 200 * MS)  # nothing is waited for any more, and the read comes before the tick
    one.out.clear()
    one.servers[0].say(
        text("input_audio_buffer.speech_started", item_id="u2", audio_start_ms=0),
        text("response.created", response={"id": "r_old"}),
        text("input_audio_buffer.speech_started", item_id="u3", audio_start_ms=0),
    )
    one.read()
    assert one.found(outputs.TakeOver)
    following.say(text("response.created", response={"id": "r_new"}))
    for _ in range(3):
        one.turn()
    assert [data["response_id"] for data in published(one.out, "response.started")] == ["r_new"]
    assert [data["item_id"] for data in published(one.out, "speech.started")] == ["u2"]


def test_a_sleep_of_the_machine_rescues_nothing_to_a_dead_connection(machine: Callable[..., Machine]) -> None:
    one = machine(lives_s=3600)
    following = one.open_next()
    one.order("say", text="so that it has to wait")
    one.greet(following)
    one.out.clear()
    one.asleep_s += 3600
    one.turn()
    one.turn()
    assert one.found(outputs.TakeOver) == []
    assert following.hung_up
    assert len(one.servers) == 3  # another was made at once
    one.greet(one.servers[2])
    assert one.script.session.phase is Phase.READY


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (3000, "invalid_request_error.invalid_api_key", True),
        (3000, "", True),
        (1008, "invalid_request_error.model_not_found", True),
        (1011, "internal error", False),
    ],
)
def test_a_next_connection_that_is_refused_after_the_upgrade(machine: Callable[..., Machine], code: int, reason: str, told: bool) -> None:
    one = machine()
    one.order("configure", settings=SETTINGS | {"token": "sk-bad"})
    for _ in range(100):
        following = one.servers[-1]
        if following is not one.servers[0] and not following.hung_up:
            one.read()
            following.hang_up(code, reason)
        one.turn(1000)
    errors = published(one.out, "error")
    assert [error["code"] for error in errors] == ["settings_unusable"] * told
    assert (len(one.servers) == 2) == told
    assert one.script.session.phase is Phase.READY


def test_a_stale_key_of_a_command_is_asked_for_once_more(machine: Callable[..., Machine]) -> None:
    one = machine(token_command=["old"])
    one.order("configure", settings=SETTINGS | {"token_command": ["new"]})
    one.turn()
    one.servers[1].hang_up(3000, "")
    one.turn()
    assert published(one.out, "error") == []
    one.turn(15_000)
    one.turn()
    one.servers[2].hang_up(3000, "")
    one.turn()
    assert [error["code"] for error in published(one.out, "error")] == ["settings_unusable"]


def attempts_in_vain(one: Machine) -> None:
    """Until a minute or so lies between two."""
    one.servers[0].hang_up(1011, "")
    for _ in range(200):
        if one.servers[-1].refusal is None:
            one.servers[-1].refusal = ServerUnreachable("nobody there")
        one.turn(1000)
    assert len(one.servers) < 14


def test_a_wake_starts_over_with_short_delays(machine: Callable[..., Machine]) -> None:
    one = machine()
    attempts_in_vain(one)
    one.order("configure", settings=SETTINGS | {"url": "ws://127.0.0.1:2/"})
    one.servers[-1].refusal = ServerUnreachable("nobody there")
    one.out.clear()
    one.turn()
    assert [data["retry_in_s"] for data in published(one.out, "session")] == [0.5]


def test_a_sleep_of_the_machine_starts_over_with_short_delays(machine: Callable[..., Machine]) -> None:
    one = machine()
    attempts_in_vain(one)
    one.asleep_s += 60
    one.turn()
    one.servers[-1].refusal = ServerUnreachable("nobody there")
    one.out.clear()
    one.turn()
    assert [data["retry_in_s"] for data in published(one.out, "session")] == [0.5]


def test_only_what_was_lost_is_reconnected(machine: Callable[..., Machine]) -> None:
    one = machine(lives_s=3600)
    one.greet(one.open_next())
    while not one.found(outputs.TakeOver):
        one.turn(100)
    one.order("budget", exhausted="the cap")
    one.order("budget", exhausted="")
    one.greet(one.servers[-1])
    assert one.script.session.phase is Phase.READY
    assert one.uplink.reconnects == 0
    one.servers[-1].hang_up(1011, "")
    one.turn()
    one.turn(1000)
    one.greet(one.servers[-1])
    assert one.script.session.phase is Phase.READY
    assert one.uplink.reconnects == 1


def test_a_server_that_makes_us_tell_too_much_is_hung_up_on(machine: Callable[..., Machine]) -> None:
    one = machine()
    one.out.clear()
    for number in range(TOLD_AT_ONCE):
        if one.servers[0].hung_up:
            break
        one.servers[0].say(*(text("response.created", response={"id": f"r{number}_{at}"}) for at in range(5)))
        one.turn()
    assert one.servers[0].hung_up
    reasons = [data["reason"] for data in published(one.out, "session")]
    assert reasons == ["the server floods us with events; hung up on it"]
    assert len(published(one.out, "response.started")) <= TOLD_AT_ONCE + 100


def test_a_server_that_sends_too_fast_has_to_wait(machine: Callable[..., Machine]) -> None:
    one = machine()
    fd = one.servers[0].theirs.fileno()
    assert fd in one.watched
    for _ in range(FRAMES_AT_ONCE // 256 + 1):
        one.servers[0].live(256)
        one.turn()
    one.turn()
    assert fd not in one.watched  # it would wake us for ever
    due_ns = one.uplink.due_ns(one.now)
    assert due_ns is not None
    assert due_ns > one.now
    one.turn((due_ns - one.now) / MS + 1)
    assert fd in one.watched
    assert [line for line in one.logged if "faster than makes sense" in line] == one.logged[-1:]
