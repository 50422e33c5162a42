from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.control import EVENTS, STATES
from voiced.supervisor.policy import State
from voiced.supervisor.provider import Provider
from voiced.supervisor.status import Emission, Status, percentile

USAGE = {"cap_usd": None}
NAMES = ("network", "capture", "playback")
PROVIDER = Provider("openai", "wss://api.openai.com/v1/realtime?model=m", "m", "marin", "", None)


def status(conversation: str = "") -> Status:
    made = Status(PROVIDER, version="1", pid=7, now_s=100.0)
    for name in NAMES:
        made.process(name, State.STARTING, None, 0, "", 100.0)
    if conversation:
        for number, name in enumerate(NAMES):
            made.process(name, State.READY, 10 + number, 0, "", 101.0)
            made.ready(name, {"device": "dev", "rate": 24000} if name != "network" else {})
        made.published("network", "state", {"state": conversation})
    return made


def test_it_connects_until_all_are_ready() -> None:
    made = status()
    assert made.state == "connecting"
    for name in NAMES:
        assert not made.all_ready
        made.process(name, State.READY, 1, 0, "", 1.0)
    assert made.all_ready


@pytest.mark.parametrize("state", ["idle", "hearing", "thinking", "speaking"])
def test_the_conversation_is_the_state(state: str) -> None:
    assert status(state).state == state


@pytest.mark.parametrize(
    ("conversation", "shown"), [("idle", "muted"), ("listening", "muted"), ("speaking", "speaking"), ("thinking", "thinking")]
)
def test_muted_shows_where_only_the_user_is_waited_for(conversation: str, shown: str) -> None:
    made = status(conversation)
    made.answered("capture", {"muted": True})
    assert (made.state, made.muted) == (shown, True)


def test_a_change_of_state_is_an_event_once() -> None:
    made = status("idle")
    assert made.published("network", "state", {"state": "hearing"}) == [("state", {"state": "hearing", "previous": "idle"})]
    assert made.published("network", "state", {"state": "hearing"}) == []


def test_a_process_that_is_down_means_connecting_and_closes_its_device() -> None:
    made = status("idle")
    (topic, data), *state = made.process("capture", State.BACKOFF, None, 1, "killed by SIGKILL", 200.0)
    assert (topic, data) == (
        "process",
        {"name": "capture", "state": "backoff", "pid": None, "restarts": 1, "reason": "killed by SIGKILL"},
    )
    assert state == [("state", {"state": "connecting", "previous": "idle"})]
    assert made.snapshot(200.0, {}, USAGE)["audio"]["capture"]["open"] is False


def test_a_process_that_is_down_measures_nothing() -> None:
    made = status("idle")
    made.beat("capture", {"level_dbfs": -31.5, "overruns": 2})
    made.beat("playback", {"level_dbfs": -20.0, "queued_ms": 800, "latency_ms": 40})
    for name in ("capture", "playback"):
        made.process(name, State.BACKOFF, None, 1, "", 200.0)
    audio = made.snapshot(200.0, {}, USAGE)["audio"]
    assert (audio["capture"]["level_dbfs"], audio["capture"]["overruns"]) == (None, 2)
    assert (audio["playback"]["queued_ms"], audio["playback"]["latency_ms"]) == (0, None)
    assert made.levels() == {"input_dbfs": None, "output_dbfs": None}


def test_the_query_of_the_url_which_may_hold_a_key_is_not_shown() -> None:
    provider = PROVIDER._replace(url="wss://user:word@host:8443/v1?api-key=abc&model=m")
    made = Status(provider, version="1", pid=7, now_s=100.0)
    assert made.snapshot(100.0, {}, USAGE)["session"]["url"] == "wss://host:8443/v1"


def test_a_process_given_up_is_a_failure() -> None:
    made = status("idle")
    made.process("capture", State.GIVEN_UP, None, 5, "", 200.0)
    assert made.state == "failed"


def test_a_server_that_refuses_for_good_is_a_failure_until_it_takes_us() -> None:
    made = status("idle")
    error = ("error", {"code": "key_refused", "message": "the key", "fatal": True})
    assert made.failed("network", "key_refused", "the key", fatal=True)[0] == error
    assert made.state == "failed"
    assert made.snapshot(1.0, {}, USAGE)["session"]["last_error"] == "the key"
    made.published("network", "session", {"connected": True})
    assert made.state == "idle"


def test_offline_wins_over_a_network_process_that_is_not_ready() -> None:
    made = status()
    made.published("network", "state", {"state": "offline"})
    assert made.state == "offline"


def test_a_session_that_sleeps_from_the_start_keeps_nobody_waiting() -> None:
    """Where the cap was reached before the daemon began, there is no session to open."""
    made = status()
    for name in ("capture", "playback"):
        made.process(name, State.READY, 1, 0, "", 1.0)
    made.process("network", State.STARTING, 2, 0, "", 1.0)
    made.published("network", "state", {"state": "asleep"})
    assert (made.all_ready, made.state) == (True, "asleep")
    made.process("capture", State.BACKOFF, None, 1, "", 1.0)
    assert (made.all_ready, made.state) == (False, "connecting")


def test_barge_in_is_counted_where_something_was_stopped() -> None:
    made = status("idle")
    for reason, latency_ms in (("speech_started", 1.0), ("local", 3.0), ("local", 2.0), ("speech_started", None)):
        made.published("network", "flush", {"epoch": 1, "reason": reason, "latency_ms": latency_ms})
    made.published("network", "flush", {"epoch": 2, "reason": "interrupt", "latency_ms": 9.0})  # no barge-in: somebody pressed a key
    assert made.snapshot(1.0, {}, USAGE)["barge_in"] == {"count": 3, "last_ms": 2.0, "p50_ms": 2.0, "p95_ms": 3.0, "max_ms": 3.0}


def test_unknown_topics_and_forged_status_are_dropped() -> None:
    made = status("idle")
    assert made.published("network", "status", {"state": "hacked"}) == []
    assert made.published("network", "nonsense", {}) == []


def test_figures_are_kept_as_far_as_the_contract_knows_them() -> None:
    made = status("idle")
    made.beat("capture", {"overruns": 3, "level_dbfs": -31.5, "secret": "no"})
    capture = made.snapshot(1.0, {}, USAGE)["audio"]["capture"]
    shown = {"device": "dev", "endpoint": None, "fallback": False, "rate": 24000, "overruns": 3, "level_dbfs": -31.5, "open": True}
    assert capture == shown | {"listening": True, "echo": None}


def test_a_microphone_that_mute_has_closed_is_shown_as_closed() -> None:
    made = status("idle")
    made.beat("capture", {"open": False, "muted": True})
    assert made.snapshot(1.0, {}, USAGE)["audio"]["capture"]["open"] is False
    assert made.devices_in_use("input") == []


def test_what_the_echo_canceller_and_the_duck_do_is_shown_while_their_processes_run() -> None:
    made = status("idle")
    made.beat("capture", {"listening": False, "echo": {"canceller": "ours", "erle_db": 30.0}})
    made.beat("playback", {"volume": 60, "ducked": True})
    audio = made.snapshot(1.0, {}, USAGE)["audio"]
    assert (audio["capture"]["listening"], audio["capture"]["echo"]["erle_db"]) == (False, 30.0)
    assert (audio["playback"]["volume"], audio["playback"]["ducked"]) == (60, True)
    for name in ("capture", "playback"):
        made.process(name, State.BACKOFF, None, 1, "", 2.0)
    audio = made.snapshot(1.0, {}, USAGE)["audio"]
    assert (audio["capture"]["echo"], audio["playback"]["ducked"]) == (None, False)


def test_the_volume_that_was_chosen_is_known() -> None:
    made = status("idle")
    assert made.volume is None
    made.answered("playback", {"volume": 40})
    assert made.volume == made.snapshot(1.0, {}, USAGE)["audio"]["playback"]["volume"] == 40


def test_levels_come_with_the_heartbeats_of_playback_while_capture_is_away() -> None:
    made = status("idle")
    assert made.metering == "capture"
    made.process("capture", State.BACKOFF, None, 1, "", 2.0)
    assert made.metering == "playback"
    made.beat("playback", {"level_dbfs": -20.0})
    assert made.levels() == {"input_dbfs": None, "output_dbfs": -20.0}


def test_why_a_process_is_not_ready_is_shown_until_it_is() -> None:
    made = status("idle")

    def reason() -> object:
        return next(row["reason"] for row in made.snapshot(3.0, {}, USAGE)["processes"] if row["name"] == "capture")

    made.process("capture", State.BACKOFF, None, 1, "the sound server went away", 2.0)
    made.process("capture", State.STARTING, 11, 1, "", 2.0)
    assert reason() == "the sound server went away"
    made.process("capture", State.READY, 11, 1, "", 2.0)
    assert reason() is None


def test_the_snapshot_has_the_rows_of_the_contract() -> None:
    snapshot = status("idle").snapshot(160.5, {7: (2048, 1.234), 10: (1024, 0.5)}, USAGE)
    assert [row["name"] for row in snapshot["processes"]] == ["supervisor", *NAMES]
    supervisor = {"name": "supervisor", "pid": 7, "state": "ready", "restarts": 0, "reason": None, "uptime_s": 60.5}
    assert snapshot["processes"][0] == {**supervisor, "rss_kib": 2048, "cpu_s": 1.23}
    assert snapshot["processes"][2]["rss_kib"] == 0, "a process that went between listing and looking"
    assert (*snapshot, "events", "troubles") == EVENTS["status"].fields, "the last are of those who serve them"
    assert snapshot["usage"] == USAGE


def test_settings_that_change_are_shown_and_who_was_refused_tries_again() -> None:
    made = status("idle")
    made.published("network", "session", {"connected": False, "reason": "the key"})
    made.failed("network", "key_refused", "the key", fatal=True)
    changed = made.reconfigured(PROVIDER._replace(name="azure", url="wss://r.example/v1?model=d", model="d"), "push_to_talk", "work")
    assert changed == [("state", {"state": "idle", "previous": "failed"})]
    snapshot = made.snapshot(1.0, {}, USAGE)
    assert snapshot["mode"] == "push_to_talk"
    session = snapshot["session"]
    assert (session["provider"], session["url"], session["model"], session["profile"]) == ("azure", "wss://r.example/v1", "d", "work")


def test_a_session_that_is_open_is_anothers_until_it_has_moved() -> None:
    made = status("idle")
    made.reconfigured(PROVIDER._replace(name="azure", url="wss://r.example/v1?model=d", model="d"), "vad", "work")
    session = made.snapshot(1.0, {}, USAGE)["session"]
    assert (session["provider"], session["model"], session["profile"]) == ("openai", "m", "work")
    made.ready("network", {"provider": "azure", "url": "wss://r.example/v1", "model": "d"})
    session = made.snapshot(1.0, {}, USAGE)["session"]
    assert (session["provider"], session["url"], session["model"]) == ("azure", "wss://r.example/v1", "d")


def test_a_process_that_is_dismissed_counts_no_more() -> None:
    made = status("idle")
    made.process("embedded", State.STARTING, 9, 0, "", 2.0)
    assert (made.state, made.all_ready) == ("connecting", False)
    made.failed("embedded", "internal", "x", fatal=True)
    assert made.dismissed("embedded") == [("state", {"state": "idle", "previous": "failed"})]
    assert 9 not in made.pids()


_NEWS = st.one_of(
    st.tuples(st.just("process"), st.sampled_from(NAMES), st.sampled_from(State)),
    st.tuples(st.just("ready"), st.sampled_from(NAMES), st.just({})),
    st.tuples(st.just("state"), st.just("network"), st.sampled_from(STATES)),
    st.tuples(st.just("muted"), st.just("capture"), st.booleans()),
    st.tuples(st.just("failed"), st.sampled_from(NAMES), st.booleans()),
)


def _tell(made: Status, kind: str, name: str, what: Any) -> list[Emission]:
    match kind:
        case "process":
            return made.process(name, what, 1, 0, "", 1.0)
        case "ready":
            return made.ready(name, {})
        case "state":
            return made.published(name, "state", {"state": what})
        case "muted":
            return made.answered(name, {"muted": what})
    return made.failed(name, "internal", "x", fatal=what)


@given(st.lists(_NEWS, max_size=30))
def test_events_tell_the_same_story_as_the_state(news: list[tuple[str, str, Any]]) -> None:
    made = status()
    told = made.state
    for kind, name, what in news:
        for topic, data in _tell(made, kind, name, what):
            assert set(data) <= set(EVENTS[topic].fields)
            if topic == "state":
                assert data["previous"] == told
                told = data["state"]
        assert told == made.state
        assert made.state in STATES


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([5.0], 95, 5.0), ([1.0, 2.0], 50, 1.0), ([float(n) for n in range(1, 101)], 95, 95.0)],
)
def test_percentile_by_nearest_rank(values: list[float], percent: int, expected: float | None) -> None:
    assert percentile(values, percent) == expected


def test_a_microphone_that_begins_shut_is_not_open() -> None:
    made = status("idle")
    made.ready("capture", {"device": "dev", "open": False})
    assert made.snapshot(1.0, {}, USAGE)["audio"]["capture"]["open"] is False
    assert made.devices_in_use("input") == []


def test_the_sound_servers_device_is_in_use_too() -> None:
    made = status("idle")
    made.beat("capture", {"endpoint": "Headset", "fallback": True, "open": True})
    assert made.devices_in_use("input") == ["dev", "Headset"]
