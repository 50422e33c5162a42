"""The capture process: wiring and the poll loop.

Mute is done here, before anything leaves the process: the socket to the network process is closed with all that waits
in it and opened anew, and from then on only zeros are sent.
"""

import sys
from collections.abc import Callable
from typing import Any

from voiced.audio.device import DeviceInfo, InputDevice, Wanted
from voiced.audio.format import from_device
from voiced.audio.meter import FLOOR_DBFS, dbfs
from voiced.bus import MICROPHONE, Sender
from voiced.capture.framer import Framer, Watch, wait_ms
from voiced.child import Child, now_ns, run
from voiced.errors import DeviceLost
from voiced.messages import Order
from voiced.urgency import Urgency

#: A null source of an idle sound server wakes only every 2 s (architecture), so the first frame may take that long.
_LOST_AFTER_NS = 4_000_000_000

Listing = Callable[[], tuple[list[DeviceInfo], list[DeviceInfo]]]


def main() -> int:
    return run("capture", _capture, Urgency.SOUND)


def _capture(child: Child) -> None:
    device, listing, close_library = _open(child.settings)
    try:
        _Capture(child, device, listing).run()
    finally:
        device.close()
        close_library()


class _Capture:
    def __init__(self, child: Child, device: InputDevice, listing: Listing) -> None:
        settings = child.settings
        self._child = child
        self._device = device
        self._listing = listing
        self._wanted = device.format.rate * settings["frame_ms"] // 1000
        self._framer = Framer(from_device(device.format), settings["frame_ms"], muted=settings["muted"])
        self._out = self._fresh_sender()
        self._lost_frames = 0
        self._last_sound = b""

    def run(self) -> None:
        child, device = self._child, self._device
        device.start()
        watch = Watch(_LOST_AFTER_NS, now_ns())
        ready = False
        readable = 0
        while not child.stopping:
            child.wait(wait_ms(readable, self._wanted, device.format.rate))
            for order in child.orders():
                self._obey(order)
            readable = device.readable()  # once a frame: each time it wakes the sound library's own thread
            if readable >= self._wanted:
                readable -= self._wanted
                self._send(device.read(self._wanted))
                watch.heard(now_ns())
                if not ready:
                    ready = True
                    child.ready(**self._facts())
            elif watch.expired(now_ns()):
                raise DeviceLost(f"input device {device.name} gives no sound; see `voicectl devices`, then set audio.capture.device")
            child.beat(self._stats, now_ns())

    def _send(self, pcm: bytes) -> None:
        for frame, sound in self._framer.feed(pcm, now_ns()):
            self._last_sound = sound
            if not self._out.send(frame, sound):
                self._lost_frames += 1

    def _obey(self, order: Order) -> None:
        match order.command:
            case "mute" | "unmute" | "toggle_mute":
                self._mute(not self._framer.muted if order.command == "toggle_mute" else order.command == "mute")
                self._child.answer(order, muted=self._framer.muted)
            case "devices":
                inputs, outputs = self._listing()
                self._child.answer(order, input=[row._asdict() for row in inputs], output=[row._asdict() for row in outputs])
            case _:
                self._child.answer(order)

    def _mute(self, muted: bool) -> None:
        if muted and not self._framer.muted:
            self._out.socket.close(linger=0)
            self._out = self._fresh_sender()
        self._framer.mute(muted)

    def _fresh_sender(self) -> Sender:
        return Sender(self._child.bus.connect(MICROPHONE))

    def _facts(self) -> dict[str, Any]:
        return {"device": self._device.name, "rate": self._device.format.rate, "muted": self._framer.muted, "open": True}

    def _stats(self) -> dict[str, Any]:
        level = FLOOR_DBFS if self._framer.muted else dbfs(self._last_sound)
        return {**self._facts(), "overruns": self._device.overruns + self._lost_frames, "level_dbfs": level}


def _open(settings: dict[str, Any]) -> tuple[InputDevice, Listing, Callable[[], None]]:
    rate = settings["rate"]
    wanted = Wanted(settings["device"], rate, settings["channels"], settings["frame_ms"] * rate // 1000)
    if wanted.is_null or wanted.file is not None:
        from voiced.audio.clocked import ClockedInput

        return ClockedInput(wanted), lambda: ([], []), lambda: None
    from voiced.audio.portaudio import INPUT, OUTPUT, PortAudio  # where no sound card is meant, none is looked for

    library = PortAudio()
    return library.open_input(wanted), lambda: (library.devices(INPUT), library.devices(OUTPUT)), library.close


if __name__ == "__main__":
    sys.exit(main())
