import numpy as np
import pytest

from tests.audio.echo.echoes import babble, echoed, lowered_db, response
from voiced.audio.echo.far import BLOCK, PARTITIONS
from voiced.audio.echo.interface import RATE_HZ, Samples
from voiced.audio.echo.linear import Linear


def run(linear: Linear, near: Samples, far: Samples) -> Samples:
    """What is left of the microphone."""
    blocks = range(0, len(near) // BLOCK * BLOCK, BLOCK)
    return np.concatenate([linear.process(near[at : at + BLOCK], far[at : at + BLOCK]).left for at in blocks])


def seconds(sound: Samples, first: float, last: float) -> Samples:
    return sound[int(first * RATE_HZ) : int(last * RATE_HZ)]


def test_the_echo_goes_and_the_user_stays() -> None:
    far = babble(1, 6)
    echo = echoed(far, response(1))
    user = np.zeros_like(far)
    user[5 * RATE_HZ :] = babble(2, 1, 0.05)
    left = run(Linear(), echo + user, far)
    assert lowered_db(seconds(echo, 4, 5), seconds(left, 4, 5)) > 18
    assert lowered_db(seconds(user, 5, 6), seconds(left, 5, 6) - seconds(user, 5, 6)) > 6


def test_what_was_learned_outlives_a_silence() -> None:
    far = babble(3, 8)
    far[3 * RATE_HZ : 6 * RATE_HZ] = 0
    echo = echoed(far, response(2))
    linear = Linear()
    left = run(linear, echo, far)
    assert lowered_db(seconds(echo, 6.1, 6.6), seconds(left, 6.1, 6.6)) > 15


@pytest.mark.parametrize("by_ms", [40, -40, 2])
def test_a_jump_is_followed_within_a_second(by_ms: int) -> None:
    far = babble(4, 6)
    before, after = echoed(far, response(3, 80)), echoed(far, response(3, 80 + by_ms))
    near = np.concatenate((seconds(before, 0, 4), seconds(after, 4, 6)))
    linear = Linear()
    left = run(linear, near, far)
    assert lowered_db(seconds(near, 5, 6), seconds(left, 5, 6)) > 15
    assert linear.delay_ms == pytest.approx(80 + by_ms, abs=1)


@pytest.mark.parametrize("ppm", [100, -100])
def test_drift_is_measured_and_taken_out(ppm: int) -> None:
    far = babble(5, 12)
    steady = echoed(far, response(4))
    # A microphone whose clock is slower by `ppm` hears everything sooner and sooner.
    places = np.arange(len(far)) * (1 + ppm * 1e-6)
    near = np.interp(places, np.arange(len(far)), steady).astype(np.float32)
    linear = Linear()
    left = run(linear, near, far)
    assert linear.drift_ppm == pytest.approx(-ppm, abs=10)
    assert lowered_db(seconds(near, 11, 12), seconds(left, 11, 12)) > 15


def test_steady_clocks_show_no_drift() -> None:
    far = babble(6, 8)
    linear = Linear()
    run(linear, echoed(far, response(5)), far)
    assert linear.drift_ppm == pytest.approx(0, abs=2)


def test_double_talk_leaves_the_filter_as_good_as_it_was() -> None:
    far = babble(7, 7)
    echo = echoed(far, response(6))
    user = np.zeros_like(far)
    user[3 * RATE_HZ : 5 * RATE_HZ] = babble(8, 2, 0.2)
    left = run(Linear(), echo + user, far)
    assert lowered_db(seconds(echo, 5.2, 6), seconds(left, 5.2, 6)) > 12


def test_what_drifts_begins_anew_with_each_run() -> None:
    """Every run is stamped anew, so its echo is where that of the run before began, however long the silence was."""
    far = babble(11, 11)
    steady = echoed(far, response(7))
    near = np.interp(np.arange(len(far)) * (1 - 100e-6), np.arange(len(far)), steady).astype(np.float32)
    linear = Linear()
    run(linear, near, far)
    silence = np.zeros(60 * RATE_HZ, np.float32)
    run(linear, silence, silence)
    left = run(linear, near[:RATE_HZ], far[:RATE_HZ])
    assert lowered_db(seconds(near, 0.1, 0.5), seconds(left, 0.1, 0.5)) > 12
    assert linear.jumps == 0


def test_a_far_end_held_back_needs_no_learning() -> None:
    far = babble(12, 4)
    near = echoed(far, response(8, delay_ms=200))
    linear = Linear()
    run(linear, near[: 3 * RATE_HZ], far)
    by = 160 * RATE_HZ // 1000
    late = np.concatenate((np.zeros(by, np.float32), far))
    linear.hold(by, late[: 3 * RATE_HZ])
    left = run(linear, near[3 * RATE_HZ :], late[3 * RATE_HZ :])
    assert lowered_db(seconds(near, 3, 3.3), seconds(left, 0, 0.3)) > 18
    assert linear.delay_ms == pytest.approx(40, abs=1)


def test_without_a_far_end_the_microphone_passes_untouched() -> None:
    near = babble(9, 1)
    linear = Linear()
    assert linear.idle
    assert np.array_equal(run(linear, near, np.zeros_like(near)), near)
    assert linear.delay_ms is None
    assert linear.drift_ppm is None
    assert linear.erle_db is None


def test_it_is_idle_when_no_echo_can_be_left() -> None:
    linear = Linear()
    sound, nothing = babble(10, 0.02), np.zeros(BLOCK, np.float32)
    linear.process(sound, sound)
    for _ in range(PARTITIONS):
        linear.process(nothing, nothing)
        assert not linear.idle
    for _ in range(2):
        linear.process(nothing, nothing)
    assert linear.idle
