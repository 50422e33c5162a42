"""A supervisor's stand-in: starts one room of the daemon as the supervisor does and talks to it over the real bus."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from voiced.bus import FAMILY, Bus, Poller, Receiver
from voiced.child import settings_frame
from voiced.messages import Answer, Heartbeat, Message, Order, decode, encode

PATIENCE_S = 10.0
M = TypeVar("M", bound=Message)


class Family:
    """A runtime directory, a bus and the children started on it; a context manager that leaves nothing."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.directory = Path(tempfile.mkdtemp(prefix="voiced-"))
        self.bus = Bus(self.directory)
        self._family = self.bus.bind(FAMILY)
        self._poller = Poller()
        self._poller.watch(self._family)
        self.children: list[subprocess.Popen[bytes]] = []
        self._pids: dict[str, int] = {}  # of the latest of each room
        self.heard: list[Message] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for child in self.children:
            child.kill()
            child.communicate()
        self.bus.close()
        shutil.rmtree(self.directory)

    def start(self, room: str, **settings: Any) -> subprocess.Popen[bytes]:
        env = os.environ | dict(self._env) | {"VOICED_RUNTIME_DIR": str(self.directory), "VOICED_CHILD": "1"}
        child = subprocess.Popen([sys.executable, "-m", f"voiced.{room}"], stdin=subprocess.PIPE, env=env)
        self.children.append(child)
        self._pids[room] = child.pid
        assert child.stdin is not None
        child.stdin.write(settings_frame({"log_level": 20, **settings}))
        child.stdin.flush()
        return child

    def wait_for(self, kind: type[M], patience_s: float = PATIENCE_S) -> M:
        """The next message of that kind from any child."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            self._poller.wait(50)
            while self._family.poll(0):
                _, header = self._family.recv_multipart()
                message = decode(header)
                self.heard.append(message)
                if isinstance(message, kind):
                    return message
        raise AssertionError(f"no {kind.__name__} in {patience_s} s, but {[m for m in self.heard if not isinstance(m, Heartbeat)]}")

    def order(self, room: str, command: str, **args: Any) -> dict[str, Any]:
        self.send(room, command, **args)
        return self.wait_for(Answer).result

    def send(self, room: str, command: str, **args: Any) -> None:
        self._family.send_multipart((f"{room}.{self._pids[room]}".encode(), encode(Order(1, command, args))))


def next_of(receiver: Receiver, kind: type[M], patience_s: float = PATIENCE_S) -> tuple[M, bytes]:
    """Waits for the next message of that kind on a one-way endpoint; others are passed over."""
    poller = Poller()
    poller.watch(receiver.socket)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        poller.wait(50)
        while (item := receiver.next()) is not None:
            message, sound = item
            if isinstance(message, kind):
                return message, sound
    raise AssertionError(f"no {kind.__name__} in {patience_s} s")
