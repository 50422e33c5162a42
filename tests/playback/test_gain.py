"""Volume and duck, sample by sample."""

from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.playback.gain import Loudness


def samples(pcm: bytes) -> list[int]:
    return array("h", pcm).tolist()


def steady(value: int, frames: int) -> bytes:
    return array("h", [value] * frames).tobytes()


def test_full_volume_is_the_very_same_sound() -> None:
    pcm = bytes(range(256)) * 4
    assert Loudness(100, 18).apply(pcm) is pcm


@pytest.mark.parametrize(("percent", "became"), [(0, 0), (50, 5000), (99, 9900), (150, 15_000)])
def test_percent_is_of_the_amplitude(percent: int, became: int) -> None:
    assert set(samples(Loudness(percent, 18).apply(steady(10_000, 480)))) == {became}


def test_what_is_too_loud_is_clipped_and_does_not_wrap() -> None:
    assert samples(Loudness(150, 18).apply(array("h", [32767, -32768, 21846, -21846]).tobytes())) == [32767, -32768, 32767, -32768]


def test_quiet_sound_is_rounded_and_not_pushed_off_centre() -> None:
    assert samples(Loudness(50, 18).apply(array("h", [1, -1, 2, -2, 3, -3, 0]).tobytes())) == [1, 0, 1, -1, 2, -1, 0]


def test_the_volume_turns_smoothly_within_15_ms() -> None:
    loudness = Loudness(100, 18)
    loudness.turn_to(50)
    heard = samples(loudness.apply(steady(10_000, 480)))
    assert heard[0] > 9950
    assert max(a - b for a, b in pairwise(heard)) < 20
    assert heard[359:] == [5000] * 121


def test_a_duck_of_18_db_is_an_eighth_and_comes_back_over_150_ms() -> None:
    loudness = Loudness(100, 18)
    loudness.lower()
    assert samples(loudness.apply(steady(10_000, 480)))[120:] == [1259] * 360
    loudness.raise_again()
    back = samples(loudness.apply(steady(10_000, 3600)))
    assert back == sorted(back)
    assert back[1800] == pytest.approx(5630, abs=10)
    assert back[-1] == 10_000
    assert samples(loudness.apply(steady(10_000, 10))) == [10_000] * 10


def test_a_ramp_that_is_turned_around_goes_on_from_where_it_was() -> None:
    loudness = Loudness(100, 18)
    loudness.lower()
    loudness.apply(steady(10_000, 480))
    loudness.raise_again()
    there = samples(loudness.apply(steady(10_000, 1000)))[-1]
    loudness.lower()
    back = samples(loudness.apply(steady(10_000, 480)))
    assert there - 30 < back[0] <= there
    assert back[-1] == 1259


def test_low_is_what_a_duck_need_not_lower() -> None:
    loudness = Loudness(80, 18)
    assert not loudness.low
    loudness.lower()
    assert not loudness.low  # nothing low is written yet
    loudness.apply(steady(1, 480))
    assert loudness.low
    loudness.raise_again()
    loudness.apply(steady(1, 3600))
    assert not loudness.low


def test_landing_fades_in_from_nothing() -> None:
    loudness = Loudness(100, 18)
    loudness.land()
    heard = samples(loudness.apply(steady(12_000, 240)))
    assert heard[0] == 100
    assert heard[119:] == [12_000] * 121


def test_a_reset_is_full_volume_at_once() -> None:
    loudness = Loudness(50, 18)
    loudness.lower()
    loudness.apply(steady(1, 480))
    loudness.reset()
    assert samples(loudness.apply(steady(10_000, 2))) == [5000, 5000]
    assert not loudness.ducked


_moves = st.lists(st.sampled_from(["lower", "raise_again", "land", "reset", "0", "70", "150", "play"]), max_size=30)


@given(_moves, st.lists(st.integers(-32768, 32767), min_size=1, max_size=300))
def test_whatever_happens_no_sample_is_lost_and_none_grows_beyond_the_loudest_volume(moves: list[str], sound: list[int]) -> None:
    loudness = Loudness(100, 18)
    for move in moves:
        if move.isdecimal():
            loudness.turn_to(int(move))
        elif move == "play":
            became = samples(loudness.apply(array("h", sound).tobytes()))
            assert len(became) == len(sound)
            assert all(abs(b) <= min(32768, abs(a) * 3 / 2 + 1) and a * b >= 0 for a, b in zip(sound, became, strict=True))
        else:
            getattr(loudness, move)()
    loudness.apply(bytes(2 * 3600))
    assert samples(loudness.apply(steady(10_000, 1))) == [round(loudness.percent * (12.5893 if loudness.ducked else 100))]
