"""The real daemon whose settings change while it talks: nothing hangs up that need not, and nothing said is forgotten."""

from collections.abc import Iterator

import pytest

from tests.scripted_server import ScriptedServer
from tests.supervisor.running import is_alive
from tests.system.daemon import Daemon, compatible, running
from tests.until import until
from voicectl import Client, Event
from voiced.network import events
from voiced.network.events import ItemCreate, SessionUpdate

pytestmark = pytest.mark.system

NO_SOUND_CARD = '[audio.capture]\ndevice = "null"\n[audio.playback]\ndevice = "null"\n'
USAGE = {"total_tokens": 1_000_000, "input_tokens": 1_000_000, "input_token_details": {"audio_tokens": 1_000_000}}


@pytest.fixture
def peer() -> Iterator[ScriptedServer]:
    with ScriptedServer() as made:
        yield made


@pytest.fixture
def other() -> Iterator[ScriptedServer]:
    """Another server; its items have other names."""
    with ScriptedServer() as made:
        for _ in range(100):
            made.new_id("item")
        yield made


def pid_of(client: Client, name: str) -> int:
    pid: int = next(row["pid"] for row in client.status()["processes"] if row["name"] == name)
    return pid


def hear(peer: ScriptedServer, client: Client, words: str) -> None:
    """A turn of the user's, and an answer of no words to it."""
    with client.events("turn") as told:
        peer.hear(words)
        peer.end_reply(peer.begin_reply())
        event = told.next(10)
        assert event is not None
        assert (event.data["role"], event.data["text"]) == ("user", words)


def test_reload_updates_the_session_on_the_connection_that_is_there(peer: ScriptedServer) -> None:
    with running(compatible(peer.url, 'instructions = "Be brief."') + NO_SOUND_CARD) as (daemon, client):
        since = len(peer.received)
        daemon.config.write_text(compatible(peer.url, 'instructions = "Be wordy."') + NO_SOUND_CARD)
        assert client.reload() == {"changed": ["realtime.instructions"], "restart": []}
        update = peer.until(lambda event: isinstance(event, SessionUpdate), since=since)
        assert "wordy" in repr(update.event)
        assert peer.connections == 1


def test_a_profile_moves_the_conversation_to_another_server_and_back(peer: ScriptedServer, other: ScriptedServer) -> None:
    text = compatible(peer.url) + f'[profiles.other]\nprovider = "compatible"\nurl = "{other.url}"\n' + NO_SOUND_CARD
    with running(text) as (_, client):
        network = pid_of(client, "network")
        hear(peer, client, "My name is Ada.")
        assert client.profile("other")["profile"] == "other"
        other.wait_for_client()
        other.until(lambda event: isinstance(event, ItemCreate) and "Ada" in repr(event.item))
        until(lambda: client.status()["session"]["url"] == other.url and client.status()["session"]["connected"], "the other server")
        assert pid_of(client, "network") == network
        hear(other, client, "And I like tea.")
        client.profile("none")
        peer.wait_for_client(connection=2)
        peer.until(lambda event: isinstance(event, ItemCreate) and "tea" in repr(event.item))
        until(lambda: client.status()["session"]["url"] == peer.url and client.status()["session"]["connected"], "the first server")


def test_a_profile_moves_the_conversation_to_the_embedded_server_and_back(peer: ScriptedServer) -> None:
    text = compatible(peer.url) + '[profiles.here]\nprovider = "embedded"\n' + NO_SOUND_CARD
    with running(text) as (daemon, client):
        network = pid_of(client, "network")
        hear(peer, client, "My name is Ada.")
        client.profile("here")
        until(
            lambda: client.status()["session"]["provider"] == "embedded" and client.status()["session"]["connected"], "the embedded server"
        )
        embedded = pid_of(client, "embedded")
        client.profile("none")
        peer.wait_for_client(connection=2)
        until(lambda: not is_alive(embedded), "end of the embedded server")
        assert client.status()["session"]["url"] == peer.url
        assert pid_of(client, "network") == network
        assert "Ada" in repr(client.transcript())
        assert "Traceback" not in daemon.log


def test_a_restarted_network_process_knows_what_was_said(peer: ScriptedServer) -> None:
    with running(compatible(peer.url) + NO_SOUND_CARD) as (_, client):
        hear(peer, client, "My name is Ada.")
        client.restart("network")
        peer.wait_for_client(connection=2)
        peer.until(lambda event: isinstance(event, ItemCreate) and "Ada" in repr(event.item))


def test_a_killed_daemon_forgets_no_turn_that_was_over(peer: ScriptedServer) -> None:
    text = compatible(peer.url) + NO_SOUND_CARD
    with running(text) as (daemon, client):
        hear(peer, client, "My name is Ada.")
        daemon.process.kill()
        daemon.process.wait()
        again = Daemon(text)
        again.env["XDG_STATE_HOME"] = daemon.env["XDG_STATE_HOME"]
        with again, again.wait_until_ready().client() as client:
            peer.until(lambda event: isinstance(event, ItemCreate) and "Ada" in repr(event.item))
            assert "My name is Ada." in [turn["text"] for turn in client.transcript()]


def test_a_cap_that_is_reached_closes_the_session_and_a_higher_one_opens_it(peer: ScriptedServer) -> None:
    text = compatible(peer.url) + NO_SOUND_CARD + "[prices.scripted]\naudio_in = 2.0\n[cost]\ndaily_cap_usd = "
    with running(text + "1.0\n") as (daemon, client), client.events("error", "state") as told:
        reply = peer.begin_reply()
        response = events.Response(id=reply.response_id, status="completed", usage=USAGE)
        peer.send(events.ResponseDone(response=response))
        seen: list[Event] = []
        while not seen or seen[-1].data.get("state") != "asleep":
            event = told.next(10)
            assert event is not None, seen
            seen.append(event)
        assert "cost_cap_reached" in [event.data.get("code") for event in seen]
        assert peer.wait_for_close() is not None
        assert "daily cap" in client.status()["session"]["last_error"]
        daemon.config.write_text(text + "5.0\n")
        client.reload()
        peer.wait_for_client(connection=2)
        until(lambda: client.status()["state"] not in ("asleep", "connecting"), "a session")
