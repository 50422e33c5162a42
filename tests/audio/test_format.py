"""From any device format to the bus and back."""

import array
import itertools
import math
import subprocess
import sys

import pytest

from voiced.audio.device import OpenFormat
from voiced.audio.format import BUS_FORMAT, from_device, to_device


def tone(format: OpenFormat, ms: int, hz: float = 500.0) -> bytes:
    samples = array.array("h")
    for index in range(format.rate * ms // 1000):
        samples.extend([round(8000 * math.sin(2 * math.pi * hz * index / format.rate))] * format.channels)
    return samples.tobytes()


def peak(pcm: bytes) -> int:
    return max(map(abs, array.array("h", pcm)))


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_there_and_back_keeps_length_and_level(rate: int, channels: int) -> None:
    device = OpenFormat(rate, channels)
    out, back = to_device(device), from_device(device)
    sound = tone(BUS_FORMAT, 200)
    there = b"".join(out.convert(sound[at : at + 960]) for at in range(0, len(sound), 960))
    again = back.convert(there)
    assert len(there) == pytest.approx(rate * channels * 2 // 5, abs=rate * channels * 2 * 0.003)
    assert len(again) == pytest.approx(len(sound), abs=2 * 24 * 4)
    assert peak(again) == pytest.approx(8000, rel=0.05)


def test_two_channels_are_averaged() -> None:
    left_only = array.array("h", [6000, 0] * 480).tobytes()
    assert from_device(OpenFormat(24_000, 2)).convert(left_only) == array.array("h", [3000] * 480).tobytes()


def test_two_channels_get_the_same_sound() -> None:
    assert to_device(OpenFormat(24_000, 2)).convert(b"\1\0\2\0") == b"\1\0\1\0\2\0\2\0"


def test_loud_sound_is_clipped_not_wrapped() -> None:
    out = to_device(OpenFormat(48_000, 1))
    square = array.array("h", ([32767] * 24 + [-32768] * 24) * 40).tobytes()
    samples = array.array("h", out.convert(square))
    jumps = [abs(after - before) for before, after in itertools.pairwise(samples)]
    assert max(jumps) < 60_000  # a wrapped sample would jump the whole range within one step of 1/48000 s


def test_after_a_reset_nothing_of_the_past_is_heard() -> None:
    out = to_device(OpenFormat(48_000, 1))
    out.convert(tone(BUS_FORMAT, 50))
    out.reset()
    assert peak(out.convert(bytes(960))) == 0


def test_a_device_of_the_bus_format_costs_no_numpy() -> None:
    program = "import sys; from voiced.audio.format import *; to_device(BUS_FORMAT); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
