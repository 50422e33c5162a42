"""One attack on a real daemon: what it costs in memory and time, and whether the user is still obeyed."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.hostile.attacks import ATTACKS, Attack
from tests.scripted_server import ScriptedServer
from tests.system.daemon import Daemon, compatible
from voicectl import Client
from voiced.demo.soundserver import SoundServer

_TEN_SECONDS = b"\x10\x27" * 240_000
_UNDER_WAY_BYTES = 400_000


class Cost(NamedTuple):
    """Memory in MiB beyond that of before, at its peak; figures of ms are those of an interruption in the middle of it."""

    sent_mb: float
    network_mib: float
    playback_mib: float
    supervisor_mib: float
    network_cpu: float  # of a core
    flush_ms: float | None  # order to silence, as the daemon has measured it; None where the server's own doing was quicker
    answer_ms: float  # until the command has its answer
    underruns: int
    log_lines: int
    restarts: int


def measure(name: str, sound: SoundServer, seconds: float = 0.0) -> Cost:
    """Lets an attack loose while a reply of ten seconds sounds, and interrupts that after half the time, or, with 0, as soon as the
    attack is under way."""
    with ScriptedServer() as peer, Daemon(compatible(peer.url), sound.env) as daemon, daemon.wait_until_ready().client() as client:
        reply = peer.begin_reply()
        peer.send_audio(reply, _TEN_SECONDS)
        peer.roundtrip()
        pids = _pids(client) | {"voiced": daemon.process.pid}
        before = {who: _mib(pid, "VmRSS") for who, pid in pids.items()}
        cpu_s, began, lines = _cpu_s(pids["network"]), time.monotonic(), len(daemon.log.splitlines())
        with client.events("flush") as flushes, pouring(name, peer) as pour:
            pour.under_way.wait(10)
            pour.over.wait(seconds / 2)  # which nobody says before
            underruns = client.status()["audio"]["playback"]["underruns"]
            asked = time.monotonic()
            client.call("interrupt")
            answer_ms = (time.monotonic() - asked) * 1000
            flush = flushes.next(1.0)
            pour.over.wait(seconds / 2)
            cpu = (_cpu_s(pids["network"]) - cpu_s) / (time.monotonic() - began)
        grown = {who: _mib(pid, "VmHWM") - before[who] for who, pid in pids.items()}
        return Cost(
            sent_mb=pour.sent / 1e6,
            network_mib=grown["network"],
            playback_mib=grown["playback"],
            supervisor_mib=grown["voiced"],
            network_cpu=cpu,
            flush_ms=None if flush is None else flush.data["latency_ms"],
            answer_ms=answer_ms,
            underruns=underruns,
            log_lines=len(daemon.log.splitlines()) - lines,
            restarts=sum(row["restarts"] for row in client.status()["processes"]),
        )


class _Pour:
    """An attack in a thread of its own, to its end or ours."""

    def __init__(self, attack: Attack, peer: ScriptedServer) -> None:
        self.sent = 0
        self.under_way, self.over = threading.Event(), threading.Event()
        self._attack, self._peer = attack, peer
        self.thread = threading.Thread(target=self._run, name="attack", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # hung up on
            for lot in self._attack:
                if self.over.is_set():
                    break
                self._peer.send_bytes(lot)
                self.sent += len(lot)
                if self.sent > _UNDER_WAY_BYTES:
                    self.under_way.set()
        self.under_way.set()


@contextlib.contextmanager
def pouring(name: str, peer: ScriptedServer) -> Iterator[_Pour]:
    pour = _Pour(ATTACKS[name](), peer)
    try:
        yield pour
    finally:
        pour.over.set()
        with contextlib.suppress(OSError):
            peer.hang_up()  # it may be in the middle of a write that nobody reads
        pour.thread.join()


def _pids(client: Client) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in client.status()["processes"] if row["pid"]}


def _mib(pid: int, field: str) -> float:
    """Of /proc/PID/status; not a number where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), float("nan"))


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
