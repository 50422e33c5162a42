"""How thoroughly to measure."""

from typing import NamedTuple


class Options(NamedTuple):
    samples: int
    baseline_samples: int
    speech_minutes: float  # how long dropouts are listened for
    starts: int
    cost_s: float  # how long each sample of the processor's use is


FULL = Options(samples=30, baseline_samples=10, speech_minutes=10, starts=30, cost_s=5)
QUICK = Options(samples=4, baseline_samples=1, speech_minutes=0.1, starts=3, cost_s=2)
