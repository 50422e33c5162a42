"""`voiced keys` and `voicectl hosts` as a shell runs them: what one prints is what the other machine has to run."""

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supervisor import running
from voiced.keyring import Hosts, Keyring

pytestmark = pytest.mark.system


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VOICED_")}
    own = {"XDG_CONFIG_HOME": str(home), "VOICED_RUNTIME_DIR": str(home / "r"), "PYTHONPATH": str(running.ROOT)}
    return subprocess.run([sys.executable, "-m", *words], env=clean | own, capture_output=True, text=True, timeout=30)


def printed(done: subprocess.CompletedProcess[str], start: str) -> list[str]:
    """The words of the line that somebody is to run elsewhere."""
    assert done.returncode == 0, done.stderr
    return next(shlex.split(line) for line in done.stdout.splitlines() if line.strip().startswith(start))


def test_two_machines_get_to_know_each_other_by_what_they_print(tmp_path: Path) -> None:
    kitchen, desk = tmp_path / "kitchen", tmp_path / "desk"
    shown = run(kitchen, "voiced", "keys")
    assert 'listen = "0.0.0.0:7770" below [remote]' in shown.stdout
    add = printed(shown, "voicectl hosts add")
    allow = printed(run(desk, *add), "voiced keys allow")
    assert run(kitchen, *allow).stdout == f"{allow[3]} is let in.\n"
    host = Hosts(desk / "voiced").find(add[3])
    assert host.address.endswith(":7770")
    assert add[4] == host.address
    assert Keyring(kitchen / "voiced/keys").allowed() == {allow[3]: bytes.fromhex(allow[4])}
    assert f"{allow[3]:<16}{allow[4]}" in run(kitchen, "voiced", "keys").stdout
    assert add[3] in run(desk, "voicectl", "hosts").stdout
    for home in (kitchen, desk):
        secret = Keyring(home / "voiced/keys").secret()
        assert secret is not None
        assert secret.hex() not in shown.stdout + run(home, "voiced", "keys").stdout
        assert stat.S_IMODE((home / "voiced/keys/own").stat().st_mode) == 0o600
    assert run(kitchen, "voiced", "keys", "refuse", allow[3]).returncode == 0
    assert run(desk, "voicectl", "hosts", "remove", add[3]).returncode == 0
    assert Keyring(kitchen / "voiced/keys").allowed() == {}
    assert "no daemon of another machine is known here" in run(desk, "voicectl", "hosts").stdout


def test_the_address_is_the_one_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[remote]\nlisten = "192.168.1.20:7000"\n')
    shown = run(tmp_path, "voiced", "--config", str(tmp_path / "mine.toml"), "keys")
    assert printed(shown, "voicectl hosts add")[4] == "192.168.1.20:7000"
    assert "does not listen" not in shown.stdout
    checked = run(tmp_path, "voiced", "--config", str(tmp_path / "mine.toml"), "--check").stdout
    assert "other machines: at 192.168.1.20:7000, none let in (`voiced keys`)\n" in checked


def test_it_says_which_file_lacks_the_line(tmp_path: Path) -> None:
    assert f"into {tmp_path}/voiced/config.toml, then" in run(tmp_path, "voiced", "keys").stdout
    (tmp_path / "mine.toml").write_text("[audio]\n")
    assert f"into {tmp_path}/mine.toml, then" in run(tmp_path, "voiced", "--config", str(tmp_path / "mine.toml"), "keys").stdout


def test_who_takes_the_name_of_another_is_told_so(tmp_path: Path) -> None:
    """New machines are often called the same."""
    first, second = "a" * 64, "b" * 64
    for key in (first, first):
        assert run(tmp_path, "voiced", "keys", "allow", "debian", key).stdout == "debian is let in.\n"
    told = run(tmp_path, "voiced", "keys", "allow", "debian", second).stdout
    assert told == "debian is let in, in place of the debian of before; if that is another machine, allow it by another name:\n" + (
        f"  voiced keys allow debian-2 {first}\n"
    )


def test_an_address_that_nobody_else_reaches_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[remote]\nlisten = "127.0.0.1:7000"\n')
    shown = run(tmp_path, "voiced", "--config", str(tmp_path / "mine.toml"), "keys").stdout
    assert "But 127.0.0.1 is reached from this machine alone: for others, listen at 0.0.0.0:7000.\n" in shown


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (("voiced", "keys", "allow", "desk", "hunter2"), 78, "voiced: a key has 64 hexadecimal digits; `voiced keys` prints it"),
        (("voiced", "keys", "allow", "-", "a" * 64), 78, "voiced: a name has 1 to 64 letters"),
        (("voiced", "keys", "refuse", "desk"), 64, "voiced: no key of 'desk' is allowed; there are: none"),
        (("voicectl", "hosts", "add", "kitchen", "nowhere", "a" * 64), 78, "voicectl: an address must be HOST:PORT"),
        (("voicectl", "hosts", "remove", "kitchen"), 2, "voicectl: no host 'kitchen' (there are none); `voiced keys` there"),
        (("voicectl", "--host", "kitchen", "status"), 2, "voicectl: no host 'kitchen' (there are none); `voiced keys` there"),
    ],
)
def test_mistakes_are_one_line_that_says_the_way_out(tmp_path: Path, words: tuple[str, ...], status: int, line: str) -> None:
    done = run(tmp_path, *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def test_our_own_key_is_not_let_in(tmp_path: Path) -> None:
    key = printed(run(tmp_path, "voiced", "keys"), "voicectl hosts add")[5]
    done = run(tmp_path, "voiced", "keys", "allow", "desk", key)
    assert done.returncode == 78
    assert "is the key of this machine itself" in done.stderr


def test_the_list_is_json_for_programs(tmp_path: Path) -> None:
    key = bytes(32).hex()
    assert json.loads(run(tmp_path, "voicectl", "--json", "hosts").stdout) == {"hosts": []}
    assert run(tmp_path, "voicectl", "hosts", "add", "kitchen", "pi:7770", key).returncode == 0
    assert json.loads(run(tmp_path, "voicectl", "--json", "hosts").stdout) == {
        "hosts": [{"name": "kitchen", "address": "pi:7770", "key": key}]
    }


@pytest.mark.parametrize("command", ["doctor", "logs", "hosts"])
def test_what_looks_at_this_machine_is_not_led_elsewhere(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, "voicectl", "--host", "kitchen", command)
    assert done.returncode == 2
    assert f"`voicectl {command}` looks at the machine that it runs on" in done.stderr


@pytest.mark.parametrize("words", [("voiced", "keys"), ("voiced", "keys", "allow"), ("voicectl", "hosts"), ("voicectl", "hosts", "add")])
def test_help_teaches(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *words, "--help")
    assert done.returncode == 0
    assert "KEY" in done.stdout
    assert not (tmp_path / "voiced").exists()


@pytest.mark.parametrize("listen", ["7770", "0.0.0.0", "ipc:///tmp/x", "http://pi:80"])
def test_a_setting_that_is_no_address_is_told_of(tmp_path: Path, listen: str) -> None:
    (tmp_path / "mine.toml").write_text(f'[remote]\nlisten = "{listen}"\n')
    done = run(tmp_path, "voiced", "--config", str(tmp_path / "mine.toml"), "--check")
    assert done.returncode == 78
    assert "remote.listen must be HOST:PORT" in done.stderr


def test_a_check_and_keys_are_not_had_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, "voiced", "--check", "keys")
    assert done.returncode == 2
    assert "without `keys`" in done.stderr
    assert done.stdout == ""
