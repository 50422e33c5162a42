"""The keys for driving a daemon from another machine, as files in ~/.config/voiced that people can read and edit.

    keys/own        this machine's secret key (0600): who has it can pose as this machine
    keys/allowed    machines that may drive the daemon here: a line each, `NAME KEY`
    hosts           daemons elsewhere that `voicectl --host NAME` knows: a line each, `NAME ADDRESS KEY`

Keys are CURVE's (32 bytes), written as 64 hexadecimal digits: unlike ZeroMQ's own Z85, these need no quotation in a shell. KEY is
always a public one, which is no secret. Opens no socket and knows nothing of zmq.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from voiced.errors import ConfigInvalid, HostUnknown
from voiced.files import read_file, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_LARGEST = 1 << 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(r"[0-9a-fA-F]{64}")
_OWN_HEADER = "# The secret key of this machine. Who has it can pose as this machine: never copy it, never show it.\n"
_ALLOWED_HEADER = "# Who may drive voiced here from another machine: NAME KEY. `voiced keys allow` and `refuse` write it.\n"
_HOSTS_HEADER = "# Where `voicectl --host NAME` finds voiced: NAME ADDRESS KEY. `voicectl hosts add` and `remove` write it.\n"


class Host(NamedTuple):
    name: str
    address: str  # HOST:PORT
    key: bytes


def config_dir(env: Mapping[str, str] = os.environ) -> str:
    return os.path.join(env.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config"), "voiced")


def keys_dir() -> str:
    return os.path.join(config_dir(), "keys")


def own_name() -> str:
    """What others may call this machine."""
    name = re.sub(r"[^A-Za-z0-9_-]", "", os.uname().nodename.partition(".")[0])
    return name if _NAME.fullmatch(name) else "desk"


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; `[...]` around an IPv6 address belongs to it. The events are one port further. Raises
    ValueError, whose text is for people."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if not re.fullmatch(r"\[[0-9a-fA-F:.%]+\]|[^\[\]:/\s]+", host) or not port.isdecimal() or not 0 < int(port) < 65_535:
        raise ValueError("must be HOST:PORT with a port from 1 to 65534, as 192.168.1.20:7770")
    return host, int(port)


def key_of(text: str) -> bytes:
    """Raises ConfigInvalid."""
    if not _KEY.fullmatch(text):
        raise ConfigInvalid("a key has 64 hexadecimal digits; `voiced keys` prints it on the machine that it belongs to")
    return bytes.fromhex(text)


class Keyring:
    """The keys in a directory. What is damaged, or open to others, raises ConfigInvalid."""

    def __init__(self, directory: Path | str) -> None:
        self._own = os.path.join(directory, "own")
        self._allowed = os.path.join(directory, "allowed")

    def secret(self) -> bytes | None:
        """This machine's, None where it has none yet."""
        lines = _lines(self._own, secret=True)
        if lines is None:
            return None
        if [len(words) for _, words in lines] != [1] or not _KEY.fullmatch(lines[0][1][0]):
            raise ConfigInvalid(f"{self._own} holds no secret key; remove it and run `voiced keys` for a new one")
        return bytes.fromhex(lines[0][1][0])

    def own(self, make: Callable[[], bytes]) -> bytes:
        """This machine's, made where there is none yet."""
        secret = self.secret()
        if secret is None:
            self.keep_secret(secret := make())
        return secret

    def keep_secret(self, secret: bytes) -> None:
        """Raises ConfigInvalid where there is one already: it would be lost."""
        _write(self._own, _OWN_HEADER + secret.hex() + "\n", anew=True)

    def allowed(self) -> dict[str, bytes]:
        """The public keys that may come in, by name."""
        found: dict[str, bytes] = {}
        for number, words in _lines(self._allowed) or []:
            if len(words) != 2 or not _NAME.fullmatch(words[0]) or not _KEY.fullmatch(words[1]):
                raise ConfigInvalid(f"{self._allowed}, line {number}: must be NAME KEY, the key with 64 hexadecimal digits")
            found[words[0]] = bytes.fromhex(words[1])
        return found

    def allow(self, name: str, key: bytes) -> None:
        self._keep(self.allowed() | {_checked(name): key})

    def refuse(self, name: str) -> None:
        """Raises HostUnknown."""
        allowed = self.allowed()
        if name not in allowed:
            raise HostUnknown(f"no key of {name!r} is allowed; there are: " + (", ".join(allowed) or "none"))
        del allowed[name]
        self._keep(allowed)

    def _keep(self, allowed: Mapping[str, bytes]) -> None:
        _write(self._allowed, _ALLOWED_HEADER + "".join(f"{name} {key.hex()}\n" for name, key in allowed.items()))

    @property
    def stamp(self) -> tuple[int, int, int] | None:
        """Another one when the file of who is allowed was changed, or who may write it."""
        try:
            found = os.stat(self._allowed)
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns, found.st_size


class Hosts:
    """The daemons elsewhere. What is damaged raises ConfigInvalid."""

    def __init__(self, directory: Path | str) -> None:
        self._path = os.path.join(directory, "hosts")

    def all(self) -> dict[str, Host]:
        return {host.name: host for host in self._read()}

    def _read(self) -> Iterator[Host]:
        for number, words in _lines(self._path) or []:
            try:
                name, address, key = words
                split_address(address)
                yield Host(_checked(name), address, key_of(key))
            except (ValueError, ConfigInvalid) as error:
                raise ConfigInvalid(f"{self._path}, line {number}: must be NAME HOST:PORT KEY; mend it, or remove the line") from error

    def find(self, name: str) -> Host:
        """Raises HostUnknown."""
        hosts = self.all()
        if name not in hosts:
            known = f"there are: {', '.join(hosts)}" if hosts else "there are none"
            raise HostUnknown(
                f"no host {name!r} ({known}); `voiced keys` there prints the `voicectl hosts add ...` that makes it known here"
            )
        return hosts[name]

    def add(self, name: str, address: str, key: bytes) -> None:
        try:
            split_address(address)
        except ValueError as error:
            raise ConfigInvalid(f"an address {error}") from error
        self._keep(self.all() | {_checked(name): Host(name, address, key)})

    def remove(self, name: str) -> None:
        self.find(name)
        self._keep({known: host for known, host in self.all().items() if known != name})

    def _keep(self, hosts: Mapping[str, Host]) -> None:
        _write(self._path, _HOSTS_HEADER + "".join(f"{host.name} {host.address} {host.key.hex()}\n" for host in hosts.values()))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigInvalid("a name has 1 to 64 letters, digits, - _ and ., and begins with a letter or digit")
    return name


def _lines(path: str, *, secret: bool = False) -> list[tuple[int, list[str]]] | None:
    """The words of each line, and its number; None where there is no such file."""
    from pathlib import Path

    try:
        text = read_file(Path(path), _LARGEST, lambda found: _objection(found, secret=secret)).decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"can't read {path}: {error.strerror if isinstance(error, OSError) else 'it is no text'}") from error
    split = ((number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, words) for number, words in split if words]


def _objection(found: os.stat_result, *, secret: bool) -> str | None:
    if found.st_uid not in (os.geteuid(), 0):
        return "it belongs to somebody else"
    wrong = stat.S_IMODE(found.st_mode) & (0o077 if secret else 0o022)
    return f"others may {'read' if secret else 'change'} it; run: chmod 600 on it" if wrong else None


def _write(path: str, text: str, *, anew: bool = False) -> None:
    """For us alone, whole or not at all."""
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        write_whole(path, text.encode(), anew=anew)
    except OSError as error:
        raise ConfigInvalid(f"can't write {path}: {error.strerror}") from error
