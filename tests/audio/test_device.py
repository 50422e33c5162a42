"""Which device a user means."""

import pytest

from voiced.audio.device import DeviceInfo, Wanted, pick
from voiced.audio.opening import open_output
from voiced.errors import DeviceUnknown

DEVICES = [
    DeviceInfo(0, "HDA Intel: ALC257 Analog", "ALSA", 2, 48_000, False),
    DeviceInfo(3, "USB Headset", "ALSA", 1, 44_100, False),
    DeviceInfo(7, "default", "ALSA", 32, 44_100, True),
    DeviceInfo(8, "USB", "ALSA", 1, 44_100, False),
]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("", 7), ("3", 3), ("default", 7), ("headset", 3), ("hda", 0), ("USB", 8), ("usb", 3)],
)
def test_index_name_or_part_of_a_name(wanted: str, number: int) -> None:
    found = pick(wanted, DEVICES)
    assert found is not None
    assert found.number == number


@pytest.mark.parametrize("wanted", ["5", "gramophone"])
def test_what_is_not_there_is_not_guessed(wanted: str) -> None:
    assert pick(wanted, DEVICES) is None


def test_no_default_no_device() -> None:
    assert pick("", DEVICES[:2]) is None


def test_files_and_null_are_told_from_names() -> None:
    assert Wanted("file:/tmp/a b.wav", 24_000, 1, 480).file == "/tmp/a b.wav"
    assert Wanted("profile", 24_000, 1, 480).file is None
    assert Wanted("null", 24_000, 1, 480).is_null
    assert not Wanted("nullify", 24_000, 1, 480).is_null


def test_a_file_without_a_path_is_refused_not_taken_for_nothing() -> None:
    with pytest.raises(DeviceUnknown, match="needs a path"):
        open_output(Wanted("file:", 24_000, 1, 1440))
