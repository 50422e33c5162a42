"""Where a daemon is: here, by the sockets in a directory, or on another machine, by address and keys. Says what to do where none is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from voiced.bus import CONTROL, Abroad, address
from voiced.errors import HostRefused, NotRunning, ProtocolViolated

if TYPE_CHECKING:
    from voiced.bus import Bus, Endpoint, Poller, Socket
    from voiced.keyring import Host

#: Handshakes that fail for no known reason: one may be a daemon that restarts.
_FAILURES = 3
_PROBE_S = 2.0


class Place(Protocol):
    directory: str

    def abroad(self, endpoint: Endpoint) -> Abroad | None:
        """The address and keys, None for a socket in the directory."""

    def require_socket(self, endpoint: Endpoint) -> None:
        """Raises NotRunning where there is surely no daemon."""

    def require_listener(self, endpoint: Endpoint) -> None:
        """The same by knocking: ZeroMQ connects to nobody, and waits."""

    def watch(self, bus: Bus, socket: Socket, poller: Poller) -> None:
        """Has the poller wake for what becomes of the connection."""

    def look(self) -> None:
        """Raises HostRefused or ProtocolViolated where it can't become one."""

    def not_running(self) -> NotRunning: ...
    def ended(self) -> NotRunning: ...
    def foreign(self, endpoint: Endpoint) -> ProtocolViolated: ...


class Here:
    def __init__(self, directory: str) -> None:
        self.directory = directory

    def abroad(self, endpoint: Endpoint) -> Abroad | None:
        return None

    def require_socket(self, endpoint: Endpoint) -> None:
        if not os.path.exists(self._path(endpoint)):
            raise self.not_running()

    def require_listener(self, endpoint: Endpoint) -> None:
        """The socket that a killed daemon left behind refuses a plain connection."""
        import socket  # 4 ms that the usual case does not need

        self.require_socket(endpoint)
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self._path(endpoint))
            except OSError as error:
                raise self.not_running() from error

    def watch(self, bus: Bus, socket: Socket, poller: Poller) -> None:
        pass

    def look(self) -> None:
        pass

    def not_running(self) -> NotRunning:
        return NotRunning(f"voiced is not running in {self.directory}; start it with `voiced`, or `systemctl --user start voiced`")

    def ended(self) -> NotRunning:
        return NotRunning("voiced has ended")

    def foreign(self, endpoint: Endpoint) -> ProtocolViolated:
        return ProtocolViolated(f"what answers at the {endpoint.name} socket is not voiced as we know it; is VOICED_RUNTIME_DIR right?")

    def _path(self, endpoint: Endpoint) -> str:
        return address(self.directory, endpoint).removeprefix("ipc://")


class There:
    """A host of ~/.config/voiced/hosts. `secret` is this machine's key."""

    directory = ""

    def __init__(self, host: Host, secret: bytes) -> None:
        from voiced.keyring import split_address

        self._host, self._secret = host, secret
        self._name, self._port = split_address(host.address)

    def abroad(self, endpoint: Endpoint) -> Abroad | None:
        return Abroad(f"tcp://{self._name}:{self._port_of(endpoint)}", self._secret, self._host.key)

    def require_socket(self, endpoint: Endpoint) -> None:
        pass  # there is nothing to see from here

    def require_listener(self, endpoint: Endpoint) -> None:
        import socket

        self.look()
        try:
            socket.create_connection((self._name.strip("[]"), self._port_of(endpoint)), _PROBE_S).close()
        except OSError as error:
            raise self.not_running() from error

    def watch(self, bus: Bus, socket: Socket, poller: Poller) -> None:
        from voiced.doors import Handshakes

        self._handshakes = Handshakes(bus, socket)
        poller.watch(self._handshakes.socket)

    def look(self) -> None:
        self._handshakes.look()
        if self._handshakes.refused:
            from voiced.bus import public_key
            from voiced.keyring import own_name

            key = public_key(self._secret).hex()
            raise HostRefused(f"{self._host.name} does not let this machine in; run there: voiced keys allow {own_name()} {key}")
        if self._handshakes.failed >= _FAILURES:
            raise self.foreign(CONTROL)

    def not_running(self) -> NotRunning:
        where = f"{self._host.name} ({self._host.address})"
        return NotRunning(f"nothing answers at {where}: is that machine on, does voiced run there, and is remote.listen set?")

    def ended(self) -> NotRunning:
        return NotRunning(f"the connection to {self._host.name} is gone")

    def foreign(self, endpoint: Endpoint) -> ProtocolViolated:
        name = self._host.name
        return ProtocolViolated(
            f"what answers at {self._host.address} is not {name} as we know it; `voiced keys` there shows its key and address"
        )

    def _port_of(self, endpoint: Endpoint) -> int:
        return self._port if endpoint == CONTROL else self._port + 1


def place(directory: str | os.PathLike[str] | None, host: str | None) -> Place:
    """Raises HostUnknown, ConfigInvalid and RuntimeDirUnusable."""
    from voiced.bus import runtime_dir

    if host is None:
        return Here(os.fspath(directory) if directory is not None else runtime_dir())
    from voiced.keyring import Hosts, config_dir

    return There(Hosts(config_dir()).find(host), own_secret())


def own_secret() -> bytes:
    """This machine's key, made where there is none yet."""
    from voiced.bus import new_secret
    from voiced.keyring import Keyring, keys_dir

    return Keyring(keys_dir()).own(new_secret)
