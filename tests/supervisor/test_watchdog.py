from typing import Any

import pytest

from voiced.supervisor.policy import State
from voiced.supervisor.watchdog import SILENT_S, STILL_S, Watchdog


@pytest.fixture
def watchdog() -> Watchdog:
    watchdog = Watchdog()
    for name in ("capture", "network"):
        watchdog.changed(name, State.STARTING, 0.0)
        watchdog.changed(name, State.READY, 1.0)
    return watchdog


def live(watchdog: Watchdog, until_s: int, **stats: Any) -> str:
    """Beats of both processes once a second; what is complained about in the end."""
    for now_s in range(2, until_s):
        watchdog.beat("capture", {"frames": 50 * now_s} | stats, now_s)
        watchdog.beat("network", {}, now_s)
    return watchdog.complaint(until_s)


def test_frames_that_flow_feed_it(watchdog: Watchdog) -> None:
    assert live(watchdog, 60) == ""


def test_frames_that_stand_still_do_not_whatever_the_beats_say(watchdog: Watchdog) -> None:
    assert live(watchdog, int(STILL_S), frames=7) == ""
    assert live(watchdog, int(STILL_S) + 4, frames=7) == "the microphone's frames stand still"


def test_a_capture_process_that_tells_no_frames_does_not_feed_it_for_ever(watchdog: Watchdog) -> None:
    for now_s in range(2, 12):
        watchdog.beat("capture", {}, now_s)
    assert "stand still" in watchdog.complaint(12.0)


def test_frames_that_flow_again_feed_it_again(watchdog: Watchdog) -> None:
    assert live(watchdog, 20, frames=7)
    watchdog.beat("capture", {"frames": 8}, 20.0)
    assert watchdog.complaint(20.5) == ""


def test_a_process_that_starts_has_time(watchdog: Watchdog) -> None:
    """How much, is the supervisor's policy: a network without a server is starting for an hour."""
    watchdog.changed("capture", State.BACKOFF, 1.0)
    watchdog.changed("network", State.STARTING, 1.0)
    assert watchdog.complaint(3600.0) == ""


def test_a_capture_process_that_is_new_counts_from_anew(watchdog: Watchdog) -> None:
    live(watchdog, 20)
    watchdog.changed("capture", State.BACKOFF, 20.0)
    watchdog.changed("capture", State.STARTING, 40.0)
    watchdog.changed("capture", State.READY, 41.0)
    watchdog.beat("network", {}, 41.0)
    assert watchdog.complaint(42.0) == ""


def test_one_that_was_given_up_leaves_it_hungry_until_it_is_back(watchdog: Watchdog) -> None:
    watchdog.changed("network", State.GIVEN_UP, 2.0)
    assert watchdog.complaint(2.1) == "network was given up"
    watchdog.changed("network", State.STARTING, 3.0)
    assert watchdog.complaint(3.1) == ""


def test_one_that_is_silent_and_still_there_leaves_it_hungry(watchdog: Watchdog) -> None:
    for now_s in range(2, 60):
        watchdog.beat("capture", {"frames": now_s}, now_s)
    assert watchdog.complaint(1.0 + SILENT_S) == ""
    assert watchdog.complaint(59.0) == "network is silent and can't be ended"


def test_one_that_is_wanted_no_more_is_not_waited_for(watchdog: Watchdog) -> None:
    watchdog.changed("network", State.GIVEN_UP, 2.0)
    watchdog.dismissed("network")
    assert watchdog.complaint(2.0) == ""
