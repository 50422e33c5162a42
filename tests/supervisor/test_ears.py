"""A running daemon and the small orders that its processes of sound get: volume, ears, earcons."""

import os
import signal
from pathlib import Path

import pytest

from tests.supervisor.test_live import configure, running
from tests.until import until

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


def test_what_changes_while_a_process_of_sound_loads_reaches_it_when_it_is_ready(home: Path) -> None:
    loaded = home / "loaded"
    loaded.touch()
    slow = {"settings": {"loads_until": str(loaded)}}
    with running(home, "[audio.playback]\nvolume = 70\n", {"capture": slow, "playback": slow}) as (made, client):
        before = made.children()
        assert client.volume(40) == 40
        loaded.unlink()
        for name in ("capture", "playback"):
            client.restart(name)
        until(lambda: {name for name, pid in made.children().items() if pid != before[name]} == {"capture", "playback"}, "new processes")
        configure(home, '[audio.playback]\nvolume = 90\n[turn]\nmode = "push_to_talk"\n')
        assert client.reload()["changed"] == ["turn.mode", "audio.playback.volume"]
        loaded.touch()
        made.wait_for_log("capture    push_to_talk {'on': True}")
        until(lambda: made.row("playback")["state"] == "ready", "the playback process")
        assert client.volume() == 90
        client.restart("playback")
        until(lambda: made.row("playback")["restarts"] == 2 and made.row("playback")["state"] == "ready", "new playback process")
        assert client.volume() == 90


def test_a_wake_word_that_is_set_reaches_capture_without_being_asked_for(home: Path) -> None:
    with running(home, "") as (made, client):
        before = made.children()
        configure(home, '[wake]\nword = "okay_nabu"\n')
        assert client.reload() == {"changed": ["wake.word"], "restart": []}
        until(lambda: made.row("capture")["restarts"] == 1 and made.row("capture")["state"] == "ready", "new capture process")
        assert {name for name, pid in made.children().items() if pid != before[name]} == {"capture"}


def test_a_voice_that_is_lowered_is_raised_when_nobody_is_there_to_do_it(home: Path) -> None:
    with running(home, "") as (made, _):
        os.kill(made.children()["capture"], signal.SIGKILL)
        made.wait_for_log("playback   raise {}")


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
