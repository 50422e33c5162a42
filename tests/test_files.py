"""Files that somebody named, with real ones."""

import os
from pathlib import Path

import pytest

from voiced.files import Refused, read_file, shown_path, shown_program


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 2048)
    assert read_file(file, 2048) == b"x" * 2048
    with pytest.raises(Refused) as caught:
        read_file(file, 1024)
    assert caught.value.strerror == "it is larger than 1 KiB"


def test_what_would_hold_us_up_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("/dev/tty")):
        with pytest.raises(OSError, match=r"it is no regular file|No such device"):
            read_file(name, 10)


def test_an_objection_keeps_it_unread(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o640)
    with pytest.raises(Refused, match="not that one"):
        read_file(tmp_path / "file", 10, lambda found: "not that one" if found.st_mode & 0o040 else None)


def test_nothing_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path / "file", tmp_path):
        for _ in range(3):
            try:
                read_file(path, 10)
            except Refused:
                assert path is tmp_path
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_path_is_shown_unless_it_may_be_a_key(tmp_path: Path) -> None:
    assert shown_path(tmp_path / "key") == f" {tmp_path}/key"
    for key in ("/c2stbmV2ZXI=", "/sk-/never/seen", "/tmp/" + "x" * 200):
        assert shown_path(Path(key)) == ""


def test_a_program_is_named_if_it_is_one() -> None:
    assert (shown_program("sh"), shown_program("/bin/sh")) == (" 'sh'", " 'sh'")
    assert [shown_program(key) for key in ("sk-never-seen", "", "/", "a\0b")] == ["", "", "", ""]
