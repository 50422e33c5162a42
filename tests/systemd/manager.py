"""A real `systemd --user` for tests, also where systemd is not booted; see the script `user-manager` beside this."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "systemd" / "install"
#: The home as the manager's user sees it; outside it is `Manager.home`.
HOME = Path("/mnt/a home")
#: Sound servers of this machine, which the manager is not to start: a test has its own, or none.
_MASKED = [f"{name}.{kind}" for name in ("pipewire", "pipewire-pulse", "wireplumber", "pulseaudio") for kind in ("socket", "service")]


class Manager:
    """Of a user 1000 without privileges, who has the files of whoever runs the tests."""

    def __init__(self, directory: Path, namespaces: int, as_user: list[str]) -> None:
        self.home = directory / "home"
        self.runtime = directory / "run"
        self._enter = [*_as_root(), "nsenter", "--target", str(namespaces), "--mount", "--pid", "--wd=/", *as_user]

    def run(self, *command: str | Path, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """As that user, among the manager's processes and mounts."""
        return subprocess.run([*self._enter, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s)

    def systemctl(self, *arguments: str, timeout_s: float = 30.0) -> str:
        done = self.run("systemctl", "--user", "--no-pager", *arguments, timeout_s=timeout_s)
        assert done.returncode == 0, f"systemctl {shlex.join(arguments)}: {done.stderr}{self.log}"
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        return self.systemctl("show", unit, "-P", name).strip()

    def shown(self, unit: str, *names: str) -> list[str]:
        """The properties of that moment."""
        found = dict(line.split("=", 1) for line in self.systemctl("show", unit, "-p", ",".join(names)).splitlines())
        return [found[name] for name in names]

    def until(self, unit: str, name: str, wanted: str, within_s: float = 15.0) -> None:
        """Waits until a property is that."""
        deadline_s = time.monotonic() + within_s
        while (found := self.show(unit, name)) != wanted:
            assert time.monotonic() < deadline_s, f"{name} is {found!r} and not {wanted!r}\n{self.log}"

    def kill(self, number: str, pid: int | str) -> None:
        # The shell's own: a bare Debian has no program of that name.
        assert self.run("sh", "-c", f"kill -{number} {pid}").returncode == 0

    @property
    def log(self) -> str:
        """What services said, whose unit says `StandardOutput=append:%h/log`."""
        return (self.home / "log").read_text() if (self.home / "log").exists() else ""

    def unit(self, name: str, text: str) -> None:
        """Puts a file into the directory of the user's units."""
        file = self.home / ".config" / "systemd" / "user" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def program(self, name: str, line: str) -> Path:
        """A program in the user's home."""
        file = self.home / "my programs" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o755)
        return HOME / "my programs" / name


def python(module: str, prefix: str = "") -> str:
    """The line of shell that becomes that module of this source tree."""
    return f'{prefix} PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -P -m {module} "$@"'


def seen_from_the_sandbox() -> str:
    """The line of a unit that shows it this source tree and its Python, where they are in a directory that it has as its own."""
    hidden = [str(path) for path in (ROOT, Path(sys.prefix)) if path.is_relative_to("/tmp") or path.is_relative_to("/var/tmp")]
    return "".join(f'BindReadOnlyPaths="{path}"\n' for path in hidden)


@contextmanager
def manager(namespaces: str = "some") -> Iterator[Manager]:
    """Skips, with the reason, where this machine can't have one. "none": of a user who gets no user namespaces."""
    for program in ("/lib/systemd/systemd", "systemctl", "nsenter", "setpriv", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
    if os.geteuid() != 0 and (shutil.which("sudo") is None or subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode):
        pytest.skip("a systemd --user of its own takes root, or sudo without a password")
    directory = Path(tempfile.mkdtemp(prefix="vsd", dir="/tmp"))
    for part in ("run", "home"):
        (directory / part).mkdir(mode=0o700)
    _mask(directory / "home")
    isolation = ["unshare", "--mount", "--propagation", "unchanged", "--pid", "--fork", "--kill-child", "--mount-proc"]
    program = Path(__file__).with_name("user-manager")
    with subprocess.Popen(
        [*_as_root(), *isolation, str(program), str(directory), str(os.geteuid()), namespaces],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline().strip()
            if said != "ready":
                pytest.skip(f"no systemd --user here: {said}")
            yield Manager(directory, _descendant(process.pid, "bash"), shlex.split((directory / "as-user").read_text()))
        finally:
            try:
                process.communicate(timeout=30)
            finally:
                process.kill()  # and with it, by --kill-child, all of that namespace
                shutil.rmtree(directory)


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def _mask(home: Path) -> None:
    units = home / ".config" / "systemd" / "user"
    units.mkdir(parents=True)
    for name in _MASKED:
        (units / name).symlink_to("/dev/null")


def _descendant(pid: int, name: str) -> int:
    """The process of that name which `pid` started, or one of those that it started."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    for child in children:
        if Path(f"/proc/{child}/comm").read_text().strip() == name:
            return child
    return _descendant(children[0], name)
