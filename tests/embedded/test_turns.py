"""Turn detection, on probabilities and on real speech."""

import numpy as np
import pytest

from tests.embedded.conftest import Speech
from voiced.audio import silero
from voiced.audio.resample import Resampler
from voiced.embedded.settings import SemanticVad, ServerVad
from voiced.embedded.turns import WINDOW_MS, Turn, TurnDetector


def turns(probabilities: list[float], vad: ServerVad | SemanticVad | None = None) -> list[tuple[Turn, int]]:
    """What changed, and at which ms of audio it was known."""
    detector = TurnDetector()
    found = []
    for probability in probabilities:
        turn = detector.step(probability, vad or ServerVad())
        if turn:
            found.append((turn, detector.heard_ms))
    return found


def judged(pcm: bytes) -> list[float]:
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    return silero.Silero().process(Resampler(24_000, silero.RATE_HZ).process(samples))


def test_the_window_is_the_detectors() -> None:
    assert WINDOW_MS == silero.WINDOW_MS


def test_a_single_window_is_no_speech() -> None:
    assert turns([0, 0.9, 0, 0.9, 0, 0, 0.9]) == []


def test_speech_starts_after_64_ms_and_remembers_its_onset() -> None:
    detector = TurnDetector()
    assert [detector.step(p, ServerVad()) for p in (0.0, 0.9, 0.9)] == [None, None, Turn.STARTED]
    assert detector.onset_ms == 32


def test_speech_stops_after_the_silence_asked_for() -> None:
    said = [0.9] * 10
    assert turns(said + [0.0] * 20, ServerVad(silence_duration_ms=200))[1] == (Turn.STOPPED, 320 + 224)
    assert turns(said + [0.0] * 20, ServerVad(silence_duration_ms=500))[1] == (Turn.STOPPED, 320 + 512)
    assert len(turns(said + [0.0] * 20, SemanticVad(eagerness="low"))) == 1


def test_a_pause_inside_a_sentence_does_not_stop_it() -> None:
    assert len(turns([0.9] * 5 + [0.0] * 6 + [0.9] * 5 + [0.0] * 6)) == 1


def test_hesitation_is_no_silence() -> None:
    assert len(turns([0.9] * 5 + [0.4] * 30)) == 1  # below the threshold, not by 0.15


def test_the_threshold_is_obeyed() -> None:
    assert turns([0.6] * 10, ServerVad(threshold=0.7)) == []
    assert len(turns([0.6] * 10, ServerVad(threshold=0.5))) == 1


def test_real_speech_is_one_turn(speech: Speech) -> None:
    said = speech("What time is it now, please?")
    found = turns(judged(bytes(48 * 500) + said + bytes(48 * 600)), ServerVad(silence_duration_ms=500))
    assert [turn for turn, _ in found] == [Turn.STARTED, Turn.STOPPED]
    assert found[1][1] <= 500 + len(said) / 48 + 600


@pytest.mark.parametrize("kind", ["noise", "hum", "organ", "drum"])
def test_what_is_no_speech_starts_no_turn(kind: str) -> None:
    seconds = np.arange(24_000 * 5) / 24_000
    random = np.random.default_rng(3)
    second_chord = np.floor(seconds) % 2 == 1
    sound = {
        "noise": random.normal(0, 0.1, len(seconds)),
        "hum": 0.3 * np.sign(np.sin(2 * np.pi * 50 * seconds)),
        "organ": 0.05
        * np.sum([2 * ((seconds * np.where(second_chord, low, high)) % 1) - 1 for low, high in ((196, 220), (247, 277))], axis=0),
        "drum": random.normal(0, 0.2, len(seconds)) * np.exp(-20 * (seconds % 0.5)) + 0.4 * np.sin(2 * np.pi * 60 * seconds),
    }[kind]
    assert turns(judged((sound.clip(-1, 1) * 32767).astype("<i2").tobytes())) == []


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.15])
def test_a_turn_ends_however_low_the_threshold(threshold: float) -> None:
    assert [turn for turn, _ in turns([0.9] * 5 + [0.005] * 10, ServerVad(threshold=threshold))] == [Turn.STARTED, Turn.STOPPED]
