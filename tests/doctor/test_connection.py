"""The connection, with a server that does what a test tells it."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network.link.test_reach import HERE, answer, authority
from tests.network.process import serving
from tests.scripted_server import Manner, ScriptedServer
from voiced.config import Config
from voiced.doctor import connection
from voiced.doctor.finding import Finding, Verdict
from voiced.secret import Credential, Secret
from voiced.supervisor.provider import Provider

pytestmark = pytest.mark.system

KEY = "sk-proj-0123456789abcdef"


@pytest.fixture
def peer() -> Iterator[ScriptedServer]:
    with ScriptedServer() as made:
        yield made


def provider(url: str) -> Provider:
    return Provider("compatible", url, "scripted", "", "", Secret(KEY))


def tried(url: str) -> Finding:
    return connection.tried(provider(url), Config({}, ""), os.environ)


def test_a_good_server_is_timed_until_session_created(peer: ScriptedServer) -> None:
    peer.manner = Manner(greets_after_s=0.3)
    found = tried(peer.url)
    assert (found.verdict, found.unit) == (Verdict.OK, "ms")
    assert found.figure is not None
    assert 300 <= found.figure < 2500
    assert found.details["handshake_ms"] < found.details["created_ms"] - 250


def test_nothing_is_sent_that_could_cost(peer: ScriptedServer) -> None:
    assert tried(peer.url).verdict is Verdict.OK
    peer.wait_for_close()
    assert peer.received == []


def test_a_slow_server_is_a_warning(peer: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_SLOW_MS", 200)
    peer.manner = Manner(greets_after_s=0.3)
    assert tried(peer.url).verdict is Verdict.WARNING


def test_a_refused_key_says_so_and_does_not_say_the_key(peer: ScriptedServer) -> None:
    peer.manner = Manner(refuse=401, refusal_body=b'{"error": {"code": "invalid_api_key", "message": "Wrong key: %s"}}' % KEY.encode())
    found = tried(peer.url)
    assert (found.verdict, found.details["code"]) == (Verdict.FAILED, "key_refused")
    assert "check the key" in found.meaning
    assert KEY not in repr(found)


@pytest.mark.parametrize(("status", "code"), [(404, "url_invalid"), (503, "server_unreachable")])
def test_refusals_have_the_codes_of_the_daemon(peer: ScriptedServer, status: int, code: str) -> None:
    peer.manner = Manner(refuse=status)
    assert tried(peer.url).details["code"] == code


def test_a_server_that_never_greets_is_told_from_one_that_does(peer: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HELLO_S", 0.3)
    peer.manner = Manner(greets=False)
    found = tried(peer.url)
    assert found.verdict is Verdict.WARNING
    assert "session.created" in found.meaning


def test_a_server_without_a_free_session_says_so(peer: ScriptedServer) -> None:
    peer.manner = Manner(busy=1)
    found = tried(peer.url)
    assert (found.verdict, found.details["code"]) == (Verdict.FAILED, "server_unreachable")
    assert "session" in found.meaning


def test_a_certificate_that_nobody_vouches_for_says_what_to_set(tmp_path: Path) -> None:
    with serving(answer, ssl=authority(tmp_path / "ca").vouch(HERE)) as url:
        found = tried(url.replace("ws://", "wss://"))
    assert (found.verdict, found.details["code"]) == (Verdict.FAILED, "server_unreachable")
    assert "realtime.ca_file" in found.meaning


def test_a_server_that_hangs_up_is_told_by_its_own_words(peer: ScriptedServer) -> None:
    def hang_up() -> None:
        peer.wait_for_client()
        peer.hang_up(4000, f"not today, {KEY}")

    peer.manner = Manner(greets=False)
    thread = threading.Thread(target=hang_up)
    thread.start()
    found = tried(peer.url)
    thread.join()
    assert found.verdict is Verdict.FAILED
    assert "not today" in found.meaning
    assert KEY not in repr(found)


def test_nobody_there_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = tried(f"ws://127.0.0.1:{port}/v1/realtime")
    assert (found.verdict, found.details["code"]) == (Verdict.FAILED, "server_unreachable")
    assert "\n" not in found.meaning


@pytest.mark.parametrize(
    "script",
    [
        "echo no models here >&2; exit 1",
        "echo no models here >&2; echo; exec sleep 60",
        "printf listening; echo no models here >&2; exec sleep 60",
        # more than a pipe holds
        "head -c 200000 /dev/zero | tr '\\0' '\\n' >&2; echo no models here >&2; exit 1",
    ],
)
def test_an_embedded_server_that_does_not_start_says_why(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "module", lambda name: ["sh", "-c", script, "--"])
    monkeypatch.setattr(connection, "_LISTENING_S", 1.0)
    found = connection.tried(Provider("embedded", "", "m", "", "", None), Config({}, ""), os.environ)
    assert found.verdict is Verdict.FAILED
    assert "no models here" in found.meaning


# who answers ---------------------------------------------------------------------------------------------------------


def test_the_source_of_the_key_is_told_and_the_key_is_not() -> None:
    found = connection.answers(provider("wss://host/v1"), Credential(Secret(KEY), source="the file /home/me/.key"), None)
    assert "the file /home/me/.key" in found.meaning
    assert KEY not in repr(found)


def test_a_proxy_is_told_without_its_password() -> None:
    found = connection.answers(provider("wss://host/v1")._replace(proxy="http://me:secret@proxy:3128"), Credential(), None)
    assert "http://proxy:3128" in found.meaning
    assert "secret" not in repr(found)


@pytest.mark.parametrize(("running", "verdict"), [(None, Verdict.OK), ("compatible", Verdict.OK), ("openai", Verdict.WARNING)])
def test_a_daemon_that_goes_by_something_else_is_a_warning(running: str | None, verdict: Verdict) -> None:
    assert connection.answers(provider("wss://host/v1"), Credential(), running).verdict is verdict
