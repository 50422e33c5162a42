"""Looks after what the daemon needs of the machine to be reached: its runtime directory, and descriptors.

Who cleans up a directory of temporary files may take ours along, and then nobody finds the daemon any more. Where there is no
descriptor for one more client, libzmq 4.3.5 ends the process (an assertion on EMFILE, of ipc sockets); so some are kept back.
"""

import errno
import os
from collections.abc import Iterator

from voiced.bus import Bus
from voiced.errors import ResourcesShort, RuntimeDirUnusable, VoicedError
from voiced.supervisor.runtime import RuntimeDirectory

#: The children look after their own sockets with each heartbeat, as often.
_LOOK_EVERY_S = 0.5
#: To start a process takes eight; the rest is for clients.
_SPARE = 24
#: With fewer beside those they are let go: a client that comes before the next look must find one.
_FEW = 16
#: And with so many there are enough again. What a process held that has just died is for the one that takes its place.
_ENOUGH = 32


class Home:
    def __init__(self, directory: RuntimeDirectory, bus: Bus) -> None:
        self._directory = directory
        self._bus = bus
        self._spare: list[int] = []
        self._of_directory = self._of_descriptors = ""
        self.deadline_s = 0.0
        self._keep_back()

    def close(self) -> None:
        self._release()

    @property
    def troubles(self) -> list[str]:
        """What is wrong now."""
        return [trouble for trouble in (self._of_directory, self._of_descriptors) if trouble]

    def keep_time(self, now_s: float) -> Iterator[VoicedError]:
        """Puts right what is wrong, and what there is to say about it: once when it begins, or is over. Raises AlreadyRunning where another
        daemon has taken the place."""
        if now_s >= self.deadline_s:
            self.deadline_s = now_s + _LOOK_EVERY_S
            yield from self._look_for_descriptors()
            yield from self._look_for_directory()

    def _look_for_directory(self) -> Iterator[VoicedError]:
        try:
            renewed = self._directory.renew()
        except RuntimeDirUnusable as error:
            if error.message != self._of_directory:
                yield error
            self._of_directory = error.message
            return
        if self._bus.look() or renewed:
            yield RuntimeDirUnusable(f"what was in the runtime directory {self._directory.path} had been removed; it is there again")
        self._of_directory = ""

    def _look_for_descriptors(self) -> Iterator[VoicedError]:
        if not self._keep_back() and not self._of_descriptors:
            self._of_descriptors = "voiced has hardly any file descriptors left; raise its limit (LimitNOFILE of its unit, ulimit -n)"
            yield ResourcesShort(self._of_descriptors)
        elif self._of_descriptors and self._spare:
            self._of_descriptors = ""
            yield ResourcesShort("there are file descriptors again")

    def _keep_back(self) -> bool:
        """Takes what is kept back, or lets it go where there is no other; whether there is."""
        more: list[int] = []
        try:
            while len(self._spare) < _SPARE:
                self._spare.append(os.dup(2))
            while len(more) < (_ENOUGH if self._of_descriptors else _FEW):
                more.append(os.dup(2))
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._release()
            return False
        finally:
            for descriptor in more:
                os.close(descriptor)
        return True

    def _release(self) -> None:
        for descriptor in self._spare:
            os.close(descriptor)
        self._spare.clear()
