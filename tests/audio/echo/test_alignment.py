import numpy as np
import pytest

from tests.audio.echo.sounds import syllables
from voiced.audio.echo.alignment import Aligner
from voiced.audio.echo.interface import RATE_HZ


def echoed(far: np.ndarray, delay_ms: float, user: np.ndarray | float = 0.0) -> np.ndarray:
    """Through a room of 60 ms with a strong first path, in some noise."""
    random = np.random.default_rng(3)
    room = random.standard_normal(960) * np.exp(-np.arange(960) / 160) * 0.2
    room[0] = 1
    size = 2 * len(far)
    heard = np.fft.irfft(np.fft.rfft(far, size) * np.fft.rfft(room, size), size)[: len(far)]
    heard = np.concatenate((np.zeros(int(delay_ms * RATE_HZ / 1000)), heard))[: len(far)]
    return (0.5 * heard + user + random.normal(0, 0.001, len(far))).astype(np.float32)


def aligned(aligner: Aligner, near: np.ndarray, far: np.ndarray) -> np.ndarray:
    return np.concatenate([aligner.process(near[at : at + 320], far[at : at + 320]) for at in range(0, len(near), 320)])


@pytest.mark.parametrize("delay_ms", [5, 40, 200])
def test_an_echo_within_reach_is_left_where_it_is(delay_ms: int) -> None:
    far = syllables(1, 4.0)
    aligner = Aligner()
    out = aligned(aligner, echoed(far, delay_ms), far)
    np.testing.assert_array_equal(out, far)
    assert aligner.delay_ms == pytest.approx(delay_ms, abs=0.5)


@pytest.mark.parametrize("delay_ms", [300, 650, 950])
def test_a_far_end_whose_echo_is_late_is_held_back(delay_ms: int) -> None:
    far = syllables(2, 5.0)
    aligner = Aligner()
    out = aligned(aligner, echoed(far, delay_ms, syllables(3, 5.0, 0.05)), far)
    assert 10 < delay_ms - aligner.held * 1000 / RATE_HZ < 100
    last = slice(-RATE_HZ, None)
    np.testing.assert_array_equal(out[last], far[-RATE_HZ - aligner.held : -aligner.held])
    held = np.flatnonzero(out[3 * RATE_HZ :] != far[3 * RATE_HZ :])
    assert len(held) > RATE_HZ


def test_it_is_let_go_when_the_echo_comes_earlier_again() -> None:
    far = syllables(4, 12.0)
    half = len(far) // 2
    near = np.concatenate((echoed(far, 400)[:half], echoed(far, 30)[half:]))
    aligner = Aligner()
    aligned(aligner, near[:half], far[:half])
    assert aligner.held > 0
    aligned(aligner, near[half:], far[half:])
    assert aligner.held == 0


def test_nothing_is_found_where_there_is_no_echo() -> None:
    far, user = syllables(5, 20.0), syllables(6, 20.0)
    aligner = Aligner()
    np.testing.assert_array_equal(aligned(aligner, user, far), far)
    assert aligner.delay_ms is None


def test_nothing_is_searched_while_the_assistant_is_silent() -> None:
    far = np.zeros(4 * RATE_HZ, np.float32)
    aligner = Aligner()
    assert not aligned(aligner, syllables(7, 4.0), far).any()
    assert aligner.delay_ms is None
