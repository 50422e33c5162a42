import numpy as np
import pytest

from tests.audio.echo.sounds import db, in_pieces, lag, syllables
from voiced.audio.echo.interface import RATE_HZ
from voiced.audio.echo.wire import Aec3, Blend, Suppressor, Wire


@pytest.mark.parametrize("frames", [160, 320])
def test_aec3_delays_the_user_by_what_it_says(frames: int) -> None:
    user = syllables(1, 2.0)
    out = in_pieces(Aec3().process, user, np.zeros_like(user), frames=frames)
    assert out.dtype == np.float32
    assert len(out) == len(user)
    assert lag(out, user) == Aec3.delay


def test_aec3_takes_the_echo_away() -> None:
    far = syllables(2, 4.0)
    near = np.roll(far, 640) * np.float32(0.5)
    out = in_pieces(Aec3().process, near, far)
    assert db(near[RATE_HZ:]) - db(out[RATE_HZ:]) > 22


def test_what_the_suppressor_has_no_echo_for_it_only_delays() -> None:
    left = syllables(3, 1.0)
    out = in_pieces(Suppressor().process, left, np.zeros_like(left))
    np.testing.assert_allclose(out[Suppressor.delay :], left[: -Suppressor.delay], atol=1e-5)


def test_what_is_left_of_an_echo_is_lowered_and_a_user_beside_it_is_not() -> None:
    echo, user = syllables(5, 3.0), syllables(6, 3.0)
    left = echo * np.float32(0.2)
    assert db(in_pieces(Suppressor().process, left, echo)) < db(left) - 15
    both = in_pieces(Suppressor().process, left + user, echo)
    assert abs(db(both) - db(user)) < 1.5


def test_a_canceller_that_knows_the_room_is_not_corrected() -> None:
    """What it left of the echo is seen while nobody speaks; where that is little, the user over the echo stays as he is."""
    echo, user = syllables(12, 4.0), syllables(13, 4.0, 0.03)
    user[: 2 * RATE_HZ] = 0
    left = echo * np.float32(0.01) + user
    out = in_pieces(Suppressor().process, left, echo)
    said = slice(2 * RATE_HZ, None)
    off = np.roll(out, -Suppressor.delay)[said] - user[said]
    assert db(off) < db(user[said]) - 15


def test_the_clear_sound_comes_within_10_ms_and_goes_late_and_slowly() -> None:
    blend = Blend()
    zeros, ones = np.zeros(320, np.float32), np.ones(320, np.float32)
    shares = np.concatenate([blend.process(zeros, ones, speech) for speech in [0.7] * 5 + [0.9] * 5 + [0.1] * 40])
    assert not shares[: 5 * 320].any()
    assert np.all(shares[5 * 320 + 160 : 10 * 320] == 1)
    went = np.flatnonzero(shares[10 * 320 :] < 1)[0] * 1000 / RATE_HZ
    assert 350 < went < 450
    assert np.max(np.abs(np.diff(shares))) <= 1 / 160 + 1e-6
    assert shares[-1] == 0


def test_a_doubtful_voice_is_held_but_does_not_begin() -> None:
    blend = Blend()
    one = np.ones(320, np.float32)
    assert not blend.process(one * 0, one, 0.4).any()
    for speech in [0.9] + [0.4] * 60:
        blend.process(one * 0, one, speech)
    assert blend.share == 1


def test_while_nobody_speaks_the_quieter_sound_is_taken() -> None:
    blend = Blend()
    loud, low = np.ones(320, np.float32), np.full(320, 0.5, np.float32)
    for _ in range(30):
        blend.process(loud, low, 0.0)
    assert blend.share == 1
    for _ in range(60):
        blend.process(low, loud, 0.0)
    assert blend.share == 0


@pytest.mark.parametrize("noise_suppression", [True, False])
def test_the_wire_is_behind_the_user_by_what_it_says(noise_suppression: bool) -> None:
    user = syllables(7, 2.0)
    wire, aec3 = Wire(noise_suppression=noise_suppression, gain_control=False), Aec3()
    nothing = np.zeros_like(user)
    strict = in_pieces(aec3.process, user, nothing)
    for speech in (0.0, 1.0):
        sound, clear = on_the_wire(wire, strict, user, nothing, speech)
        assert lag(sound, user) == lag(clear, user) == wire.delay


def test_the_user_over_the_assistant_is_heard_from_the_linear_canceller_and_nobody_from_aec3() -> None:
    strict, left, nothing = syllables(8, 1.0), syllables(9, 1.0), np.zeros(RATE_HZ, np.float32)
    sound, clear = on_the_wire(Wire(noise_suppression=False, gain_control=False), strict, left, nothing, 1.0)
    np.testing.assert_allclose(sound[320:], clear[320:], atol=1e-6)
    plain = Wire(noise_suppression=True, gain_control=False)
    sound, clear = on_the_wire(plain, strict, left, nothing, 0.0)
    assert abs(lag(sound, strict) - (plain.delay - Aec3.delay)) <= 1


def test_steady_noise_is_lowered() -> None:
    noise = np.random.default_rng(10).normal(0, 0.01, 4 * RATE_HZ).astype(np.float32)
    nothing = np.zeros_like(noise)
    for speech in (0.0, 1.0):
        loud = on_the_wire(Wire(noise_suppression=False, gain_control=False), noise, noise, nothing, speech)[0]
        quiet = on_the_wire(Wire(noise_suppression=True, gain_control=False), noise, noise, nothing, speech)[0]
        assert db(quiet[-RATE_HZ:]) < db(loud[-RATE_HZ:]) - 8


def test_a_low_voice_is_raised_alike_in_both() -> None:
    voice = syllables(11, 6.0, level=0.01)
    wire = Wire(noise_suppression=False, gain_control=True)
    sound, clear = on_the_wire(wire, voice, voice, np.zeros_like(voice), 1.0)
    last = slice(-RATE_HZ, None)
    assert db(sound[last]) > db(voice[last]) + 6
    assert abs(db(sound[last]) - db(clear[last])) < 1


def on_the_wire(wire: Wire, strict: np.ndarray, left: np.ndarray, echo: np.ndarray, speech: float) -> tuple[np.ndarray, np.ndarray]:
    blocks = [wire.process(*(each[at : at + 320] for each in (strict, left, echo)), speech) for at in range(0, len(strict), 320)]
    return np.concatenate([block.sound for block in blocks]), np.concatenate([block.clear for block in blocks])


def test_rumble_does_not_go_out() -> None:
    rumble = 0.1 * np.sin(2 * np.pi * 20 * np.arange(2 * RATE_HZ) / RATE_HZ).astype(np.float32)
    nothing = np.zeros_like(rumble)
    strict = in_pieces(Aec3().process, rumble, nothing)
    for out in on_the_wire(Wire(noise_suppression=False, gain_control=False), strict, rumble, nothing, 1.0):
        assert db(out[RATE_HZ:]) < db(rumble) - 15
