"""`voicectl logs`, with a shell script in the place of journalctl."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supervisor.running import ROOT
from voicectl import logs


def arguments(**given: object) -> list[str]:
    nothing = {"follow": False, "since": None, "level": None, "process": None, "as_json": False}
    return logs.arguments(**(nothing | given))  # type: ignore[arg-type]


def test_without_options_the_last_lines_of_the_service() -> None:
    assert arguments() == ["--user", "--unit=voiced", "--lines=200"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"follow": True}, ["--lines=200", "--follow"]),
        ({"since": "10min"}, ["--since=-10min"]),
        ({"since": "2 hours"}, ["--since=-2 hours"]),
        ({"since": "today"}, ["--since=today"]),
        ({"since": "2026-11-22 10:00"}, ["--since=2026-11-22 10:00"]),
        ({"since": "-1h"}, ["--since=-1h"]),
        ({"level": "error"}, ["--lines=200", "--priority=err"]),
        ({"process": "capture"}, ["--lines=200", "VOICED_PROCESS=capture"]),
        ({"process": "supervisor"}, ["--lines=200", "VOICED_PROCESS=voiced"]),
        ({"as_json": True}, ["--lines=200", "--output=json"]),
    ],
)
def test_options(given: dict[str, object], words: list[str]) -> None:
    assert arguments(**given)[2:] == words


def voicectl(home: Path, *words: str, script: str | None = None, booted: bool = True) -> subprocess.CompletedProcess[str]:
    path = "/nowhere"
    if script is not None:
        (home / "journalctl").write_text(f"#!/bin/sh\n{script}\n")
        (home / "journalctl").chmod(0o755)
        path = str(home)
    if booted:
        (home / "booted").touch()
    known = f"logs._BOOTED = pathlib.Path({str(home / 'booted')!r})"
    program = f"import pathlib, sys; from voicectl import logs, __main__; {known}; sys.exit(__main__.main())"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", program, *words], env=env, capture_output=True, text=True, timeout=30, check=False)


def test_it_becomes_journalctl(home: Path) -> None:
    done = voicectl(home, "logs", "--since", "10min", "--level", "warning", script='echo "$@"; exit 7')
    assert (done.returncode, done.stdout) == (7, "--user --unit=voiced --since=-10min --priority=warning\n")


def test_json_is_the_journal_s(home: Path) -> None:
    assert voicectl(home, "--json", "logs", script='echo "$@"').stdout == "--user --unit=voiced --lines=200 --output=json\n"


def test_who_follows_may_begin_before_there_is_anything(home: Path) -> None:
    script = 'case "$*" in *--quiet*) exit 0;; esac; echo "$@"'
    assert "--follow" in voicectl(home, "logs", "-f", script=script).stdout


@pytest.mark.parametrize(
    ("script", "booted", "complaint"),
    [
        (None, True, "systemd does not run here"),
        ("echo no", False, "systemd does not run here"),
        ("exit 0", True, "the journal has nothing of the service voiced"),
    ],
)
def test_without_a_log_there_it_says_where_it_is(home: Path, script: str | None, booted: bool, complaint: str) -> None:
    done = voicectl(home, "logs", script=script, booted=booted)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert complaint in lines[0]
    assert "voiced 2>>voiced.log" in lines[1]
    assert "systemctl --user enable --now voiced" in lines[2]
    assert len(lines) == 3


def test_a_level_that_is_none_is_wrong_usage(home: Path) -> None:
    done = voicectl(home, "logs", "--level", "loud", script="echo no")
    assert done.returncode == 2
    assert "'loud' is not one of" in done.stderr
