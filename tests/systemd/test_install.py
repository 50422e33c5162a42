"""The installer, for real: into a directory of its own, from the registry, without the large speech packages.

Whether it brings up a bare machine is tried on bare machines; this holds what it makes, repeats and removes.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripted_server import ScriptedServer
from tests.systemd.manager import HOME, INSTALL, Manager, manager

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


class Machine:
    """A home, as the installer sees it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.prefix = home / "my programs" / "voiced"
        self.bin = home / "bin"
        self.units = home / "units"

    def install(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        places = {"VOICED_PREFIX": str(self.prefix), "VOICED_BIN": str(self.bin), "VOICED_UNITS": str(self.units)}
        return subprocess.run(
            [INSTALL, "--no-run", "--no-speech", *arguments],
            env=os.environ | places | variables,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    @property
    def unit(self) -> Path:
        return self.units / "voiced.service"

    def write_unit(self, program: Path) -> str:
        """As an installer would, whether systemd runs here or not."""
        self.units.mkdir(exist_ok=True)
        self.unit.write_text(subprocess.run([INSTALL, "--print-unit", program], check=True, capture_output=True, text=True).stdout)
        return self.unit.read_text()

    def systemctl(self, fragment: Path) -> dict[str, str]:
        """The environment with one that writes down what it is told, and says that voiced runs from that unit."""
        fake = self.home / "fake" / "systemctl"
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(f'#!/bin/sh\necho "$*" >>"{self.home}/told"\n[ "$2" != show ] || echo "{fragment}"\n')
        fake.chmod(0o755)
        return {"PATH": f"{fake.parent}:{os.environ['PATH']}"}

    @property
    def told(self) -> str:
        return (self.home / "told").read_text() if (self.home / "told").exists() else ""

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


def test_a_wake_word_needs_nothing_else(machine: Machine) -> None:
    script = "from voiced.capture.wakeword import WakeWord; WakeWord('alexa')"
    subprocess.run([machine.prefix / "venv" / "bin" / "python", "-c", script], check=True, cwd="/")


def test_without_a_wake_word_all_else_is_there_and_the_next_run_tries_again(machine: Machine, tmp_path: Path) -> None:
    (machine.prefix / "fingerprint").unlink()
    constraint = tmp_path / "constraint.txt"  # pip takes a space in its path for two of them
    constraint.write_text("pymicro-wakeword==0.0.1\n")
    done = machine.install(PIP_CONSTRAINT=str(constraint))
    assert done.returncode == 0, done.stderr
    assert "builds PyAudio) ... done" in done.stdout
    assert "wake word (2 MB) ... failed" in done.stdout
    assert "run this again" in done.stdout
    assert not (machine.prefix / "fingerprint").exists()


def test_each_step_is_named_and_the_unknown_path_too(machine: Machine) -> None:
    (machine.prefix / "fingerprint").unlink(missing_ok=True)
    shown = machine.install().stdout
    assert "voiced and its libraries (builds PyAudio) ... done" in shown
    assert "wake word (2 MB) ... done" in shown
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


def test_a_service_that_runs_keeps_its_code_and_install_says_so(machine: Machine) -> None:
    machine.write_unit(machine.prefix / "venv" / "bin" / "voiced")
    assert "systemctl --user restart voiced" in machine.install(**machine.systemctl(machine.unit)).stdout
    assert "systemctl --user restart voiced" not in machine.install(**machine.systemctl(machine.home)).stdout
    shutil.rmtree(machine.home / "fake")
    (machine.home / "told").unlink()


def installed_for(user: Manager, machine: Machine) -> dict[str, str]:
    """The same installation in that user's home; the installer's variables for it."""
    places = {"PREFIX": HOME / "my programs" / "voiced", "BIN": HOME / "bin", "UNITS": HOME / ".config" / "systemd" / "user"}
    prefix = user.home / places["PREFIX"].relative_to(HOME)
    shutil.copytree(machine.prefix, prefix, symlinks=True)
    for program in ("voiced", "voicectl"):
        python = places["PREFIX"] / "venv" / "bin" / "python"
        (prefix / "venv" / "bin" / program).write_text(f'#!/bin/sh\nexec "{python}" -P -m {program} "$@"\n')
    return {f"VOICED_{name}": str(place) for name, place in places.items()}


def test_a_service_is_enabled_upgraded_in_place_and_removed_without_a_trace(machine: Machine) -> None:
    with manager() as user, ScriptedServer() as server:
        settings = '[audio.capture]\ndevice = "null"\n[audio.playback]\ndevice = "null"\n[realtime]\nprovider = "compatible"\n'
        (user.home / ".config" / "voiced").mkdir()
        (user.home / ".config" / "voiced" / "config.toml").write_text(f'{settings}url = "{server.url}"\n')
        variables = [f"{name}={value}" for name, value in installed_for(user, machine).items()]
        units = user.home / ".config" / "systemd" / "user"
        there_before = set(units.rglob("*"))

        def install(*arguments: str, path: str = "/usr/bin:/bin") -> str:
            done = user.run("env", *variables, f"PATH={path}", INSTALL, "--no-run", "--no-speech", *arguments, timeout_s=300)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        poor = units / "voiced.service.d" / "no-user-namespaces.conf"
        refusing = user.program("unshare", "exit 1").parent
        assert "this machine gives users no namespaces" in install(path=f"{refusing}:/usr/bin:/bin")
        assert poor.exists()
        assert "systemctl --user enable --now voiced" in install()
        assert not poor.exists()
        user.systemctl("enable", "--now", "voiced")
        main = user.show("voiced", "MainPID")
        (units / "voiced.service").write_text((units / "voiced.service").read_text().replace("TimeoutStopSec=5", "TimeoutStopSec=9"))
        user.systemctl("daemon-reload")
        assert user.show("voiced", "TimeoutStopUSec") == "9s"
        assert "systemctl --user restart voiced" in install()
        assert user.shown("voiced", "MainPID", "ActiveState", "TimeoutStopUSec") == [main, "active", "5s"]
        user.systemctl("restart", "voiced")
        assert user.shown("voiced", "ActiveState", "UnitFileState") == ["active", "enabled"]
        install("--uninstall")
        assert user.shown("voiced", "LoadState", "ActiveState") == ["not-found", "inactive"]
        assert set(units.rglob("*")) == there_before
        assert not (user.runtime / "voiced").exists()
        assert [entry.name for entry in (user.home / "my programs").iterdir()] == ["unshare"]


def test_a_link_of_an_enabled_unit_goes_where_no_manager_can_be_asked(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write_unit(machine.prefix / "venv" / "bin" / "voiced")
    wants = machine.units / "default.target.wants"
    wants.mkdir()
    (wants / "voiced.service").symlink_to(machine.unit)
    (wants / "other.service").symlink_to(machine.units / "other.service")
    assert machine.install("--uninstall").returncode == 0
    assert [entry.name for entry in wants.iterdir()] == ["other.service"]


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


def test_a_unit_of_somebody_else_stays_and_its_service_runs_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    theirs = machine.write_unit(Path("/opt/other/venv/bin/voiced"))
    assert machine.install("--uninstall", **machine.systemctl(machine.unit)).returncode == 0
    assert machine.unit.read_text() == theirs
    assert "disable" not in machine.told


@pytest.mark.parametrize("ours_runs", [True, False])
def test_only_the_service_of_our_unit_is_ended(tmp_path: Path, ours_runs: bool) -> None:
    machine = Machine(tmp_path)
    machine.write_unit(machine.prefix / "venv" / "bin" / "voiced")
    elsewhere = tmp_path / "elsewhere.service"
    elsewhere.touch()
    assert machine.install("--uninstall", **machine.systemctl(machine.unit if ours_runs else elsewhere)).returncode == 0
    assert not machine.unit.exists()
    assert ("disable --now voiced" in machine.told) is ours_runs


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = Machine(tmp_path).install(VOICED_PYTHON="/usr/bin/pyhton3")
    assert done.returncode == 1
    assert "There is no /usr/bin/pyhton3" in done.stderr


def test_a_failure_outside_of_the_steps_is_told(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    done = machine.install(VOICED_BIN=str(tmp_path / "a file" / "bin"), PATH=os.environ["PATH"])
    assert done.returncode == 1
    assert "stopped by a failure at line" in done.stderr


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
