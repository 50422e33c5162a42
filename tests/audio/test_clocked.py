"""Devices that are only a clock and perhaps a file."""

import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from voiced.audio.clocked import ClockedInput, ClockedOutput
from voiced.audio.device import OpenFormat, Wanted
from voiced.errors import DeviceUnavailable


def wanted(device: str, rate: int = 24_000, channels: int = 1) -> Wanted:
    return Wanted(device, rate, channels, 60 * rate // 1000)


def write_wav(path: Path, pcm: bytes, rate: int = 24_000, channels: int = 1, width: int = 2) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(pcm)


def read_wav(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes())


def until(reached: Callable[[], bool]) -> None:
    """Waits for the device's clock."""
    deadline = time.monotonic() + 5
    while not reached():
        assert time.monotonic() < deadline


def test_null_takes_sound_at_the_pace_of_its_rate() -> None:
    device = ClockedOutput(wanted("null"))
    assert device.writable() == 1440
    began = time.monotonic()
    device.write(b"\1\0" * 1440)
    assert device.writable() < 1440
    until(lambda: device.writable() == 1440)
    assert 0.06 <= time.monotonic() - began < 1


def test_a_file_holds_what_was_heard_and_nothing_of_what_was_aborted(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    device = ClockedOutput(wanted(f"file:{path}"))
    device.write(b"\1\0" * 1440)
    until(lambda: device.writable() > 480)
    device.abort()
    assert device.writable() == 1440
    device.write(b"\2\0" * 240)
    until(lambda: device.writable() == 1440)
    device.close()
    heard = read_wav(path)
    first, second = heard.count(b"\1\0"), heard.count(b"\2\0")
    assert 480 <= first < 1440
    assert second == 240
    assert heard == b"\1\0" * first + b"\2\0" * second


def test_a_file_is_read_once_in_real_time_and_silence_follows(tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    write_wav(path, b"\1\0\2\0" * 1600, rate=16_000, channels=2)
    device = ClockedInput(wanted(f"file:{path}"))
    assert device.format == OpenFormat(16_000, 2)
    device.start()
    assert device.readable() < 1600
    until(lambda: device.readable() >= 1760)
    assert device.read(1600) == b"\1\0\2\0" * 1600
    assert device.read(160) == bytes(640)


def test_null_hears_silence() -> None:
    device = ClockedInput(wanted("null"))
    device.start()
    until(lambda: device.readable() >= 240)
    assert device.read(240) == bytes(480)


def test_files_that_can_not_be_used_are_named(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.wav"
    garbage.write_bytes(b"RIFF, it is not")
    coarse = tmp_path / "coarse.wav"
    write_wav(coarse, b"\1" * 100, width=1)
    for path in (tmp_path / "missing.wav", garbage, coarse):
        with pytest.raises(DeviceUnavailable, match=path.name):
            ClockedInput(wanted(f"file:{path}"))
    with pytest.raises(DeviceUnavailable, match=r"nowhere/heard\.wav"):
        ClockedOutput(wanted(f"file:{tmp_path}/nowhere/heard.wav"))
