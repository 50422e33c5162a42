"""The capture process: wiring and the poll loop.

Mute is done here, before anything leaves the process: the socket to the network process is closed with all that waits
in it and opened anew, and from then on only zeros are sent.
"""

import sys
from typing import Any

from voiced.audio.device import InputDevice, Wanted
from voiced.audio.format import from_device
from voiced.audio.meter import FLOOR_DBFS, dbfs
from voiced.audio.opening import devices, open_input
from voiced.bus import MICROPHONE, Sender
from voiced.capture.framer import Framer, Watch, wait_ms
from voiced.child import Child, now_ns, run
from voiced.errors import DeviceLost, DeviceUnavailable, NotNow, Unavailable
from voiced.messages import Order
from voiced.urgency import Urgency

#: A null source of an idle sound server wakes only every 2 s (architecture), so the first frame may take that long.
_LOST_AFTER_NS = 4_000_000_000


def main() -> int:
    return run("capture", _capture, Urgency.SOUND)


def _capture(child: Child) -> None:
    settings = child.settings
    rate = settings["rate"]
    device, close = open_input(Wanted(settings["device"], rate, settings["channels"], settings["frame_ms"] * rate // 1000))
    try:
        _Capture(child, device).run()
    finally:
        close()


class _Capture:
    def __init__(self, child: Child, device: InputDevice) -> None:
        settings = child.settings
        self._child = child
        self._device = device
        self._wanted = device.format.rate * settings["frame_ms"] // 1000
        self._framer = Framer(from_device(device.format), settings["frame_ms"], muted=settings["muted"])
        self._out = self._fresh_sender()
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
                raise DeviceLost(f"input device {device.name} gives no sound; is it plugged in? Or set audio.capture.device")
            child.beat(self._stats, now_ns())

    def _send(self, pcm: bytes) -> None:
        for frame, sound in self._framer.feed(pcm, now_ns()):
            self._last_sound = sound
            self._out.send(frame, sound)

    def _obey(self, order: Order) -> None:
        match order.command:
            case "mute" | "unmute" | "toggle_mute":
                self._mute(not self._framer.muted if order.command == "toggle_mute" else order.command == "mute")
                self._child.answer(order, muted=self._framer.muted)
            case "devices":
                self._list_devices(order)
            case _:
                self._child.refuse(order, NotNow(f"the capture process does not know the command {order.command!r}"))

    def _list_devices(self, order: Order) -> None:
        try:
            inputs, outputs = devices()
        except DeviceUnavailable as error:
            self._child.refuse(order, Unavailable(error.message))
        else:
            self._child.answer(order, input=[row._asdict() for row in inputs], output=[row._asdict() for row in outputs])

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
        return {**self._facts(), "overruns": self._device.overruns, "level_dbfs": level}


if __name__ == "__main__":
    sys.exit(main())
