"""A running daemon whose settings change under it: nothing is restarted that was not asked for."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.running import Daemon, daemon
from tests.until import until
from voicectl import Client
from voiced.errors import BadArgument, NotNow

pytestmark = pytest.mark.system

KEY = "sk-never-to-be-seen-1234567890"
CAPPED = "[prices.test]\naudio_in = 2.0\n[cost]\ndaily_cap_usd = 2.0\n"
CLOUD = '[profiles.cloud]\nprovider = "openai"\nvoice = "cedar"\n'


def configure(home: Path, text: str) -> None:
    (home / "voiced").mkdir(exist_ok=True)
    (home / "voiced" / "config.toml").write_text(text)


@contextmanager
def running(home: Path, text: str, table: dict[str, Any] | None = None, **env: str) -> Iterator[tuple[Daemon, Client]]:
    configure(home, text)
    (home / "log").unlink(missing_ok=True)  # of an earlier run
    with daemon(home, table, **env) as made, made.wait_until_ready().client() as client:
        yield made, client


def given(client: Client) -> dict[str, Any]:
    """The settings that the network process goes by."""
    settings: dict[str, Any] = client.wake()["settings"]
    return settings


def ordered(client: Client) -> list[Any]:
    """The orders that it got beside those that are answered."""
    orders: list[Any] = client.wake()["orders"]
    return orders


def test_what_concerns_the_session_is_applied_without_a_restart(home: Path) -> None:
    with running(home, "") as (made, client):
        before = made.children()
        configure(home, '[realtime]\nlanguage = "de"\n[turn]\nmode = "push_to_talk"\n[tools.weather]\ndescription = "the weather"\n')
        assert client.reload() == {"changed": ["realtime.language", "turn.mode", "tools.weather"], "restart": []}
        settings = given(client)
        assert (settings["language"], settings["mode"], settings["tools"][0]["name"]) == ("de", "push_to_talk", "weather")
        assert client.status()["mode"] == "push_to_talk"
        assert made.children() == before
        assert client.reload() == {"changed": [], "restart": []}


def test_what_concerns_a_device_waits_for_a_restart_of_that_process_alone(home: Path) -> None:
    with running(home, "") as (made, client):
        before = made.children()
        configure(home, "[audio.capture]\nchannels = 2\n[embedded]\nchat_model = 'qwen'\n")
        told = client.reload()
        assert told == {"changed": ["audio.capture.channels", "embedded.chat_model"], "restart": ["embedded", "capture"]}
        assert made.children() == before
        client.restart("capture")
        until(lambda: made.row("capture")["restarts"] == 1 and made.row("capture")["state"] == "ready", "new capture process")
        assert client.reload() == {"changed": [], "restart": ["embedded"]}, "as long as it was not restarted"
        made.wait_for_log("starting anew, as asked")
        assert {name for name, pid in made.children().items() if pid != before[name]} == {"capture"}


def test_a_configuration_with_problems_is_refused_with_all_of_them_and_changes_nothing(home: Path) -> None:
    with running(home, '[realtime]\nlanguage = "de"\n') as (_, client):
        configure(home, '[realtime]\nlanguage = "fr"\nspeed = 9.0\n[turn]\nsilence_ms = 1\n')
        with pytest.raises(NotNow) as caught:
            client.reload()
        speed, silence = caught.value.message.splitlines()
        assert "realtime.speed" in speed
        assert "turn.silence_ms" in silence
        assert given(client)["language"] == "de"
        configure(home, '[realtime]\nprovider = "openai"\n')
        with pytest.raises(NotNow, match="there is no key"):
            client.reload()
        assert client.status()["session"]["provider"] == "embedded"


def test_a_session_that_failed_for_good_tries_again_on_reload(home: Path) -> None:
    with running(home, "") as (_, client), client.events("session") as events:
        client.say("refused")
        assert client.status()["state"] == "failed"
        client.reload()
        event = events.next(5)
        assert event is not None
        assert event.data["connected"] is True
        assert client.status()["state"] == "idle"


def test_the_log_level_is_applied_at_once(home: Path) -> None:
    with running(home, "", TEST_QUIET="1") as (made, client):
        client.say("print")
        configure(home, '[log]\nlevel = "debug"\n')
        assert client.reload() == {"changed": ["log.level"], "restart": []}
        client.say("print")
        made.wait_for_log("printed by a library")
        assert made.log().count("printed by a library") == 1
        assert ["log_level", 10] in ordered(client)


@pytest.mark.parametrize(("name", "words"), [("radio", ["network", "capture", "playback", "embedded"]), ("supervisor", ["systemctl"])])
def test_only_a_process_of_ours_is_restarted(home: Path, name: str, words: list[str]) -> None:
    with running(home, "") as (_, client):
        with pytest.raises(BadArgument) as caught:
            client.restart(name)
        assert caught.value.field == "process"
        assert all(word in caught.value.message for word in words)


def test_the_provider_changes_and_the_conversation_goes_on_in_the_same_process(home: Path) -> None:
    with running(home, CLOUD, OPENAI_API_KEY="", MY_KEY=KEY) as (made, client):
        before = made.children()
        with pytest.raises(NotNow, match="there is no key"):
            client.profile("cloud")
        assert client.profile() == {"profile": None, "profiles": ["cloud"], "restart": []}
        configure(home, '[realtime]\nprovider = "embedded"\n' + CLOUD + 'api_key_env = "MY_KEY"\n')
        client.reload()
        assert client.profile("cloud") == {"profile": "cloud", "profiles": ["cloud"], "restart": []}
        until(lambda: "embedded" not in made.children(), "end of the embedded server")
        session = client.status()["session"]
        assert (session["provider"], session["profile"], session["url"]) == ("openai", "cloud", "wss://api.openai.com/v1/realtime")
        assert (given(client)["voice"], given(client)["token"]) == ("cedar", KEY)
        assert "embedded" not in {row["name"] for row in client.status()["processes"]}
        assert client.status()["state"] == "idle"

        assert client.profile("none") == {"profile": None, "profiles": ["cloud"], "restart": []}
        until(lambda: client.status()["session"]["provider"] == "embedded" and made.row("embedded")["state"] == "ready", "embedded server")
        until(lambda: given(client)["provider"] == "embedded", "the network to be told")
        after = made.children()
        assert given(client)["url"].startswith(f"ws://127.0.0.1:{after['embedded']}/")
        assert {name for name, pid in after.items() if pid != before[name]} == {"embedded"}
        assert KEY not in made.log() + repr(client.status())


def test_a_profile_says_what_it_needs_a_restart_for(home: Path) -> None:
    with running(home, '[profiles.guest]\nvoice = "marin"\n') as (_, client):
        assert client.profile("guest") == {"profile": "guest", "profiles": ["guest"], "restart": ["embedded"]}


def test_a_profile_that_there_is_not_is_named_with_those_there_are(home: Path) -> None:
    with running(home, CLOUD) as (_, client):
        with pytest.raises(BadArgument, match="cloud") as caught:
            client.profile("clod")
        assert caught.value.field == "name"


def test_a_new_embedded_server_is_told_to_the_network_process_that_is_there(home: Path) -> None:
    with running(home, "") as (made, client):
        before = made.children()
        os.kill(before["embedded"], signal.SIGKILL)
        until(lambda: made.children().get("embedded", before["embedded"]) != before["embedded"], "new embedded server")
        embedded = made.children()["embedded"]
        until(lambda: f":{embedded}/" in given(client)["url"], "the network to be told")
        assert made.children()["network"] == before["network"]


def test_a_call_that_nobody_listens_for_is_answered_at_once(home: Path) -> None:
    with running(home, "") as (_, client):
        client.say("call")
        until(lambda: ordered(client), "an order")
        [[command, args]] = ordered(client)
        assert (command, args["call_id"]) == ("tool_result", "call_1")
        assert "no script" in args["output"]
        with client.events("tool.call") as events:
            client.say("call")
            event = events.next(5)
            assert event is not None
            assert event.data["name"] == "weather"
        assert len(ordered(client)) == 1


def test_who_follows_all_events_answers_no_call(home: Path) -> None:
    with running(home, "") as (_, client), client.events() as events:
        client.say("call")
        until(lambda: ordered(client), "an order")
        [[command, args]] = ordered(client)
        assert (command, args["call_id"]) == ("tool_result", "call_1")
        while (event := events.next(5)) is not None and event.topic != "tool.call":
            pass
        assert event is not None, "it sees it nonetheless"


def test_an_approval_that_nobody_listens_for_is_in_the_log(home: Path) -> None:
    with running(home, "", TEST_QUIET="1") as (made, client):
        client.say("approval")
        made.wait_for_log("home asks whether it may open_door: voicectl approve 'a1;b'\n")
        with client.events("tool.approval") as events:
            client.say("approval")
            assert events.next(5) is not None
        assert made.log().count("open_door") == 1


def test_a_new_day_opens_what_the_cap_had_closed(home: Path) -> None:
    """In a place on earth where midnight is a few seconds away."""
    ahead_s = 86_400 - int(time.time()) % 86_400 - 8
    zone = f"HERE-{ahead_s // 3600:02}:{ahead_s // 60 % 60:02}:{ahead_s % 60:02}"
    with running(home, CAPPED, TZ=zone, OPENAI_API_KEY=KEY) as (_, client):
        client.say("spend")
        until(lambda: len(ordered(client)) == 2, "two orders")
        [closed, opened] = ordered(client)
        assert (closed[0], opened[0]) == ("budget", "budget")
        assert "daily cap" in closed[1]["exhausted"]
        assert opened[1]["exhausted"] == ""
        assert client.usage()["today"]["usd"] == 0
        assert client.usage()["session"]["usd"] == 2.0


SILENT = "tests.supervisor.children.silent"
OFFLINE = '[profiles.offline]\nprovider = "embedded"\n'


def test_a_change_of_provider_that_is_taken_back_leaves_no_server_behind(home: Path) -> None:
    """Which was still loading: the network was never told of it."""
    with running(home, OFFLINE, {"embedded": {"module": SILENT}}, OPENAI_API_KEY=KEY) as (made, client):
        client.profile("offline")
        until(lambda: "embedded" in made.children(), "an embedded server")
        client.profile("none")
        until(lambda: "embedded" not in {row["name"] for row in client.status()["processes"]}, "its end")
        assert client.status()["state"] == "idle"


def test_a_change_of_provider_during_the_start_reaches_a_network_process_that_waits(home: Path) -> None:
    configure(home, "")
    with daemon(home, {"embedded": {"module": SILENT}}, MY_KEY=KEY) as made:
        made.wait_for_log("started, pid", times=4)
        with made.client() as client:
            configure(home, '[realtime]\nprovider = "openai"\napi_key_env = "MY_KEY"\n')
            client.reload()
            made.wait_until_ready()
            assert given(client)["provider"] == "openai"
            until(lambda: "embedded" not in {row["name"] for row in client.status()["processes"]}, "the server's end")


def test_the_cap_does_not_close_the_embedded_server_which_is_free(home: Path) -> None:
    with running(home, CAPPED + OFFLINE, OPENAI_API_KEY=KEY) as (_, client):
        client.say("spend")
        until(lambda: client.status()["state"] == "asleep", "sleep")
        client.profile("offline")
        until(lambda: client.status()["state"] == "idle", "the embedded server's session")
        assert client.status()["session"]["provider"] == "embedded"
        client.profile("none")
        until(lambda: client.status()["state"] == "asleep", "sleep again")
        until(lambda: "embedded" not in {row["name"] for row in client.status()["processes"]}, "the server's end")
        told = [(bool(args["exhausted"]), args["provider"]) for _, args in ordered(client)]
        assert told == [(True, "openai"), (False, "embedded"), (True, "embedded")], "it sleeps before and wakes after it moves"
    with running(home, CAPPED) as (_, client):
        assert client.status()["session"]["provider"] == "embedded"
        assert given(client)["exhausted"] == ""
        assert client.status()["state"] == "idle", "of a new run, too"


@pytest.mark.parametrize("begins", ["offline", "late"])
def test_a_refusal_ends_only_a_daemon_that_starts_for_the_first_time(home: Path, begins: str) -> None:
    """Not one that was offline at login, nor one whose settings somebody is mending."""
    configure(home, "")
    with daemon(home, {"network": {"settings": {"begins": begins}}}) as made:
        made.wait_for_log("first sign of life", times=4)
        with made.client() as client, client.events("error") as events:
            if begins == "offline":
                until(lambda: client.status()["state"] == "offline", "being offline")
                client.say("refused")
            else:
                client.reload()
            event = events.next(5)
            assert event is not None
            assert event.data["code"] == "key_refused"
            assert client.status()["state"] == "failed"
            client.reload()  # nothing stops
            if begins == "offline":
                made.wait_until_ready()
                assert client.status()["state"] == "idle"


def test_a_refusal_at_the_very_start_ends_the_daemon(home: Path) -> None:
    configure(home, "")
    with daemon(home, {"network": {"settings": {"begins": "late"}}}) as made:
        made.wait_for_log("first sign of life", times=4)
        with made.client() as client:
            client.say("refused")
        assert made.process.wait(5) == 77


def history(client: Client) -> list[str]:
    return [turn["text"] for turn in given(client)["history"]]


def test_a_network_process_that_starts_is_told_what_was_said(home: Path) -> None:
    with running(home, "") as (made, client):
        with client.events("turn") as events:
            client.say("turn one")
            assert events.next(5) is not None
        before = made.children()["network"]
        os.kill(before, signal.SIGKILL)
        until(lambda: made.row("network")["restarts"] == 1 and made.row("network")["state"] == "ready", "new network process")
        assert history(client) == ["turn one"]
    with running(home, "") as (_, client):
        assert history(client) == ["turn one"], "a new run"
    with running(home, "[memory]\nresume_min = 0\n") as (_, client):
        assert history(client) == []


def test_nothing_is_written_where_nothing_is_to_be_kept(home: Path) -> None:
    with running(home, "[memory]\nkeep = false\n") as (made, client):
        with client.events("turn") as events:
            client.say("turn secret")
            assert events.next(5) is not None
        client.restart("network")
        until(lambda: made.row("network")["restarts"] == 1 and made.row("network")["state"] == "ready", "new network process")
        assert history(client) == ["turn secret"], "of this run"
        assert not [path for path in (home / "state").rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


def test_what_is_spent_is_counted_and_a_cap_closes_the_session_until_it_is_raised(home: Path) -> None:
    with running(home, CAPPED, OPENAI_API_KEY=KEY) as (made, client), client.events("usage", "error") as events:
        client.say("spend")
        usage, error = events.next(5), events.next(5)
        assert usage is not None
        assert error is not None
        assert usage.data["today"]["usd"] == 2.0
        assert error.data["code"] == "cost_cap_reached"
        assert "daily cap" in made.log()
        until(lambda: ordered(client), "an order")
        [[command, args]] = ordered(client)
        assert command == "budget"
        assert "daily cap" in args["exhausted"]
        assert client.usage() == usage.data == client.status()["usage"]

        configure(home, CAPPED.replace("usd = 2", "usd = 5"))
        assert client.reload()["changed"] == ["cost.daily_cap_usd"]
        assert given(client)["exhausted"] == ""
    with running(home, CAPPED.replace("usd = 2", "usd = 1"), OPENAI_API_KEY=KEY) as (_, client):
        assert "daily cap" in given(client)["exhausted"], "a new run knows what was spent before it"
        until(lambda: client.status()["state"] == "asleep", "sleep")


def test_programs_are_left_out_with_one_line_that_says_what_allows_them(home: Path) -> None:
    tools = '[tools.lamp]\ndescription = "x"\ncommand = ["lamp"]\n[tools.ask]\ndescription = "y"\n'
    with running(home, tools, TEST_QUIET="1") as (made, client):
        assert [tool["name"] for tool in given(client)["tools"]] == ["ask"]
        assert made.log().count("allow.executables") == 1
        configure(home, tools + "[allow]\nexecutables = true\n")
        assert client.reload()["changed"] == ["allow.executables"]
        assert [(tool["name"], tool["command"]) for tool in given(client)["tools"]] == [("lamp", ["lamp"]), ("ask", [])]
        assert made.log().count("lamp") == 1


def test_the_token_of_an_mcp_server_goes_to_the_network_process_alone(home: Path) -> None:
    text = '[mcp.home]\nurl = "https://mcp.example"\nauthorization_env = "HOME_TOKEN"\n'
    with running(home, text, HOME_TOKEN=KEY) as (made, client):
        assert given(client)["mcp"][0]["authorization"] == KEY
        assert KEY not in made.log() + repr(client.status())
        for pid in made.children().values():
            assert KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
