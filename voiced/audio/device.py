"""What a sound device is to voiced: two small interfaces and the ways in which a user names one.

Devices speak interleaved s16le at their own rate and channel count; `voiced.audio.format` stands between them and the
24 kHz mono of the bus. No call here waits longer than the device needs for what it said it has room for.
"""

from typing import NamedTuple, Protocol


class DeviceInfo(NamedTuple):
    """One row of `voicectl devices`."""

    number: int  # PortAudio's index
    name: str
    host_api: str
    channels: int
    rate: int
    default: bool


class OpenFormat(NamedTuple):
    """What was asked for and got from a device."""

    rate: int
    channels: int


class OutputDevice(Protocol):
    name: str
    format: OpenFormat
    #: Sound starts when this many frames are written: less stays silent in the device.
    start_frames: int
    #: The most that the device holds.
    buffer_frames: int

    def start(self) -> None:
        """Makes the device ready to sound; nothing is heard before `start_frames` are written."""

    def writable(self) -> int:
        """Frames that can be written without waiting. Raises DeviceLost."""
        ...

    def write(self, pcm: bytes) -> None:
        """Hands over whole frames. Raises DeviceLost."""

    def abort(self) -> None:
        """Silence now: what the device and the sound server hold is dropped."""

    def close(self) -> None: ...


class InputDevice(Protocol):
    name: str
    format: OpenFormat
    overruns: int

    def start(self) -> None: ...

    def readable(self) -> int:
        """Frames that can be read without waiting. Raises DeviceLost."""
        ...

    def read(self, frames: int) -> bytes:
        """That many frames. Raises DeviceLost."""
        ...

    def close(self) -> None: ...


class Wanted(NamedTuple):
    """A device as the configuration names it."""

    device: str  # "" = system default, a name, part of a name, an index, "file:PATH" or "null"
    rate: int
    channels: int
    buffer_frames: int  # at `rate`

    @property
    def file(self) -> str | None:
        return self.device.removeprefix("file:") if self.device.startswith("file:") else None

    @property
    def is_null(self) -> bool:
        return self.device == "null"

    @property
    def is_clocked(self) -> bool:
        """It needs no sound card and no sound server."""
        return self.is_null or self.file is not None


def pick(wanted: str, devices: list[DeviceInfo]) -> DeviceInfo | None:
    """The device that a user means by an index, a name or a part of one; "" means the default one. None: no such."""
    if not wanted:
        return next((device for device in devices if device.default), None)
    if wanted.isdecimal():
        return next((device for device in devices if device.number == int(wanted)), None)
    exact = [device for device in devices if device.name == wanted]
    part = [device for device in devices if wanted.casefold() in device.name.casefold()]
    return next(iter(exact + part), None)
