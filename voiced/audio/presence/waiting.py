"""Opens the device that is wanted, or one that stands in for it; a process whose devices are all away waits for one.

At the daemon's start a device that is not there is a mistake to be told at once. Later (`patient`) it was unplugged, or
the sound server is being restarted: then whoever waits here is there again a moment after the device is, with nothing to
load any more.
"""

from collections.abc import Callable
from typing import TypeVar

from voiced.audio.device import Wanted
from voiced.audio.opening import Close
from voiced.audio.presence.scene import Scene
from voiced.audio.presence.watch import TELLS_WITHIN_S, WARNING, Presence
from voiced.child import Child, now_ns
from voiced.errors import DeviceLost, DeviceUnavailable, DeviceUnknown, VoicedError
from voiced.messages import MonoNs, Order

D = TypeVar("D")
Open = Callable[[Wanted, str], tuple[D, Close]]

#: A sound server that is just starting shows its devices before they can be opened; later, another program may let go of one.
_TRY_AGAIN_NS = tuple(round(wait_s * 1e9) for wait_s in (0.25, 0.5, 1.0, 2.0, 5.0))


class Patience:
    """When to try again to open a device that is away: when something changed, and a few times unasked. Pure."""

    def __init__(self) -> None:
        self._changes = -1
        self._tries = 0
        self._again_ns: int | None = None

    def due(self, changes: int, now: MonoNs) -> bool:
        """`changes`: Presence's count of them."""
        return changes != self._changes or self._again_ns is None or now >= self._again_ns

    def tried(self, changes: int, now: MonoNs) -> None:
        """In vain, with what was there at `changes`."""
        self._tries = self._tries + 1 if changes == self._changes else 0
        self._changes = changes
        self._again_ns = now + _TRY_AGAIN_NS[min(self._tries, len(_TRY_AGAIN_NS) - 1)]


def open_wanted(presence: Presence, wanted: Wanted, open_device: Open[D], *, patient: bool) -> tuple[D, Close]:
    """The sound server's endpoint of that name, else PortAudio's device; else, for the `patient`, the default.

    Waits for the sound server to tell what it has. Raises DeviceUnknown, DeviceUnavailable, DeviceRateRefused.
    """
    named = wanted.device and not wanted.is_clocked
    return open_among(presence.await_scene(TELLS_WITHIN_S) if named else None, presence, wanted, open_device, patient=patient)


def open_among(scene: Scene | None, presence: Presence, wanted: Wanted, open_device: Open[D], *, patient: bool) -> tuple[D, Close]:
    """The same of what the sound server has by `scene`, without waiting."""
    if not wanted.device or wanted.is_clocked:
        device = open_device(wanted, "")
        presence.opened()
        return device
    chosen = presence.chosen(scene)
    fell_back = False
    try:
        device = open_device(wanted, chosen.name if chosen else "")
    except DeviceUnknown as error:
        if not patient:
            there = ", ".join(endpoint.description for endpoint in scene.endpoints) if scene else ""
            raise DeviceUnknown(error.message + (f"; the sound server has: {there}" if there else "")) from error
        device, fell_back = open_device(wanted._replace(device=""), ""), True
    presence.opened(chosen.name if chosen else "", fell_back=fell_back)
    return device


def await_wanted(
    child: Child, presence: Presence, wanted: Wanted, open_device: Open[D], obey: Callable[[Order], None]
) -> tuple[D, Close] | None:
    """The same, and where there is none the `patient` wait for it, obeying orders. None: told to stop meanwhile.

    Raises what open_wanted does, where the process is not patient.
    """
    patient = bool(child.settings.get("patient"))
    patience, told = Patience(), ""
    while not child.stopping:
        changes = presence.changes
        try:
            return open_wanted(presence, wanted, open_device, patient=patient)
        except (DeviceUnavailable, DeviceLost) as error:
            if not patient:
                raise
            told = _tell(child, error, told)
            patience.tried(changes, now_ns())
        while not child.stopping and not patience.due(presence.changes, now_ns()):
            _wait(child, presence, obey)
    return None


def _tell(child: Child, error: VoicedError, told: str) -> str:
    if error.message != told:
        child.log(WARNING, f"{error.message}; waiting for it")
    return error.message


def _wait(child: Child, presence: Presence, obey: Callable[[Order], None]) -> None:
    child.wait(min(_TRY_AGAIN_NS[0] / 1e6, presence.wake_in_ms(now_ns())))
    for order in child.orders():
        obey(order)
    child.beat(dict, now_ns())
    presence.look(now_ns())
