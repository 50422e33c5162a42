"""Looks after the runtime directory while the daemon runs: who cleans up a directory of temporary files may take ours along, and then
nobody finds the daemon any more.
"""

from collections.abc import Iterator

from voiced.bus import Bus
from voiced.errors import RuntimeDirUnusable, VoicedError
from voiced.supervisor.runtime import RuntimeDirectory

#: The children look after their own sockets with each heartbeat, as often.
_LOOK_EVERY_S = 0.5


class Home:
    def __init__(self, directory: RuntimeDirectory, bus: Bus) -> None:
        self._directory = directory
        self._bus = bus
        self._told = ""
        self.deadline_s = 0.0

    def keep_time(self, now_s: float) -> Iterator[VoicedError]:
        """Puts right what is wrong, and what there is to say about it: once when it begins. Raises AlreadyRunning where another daemon
        has taken the place."""
        if now_s < self.deadline_s:
            return
        self.deadline_s = now_s + _LOOK_EVERY_S
        try:
            renewed = self._directory.renew()
        except RuntimeDirUnusable as error:
            if error.message != self._told:
                yield error
            self._told = error.message
            return
        if self._bus.look() or renewed:
            yield RuntimeDirUnusable(f"what was in the runtime directory {self._directory.path} had been removed; it is there again")
        self._told = ""
