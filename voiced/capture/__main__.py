"""The capture process: wiring and the poll loop.

Mute is done here, before anything leaves the process: the socket to the network process is closed with all that waits
in it and opened anew, and from then on only zeros are sent.
"""

import sys
from typing import Any

from voiced.audio.device import InputDevice, Wanted
from voiced.audio.format import from_device
from voiced.audio.opening import devices, open_input
from voiced.bus import DUCK, MICROPHONE, REFERENCE, Receiver, Sender
from voiced.capture.ears import Word
from voiced.capture.framer import Watch, wait_ms
from voiced.capture.interruption import Cleaned
from voiced.capture.microphone import Microphone
from voiced.child import Child, now_ns, run
from voiced.errors import DeviceLost, DeviceUnavailable, NotNow, Unavailable
from voiced.messages import Duck, Order, Played, PlayedCut
from voiced.urgency import Urgency

#: A null source of an idle sound server wakes only every 2 s (architecture), so the first frame may take that long.
_LOST_AFTER_NS = 4_000_000_000
#: Playback writes 20 ms at a time; after a pause of ours, a second of it may wait.
_MESSAGES_AT_A_TIME = 64


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
        self._microphone = Microphone(settings, from_device(device.format), _cleaned(settings), _word(settings))
        self._out = self._fresh_sender()
        # Not watched: what comes there is about the next frame, which comes soon enough, and each wake-up costs.
        self._reference = Receiver(child.bus.bind(REFERENCE))
        self._to_playback = Sender(child.bus.connect(DUCK))

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
                self._take(device.read(self._wanted))
                watch.heard(now_ns())
                if not ready:
                    ready = True
                    child.ready(**self._facts())
            elif watch.expired(now_ns()):
                raise DeviceLost(f"input device {device.name} gives no sound; is it plugged in? Or set audio.capture.device")
            child.beat(self._stats, now_ns())

    def _take(self, pcm: bytes) -> None:
        now = now_ns()
        for message, sound in self._reference.drain(_MESSAGES_AT_A_TIME):
            if isinstance(message, Played | PlayedCut):
                self._microphone.played(message, sound)
        taken = self._microphone.take(pcm, now)
        self._duck(taken.to_playback)
        for out, sound_out in taken.to_network:
            self._out.send(out, sound_out)

    def _duck(self, orders: list[Duck]) -> None:
        for order in orders:
            self._to_playback.send(order)

    def _obey(self, order: Order) -> None:
        match order.command:
            case "mute" | "unmute" | "toggle_mute":
                self._mute(not self._microphone.muted if order.command == "toggle_mute" else order.command == "mute")
                self._child.answer(order, muted=self._microphone.muted)
            case "ears":
                self._listen(open=bool(order.args["open"]))
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

    def _listen(self, *, open: bool) -> None:
        """Where it is so already, as after the wake word, what is on its way stays there."""
        if open != self._microphone.listening:
            self._duck(self._microphone.listen(open=open, now=now_ns()))
            self._fresh_start()

    def _mute(self, muted: bool) -> None:
        if muted and not self._microphone.muted:
            self._fresh_start()
        self._duck(self._microphone.mute(muted, now_ns()))

    def _fresh_start(self) -> None:
        """What waits to be sent goes, with the socket that holds it."""
        self._out.socket.close(linger=0)
        self._out = self._fresh_sender()

    def _fresh_sender(self) -> Sender:
        return Sender(self._child.bus.connect(MICROPHONE))

    def _facts(self) -> dict[str, Any]:
        return {"device": self._device.name, "rate": self._device.format.rate, "open": True, **self._microphone.facts()}

    def _stats(self) -> dict[str, Any]:
        return {**self._facts(), "overruns": self._device.overruns, "level_dbfs": self._microphone.level_dbfs}


def _cleaned(settings: dict[str, Any]) -> Cleaned:
    return Cleaned.NOBODY if settings["echo_cancellation"] == "off" else Cleaned.OURS


def _word(settings: dict[str, Any]) -> Word | None:
    if not settings["wake_word"]:
        return None
    from voiced.capture.wakeword import WakeWord  # here and not above: an extra package, 12 MiB

    return WakeWord(settings["wake_word"])


if __name__ == "__main__":
    sys.exit(main())
