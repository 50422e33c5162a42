"""The whole test, through rooms that are made of numbers, up to the canceller."""

from functools import cache

import numpy as np
import pytest

from tests.doctor.test_acoustics import convolved
from voiced.audio.resample import Resampler
from voiced.doctor import cancelling, programme
from voiced.doctor.acoustics import Samples
from voiced.doctor.programme import RATE, Duplex

TEST = programme.programme(1.0)


@cache
def recorded(delay_ms: float, gain: float, noise: float = 1e-4) -> Samples:
    """The test sound as a room with a short tail gives it back."""
    response = np.zeros(round(RATE * (delay_ms / 1000 + 0.03)))
    begin = round(RATE * delay_ms / 1000)
    tail = len(response) - begin
    response[begin:] = np.random.default_rng(3).standard_normal(tail) * 0.1 * 10 ** (-3 * np.arange(tail) / tail)
    response[begin] = 1
    back = convolved(TEST.sound, response.astype(np.float32))[: len(TEST.sound)] * gain
    return np.asarray(back + np.random.default_rng(4).standard_normal(len(back)) * noise, np.float32)


def test_a_good_room() -> None:
    heard = Duplex(recorded(50, 0.3), 0, 0)
    found = programme.judged(TEST, heard)
    assert found["heard"] == found["sweeps"] == 3
    assert found["delay_ms"] == pytest.approx(50, abs=1)
    assert found["delay_spread_ms"] < 0.1
    assert found["drift_ppm"] == pytest.approx(0, abs=1)
    assert found["noise_dbfs"] == pytest.approx(-80, abs=1)
    assert found["clipped_ms"] == 0


def test_the_canceller_learns_it() -> None:
    sound = recorded(50, 0.3)
    found = cancelling.tried(TEST, Duplex(sound, 0, 0), programme.judged(TEST, Duplex(sound, 0, 0)), 0.5)
    assert found is not None
    assert found["erle_db"] > 20
    assert found["linear_erle_db"] > 15
    assert found["interruptions"] == 0


def test_the_canceller_does_not_learn_what_comes_before_it_is_played() -> None:
    """AEC3 silences that, too, and everything with it: only the linear one tells."""
    sound = recorded(50, 0.3)
    early = np.concatenate((sound[RATE // 5 :], np.zeros(RATE // 5, np.float32)))
    found = cancelling.tried(TEST, Duplex(early, 0, 0), programme.judged(TEST, Duplex(sound, 0, 0)), 0.5)
    assert found is not None
    assert found["linear_erle_db"] < 3


def test_headphones_have_no_echo_and_nothing_to_cancel() -> None:
    heard = Duplex(recorded(50, 0.0), 0, 0)
    found = programme.judged(TEST, heard)
    assert (found["heard"], found["delay_ms"], found["drift_ppm"]) == (0, None, None)
    assert cancelling.tried(TEST, heard, found, 0.5) is None


def test_clocks_that_drift_are_seen() -> None:
    sound = recorded(50, 0.3)
    resampler = Resampler(10_000, 10_001)  # 100 ppm
    heard = np.concatenate((resampler.process(sound), np.zeros(100, np.float32)))
    assert programme.judged(TEST, Duplex(heard, 0, 0))["drift_ppm"] == pytest.approx(100, abs=3)


def test_a_delay_that_wanders_is_no_echo_of_one_place() -> None:
    early, late = recorded(50, 0.3), recorded(400, 0.3)
    middle = TEST.noise.first
    sound = np.concatenate((early[:middle], late[middle : TEST.sweeps[2].first], recorded(700, 0.3)[TEST.sweeps[2].first :]))
    found = programme.judged(TEST, Duplex(sound, 0, 0))
    assert found["delay_ms"] is None
    assert found["louder_db"] > 20


def test_after_a_dropout_clocks_are_not_judged() -> None:
    assert programme.judged(TEST, Duplex(recorded(50, 0.3), 1, 0))["drift_ppm"] is None


def test_a_microphone_that_ends_early_does_not_end_us() -> None:
    found = programme.judged(TEST, Duplex(recorded(50, 0.3)[: TEST.sweeps[0].end], 0, 0))
    assert (found["heard"], found["delay_ms"]) == (0, None)


def test_the_volume_is_that_of_playback() -> None:
    assert np.abs(programme.programme(0.5).sound).max() == pytest.approx(np.abs(TEST.sound).max() / 2, rel=1e-3)
    assert np.abs(programme.programme(1.5).sound).max() <= 1
