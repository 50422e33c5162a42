"""What is said stays out of the log, unless somebody wants it there."""

from pathlib import Path

import pytest

from tests.supervisor.running import daemon

pytestmark = pytest.mark.system
SAID = "turn that only the two of us should know of"


def log_of_a_turn(home: Path, **env: str) -> str:
    """At debug, as all of these daemons log."""
    with daemon(home, **env) as running:
        running.wait_until_ready()
        with running.client() as client, client.events("turn") as events:
            client.say(SAID)
            event = events.next(5)
            assert event is not None
            assert event.data["text"] == SAID
        running.stop()
        return running.log()


def test_nothing_that_is_said_is_logged(home: Path) -> None:
    log = log_of_a_turn(home)
    assert "first sign of life" in log  # it is at debug
    assert "two of us" not in log


def test_by_its_setting_it_is(home: Path) -> None:
    assert f"network    user: {SAID}\n" in log_of_a_turn(home, VOICED_LOG__CONTENT="true")
