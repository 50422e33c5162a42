"""The watcher without a sound server: clocks, cards, addresses. With one: tests/system/test_devices.py."""

import os
import socket
from pathlib import Path

import pytest

from voiced.audio.device import Wanted
from voiced.audio.presence import watch
from voiced.audio.presence.watch import Presence, addresses
from voiced.audio.presence.wire import SOURCES
from voiced.errors import DeviceLost
from voiced.messages import MonoNs

S = 1_000_000_000
said: list[str] = []


class Machine:
    """What the watcher looks at, to be turned by hand."""

    def __init__(self) -> None:
        self.asleep_ns = 0
        self.cards = 1

    def presence(self, device: str = "") -> Presence:
        return Presence(SOURCES, Wanted(device, 24_000, 1, 480), lambda level, text: said.append(text), lambda: self.asleep_ns)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    made = Machine()
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/native")
    monkeypatch.setattr(watch, "_cards", lambda: made.cards)
    return made


def looked(presence: Presence, *at_s: float) -> Presence:
    for now_s in at_s:
        presence.look(MonoNs(round(now_s * S)))
    return presence


def test_a_machine_that_slept_opens_its_devices_anew(machine: Machine) -> None:
    presence = looked(machine.presence(), 0, 1)
    presence.opened()
    machine.asleep_ns += S // 2
    looked(presence, 2)  # clocks that are set differ a little, too
    machine.asleep_ns += 3600 * S
    with pytest.raises(DeviceLost, match="slept"):
        looked(presence, 3)
    looked(presence, 4, 5)


def test_what_is_shut_is_not_lost_by_sleeping(machine: Machine) -> None:
    presence = machine.presence()
    presence.opened()
    presence.closed()
    machine.asleep_ns += 3600 * S
    looked(presence, 1)


def test_a_device_without_a_sound_card_needs_nothing(machine: Machine) -> None:
    presence = machine.presence("null")
    presence.opened()
    machine.asleep_ns += 3600 * S
    looked(presence, 1)
    assert presence.facts() == {"endpoint": None, "fallback": False}


def test_cards_that_come_may_bring_what_is_missing(machine: Machine) -> None:
    presence = looked(machine.presence("USB"), 0, 1)
    presence.opened(fell_back=True)
    looked(presence, 2, 3)
    machine.cards = 2
    looked(presence, 4)  # a card comes in several files
    with pytest.raises(DeviceLost, match="USB"):
        looked(presence, 5)


def test_cards_are_no_business_of_one_that_has_its_device(machine: Machine) -> None:
    presence = looked(machine.presence("USB"), 0, 1)
    presence.opened()
    machine.cards = 2
    looked(presence, 2, 3, 4)


def test_one_that_waits_is_told_of_cards(machine: Machine) -> None:
    presence = looked(machine.presence(), 0, 1)
    before = presence.changes
    machine.cards = 2
    looked(presence, 2, 3)
    assert presence.changes == before + 1


def test_a_server_that_says_nothing_is_none_and_one_that_talks_nonsense_is_left(machine: Machine, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "native"))
        listener.listen()
        presence = looked(machine.presence(), 0)
        presence.opened()
        client, _ = listener.accept()
        with client:
            looked(presence, 1, 2)
            assert presence.scene is None
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            looked(presence, 3)
            assert client.recv(1 << 16)
            assert client.recv(1) == b"", "hung up"
        listener.setblocking(False)
        looked(presence, 4, 5)
        with pytest.raises(BlockingIOError):
            listener.accept()
        looked(presence, 14)
        listener.accept()[0].close()
        presence.close()


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({"PULSE_SERVER": "unix:/a/b"}, ["/a/b"]),
        ({"PULSE_SERVER": "{0123abc}unix:/a tcp:host:4713 /c"}, ["/a", "/c"]),
        ({"PULSE_SERVER": "tcp:host"}, []),
        ({"PULSE_RUNTIME_PATH": "/p", "XDG_RUNTIME_DIR": "/x"}, ["/p/native", "/x/pulse/native", "/run/pulse/native"]),
        ({}, [f"/run/user/{os.getuid()}/pulse/native", "/run/pulse/native"]),
    ],
)
def test_a_sound_server_is_where_its_clients_look_for_it(env: dict[str, str], found: list[str]) -> None:
    assert list(addresses(env)) == found
