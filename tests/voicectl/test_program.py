"""`voicectl` as a shell runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supervisor import running
from tests.supervisor.running import ROOT, Daemon
from voiced import __version__, control

pytestmark = pytest.mark.system


def voicectl(runtime: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "voicectl", *words], env=environment(runtime), capture_output=True, text=True, timeout=30)


def environment(runtime: Path) -> dict[str, str]:
    return dict(os.environ) | {"VOICED_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(ROOT)}


def test_the_answer_is_on_stdout(ready_daemon: Daemon) -> None:
    done = voicectl(ready_daemon.runtime, "say", "hello", "there")
    assert (done.returncode, done.stdout, done.stderr) == (0, "accepted\n", "")


@pytest.mark.parametrize("line", ["--json ping", "ping --json", "--timeout 3 --json ping", "--timeout=3 ping --json"])
def test_json_before_or_after_with_and_without_click(ready_daemon: Daemon, line: str) -> None:
    done = voicectl(ready_daemon.runtime, *line.split())
    assert json.loads(done.stdout) == {"version": __version__, "pid": ready_daemon.process.pid, "protocol": 1}


def test_refused_is_one(ready_daemon: Daemon) -> None:
    done = voicectl(ready_daemon.runtime, "ask", "x")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "voicectl: the server is away\n")


@pytest.mark.parametrize(
    "line", ["", "fly", "say", "status now", "--nonsense status", "--timeout 0 status", "--timeout nan ping", "events fly"]
)
def test_wrong_usage_is_two_and_shows_the_way(ready_daemon: Daemon, line: str) -> None:
    done = voicectl(ready_daemon.runtime, *line.split())
    assert done.returncode == 2
    assert "Usage: voicectl" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "events"])
def test_no_daemon_is_three(home: Path, command: str) -> None:
    done = voicectl(home, command)
    assert done.returncode == 3
    assert done.stderr.startswith("voicectl: voiced is not running")
    assert len(done.stderr.splitlines()) == 1


def test_no_answer_is_four(ready_daemon: Daemon) -> None:
    os.kill(ready_daemon.process.pid, signal.SIGSTOP)
    done = voicectl(ready_daemon.runtime, "--timeout", "0.3", "ping")
    os.kill(ready_daemon.process.pid, signal.SIGCONT)
    assert (done.returncode, done.stderr) == (4, "voicectl: no answer within 0.3 s\n")


def test_help_and_version_need_no_daemon(home: Path) -> None:
    help = voicectl(home, "--help")
    assert help.returncode == 0
    assert all(f"  {name.replace('_', '-')} " in help.stdout for name in control.COMMANDS)
    assert "Topics:" in voicectl(home, "events", "--help").stdout
    assert voicectl(home, "--version").stdout == f"voicectl {__version__}\n"


def test_events_follow_line_by_line_until_ctrl_c(ready_daemon: Daemon) -> None:
    program = [sys.executable, "-m", "voicectl", "events", "--json"]
    env = environment(ready_daemon.runtime)
    with subprocess.Popen(program, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert json.loads(follower.stdout.readline())["topic"] == "status"
        voicectl(ready_daemon.runtime, "interrupt")
        seen = (json.loads(line)["topic"] for line in follower.stdout)
        assert set(iter(lambda: next(seen), "flush")) <= {"level", "status"}
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
        assert follower.stderr.read() == ""


def test_a_reader_that_has_enough_is_no_error(ready_daemon: Daemon) -> None:
    program = [sys.executable, "-m", "voicectl", "events"]
    env = environment(ready_daemon.runtime)
    with subprocess.Popen(program, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert "status" in follower.stdout.readline()
        follower.stdout.close()
        voicectl(ready_daemon.runtime, "interrupt")
        assert follower.wait(10) == 0
        assert follower.stderr.read() == ""


@pytest.mark.parametrize("options", [(), ("--timeout", "3")])
def test_a_text_keeps_words_that_look_like_options(ready_daemon: Daemon, options: tuple[str, ...]) -> None:
    with ready_daemon.client() as client, client.events("turn") as events:
        done = voicectl(ready_daemon.runtime, *options, "say", "turn", "-5", "--json", "-h", "please")
        assert (done.returncode, done.stdout, done.stderr) == (0, "accepted\n", "")
        event = events.next(5)
        assert event is not None
        assert event.data["text"] == "turn -5 --json -h please"


def test_a_tool_may_answer_nothing(ready_daemon: Daemon) -> None:
    done = voicectl(ready_daemon.runtime, "tool-result", "c1", "")
    assert (done.returncode, done.stdout) == (0, "accepted\n")


@pytest.mark.parametrize("line", ["status", "describe", "events", "--help", "--timeout 3 ping"])
@pytest.mark.parametrize(("where", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_an_answer_that_can_not_be_written_is_an_error_of_one_line(ready_daemon: Daemon, line: str, where: str, why: str) -> None:
    program = ["sh", "-c", f'exec "$0" -m voicectl {line} {where}', sys.executable]
    done = subprocess.run(program, env=environment(ready_daemon.runtime), stderr=subprocess.PIPE, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, f"voicectl: can't write to the standard output: {why}\n")


def test_a_complaint_that_can_not_be_written_keeps_its_exit_status(ready_daemon: Daemon) -> None:
    for where in ("2>/dev/full", "2>&-"):
        program = ["sh", "-c", f'exec "$0" -m voicectl restart radio {where}', sys.executable]
        done = subprocess.run(program, env=environment(ready_daemon.runtime), stdout=subprocess.PIPE, text=True, timeout=30)
        assert (done.returncode, done.stdout) == (1, "")


def test_plain_forms_load_no_click(ready_daemon: Daemon) -> None:
    loaded = running.loaded("-m", "voicectl", "status", env=environment(ready_daemon.runtime))
    dear = {"click", "dataclasses", "pathlib", "asyncio", "numpy", "voiced.supervisor", "subprocess", "inspect"}
    assert sorted((loaded - running.loaded("-c", "import zmq")) & dear) == []  # with Python 3.13 pyzmq loads inspect
    assert {"zmq", "voicectl.client"} <= loaded
