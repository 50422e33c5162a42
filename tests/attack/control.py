"""The control socket under attack: `python -m tests.attack.control --requests 1000000`.

A real daemon plays an endless reply over a private sound server while its sockets are attacked, and a table says what that cost:
memory, descriptors, processor time of each process, answers by code, and the sound, as the daemon counts and as it was recorded.
"""

import argparse
import os
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.attack.clients import Attackers
from tests.attack.fuzz import requests
from tests.bench import sounds
from tests.bench.programs import Voiced
from tests.scripted_server import ScriptedServer
from voicectl import Client
from voiced.demo.recorder import RATE_HZ, Recorder
from voiced.demo.soundserver import PulseServer

_QUIET_S = 20.0
_LEAD_MS = 8000
_GAP = bytes(2 * 24 * 2)  # 2 ms: the reply has no two silent samples


class Held(NamedTuple):
    pid: int
    rss_kib: int
    descriptors: int
    cpu_s: float
    restarts: int


def held(client: Client) -> dict[str, Held]:
    """By process."""
    rows = client.status()["processes"]
    return {
        row["name"]: Held(row["pid"], row["rss_kib"], len(os.listdir(f"/proc/{row['pid']}/fd")), row["cpu_s"], row["restarts"])
        for row in rows
    }


def gaps(recorded: bytes) -> int:
    """Holes in the recorded sound."""
    count, at = 0, recorded.find(_GAP)
    while at >= 0:
        count += 1
        while recorded[at : at + 2] == b"\0\0":
            at += 2
        at = recorded.find(_GAP, at)
    return count


class EndlessReply(threading.Thread):
    """Speaks noise until it is told to stop."""

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__(daemon=True)
        self._server, self._over = server, threading.Event()
        self._pcm = sounds.noise(2.0, 1)
        self._until_s = time.monotonic()

    def run(self) -> None:
        reply = self._server.begin_reply()
        while not self._over.wait(max(0.0, self._until_s - _LEAD_MS / 1000 - time.monotonic())):
            self._server.send_audio(reply, self._pcm)
            self._until_s += len(self._pcm) / 2 / RATE_HZ

    def stop(self) -> None:
        self._over.set()
        self.join()


def attack(program: Voiced, recorder: Recorder, count: int, seed: int) -> bool:
    """Prints the table; whether the daemon stood it."""
    with Client(program.runtime_dir, timeout_s=20.0) as client:
        recorder.wait_for_samples(recorder.wait_for_sound(0, 20.0) + round(_QUIET_S * RATE_HZ), _QUIET_S + 10.0)
        calm_from = recorder.samples
        recorder.wait_for_samples(calm_from + round(_QUIET_S * RATE_HZ), _QUIET_S + 10.0)
        attacked_from, underruns = recorder.samples, client.status()["audio"]["playback"]["underruns"]
        began_s, first = time.monotonic(), held(client)
        with Attackers(program.runtime_dir, seed) as attackers:
            stream = requests(seed)
            attackers.fuzz(stream, count // 10)
            warm = held(client)
            attackers.fuzz(stream, count - count // 10)
            took_s = time.monotonic() - began_s
            underruns = client.status()["audio"]["playback"]["underruns"] - underruns
            attacked_until = recorder.samples
        recorder.wait_for_samples(attacked_until + 8 * RATE_HZ, 20.0)  # who hangs is hung up on after 5 s
        last = held(client)
        lagged = client.status()["events"]["lagged"]
    _print(first, warm, last)
    answered = sum(attackers.answers.values())
    during, before = gaps(recorder.sound(attacked_from, attacked_until)), gaps(recorder.sound(calm_from, attacked_from))
    bugs = program.log().count("a bug in voiced")
    by_code = ", ".join(f"{code} {number}" for code, number in attackers.answers.most_common())
    print(f"\n{attackers.sent} requests, {attackers.bytes / 1e6:.0f} MB in {took_s:.0f} s ({attackers.sent / took_s:.0f} a second)")
    print(f"{answered} answers: {by_code}")
    print(f"playback: {underruns} underruns; {during} holes in {(attacked_until - attacked_from) / RATE_HZ:.0f} s of its recording", end="")
    print(f" ({before} in {_QUIET_S:g} s before the attack)")
    print(f"bugs in the log: {bugs}; its lines: {len(program.log().splitlines())}; a client that reads no event fell behind {lagged} times")
    same = all(last[name].pid == first[name].pid for name in first)
    print(f"crashes: {0 if same else 'a process is another one now'}")
    return same and not bugs and answered == attackers.sent


def _print(first: dict[str, Held], warm: dict[str, Held], last: dict[str, Held]) -> None:
    print(f"{'RSS in KiB':<12}{'before':>10}{'after 1/10':>12}{'at the end':>12}{'growth since 1/10':>19}{'descriptors':>14}{'CPU s':>8}")
    for name, end in last.items():
        start = first[name]
        growth = f"{end.rss_kib - warm[name].rss_kib:+d}"
        descriptors = f"{start.descriptors} -> {end.descriptors}"
        used_s = end.cpu_s - start.cpu_s
        print(f"{name:<12}{start.rss_kib:>10}{warm[name].rss_kib:>12}{end.rss_kib:>12}{growth:>19}{descriptors:>14}{used_s:>8.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, metavar="N", help="how many requests to send; 100000")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed, the same requests; 1")
    options = parser.parse_args()
    with PulseServer() as sound, ScriptedServer() as server, sound.recorder() as recorder, Voiced(server.url, sound) as program:
        os.nice(10)  # from here on: who attacks must not win by being first
        server.wait_for_client()
        reply = EndlessReply(server)
        reply.start()
        stood = attack(program, recorder, options.requests, options.seed)
        reply.stop()
        if not stood:
            Path("attack.log").write_text(program.log())
            print("the daemon's log is in attack.log")
    return 0 if stood else 1


if __name__ == "__main__":
    sys.exit(main())
