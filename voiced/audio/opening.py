"""Opens the device that a user named, of whatever kind. PortAudio is only loaded where it is meant."""

from collections.abc import Callable
from typing import Protocol

from voiced.audio.device import DeviceInfo, InputDevice, OutputDevice, Wanted
from voiced.errors import DeviceUnknown

#: Closes the device and what it came from.
Close = Callable[[], None]


class Closable(Protocol):
    def close(self) -> None: ...


def open_output(wanted: Wanted) -> tuple[OutputDevice, Close]:
    """Raises DeviceUnknown, DeviceUnavailable, DeviceRateRefused."""
    if _is_clocked(wanted):
        from voiced.audio.clocked import ClockedOutput

        clocked = ClockedOutput(wanted)
        return clocked, clocked.close
    from voiced.audio.portaudio import PortAudio

    library = PortAudio()
    device = library.open_output(wanted)
    return device, _closing(device, library)


def open_input(wanted: Wanted) -> tuple[InputDevice, Close]:
    """Raises DeviceUnknown, DeviceUnavailable, DeviceRateRefused."""
    if _is_clocked(wanted):
        from voiced.audio.clocked import ClockedInput

        clocked = ClockedInput(wanted)
        return clocked, clocked.close
    from voiced.audio.portaudio import PortAudio

    library = PortAudio()
    device = library.open_input(wanted)
    return device, _closing(device, library)


def devices() -> tuple[list[DeviceInfo], list[DeviceInfo]]:
    """The input and the output devices of this machine, as they are known to this process. Raises DeviceUnavailable."""
    from voiced.audio.portaudio import INPUT, OUTPUT, PortAudio

    library = PortAudio()  # counts its users: with a stream open, this is the list that was frozen when that one opened
    try:
        return library.devices(INPUT), library.devices(OUTPUT)
    finally:
        library.close()


def _closing(*in_turn: Closable) -> Close:
    def close() -> None:
        for each in in_turn:
            each.close()

    return close


def _is_clocked(wanted: Wanted) -> bool:
    if wanted.file == "":
        raise DeviceUnknown("`file:` needs a path, as in file:/tmp/sound.wav")
    return wanted.is_null or wanted.file is not None
