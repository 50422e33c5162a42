"""The daemon driven from another machine: real sockets, real keys, both machines this one."""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
import zmq

import voicectl
from tests.supervisor import running
from tests.supervisor.running import Daemon
from tests.until import until
from voiced.bus import new_secret, public_key
from voiced.control import pack_request
from voiced.errors import HostRefused, HostUnknown, NotNow, NotRunning, ProtocolViolated
from voiced.keyring import Hosts, Keyring

pytestmark = pytest.mark.system
_PATIENCE_MS = 8000


def free_port() -> int:
    """One whose successor is free, too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first, contextlib.suppress(OSError):
            port = int(first.getsockname()[1])
            if port < 65_534:
                socket.create_server(("127.0.0.1", port + 1)).close()
                return port


class Kitchen:
    """A daemon that other machines may reach, and the desk's settings for reaching it."""

    def __init__(self, home: Path, daemon: Daemon, port: int) -> None:
        self.home, self.daemon, self.port = home, daemon, port
        self.keyring = Keyring(home / "voiced" / "keys")
        self.secret = self.keyring.secret() or b""
        self.key = public_key(self.secret)

    def allow(self, name: str, config_home: Path) -> bytes:
        """Makes both machines known to each other; returns the desk's public key."""
        desk = Keyring(config_home / "voiced" / "keys")
        desk.keep_secret(secret := new_secret())
        Hosts(config_home / "voiced").add("kitchen", f"127.0.0.1:{self.port}", self.key)
        known = self.keyring.allowed()  # who takes another's name puts all out, to come in again
        self.keyring.allow(f"{name}{len(known)}" if name in known else name, public_key(secret))
        return public_key(secret)


@contextlib.contextmanager
def kitchen_running(home: Path, **env: str) -> Iterator[Kitchen]:
    port = free_port()
    with running.daemon(home, None, VOICED_REMOTE__LISTEN=f"127.0.0.1:{port}", **env) as daemon:
        daemon.wait_until_ready()
        daemon.wait_for_log("reachable from other machines")
        yield Kitchen(home, daemon, port)


@pytest.fixture(scope="module")
def kitchen() -> Iterator[Kitchen]:
    with running.home() as home, kitchen_running(home) as made:
        yield made


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The other machine's ~/.config; Client looks there."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def client(kitchen: Kitchen, desk: Path) -> Iterator[voicectl.Client]:
    kitchen.allow("desk", desk)
    with voicectl.Client(host="kitchen", timeout_s=8.0) as made:
        yield made


def test_it_is_driven_as_from_here(kitchen: Kitchen, client: voicectl.Client) -> None:
    assert client.ping()["pid"] == kitchen.daemon.process.pid
    assert client.mute() is True
    assert client.unmute() is False
    assert client.volume(40) == 40
    assert client.interrupt()["item_id"] == "item_1"
    remote = next(row for row in client.status()["processes"] if row["name"] == "remote")
    assert remote["state"] == "ready"


def test_events_come_too_and_each_subscriber_is_greeted(kitchen: Kitchen, client: voicectl.Client) -> None:
    with client.events("flush") as flushes, client.events("flush", "state") as others:
        client.interrupt()
        for events in (flushes, others):
            event = events.next(8.0)
            assert event is not None
            assert (event.topic, event.data["item_id"]) == ("flush", "item_1")
    with client.events("status") as again:
        event = again.next(8.0)
        assert event is not None
        assert event.data["pid"] == kitchen.daemon.process.pid


def test_what_nobody_abroad_listens_to_is_not_asked_for(kitchen: Kitchen, client: voicectl.Client) -> None:
    with kitchen.daemon.client() as local:
        with client.events("level"):
            during = local.status()["events"]["subscriptions"]
        until(lambda: local.status()["events"]["subscriptions"] < during, "end of the subscription")


def test_who_administers_it_sits_before_it(client: voicectl.Client) -> None:
    for command in (client.shutdown, client.reload):
        with pytest.raises(NotNow, match=r"allow\.remote_admin"):
            command()


def test_or_is_allowed_to(home: Path, desk: Path) -> None:
    with kitchen_running(home, VOICED_ALLOW__REMOTE_ADMIN="true") as kitchen:
        kitchen.allow("desk", desk)
        with voicectl.Client(host="kitchen", timeout_s=8.0) as client:
            client.shutdown()
        assert kitchen.daemon.process.wait(10) == 0


def test_a_stranger_is_told_what_would_let_it_in(kitchen: Kitchen, desk: Path) -> None:
    key = kitchen.allow("guest", desk)
    kitchen.keyring.refuse("guest")
    with pytest.raises(HostRefused, match=f"voiced keys allow .* {key.hex()}$"), voicectl.Client(host="kitchen") as client:
        client.ping()
    kitchen.daemon.wait_for_log(f"turned away an unknown key from 127.0.0.1; `voiced keys allow NAME {key.hex()}`")
    kitchen.keyring.allow("guest", key)
    with voicectl.Client(host="kitchen", timeout_s=8.0) as client:
        assert client.ping()["protocol"] == 1
    kitchen.daemon.wait_for_log("guest came in from 127.0.0.1")


def test_who_is_refused_is_put_out(home: Path, desk: Path) -> None:
    with kitchen_running(home) as kitchen:
        kitchen.allow("desk", desk)
        with voicectl.Client(host="kitchen", timeout_s=8.0) as client, client.events("status") as events:
            kitchen.keyring.refuse("desk")
            with pytest.raises(NotRunning, match="the connection to kitchen is gone"):
                list(events)
            with pytest.raises(HostRefused):
                client.ping()


def test_another_key_at_that_address_is_not_trusted(kitchen: Kitchen, desk: Path) -> None:
    kitchen.allow("desk", desk)
    Hosts(desk / "voiced").add("kitchen", f"127.0.0.1:{kitchen.port}", public_key(new_secret()))
    with pytest.raises(ProtocolViolated, match="is not kitchen as we know it"), voicectl.Client(host="kitchen") as client:
        client.ping()


def test_nobody_there_and_nobody_known(desk: Path) -> None:
    with pytest.raises(HostUnknown, match="no host 'attic'"):
        voicectl.Client(host="attic")
    Hosts(desk / "voiced").add("attic", f"127.0.0.1:{free_port()}", public_key(new_secret()))
    with pytest.raises(NotRunning, match=r"nothing answers at attic \(127"), voicectl.Client(host="attic") as client:
        client.ping()


@pytest.mark.parametrize("offset", [0, 1])
def test_plain_tcp_gets_no_word_in(kitchen: Kitchen, offset: int) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    plain = context.socket(zmq.DEALER if offset == 0 else zmq.SUB)
    failed = plain.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    if offset:
        plain.subscribe("")
    plain.connect(f"tcp://127.0.0.1:{kitchen.port + offset}")
    if not offset:
        plain.send(pack_request(1, "ping", {}))
    assert failed.poll(_PATIENCE_MS)
    assert not plain.poll(0)
    plain.disable_monitor()
    failed.close()
    context.destroy(linger=0)


def test_a_key_of_ours_is_in_no_log_no_argument_and_no_environment(kitchen: Kitchen) -> None:
    with kitchen.daemon.client() as local:
        pid = next(row["pid"] for row in local.status()["processes"] if row["name"] == "remote")
    shown = kitchen.daemon.log() + "".join(Path(f"/proc/{pid}/{name}").read_text() for name in ("cmdline", "environ"))
    assert kitchen.secret.hex() not in shown
    assert kitchen.key.hex() in kitchen.daemon.log()
    assert stat.S_IMODE((kitchen.home / "voiced/keys/own").stat().st_mode) == 0o600


def test_half_open_connections_cost_little_and_keep_nobody_out_who_is_in(kitchen: Kitchen, client: voicectl.Client) -> None:
    client.ping()
    with kitchen.daemon.client() as local:
        pid = next(row["pid"] for row in local.status()["processes"] if row["name"] == "remote")
    with contextlib.ExitStack() as stack:
        for number in range(400):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", kitchen.port + number % 2)))
            with contextlib.suppress(ConnectionError):  # some are sent away by now
                peer.send((b"", b"\xff" + bytes(9), b"GET / HTTP/1.1\r\n\r\n", os.urandom(100))[number % 4])
        kitchen.daemon.wait_for_log("64 connections from other machines: more are sent away")
        assert client.ping()["pid"] == kitchen.daemon.process.pid
        until(lambda: len(os.listdir(f"/proc/{pid}/fd")) < 180, "end of those that were sent away")
    kitchen.daemon.wait_for_log("more may come again")
    with voicectl.Client(host="kitchen", timeout_s=8.0) as another:
        assert another.ping()["pid"] == kitchen.daemon.process.pid


def test_what_is_no_request_is_answered_without_the_daemon(kitchen: Kitchen, desk: Path) -> None:
    kitchen.allow("desk", desk)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    raw = context.socket(zmq.REQ)
    secret = Keyring(desk / "voiced/keys").secret() or b""
    raw.curve_publickey, raw.curve_secretkey, raw.curve_serverkey = public_key(secret), secret, kitchen.key
    raw.rcvtimeo = _PATIENCE_MS
    raw.connect(f"tcp://127.0.0.1:{kitchen.port}")
    for body in (b"\xc1", b"", b"\x91" * 5000, bytes((1 << 20) + 1)):
        raw.send(body)
        assert msgpack.unpackb(raw.recv())["error"]["code"] == "bad_request"
    raw.send(pack_request({"a": [1]}, "ping", {}))
    assert msgpack.unpackb(raw.recv())["id"] == {"a": [1]}
    context.destroy(linger=0)


def test_a_port_that_is_taken_keeps_nobody_from_talking(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with running.daemon(home, VOICED_REMOTE__LISTEN=listen) as daemon:
            daemon.wait_until_ready()
            daemon.wait_for_log(f"not reachable from other machines: can't open tcp://{listen}: Address already in use")
            until(lambda: daemon.row("remote")["state"] == "ready", "remote process that is ready")
            with daemon.client() as local:
                assert local.status()["state"] == "idle"
            taken.close()
            daemon.wait_for_log("reachable from other machines at")


def test_a_damaged_list_lets_nobody_in(home: Path, desk: Path) -> None:
    with kitchen_running(home) as kitchen:
        kitchen.allow("desk", desk)
        with voicectl.Client(host="kitchen", timeout_s=8.0) as client:
            client.ping()
        with (home / "voiced/keys/allowed").open("a") as file:
            file.write("half a li")
        with pytest.raises(HostRefused), voicectl.Client(host="kitchen") as client:
            client.ping()
        kitchen.daemon.wait_for_log("nobody may come in from another machine")
        kitchen.daemon.wait_for_log("allowed, line 3: must be NAME KEY")


def test_without_a_key_that_it_may_write_it_says_what_makes_one(home: Path) -> None:
    """As in the sandbox of its unit, where the settings can't be written."""
    (home / "voiced").mkdir()
    (home / "voiced/keys").symlink_to("/proc/nowhere")
    with running.daemon(home, VOICED_REMOTE__LISTEN=f"127.0.0.1:{free_port()}") as daemon:
        daemon.wait_until_ready()
        daemon.wait_for_log("run `voiced keys` in a terminal, which makes one")
        (home / "voiced/keys").unlink()
        Keyring(home / "voiced/keys").keep_secret(new_secret())
        daemon.wait_for_log("reachable from other machines at")


def test_it_comes_and_goes_with_the_settings(home: Path, desk: Path) -> None:
    port = free_port()
    settings = home / "voiced" / "config.toml"
    settings.parent.mkdir()
    settings.write_text("")
    with running.daemon(home) as daemon, daemon.wait_until_ready().client() as local:
        assert "remote" not in daemon.children()
        settings.write_text(f'[remote]\nlisten = "127.0.0.1:{port}"\n')
        assert local.reload() == {"changed": ["remote.listen"], "restart": []}
        daemon.wait_for_log("reachable from other machines")
        Kitchen(home, daemon, port).allow("desk", desk)
        with voicectl.Client(host="kitchen", timeout_s=8.0) as client:
            assert client.ping()["pid"] == daemon.process.pid
        settings.write_text("")
        assert local.reload()["changed"] == ["remote.listen"]
        until(lambda: "remote" not in daemon.children(), "end of the process")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
