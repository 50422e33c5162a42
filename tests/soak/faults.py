"""The table of faults: what befalls voiced in a day, and how soon after its end all must work again."""

import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tests.soak.stage import PATIENCE_S, PROCESSES, Stage, is_alive
from voiced.bus import CONTROL, EVENTS, Bus

_CONNECTION = "connection"
#: A process that dies again and again without having run for so long is given up (voiced.supervisor.policy.Limits); a connection
#: that is lost sooner makes the next delay grow (voiced.network.link.reconnect).
_RESTS_S = {**dict.fromkeys(PROCESSES, 21.0), _CONNECTION: 5.5}
_LOOK_S = 0.01
_NETWORK = "network"
_GARBAGE = (b"", b"\xc1", b"{}", b"\x81\xa3cmd\xa4ping", b"\x81\xa3cmd" + b"\xdb\xff\xff\xff\xff", b"\x91" * 4000, os.urandom(512))


class Fault(NamedTuple):
    """`inject` returns at the end of the cause; what it returns is when that was, if earlier. `lethal`: what processes hold after it
    can't be compared with before."""

    name: str
    inject: Callable[[Stage, random.Random], int | None]
    limit_s: float = 2.0
    lethal: bool = False
    #: The process that it replaces, or the connection that it ends.
    of: str | None = None
    #: It takes another connection, or one that was opened beside it, to work again.
    reconnects: bool = False


# processes -----------------------------------------------------------------------------------------------------------


def _kill(name: str, stage: Stage, chance: random.Random) -> int:
    pid = stage.pids()[name]
    now_ns = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not is_alive(pid), "end")
    return now_ns


def _hang(name: str, stage: Stage, chance: random.Random) -> None:
    """Stops it for good: the cause ends when the supervisor has found that out."""
    pid = stage.pids()[name]
    os.kill(pid, signal.SIGSTOP)
    _until(lambda: not is_alive(pid), f"replacement of a {name} process that hangs", 5.0)


def _pause(name: str, stage: Stage, chance: random.Random) -> None:
    """Stops it for a moment, as a machine that swaps does."""
    pid = stage.pids()[name]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(chance.uniform(0.3, 1.5))
    os.kill(pid, signal.SIGCONT)


def _restart(name: str, stage: Stage, chance: random.Random) -> None:
    pid = stage.pids()[name]
    with stage.client() as client:
        client.restart(name)
    _until(lambda: not is_alive(pid), "end")


def _kill_supervisor(stage: Stage, chance: random.Random) -> None:
    children = [pid for name, pid in stage.pids().items() if name != "supervisor"]
    stage.kill_daemon()
    _until(lambda: not any(map(is_alive, children)), "end of the children", 1.0)
    stage.start_again()


# server and network --------------------------------------------------------------------------------------------------


def _restart_server(stage: Stage, chance: random.Random) -> None:
    stage.partner.close()
    time.sleep(chance.uniform(0.1, 1.0))
    stage.partner.serve()


def _hang_up(code: int | None, reason: str, stage: Stage, chance: random.Random) -> None:
    stage.partner.hang_up(code, reason)


def _reset(stage: Stage, chance: random.Random) -> None:
    stage.partner.reset()


def _stall(stage: Stage, chance: random.Random) -> None:
    """Nothing flows for seconds, and then all of it."""
    stage.relay.stall()
    time.sleep(chance.uniform(0.5, 4.0))
    stage.relay.come_back()


def _outage(stage: Stage, chance: random.Random) -> None:
    stage.relay.leave()
    time.sleep(chance.uniform(1.0, 12.0))
    stage.relay.come_back()


# sound ---------------------------------------------------------------------------------------------------------------


def _restart_sound(stage: Stage, chance: random.Random) -> None:
    stage.sound.kill()
    time.sleep(chance.uniform(0.2, 2.0))
    stage.sound.relaunch()
    stage.close()
    stage.listen_to_microphone()


# users and programs --------------------------------------------------------------------------------------------------


def _mute(stage: Stage, chance: random.Random) -> None:
    with stage.client() as client:
        client.mute()
        time.sleep(chance.uniform(0.2, 1.0))
        client.unmute()


def _talk(stage: Stage, chance: random.Random) -> None:
    """Push-to-talk for a moment, by the settings."""
    stage.configure(mode="push_to_talk")
    with stage.client() as client:
        client.talk(True)
        time.sleep(chance.uniform(0.2, 0.8))
        client.talk(False)
    stage.configure(mode="vad")


def _volume(stage: Stage, chance: random.Random) -> None:
    stage.configure(volume=chance.randint(0, 150))


def _profile(stage: Stage, chance: random.Random) -> None:
    with stage.client() as client:
        client.profile("evening")
        time.sleep(chance.uniform(0.1, 1.0))
        client.profile("none")


def _orders(stage: Stage, chance: random.Random) -> None:
    """All that people and scripts may ask for, at once."""
    with stage.client() as client:
        for order in (client.interrupt, client.devices, client.transcript, client.usage, partial(client.ask, "And what else is there?")):
            order()


def _flood(stage: Stage, chance: random.Random) -> None:
    """Thousands of requests, good and bad, whose answers nobody reads."""
    bus = Bus(stage.daemon.runtime_dir)
    control = bus.connect(CONTROL)
    for _ in range(chance.randint(2000, 5000)):
        control.send(chance.choice(_GARBAGE))
    with stage.client(5.0) as client:
        client.ping()
    bus.close()


def _deaf(stage: Stage, chance: random.Random) -> None:
    """Subscribers who never read, and one who is no ZeroMQ at all."""
    bus = Bus(stage.daemon.runtime_dir)
    for _ in range(5):
        bus.connect(EVENTS)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(stage.daemon.runtime_dir / "events"))
        stranger.send(os.urandom(200))
        time.sleep(chance.uniform(0.5, 1.5))
    bus.close()


def _wipe(stage: Stage, chance: random.Random) -> None:
    """As who cleans up temporary files does."""
    shutil.rmtree(stage.daemon.runtime_dir)


_CLOSES = ((None, ""), (1001, "session_expired"), (1011, "internal error"), (1012, "restarting"))

FAULTS: tuple[Fault, ...] = (
    *(Fault(f"{name} killed", partial(_kill, name), lethal=True, of=name, reconnects=name == _NETWORK) for name in PROCESSES),
    *(Fault(f"{name} hangs", partial(_hang, name), lethal=True, of=name, reconnects=name == _NETWORK) for name in PROCESSES),
    *(Fault(f"{name} stopped for a moment", partial(_pause, name)) for name in (*PROCESSES, "supervisor")),
    *(Fault(f"voicectl restart {name}", partial(_restart, name), lethal=True, of=name, reconnects=name == _NETWORK) for name in PROCESSES),
    Fault("supervisor killed", _kill_supervisor, lethal=True, reconnects=True),
    Fault("server restarted", _restart_server, of=_CONNECTION, reconnects=True),
    *(
        Fault(f"server hangs up ({code or 'FIN'})", partial(_hang_up, code, reason), of=_CONNECTION, reconnects=True)
        for code, reason in _CLOSES
    ),
    Fault("connection reset", _reset, of=_CONNECTION, reconnects=True),
    Fault("network stalls", _stall),
    # Nothing tells voiced that the network is back; its next attempt may be as far away as it was gone for.
    Fault("network away for seconds", _outage, limit_s=12.0, of=_CONNECTION, reconnects=True),
    Fault("sound server restarted", _restart_sound, lethal=True),
    Fault("mute, unmute", _mute),
    Fault("push-to-talk", _talk),
    Fault("reload", _volume),
    Fault("profile, and back", _profile),
    Fault("orders", _orders),
    Fault("flood of requests", _flood),
    Fault("subscribers who don't read", _deaf),
    # Each time leaves the sockets that nobody finds any more open: libzmq closes none without hanging up on all who came by it.
    Fault("runtime directory wiped", _wipe, lethal=True),
)


class Deck:
    """Faults in an order by chance, each once before any comes again; only those that may not be just now are overtaken."""

    def __init__(self, among: tuple[Fault, ...], chance: random.Random) -> None:
        self._among, self._chance = among, chance
        self._cards: list[Fault] = []
        self._befallen_s = dict.fromkeys(_RESTS_S, float("-inf"))

    def draw(self, now_s: float) -> Fault | None:
        """None where each has to wait."""

        def may_be(fault: Fault) -> bool:
            return fault.of is None or now_s - self._befallen_s[fault.of] > _RESTS_S[fault.of]

        if any(map(may_be, self._among)) and not any(map(may_be, self._cards)):
            self._cards += self._chance.sample(self._among, len(self._among))
        fault = next(filter(may_be, self._cards), None)
        if fault is not None:
            self._cards.remove(fault)
            if fault.of is not None:
                self._befallen_s[fault.of] = now_s
        return fault


def _until(happened: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
    deadline_s = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"no {what} within {within_s:g} s")
        time.sleep(_LOOK_S)
