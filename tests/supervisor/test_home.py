"""What the daemon needs to be reached is wiped, taken, or runs out while it holds it."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiced.bus import CONTROL, Bus
from voiced.errors import AlreadyRunning, VoicedError
from voiced.supervisor import home as looking_after
from voiced.supervisor.home import Home
from voiced.supervisor.runtime import RuntimeDirectory


class Scene:
    def __init__(self, path: Path, bus: Bus, keeper: Home) -> None:
        self.path, self.bus, self.keeper = path, bus, keeper
        self._now_s = 0.0

    def look(self) -> list[VoicedError]:
        self._now_s += 1
        return list(self.keeper.keep_time(self._now_s))


@pytest.fixture
def scene(home: Path) -> Iterator[Scene]:
    with RuntimeDirectory(home / "r", ours=False) as directory:
        bus = Bus(directory.path)
        bus.bind(CONTROL)
        keeper = Home(directory, bus)
        yield Scene(directory.path, bus, keeper)
        keeper.close()
        bus.close()


def test_where_all_is_well_nothing_is_said(scene: Scene) -> None:
    assert [scene.look() for _ in range(3)] == [[], [], []]
    assert scene.keeper.troubles == []


def test_it_does_not_look_all_the_time(scene: Scene) -> None:
    scene.look()
    shutil.rmtree(scene.path)
    assert list(scene.keeper.keep_time(1.4)) == []
    assert len(list(scene.keeper.keep_time(1.5))) == 1


def test_what_was_wiped_is_there_again_and_said_once(scene: Scene) -> None:
    shutil.rmtree(scene.path)
    [told] = scene.look()
    assert told.code == "runtime_dir_unusable"
    assert {path.name: path.stat().st_mode & 0o777 for path in scene.path.iterdir()} == {"lock": 0o600, "control": 0o600}
    assert scene.path.stat().st_mode & 0o777 == 0o700
    assert scene.look() == []
    (scene.path / "control").unlink()
    assert len(scene.look()) == 1
    assert (scene.path / "control").exists()


def test_a_socket_that_was_lost_is_connected_to_again(scene: Scene) -> None:
    (scene.path / "control").unlink()
    scene.look()
    [socket] = [socket for socket in scene.bus._sockets if not socket.closed][:1]
    client = scene.bus.connect(CONTROL)
    client.send(b"hello")
    assert socket.recv_multipart()[-1] == b"hello"


def test_where_it_can_not_be_made_again_that_is_a_trouble_until_it_can(scene: Scene) -> None:
    shutil.rmtree(scene.path)
    scene.path.write_text("in the way")
    assert len(scene.look()) == 1
    assert scene.look() == []
    [trouble] = scene.keeper.troubles
    assert str(scene.path) in trouble
    scene.path.unlink()
    assert len(scene.look()) == 1
    assert scene.keeper.troubles == []


def test_where_its_disk_is_full_or_it_is_removed_again_at_once_that_is_a_trouble_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def removed(path: Path) -> None:
        shutil.rmtree(path)
        path.lstat()

    shutil.rmtree(scene.path)
    for name, broken in (("os.write", full), ("_check", removed)):
        before = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patched:
            patched.setattr(f"voiced.supervisor.runtime.{name}", broken)
            assert len(scene.look()) == 1
        assert len(scene.keeper.troubles) == 1
        assert len(os.listdir("/proc/self/fd")) == before
        shutil.rmtree(scene.path, ignore_errors=True)
    assert len(scene.look()) == 1
    assert scene.keeper.troubles == []


def test_another_daemon_that_took_the_place_keeps_it(home: Path) -> None:
    with RuntimeDirectory(home / "r", ours=True) as directory:
        shutil.rmtree(directory.path)
        other = RuntimeDirectory(home / "r", ours=True)
        other.__enter__()
        (home / "r" / "control").touch()
        with pytest.raises(AlreadyRunning):
            directory.renew()
    assert (home / "r" / "control").exists(), "the one that leaves sweeps nothing of the other's"
    other.__exit__(None, None, None)
    assert not (home / "r").exists()


def test_without_descriptors_the_reserve_is_let_go_and_taken_back_when_there_are_some_to_spare(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 15
    held = list(scene.keeper._spare)
    real_dup, real_close = os.dup, os.close

    def dup(descriptor: int) -> int:
        nonlocal free
        if free == 0:
            raise OSError(errno.EMFILE, "Too many open files")
        free -= 1
        return real_dup(descriptor)

    def close(descriptor: int) -> None:
        nonlocal free
        free += 1
        real_close(descriptor)

    monkeypatch.setattr(looking_after.os, "dup", dup)
    monkeypatch.setattr(looking_after.os, "close", close)
    [told] = scene.look()
    assert told.code == "resources_short"
    assert free == len(held) + 15, "for clients, and for processes that are started"
    assert scene.keeper.troubles == [told.message]
    free += 8  # of a process that died
    assert scene.look() == []
    assert scene.keeper._spare == []
    free += 9
    assert [told.message for told in scene.look()] == ["there are file descriptors again"]
    assert scene.keeper.troubles == []
