"""The capture process on a real sound server: what is said comes out in frames, and muted means nothing does."""

from typing import Any

import pytest

from tests.system.family import Family, next_of
from voiced.bus import DUCK, MICROPHONE, Receiver
from voiced.demo.soundserver import SoundServer
from voiced.messages import Duck, Failed, Heartbeat, Log, MicFrame, Ready

pytestmark = pytest.mark.system

SETTINGS: dict[str, Any] = {
    "device": "",
    "rate": 24_000,
    "channels": 1,
    "frame_ms": 20,
    "muted": False,
    "hard_mute": False,
    # As it comes from the device: what cleaning does to it is told elsewhere.
    "echo_cancellation": "off",
    "noise_suppression": False,
    "gain_control": False,
    "barge_in": {"mode": "server", "duck_db": 18.0, "resume_ms": 600, "threshold": 0.5},
    "wake_word": "",
    "push_to_talk": False,
}
SAID = b"\x10\x27" * 12_000  # half a second, no sample of it zero


def loud_ms(microphone: Receiver, until_quiet_frames: int = 20) -> float:
    """Waits for sound and for its end; how much of it there was."""
    loud, quiet = 0, 0
    while not loud or quiet < until_quiet_frames:
        _, sound = next_of(microphone, MicFrame)
        samples = memoryview(sound).cast("h")
        here = sum(1 for sample in samples if sample)
        loud += here
        quiet = 0 if here else quiet + 1
    return loud / 24


@pytest.mark.parametrize(("rate", "channels", "frame_ms"), [(24_000, 1, 20), (24_000, 1, 10), (48_000, 2, 20), (44_100, 1, 10)])
def test_what_is_said_arrives_whole(family: Family, sound: SoundServer, rate: int, channels: int, frame_ms: int) -> None:
    microphone = Receiver(family.bus.bind(MICROPHONE))
    family.start("capture", **{**SETTINGS, "rate": rate, "channels": channels, "frame_ms": frame_ms})
    detail = family.wait_for(Ready).detail
    assert detail | {"device": "default", "rate": rate, "muted": False, "open": True} == detail
    speech = sound.play(SAID)
    assert loud_ms(microphone) == pytest.approx(500, abs=15)
    speech.wait()
    first, pcm = next_of(microphone, MicFrame)
    second, _ = next_of(microphone, MicFrame)
    assert second.seq == first.seq + 1
    assert len(pcm) == frame_ms * 48


def test_muted_means_zeros_and_unmuted_sound_again(family: Family, sound: SoundServer) -> None:
    microphone = Receiver(family.bus.bind(MICROPHONE))
    family.start("capture", **SETTINGS)
    family.wait_for(Ready)
    speech = sound.play(SAID * 6)
    while not any(next_of(microphone, MicFrame)[1]):
        pass
    assert family.order("capture", "mute") == {"muted": True}
    # What was on its way when the switch fell is thrown away at the receiver's door, which opens anew.
    while not next_of(microphone, MicFrame)[0].muted:
        pass
    for _ in range(25):
        frame, pcm = next_of(microphone, MicFrame)
        assert frame.muted
        assert not any(pcm)
    assert family.order("capture", "toggle_mute") == {"muted": False}
    while not any(next_of(microphone, MicFrame)[1]):
        pass
    speech.stop()


def test_a_voice_that_a_process_before_it_lowered_is_raised(family: Family) -> None:
    ducks = Receiver(family.bus.bind(DUCK))
    family.start("capture", **SETTINGS)
    assert not next_of(ducks, Duck)[0].lowered


def test_devices_are_listed_both_ways(family: Family) -> None:
    family.start("capture", **SETTINGS)
    family.wait_for(Ready)
    listed = family.order("capture", "devices")
    for direction in ("input", "output"):
        assert [row["host_api"] for row in listed[direction] if row["default"]] == ["sound server"]
        assert "default" in [row["name"] for row in listed[direction]]


@pytest.mark.parametrize(
    ("settings", "code", "word"),
    [
        ({"device": "conch"}, "device_unknown", "conch"),
        ({"device": "file:/nonexistent.wav"}, "device_unavailable", "/nonexistent.wav"),
    ],
)
def test_a_device_that_is_not_there_is_one_clear_line(family: Family, settings: dict[str, str], code: str, word: str) -> None:
    child = family.start("capture", **{**SETTINGS, **settings})
    failed = family.wait_for(Failed)
    assert failed.code == code
    assert word in failed.message
    assert "\n" not in failed.message
    assert child.wait(5) != 0


def test_a_sound_server_that_dies_is_waited_for(family: Family, sound: SoundServer) -> None:
    family.start("capture", **SETTINGS)
    family.wait_for(Ready)
    sound.kill()
    while "went away" not in family.wait_for(Log).text:
        pass
    while family.wait_for(Heartbeat).stats["open"]:
        pass
    sound.relaunch()
    while not family.wait_for(Heartbeat).stats["open"]:
        pass
