"""Frames of the microphone: cut and stamped."""

from hypothesis import given
from hypothesis import strategies as st

from voiced.audio.device import OpenFormat
from voiced.audio.format import BUS_FORMAT, from_device
from voiced.capture.framer import Framer, Watch, wait_ms
from voiced.messages import MonoNs

NOW = MonoNs(123_000_000)


def framer(frame_ms: int = 20) -> Framer:
    return Framer(from_device(BUS_FORMAT), frame_ms)


def test_frames_are_whole_and_stamped_with_their_end() -> None:
    made = framer()
    assert made.feed(b"\1\0" * 479, NOW) == []
    assert made.feed(b"\1\0" * 481, NOW) == [(MonoNs(NOW - 20_000_000), b"\1\0" * 480), (NOW, b"\1\0" * 480)]


def test_ten_milliseconds_where_asked() -> None:
    assert [at for at, _ in framer(frame_ms=10).feed(b"\1\0" * 480, NOW)] == [NOW - 10_000_000, NOW]


def test_a_part_of_a_frame_can_be_forgotten() -> None:
    made = framer()
    made.feed(b"\1\0" * 300, NOW)
    made.forget()
    assert made.feed(b"\2\0" * 480, NOW) == [(NOW, b"\2\0" * 480)]


@given(st.lists(st.integers(0, 900), max_size=30))
def test_however_the_device_cuts_it_the_sound_is_the_same(sizes: list[int]) -> None:
    whole = b"".join(index.to_bytes(2, "little") for index in range(sum(sizes)))
    made = framer()
    out, at = b"", 0
    for size in sizes:
        for _, sound in made.feed(whole[at * 2 : (at + size) * 2], NOW):
            out += sound
        at += size
    assert out == whole[: len(out)]
    assert len(whole) - len(out) < 960


def test_a_stereo_device_at_another_rate_gives_the_same_frames() -> None:
    made = Framer(from_device(OpenFormat(48_000, 2)), 20)
    frames = [frame for _ in range(10) for frame in made.feed(b"\x10\x27" * 2 * 960, NOW)]
    assert len(frames) in (9, 10)
    assert all(len(sound) == 960 for _, sound in frames)
    last = int.from_bytes(frames[-1][1][-2:], "little", signed=True)
    assert abs(last - 10_000) < 50


def test_waits_as_long_as_the_frame_needs() -> None:
    assert wait_ms(0, 480, 24_000) == 20
    assert wait_ms(240, 480, 24_000) == 10
    assert wait_ms(479, 480, 24_000) == 1
    assert wait_ms(480, 480, 24_000) == 0
    assert wait_ms(0, 48_000, 24_000) == 100


def test_a_silent_device_is_lost_after_the_limit() -> None:
    watch = Watch(limit_ns=100, now=MonoNs(0))
    assert not watch.expired(MonoNs(100))
    assert watch.expired(MonoNs(101))
    watch.heard(MonoNs(101))
    assert not watch.expired(MonoNs(201))
