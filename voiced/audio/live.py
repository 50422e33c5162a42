"""A microphone that outlives its device: lost, it is looked for and opened anew; shut, it is closed, and the desktop shows
it as unused. Meanwhile silence comes from it, as fast as sound does, so that whoever reads it needs to know nothing.

In the process and not by a new one: capture loads a canceller and a detector, which takes a second; this takes 0.1 s.
"""

from voiced.audio.clocked import ClockedInput
from voiced.audio.device import InputDevice, OpenFormat, Wanted
from voiced.audio.opening import Close
from voiced.audio.presence.waiting import Open, Patience, open_among, open_wanted
from voiced.audio.presence.watch import WARNING, Presence, Say
from voiced.errors import DeviceLost, DeviceRateRefused, DeviceUnavailable, DeviceUnknown, VoicedError
from voiced.messages import MonoNs

_NOT_THERE = (DeviceUnknown, DeviceUnavailable, DeviceRateRefused)


class LiveInput:
    """An InputDevice whose format never changes. `patient`: it may begin without a device. Raises what opening one does, where not."""

    def __init__(
        self, presence: Presence, wanted: Wanted, open_device: Open[InputDevice], say: Say, *, patient: bool, shut: bool = False
    ) -> None:
        self._presence, self._wanted, self._open_device, self._say = presence, wanted, open_device, say
        self.name = wanted.device or "default"
        self.format = OpenFormat(wanted.rate, wanted.channels)
        self._shut = shut
        self._overruns = 0
        self._running = False
        self._close: Close | None = None
        self._device: InputDevice = self._silence()
        self._told = ""
        self._patience = Patience()
        if shut:
            return
        try:
            device, close = open_wanted(presence, wanted, open_device, patient=patient)
        except _NOT_THERE as error:
            if not patient:
                raise
            self._away(error)
        else:
            self.format = device.format
            self._adopt(device, close)

    @property
    def is_open(self) -> bool:
        """A real device is, and not just silence."""
        return self._close is not None

    @property
    def overruns(self) -> int:
        return self._overruns + self._device.overruns

    # as an InputDevice -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._running = True
        self._device.start()

    def readable(self) -> int:
        try:
            return self._device.readable()
        except DeviceLost as error:
            self.lose(error)
            return 0

    def read(self, frames: int) -> bytes:
        try:
            return self._device.read(frames)
        except DeviceLost as error:
            self.lose(error)
            return self._device.read(frames)

    def close(self) -> None:
        if self._close is not None:
            self._overruns += self._device.overruns
            self._close()
            self._close = None
        self._presence.closed()

    # and more --------------------------------------------------------------------------------------------------------

    def shut(self) -> None:
        """Lets go of the device until `open`."""
        self._shut = True
        self._fall_silent()

    def open(self) -> None:
        """Sound again. Raises DeviceUnknown, DeviceUnavailable, DeviceRateRefused: then it stays shut; DeviceLost as `look` does."""
        if self._close is None:
            self._open()
        self._shut = False

    def look(self, now: MonoNs) -> None:
        """In each round of a poll loop: notices a device that is to be opened anew or is there again, and opens it.

        Raises DeviceLost where what is there now has another format, or its echo is cancelled by the system as it was not before:
        that takes a new process.
        """
        try:
            self._presence.look(now)
        except DeviceLost as error:
            if self._presence.canceller_changed:
                raise  # what is made of the sound hangs on it
            self.lose(error)
        if self._close is not None or self._shut:
            return
        if self._patience.due(self._presence.changes, now) and not self._presence.tells_soon(now):
            self._try(now)

    def lose(self, why: VoicedError) -> None:
        """The device is of no use any more, or is not the one that is wanted."""
        self._say(WARNING, why.message)
        self._fall_silent()
        self._patience = Patience()

    def _try(self, now: MonoNs) -> None:
        changes = self._presence.changes
        try:
            self._open()
        except _NOT_THERE as error:
            self._away(error)
            self._patience.tried(changes, now)

    def _open(self) -> None:
        # Nothing waits for the sound server here, which may hang: silence, orders and heartbeats go on.
        device, close = open_among(self._presence.scene, self._presence, self._wanted, self._open_device, patient=True)
        if device.format != self.format:
            close()
            raise DeviceLost(f"{device.name} has another format than the device before; starting anew for it")
        self._adopt(device, close)

    def _adopt(self, device: InputDevice, close: Close) -> None:
        self.name, self._close, self._told = device.name, close, ""
        self._take(device)

    def _away(self, error: VoicedError) -> None:
        if error.message != self._told:
            self._say(WARNING, f"{error.message}; waiting for it")
        self._told = error.message

    def _fall_silent(self) -> None:
        self.close()
        self._take(self._silence())

    def _take(self, device: InputDevice) -> None:
        self._device = device
        if self._running:
            try:
                device.start()
            except DeviceLost as error:
                self.lose(error)

    def _silence(self) -> InputDevice:
        return ClockedInput(Wanted("null", self.format.rate, self.format.channels, 0))
