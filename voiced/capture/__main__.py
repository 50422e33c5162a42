"""The capture process: wiring and the poll loop.

Mute is done here, before anything leaves the process: the socket to the network process is closed with all that waits
in it and opened anew, and from then on only zeros are sent.
"""

import sys
from typing import Any

from voiced.audio.device import Wanted
from voiced.audio.format import from_device
from voiced.audio.listing import Lister
from voiced.audio.live import LiveInput
from voiced.audio.opening import open_input
from voiced.audio.presence.watch import Presence
from voiced.audio.presence.wire import SOURCES
from voiced.bus import DUCK, MICROPHONE, REFERENCE, Receiver, Sender
from voiced.capture.ears import Word
from voiced.capture.framer import Watch, captured, wait_ms
from voiced.capture.interruption import Cleaned
from voiced.capture.microphone import Microphone
from voiced.child import Child, now_ns, run
from voiced.errors import DeviceLost, NotNow, Unavailable, VoicedError
from voiced.messages import Duck, MonoNs, Order, Played, PlayedCut
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
    muted = bool(settings["muted"])
    patient = bool(settings.get("patient"))
    device = LiveInput(presence, wanted, open_input, child.log, patient=patient, shut=muted and bool(settings["hard_mute"]))
    try:
        device.start()
        _Capture(child, device, presence, muted=muted).run()
    finally:
        device.close()


class _Capture:
    def __init__(self, child: Child, device: LiveInput, presence: Presence, *, muted: bool) -> None:
        self._child = child
        self._device = device
        self._presence = presence
        self._muted = muted
        self._frames = 0
        self._lister = Lister(child)
        self._cleaned = self._judge_source()
        self._microphone = Microphone(child.settings, from_device(device.format), self._cleaned, _word(child.settings))
        self._out = self._fresh_sender()
        # Not watched: what comes there is about the next frame, which comes soon enough, and each wake-up costs.
        self._reference = Receiver(child.bus.bind(REFERENCE))
        self._to_playback = Sender(child.bus.connect(DUCK))
        self._duck([Duck(lowered=False, ordered_ns=now_ns())])  # a process before us may have died with the voice lowered

    def run(self) -> None:
        child, device = self._child, self._device
        wanted = device.format.rate * child.settings["frame_ms"] // 1000
        watch = Watch(_LOST_AFTER_NS, now_ns())
        ready = False
        readable = 0
        while not child.stopping:
            self._lister.take(child.wait(wait_ms(readable, wanted, device.format.rate)))
            device.look(now_ns())
            for order in child.orders():
                self._obey(order)
            readable = device.readable()  # once a frame: each time it wakes the sound library's own thread
            if readable >= wanted:
                readable -= wanted
                captured_ns = captured(now_ns(), readable, device.format.rate)
                self._take(device.read(wanted), captured_ns)
                watch.heard(now_ns())
                if not ready:
                    ready = True
                    child.ready(**self._facts())
            elif watch.expired(now_ns()):
                device.lose(DeviceLost(f"input device {device.name} gives no sound; is it plugged in? Or set audio.capture.device"))
                watch.heard(now_ns())
            child.beat(self._stats, now_ns())

    def _take(self, pcm: bytes, captured_ns: MonoNs) -> None:
        self._frames += 1
        for message, sound in self._reference.drain(_MESSAGES_AT_A_TIME):
            if isinstance(message, Played | PlayedCut):
                self._microphone.played(message, sound)
        taken = self._microphone.take(pcm, captured_ns)
        self._duck(taken.to_playback)
        for out, sound_out in taken.to_network:
            self._out.send(out, sound_out)

    def _duck(self, orders: list[Duck]) -> None:
        for order in orders:
            self._to_playback.send(order)

    # orders ----------------------------------------------------------------------------------------------------------

    def _obey(self, order: Order) -> None:
        try:
            match order.command:
                case "mute" | "unmute" | "toggle_mute":
                    self._switch(order, not self._muted if order.command == "toggle_mute" else order.command == "mute")
                case "ears":
                    self._duck(self._microphone.listen(open=bool(order.args["open"]), now=now_ns()))
                    if not self._microphone.listening:
                        self._fresh_start()
                case "push_to_talk":
                    self._duck(self._microphone.leave_to_a_key(bool(order.args["on"]), now_ns()))
                case "devices":
                    self._lister.begin(order)
                case _:
                    raise NotNow(f"the capture process can't do {order.command!r} now")
        except DeviceLost:
            raise
        except VoicedError as error:
            self._child.refuse(order, error if isinstance(error, NotNow) else Unavailable(error.message))

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
        self._duck(self._microphone.mute(muted, now_ns()))
        if self._hidden:
            self._device.shut()

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

    def _show(self) -> None:
        """Raises what opening a device does."""
        if self._device.is_open or not self._child.settings["hard_mute"]:
            return
        self._device.open()
        if self._judge_source() is not self._cleaned:
            raise DeviceLost("the microphone is another one than before the mute; opening it anew")

    def _judge_source(self) -> Cleaned:
        """Whose canceller the sound of the device needs, or has been through."""
        how = self._child.settings["echo_cancellation"]
        if how == "off":
            return Cleaned.NOBODY
        return Cleaned.SYSTEM if how == "auto" and self._presence.reckon_with_canceller() else Cleaned.OURS

    # what is shown ---------------------------------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        device = self._device
        shown = {"device": device.name, "rate": device.format.rate, "open": device.is_open}
        return {**shown, **self._presence.facts(), **self._microphone.facts()}

    def _stats(self) -> dict[str, Any]:
        return {**self._facts(), "frames": self._frames, "overruns": self._device.overruns, "level_dbfs": self._microphone.level_dbfs}


def _word(settings: dict[str, Any]) -> Word | None:
    if not settings["wake_word"]:
        return None
    from voiced.capture.wakeword import WakeWord  # here and not above: an extra package, 5 MiB

    return WakeWord(settings["wake_word"])


if __name__ == "__main__":
    sys.exit(main())
