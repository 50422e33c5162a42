"""How thoroughly to measure."""

from typing import NamedTuple


class Options(NamedTuple):
    samples: int
    baseline_samples: int
    speech_minutes: float  # how long dropouts are listened for
    starts: int
    cost_s: float  # how long each sample of the processor's use is
    drops: int  # how often a connection is lost in each way
    moves: int  # how often a conversation moves to the next session in each way
    bursts: int
    told_minutes: float  # how long a story is told over open loudspeakers
    wakes: int  # calls of each wake word at each level
    unlike_minutes: float  # how long it is given each sound that is none
    rooms: float  # share of the laboratory's streams: 1 is ten minutes of each room, a hundred interruptions of each sort
    turns: int  # of one conversation; a week has 60 an hour


FULL = Options(
    samples=30,
    baseline_samples=10,
    speech_minutes=10,
    starts=30,
    cost_s=5,
    drops=6,
    moves=4,
    bursts=3,
    told_minutes=10,
    wakes=100,
    unlike_minutes=60,
    rooms=1.0,
    turns=10_080,
)
QUICK = Options(
    samples=4,
    baseline_samples=1,
    speech_minutes=0.1,
    starts=3,
    cost_s=2,
    drops=1,
    moves=1,
    bursts=1,
    told_minutes=0.4,
    wakes=4,
    unlike_minutes=0.2,
    rooms=0.05,
    turns=200,
)
