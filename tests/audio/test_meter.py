"""How loud a frame is."""

import array

import pytest

from voiced.audio.meter import FLOOR_DBFS, dbfs


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        ([32767, -32767] * 240, 0.0),
        ([16384, -16384] * 240, -6.0),
        ([3277] * 480, -20.0),
        ([1] * 480, -90.3),
        ([0] * 480, FLOOR_DBFS),
        ([], FLOOR_DBFS),
    ],
)
def test_rms_against_full_scale(samples: list[int], level: float) -> None:
    assert dbfs(array.array("h", samples).tobytes()) == pytest.approx(level, abs=0.05)
