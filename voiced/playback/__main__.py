"""The playback process: wiring and the poll loop.

The flush has a socket of its own and is looked at before sound and between every few deltas, so that a burst of
minutes can't stand in its way (a loop that drained its queue first obeyed in 48 ms at worst; Traps).
"""

import sys
import time
from typing import Any

from voiced.audio.device import OutputDevice, Wanted
from voiced.audio.opening import open_output
from voiced.audio.presence.waiting import await_wanted
from voiced.audio.presence.watch import Presence
from voiced.audio.presence.wire import SINKS
from voiced.bus import DUCK, FLUSH, HEARD, REFERENCE, REPLY, Receiver, Sender
from voiced.child import Child, now_ns, run
from voiced.errors import NotNow
from voiced.messages import CarryOn, Duck, Flush, Order, ReplyAudio, ReplyEnd
from voiced.playback.earcons import EARCONS, sound
from voiced.playback.gain import Loudness
from voiced.playback.player import Player, World
from voiced.playback.reference import Reference
from voiced.urgency import Urgency

#: Deltas taken between two looks at the orders: eight cost about 0.1 ms.
_DELTAS_AT_A_TIME = 8
_DEBUG = 10  # logging's number, without its import


def main() -> int:
    return run("playback", _playback, Urgency.SOUND)


def _playback(child: Child) -> None:
    settings = child.settings
    rate = settings["rate"]
    wanted = Wanted(settings["device"], rate, settings["channels"], settings["buffer_ms"] * rate // 1000)
    presence = Presence(SINKS, wanted, child.log)
    child.watch(presence.fd)
    opened = await_wanted(child, presence, wanted, open_output, lambda order: child.refuse(order, NotNow("the loudspeaker is away")))
    if opened is None:
        return
    device, close = opened
    try:
        _Process(child, device, presence).live()
    finally:
        close()


class _Process:
    def __init__(self, child: Child, device: OutputDevice, presence: Presence) -> None:
        self._child = child
        self._device = device
        self._presence = presence
        self._flushes = Receiver(child.bus.connect(FLUSH))
        self._ducks = Receiver(child.bus.bind(DUCK))
        self._replies = Receiver(child.bus.bind(REPLY))
        for receiver in (self._flushes, self._ducks, self._replies):
            child.watch(receiver)
        self._earcons = {name: sound(name) for name in EARCONS} if child.settings["earcons"] else {}
        loudness = Loudness(child.settings["volume"], child.settings["duck_db"])
        reference = Reference(Sender(child.bus.connect(REFERENCE)).send)
        world = World(now_ns, lambda wait_ns: time.sleep(wait_ns / 1e9), Sender(child.bus.connect(HEARD)).send)
        self._player = Player(device, loudness, reference, world, child.settings["landing_ms"])
        self._told_ducked = False

    def live(self) -> None:
        child, player = self._child, self._player
        player.prime()
        child.log(_DEBUG, f"a cut may wait {player.landing_ms} ms for a quiet moment")
        child.ready(**self._facts())
        while not child.stopping:
            child.wait(min(player.wake_in_ms(), self._presence.wake_in_ms(now_ns())))
            self._obey()
            for message, pcm in self._replies.drain(_DELTAS_AT_A_TIME):
                if isinstance(message, ReplyAudio | ReplyEnd):
                    player.receive(message, pcm)  # which may flush
            self._tell_duck(0.0)
            self._obey()
            player.pump()
            for order in child.orders():
                self._carry_out(order)
            self._presence.look(now_ns())
            child.beat(self._stats, now_ns())

    def _obey(self) -> None:
        """Flushes first: what is silent needs no lowering."""
        for message, _ in self._flushes.drain(64):
            if isinstance(message, Flush):
                self._player.flush(message)
                self._tell_duck(0.0)
            elif isinstance(message, CarryOn):
                self._player.carry_on(message)
        for message, _ in self._ducks.drain(64):
            if isinstance(message, Duck):
                self._player.duck(message)
                self._tell_duck(round((now_ns() - message.ordered_ns) / 1e6, 3))

    def _tell_duck(self, latency_ms: float) -> None:
        """Where it has begun or ended."""
        ducked = self._player.loudness.ducked
        if ducked != self._told_ducked:
            self._told_ducked = ducked
            self._child.publish("duck", lowered=ducked, latency_ms=latency_ms)

    def _carry_out(self, order: Order) -> None:
        loudness = self._player.loudness
        if order.command == "volume":
            level = order.args["level"]
            if level is not None:
                loudness.turn_to(level)
            self._child.answer(order, volume=loudness.percent)
        elif order.command == "raise":  # whoever lowered the voice is gone
            self._player.duck(Duck(lowered=False, ordered_ns=now_ns()))
            self._tell_duck(0.0)
        elif order.command == "earcon":  # nobody waits for an answer
            earcon = self._earcons.get(order.args["name"])
            if earcon is not None:
                self._player.cue(earcon)
        else:
            self._child.refuse(order, NotNow(f"the playback process does not know the command {order.command!r}"))

    def _facts(self) -> dict[str, Any]:
        device, loudness = self._device, self._player.loudness
        return {
            "device": device.name,
            "rate": device.format.rate,
            "latency_ms": round(device.buffer_frames * 1000 / device.format.rate),
            "volume": loudness.percent,
            "ducked": loudness.ducked,
            "open": True,
            **self._presence.facts(),
        }

    def _stats(self) -> dict[str, Any]:
        return {
            **self._facts(),
            "underruns": self._player.playout.underruns,
            "queued_ms": self._player.playout.queued_frames // 24,
            "level_dbfs": self._player.level_dbfs(),
        }


if __name__ == "__main__":
    sys.exit(main())
