from pathlib import Path
from typing import Any

import pytest

from voiced.config import Config
from voiced.supervisor.books import Books

NOON_S = 1_750_000_000.0
DAY_S = 86_400.0
USAGE = {"input_tokens": 1_000_000, "input_token_details": {"audio_tokens": 1_000_000}}
SPENT = {"kind": "response", "model": "test", "usage": USAGE}


def config(**values: Any) -> Config:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Config(named, "test", {"prices": {"test": {"audio_in": 2.0}}})


def books(directory: Path | None, wall_s: float = NOON_S, **values: Any) -> Books:
    return Books(config(**values), directory, wall_s, lambda text: None)


def turn(text: str) -> dict[str, Any]:
    return {"item_id": text, "role": "user", "text": text, "heard": text, "interrupted": False, "played_ms": None}


def texts(made: Books) -> list[str]:
    return [said["text"] for said in made.history]


def test_all_of_this_run_is_remembered_and_of_an_earlier_one_what_is_recent(tmp_path: Path) -> None:
    first = books(tmp_path)
    first.said(turn("one"), NOON_S)
    first.said(turn("two"), NOON_S + 7200)
    assert texts(first) == ["one", "two"], "two hours of one run"
    assert texts(books(tmp_path, NOON_S + 7800)) == ["two"]
    assert texts(books(tmp_path, NOON_S + 9200)) == []
    assert texts(books(tmp_path, NOON_S + 9200, memory__resume_min=60)) == ["two"]


def test_what_is_not_to_be_kept_is_remembered_only(tmp_path: Path) -> None:
    made = books(tmp_path, memory__keep=False)
    made.said(turn("one"), NOON_S)
    assert texts(made) == ["one"]
    assert not list(tmp_path.glob("turns*"))
    made.configure(config(), NOON_S)
    made.said(turn("two"), NOON_S + 1)
    assert texts(books(tmp_path)) == ["two"]
    assert texts(made) == ["one", "two"]


def test_what_is_kept_may_change_in_the_middle_of_a_conversation(tmp_path: Path) -> None:
    made = books(tmp_path)
    made.said(turn("one"), NOON_S)
    for values in ({"memory__keep": False}, {"memory__days": 7}, {"memory__resume_min": 0}):
        made.configure(config(**values), NOON_S)
        assert texts(made) == ["one"], values
    made.said(turn("two"), NOON_S)
    assert texts(books(tmp_path)) == ["one", "two"], "once each"


@pytest.mark.parametrize("leap_s", [365 * DAY_S, -365 * DAY_S])
def test_a_clock_that_leaps_does_not_end_the_conversation(tmp_path: Path, leap_s: float) -> None:
    books(tmp_path).said(turn("of an earlier run"), NOON_S - 5)
    made = books(tmp_path)
    made.said(turn("one"), NOON_S + leap_s)
    assert texts(made) == ["of an earlier run", "one"]


def test_the_cap_holds_until_the_day_is_over(tmp_path: Path) -> None:
    made = books(tmp_path, cost__daily_cap_usd=2.0)
    assert made.exhausted == ""
    assert [topic for topic, _ in made.spent(SPENT, NOON_S)] == ["usage", "error"]
    assert "daily cap" in made.exhausted
    assert not made.day_is_over(NOON_S + 1)
    assert made.day_is_over(NOON_S + DAY_S)
    assert [topic for topic, _ in made.turn_page(NOON_S + DAY_S)] == ["usage"]
    assert made.exhausted == ""
    assert not made.day_is_over(NOON_S + DAY_S)


def test_a_clock_that_leaps_and_comes_back_opens_nothing_and_closes_nothing(tmp_path: Path) -> None:
    made = books(tmp_path, cost__daily_cap_usd=2.0)
    made.spent(SPENT, NOON_S)
    made.turn_page(NOON_S + 365 * DAY_S)
    assert made.exhausted == ""
    assert made.day_is_over(NOON_S), "the ledger's day is another"
    made.turn_page(NOON_S)
    assert "daily cap" in made.exhausted

    ahead = books(None, NOON_S + DAY_S, cost__daily_cap_usd=2.0)
    ahead.spent(SPENT, NOON_S)
    assert "daily cap" in ahead.exhausted
    assert ahead.day_is_over(NOON_S + DAY_S), "at the next midnight, not a day later"


def test_a_cap_that_was_lowered_between_runs_is_told_at_the_start(tmp_path: Path) -> None:
    books(tmp_path).spent(SPENT, NOON_S)
    [(topic, error)] = books(tmp_path, cost__daily_cap_usd=1.0).turn_page(NOON_S)
    assert (topic, error["code"]) == ("error", "cost_cap_reached")


def test_a_higher_cap_holds_at_once(tmp_path: Path) -> None:
    made = books(tmp_path, cost__daily_cap_usd=2.0)
    made.spent(SPENT, NOON_S)
    made.configure(config(cost__daily_cap_usd=3.0), NOON_S)
    assert made.exhausted == ""


def test_recordings_have_a_place_where_they_are_allowed(tmp_path: Path) -> None:
    assert books(tmp_path).record_dir == ""
    assert books(tmp_path, allow__recording=True).record_dir == str(tmp_path / "recordings")
    assert books(None, allow__recording=True).record_dir == ""


def test_what_can_not_be_priced_under_a_cap_is_complained_of(tmp_path: Path) -> None:
    complaints: list[str] = []
    made = Books(config(cost__daily_cap_usd=2.0), tmp_path, NOON_S, lambda text: complaints.append(text) if text else None)
    made.spent(SPENT | {"model": "unheard-of"}, NOON_S)
    assert len(complaints) == 1
    assert "unheard-of" in complaints[0]
