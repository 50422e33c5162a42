"""The remote process: wiring and the poll loop. It needs no device, and what keeps it from its port must keep nobody from theirs:
it says so and tries again."""

import os
import resource
import sys
import time
from typing import Any

from voiced.bus import new_secret, public_key
from voiced.child import Child, now_ns, run
from voiced.doors import Doorman
from voiced.errors import ConfigInvalid, SocketFailed
from voiced.keyring import Keyring
from voiced.remote.admission import Admission, Visitors
from voiced.remote.relay import MOST_PEERS, Relay

_INFO, _WARNING = 20, 30  # logging's numbers, without its import
#: What an attack may use up: two sockets' peers and as many again before we look; and memory, far above what they may need.
_DESCRIPTORS = 4 * MOST_PEERS + 100
_MEMORY = 512 << 20
#: A handshake costs computing, and strangers may ask for as many as they like: sound and conversation go first.
_NICE = 10
_TRY_AGAIN_S = 2.0
_LOOK_AT_KEYS_S = 1.0


def main() -> int:
    return run("remote", _remote)


def _remote(child: Child) -> None:
    for limit, most in ((resource.RLIMIT_NOFILE, _DESCRIPTORS), (resource.RLIMIT_DATA, _MEMORY)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard),) * 2)
    os.nice(_NICE)
    _Process(child).live()


class _Process:
    def __init__(self, child: Child) -> None:
        self._child, self._settings = child, child.settings
        self._keyring = Keyring(child.settings["keys"])
        self._visitors = Visitors()
        self._stamp: object = object()
        self._doorman = Doorman(child.bus, self._asked)
        child.watch(self._doorman)
        self._relay: Relay | None = None
        self._try_s = self._look_s = 0.0
        self._told = ""

    def live(self) -> None:
        child = self._child
        while not child.stopping:
            now_s = time.monotonic()
            if now_s >= self._look_s:
                self._look_s = now_s + _LOOK_AT_KEYS_S
                self._look_at_keys()
            if self._relay is None and now_s >= self._try_s:
                self._try_s = now_s + _TRY_AGAIN_S
                self._open()
            child.wait(_LOOK_AT_KEYS_S * 1000)
            list(child.orders())
            self._doorman.look()
            if self._relay is not None and self._relay.move(time.monotonic()):
                full = any(door.crowded for door in self._relay.doors)
                self._tell(
                    _WARNING, f"{MOST_PEERS} connections from other machines: " + ("more are sent away" if full else "more may come again")
                )
            child.beat(self._figures, now_ns())
        if self._relay is not None:
            self._relay.close()

    def _figures(self) -> dict[str, Any]:
        relay = self._relay
        return {"listening": relay is not None, "peers": relay.doors[0].peers if relay else 0, "missed": relay.missed if relay else 0}

    def _open(self) -> None:
        listen = self._settings["listen"]
        try:
            self._relay = Relay(self._child.bus, listen, secret := self._secret(), Admission(admin=self._settings["admin"]))
        except (SocketFailed, ConfigInvalid) as error:
            self._tell(_WARNING, f"not reachable from other machines: {error.message}")
        else:
            for end in self._relay.ends:
                self._child.watch(end)
            advice = "" if self._visitors.count else "; nobody is allowed yet: `voiced keys` says how"
            self._tell(_INFO, f"reachable from other machines at {listen}, by the key {public_key(secret).hex()}{advice}")
        self._child.ready(listening=self._relay is not None)

    def _secret(self) -> bytes:
        """This machine's key, made where there is none yet, which a sandbox may not let us."""
        secret = self._keyring.secret()
        if secret is None:
            try:
                self._keyring.keep_secret(secret := new_secret())
            except ConfigInvalid as error:
                raise ConfigInvalid(f"it has no key ({error.message}); run `voiced keys` in a terminal, which makes one") from error
        return secret

    def _look_at_keys(self) -> None:
        stamp = self._keyring.stamp
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            lost = self._visitors.learn(self._keyring.allowed())
        except ConfigInvalid as error:  # who was allowed is not for us to guess
            lost = self._visitors.learn({})
            self._tell(_WARNING, f"nobody may come in from another machine: {error.message}")
        if lost and self._relay is not None:
            self._relay.clear()

    def _asked(self, key: bytes, address: str) -> str:
        self._look_at_keys()  # somebody may just have been allowed
        line = self._visitors.line(key, address.removeprefix("::ffff:"), time.monotonic())
        if line:
            self._child.log(_INFO if self._visitors.name(key) else _WARNING, line)
        return self._visitors.name(key)

    def _tell(self, level: int, line: str) -> None:
        if line != self._told:
            self._told = line
            self._child.log(level, line)


if __name__ == "__main__":
    sys.exit(main())
