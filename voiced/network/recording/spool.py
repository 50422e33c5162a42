"""The file of a recording: new, for nobody but us, and written by a thread that waits for the disk so that the conversation does not."""

import os
import queue
import threading
import time
from typing import Final

#: A disk that is this far behind is waited for no longer.
_MOST_WAITING_BYTES: Final = 8 << 20
_CLOSE_WITHIN_S: Final = 0.5


def create(directory: str) -> tuple[str, int]:
    """A new file, for nobody but us: its path and descriptor. Raises OSError."""
    os.makedirs(directory, 0o700, exist_ok=True)
    stem = os.path.join(directory, time.strftime("wire-%Y%m%d-%H%M%S"))
    for again in ("", *(f"-{number}" for number in range(2, 10))):
        path = f"{stem}{again}.jsonl"
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:  # another of the same second
            continue
    raise FileExistsError(f"{stem}.jsonl and more of this second are there")


class Writer:
    """A thread that waits for the disk, so that the conversation does not."""

    def __init__(self, fd: int) -> None:
        self.trouble = ""
        self._fd = fd
        self._waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._given = self._done = 0  # bytes; each is counted by one thread alone
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> bool:
        """False where too much waits already."""
        if self._given - self._done > _MOST_WAITING_BYTES:
            return False
        self._given += len(data)
        self._waiting.put(data)
        return True

    def close(self) -> None:
        self._waiting.put(b"")
        self._thread.join(_CLOSE_WITHIN_S)

    def _run(self) -> None:
        try:
            while data := self._waiting.get():
                left = memoryview(data)
                while left:
                    left = left[os.write(self._fd, left) :]
                self._done += len(data)
        except OSError as error:
            self.trouble = f"it can't be written: {error.strerror or error}"
        finally:
            os.close(self._fd)
