import numpy as np
import pytest

from tests.audio.echo.echoes import babble, echoed, response
from voiced.audio.echo import path
from voiced.audio.echo.far import BLOCK, PARTITIONS


def weights(taps: np.ndarray) -> path.Weights:
    padded = np.zeros(PARTITIONS * BLOCK)
    padded[: len(taps)] = taps
    blocks = np.concatenate((padded.reshape(PARTITIONS, BLOCK), np.zeros((PARTITIONS, BLOCK))), axis=1)
    return np.fft.rfft(blocks, axis=1).astype(np.complex64)


@pytest.mark.parametrize("by", [640, -640, 16, -1])
def test_a_moved_path_is_the_path_of_an_echo_that_comes_so_much_later(by: int) -> None:
    taps = np.pad(response(1, delay_ms=60), (0, 700))
    moved = path.moved(weights(taps), by)
    assert np.allclose(moved, weights(np.roll(taps, by)), atol=1e-5)
    assert path.strongest(moved) == path.strongest(weights(taps)) + by


def test_what_leaves_the_filter_is_lost() -> None:
    taps = np.zeros(PARTITIONS * BLOCK)
    taps[5] = 1
    for by in (-6, PARTITIONS * BLOCK, -2 * PARTITIONS * BLOCK):
        assert not np.abs(path.moved(weights(taps), by)).max() > 1e-6


@pytest.mark.parametrize("later", [0, 1, 7, -13])
def test_the_drift_of_a_path_is_seen(later: int) -> None:
    taps = np.pad(response(2, delay_ms=50), (0, 40))
    assert path.drifted(weights(np.roll(taps, later)), weights(taps)) == later


def test_another_path_has_not_drifted() -> None:
    assert path.drifted(weights(response(3, tail_ms=200)), weights(response(4, delay_ms=90, tail_ms=200))) is None
    assert path.drifted(weights(response(3)), np.zeros_like(weights(response(3)))) is None


def heard(seed: int) -> np.ndarray:
    return echoed(babble(seed, 1), response(seed))[-2 * path.COMPARED :]


@pytest.mark.parametrize("by", [640, -640, 30, -3])
def test_a_jump_is_found_to_the_sample(by: int) -> None:
    sound = heard(5)
    assert path.jumped(np.roll(sound, by)[-path.COMPARED :], sound[-path.COMPARED :]) == by


def test_a_user_who_talks_is_no_jump() -> None:
    sound, user = heard(6)[-path.COMPARED :], babble(7, 1, 0.1)[-path.COMPARED :]
    assert path.jumped(sound + user, sound) is None
    assert path.jumped(user, sound) is None
    assert path.jumped(user, np.zeros_like(user)) is None
