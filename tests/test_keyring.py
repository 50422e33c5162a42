import os
import stat
from pathlib import Path

import pytest

from voiced.bus import new_secret, public_key
from voiced.errors import ConfigInvalid, HostUnknown
from voiced.keyring import Host, Hosts, Keyring, key_of, own_name, split_address

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_kept_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "a" / "keys")
    assert keyring.secret() is None
    secret = new_secret()
    os.umask(0o022)
    keyring.keep_secret(secret)
    assert keyring.secret() == secret
    assert public_key(secret).hex() not in (tmp_path / "a/keys/own").read_text()
    assert (mode(tmp_path / "a/keys"), mode(tmp_path / "a/keys/own")) == (0o700, 0o600)
    with pytest.raises(ConfigInvalid, match="File exists"):
        keyring.keep_secret(new_secret())
    assert keyring.secret() == secret
    assert [path.name for path in (tmp_path / "a/keys").iterdir()] == ["own"]


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.keep_secret(KEY)
    (tmp_path / "own").chmod(0o640)
    with pytest.raises(ConfigInvalid, match="others may read it"):
        keyring.secret()


@pytest.mark.parametrize("content", ["", "abc\n", KEY.hex() + "\n" + OTHER.hex() + "\n", KEY.hex() + " x\n", "\xff"])
def test_a_damaged_secret_is_told_of_and_not_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "own").write_text(content, encoding="latin-1")
    (tmp_path / "own").chmod(0o600)
    with pytest.raises(ConfigInvalid) as caught:
        Keyring(tmp_path).secret()
    assert KEY.hex() not in caught.value.message


def test_who_is_allowed_is_a_file_that_people_can_read(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    assert keyring.allowed() == {}
    keyring.allow("desk", KEY)
    keyring.allow("phone", OTHER)
    assert keyring.allowed() == {"desk": KEY, "phone": OTHER}
    assert f"desk {KEY.hex()}\n" in (tmp_path / "allowed").read_text()
    keyring.refuse("desk")
    assert keyring.allowed() == {"phone": OTHER}
    with pytest.raises(HostUnknown, match="there are: phone"):
        keyring.refuse("desk")
    (tmp_path / "allowed").write_text(f"# mine\n\n laptop   {KEY.hex().upper()}  # the old one\n")
    assert keyring.allowed() == {"laptop": KEY}


@pytest.mark.parametrize("line", ["desk", "desk key", f"de/sk {KEY.hex()}", f"{KEY.hex()}", f"desk {KEY.hex()} x"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "allowed").write_text(f"good {KEY.hex()}\n{line}\n")
    with pytest.raises(ConfigInvalid, match="allowed, line 2: must be NAME KEY"):
        Keyring(tmp_path).allowed()


def test_who_is_allowed_is_not_for_others_to_say(tmp_path: Path) -> None:
    Keyring(tmp_path).allow("desk", KEY)
    (tmp_path / "allowed").chmod(0o666)
    with pytest.raises(ConfigInvalid, match="others may change it"):
        Keyring(tmp_path).allowed()


def test_the_stamp_changes_with_the_file(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    stamps = [keyring.stamp]
    for name in ("a", "b"):
        keyring.allow(name, KEY)
        stamps.append(keyring.stamp)
    assert len(set(stamps)) == 3
    assert keyring.stamp == stamps[-1]


def test_the_stamp_changes_with_what_others_may_do_to_the_file(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.allow("desk", KEY)
    (tmp_path / "allowed").chmod(0o666)
    stamp = keyring.stamp
    (tmp_path / "allowed").chmod(0o600)  # as the complaint says
    assert keyring.stamp != stamp


def test_hosts_are_known_by_name(tmp_path: Path) -> None:
    hosts = Hosts(tmp_path)
    with pytest.raises(HostUnknown, match="there are none"):
        hosts.find("kitchen")
    hosts.add("kitchen", "192.168.1.20:7770", KEY)
    hosts.add("attic", "[fe80::1]:7770", OTHER)
    assert hosts.find("kitchen") == Host("kitchen", "192.168.1.20:7770", KEY)
    assert mode(tmp_path / "hosts") == 0o600
    hosts.remove("kitchen")
    assert list(hosts.all()) == ["attic"]
    with pytest.raises(ConfigInvalid, match="an address must be HOST:PORT"):
        hosts.add("cellar", "192.168.1.20", KEY)
    with pytest.raises(ConfigInvalid, match="a name has"):
        hosts.add("-x", "192.168.1.20:1", KEY)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("0.0.0.0:7770", ("0.0.0.0", 7770)), ("tcp://pi:1", ("pi", 1)), ("[::]:65534", ("[::]", 65_534)), ("*:80", ("*", 80))],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["", ":1", "pi", "pi:", "pi:0", "pi:65535", "pi:x", "a b:1", "http://pi:1", "::1:7770", "ipc:///tmp/x"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        split_address(address)


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "a" * 63, "a" * 65])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="64 hexadecimal digits"):
        key_of(text)


@pytest.mark.parametrize(("node", "name"), [("pi.local", "pi"), ("my pi", "mypi"), ("---", "desk"), ("", "desk")])
def test_our_name_is_one(monkeypatch: pytest.MonkeyPatch, node: str, name: str) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", node, "", "", "")))
    assert own_name() == name
