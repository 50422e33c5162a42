"""A microphone that outlives its device, on devices that are made up: they say what they are told to."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiced.audio.clocked import ClockedInput
from voiced.audio.device import InputDevice, Wanted
from voiced.audio.live import LiveInput
from voiced.audio.opening import Close
from voiced.audio.presence.watch import Presence
from voiced.audio.presence.wire import SOURCES
from voiced.errors import DeviceLost, DeviceUnavailable, VoicedError
from voiced.messages import MonoNs

WANTED = Wanted("null", 24_000, 1, 480)
LOUD = b"\x10\x27"
S = 1_000_000_000


class Microphone(ClockedInput):
    """Real time, and a sound that is no silence."""

    lost = False
    closed = False

    def readable(self) -> int:
        if self.lost:
            raise DeviceLost("gone")
        return super().readable()

    def read(self, frames: int) -> bytes:
        if self.lost:
            raise DeviceLost("gone")
        super().read(frames)
        return LOUD * frames

    def close(self) -> None:
        self.closed = True


class Shop:
    """Where devices come from, unless it is closed."""

    def __init__(self) -> None:
        self.sold: list[Microphone] = []
        self.refusal: VoicedError | None = None
        self.rate = 24_000
        self.said: list[str] = []
        self.presences: list[Presence] = []

    def open(self, wanted: Wanted, endpoint: str) -> tuple[InputDevice, Close]:
        if self.refusal is not None:
            raise self.refusal
        self.sold.append(Microphone(Wanted("null", self.rate, 1, 480)))
        return self.sold[-1], self.sold[-1].close

    def live(self, *, patient: bool = True, shut: bool = False, wanted: Wanted = WANTED) -> LiveInput:
        presence = Presence(SOURCES, wanted, lambda level, text: None)
        self.presences.append(presence)
        made = LiveInput(presence, wanted, self.open, lambda level, text: self.said.append(text), patient=patient, shut=shut)
        made.start()
        return made


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    for presence in made.presences:
        presence.close()


def test_a_device_that_is_lost_is_silent_at_once_and_opened_anew(shop: Shop) -> None:
    live = shop.live()
    assert live.read(2) == LOUD * 2
    shop.refusal = DeviceUnavailable("no input device")
    shop.sold[0].lost = True
    assert live.read(2) == bytes(4)
    assert (live.is_open, shop.sold[0].closed) == (False, True)
    live.look(MonoNs(0))
    assert not live.is_open
    assert live.readable() >= -2, "silence goes on at its pace"
    shop.refusal = None
    live.look(MonoNs(S // 5))
    assert not live.is_open, "nothing changed that would make it worth a try"
    live.look(MonoNs(S // 4))
    assert live.is_open
    assert live.read(2) == LOUD * 2
    assert len(shop.sold) == 2


def test_a_sound_server_that_hangs_holds_nothing_up(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/native")
    live = shop.live(shut=True, wanted=WANTED._replace(device="USB microphone"))
    with socket.socket(socket.AF_UNIX) as hangs:
        hangs.bind(str(tmp_path / "native"))
        hangs.listen()
        live.look(MonoNs(S))
        began = time.monotonic()
        live.open()
        assert live.is_open, "by what PortAudio has"
        shop.sold[0].lost = True
        live.readable()
        live.look(MonoNs(S + S // 2))
        assert not live.is_open, "it may tell yet"
        live.look(MonoNs(3 * S))
        assert live.is_open
        assert time.monotonic() - began < 0.5


def test_what_is_told_of_a_device_that_stays_away_is_told_once(shop: Shop) -> None:
    live = shop.live()
    shop.refusal = DeviceUnavailable("no input device")
    shop.sold[0].lost = True
    live.readable()
    for at in range(4):
        live.look(MonoNs(at * 6 * S))
    assert shop.said == ["gone", "no input device; waiting for it"]


def test_shut_it_is_closed_and_stays_so(shop: Shop) -> None:
    live = shop.live()
    live.shut()
    assert shop.sold[0].closed
    live.look(MonoNs(60 * S))
    assert not live.is_open
    assert live.read(3) == bytes(6)
    live.open()
    assert live.is_open
    assert live.read(3) == LOUD * 3


def test_it_may_begin_shut(shop: Shop) -> None:
    live = shop.live(shut=True)
    assert shop.sold == []
    live.open()
    assert live.read(1) == LOUD


def test_one_that_can_not_be_opened_stays_shut(shop: Shop) -> None:
    live = shop.live(shut=True)
    shop.refusal = DeviceUnavailable("no input device")
    with pytest.raises(DeviceUnavailable):
        live.open()
    shop.refusal = None
    live.look(MonoNs(60 * S))
    assert not live.is_open


def test_without_patience_a_missing_device_is_an_error(shop: Shop) -> None:
    shop.refusal = DeviceUnavailable("no input device")
    with pytest.raises(DeviceUnavailable):
        shop.live(patient=False)
    assert not shop.live().is_open


def test_a_device_of_another_format_takes_a_new_process(shop: Shop) -> None:
    live = shop.live()
    shop.sold[0].lost = True
    live.readable()
    shop.rate = 48_000
    with pytest.raises(DeviceLost, match="format"):
        live.look(MonoNs(0))
    assert shop.sold[1].closed


def test_overruns_of_all_its_devices_count(shop: Shop) -> None:
    live = shop.live()
    shop.sold[0].overruns = 2
    live.shut()
    live.open()
    shop.sold[1].overruns = 3
    assert live.overruns == 5
