"""Sounds of our own: short, soft, and told apart."""

from array import array
from itertools import pairwise

import pytest

from voiced.audio.meter import dbfs
from voiced.playback.earcons import EARCONS, sound


@pytest.mark.parametrize("name", EARCONS)
def test_an_earcon_is_short_soft_and_does_not_click(name: str) -> None:
    samples = array("h", sound(name))
    assert len(samples) <= 150 * 24
    assert -40 < dbfs(samples.tobytes()) < -26
    assert abs(samples[0]) <= 1
    assert abs(samples[-1]) <= 1
    assert max(abs(b - a) for a, b in pairwise(samples)) < 300


def test_they_differ() -> None:
    assert len({sound(name) for name in EARCONS}) == len(EARCONS)
