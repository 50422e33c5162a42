"""What libraries log in a child process reaches the log through its supervisor.

Apart from `child`, because importing logging costs 1.2 MiB, and the processes of sound have nobody who logs.
"""

import logging
import threading

from voiced.child import Child


class _ToParent(logging.Handler):
    def __init__(self, child: Child) -> None:
        super().__init__()
        self._child = child
        self._home = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception as error:  # a library's wrong format string must not end us
            text = f"{record.msg!r} ({type(error).__name__} in its arguments)"
        if threading.get_ident() == self._home:
            self._child.log(record.levelno, text)
        else:  # a ZeroMQ socket belongs to one thread (zmq_socket(3))
            self._child.log_later(record.levelno, text)


def forward(child: Child) -> None:
    """Sends every record of this process to the supervisor, from the level of the settings on."""
    logging.getLogger().addHandler(_ToParent(child))
    child.level_changed = _set_level
    _set_level(child.settings.get("log_level", logging.INFO))


def _set_level(level: int) -> None:
    # Libraries keep to warnings: at their debug level a WebSocket library logs every frame, and the key in its headers.
    logging.getLogger().setLevel(max(level, logging.WARNING))
    logging.getLogger("voiced").setLevel(level)
