"""Everything that a day needs: sound server, network, server, the daemon, and whether it works."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.scripted_server import Manner
from tests.soak.relay import Relay
from tests.soak.talk import Listener, Partner, Talk
from tests.system.daemon import Daemon
from voicectl import Client
from voiced.demo.soundserver import PulseServer, SoundServer
from voiced.errors import VoicedError

PROCESSES = ("capture", "playback", "network")
_LOOK_S = 0.02
_LOOKS = 5
_BETWEEN_LOOKS_S = 0.2
#: How long is waited for what should take two seconds, before the day is given up.
PATIENCE_S = 40.0

SETTINGS = """
[realtime]
provider = "compatible"
url = "ws://127.0.0.1:{port}/v1/realtime"
[turn]
mode = "{mode}"
[audio.playback]
volume = {volume}
[profiles.evening]
voice = "cedar"
[log]
level = "debug"
"""


class Held(NamedTuple):
    """What a process holds."""

    anonymous_kib: int
    descriptors: int


class Stage:
    """The daemon among its servers. `settings` are written anew by `configure`."""

    def __init__(self, sound: SoundServer, partner: Partner, relay: Relay) -> None:
        self.sound, self.partner, self.relay = sound, partner, relay
        self.mode, self.volume = "vad", 100
        self.daemon = Daemon(self._settings(), sound.env)
        self._reader: subprocess.Popen[bytes] | None = None
        self.listen_to_microphone()

    def _settings(self) -> str:
        return SETTINGS.format(port=self.relay.port, mode=self.mode, volume=self.volume)

    def configure(self, **changes: Any) -> None:
        """Writes the settings with these changes and has them read."""
        vars(self).update(changes)
        self.daemon.config.write_text(self._settings())
        with self.client() as client:
            client.reload()

    def client(self, timeout_s: float = 5.0) -> Client:
        return Client(self.daemon.runtime_dir, timeout_s=timeout_s)

    @property
    def state_dir(self) -> Path:
        return self.daemon.home / "state"

    def listen_to_microphone(self) -> None:
        """An idle null source wakes but every 2 s, which no microphone does."""
        command = ["setpriv", "--pdeathsig", "KILL", "parec", "--device=microphone", "--latency-msec=20"]
        self._reader = subprocess.Popen(command, env=os.environ | self.sound.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.kill()
            self._reader.wait()

    # the daemon ------------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        with self.client(1.0) as client:
            return client.status()

    def pids(self) -> dict[str, int]:
        return {row["name"]: row["pid"] for row in self.status()["processes"] if row["pid"]}

    def is_working(self, since_ns: int, not_by: int = 0) -> bool:
        """Whether it listens, is connected (not by that connection), can speak, and its microphone's sound has arrived since then."""
        try:
            status = self.status()
        except VoicedError:
            return False
        ready = all(row["state"] == "ready" for row in status["processes"])
        opened = status["audio"]["capture"]["open"] and status["audio"]["playback"]["open"]
        connected = status["session"]["connected"] and self.partner.current != not_by
        return ready and opened and connected and self.partner.sound_ns > since_ns

    def wait_until_working(self, since_ns: int, not_by: int) -> float | None:
        """Seconds from then until it works; None where it does not."""
        while not self.is_working(since_ns, not_by):
            if self.has_ended or time.monotonic_ns() - since_ns > PATIENCE_S * 1e9:
                return None
            time.sleep(_LOOK_S)
        return (time.monotonic_ns() - since_ns) / 1e9

    @property
    def has_ended(self) -> bool:
        return self.daemon.process.poll() is not None

    def start_again(self) -> None:
        """As systemd does after a crash."""
        with (self.daemon.home / "log").open("ab") as log:
            command = [sys.executable, "-m", "voiced", "--config", str(self.daemon.config)]
            self.daemon.process = subprocess.Popen(command, env=self.daemon.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill_daemon(self) -> None:
        self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()

    def held(self) -> dict[str, Held]:
        """The least of several looks: a client that has just left, ours among them, is still a descriptor for a moment."""
        looks = []
        for _ in range(_LOOKS):
            time.sleep(_BETWEEN_LOOKS_S)
            looks.append({name: Held(_anonymous_kib(pid), len(os.listdir(f"/proc/{pid}/fd"))) for name, pid in self.pids().items()})
        return {name: Held(*map(min, zip(*(look[name] for look in looks), strict=True))) for name in looks[0]}


def _anonymous_kib(pid: int) -> int:
    """Not what it maps of files: that comes and goes with the page cache."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/status has no RssAnon")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Day(NamedTuple):
    stage: Stage
    talk: Talk
    listener: Listener


@contextlib.contextmanager
def day(seed: int) -> Iterator[Day]:
    """A conversation that goes on inside."""
    with PulseServer() as sound, Partner(Manner(answers=True)) as partner, Relay(partner.port) as relay:
        stage = Stage(sound, partner, relay)
        try:
            with stage.daemon as daemon:
                daemon.wait_until_ready()
                listener = Listener(daemon.runtime_dir)
                talk = Talk(partner, listener, seed)
                listener.start()
                listener.subscribed.wait(PATIENCE_S)
                talk.start()
                try:
                    yield Day(stage, talk, listener)
                finally:
                    for thread in (talk, listener):
                        thread.over = True
                        thread.join()
        finally:
            stage.close()
