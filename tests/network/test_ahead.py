from voiced.network.ahead import Ahead
from voiced.network.limits import DELTA_BYTES, SOUND_AHEAD_MS

S = 1_000_000_000
MINUTE = bytes(60 * 48_000)


def minutes(ahead: Ahead, now: int, *, sounding: bool = False) -> int:
    """How many it takes at once."""
    return next(count for count in range(100) if not ahead.takes(len(MINUTE), now, sounding=sounding))


def test_the_longest_reply_there_is_may_come_at_once() -> None:
    assert 27 < minutes(Ahead(), S) < SOUND_AHEAD_MS / 60_000


def test_what_is_heard_makes_room() -> None:
    ahead = Ahead()
    minutes(ahead, S)
    assert not ahead.takes(len(MINUTE), 121 * S, sounding=False)
    assert minutes(ahead, 241 * S, sounding=True) == 2
    ahead.silent()
    assert minutes(ahead, 241 * S) > 27


def test_a_voice_that_speaks_for_ever_is_let_speak() -> None:
    ahead = Ahead()
    assert all(ahead.takes(48_000, second * S, sounding=True) for second in range(1, 10_000))


def test_deltas_of_a_sample_are_not_for_nothing() -> None:
    ahead = Ahead()
    count = next(count for count in range(1_000_000) if not ahead.takes(2, S, sounding=False))
    assert count * DELTA_BYTES < SOUND_AHEAD_MS * 48


def test_flushes_in_a_row_make_no_room_faster_than_playback_can_throw_away() -> None:
    ahead = Ahead()
    first = minutes(ahead, S)
    ahead.flushed()
    assert minutes(ahead, S) == 0
    assert 5 < minutes(ahead, 2 * S) < 9
    ahead.flushed()
    assert minutes(ahead, 20 * S) == first
