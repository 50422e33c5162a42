"""A microphone that can be shut: the device is closed, as is the connection to the sound server, so that the desktop shows
it as unused; silence comes from it meanwhile, as fast as sound does.
"""

from collections.abc import Callable

from voiced.audio.clocked import ClockedInput
from voiced.audio.device import InputDevice, OpenFormat, Wanted
from voiced.audio.opening import Close
from voiced.errors import DeviceLost

#: Opens the device that is wanted.
Open = Callable[[], tuple[InputDevice, Close]]


class Shutter:
    """An InputDevice whose format never changes. `shut`: as it begins; else it is opened at once. Raises what `open_device` does."""

    def __init__(self, wanted: Wanted, open_device: Open, *, shut: bool) -> None:
        self._open_device = open_device
        self._overruns = 0
        self._running = False
        self.name = wanted.device or "default"
        self.format = OpenFormat(wanted.rate, wanted.channels)
        self._close: Close | None = None
        self._device: InputDevice = self._silence()
        if not shut:
            self._device, self._close = open_device()
            self.name, self.format = self._device.name, self._device.format

    @property
    def is_open(self) -> bool:
        return self._close is not None

    @property
    def overruns(self) -> int:
        return self._overruns + self._device.overruns

    def start(self) -> None:
        self._running = True
        self._device.start()

    def readable(self) -> int:
        return self._device.readable()

    def read(self, frames: int) -> bytes:
        return self._device.read(frames)

    def shut(self) -> None:
        if self._close is None:
            return
        self._overruns += self._device.overruns
        self._close()
        self._close = None
        self._take(self._silence())

    def open(self) -> None:
        """Sound again. Raises what `open_device` does, and DeviceLost where what is there now has another format."""
        if self._close is not None:
            return
        device, close = self._open_device()
        if device.format != self.format:
            close()
            raise DeviceLost(f"{device.name} is another device than before; opening it anew")
        self._close = close
        self.name = device.name
        self._take(device)

    def close(self) -> None:
        if self._close is not None:
            self._close()
            self._close = None

    def _take(self, device: InputDevice) -> None:
        self._device = device
        if self._running:
            device.start()

    def _silence(self) -> InputDevice:
        return ClockedInput(Wanted("null", self.format.rate, self.format.channels, 0))
