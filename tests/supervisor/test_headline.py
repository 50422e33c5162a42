from typing import Any

import pytest

from voiced.supervisor.headline import Headline, duration


def status(state: str = "listening", **changes: Any) -> dict[str, Any]:
    """A status map of a daemon that is well, but for `changes`."""
    return {
        "state": state,
        "muted": False,
        "session": {"provider": "openai", "model": "gpt-realtime-2.1", "connected": True, "last_error": None},
        "processes": [{"name": name, "state": "ready"} for name in ("supervisor", "network", "capture", "playback")],
        "audio": {"capture": {"open": True}, "playback": {"open": True}},
    } | changes


def session(**changes: Any) -> dict[str, Any]:
    return {"provider": "openai", "model": "gpt-realtime-2.1", "connected": True, "last_error": None} | changes


def test_state_model_and_minutes() -> None:
    headline = Headline()
    assert headline.news(status(), 100.0) == "listening · gpt-realtime-2.1"
    assert headline.news(status(), 100.0 + 12 * 60) == "listening · gpt-realtime-2.1 · 12 min"


def test_it_is_said_once_and_the_time_at_most_once_a_minute() -> None:
    headline = Headline()
    said = [line for now_s in range(600) if (line := headline.news(status(), now_s / 2)) is not None]
    assert said == ["listening · gpt-realtime-2.1"] + [f"listening · gpt-realtime-2.1 · {minute} min" for minute in range(1, 5)]


def test_each_state_is_told_at_once() -> None:
    headline = Headline()
    for state in ("listening", "hearing", "thinking", "speaking", "muted", "asleep"):
        assert headline.news(status(state), 0.0) == f"{state} · gpt-realtime-2.1"


def test_the_time_is_of_the_connection_that_is_open() -> None:
    headline = Headline()
    headline.news(status(), 0.0)
    assert headline.news(status("offline", session=session(connected=False, last_error="no route to host")), 7200.0) == (
        "offline · no route to host"
    )
    assert headline.news(status(), 7210.0) == "listening · gpt-realtime-2.1"
    assert headline.news(status(), 7270.0) == "listening · gpt-realtime-2.1 · 1 min"


def test_the_embedded_server_goes_by_what_thinks_in_it() -> None:
    headline = Headline()
    own = session(provider="embedded", model="voiced-embedded")
    assert headline.news(status(session=own), 0.0) == "listening · embedded"
    headline.brain = "smollm2"
    assert headline.news(status(session=own), 0.0) == "listening · embedded smollm2"


def test_what_was_refused_is_told() -> None:
    refused = status("failed", session=session(connected=False, last_error="the server refused the key"))
    assert Headline().news(refused, 0.0) == "failed · the server refused the key"


def test_what_was_given_up_is_told_with_why() -> None:
    headline = Headline()
    headline.gone("capture", "killed by SIGSEGV")
    processes = [{"name": "capture", "state": "given_up"}, {"name": "network", "state": "ready"}]
    assert headline.news(status("failed", processes=processes), 0.0) == "failed · capture was given up: killed by SIGSEGV"


@pytest.mark.parametrize(
    ("muted", "microphone", "loudspeaker", "shown"),
    [
        (False, False, True, " · no microphone"),
        (True, False, True, ""),  # shut by audio.capture.hard_mute
        (False, True, False, " · no loudspeaker"),
        (True, False, False, " · no loudspeaker"),
    ],
)
def test_a_device_that_is_away_is_told(muted: bool, microphone: bool, loudspeaker: bool, shown: str) -> None:
    audio = {"capture": {"open": microphone}, "playback": {"open": loudspeaker}}
    assert Headline().news(status("idle", muted=muted, audio=audio), 0.0) == "idle · gpt-realtime-2.1" + shown


def test_what_a_start_waits_for_is_told() -> None:
    processes = [{"name": name, "state": "starting"} for name in ("network", "playback")] + [{"name": "capture", "state": "ready"}]
    audio = {"capture": {"open": False}, "playback": {"open": False}}
    assert Headline().news(status("connecting", processes=processes, audio=audio), 0.0) == (
        "connecting · gpt-realtime-2.1 · no microphone · waiting for the server, the loudspeaker"
    )
    assert Headline().news(status("connecting"), 0.0) == "connecting · gpt-realtime-2.1"


def test_a_message_of_somebody_else_makes_no_line_of_its_own() -> None:
    evil = session(connected=False, last_error="no\nMAINPID=1\x1b[2J" + "x" * 1000)
    line = Headline().news(status("offline", session=evil), 0.0)
    assert line is not None
    assert line.startswith("offline · no MAINPID=1")
    assert line.isprintable()
    assert len(line) == 200


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(0, ""), (1, "1 min"), (59, "59 min"), (60, "1 h 0 min"), (125, "2 h 5 min"), (1440, "1 d 0 h"), (2999, "2 d 1 h")],
)
def test_durations(minutes: int, shown: str) -> None:
    assert duration(minutes) == shown
