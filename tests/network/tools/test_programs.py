"""Programs that answer tools: real ones."""

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiced.bus import Poller
from voiced.network.outputs import RunTool
from voiced.network.tools.calls import LONGEST_OUTPUT
from voiced.network.tools.programs import Ended, Programs

WITHIN_S = 20.0


class Loop:
    """A poll loop, and the programs in it."""

    def __init__(self, home: Path, **env: str) -> None:
        self.poller = Poller()
        self.watched: list[int] = []
        self.programs = Programs(self, {"HOME": str(home), "PATH": os.environ["PATH"], **env})

    def watch(self, receiver: int) -> None:
        self.watched.append(receiver)
        self.poller.watch(receiver)

    def forget(self, receiver: int) -> None:
        self.watched.remove(receiver)
        self.poller.forget(receiver)

    def start(self, *argv: str, arguments: str = "{}", call_id: str = "c1") -> Ended | None:
        return self.programs.start(RunTool(call_id, argv, arguments))

    def until_over(self) -> list[Ended]:
        """Turns until nothing is watched any more."""
        ended = []
        give_up = time.monotonic() + WITHIN_S
        while self.watched:
            assert time.monotonic() < give_up
            ended += self.programs.handle(self.poller.wait(1000))
        return ended

    def run(self, *argv: str, arguments: str = "{}") -> Ended:
        assert self.start(*argv, arguments=arguments) is None
        (ended,) = self.until_over()
        return ended


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    gc.collect()  # what other tests left open is not closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    loop = Loop(tmp_path)
    yield loop
    loop.programs.stop_all()
    loop.until_over()
    assert len(os.listdir("/proc/self/fd")) == before


def gone(pid: int) -> bool:
    """Whether a process ended, within the time; the wait is for its pidfd."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poller = Poller()
    poller.watch(fd)
    ended = bool(poller.wait(WITHIN_S * 1000))
    os.close(fd)
    return ended


def test_arguments_go_in_and_the_result_comes_out(loop: Loop) -> None:
    assert loop.run("cat", arguments='{"city": "Zürich"}') == Ended("c1", True, '{"city": "Zürich"}')


def test_there_is_no_shell(loop: Loop) -> None:
    assert loop.run("echo", "$HOME; id", "*") == Ended("c1", True, "$HOME; id *")


def test_long_arguments_that_nobody_reads(loop: Loop) -> None:
    assert loop.run("true", arguments='"' + "x" * 200_000 + '"') == Ended("c1", True, "")
    assert loop.run("wc", "-c", arguments="x" * 200_000) == Ended("c1", True, "200000")


def test_only_what_is_harmless_is_handed_on(tmp_path: Path) -> None:
    given = {"OPENAI_API_KEY": "sk-secret", "LD_PRELOAD": "", "LC_TIME": "de_CH.UTF-8", "LANG": "C", "VOICED_RUNTIME_DIR": "/run/x"}
    loop = Loop(tmp_path, **given)
    tell = "import os, json; print(json.dumps([sorted(os.environ), os.getcwd(), sorted(map(int, os.listdir('/proc/self/fd')))[:-1]]))"
    names, directory, fds = json.loads(loop.run(sys.executable, "-I", "-c", tell).output)
    assert set(names) - {"LC_CTYPE"} == {"HOME", "PATH", "LC_TIME", "LANG", "VOICED_RUNTIME_DIR"}  # Python sets LC_CTYPE by itself
    assert directory == str(tmp_path)
    assert fds == [0, 1, 2]


def test_a_home_that_is_gone(tmp_path: Path) -> None:
    loop = Loop(tmp_path / "gone")
    assert loop.run("pwd").output == "/"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo half; echo 'no such lamp' >&2; echo more >&2; exit 3", "ended with status 3: no such lamp"),
        ("printf 'a\\033[31mb\\n' >&2; exit 1", "ended with status 1: a[31mb"),
        ("exit 7", "ended with status 7"),
        ("kill -TERM $$", "was killed by signal 15"),
    ],
)
def test_a_program_that_fails(loop: Loop, script: str, said: str) -> None:
    assert loop.run("sh", "-c", script) == Ended("c1", False, f"the tool's program {said}")


@pytest.mark.parametrize("argv", [("/no/such/program",), ("/etc/passwd",), ("tr\0ue",), ("",)])
def test_a_program_that_can_not_be_started(loop: Loop, argv: tuple[str, ...]) -> None:
    ended = loop.start(*argv)
    assert ended is not None
    assert (ended.ok, ended.output.startswith("the tool's program can't be started: ")) == (False, True)
    assert loop.watched == []


def test_what_is_no_text_is_made_text(loop: Loop) -> None:
    assert loop.run("printf", r"a\377b").output == "a\ufffdb"


def test_a_program_that_does_not_stop_printing_is_killed_and_its_beginning_told(loop: Loop) -> None:
    ended = loop.run("yes")
    assert ended.ok
    assert LONGEST_OUTPUT < len(ended.output) < 500_000


def test_a_program_that_does_not_stop_complaining(loop: Loop) -> None:
    ended = loop.run("sh", "-c", "yes help >&2")
    assert ended == Ended("c1", False, "the tool's program was killed by signal 9: help")


def test_a_program_is_stopped_with_its_children_and_its_end_not_told(loop: Loop, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    loop.start("sh", "-c", f"trap '' TERM; sleep 1000 & echo $$ $! > {pids}; wait")
    parent, child = (int(pid) for pid in pids.read_text().split())
    loop.programs.stop("other")
    loop.programs.stop("c1")
    assert gone(parent)
    assert gone(child)
    loop.programs.stop("c1")  # it has ended, and nobody has looked yet
    assert loop.until_over() == []


def test_all_are_stopped_when_we_leave(loop: Loop, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    loop.start("sh", "-c", f"echo $$ > {pids}; exec sleep 1000")
    pid = int(pids.read_text())
    loop.programs.stop_all()
    assert gone(pid)


def test_a_program_of_another_user_can_not_be_stopped_and_that_is_told(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_group: int, _signal: int) -> None:
        raise PermissionError

    go_on = tmp_path / "go_on"
    os.mkfifo(go_on)
    loop.start("cat", str(go_on))
    with monkeypatch.context() as patched:
        patched.setattr(os, "killpg", refuse)
        loop.programs.stop("c1")
    assert "can't be stopped" in caplog.text
    go_on.write_text("late")
    assert loop.until_over() == []


def test_a_program_is_no_more_urgent_than_others(loop: Loop, tmp_path: Path) -> None:
    go_on = tmp_path / "go_on"
    os.mkfifo(go_on)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -5)
    except PermissionError:
        pytest.skip("may not be urgent ourselves")
    try:
        loop.start("sh", "-c", f"cat {go_on}; nice")
        go_on.write_text("")
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    assert [ended.output for ended in loop.until_over()] == ["0"]


def test_what_a_program_leaves_running_is_not_waited_for(loop: Loop) -> None:
    ended = loop.run("sh", "-c", "sleep 1000 & echo $!")
    assert ended.ok
    os.kill(int(ended.output), signal.SIGKILL)  # alive: it was left alone


def test_an_end_that_is_noticed_before_the_output(loop: Loop) -> None:
    loop.start("echo", "hello")
    *_, exit_fd = loop.watched
    while exit_fd not in loop.poller.wait(1000):
        pass
    assert loop.programs.handle({exit_fd}) == [Ended("c1", True, "hello")]


def test_several_at_once_each_with_its_own_end(loop: Loop) -> None:
    for number in range(8):
        assert loop.start("echo", str(number), call_id=f"c{number}") is None
    assert sorted(loop.until_over()) == [Ended(f"c{number}", True, str(number)) for number in range(8)]


def test_starting_one_does_not_stop_the_loop(loop: Loop) -> None:
    ballast = bytearray(os.urandom(1) * (200 << 20))  # fork would copy its page tables: 10 ms; vfork does not
    took_s = []
    for _ in range(10):
        begun = time.monotonic()
        loop.start("true", arguments="x" * 200_000)
        took_s.append(time.monotonic() - begun)
        loop.until_over()
    assert ballast
    assert min(took_s) < 0.01
