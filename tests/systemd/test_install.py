"""The installer, for real: into a directory of its own, from the registry, without the large speech packages.

Whether it brings up a bare machine is tried on bare machines; this holds what it makes, repeats and removes.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "systemd" / "install"

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


class Machine:
    """A home, as the installer sees it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.prefix = home / "my programs" / "voiced"
        self.bin = home / "bin"
        self.units = home / "units"

    def install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        places = {"VOICED_PREFIX": str(self.prefix), "VOICED_BIN": str(self.bin), "VOICED_UNITS": str(self.units)}
        return subprocess.run(
            [INSTALL, "--no-run", "--no-speech", *arguments],
            env=os.environ | places,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def run(self, program: str, *arguments: str) -> str:
        return subprocess.run([self.bin / program, *arguments], check=True, capture_output=True, text=True, cwd="/").stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("a home"))
    done = machine.install()
    assert done.returncode == 0, done.stdout + done.stderr
    yield machine
    shutil.rmtree(machine.home)


def test_the_programs_run_from_their_links(machine: Machine) -> None:
    assert machine.run("voiced", "--version").startswith("voiced ")
    assert "Usage" in machine.run("voicectl", "--help")


def test_each_step_is_named_and_the_unknown_path_too(machine: Machine) -> None:
    (machine.prefix / "fingerprint").unlink()
    shown = machine.install().stdout
    assert "voiced and its libraries (builds PyAudio) ... done" in shown
    assert f"{machine.bin} is not on your PATH" in shown


def test_a_second_run_does_nothing_twice(machine: Machine) -> None:
    shown = machine.install().stdout
    assert "done (" not in shown
    assert "voiced and its packages ... there" in shown


def test_a_program_of_the_same_name_is_left_alone(machine: Machine) -> None:
    link = machine.bin / "voiced"
    link.unlink()
    link.write_text("somebody else's\n")
    done = machine.install()
    link_text = link.read_text()
    link.unlink()
    assert machine.install().returncode == 0
    assert done.returncode == 1
    assert "is not a link of ours" in done.stderr
    assert link_text == "somebody else's\n"


def test_what_stays_and_what_goes_on_uninstall(machine: Machine) -> None:
    (machine.bin / "other").write_text("stays\n")
    assert machine.install("--uninstall").returncode == 0
    left = [path for path in machine.home.rglob("*") if not path.is_dir()]
    assert left == [machine.bin / "other"]
    assert not machine.prefix.exists()
    assert machine.install("--uninstall").returncode == 0


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.prefix.mkdir(parents=True)
    (machine.prefix / "thesis.txt").write_text("years of work\n")
    for arguments in ((), ("--uninstall",)):
        machine.install(*arguments)
    assert (machine.prefix / "thesis.txt").read_text() == "years of work\n"
    assert [entry.name for entry in machine.prefix.iterdir()] == ["thesis.txt"]


def test_a_step_that_fails_shows_why_and_where_the_log_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "no space left" >&2\nexit 1\n')
    python.chmod(0o755)
    done = subprocess.run(
        [INSTALL, "--no-run", "--no-speech"],
        env=os.environ | {"VOICED_PREFIX": str(machine.prefix), "VOICED_BIN": str(machine.bin), "VOICED_PYTHON": str(python)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "virtual environment ... failed" in done.stdout
    assert "no space left" in done.stderr
    assert f"the whole log is {machine.prefix}/install.log" in done.stderr


def test_an_unknown_option_is_named() -> None:
    done = subprocess.run([INSTALL, "--frobnicate"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "--frobnicate" in done.stderr
