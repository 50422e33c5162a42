"""Synthetic rooms, whose delay and echo return loss are known."""

import numpy as np
import pytest

from voiced.doctor import acoustics
from voiced.doctor.acoustics import Samples

RATE = 24_000
SWEEP = acoustics.sweep(RATE, 0.7) * np.float32(0.14)
AFTER = round(0.8 * RATE)


def convolved(sound: Samples, response: Samples) -> Samples:
    """As np.convolve, which takes seconds for a long response."""
    length = len(sound) + len(response) - 1
    size = 1 << length.bit_length()
    return np.asarray(np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)[:length], np.float32)


def room(tail_ms: float, delay_ms: float, loss_db: float, direct_db: float) -> Samples:
    """An impulse response: a direct path and, `direct_db` weaker, noise that decays by 60 dB in `tail_ms`; so that a sweep comes
    back `loss_db` weaker."""
    frames = round(RATE * tail_ms / 1000)
    tail = np.random.default_rng(7).standard_normal(frames) * 10 ** (-3 * np.arange(frames) / frames)
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] += 1
    response = np.concatenate((np.zeros(round(RATE * delay_ms / 1000)), tail)).astype(np.float32)
    back = convolved(SWEEP, response)
    return np.asarray(response * 10 ** (-loss_db / 20) * np.sqrt(np.sum(SWEEP**2) / np.sum(back**2)), np.float32)


def heard(response: Samples, noise_dbfs: float) -> Samples:
    back = convolved(SWEEP, response)[: len(SWEEP) + AFTER]
    noise = np.random.default_rng(8).standard_normal(len(SWEEP) + AFTER) * 10 ** (noise_dbfs / 20)
    noise[: len(back)] += back
    return np.asarray(noise, np.float32)


@pytest.mark.parametrize(
    ("tail_ms", "delay_ms", "loss_db", "noise_dbfs", "direct_db"),
    [
        (60, 20, 0, -70, 3),
        (128, 60, 10, -60, 3),
        (250, 200, 20, -60, -15),  # a diffuse room: the direct path is hardly there
        (250, 120, 0, -60, -15),
        (60, 20, 40, -50, 3),  # 10 dB below the noise
        (128, 60, 20, -40, 3),
        (5, 300, -6, -90, 9),  # louder than what is played
        (30, 600, 12, -60, 3),  # Bluetooth
    ],
)
def test_delay_and_return_loss_of_a_room(tail_ms: float, delay_ms: float, loss_db: float, noise_dbfs: float, direct_db: float) -> None:
    found = acoustics.echo(SWEEP, heard(room(tail_ms, delay_ms, loss_db, direct_db), noise_dbfs), RATE)
    assert found is not None
    assert found.delay_ms == pytest.approx(delay_ms, abs=1)
    assert found.return_loss_db == pytest.approx(loss_db, abs=1)


def test_the_tail_is_half_the_time_of_60_db() -> None:
    found = acoustics.echo(SWEEP, heard(room(250, 50, 6, -15), -70), RATE)
    assert found is not None
    assert found.tail_ms == pytest.approx(125, rel=0.15)


def test_a_reflection_louder_than_the_direct_sound_is_not_the_first() -> None:
    """As of a loudspeaker that points at the wall."""
    response = np.zeros(RATE // 10, np.float32)
    response[[RATE // 50, RATE // 25]] = 0.5, 1.0
    found = acoustics.echo(SWEEP, heard(response, -60), RATE)
    assert found is not None
    assert found.delay_ms == pytest.approx(20, abs=1)


def test_a_loudspeaker_that_distorts_is_still_found_in_its_place() -> None:
    bent = np.tanh(2.5 * heard(room(60, 40, 0, 3), -60) / 0.14) * 0.14 / 2.5
    found = acoustics.echo(SWEEP, np.asarray(bent, np.float32), RATE)
    assert found is not None
    assert found.delay_ms == pytest.approx(40, abs=1)


@pytest.mark.parametrize("noise_dbfs", [-100.0, -60.0, -20.0])
def test_noise_alone_is_no_echo(noise_dbfs: float) -> None:
    assert acoustics.echo(SWEEP, heard(np.zeros(1, np.float32), noise_dbfs), RATE) is None


def test_silence_is_no_echo() -> None:
    assert acoustics.echo(SWEEP, np.zeros(len(SWEEP) + AFTER, np.float32), RATE) is None


@pytest.mark.parametrize("ppm", [-250.0, 0.0, 40.0, 100.0])
def test_drift_of_two_clocks(ppm: float) -> None:
    """The later sweep is heard by so much later than it should."""
    apart = 6 * RATE
    late = apart * ppm / 1e6
    first = acoustics.response(SWEEP, heard(room(60, 20, 6, 3), -70))
    spectrum = np.fft.rfft(first) * np.exp(-2j * np.pi * np.fft.rfftfreq(len(first)) * late)
    last = np.asarray(np.fft.irfft(spectrum, len(first)), np.float32)
    assert acoustics.drift_ppm(first, last, apart) == pytest.approx(ppm, abs=2)


def test_levels_tell_noise_offset_and_a_switch_that_is_off() -> None:
    noise = np.random.default_rng(9).standard_normal(RATE).astype(np.float32) * np.float32(0.001)
    found = acoustics.levels(noise + np.float32(0.01))
    assert (found.noise_dbfs, found.offset_dbfs) == pytest.approx((-60, -40), abs=0.2)
    assert not found.digital_silence
    assert acoustics.levels(np.zeros(RATE, np.float32)).digital_silence


def test_a_sweep_neither_clicks_nor_clips() -> None:
    sweep = acoustics.sweep(RATE, 0.7)
    assert np.abs(sweep).max() <= 1
    assert abs(sweep[0]) + abs(sweep[-1]) < 1e-3


def test_what_clips() -> None:
    assert acoustics.clipped_ms(np.array([1.0, -1.0, 0.5, 0.1] * RATE, np.float32), RATE) == pytest.approx(2000)
