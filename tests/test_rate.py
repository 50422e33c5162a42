from hypothesis import given
from hypothesis import strategies as st

from voiced.rate import Rate


def test_a_burst_is_allowed_and_then_so_many_a_second() -> None:
    rate = Rate(10, 20)
    assert [rate.allows(100.0) for _ in range(21)] == [True] * 20 + [False]
    assert not rate.allows(100.05)
    assert rate.allows(100.15)
    assert not rate.allows(100.15)
    assert [rate.allows(200.0) for _ in range(21)] == [True] * 20 + [False]


def test_it_may_begin_at_any_time() -> None:
    assert [Rate(1, 2).allows(now_s) for now_s in (0.0, 1e9)] == [True, True]


def test_a_clock_that_goes_back_gives_nothing_for_nothing() -> None:
    rate = Rate(1, 1)
    assert rate.allows(50.0)
    assert not rate.allows(10.0)
    assert rate.allows(11.5)


@given(st.lists(st.floats(0, 60), max_size=300))
def test_for_long_it_is_never_more(times: list[float]) -> None:
    rate = Rate(5, 10)
    assert sum(rate.allows(now_s) for now_s in sorted(times)) <= 10 + 5 * 60
