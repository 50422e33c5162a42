import numpy as np
import pytest

from tests.audio.echo.echoes import babble
from voiced.audio.echo.evidence import BANDS, KINDS, SIZE, Evidence
from voiced.audio.echo.far import BLOCK
from voiced.audio.echo.interface import RATE_HZ, Samples


def weighed(*sounds: Samples, likely: float = 0.5) -> Samples:
    """The last piece of evidence of the five sounds, which end with a window."""
    evidence = Evidence()
    piece = np.zeros(0, np.float32)
    for at in range(0, len(sounds[0]), BLOCK):
        evidence.take(*(sound[at : at + BLOCK] for sound in sounds))
        if at >= 2 * BLOCK:
            piece = evidence.weigh(0, likely, likely)
    return piece


def bands(piece: Samples, kind: int) -> Samples:
    return piece[kind * BANDS : (kind + 1) * BANDS]


@pytest.fixture(scope="module")
def sounds() -> list[Samples]:
    """Echo of which a tenth of the amplitude is left, and nothing more in AEC3's output."""
    echo = babble(1, 2)
    return [echo, echo * np.float32(0.1), echo * np.float32(0.9), echo * np.float32(0.001), babble(1, 2)]


def test_an_echo_that_is_known_shows_in_every_band(sounds: list[Samples]) -> None:
    piece = weighed(*sounds)
    assert piece.shape == (SIZE,)
    assert bands(piece, 1) == pytest.approx(-2, abs=0.05)
    assert bands(piece, 2) == pytest.approx(-0.09, abs=0.05)
    assert bands(piece, 5) == pytest.approx(1, abs=0.01)


def test_how_loud_it_is_changes_little(sounds: list[Samples]) -> None:
    loud, low = weighed(*sounds), weighed(*(sound * np.float32(0.1) for sound in sounds))
    assert np.abs(bands(loud, 1) - bands(low, 1)).max() < 0.2
    assert np.abs(bands(loud, 4) - bands(low, 4)).max() < 0.5


def test_a_user_is_in_excess_of_what_an_echo_leaves(sounds: list[Samples]) -> None:
    near, left, echo, strict, far = sounds
    user = np.zeros_like(near)
    user[-1600:] = babble(5, 0.1, 0.2)
    alone, talking = weighed(*sounds), weighed(near + user, left + user, echo, strict + user, far)
    assert bands(talking, 4).mean() > bands(alone, 4).mean() + 1


def test_a_voice_is_periodic_and_a_click_is_not() -> None:
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    voice = np.asarray(0.1 * sum(np.sin(2 * np.pi * 140 * n * times) for n in range(1, 9)), np.float32)
    noise = np.random.default_rng(0).normal(0, 0.1, len(voice)).astype(np.float32)
    nothing = np.zeros_like(voice)
    in_left, in_strict = weighed(voice, voice, nothing, noise, nothing)[KINDS * BANDS + 7 :][:2]
    assert in_left > 0.7
    assert in_strict < 0.6


def rhythm(seed: int) -> Samples:
    """Noise of a loudness that changes from window to window."""
    steps = np.random.default_rng(seed).choice([0.1, 0.3, 1.0], RATE_HZ // 512 + 1)
    noise = np.random.default_rng(100 + seed).normal(0, 0.05, RATE_HZ // 320 * 320)
    return np.asarray(noise * np.repeat(steps, 512)[: len(noise)], np.float32)


def test_what_a_wrong_path_leaves_has_the_rhythm_of_the_echo_and_the_user_has_not() -> None:
    wrong, user = [], []
    for seed in range(4):
        echo, voice = rhythm(seed), rhythm(10 + seed)
        nothing, moved = np.zeros_like(echo), np.roll(echo, 40)
        wrong.append(weighed(echo, echo - moved, moved, nothing, echo)[KINDS * BANDS + 12])
        user.append(weighed(echo + voice, voice, echo, nothing, echo)[KINDS * BANDS + 12])
    assert np.mean(wrong) > 0.8
    assert np.mean(user) < 0.4


def test_the_expected_echo_is_in_the_microphone_whoever_talks_unless_it_jumped() -> None:
    echo, nothing = rhythm(1), np.zeros_like(rhythm(1))
    talking = weighed(echo + rhythm(2), rhythm(2), echo, nothing, echo)[-1]
    jumped = weighed(np.roll(echo, 640), np.roll(echo, 640) - echo, echo, nothing, echo)[-1]
    assert talking > 0.8
    assert jumped < 0.4


def test_silence_is_no_trouble() -> None:
    nothing = np.zeros(RATE_HZ, np.float32)
    assert np.isfinite(weighed(nothing, nothing, nothing, nothing, nothing, likely=0.0)).all()


def test_an_older_window_is_the_one_that_ended_then() -> None:
    sound = babble(3, 1)
    now, then = Evidence(), Evidence()
    for at in range(0, len(sound) - BLOCK, BLOCK):
        now.take(*(sound[at : at + BLOCK] for _ in range(5)))
        then.take(*(sound[at + 100 : at + 100 + BLOCK] for _ in range(5)))
    assert np.allclose(now.weigh(0, 0.5, 0.5), then.weigh(100, 0.5, 0.5), atol=1e-5)
