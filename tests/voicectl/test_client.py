"""The client for scripts, against a real daemon."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import voicectl
from tests.supervisor import running
from tests.supervisor.running import Daemon
from voiced import control
from voiced.errors import BadArgument, NotNow, NotRunning, RuntimeDirUnusable, TimedOut, UnknownCommand

pytestmark = pytest.mark.system


@pytest.fixture
def client(ready_daemon: Daemon) -> Iterator[voicectl.Client]:
    with ready_daemon.client() as made:
        yield made


def test_every_command_has_its_method() -> None:
    assert [name for name in control.COMMANDS if not callable(getattr(voicectl.Client, name, None))] == []


def test_the_public_names() -> None:
    assert voicectl.__all__ == ["Client", "Event", "Events"]


def test_the_methods(client: voicectl.Client, ready_daemon: Daemon) -> None:
    assert client.ping()["pid"] == ready_daemon.process.pid
    assert client.status()["state"] == "idle"
    assert (client.mute(), client.toggle_mute(), client.toggle_mute(), client.unmute()) == (True, False, True, False)
    assert client.interrupt() == {"interrupted": True, "item_id": "item_1", "played_ms": 40}
    assert client.say("hello") == {"queued": True}
    assert client.transcript(3) == [{"limit": 3}]
    assert client.devices() == {
        "input": [{"name": "test", "in_use": True}, {"name": "other", "in_use": False}],
        "output": [{"name": "test", "in_use": True}],
    }
    assert set(client.describe()["commands"]) == set(control.COMMANDS)
    assert (client.talk(True), client.talk(False)) == (True, False)
    assert client.wake()["connected"]
    assert client.tool_result("c1", "rain") is True
    assert client.approve("a1", False) is False
    assert client.record(True)["recording"] is True
    assert client.usage()["currency"] == "USD"
    assert client.profile() == {"profile": None, "profiles": [], "restart": []}
    assert client.reload() == {"changed": [], "restart": []}


def test_refusals_are_errors_of_their_kind(client: voicectl.Client) -> None:
    with pytest.raises(NotNow, match="the server is away"):
        client.ask("x")
    with pytest.raises(BadArgument) as caught:
        client.transcript(0)
    assert caught.value.field == "limit"
    with pytest.raises(UnknownCommand):
        client.call("fly")


def test_a_late_answer_is_not_taken_for_another(client: voicectl.Client, ready_daemon: Daemon) -> None:
    os.kill(ready_daemon.process.pid, signal.SIGSTOP)
    client.timeout_s = 0.2
    with pytest.raises(TimedOut, match=r"within 0\.2 s"):
        client.ping()
    os.kill(ready_daemon.process.pid, signal.SIGCONT)
    client.timeout_s = 8.0
    assert "state" in client.status()


def test_where_nobody_is_it_says_so_at_once(home: Path) -> None:
    started_s = time.monotonic()
    with pytest.raises(NotRunning, match="start it with `voiced`"), voicectl.Client(home):
        pass
    assert time.monotonic() - started_s < 2


def test_a_socket_without_a_daemon_is_nobody(home: Path) -> None:
    with running.daemon(home) as daemon:
        daemon.wait_until_ready()
        daemon.process.kill()
        daemon.process.wait()
        started_s = time.monotonic()
        with voicectl.Client(daemon.runtime) as client:
            with pytest.raises(NotRunning):
                client.ping()
            with pytest.raises(NotRunning):
                client.events()
        assert time.monotonic() - started_s < 2


def test_a_path_too_long_is_explained(home: Path) -> None:
    with pytest.raises(RuntimeDirUnusable, match="too long"), voicectl.Client(home / ("x" * 100)):
        pass


def test_events_miss_nothing_after_the_subscription(client: voicectl.Client) -> None:
    for _ in range(5):
        with client.events("flush") as events:
            client.interrupt()
            event = events.next(5)
            assert event is not None
            assert (event.topic, event.data["item_id"]) == ("flush", "item_1")
            assert events.next(0.05) is None, "neither the snapshot nor another topic"


def test_all_events_begin_with_the_snapshot(client: voicectl.Client) -> None:
    with client.events() as events:
        first = events.next(5)
        assert first is not None
        assert first.topic == "status"
        assert abs(first.time - time.time()) < 60
        client.interrupt()
        assert next(iter(events)).seq == first.seq + 1


def test_events_end_with_the_daemon(home: Path) -> None:
    with running.daemon(home) as daemon, daemon.wait_until_ready().client() as client, client.events("state") as events:
        daemon.process.kill()
        with pytest.raises(NotRunning, match="voiced has ended"):
            list(events)
