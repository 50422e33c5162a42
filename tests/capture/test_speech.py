"""When speech starts and stops, told from probabilities."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.audio.silero import WINDOW_MS
from voiced.capture.speech import HANGOVER_MS, ONSET_MS, Segments
from voiced.messages import LocalSpeech, MonoNs


def told(probabilities: list[float], threshold: float = 0.5) -> list[tuple[str, int]]:
    """What changed, and in which window."""
    segments = Segments(threshold)
    changes = [segments.heard(probability, MonoNs(place)) for place, probability in enumerate(probabilities)]
    return [(change.phase, change.captured_ns) for change in changes if change]


def test_speech_begins_with_its_second_window_and_ends_after_the_hangover() -> None:
    assert told([0.1] * 5 + [0.9] * 20 + [0.1] * 20) == [("started", 6), ("stopped", 25 + 12)]
    assert told([0.9] * 2 + [0.1] * 20) == [("started", 1), ("stopped", 2 + 12)]
    assert 2 * WINDOW_MS >= ONSET_MS > WINDOW_MS
    assert 13 * WINDOW_MS >= HANGOVER_MS > 12 * WINDOW_MS


def test_one_window_is_no_speech() -> None:
    assert told([0.1, 0.99, 0.1] * 20) == []


def test_a_pause_inside_a_sentence_is_none() -> None:
    assert told([0.9] * 10 + [0.0] * 12 + [0.9] * 10) == [("started", 1)]


def test_a_voice_that_wavers_about_the_threshold_is_one() -> None:
    assert told([0.9] * 2 + [0.4] * 50) == [("started", 1)]
    assert told([0.4] * 50) == []


def test_what_decided_is_told() -> None:
    segments = Segments(0.5)
    segments.heard(0.6, MonoNs(1))
    assert segments.heard(0.7, MonoNs(2)) == LocalSpeech("started", MonoNs(2), 0.7)
    assert segments.speaking


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.95])
def test_the_threshold_is_the_one_asked_for(threshold: float) -> None:
    assert told([threshold - 0.01] * 20, threshold) == []
    assert told([threshold] * 20 + [0.0] * 20, threshold) == [("started", 1), ("stopped", 32)]


def test_reset_ends_speech_without_a_word() -> None:
    segments = Segments(0.5)
    for _ in range(3):
        segments.heard(0.9, MonoNs(0))
    segments.reset()
    assert not segments.speaking
    assert [segments.heard(0.0, MonoNs(0)) for _ in range(20)] == [None] * 20


@given(st.lists(st.floats(0, 1), max_size=300))
def test_starts_and_stops_alternate_and_no_stretch_is_too_short(probabilities: list[float]) -> None:
    changes = told(probabilities)
    assert [phase for phase, _ in changes] == ["started", "stopped"] * (len(changes) // 2) + ["started"] * (len(changes) % 2)
    for (phase, since), (_, until) in pairwise(changes):
        assert until - since >= (13 if phase == "started" else 2)
