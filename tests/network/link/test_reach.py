"""The way to the server for real: certificates, proxies, keys, and handshakes that are given up."""

import functools
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.datastructures import Headers
from websockets.sync.server import ServerConnection

from tests.network import proxies
from tests.network.process import PATIENCE_S, serving
from voiced.errors import ConfigInvalid, KeyUnavailable, ServerUnreachable, UrlInvalid, VoicedError
from voiced.network.link import connecting as connecting_module
from voiced.network.link import reach
from voiced.network.link.connecting import Connecting
from voiced.network.link.reach import Target, target
from voiced.network.link.wire import Wire
from voiced.network.quote import Quote

pytestmark = pytest.mark.system


def finished(connecting: Connecting) -> Wire:
    assert select.select([connecting.fd], [], [], PATIENCE_S)[0]
    return connecting.result(time.monotonic_ns())


def connect(wanted: Target, quote: Quote | None = None) -> Wire:
    return finished(Connecting(wanted, quote or Quote("")))


def echo(wire: Wire, text: bytes = b"hello") -> None:
    """That the connection is one, both ways."""
    wire.send(text)
    texts: list[bytes] = []
    while not texts:
        assert select.select([wire.fd], [], [], PATIENCE_S)[0]
        texts = wire.receive(time.monotonic_ns())
        assert wire.ended is None
    assert texts == [text]
    wire.close()


def answer(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def test_the_settings_name_the_target() -> None:
    settings = {"url": "wss://u:pw@h/x?key=1", "token": None, "token_command": ["a", "b"], "proxy": "", "auth": "api-key", "model": "m"}
    assert target(settings) == Target("wss://u:pw@h/x?key=1", "api-key", token_command=("a", "b"), where="wss://h/x", model="m")
    assert target({}) == Target("")


# the key ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [("bearer", "Authorization", "Bearer sk-1"), ("api-key", "api-key", "sk-1"), ("x-api-key", "X-API-Key", "sk-1"), ("none", "", "")],
)
@pytest.mark.parametrize("command", [(), ("echo", "sk-1")])
def test_the_key_goes_up_as_the_server_wants_it(auth: str, name: str, value: str, command: tuple[str, ...]) -> None:
    seen: list[Headers] = []

    def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request.headers)
        answer(connection)

    quote = Quote("")
    with serving(handler) as url:
        echo(connect(Target(url, auth, token="" if command else "sk-1", token_command=command, where=url), quote))
    assert {key.lower() for key in seen[0]} & {"authorization", "api-key", "x-api-key"} == ({name.lower()} if name else set())
    assert not name or seen[0][name] == value
    assert quote("sk-1") == "***"


def test_a_command_without_a_key_is_told_and_nothing_is_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(KeyUnavailable, match="ended with status 1"):
            connect(Target(f"ws://127.0.0.1:{listener.getsockname()[1]}/", token_command=("false",)))
        assert not select.select([listener], [], [], 0)[0]


# TLS ----------------------------------------------------------------------------------------------------------------------


class Authority(NamedTuple):
    """Who vouches for certificates: a CA of the test's own."""

    directory: Path
    file: Path

    def vouch(self, names: str, days: int = 1) -> ssl.SSLContext:
        """A server for these names."""
        key, asked, made, extension = (self.directory / name for name in ("key.pem", "asked.pem", "made.pem", "extension"))
        extension.write_text(f"subjectAltName={names}\n")
        openssl("req", *_NEW_KEY, "-keyout", key, "-out", asked, "-subj", "/CN=server")
        ca = ("-CA", self.file, "-CAkey", self.directory / "ca.key", "-CAcreateserial")
        valid = ("-days", str(days)) if days > 0 else of_yesterday()
        openssl("x509", "-req", "-in", asked, *ca, "-out", made, *valid, "-extfile", extension)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made, key)
        return context


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def of_yesterday() -> tuple[str, ...]:
    """How a certificate is made that has expired: OpenSSL 3.5 takes no negative days, 3.0 no dates."""
    known = subprocess.run(["openssl", "x509", "-help"], check=True, capture_output=True, text=True).stderr
    return ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z") if "-not_after" in known else ("-days", "-1")


def authority(directory: Path) -> Authority:
    directory.mkdir()
    openssl("req", "-x509", *_NEW_KEY, "-keyout", directory / "ca.key", "-out", directory / "ca.pem", "-subj", "/CN=ca", "-days", "1")
    return Authority(directory, directory / "ca.pem")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ours") / "ca")


HERE = "IP:127.0.0.1,DNS:localhost"


@pytest.fixture
def secure_url(ca: Authority) -> Iterator[str]:
    with serving(answer, ssl=ca.vouch(HERE)) as url:
        yield url.replace("ws://", "wss://")


def test_a_ca_of_ones_own(ca: Authority, secure_url: str) -> None:
    echo(connect(Target(secure_url, ca_file=str(ca.file))))


def test_without_it_the_server_is_nobody(secure_url: str) -> None:
    with pytest.raises(ServerUnreachable, match=r"certificate .* realtime\.ca_file"):
        connect(Target(secure_url, where="wss://here"))


def test_the_environment_names_no_authority(ca: Authority, secure_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(ca.file))
    with pytest.raises(ServerUnreachable, match="certificate"):
        connect(Target(secure_url))


def test_another_ca_is_none(secure_url: str, tmp_path: Path) -> None:
    with pytest.raises(ServerUnreachable, match="certificate"):
        connect(Target(secure_url, ca_file=str(authority(tmp_path / "other").file)))


@pytest.mark.parametrize(("names", "days", "why"), [("DNS:example.org", 1, "not valid for '127.0.0.1'"), (HERE, -1, "expired")])
def test_a_certificate_of_another_or_of_yesterday(ca: Authority, names: str, days: int, why: str) -> None:
    with serving(answer, ssl=ca.vouch(names, days)) as url, pytest.raises(ServerUnreachable, match=why):
        connect(Target(url.replace("ws://", "wss://"), ca_file=str(ca.file)))


def test_a_ca_file_that_is_none(secure_url: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("no certificate\n")
    for file, why in ((tmp_path / "none", "No such file"), (tmp_path / "empty", "no certificates"), (tmp_path, "can't be used")):
        with pytest.raises(ConfigInvalid, match=why) as caught:
            connect(Target(secure_url, ca_file=str(file)))
        assert caught.value.fatal


# proxies ------------------------------------------------------------------------------------------------------------------


def by(scheme: str, running: proxies.Proxy, credentials: str = "") -> str:
    return f"{scheme}://{credentials}{'@' if credentials else ''}127.0.0.1:{running.port}"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("scheme", "serve"), [("http", proxies.connecting), ("socks5", proxies.socks5), ("socks5h", proxies.socks5)])
def test_through_a_proxy(scheme: str, serve: proxies.Serve, known: bool, ca: Authority, secure_url: str) -> None:
    with proxies.proxy(functools.partial(serve, known=known)) as running:
        way = by(scheme, running, proxies.ENCODED if known else "")
        echo(connect(Target(secure_url, ca_file=str(ca.file), proxy=way)), b"x" * 100_000)
    assert running.asked == [secure_url.split("/")[2]]


def test_plain_through_a_proxy_too() -> None:
    with serving(answer) as url, proxies.proxy(proxies.connecting) as running:
        echo(connect(Target(url, proxy=by("http", running))))
    assert len(running.asked) == 1


@pytest.mark.parametrize(("scheme", "serve"), [("http", proxies.connecting), ("socks5h", proxies.socks5)])
def test_a_name_that_the_proxy_alone_knows(scheme: str, serve: proxies.Serve) -> None:
    with serving(answer) as url, proxies.proxy(serve) as running:
        running.instead(url)
        echo(connect(Target("ws://known-to-the-proxy.invalid:81/x", proxy=by(scheme, running))))
    assert running.asked == ["known-to-the-proxy.invalid:81"]


@pytest.mark.parametrize(("scheme", "serve"), [("http", proxies.connecting), ("socks5", proxies.socks5)])
@pytest.mark.parametrize("credentials", ["", "ann:wr0ng-secret"])
def test_a_proxy_that_wants_somebody_else(scheme: str, serve: proxies.Serve, credentials: str) -> None:
    with (
        serving(answer) as url,
        proxies.proxy(functools.partial(serve, known=True)) as running,
        pytest.raises(ServerUnreachable, match=r"the proxy .* password") as caught,
    ):
        connect(Target(url, proxy=by(scheme, running, credentials)))
    assert "wr0ng-secret" not in caught.value.message
    assert "ann" not in caught.value.message


def test_a_proxy_that_finds_no_way() -> None:
    unreachable = functools.partial(proxies.socks5, reply=4)
    with proxies.proxy(unreachable) as running, pytest.raises(ServerUnreachable, match="Host unreachable"):
        connect(Target("ws://127.0.0.1:9/", proxy=by("socks5", running)))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_there(scheme: str) -> None:
    with pytest.raises(ServerUnreachable, match="the proxy"):
        connect(Target("ws://127.0.0.1:1/", proxy=f"{scheme}://127.0.0.1:9"))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_hangs_up(scheme: str) -> None:
    with proxies.proxy(lambda client, running: None) as running, pytest.raises(ServerUnreachable, match="the proxy"):
        connect(Target("ws://127.0.0.1:1/", proxy=by(scheme, running)))


@pytest.mark.parametrize("proxy", ["https://h:1", "h:1", "http://", "http://h:port", "socks5://h:99999", "ftp://u:secret@h"])
def test_a_proxy_that_is_none(proxy: str) -> None:
    with pytest.raises(UrlInvalid, match="proxy") as caught:
        connect(Target("ws://127.0.0.1:1/", proxy=proxy))
    assert "secret" not in caught.value.message


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(answer) as url:
        echo(connect(Target(url)))


def test_what_a_proxy_would_repeat_is_hidden() -> None:
    quote = Quote("")
    with pytest.raises(VoicedError):
        connect(Target("ws://127.0.0.1:1/", proxy=f"http://{proxies.ENCODED}@127.0.0.1:9"), quote)
    assert quote(f"go away, {proxies.PASSWORD}") == "go away, ***"


# giving up ----------------------------------------------------------------------------------------------------------------


def descriptors() -> int:
    """How many are open, but for those of epoll: the test's server leaves one behind."""
    links = (f"/proc/self/fd/{file}" for file in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(link) and "eventpoll" not in os.readlink(link) for link in links)


def abandoned(connecting: Connecting) -> None:
    """Gives it up, and sees that this took no time, and that all it had open is closed soon."""
    before = time.monotonic()
    connecting.abandon()
    assert time.monotonic() - before < 0.5
    connecting._thread.join(PATIENCE_S)
    assert not connecting._thread.is_alive()
    assert time.monotonic() - before < 2


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_handshake_that_hangs_is_given_up_at_once(scheme: str) -> None:
    before = descriptors()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connecting = Connecting(Target(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"), Quote(""))
        with silent.accept()[0] as client:
            assert client.recv(1)  # it is in the middle of it
            abandoned(connecting)
    assert descriptors() == before


def test_a_connection_that_nobody_wants_any_more_is_closed() -> None:
    before = descriptors()
    left = threading.Event()

    def handler(connection: ServerConnection) -> None:
        try:
            connection.recv()
        finally:
            left.set()

    with serving(handler) as url:
        connecting = Connecting(Target(url), Quote(""))
        assert select.select([connecting.fd], [], [], PATIENCE_S)[0]
        abandoned(connecting)
        assert left.wait(PATIENCE_S)
    assert descriptors() == before


def test_a_command_that_hangs_is_given_up_at_once(tmp_path: Path) -> None:
    before = descriptors()
    os.mkfifo(tmp_path / "began")
    command = ("sh", "-c", f"echo > {tmp_path / 'began'}; exec sleep 100")
    connecting = Connecting(Target("ws://127.0.0.1:9/", token_command=command), Quote(""))
    (tmp_path / "began").read_text()
    abandoned(connecting)
    assert descriptors() == before


def test_a_failure_leaves_nothing_open(secure_url: str) -> None:
    def fail() -> None:
        for wanted in (
            Target(secure_url),
            Target("ws://127.0.0.1:9/"),
            Target("nonsense"),
            Target(secure_url, proxy="socks5://127.0.0.1:9"),
        ):
            with pytest.raises(VoicedError):
                connect(wanted)

    fail()  # whatever is opened once and for all
    before = descriptors()
    fail()
    assert descriptors() == before


def test_a_server_that_trickles_does_not_hold_us_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting_module, "_HANDSHAKE_S", 0.5)
    over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            try:
                client.sendall(b"HTTP/1.1 101 X\r\n")
                while not over.wait(0.05):
                    client.sendall(b"X")
            except OSError:  # it was left, as it should be
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        try:
            with pytest.raises(ServerUnreachable, match="does not answer"):
                connect(Target(f"ws://127.0.0.1:{listener.getsockname()[1]}/"))
        finally:
            over.set()
            thread.join()


def test_time_that_names_and_addresses_took_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit passes before there is a socket that could be closed."""
    monkeypatch.setattr(connecting_module, "_HANDSHAKE_S", 0.1)
    before = descriptors()
    reached = threading.Event()
    real = reach.tcp

    def slow(wanted: Target) -> socket.socket:
        opened = real(wanted)
        reached.wait(0.5)  # it never comes
        return opened

    monkeypatch.setattr(reach, "tcp", slow)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ServerUnreachable, match="does not answer"):
        connect(Target(f"ws://127.0.0.1:{listener.getsockname()[1]}/"))
    assert descriptors() == before


def test_where_packets_vanish_it_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a network that is gone: the kernel drops who knocks where nobody takes in those who wait already."""
    monkeypatch.setattr(reach, "_CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        where = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(where)
        with pytest.raises(ServerUnreachable, match="does not answer") as caught:
            connect(Target(f"ws://127.0.0.1:{where[1]}/"))
        assert caught.value.nobody
        for client in waiting:
            client.close()


def test_a_process_without_a_proxy_does_not_load_python_socks() -> None:
    code = "import sys, voiced.network.__main__; print('python_socks' in sys.modules); import python_socks.sync"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed == "False\n"
