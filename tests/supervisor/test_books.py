from pathlib import Path
from typing import Any

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


def texts(made: Books, wall_s: float) -> list[str]:
    return [said["text"] for said in made.history(wall_s)]


def test_all_of_this_run_is_remembered_and_of_an_earlier_one_what_is_recent(tmp_path: Path) -> None:
    first = books(tmp_path)
    first.said(turn("one"), NOON_S)
    assert texts(first, NOON_S + 7200) == ["one"], "two hours of one run"
    assert texts(books(tmp_path, NOON_S + 600), NOON_S + 600) == ["one"]
    assert texts(books(tmp_path, NOON_S + 2000), NOON_S + 2000) == []
    assert texts(books(tmp_path, NOON_S + 2000, memory__resume_min=60), NOON_S + 2000) == ["one"]


def test_what_is_not_to_be_kept_is_remembered_only(tmp_path: Path) -> None:
    made = books(tmp_path, memory__keep=False)
    made.said(turn("one"), NOON_S)
    assert texts(made, NOON_S) == ["one"]
    assert not list(tmp_path.glob("turns*"))
    made.configure(config(), NOON_S)
    made.said(turn("two"), NOON_S + 1)
    assert texts(books(tmp_path), NOON_S + 1) == ["two"]


def test_the_cap_holds_until_the_day_is_over(tmp_path: Path) -> None:
    made = books(tmp_path, cost__daily_cap_usd=2.0)
    assert made.exhausted == ""
    assert [topic for topic, _ in made.spent(SPENT, NOON_S)] == ["usage", "error"]
    assert "daily cap" in made.exhausted
    midnight_s = made.next_day_s
    assert NOON_S < midnight_s <= NOON_S + DAY_S
    assert [topic for topic, _ in made.turn_page(midnight_s)] == ["usage"]
    assert made.exhausted == ""
    assert made.next_day_s > midnight_s


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
