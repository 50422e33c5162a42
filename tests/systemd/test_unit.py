"""The unit: what systemd makes of it, and that it says what the daemon does."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from voiced.errors import ConfigInvalid, KeyRefused

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "systemd" / "install"
UNIT = (ROOT / "systemd" / "voiced.service").read_text()
POOR = (ROOT / "systemd" / "no-user-namespaces.conf").read_text()

AWKWARD = ["plain", "with space", "100%h", "$HOME", "a&b", "ü"]


def printed_unit(program: Path) -> str:
    return subprocess.run([INSTALL, "--print-unit", program], check=True, capture_output=True, text=True).stdout


def told(unit: str, setting: str) -> str:
    found = re.search(rf"^{setting}=(.*)$", unit, re.MULTILINE)
    assert found
    return found[1]


def analyzed(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """systemd-analyze about the unit as it is installed."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    (directory / "voiced.service").write_text(printed_unit(Path("/usr/bin/true")))
    env = {"XDG_RUNTIME_DIR": str(directory), "PATH": "/usr/bin:/bin", "HOME": str(directory), "LANG": "C.UTF-8"}
    return subprocess.run(["systemd-analyze", *arguments, directory / "voiced.service"], capture_output=True, text=True, env=env)


def test_little_is_exposed(tmp_path: Path) -> None:
    """Each setting that would help and is not there (weighed, of 10 in all), as systemd itself reckons it from the file alone."""
    done = analyzed(tmp_path, "security", "--user", "--offline=true", "--threshold=22", "--no-pager")
    assert done.returncode == 0, done.stdout


def test_each_setting_that_is_left_out_has_its_reason(tmp_path: Path) -> None:
    rows = analyzed(tmp_path, "security", "--user", "--offline=true", "--no-pager").stdout.splitlines()
    lacking = [row.split()[1] for row in rows if row.startswith("\N{BALLOT X}")]
    names = {name.partition("=")[0] for row in lacking for name in row.split("/")}
    assert len(names) > 5
    reasons = UNIT.partition("# Left out")[2]
    assert {name for name in names if f"{name}=" not in reasons} == set()


def test_the_drop_in_for_poor_machines_takes_back_what_the_unit_says() -> None:
    taken_back = {line.partition("=")[0] for line in POOR.splitlines() if "=" in line}
    assert {setting for setting in taken_back if not re.search(rf"^{setting}=", UNIT, re.MULTILINE)} == set()


@pytest.mark.parametrize("name", AWKWARD)
def test_systemd_finds_the_program_in_any_directory(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    program = tmp_path / name / "voiced"
    program.parent.mkdir()
    for one in (program, program.with_name("voicectl")):
        one.write_text("#!/bin/sh\n")
        one.chmod(0o755)
    unit = tmp_path / "voiced.service"
    unit.write_text(printed_unit(program))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_a_percent_sign_is_no_specifier() -> None:
    unit = printed_unit(Path("/srv/100%h/voiced"))
    assert told(unit, "ExecStart") == '"/srv/100%%h/voiced"'
    assert told(unit, "ExecReload") == '"/srv/100%%h/voicectl" reload'


@pytest.mark.parametrize("name", ['a "quote"', "back\\slash", "it's"])
def test_a_path_that_systemd_refuses_is_refused_with_the_reason(name: str) -> None:
    printed = subprocess.run([INSTALL, "--print-unit", f"/srv/{name}/voiced"], capture_output=True, text=True)
    assert printed.returncode == 1
    assert "quote or a backslash" in printed.stderr
    assert printed.stdout == ""


def test_only_the_program_is_put_in() -> None:
    unit = printed_unit(Path("/x/voiced")).replace('ExecStart="/x/voiced"', "ExecStart=@VOICED@")
    assert unit.replace('ExecReload="/x/voicectl" reload', "ExecReload=@VOICECTL@ reload") == UNIT


def test_what_only_people_can_mend_is_not_tried_again() -> None:
    assert {int(status) for status in told(UNIT, "RestartPreventExitStatus").split()} == {KeyRefused.exit_status, ConfigInvalid.exit_status}
