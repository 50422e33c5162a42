"""Which devices there are at this moment: `voicectl devices`.

PortAudio's list is frozen when it starts (architecture, Traps), and a process with a stream can't start it anew. So a
program of its own looks, `python -m voiced.audio.listing`, in 0.2 s; whoever wants to know watches its output.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Collection
from typing import Any, NamedTuple

from voiced.audio.device import DeviceInfo, Wanted
from voiced.audio.opening import devices
from voiced.audio.presence.scene import Scene, is_monitor
from voiced.audio.presence.watch import Presence
from voiced.audio.presence.wire import SINKS, SOURCES, Facility
from voiced.child import Child
from voiced.errors import DeviceUnavailable, Unavailable
from voiced.messages import Order

_SOUND_SERVER_TELLS_WITHIN_S = 1.0
#: A sound server that says nothing, asked for both directions, and then ALSA; `voicectl` waits for 5 s.
_LOOKS_WITHIN_S = 4.0
Rows = list[dict[str, Any]]


def listed() -> dict[str, Rows]:
    """`input` and `output`, each: what the sound server has, then what PortAudio has. Raises DeviceUnavailable where there is neither."""
    scenes = {"input": _scene(SOURCES), "output": _scene(SINKS)}
    try:
        of_portaudio = dict(zip(scenes, devices(), strict=True))
    except DeviceUnavailable:
        if not any(scenes.values()):
            raise
        of_portaudio = {}
    return {direction: rows(scene, of_portaudio.get(direction, [])) for direction, scene in scenes.items()}


def rows(scene: Scene | None, of_portaudio: list[DeviceInfo]) -> Rows:
    """One is the default: the sound server's, where there is one, to which ALSA's `default` leads."""
    endpoints = [endpoint for endpoint in scene.endpoints if not is_monitor(endpoint)] if scene else []
    of_server = [
        {
            "name": endpoint.description,
            "host_api": "sound server",
            "channels": endpoint.channels,
            "rate": endpoint.rate,
            "default": scene is not None and endpoint.name == scene.default,
        }
        for endpoint in endpoints
    ]
    has_default = any(row["default"] for row in of_server)
    return of_server + [row._asdict() | {"default": row.default and not has_default} for row in of_portaudio]


def _scene(facility: Facility) -> Scene | None:
    presence = Presence(facility, Wanted("", 0, 0, 0), lambda level, text: None)
    try:
        return presence.await_scene(_SOUND_SERVER_TELLS_WITHIN_S)
    finally:
        presence.close()


class Lister:
    """Answers orders for the list, from a process that must not wait for it: one look at a time, for all who ask meanwhile."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._look: _Look | None = None
        self._orders: list[Order] = []
        #: Processes that are at their end, and not yet gone.
        self._leaving: list[int] = []

    def begin(self, order: Order) -> None:
        """Raises Unavailable."""
        if self._look is None:
            self._look = _begun()
            self._child.watch(self._look.reader)
        self._orders.append(order)

    def take(self, woken: Collection[object]) -> None:
        """Call it with what `wait` returned, in each round. Never waits."""
        self._leaving = [pid for pid in self._leaving if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        if self._look is None:
            return
        if self._look.reader in woken:
            piece = os.read(self._look.reader, 1 << 16)
            self._look.printed.append(piece)
            if not piece:
                self._end(self._look)
        elif time.monotonic() > self._look.deadline_s:
            self._end(self._look)

    def _end(self, look: "_Look") -> None:
        self._child.forget(look.reader)
        os.close(look.reader)
        os.kill(look.pid, signal.SIGKILL)  # all is said, or nothing comes any more; its number is ours until it is waited for
        self._leaving.append(look.pid)
        orders, self._orders, self._look = self._orders, [], None
        for order in orders:
            self._answer(order, b"".join(look.printed))

    def _answer(self, order: Order, printed: bytes) -> None:
        try:
            told = json.loads(printed)
        except ValueError:
            told = {"error": "the list of devices could not be made: the sound system breaks or does not answer"}
        if "error" in told:
            self._child.refuse(order, Unavailable(told["error"]))
        else:
            self._child.answer(order, **told)


class _Look(NamedTuple):
    pid: int
    reader: int
    deadline_s: float
    printed: list[bytes]


def _begun() -> _Look:
    reader, writer = os.pipe()
    try:
        pid = os.posix_spawn(
            sys.executable,
            (sys.executable, "-m", "voiced.audio.listing"),
            os.environ,
            # Not ours: our settings come in there, and its end of file is our supervisor's end.
            file_actions=((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writer, 1)),
            scheduler=(os.SCHED_OTHER, os.sched_param(0)),
        )
    except OSError as error:
        os.close(reader)
        raise Unavailable(f"the list of devices could not be made: {error.strerror}") from error
    finally:
        os.close(writer)
    return _Look(pid, reader, time.monotonic() + _LOOKS_WITHIN_S, [])


def main() -> int:
    try:
        told: dict[str, Any] = listed()
    except DeviceUnavailable as error:
        told = {"error": error.message}
    json.dump(told, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
