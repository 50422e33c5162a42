"""The PortAudio adapter where a device refuses. No sound server's device does, so a stand-in plays the card."""

from typing import Any

import pytest

from voiced.audio import portaudio
from voiced.audio.device import DeviceInfo, OpenFormat, Wanted
from voiced.errors import DeviceLost, DeviceRateRefused, DeviceUnavailable

CARD = DeviceInfo(0, "Card", "ALSA", 2, 48_000, True)


class PickyCard:
    """Stands in for PyAudio: one device, which takes one rate and so many channels, as bare hardware does."""

    def __init__(self, rate: int, channels: int) -> None:
        self._takes = rate, channels
        self.asked: list[tuple[int, int]] = []

    def open(self, *, rate: int, channels: int, **_: Any) -> str:
        self.asked.append((rate, channels))
        if rate != self._takes[0]:
            raise OSError(-9997, "Invalid sample rate")
        if channels != self._takes[1]:
            raise OSError(-9998, "Invalid number of channels")
        return "stream"


def opened(card: PickyCard, wanted: Wanted) -> OpenFormat:
    library = portaudio.PortAudio.__new__(portaudio.PortAudio)
    library._pa = card  # type: ignore[assignment]  # stands in
    return library._open(CARD, wanted, portaudio.OUTPUT, 480)[1]


@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (48_000, 1), (24_000, 2), (48_000, 2)])
def test_what_was_asked_for_is_tried_first_and_what_the_device_has_after_it(rate: int, channels: int) -> None:
    card = PickyCard(rate, channels)
    assert opened(card, Wanted("", 24_000, 1, 1440)) == OpenFormat(rate, channels)
    assert card.asked[0] == (24_000, 1)


def test_a_device_that_takes_nothing_that_we_can_give_is_refused() -> None:
    with pytest.raises(DeviceRateRefused, match="24000"):
        opened(PickyCard(96_000, 1), Wanted("", 24_000, 1, 1440))
    with pytest.raises(DeviceUnavailable, match="channels"):
        opened(PickyCard(48_000, 8), Wanted("", 48_000, 1, 1440))


def test_a_device_that_refuses_every_rate_says_which_and_where_to_change_it() -> None:
    refused = portaudio._refusal(CARD, Wanted("", 24_000, 1, 480), portaudio.OUTPUT, OSError(-9997, "Invalid sample rate"))
    assert isinstance(refused, DeviceRateRefused)
    assert "Card" in refused.message
    assert "24000 Hz" in refused.message
    assert "audio.playback.rate" in refused.message


def test_a_device_that_is_busy_or_gone_says_so() -> None:
    busy = portaudio._unavailable(CARD, portaudio.INPUT, OSError(-9985, "Device unavailable"))
    gone = portaudio._unavailable(CARD, portaudio.INPUT, OSError(-9996, "Invalid device"))
    assert isinstance(busy, DeviceUnavailable)
    assert "another program" in busy.message
    assert "gone" in gone.message
    assert "audio.capture.device" in gone.message


def test_a_device_that_has_only_errors_for_us_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [-9999] * 24 + [480] + [-9981] * 50 + [-9999] * 24

    def available(stream: object) -> int:
        return answers.pop(0) if answers else -9999

    monkeypatch.setattr(portaudio.pa, "get_stream_read_available", available)

    class Wrapper:
        _stream = None

    device = portaudio._Input("Card", Wrapper(), OpenFormat(24_000, 1))
    while answers:
        device.readable()
    with pytest.raises(DeviceLost):
        device.readable()
    assert device.overruns == 50
