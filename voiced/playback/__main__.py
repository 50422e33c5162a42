"""The playback process: wiring and the poll loop.

The flush has a socket of its own and is looked at before sound and between every few deltas, so that a burst of
minutes can't stand in its way (a loop that drained its queue first obeyed in 48 ms at worst; Traps).
"""

import sys
from typing import Any

from voiced.audio.device import OutputDevice, Wanted
from voiced.audio.opening import open_output
from voiced.bus import FLUSH, HEARD, REPLY, Receiver, Sender
from voiced.child import Child, now_ns, run
from voiced.errors import NotNow
from voiced.messages import Flush, ReplyAudio, ReplyEnd
from voiced.playback.player import Player
from voiced.urgency import Urgency

#: Deltas taken between two looks at the flush socket: eight cost about 0.1 ms.
_DELTAS_AT_A_TIME = 8


def main() -> int:
    return run("playback", _playback, Urgency.SOUND)


def _playback(child: Child) -> None:
    settings = child.settings
    rate = settings["rate"]
    device, close = open_output(Wanted(settings["device"], rate, settings["channels"], settings["buffer_ms"] * rate // 1000))
    flushes = Receiver(child.bus.connect(FLUSH))
    replies = Receiver(child.bus.bind(REPLY))
    heard = Sender(child.bus.connect(HEARD))
    child.watch(flushes)
    child.watch(replies)
    player = Player(device, now_ns, lambda report: heard.send(report))
    try:
        player.prime()
        child.ready(**_facts(device))
        while not child.stopping:
            child.wait(player.wake_in_ms())
            _obey(flushes, player)
            for message, sound in replies.drain(_DELTAS_AT_A_TIME):
                if isinstance(message, ReplyAudio | ReplyEnd):
                    player.receive(message, sound)
            _obey(flushes, player)
            player.pump()
            for order in child.orders():
                child.refuse(order, NotNow(f"the playback process does not know the command {order.command!r}"))
            child.beat(lambda: _stats(device, player), now_ns())
    finally:
        close()


def _obey(flushes: Receiver, player: Player) -> None:
    for message, _ in flushes.drain(64):
        if isinstance(message, Flush):
            player.flush(message)


def _facts(device: OutputDevice) -> dict[str, Any]:
    return {
        "device": device.name,
        "rate": device.format.rate,
        "latency_ms": round(device.buffer_frames * 1000 / device.format.rate),
        "volume": 100,
        "open": True,
    }


def _stats(device: OutputDevice, player: Player) -> dict[str, Any]:
    return {
        **_facts(device),
        "underruns": player.playout.underruns,
        "queued_ms": player.playout.queued_frames // 24,
        "level_dbfs": player.level_dbfs(),
    }


if __name__ == "__main__":
    sys.exit(main())
