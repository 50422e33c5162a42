import errno
import os
import resource
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from voiced.supervisor import state
from voiced.supervisor.state import MOST_WAITING, DayFiles, day_of, state_dir

DAY = "2026-11-22"


def files(directory: Path | None, day: str = DAY, days: int = 30) -> DayFiles:
    return DayFiles(directory, "rows", days, day, "so it is lost")


def read(directory: Path, day: str = DAY) -> list[object]:
    found = files(directory, day)
    rows = found.rows(day, 1 << 20)
    assert found.complaint is None
    return [row.get("n") for row in rows]


def test_it_is_made_private_below_the_state_home(home: Path) -> None:
    os.umask(0o022)
    path, complaint = state_dir({"XDG_STATE_HOME": str(home / "s"), "HOME": str(home)})
    assert (path, complaint) == (home / "s" / "voiced", None)
    assert stat.S_IMODE((home / "s" / "voiced").stat().st_mode) == 0o700


@pytest.mark.parametrize("state_home", [{}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}])
def test_its_default_is_below_home(home: Path, state_home: dict[str, str]) -> None:
    assert state_dir({"HOME": str(home)} | state_home) == (home / ".local/state/voiced", None)
    assert state_dir({"HOME": str(home)} | state_home) == (home / ".local/state/voiced", None)


def _symlink(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(0o700)
    path.symlink_to("elsewhere")


def _lax(path: Path) -> None:
    path.mkdir()
    path.chmod(0o770)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(_symlink, "it is a symbolic link"), (lambda path: path.touch(), "Not a directory"), (_lax, "others may write in it")],
)
def test_one_that_is_not_ours_alone_is_refused(home: Path, make: object, reason: str) -> None:
    make(home / "voiced")  # type: ignore[operator]  # mypy sees object: the callables differ
    path, complaint = state_dir({"XDG_STATE_HOME": str(home)})
    assert path is None
    assert complaint == f"nothing is kept: {home}/voiced: {reason}; put that right, or set XDG_STATE_HOME"
    assert not any((home / "elsewhere").glob("*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_somebody_elses_is_refused(home: Path) -> None:
    (home / "voiced").mkdir(0o700)
    os.chown(home / "voiced", 1234, 1234)
    path, complaint = state_dir({"XDG_STATE_HOME": str(home)})
    assert path is None
    assert "belongs to user 1234" in str(complaint)


def test_one_that_can_not_be_made_is_a_complaint(home: Path) -> None:
    (home / "file").touch()
    assert state_dir({"XDG_STATE_HOME": str(home / "file")})[0] is None


def test_a_disk_that_refuses_is_a_trouble_told_once_until_what_waited_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = files(home)
    with monkeypatch.context() as full:

        def refuse(descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        full.setattr(state.os, "write", refuse)
        rows.append(DAY, {"n": 1})
        assert "No space left on device" in str(rows.complaint)
        rows.append(DAY, {"n": 2})
        assert rows.complaint is None
        assert "No space left" in rows.trouble
    rows.append(DAY, {"n": 3})
    assert "written down again" in str(rows.complaint)
    assert (rows.trouble, rows.complaint) == ("", None)
    assert read(home) == [1, 2, 3]


def test_rows_are_read_as_they_were_written(home: Path) -> None:
    rows = files(home)
    written: list[dict[str, Any]] = [{"n": "Grüße\n\u2028 \ud83c \r", "x": None}, {"n": 2}]
    for row in written:
        rows.append(DAY, row)
    assert rows.complaint is None
    assert files(home).rows(DAY, 1 << 20) == written
    assert stat.S_IMODE((home / f"rows-{DAY}.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", ['{"n": 1', "{", "", '{"n": "\\', "\0\0\0"])
def test_after_a_torn_line_the_next_begins_on_its_own(home: Path, torn: str) -> None:
    path = home / f"rows-{DAY}.jsonl"
    path.write_text('{"n": 0}\n' + torn)
    files(home).append(DAY, {"n": 2})
    files(home).append(DAY, {"n": 3})
    assert read(home) == [0, 2, 3]


def test_a_file_that_others_may_read_is_closed_to_them(home: Path) -> None:
    path = home / f"rows-{DAY}.jsonl"
    path.touch()
    path.chmod(0o644)
    files(home).append(DAY, {"n": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_row_is_left_out(home: Path) -> None:
    (home / f"rows-{DAY}.jsonl").write_bytes(b'\xff\xfe\n[1]\n{"n":1}\nnull\n' + b"[" * 100_000 + b'\n{"n":2}\n7')
    assert read(home) == [1, 2]


def test_of_a_long_file_only_the_end_is_read(home: Path) -> None:
    rows = files(home)
    for n in range(100):
        rows.append(DAY, {"n": n})
    assert [row["n"] for row in rows.rows(DAY, 35)] == [97, 98, 99]


def test_old_files_go_and_foreign_ones_stay(home: Path) -> None:
    foreign = [f"rows-{DAY}.jsonl.bak", "rows-1999-01-01.json", "other-1999-01-01.jsonl", "rows-.jsonl", "notes", "xrows-1999-01-01.jsonl"]
    for name in [*foreign, "rows-2026-10-22.jsonl", "rows-2026-10-23.jsonl", "rows-2027-01-01.jsonl"]:
        (home / name).touch()
    rows = files(home)
    assert sorted(path.name for path in home.iterdir()) == sorted([*foreign, "rows-2026-10-23.jsonl", "rows-2027-01-01.jsonl"])
    rows.append("2026-11-23", {"n": 1})
    assert rows.days() == ["2027-01-01", "2026-11-23"]


def test_a_clock_that_leaps_removes_nothing_until_the_day_after(home: Path) -> None:
    rows = files(home)
    for day in (DAY, "2099-01-01", "1970-01-01", DAY, "2026-11-23"):
        rows.append(day, {"n": 1})
    assert rows.days() == ["2099-01-01", "2026-11-23", DAY]
    rows.append("2099-01-01", {"n": 2})
    assert DAY in rows.days()
    rows.append("2099-01-02", {"n": 3})
    assert rows.days() == ["2099-01-02", "2099-01-01"]


def test_a_directory_that_is_wiped_is_made_anew(home: Path) -> None:
    rows = files(home / "a" / "b")
    rows.append(DAY, {"n": 1})
    shutil.rmtree(home / "a")
    rows.append(DAY, {"n": 2})
    assert rows.complaint is None
    assert read(home / "a" / "b") == [2]
    assert stat.S_IMODE((home / "a" / "b").stat().st_mode) == 0o700


def test_a_symbolic_link_is_never_followed(home: Path) -> None:
    (home / "precious").write_text("data")
    (home / f"rows-{DAY}.jsonl").symlink_to(home / "precious")
    rows = files(home)
    rows.append(DAY, {"n": 1})
    assert rows.complaint is not None
    assert rows.rows(DAY, 100) == []
    assert (home / "precious").read_text() == "data"


def test_nor_is_a_directory_that_became_one(home: Path) -> None:
    (home / "theirs").mkdir(0o700)
    rows = files(home / "ours")
    rows.append(DAY, {"n": 1})
    shutil.rmtree(home / "ours")
    (home / "ours").symlink_to(home / "theirs")
    rows.append(DAY, {"n": 2})
    assert "symbolic link" in str(rows.complaint)
    assert list((home / "theirs").iterdir()) == []


def test_a_pipe_does_not_hold_us_up(home: Path) -> None:
    os.mkfifo(home / f"rows-{DAY}.jsonl")
    rows = files(home)
    rows.append(DAY, {"n": 1})
    assert rows.rows(DAY, 100) == []
    assert rows.complaint == f"{home}: rows-{DAY}.jsonl is no file of yours; so it is lost"


def test_trouble_is_told_once_and_what_waited_is_written_when_it_is_over(home: Path) -> None:
    (home / "in the way").touch()
    rows = files(home / "in the way")
    assert rows.complaint == f"{home}/in the way: Not a directory; so it is lost"
    for n in range(3):
        rows.append(DAY, {"n": n})
        assert rows.complaint is None
    (home / "in the way").unlink()
    rows.append("2026-11-23", {"n": 3})
    assert read(home / "in the way") == [0, 1, 2]
    assert read(home / "in the way", "2026-11-23") == [3]
    shutil.rmtree(home / "in the way")
    (home / "in the way").touch()
    rows.append(DAY, {"n": 4})
    assert rows.complaint is not None


def test_what_waits_is_bounded(home: Path) -> None:
    (home / "x").touch()
    rows = files(home / "x")
    for n in range(MOST_WAITING + 5):
        rows.append(DAY, {"n": n})
    (home / "x").unlink()
    rows.append(DAY, {"n": -1})
    assert len(read(home / "x")) == MOST_WAITING


def test_a_full_disk_tears_a_line_and_loses_none(home: Path) -> None:
    """Short writes, by a real limit on the size of files: some of the row gets to the disk and the rest does not."""
    rows = files(home)
    rows.append(DAY, {"n": 1})
    written = (home / f"rows-{DAY}.jsonl").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for room in (5, 0, 7):  # five bytes of the line, nothing, two bytes
            resource.setrlimit(resource.RLIMIT_FSIZE, (written + room, limits[1]))
            rows.append(DAY, {"n": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "; so it is lost" in str(rows.complaint)
    rows.append(DAY, {"n": 3})
    assert read(home) == [1, 2, 2, 2, 3]


def test_a_line_that_lacks_its_end_alone_is_not_written_twice(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = files(home)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:-1]))
    rows.append(DAY, {"n": 1})
    monkeypatch.undo()
    rows.append(DAY, {"n": 2})
    assert read(home) == [1, 2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_a_complaint(home: Path) -> None:
    home.chmod(0o500)
    rows = files(home)
    rows.append(DAY, {"n": 1})
    assert "Permission denied" in str(rows.complaint)


def test_without_a_directory_nothing_is_kept_nor_said() -> None:
    rows = files(None)
    rows.append(DAY, {"n": 1})
    assert (rows.rows(DAY, 100), rows.days(), rows.complaint) == ([], [], None)


def test_days_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert day_of(1_795_348_800.0) == "2026-11-23"  # 12:00 UTC of the 22nd
    finally:
        monkeypatch.undo()
        time.tzset()
    assert day_of(1e300) == day_of(float("nan")) == "1970-01-01"
