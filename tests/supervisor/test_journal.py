import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from voiced.supervisor.journal import MOST_CHARS, MOST_TURNS, Journal
from voiced.supervisor.state import day_of

NOW = time.mktime((2026, 11, 22, 12, 0, 0, 0, 0, -1))
DAY_S = 86_400
ALWAYS = 1e9


def turn(text: str, role: str = "user") -> dict[str, Any]:
    return {"item_id": "item_1", "role": role, "text": text, "heard": text, "interrupted": False, "played_ms": 0}


def texts(turns: list[dict[str, Any]]) -> list[str]:
    return [turn["text"] for turn in turns]


def opened(home: Path | None, wall_s: float = NOW, days: int = 30, resume_s: float = ALWAYS) -> Journal:
    return Journal(home, days, resume_s, wall_s)


def recent(home: Path, within_s: float, wall_s: float = NOW) -> list[dict[str, Any]]:
    """What a run that starts now goes on with."""
    return opened(home, wall_s, resume_s=within_s).turns


def test_a_turn_is_one_line_with_its_time(home: Path) -> None:
    said = {**turn("Hello", "assistant"), "heard": "Hel", "interrupted": True, "played_ms": 420}
    assert opened(home).add(said, NOW + 0.12345) is None
    lines = (home / "turns-2026-11-22.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{**said, "time": NOW + 0.123}]


def test_a_restart_knows_what_was_said_lately(home: Path) -> None:
    first = opened(home, NOW - 2 * DAY_S)
    for text, when in (("days ago", NOW - 2 * DAY_S), ("an hour ago", NOW - 3600), ("just now", NOW - 5)):
        first.add(turn(text), when)
    assert texts(first.turns) == ["days ago", "an hour ago", "just now"]
    for within_s, known in ((60, ["just now"]), (3600, ["an hour ago", "just now"]), (ALWAYS, texts(first.turns))):
        second = opened(home, resume_s=within_s)
        assert texts(second.turns) == known
        second.add(turn("now"), NOW + ALWAYS)
        assert texts(second.turns) == [*known, "now"], "all of its own run"
        (home / f"turns-{day_of(NOW + ALWAYS)}.jsonl").unlink()
    assert recent(home, 60) == [{**turn("just now"), "time": NOW - 5}]


def test_what_is_being_said_is_known_until_it_was_heard(home: Path) -> None:
    journal = opened(home)
    journal.add(turn("Count."), NOW)
    journal.begun("item_2", "One", final=False)
    journal.begun("item_2", "One two", final=False)
    [_, saying] = journal.turns
    assert (saying["text"], saying["heard"], saying["role"], saying["over"], saying["final"]) == (
        "One two",
        "One two",
        "assistant",
        False,
        False,
    )
    assert texts(recent(home, ALWAYS)) == ["Count."], "it is not written down"
    journal.add({**turn("One two three", "assistant"), "item_id": "item_2"}, NOW)
    assert texts(journal.turns) == ["Count.", "One two three"]
    for number in range(1000):
        journal.begun(f"never heard {number}", "x" * 100_000, final=True)
    assert len(journal.turns) < 20
    assert sum(len(turn["text"]) for turn in journal.turns) < 60_000


def test_over_midnight_it_reads_on(home: Path) -> None:
    midnight = time.mktime((2026, 11, 23, 0, 0, 0, 0, 0, -1))
    journal = opened(home, midnight - 10)
    journal.add(turn("before"), midnight - 10)
    journal.add(turn("after"), midnight + 10)
    assert sorted(path.name for path in home.iterdir()) == ["turns-2026-11-22.jsonl", "turns-2026-11-23.jsonl"]
    assert texts(recent(home, 60, midnight + 20)) == ["before", "after"]


def test_a_clock_that_jumps_loses_no_turn(home: Path) -> None:
    journal = opened(home)
    jumps = (0, -3600, 40 * DAY_S, -400 * DAY_S, 60)
    for n, jump in enumerate(jumps):
        journal.add(turn(str(n)), NOW + jump)
    assert texts(journal.turns) == ["0", "1", "2", "3", "4"]
    kept = [json.loads(line)["text"] for path in home.iterdir() for line in path.read_text().splitlines()]
    assert sorted(kept) == ["0", "1", "2", "3", "4"]
    assert sorted(texts(recent(home, 3600))) == ["0", "1", "4"]


def test_what_is_remembered_is_bounded_and_the_newest(home: Path) -> None:
    journal = opened(home)
    for n in range(MOST_TURNS + 50):
        journal.add(turn(str(n)), NOW + n)
    newest = [str(n) for n in range(50, MOST_TURNS + 50)]
    assert texts(journal.turns) == texts(recent(home, ALWAYS)) == newest


def test_so_is_its_text(home: Path) -> None:
    journal = opened(home)
    for n in range(10):
        journal.add(turn(str(n) * (MOST_CHARS // 8)), NOW + n)  # counts twice: text and heard
    for one in (journal, opened(home)):
        assert [text[0] for text in texts(one.turns)] == ["6", "7", "8", "9"]
    journal.add(turn("x" * MOST_CHARS), NOW)
    assert journal.turns == []


def test_only_as_many_days_are_read_as_are_needed(home: Path) -> None:
    journal = opened(home)
    for n in range(MOST_TURNS + 1):
        journal.add(turn(str(n)), NOW)
    (home / "turns-2026-11-21.jsonl").mkdir()  # to read this would be a complaint
    again = opened(home)
    assert again.add(turn("more"), NOW) is None


def test_rows_that_are_no_turns_are_left_out(home: Path) -> None:
    good = {**turn("good"), "time": NOW}
    bad: list[Any] = [{**good, "time": value} for value in (None, "x", float("nan"), float("inf"), 10**400)]
    bad += [{**good, "text": 7}, {**good, "role": None}, {}, {"time": NOW}, [], 1]
    lines = [json.dumps(row) for row in (*bad, good)] + ['{"item_id": "torn']
    (home / "turns-2026-11-22.jsonl").write_text("\n".join(lines))
    assert recent(home, ALWAYS) == [good]


def test_old_files_are_removed(home: Path) -> None:
    old, kept = home / f"turns-{day_of(NOW - 8 * DAY_S)}.jsonl", home / f"turns-{day_of(NOW - 7 * DAY_S)}.jsonl"
    old.touch()
    kept.touch()
    journal = opened(home, days=7)
    assert (old.exists(), kept.exists()) == (False, True)
    journal.add(turn("the next day"), NOW + DAY_S)
    assert not kept.exists()


@pytest.mark.parametrize("directory", [True, False])
def test_without_a_disk_it_remembers_what_this_run_heard(home: Path, directory: bool) -> None:
    (home / "file").touch()
    journal = opened(home / "file" if directory else None)
    complaints = [journal.add(turn(str(n)), NOW) for n in range(3)]
    assert [bool(complaint) for complaint in complaints] == [directory, False, False]
    assert texts(journal.turns) == ["0", "1", "2"]
    if directory:
        assert complaints[0] == (
            f"{home}/file: Not a directory; what is said now is not written down; "
            "make room there or put that right, or set memory.keep = false"
        )


_WRITER = """
import sys, time
from pathlib import Path
from voiced.supervisor.journal import Journal
journal = Journal(Path(sys.argv[1]), 30, 0, time.time())
for n in range(10**9):
    journal.add({"item_id": "i", "role": "user", "text": str(n) * 1000}, time.time())
    print(n, flush=True)
"""


@pytest.mark.system
def test_kill_9_loses_at_most_the_turn_in_progress(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(home)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        said = max([said, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    files = list(home.glob("turns-*.jsonl"))
    written = [json.loads(line)["text"] for path in sorted(files) for line in path.read_text().splitlines()]
    assert written[: said + 1] == [str(n) * 1000 for n in range(said + 1)]
    assert len(written) <= said + 2
    again = recent(home, 600, time.time())
    assert texts(again) == written[-len(again) :]
