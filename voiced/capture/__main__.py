"""The capture process: wiring and the poll loop.

Mute is done here, before anything leaves the process: the socket to the network process is closed with all that waits
in it and opened anew, and from then on only zeros are sent.
"""

import sys
from typing import Any

from voiced.audio.device import Wanted
from voiced.audio.format import from_device
from voiced.audio.opening import devices, open_input
from voiced.audio.presence.waiting import await_wanted, open_wanted
from voiced.audio.presence.watch import Presence
from voiced.audio.presence.wire import SOURCES
from voiced.audio.shutter import Shutter
from voiced.bus import DUCK, MICROPHONE, REFERENCE, Receiver, Sender
from voiced.capture.ears import Word
from voiced.capture.framer import Watch, wait_ms
from voiced.capture.interruption import Cleaned
from voiced.capture.microphone import Microphone
from voiced.child import Child, now_ns, run
from voiced.errors import DeviceLost, NotNow, Unavailable, VoicedError
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
    wanted = Wanted(settings["device"], rate, settings["channels"], settings["frame_ms"] * rate // 1000)
    presence = Presence(SOURCES, wanted, child.log)
    child.watch(presence.fd)
    _Capture(child, wanted, presence).run()


class _Capture:
    def __init__(self, child: Child, wanted: Wanted, presence: Presence) -> None:
        self._child = child
        self._wanted = wanted
        self._presence = presence
        self._muted = bool(child.settings["muted"])
        self._out = self._fresh_sender()
        # Not watched: what comes there is about the next frame, which comes soon enough, and each wake-up costs.
        self._reference = Receiver(child.bus.bind(REFERENCE))
        self._to_playback = Sender(child.bus.connect(DUCK))
        # Both come with the device.
        self._device: Shutter | None = None
        self._microphone: Microphone | None = None

    def run(self) -> None:
        opened = None
        if not self._hidden:
            opened = await_wanted(self._child, self._presence, self._wanted, open_input, self._obey)
            if opened is None:
                return
        self._device = device = Shutter(self._wanted, self._open_again, opened)
        try:
            device.start()
            self._cleaned = self._judge_source()
            settings = self._child.settings | {"muted": self._muted}
            self._microphone = Microphone(settings, from_device(device.format), self._cleaned, _word(settings))
            self._listen(device, self._microphone)
        finally:
            device.close()

    def _listen(self, device: Shutter, microphone: Microphone) -> None:
        child = self._child
        wanted = device.format.rate * child.settings["frame_ms"] // 1000
        watch = Watch(_LOST_AFTER_NS, now_ns())
        ready = False
        readable = 0
        while not child.stopping:
            child.wait(wait_ms(readable, wanted, device.format.rate))
            self._presence.look(now_ns())
            for order in child.orders():
                self._obey(order)
            readable = device.readable()  # once a frame: each time it wakes the sound library's own thread
            if readable >= wanted:
                readable -= wanted
                self._take(microphone, device.read(wanted))
                watch.heard(now_ns())
                if not ready:
                    ready = True
                    child.ready(**self._facts())
            elif watch.expired(now_ns()):
                raise DeviceLost(f"input device {device.name} gives no sound; is it plugged in? Or set audio.capture.device")
            child.beat(self._stats, now_ns())

    def _take(self, microphone: Microphone, pcm: bytes) -> None:
        for message, sound in self._reference.drain(_MESSAGES_AT_A_TIME):
            if isinstance(message, Played | PlayedCut):
                microphone.played(message, sound)
        taken = microphone.take(pcm, now_ns())
        self._duck(taken.to_playback)
        for out, sound_out in taken.to_network:
            self._out.send(out, sound_out)

    def _duck(self, orders: list[Duck]) -> None:
        for order in orders:
            self._to_playback.send(order)

    # orders ----------------------------------------------------------------------------------------------------------

    def _obey(self, order: Order) -> None:
        """Also while there is no device yet: then what is said here holds for when there is one."""
        try:
            match order.command:
                case "mute" | "unmute" | "toggle_mute":
                    self._switch(order, not self._muted if order.command == "toggle_mute" else order.command == "mute")
                case "ears" if self._microphone is not None:
                    self._duck(self._microphone.listen(open=bool(order.args["open"]), now=now_ns()))
                    if not self._microphone.listening:
                        self._fresh_start()
                case "devices":
                    self._list_devices(order)
                case _:
                    raise NotNow(f"the capture process can't do {order.command!r} now")
        except DeviceLost:
            raise
        except VoicedError as error:
            self._child.refuse(order, error if isinstance(error, NotNow) else Unavailable(error.message))

    def _list_devices(self, order: Order) -> None:
        inputs, outputs = devices()
        self._child.answer(order, input=[row._asdict() for row in inputs], output=[row._asdict() for row in outputs])

    def _switch(self, order: Order, muted: bool) -> None:
        try:
            self._mute(muted)
        except DeviceLost:  # it is another one than before: the next process of ours opens it, unmuted as we were told
            self._child.answer(order, muted=muted)
            raise
        self._child.answer(order, muted=muted)

    def _mute(self, muted: bool) -> None:
        if muted and not self._muted:
            self._fresh_start()
        if not muted:
            self._show()
        self._muted = muted
        if self._microphone is not None:
            self._duck(self._microphone.mute(muted, now_ns()))
        if self._hidden:
            self._hide()

    def _fresh_start(self) -> None:
        """What waits to be sent goes, with the socket that holds it."""
        self._out.socket.close(linger=0)
        self._out = self._fresh_sender()

    def _fresh_sender(self) -> Sender:
        return Sender(self._child.bus.connect(MICROPHONE))

    # the device ------------------------------------------------------------------------------------------------------

    @property
    def _hidden(self) -> bool:
        """Nobody is to see that a microphone is in use, since it is not."""
        return self._muted and bool(self._child.settings["hard_mute"])

    def _hide(self) -> None:
        if self._device is not None:
            self._presence.closed()
            self._device.shut()

    def _show(self) -> None:
        """Raises what opening a device does."""
        if self._device is None or self._device.is_open:
            return
        self._device.open()
        if self._judge_source() is not self._cleaned:
            raise DeviceLost("the microphone is another one than before the mute; opening it anew")

    def _open_again(self) -> Any:
        return open_wanted(self._presence, self._wanted, open_input, patient=True)

    def _judge_source(self) -> Cleaned:
        """Whose canceller the sound of the device needs, or has been through."""
        how = self._child.settings["echo_cancellation"]
        if how == "off":
            return Cleaned.NOBODY
        return Cleaned.SYSTEM if how == "auto" and self._presence.reckon_with_canceller() else Cleaned.OURS

    # what is shown ---------------------------------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        device, microphone = self._device, self._microphone
        if device is None or microphone is None:
            return {"muted": self._muted, "open": False}
        shown = {"device": device.name, "rate": device.format.rate, "open": device.is_open}
        return {**shown, **self._presence.facts(), **microphone.facts()}

    def _stats(self) -> dict[str, Any]:
        if self._device is None or self._microphone is None:
            return self._facts()
        return {**self._facts(), "overruns": self._device.overruns, "level_dbfs": self._microphone.level_dbfs}


def _word(settings: dict[str, Any]) -> Word | None:
    if not settings["wake_word"]:
        return None
    from voiced.capture.wakeword import WakeWord  # here and not above: an extra package, 5 MiB

    return WakeWord(settings["wake_word"])


if __name__ == "__main__":
    sys.exit(main())
