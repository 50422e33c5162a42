"""How a long recording is divided."""

import numpy as np

from voiced.embedded.recognisers import pieces

SECOND = 48_000


def test_a_long_turn_is_divided_where_it_is_quiet() -> None:
    sound = np.random.default_rng(1).normal(0, 5000, 70 * SECOND // 2).astype("<i2")
    for at_s in (5, 25, 52):
        sound[at_s * SECOND // 2 : (at_s * 10 + 3) * SECOND // 20] = 3
    pcm = sound.tobytes()
    found = list(pieces(pcm))
    assert b"".join(found) == pcm
    ends_s = np.cumsum([len(piece) / SECOND for piece in found])
    assert 25 < ends_s[0] < 25.3
    assert 52 < ends_s[1] < 52.3
    assert len(found) == 3


def test_a_short_turn_is_not_divided() -> None:
    assert list(pieces(bytes(30 * SECOND))) == [bytes(30 * SECOND)]
    assert list(pieces(b"")) == [b""]
