"""systemd's notification protocol, sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names."""

import os
from collections.abc import Mapping


class Notifier:
    """Tells systemd how we are; does nothing where nobody asked."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._address = env.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(env)

    def __bool__(self) -> bool:
        return bool(self._address)

    def tell(self, **fields: str) -> bool:
        """`tell(READY="1", STATUS="idle")`. False: it has no room for that now. One that is gone must not end us, and is told nothing."""
        if not self._address:
            return True
        import socket  # only where systemd runs us

        text = "\n".join(f"{name}={value}" for name, value in fields.items())
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            try:
                client.sendto(text.encode(), socket.MSG_DONTWAIT, address)
            except BlockingIOError:
                return False
            except OSError:
                self._address = ""
        return True


def _watchdog_s(env: Mapping[str, str]) -> float | None:
    """How often to ping: half of what systemd waits, as sd_watchdog_enabled(3) recommends."""
    limit_us = env.get("WATCHDOG_USEC", "")
    if not limit_us.isdecimal() or int(limit_us) == 0 or env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit_us) / 2e6
