import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from voiced.errors import AlreadyRunning, RuntimeDirUnusable
from voiced.supervisor.runtime import RuntimeDirectory


def hold(path: Path, *, ours: bool = False) -> RuntimeDirectory:
    return RuntimeDirectory(path, ours=ours)


def test_it_is_made_private_and_goes_with_us(home: Path) -> None:
    path = home / "r"
    with hold(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert (path / "lock").read_text() == str(os.getpid())
        for name in ("control", "reply"):
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(path / name))
    assert not path.exists()


def test_one_that_was_there_stays_and_is_emptied(home: Path) -> None:
    home.chmod(0o700)
    (home / "theirs").touch()
    with hold(home):
        (home / "events").touch()
    assert [path.name for path in home.iterdir()] == ["theirs"]


def test_the_default_one_goes_even_if_a_killed_run_left_it(home: Path) -> None:
    path = home / "voiced"
    path.mkdir(0o700)
    with hold(path, ours=True):
        pass
    assert not path.exists()


def test_one_that_went_before_us_is_no_trouble(home: Path) -> None:
    """As when a session's end clears /run/user/UID away."""
    with hold(home / "r", ours=True):
        shutil.rmtree(home / "r")


def test_stale_sockets_are_swept_before_we_start(home: Path) -> None:
    (home / "control").touch()
    with hold(home):
        assert [path.name for path in home.iterdir()] == ["lock"]


def test_a_second_holder_is_refused_by_name_of_the_first(home: Path) -> None:
    with hold(home), pytest.raises(AlreadyRunning, match=rf"pid {os.getpid()}\)"), hold(home):
        pass


def test_it_can_be_held_again_after(home: Path) -> None:
    for _ in range(3):
        with hold(home):
            pass


def _symlink(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(0o700)
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (_symlink, "is a symbolic link"),
        (lambda path: path.touch(), "is no directory"),
        (lambda path: path.mkdir(0o750), "others may enter .* chmod 700"),
        (lambda path: path.mkdir(0o701), "others may enter .* chmod 700"),
    ],
)
def test_a_directory_that_is_not_private_is_refused(home: Path, make: object, complaint: str) -> None:
    os.umask(0o022)
    make(home / "r")  # type: ignore[operator]  # mypy sees object: the lambdas differ in what they return
    before = sorted(home.rglob("*"))
    with pytest.raises(RuntimeDirUnusable, match=complaint), hold(home / "r"):
        pass
    assert sorted(home.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_somebody_elses_is_refused(home: Path) -> None:
    (home / "r").mkdir(0o700)
    os.chown(home / "r", 1234, 1234)
    with pytest.raises(RuntimeDirUnusable, match="belongs to user 1234"), hold(home / "r"):
        pass


@pytest.mark.parametrize("linked", [False, True])
def test_one_that_anybody_could_replace_is_refused(home: Path, linked: bool) -> None:
    (home / "open").mkdir()
    (home / "open").chmod(0o777)
    way = home / "open"
    if linked:
        way = home / "link"
        way.symlink_to(home / "open")
    with pytest.raises(RuntimeDirUnusable, match=f"anybody may replace .* chmod o-w {home}/open"), hold(way / "r"):
        pass
    assert not (way / "r").exists()
    (home / "open").chmod(0o1777)  # as /tmp: only its owner may take something away
    with hold(way / "r"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_nor_one_on_somebody_elses_ground(home: Path) -> None:
    (home / "theirs").mkdir()
    os.chown(home / "theirs", 1234, 1234)
    with (
        pytest.raises(RuntimeDirUnusable, match="theirs, on the way to the runtime directory, belongs to user 1234"),
        hold(home / "theirs/r"),
    ):
        pass
    os.chown(home / "theirs", 65534, 65534)  # as root's seems to, in a sandbox
    with hold(home / "theirs/r"):
        pass


def test_a_symbolic_link_for_a_lock_is_not_followed(home: Path) -> None:
    (home / "lock").symlink_to(home / "precious")
    (home / "precious").write_text("data")
    with pytest.raises(RuntimeDirUnusable, match="can't open"), hold(home):
        pass
    assert (home / "precious").read_text() == "data"


def test_where_it_can_not_be_made_says_so(home: Path) -> None:
    with pytest.raises(RuntimeDirUnusable, match="No such file or directory; set VOICED_RUNTIME_DIR"), hold(home / "a" / "b"):
        pass


def test_a_path_too_long_for_sockets_is_refused_before_anything_is_made(home: Path) -> None:
    with pytest.raises(RuntimeDirUnusable, match="too long for a socket"), hold(home / ("x" * 100)):
        pass
    assert list(home.iterdir()) == []
