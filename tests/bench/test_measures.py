"""What the benchmark's figures rest on: finding sound again, holes, percentiles."""

import numpy as np
import pytest

from tests.bench import sounds
from tests.bench.table import Figure, markdown_table, stats, text_table

SOURCE = sounds.as_samples(sounds.noise(4, seed=1))


def recording(played: int, lead: int = 1000, tail: int = 500) -> tuple[sounds.Samples, int]:
    heard = np.concatenate([np.zeros(lead), SOURCE[:played], np.zeros(tail)])
    return heard, lead + played - 1


@pytest.mark.parametrize("played", [2000, 24_000, 50_001])
def test_a_cut_recording_tells_how_much_was_played(played: int) -> None:
    heard, last = recording(played)
    assert sounds.place(heard, last, SOURCE) == played


def test_a_fade_at_the_end_does_not_matter() -> None:
    heard, last = recording(30_000)
    heard[last - 119 : last + 1] *= np.linspace(1, 0, 120)
    assert sounds.place(heard, last, SOURCE) == 30_000


def test_a_lower_volume_does_not_matter() -> None:
    heard, last = recording(30_000)
    assert sounds.place(heard * 0.3, last, SOURCE) == 30_000


def test_what_was_played_before_a_hole_counts_in_the_item_not_in_time() -> None:
    heard = np.concatenate([SOURCE[:6000], np.zeros(9600), SOURCE[6000:20_000]])
    assert sounds.place(heard, len(heard) - 1, SOURCE) == 20_000


def test_another_sound_has_no_place() -> None:
    other = sounds.as_samples(sounds.noise(1, seed=2))
    assert sounds.place(other, len(other) - 1, SOURCE) is None


def test_a_stretch_too_short_to_be_known_has_no_place() -> None:
    heard, last = recording(150)
    assert sounds.place(heard, last, SOURCE) is None


def test_holes_are_found_with_their_lengths() -> None:
    heard = SOURCE[:5000].copy()
    heard[100:101] = 0
    heard[3000:3240] = 0
    assert sounds.gaps(heard) == [1, 240]


def test_noise_has_no_hole_of_its_own() -> None:
    assert sounds.gaps(sounds.as_samples(sounds.noise(10, seed=3))) == []


NOISE = sounds.noise(4, seed=1)


def pcm(first: int, end: int) -> bytes:
    return NOISE[2 * first : 2 * end]


def test_what_two_sessions_were_told_is_joined_to_the_sample() -> None:
    before = sounds.stretches(bytes(2000) + pcm(100, 50_000), NOISE)
    after = sounds.stretches(pcm(26_000, 90_000) + bytes(960), NOISE)
    assert (before, after) == ([(100, 50_000)], [(26_000, 90_000)])
    assert sounds.missing([*before, *after]) == 0


@pytest.mark.parametrize("lost", [1, 480, 5000])
def test_samples_that_neither_session_was_told_are_missing(lost: int) -> None:
    before, after = sounds.stretches(pcm(0, 30_000), NOISE), sounds.stretches(pcm(30_000 + lost, 90_000), NOISE)
    assert sounds.missing([*before, *after]) == lost


def test_samples_lost_within_a_session_are_missing_and_added_silence_is_not() -> None:
    told = sounds.stretches(pcm(0, 10_000) + bytes(700) + pcm(10_000, 20_000) + pcm(20_240, 30_000), NOISE)
    assert told == [(0, 10_000), (10_000, 20_000), (20_240, 30_000)]
    assert sounds.missing(told) == 240


def test_what_is_not_to_the_sample_as_it_was_said_is_no_part_of_it() -> None:
    quieter = (sounds.as_samples(pcm(0, 24_000)) * 0.9).astype("<i2").tobytes()
    assert sounds.stretches(quieter, NOISE) == []


def test_percentiles_are_measured_samples() -> None:
    assert stats(list(range(1, 101))) == (100, 50, 95, 100)
    assert stats([7.0]) == (1, 7, 7, 7)


def test_the_table_marks_what_was_not_reached_and_fits_the_screen() -> None:
    figures = [
        Figure("speech_started → silence", "ms", [1.2, 9.0], 1.5, 5, {"1024 frames": [114.0], "2400 frames": [303.0]}),
        Figure("kept", "ms", [1.0], 1.5, None),
        Figure("nothing measured", "ms", [], 1.5, None),
    ]
    assert [figure.met for figure in figures] == [False, True, None]
    lines = text_table(figures).splitlines()
    assert max(map(len, lines)) <= 100
    assert " !" in lines[2]
    assert "114 / 303" in lines[2]
    assert " !" not in lines[3]
    assert markdown_table(figures).count("\n") == 4
