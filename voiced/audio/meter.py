"""How loud a frame is."""

import array
import math
from operator import mul

_FULL_SCALE = 32768.0
#: What a 16-bit frame of nothing reads as: below one step of the converter.
FLOOR_DBFS = -96.0


def dbfs(pcm: bytes) -> float:
    """The level of s16le sound relative to a full-scale square wave: RMS in dBFS, at least FLOOR_DBFS.

    480 samples cost 25 us; numpy would be faster, and 9 MiB.
    """
    samples = array.array("h", pcm)
    if not samples:
        return FLOOR_DBFS
    mean_square = sum(map(mul, samples, samples)) / len(samples)
    return max(FLOOR_DBFS, round(10 * math.log10(mean_square / _FULL_SCALE**2), 1)) if mean_square else FLOOR_DBFS
