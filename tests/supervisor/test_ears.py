"""A running daemon and the small orders that its processes of sound get: volume, ears, earcons."""

from pathlib import Path

import pytest

from tests.supervisor.running import until
from tests.supervisor.test_live import configure, running

pytestmark = pytest.mark.system


def test_a_volume_that_was_chosen_outlives_the_process_and_gives_way_to_a_new_setting(home: Path) -> None:
    with running(home, "[audio.playback]\nvolume = 70\n") as (made, client):
        assert client.volume() == 70
        assert client.volume(40) == 40
        assert client.status()["audio"]["playback"]["volume"] == 40
        client.restart("playback")
        until(lambda: made.row("playback")["restarts"] == 1 and made.row("playback")["state"] == "ready", "new playback process")
        assert client.volume() == 40
        configure(home, "[audio.playback]\nvolume = 90\n")
        assert client.reload() == {"changed": ["audio.playback.volume"], "restart": []}
        assert client.volume() == 90


def test_capture_is_told_whether_to_listen_also_when_it_starts_anew(home: Path) -> None:
    with running(home, "") as (made, client):
        client.say("ears shut")
        made.wait_for_log("capture    ears {'open': False}")
        client.say("ears open")
        made.wait_for_log("capture    ears {'open': True}")
        client.restart("capture")
        made.wait_for_log("capture    ears {'open': True}", times=2)


def test_capture_is_told_live_that_a_key_interrupts_from_now_on(home: Path) -> None:
    with running(home, "") as (made, client):
        configure(home, '[turn]\nmode = "push_to_talk"\n')
        assert client.reload() == {"changed": ["turn.mode"], "restart": []}
        made.wait_for_log("capture    push_to_talk {'on': True}")


def test_earcons_are_ordered_where_they_are_wanted(home: Path) -> None:
    with running(home, "[audio]\nearcons = true\n") as (made, client):
        client.say("be listening")
        made.wait_for_log("playback   earcon {'name': 'listening'}")
        client.mute()
        made.wait_for_log("playback   earcon {'name': 'muted'}")
        client.say("complain")
        made.wait_for_log("playback   earcon {'name': 'error'}")
    with running(home, "") as (made, client):
        client.say("complain")
        client.mute()
        client.volume()  # what it was ordered before this is in the log
        client.ping()
        assert "earcon" not in made.log()
