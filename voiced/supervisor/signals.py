"""Signals as something to poll for."""

import os
import signal
from collections.abc import Iterable


class SignalPipe:
    """Becomes readable at a signal. Python's handlers alone do not end a wait in libzmq early."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self.reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = [(number, signal.signal(number, _written_to_pipe)) for number in numbers]
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def read(self) -> bytes:
        """The numbers that came since."""
        try:
            return os.read(self.reader, 64)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before:
            signal.signal(number, handler)
        os.close(self.reader)
        os.close(self._writer)


def _written_to_pipe(number: int, frame: object) -> None:
    """The wakeup descriptor has it already."""
