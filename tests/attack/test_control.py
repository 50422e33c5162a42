"""The short form of `python -m tests.attack.control`, without sound."""

import os
from itertools import islice

import pytest

from tests.attack.clients import Attackers
from tests.attack.control import gaps, held
from tests.attack.fuzz import openings, requests
from tests.bench import sounds
from tests.supervisor.running import Daemon
from tests.until import until
from voiced.control import RequestRefused, parse_request

_WITH_AN_EFFECT = {"mute", "unmute", "toggle_mute", "interrupt", "ask", "say", "talk", "wake", "volume", "shutdown"}


@pytest.mark.system
def test_thousands_of_requests_that_nobody_should_send(ready_daemon: Daemon) -> None:
    with ready_daemon.client() as client, Attackers(ready_daemon.runtime, 1) as attackers:
        before = held(client)
        attackers.fuzz(requests(1), 3000)
        after = held(client)
        assert client.status()["state"] == "idle"
    assert attackers.sent == sum(attackers.answers.values()) == 3000
    assert set(attackers.answers) == {"ok", "bad_request", "unknown_command", "unsupported_version", "bad_argument", "not_now"}
    assert {name: each.pid for name, each in after.items()} == {name: each.pid for name, each in before.items()}
    assert "a bug in voiced" not in ready_daemon.log()
    until(lambda: len(os.listdir(f"/proc/{ready_daemon.process.pid}/fd")) <= before["supervisor"].descriptors, "end of their sockets")


def test_a_seed_gives_the_same_requests_and_none_has_an_effect() -> None:
    assert list(islice(requests(5), 200)) == list(islice(requests(5), 200))
    kinds = set()
    for frames in islice(requests(6), 20_000):
        try:
            request = parse_request(frames[-1])
        except RequestRefused as refused:
            kinds.add(refused.error.code)
        else:
            kinds.add("ok")
            assert request.command.name not in _WITH_AN_EFFECT, request
            assert request.command.name != "profile" or request.args == {"name": None}
            assert request.command.name != "record" or request.args["on"] in (True, False)
    assert kinds == {"ok", "bad_request", "unknown_command", "unsupported_version", "bad_argument"}
    assert len(set(islice(openings(1), 300))) > 50


def test_a_hole_in_a_recording_is_found() -> None:
    noise = sounds.noise(0.5, 3)
    assert gaps(noise) == 0
    assert gaps(noise + bytes(200) + noise + bytes(2000) + noise) == 2
    assert gaps(noise + bytes(40) + noise) == 0, "less than 2 ms"
