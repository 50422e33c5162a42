"""When to cut a voice."""

from array import array
from math import pi, sin

import pytest

from voiced.playback.landing import wait_ns

LOUD = [12_000, -12_000] * 600


def pcm(samples: list[int]) -> bytes:
    return array("h", samples).tobytes()


@pytest.mark.parametrize("pause_at", [30, 50, 75])
def test_it_waits_for_the_middle_of_the_quiet_less_what_an_abort_takes(pause_at: int) -> None:
    ahead = LOUD[:pause_at] + [0] * 24 + LOUD
    assert wait_ns(pcm(ahead), 3) == pytest.approx((pause_at + 12 - 15) / 24 * 1e6, abs=1)


def test_it_waits_no_longer_than_it_may() -> None:
    assert wait_ns(pcm(LOUD[:200] + [0] * 24 + LOUD), 3) <= 3e6
    falling = [30_000 - 100 * at for at in range(240)]
    assert wait_ns(pcm(falling), 3) == pytest.approx(3e6, rel=0.02)
    assert wait_ns(pcm(falling), 5) == pytest.approx(5e6, rel=0.02)


def test_it_does_not_wait_where_it_may_not_or_nothing_sounds() -> None:
    assert wait_ns(pcm(LOUD[:50] + [0] * 24 + LOUD), 0) == 0
    assert wait_ns(b"", 3) == 0
    assert wait_ns(bytes(4800), 3) == 0


def test_what_is_cut_is_a_fraction_of_a_pitch_period_at_its_loudest() -> None:
    voice = [round(20_000 * sin(2 * pi * at / 24) * (0.05 + (1 - at % 144 / 144) ** 2)) for at in range(600)]  # 167 Hz
    energy = [sum(s * s for s in voice[at - 12 : at + 12]) for at in range(12, 588)]
    for now in range(0, 144, 7):
        cut = now + 15 + wait_ns(pcm(voice[now:]), 5) * 24 // 1_000_000
        assert energy[cut - 12] < max(energy) / 10
