"""The lock files that the installer goes by: whole, pinned, hashed, and within the bounds of setup.cfg."""

import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TREE = Path(__file__).parents[2]
LOCK = TREE / "systemd" / "lock"
STAGES = ("build", "base", "wake", "speech", "llm", "model")
#: Whom the installer installs by the lock.
MACHINES = [
    {"python_version": python, "python_full_version": f"{python}.2", "platform_machine": machine, "sys_platform": "linux"}
    for python in ("3.11", "3.13")
    for machine in ("x86_64", "aarch64")
]


def entries(stage: str) -> Iterator[tuple[Requirement, list[str]]]:
    """What is pinned, and its hashes."""
    for block in re.split(r"\n(?=\w)", (LOCK / f"{stage}.txt").read_text())[1:]:
        head, *hashes = block.strip().replace(" \\\n", "\n").splitlines()
        yield Requirement(head), [line.strip() for line in hashes]


def pinned(stage: str, machine: dict[str, str]) -> dict[str, str]:
    environment = {**default_environment(), **machine}
    return {
        canonicalize_name(entry.name): next(iter(entry.specifier)).version
        for entry, _ in entries(stage)
        if entry.marker is None or entry.marker.evaluate(environment)
    }


def wanted(stage: str) -> list[Requirement]:
    setup = configparser.ConfigParser()
    setup.read(TREE / "setup.cfg")
    lines = setup["options"]["install_requires"] if stage == "base" else setup["options.extras_require"][stage]
    return [Requirement(line) for line in map(str.strip, lines.splitlines()) if line and not line.startswith("#")]


def test_every_file_is_a_stage_of_the_installer() -> None:
    assert {path.stem for path in LOCK.glob("*.txt")} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_all_is_pinned_and_has_hashes(stage: str) -> None:
    found = list(entries(stage))
    assert found
    for entry, hashes in found:
        assert [specifier.operator for specifier in entry.specifier] == ["=="], entry
        assert hashes, entry
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), entry


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: "-".join(list(machine.values())[::2]))
@pytest.mark.parametrize("stage", ["base", "wake", "speech", "llm"])
def test_what_setup_cfg_asks_for_is_there(stage: str, machine: dict[str, str]) -> None:
    """Whoever changes it there runs systemd/lock/renew."""
    there = pinned("base", machine) | pinned(stage, machine)
    for requirement in wanted(stage):
        assert requirement.specifier.contains(there[canonicalize_name(requirement.name)]), requirement


def test_no_two_stages_want_different_releases() -> None:
    for machine in MACHINES:
        for stage in ("wake", "speech", "llm"):
            base = pinned("base", machine)
            assert not [name for name, version in pinned(stage, machine).items() if base.get(name, version) != version]


def test_the_model_is_the_one_that_the_installer_names() -> None:
    named = re.search(r"^model='(.*)'$", (TREE / "systemd" / "install").read_text(), re.MULTILINE)
    assert named is not None
    assert [str(entry) for entry, _ in entries("model")] == [named[1]]


def test_a_package_with_another_hash_is_refused(tmp_path: Path) -> None:
    """By pip, in the way in which the installer calls it; needs no network, for the package lies there."""
    package = tmp_path / "package" / "harmless-1.0.tar.gz"
    package.parent.mkdir()
    package.write_bytes(b"not what was looked at")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"harmless==1.0 --hash=sha256:{'0' * 64}\n")
    options = ["--require-hashes", "--no-deps", "--no-build-isolation", "--no-index", "--find-links", str(package.parent)]
    install = (TREE / "systemd" / "install").read_text()
    assert " ".join(options[:3]) in install
    pip = [sys.executable, "-m", "pip", "--isolated", "download", "-d", str(tmp_path), *options, "-r", str(lock)]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode != 0
    assert "HASHES" in done.stderr
