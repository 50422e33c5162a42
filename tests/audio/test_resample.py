import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiced.audio.resample import Resampler

DOWN = [(48_000, 24_000), (24_000, 16_000), (44_100, 24_000), (96_000, 24_000)]
UP = [(24_000, 48_000), (16_000, 24_000), (24_000, 44_100), (22_050, 24_000), (8_000, 24_000)]
RATES = DOWN + UP


def tone(rate: int, hz: float, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def level_db(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2)) + 1e-12))


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_tone_keeps_its_place_in_time_and_its_level(source: int, target: int) -> None:
    hz = 0.3 * min(source, target) / 2
    out = Resampler(source, target).process(tone(source, hz))
    wanted = tone(target, hz)[: len(out)]
    middle = slice(target // 20, len(out) - target // 20)
    assert level_db(out[middle] - wanted[middle]) < -60


@pytest.mark.parametrize(("source", "target"), RATES)
def test_the_delay_is_short(source: int, target: int) -> None:
    resampler = Resampler(source, target)
    given_s = 0.1
    out = resampler.process(tone(source, 400, given_s))
    assert resampler.delay_s <= 0.0015
    assert given_s - len(out) / target <= 0.0015


@pytest.mark.parametrize(("source", "target"), DOWN)
def test_what_the_target_rate_cannot_hold_is_gone(source: int, target: int) -> None:
    hz = (0.5 * target + 0.45 * source) / 2 + 0.03 * target
    out = Resampler(source, target).process(tone(source, hz))
    assert level_db(out[200:-200]) < -70


@settings(max_examples=60, deadline=None)
@given(
    rates=st.sampled_from(RATES),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    whole=st.booleans(),
)
def test_block_lengths_change_nothing(rates: tuple[int, int], cuts: list[int], whole: bool) -> None:
    noise = np.random.default_rng(1).normal(0, 8000, 3000).clip(-32768, 32767).astype(np.int16 if whole else np.float32)
    at_once = Resampler(*rates).process(noise)
    cut = Resampler(*rates)
    pieces = np.concatenate([cut.process(piece) for piece in np.split(noise, sorted(cuts))])
    assert len(at_once) == len(pieces)
    assert abs(at_once.astype(float) - pieces).max(initial=0) <= (1 if whole else 0.01), "of 8000: rounding"


def test_any_rational_ratio() -> None:
    out = Resampler(11_025, 48_000).process(tone(11_025, 500))
    assert level_db(out[2000:-2000] - tone(48_000, 500)[2000 : len(out) - 2000]) < -60


def test_flush_gives_the_whole_and_starts_anew() -> None:
    resampler = Resampler(16_000, 24_000)
    sound = (tone(16_000, 300, 0.25) * 20_000).astype(np.int16)
    first = np.concatenate([resampler.process(sound), resampler.flush()])
    second = np.concatenate([resampler.process(sound), resampler.flush()])
    assert len(first) == 6000
    assert np.array_equal(first, second)


def test_whole_numbers_are_clipped_not_wrapped() -> None:
    square = np.repeat(np.tile(np.array([32767, -32768], np.int16), 20), 40)
    out = Resampler(24_000, 48_000).process(square)
    assert out.dtype == np.int16
    assert np.all(np.abs(np.diff(out.astype(np.int32))) < 60_000)


def test_equal_rates_are_left_alone() -> None:
    sound = tone(24_000, 100, 0.1)
    assert Resampler(24_000, 24_000).process(sound) is sound


def test_a_long_recording_takes_little_memory() -> None:
    sound = np.random.default_rng(1).normal(0, 8000, 24_000 * 20).astype(np.int16)
    tracemalloc.start()
    try:
        at_once = Resampler(24_000, 16_000).process(sound)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24e6  # was 130e6
    cut = Resampler(24_000, 16_000)
    pieces = np.concatenate([cut.process(piece) for piece in np.split(sound, 77 * np.arange(1, 6000))])
    assert len(at_once) == len(pieces)
    assert abs(at_once.astype(float) - pieces).max() <= 1
