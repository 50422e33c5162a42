"""Which devices there are at this moment: `voicectl devices`.

PortAudio's list is frozen when it starts (architecture, Traps), and a process with a stream can't start it anew. So a
program of its own looks, `python -m voiced.audio.listing`, in 0.2 s; whoever wants to know watches its output.
"""

import json
import os
import sys
from collections.abc import Collection
from typing import Any

from voiced.audio.device import DeviceInfo, Wanted
from voiced.audio.opening import devices
from voiced.audio.presence.scene import Scene, is_monitor
from voiced.audio.presence.watch import Presence
from voiced.audio.presence.wire import SINKS, SOURCES, Facility
from voiced.child import Child
from voiced.errors import DeviceUnavailable, Unavailable
from voiced.messages import Order

_SOUND_SERVER_TELLS_WITHIN_S = 1.0
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
    """Answers orders for the list, from a process that must not wait for it."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._under_way: dict[int, tuple[int, Order, list[bytes]]] = {}

    def begin(self, order: Order) -> None:
        reader, writer = os.pipe()
        pid = os.posix_spawn(
            sys.executable,
            (sys.executable, "-m", "voiced.audio.listing"),
            os.environ,
            # Not ours: our settings come in there, and its end of file is our supervisor's end.
            file_actions=((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writer, 1)),
            scheduler=(os.SCHED_OTHER, os.sched_param(0)),
        )
        os.close(writer)
        self._under_way[reader] = (pid, order, [])
        self._child.watch(reader)

    def take(self, woken: Collection[object]) -> None:
        """Call it with what `wait` returned."""
        for reader in [reader for reader in self._under_way if reader in woken]:
            pid, order, pieces = self._under_way[reader]
            piece = os.read(reader, 1 << 16)
            pieces.append(piece)
            if not piece:
                del self._under_way[reader]
                self._child.forget(reader)
                os.close(reader)
                os.waitpid(pid, 0)
                self._answer(order, b"".join(pieces))

    def _answer(self, order: Order, printed: bytes) -> None:
        told = json.loads(printed or b'{"error": "the list of devices could not be made"}')
        if "error" in told:
            self._child.refuse(order, Unavailable(told["error"]))
        else:
            self._child.answer(order, **told)


def main() -> int:
    try:
        told: dict[str, Any] = listed()
    except DeviceUnavailable as error:
        told = {"error": error.message}
    json.dump(told, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
