"""Opens the device that a user named, of whatever kind. PortAudio is only loaded where it is meant."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from voiced.audio.device import DeviceInfo, InputDevice, OutputDevice, Wanted
from voiced.errors import DeviceUnknown, VoicedError

if TYPE_CHECKING:
    from voiced.audio.portaudio import PortAudio

#: Closes the device and what it came from.
Close = Callable[[], None]


class Closable(Protocol):
    def close(self) -> None: ...


D = TypeVar("D", bound=Closable)

#: How a sound server's client library, or ALSA's plugin for it, is told which sink or source ALSA's `pulse` and `pipewire` devices
#: are to stand for: for PulseAudio's, and for PipeWire's.
_ENDPOINT_VARIABLES = {"output": ("PULSE_SINK", "PIPEWIRE_NODE"), "input": ("PULSE_SOURCE", "PIPEWIRE_NODE")}
_USERS_OWN = {name: os.environ.get(name) for names in _ENDPOINT_VARIABLES.values() for name in names}


def open_output(wanted: Wanted, endpoint: str = "") -> tuple[OutputDevice, Close]:
    """The device; or, through the sound server, that sink of it. Raises DeviceUnknown, DeviceUnavailable, DeviceRateRefused."""
    if _is_clocked(wanted):
        from voiced.audio.clocked import ClockedOutput

        clocked = ClockedOutput(wanted)
        return clocked, clocked.close
    return _opened("output", endpoint, lambda library: library.open_output(wanted, of_server=bool(endpoint)))


def open_input(wanted: Wanted, endpoint: str = "") -> tuple[InputDevice, Close]:
    """The device; or, through the sound server, that source of it. Raises DeviceUnknown, DeviceUnavailable, DeviceRateRefused."""
    if _is_clocked(wanted):
        from voiced.audio.clocked import ClockedInput

        clocked = ClockedInput(wanted)
        return clocked, clocked.close
    return _opened("input", endpoint, lambda library: library.open_input(wanted, of_server=bool(endpoint)))


def devices() -> tuple[list[DeviceInfo], list[DeviceInfo]]:
    """The input and the output devices of this machine, as they are known to this process. Raises DeviceUnavailable."""
    from voiced.audio.portaudio import INPUT, OUTPUT, PortAudio

    library = PortAudio()  # counts its users: with a stream open, this is the list that was frozen when that one opened
    try:
        return library.devices(INPUT), library.devices(OUTPUT)
    finally:
        library.close()


def _opened(direction: str, endpoint: str, open: "Callable[[PortAudio], D]") -> tuple[D, Close]:
    from voiced.audio.portaudio import PortAudio

    _point(direction, endpoint)
    library = PortAudio()
    try:
        device = open(library)
    except VoicedError:
        library.close()
        raise

    def close() -> None:
        device.close()
        library.close()

    return device, close


def _point(direction: str, endpoint: str) -> None:
    for name in _ENDPOINT_VARIABLES[direction]:
        value = endpoint or _USERS_OWN[name]
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _is_clocked(wanted: Wanted) -> bool:
    if wanted.file == "":
        raise DeviceUnknown("`file:` needs a path, as in file:/tmp/sound.wav")
    return wanted.is_clocked
