"""The list of devices as it is shown, and as a process gets it that must not wait for it."""

import json
import select
import time
from pathlib import Path
from typing import Any

import pytest

from voiced.audio import listing
from voiced.audio.device import DeviceInfo
from voiced.audio.listing import Lister, rows
from voiced.audio.presence.scene import Endpoint, Scene
from voiced.errors import VoicedError
from voiced.messages import Order

CARD = DeviceInfo(0, "HDA Intel (hw:0,0)", "ALSA", 2, 44_100, False)
DEFAULT = DeviceInfo(1, "default", "ALSA", 32, 44_100, True)
HEADSET = Endpoint("bluez", "Headset", 16_000, 1, "", {})
MONITOR = Endpoint("sink.monitor", "Monitor of Speakers", 48_000, 2, "", {"device.class": "monitor"})


def test_the_sound_servers_devices_come_first_and_one_of_them_is_the_default() -> None:
    listed = rows(Scene("bluez", (HEADSET, MONITOR)), [CARD, DEFAULT])
    assert [(row["name"], row["default"]) for row in listed] == [("Headset", True), ("HDA Intel (hw:0,0)", False), ("default", False)]
    assert (listed[0]["rate"], listed[0]["channels"]) == (16_000, 1)


def test_without_a_sound_server_portaudios_default_counts() -> None:
    assert rows(None, [CARD, DEFAULT]) == [CARD._asdict(), DEFAULT._asdict()]


class Loop:
    """A poll loop in the place of capture's."""

    def __init__(self) -> None:
        self.poll = select.poll()
        self.watched: set[int] = set()
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.refusals: list[tuple[int, str]] = []
        self.longest_s = 0.0

    def watch(self, fd: int) -> None:
        self.watched.add(fd)
        self.poll.register(fd, select.POLLIN)

    def forget(self, fd: int) -> None:
        self.watched.remove(fd)
        self.poll.unregister(fd)

    def answer(self, order: Order, **result: Any) -> None:
        self.answers.append((order.order_id, result))

    def refuse(self, order: Order, error: VoicedError) -> None:
        self.refusals.append((order.order_id, error.code))

    def run(self, lister: Lister, outcomes: int) -> None:
        """Until there are so many, and no process is left."""
        deadline_s = time.monotonic() + 10
        while len(self.answers) + len(self.refusals) < outcomes or lister._leaving:
            assert time.monotonic() < deadline_s
            woken = [fd for fd, _ in self.poll.poll(20)]
            began_s = time.monotonic()
            lister.take(woken)
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)


@pytest.fixture
def loop() -> Loop:
    return Loop()


def lister(loop: Loop, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lister:
    """One whose process is that shell script."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    return Lister(loop)  # type: ignore[arg-type]  # as much of a Child as it needs


LISTED: dict[str, Any] = {"input": [], "output": []}


def test_whoever_asks_while_it_looks_gets_the_same_list(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lister(loop, f"echo x >>{tmp_path}/began; echo '{json.dumps(LISTED)}'", tmp_path, monkeypatch)
    made.begin(Order(1, "devices", {}))
    made.begin(Order(2, "devices", {}))
    loop.run(made, 2)
    assert loop.answers == [(1, LISTED), (2, LISTED)]
    assert (tmp_path / "began").read_text() == "x\n"
    made.begin(Order(3, "devices", {}))
    loop.run(made, 3)
    assert loop.answers[2:] == [(3, LISTED)]


@pytest.mark.parametrize("script", ["printf '{\"inp'; kill -9 $$", "exit 1", "exec >&-; exec sleep 60", "exec sleep 60"])
def test_one_that_breaks_or_hangs_is_refused_and_ended(script: str, loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_LOOKS_WITHIN_S", 0.5)
    made = lister(loop, script, tmp_path, monkeypatch)
    made.begin(Order(1, "devices", {}))
    loop.run(made, 1)
    assert loop.refusals == [(1, "unavailable")]
    assert loop.longest_s < 0.2
    assert not loop.watched


def test_what_can_not_be_started_is_refused(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(VoicedError, match="No such file"):
        Lister(loop).begin(Order(1, "devices", {}))  # type: ignore[arg-type]  # as above
    assert not loop.watched
