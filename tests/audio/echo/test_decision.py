import numpy as np
import pytest

from voiced.audio.echo.decision import MOMENTS, Fusion, Judge
from voiced.audio.echo.evidence import SIZE
from voiced.audio.echo.interface import WINDOW
from voiced.audio.silero import WINDOW_MS


def windows(judge: Judge, odds: float, count: int) -> list[tuple[bool, bool]]:
    return [(d.suspected, d.confirmed) for d in (judge.decide(odds, True) for _ in range(count))]


def test_sure_speech_is_suspected_at_once_and_confirmed_after_a_while() -> None:
    flags = windows(Judge(0.5), 6.0, 10)
    suspected, confirmed = (next(n for n, pair in enumerate(flags, 1) if pair[which]) * WINDOW_MS for which in (0, 1))
    assert suspected <= 64
    assert 96 <= confirmed <= 160


def test_faint_evidence_counts_when_there_is_much_of_it() -> None:
    flags = windows(Judge(0.5), 0.8, 40)
    assert not flags[2][1]
    assert flags[-1][1]


def test_a_short_burst_is_not_confirmed_and_soon_forgotten() -> None:
    judge = Judge(0.5)
    assert not any(confirmed for _, confirmed in windows(judge, 6.0, 2))
    assert windows(judge, -6.0, 4)[-1] == (False, False)


def test_it_stays_confirmed_over_a_gap_within_a_word() -> None:
    judge = Judge(0.5)
    windows(judge, 6.0, 10)
    assert windows(judge, -2.0, 3)[-1] == (True, True)
    assert windows(judge, -6.0, 6)[-1] == (False, False)


def test_silence_never_runs_up_a_debt() -> None:
    judge = Judge(0.5)
    windows(judge, -6.0, 1000)
    assert windows(judge, 6.0, 6)[-1] == (True, True)


@pytest.mark.parametrize(("threshold", "heard"), [(0.2, True), (0.5, False), (0.9, False)])
def test_a_higher_threshold_is_deafer(threshold: float, heard: bool) -> None:
    assert windows(Judge(threshold), -0.5, 40)[-1][1] is heard


def test_the_decision_tells_how_likely_and_whether_the_assistant_may_be_heard() -> None:
    decision = Judge(0.5).decide(0.0, far_active=False)
    assert decision.speech == 0.5
    assert not decision.far_active


def test_the_network_sees_its_moments_and_no_more() -> None:
    random = np.random.default_rng(0)
    pieces = random.normal(0, 1, (3 * MOMENTS, SIZE)).astype(np.float32)
    old, new = Fusion(), Fusion()
    all_of_them = [old.likely(piece) for piece in pieces]
    for piece in pieces[-MOMENTS:]:
        last = new.likely(piece)
    assert last == pytest.approx(all_of_them[-1], abs=1e-4)
    assert WINDOW == 512
    assert np.std(all_of_them) > 0.1


def confirmed_after(judge: Judge, *, known: bool) -> int:
    """Windows of sure speech."""
    return next(n for n in range(1, 100) if judge.decide(6.0, True, known=known).confirmed)


def test_until_the_first_echo_is_known_it_takes_more() -> None:
    assert confirmed_after(Judge(0.5), known=True) == 3
    assert confirmed_after(Judge(0.5), known=False) == 8


def test_what_spoke_for_the_user_before_the_echo_was_known_counts_no_more() -> None:
    judge = Judge(0.5)
    for _ in range(7):
        assert not judge.decide(6.0, True, known=False).confirmed
    assert not judge.decide(6.0, True, known=True).confirmed
    assert confirmed_after(judge, known=True) == 2, "and from then on as ever"


def test_who_wears_headphones_is_not_made_to_wait_for_an_echo() -> None:
    judge = Judge(0.5)
    for _ in range(3 * 16_000 // WINDOW):
        judge.decide(-6.0, True, known=False)
    assert confirmed_after(judge, known=False) == 3
