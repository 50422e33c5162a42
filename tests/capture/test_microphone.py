"""The parts of capture joined: what goes in as sound of the device comes out as frames, whatever lies between."""

import numpy as np

from voiced.audio.format import BUS_FORMAT, from_device
from voiced.capture.interruption import Cleaned
from voiced.capture.microphone import Microphone
from voiced.messages import LocalSpeech, MicFrame, MonoNs

_MS = 1_000_000
SETTINGS = {
    "muted": False,
    "push_to_talk": False,
    "frame_ms": 20,
    "noise_suppression": False,
    "gain_control": False,
    "barge_in": {"mode": "duck", "duck_db": 18.0, "resume_ms": 600, "threshold": 0.5},
}


class Word:
    """Hears its word in the first loud sound."""

    def process(self, sound: np.ndarray) -> float | None:
        return 0.9 if abs(sound).max() > 0.5 else None

    def reset(self) -> None:
        pass


def tone(frames: int, amplitude: float = 8000) -> bytes:
    time = np.arange(480 * frames) / 24_000
    return np.rint(amplitude * np.sin(2 * np.pi * 500 * time)).astype("<i2").tobytes()


def feed(microphone: Microphone, pcm: bytes, frames: int = 1) -> list[tuple[MicFrame | LocalSpeech, bytes | None]]:
    """So many frames at a time."""
    size = 960 * frames
    taken = [microphone.take(pcm[at : at + size], MonoNs(at * _MS)) for at in range(0, len(pcm), size)]
    return [message for each in taken for message in each.to_network]


def loudness(pcm: bytes | None) -> float:
    return float(abs(np.frombuffer(pcm or b"", "<i2").astype(float)).max())


def test_sound_comes_out_a_frame_for_a_frame_within_20_ms() -> None:
    microphone = Microphone(SETTINGS, from_device(BUS_FORMAT), Cleaned.OURS)
    begun = len(feed(microphone, tone(3, 0)))
    out = feed(microphone, tone(10, 0) + tone(20))
    frames = [(message, sound) for message, sound in out if isinstance(message, MicFrame)]
    assert [message.seq for message, _ in frames] == list(range(begun, begun + 30))
    assert all(sound is not None and len(sound) == 960 for _, sound in frames)
    assert loudness(frames[9][1]) < 200
    assert loudness(frames[11][1]) > 2000, "20 ms after it began"


def test_what_nobody_cleans_is_left_alone() -> None:
    microphone = Microphone(SETTINGS, from_device(BUS_FORMAT), Cleaned.NOBODY)
    pcm = tone(20)
    assert b"".join(sound or b"" for _, sound in feed(microphone, pcm)) == pcm


def test_muted_it_is_zeros_with_the_clock_going_on() -> None:
    microphone = Microphone(SETTINGS | {"muted": True}, from_device(BUS_FORMAT), Cleaned.OURS)
    [(frame, sound)] = feed(microphone, tone(1))
    assert (frame, sound) == (MicFrame(0, MonoNs(0), True), bytes(960))
    assert microphone.level_dbfs == -96


def test_no_sample_crosses_the_switch() -> None:
    microphone = Microphone(SETTINGS, from_device(BUS_FORMAT), Cleaned.NOBODY)
    microphone.take(tone(1)[:600], MonoNs(0))
    microphone.mute(True, MonoNs(0))
    [(_, sound)] = microphone.take(tone(1), MonoNs(0)).to_network
    assert sound == bytes(960)


def test_nor_does_one_that_was_still_on_its_way_through_the_canceller() -> None:
    microphone = Microphone(SETTINGS, from_device(BUS_FORMAT), Cleaned.OURS)
    feed(microphone, tone(30))
    microphone.mute(True, MonoNs(0))
    feed(microphone, tone(10))
    microphone.mute(False, MonoNs(0))
    out = [sound for message, sound in feed(microphone, tone(10, 0)) if isinstance(message, MicFrame)]
    assert max(map(loudness, out)) < 10


def test_until_the_word_nothing_is_heard_and_then_what_led_to_it() -> None:
    microphone = Microphone(SETTINGS, from_device(BUS_FORMAT), Cleaned.NOBODY, Word())
    quiet = feed(microphone, tone(100, 4000))
    assert all(sound == bytes(960) for _, sound in quiet)
    out = feed(microphone, tone(1, 20_000))
    assert isinstance(out[0][0], LocalSpeech)
    assert out[0][0].phase == "wake"
    sounds = [sound for message, sound in out if isinstance(message, MicFrame)]
    assert len(sounds) == 75, "1.5 s"
    assert all(loudness(sound) > 3000 for sound in sounds)
    assert all(sound != bytes(960) for _, sound in feed(microphone, tone(10, 4000)))


def test_told_to_it_goes_deaf_again() -> None:
    microphone = Microphone(SETTINGS, from_device(BUS_FORMAT), Cleaned.NOBODY, Word())
    feed(microphone, tone(1, 20_000) + tone(1, 0))
    microphone.listen(open=False, now=MonoNs(0))
    assert feed(microphone, tone(1, 4000)) == [(MicFrame(2, MonoNs(0), False), bytes(960))]
    assert microphone.facts()["listening"] is False


def test_told_to_listen_when_it_does_nothing_is_interrupted() -> None:
    credulous = {"mode": "duck", "duck_db": 18.0, "resume_ms": 600, "threshold": 1e-6}
    microphone = Microphone(SETTINGS | {"barge_in": credulous}, from_device(BUS_FORMAT), Cleaned.NOBODY, Word())
    feed(microphone, tone(1, 20_000) + tone(5, 4000))
    assert microphone.listen(open=True, now=MonoNs(0)) == []
    assert [message for message, _ in feed(microphone, tone(20, 4000)) if isinstance(message, LocalSpeech)] == [], "it speaks already"
