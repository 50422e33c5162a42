"""The machine fails the daemon: each fault for real, with what must hold written beside it.

Of all: it works again within 2 s of the cause's end, nothing of the conversation is lost, status and events say what is wrong and why,
it does not burn the processor meanwhile, and the log has a line for a change, not for each try.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.scripted_server import ScriptedServer
from tests.system.daemon import Daemon, compatible
from tests.until import until
from voicectl import Client
from voiced.demo.soundserver import SoundServer
from voiced.network import events
from voiced.network.events import InputAudioAppend, ItemCreate

pytestmark = pytest.mark.system

NO_SOUND_CARD = '[audio.capture]\ndevice = "null"\n[audio.playback]\ndevice = "null"\n'
BACK_WITHIN_S = 2.0
#: A new process has to load; a busy machine takes its time for that, and has its own figure.
START_S = 2.0
#: Of a whole core, what all processes together may take while something fails. At rest they take some 4 %.
CPU_SHARE = 0.35
WORDS = "One two three four five six seven eight."


class Scene(NamedTuple):
    daemon: Daemon
    client: Client
    peer: ScriptedServer

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.client.status()["processes"] if row["name"] == name)

    def pid(self, name: str) -> int:
        return int(self.row(name)["pid"] or 0)

    def ready(self, name: str) -> bool:
        return bool(self.row(name)["state"] == "ready")

    def cpu_s(self) -> float:
        return sum(row["cpu_s"] for row in self.client.status()["processes"])

    def lines(self, since: int = 0) -> list[str]:
        return self.daemon.log[since:].splitlines()

    def say_something(self) -> None:
        """A turn of the user's, and the answer to it, heard to its end."""
        with self.client.events("turn") as told:
            self.peer.hear("Remember the bread.")
            reply = self.peer.begin_reply()
            self.peer.send_audio(reply, b"\1\0" * 2400)
            self.peer.end_reply(reply)
            assert (event := told.next(5)) is not None
            assert event.data["text"] == "Remember the bread."

    def remembered(self, before: int) -> None:
        """The connection after `before` others is told what was said."""

        def is_it(event: object) -> bool:
            return isinstance(event, ItemCreate) and event.item.content[0].text == "Remember the bread."

        self.peer.until(is_it, connection=before + 1, timeout_s=10)

    def hears(self) -> None:
        self.peer.until(lambda event: isinstance(event, InputAudioAppend), since=len(self.peer.received), timeout_s=5)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """One daemon for many faults: it has to get over all of them."""
    with ScriptedServer() as peer, Daemon(compatible(peer.url) + NO_SOUND_CARD) as daemon, daemon.wait_until_ready().client() as client:
        yield Scene(daemon, client, peer)


@pytest.fixture
def peer() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@contextlib.contextmanager
def limited(pid: int, what: int, most: int) -> Iterator[None]:
    """So little of a resource for a process, for a while."""
    soft, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it did not live with that
            resource.prlimit(pid, what, (soft, hard))


def used_up(pid: int) -> int:
    """The limit at which a process has no descriptor left: their numbers are below it."""
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(used) + 1) if number not in used)


def test_the_runtime_directory_is_wiped(scene: Scene) -> None:
    """Clients find the daemon again, a process that starts finds the others, and nobody else can take the place."""
    scene.say_something()
    since, before = len(scene.daemon.log), scene.peer.connections
    with scene.client.events("error") as told:
        shutil.rmtree(scene.daemon.runtime_dir)
        sockets = ("control", "events", "family", "reply", "heard", "flush", "microphone")
        took_s = until(lambda: all((scene.daemon.runtime_dir / name).exists() for name in sockets), "sockets")
        assert took_s < BACK_WITHIN_S
        event = told.next(5)
        assert event is not None
        assert event.data["code"] == "runtime_dir_unusable"
    with scene.daemon.client() as client:
        assert client.ping()["pid"] == scene.daemon.process.pid
    assert scene.daemon.runtime_dir.stat().st_mode & 0o777 == 0o700
    assert all((scene.daemon.runtime_dir / name).stat().st_mode & 0o077 == 0 for name in sockets)
    for name in ("playback", "network", "capture"):
        pid = scene.pid(name)
        os.kill(pid, signal.SIGKILL)
        until(lambda name=name, pid=pid: scene.pid(name) not in (0, pid) and scene.ready(name), f"another {name} process")  # type: ignore[misc]  # bound now
    scene.remembered(before)
    scene.hears()
    scene.say_something()
    second = Daemon(compatible(scene.peer.url) + NO_SOUND_CARD)
    second.env["VOICED_RUNTIME_DIR"] = str(scene.daemon.runtime_dir)
    with second:
        assert second.process.wait(10) == 75
    assert len([line for line in scene.lines(since) if "removed" in line]) == 1


def test_the_supervisor_has_hardly_any_descriptors_left(scene: Scene) -> None:
    """It has some in reserve: clients are answered, and a process that dies is replaced."""
    network, pid, since = scene.pid("network"), scene.pid("playback"), len(scene.daemon.log)
    supervisor = scene.daemon.process.pid
    with scene.client.events("status", "error", "process") as told:

        def awaited(topic: str, **fields: object) -> dict[str, Any]:
            while (event := told.next(10)) is not None:
                if event.topic == topic and fields.items() <= event.data.items():
                    return dict(event.data)
            raise AssertionError(f"no {topic} with {fields}")

        awaited("status")  # it has let us in
        with limited(supervisor, resource.RLIMIT_NOFILE, used_up(supervisor) + 10):
            awaited("error", code="resources_short")
            [trouble] = scene.client.status()["troubles"]
            assert "LimitNOFILE" in trouble
            before_s, began_s = scene.cpu_s(), time.monotonic()
            os.kill(pid, signal.SIGKILL)
            awaited("process", name="playback", state="ready")
            started_s = 0.5  # of the processor, for the new one
            assert scene.cpu_s() - before_s < CPU_SHARE * (time.monotonic() - began_s) + started_s
        awaited("error", message="there are file descriptors again")
    assert scene.client.status()["troubles"] == []
    assert scene.pid("network") == network
    assert len([line for line in scene.lines(since) if "descriptors" in line]) == 2
    scene.say_something()


def test_a_process_has_no_descriptors_left(scene: Scene) -> None:
    """Another takes its place, which may have more; why is in the log once, and nothing said before is lost."""
    scene.say_something()
    pid, since, before = scene.pid("network"), len(scene.daemon.log), scene.peer.connections
    scene.peer.close()
    until(lambda: scene.client.status()["state"] == "offline", "loss")
    with limited(pid, resource.RLIMIT_NOFILE, used_up(pid)):
        scene.peer.serve()
        until(lambda: scene.pid("network") not in (0, pid) and scene.ready("network"), "another network process")
    scene.remembered(before)
    scene.hears()
    assert [line for line in scene.lines(since) if "died: there are no file descriptors left for voiced; raise its limit" in line]


@pytest.mark.parametrize("name", ["network", "playback"])
def test_a_process_has_no_memory_left(scene: Scene, name: str) -> None:
    """Another takes its place, and the conversation goes on."""
    scene.say_something()
    pid, since, before = scene.pid(name), len(scene.daemon.log), scene.peer.connections
    with limited(pid, resource.RLIMIT_AS, 1 << 20):
        reply = scene.peer.begin_reply()
        with contextlib.suppress(OSError):  # the network process is gone in the middle of it
            scene.peer.send_audio(reply, bytes(48 * 470_000), delta_ms=470_000)
        until(lambda: scene.pid(name) not in (0, pid) and scene.ready(name), f"another {name} process")
    assert [line for line in scene.lines(since) if "died: " in line and "memory" in line]
    scene.client.interrupt()
    scene.hears()
    if name == "network":
        scene.remembered(before)
    else:
        assert scene.peer.connections == before


def test_the_disk_is_full(peer: ScriptedServer) -> None:
    """The conversation is remembered meanwhile, and written down when there is room again."""
    daemon = Daemon(compatible(peer.url) + NO_SOUND_CARD)
    state = Path(daemon.env["XDG_STATE_HOME"]) / "voiced"
    state.mkdir(parents=True, mode=0o700)
    old = json.dumps({"item_id": "x" * 1000, "role": "user", "text": "", "time": 1.0}) + "\n"
    kept = state / f"turns-{time.strftime('%Y-%m-%d')}.jsonl"
    kept.write_text(old * 1000)
    with daemon, daemon.wait_until_ready().client() as client:
        scene = Scene(daemon, client, peer)
        with client.events("error") as told:
            with limited(daemon.process.pid, resource.RLIMIT_FSIZE, 500_000):  # of a file; a write then fails as on a full disk
                scene.say_something()
                assert (event := told.next(5)) is not None
                assert event.data["code"] == "books_incomplete"
                scene.say_something()
                [trouble] = client.status()["troubles"]
                assert str(state) in trouble
                os.kill(scene.pid("network"), signal.SIGKILL)
                scene.remembered(before=1)
            until(lambda: scene.ready("network"), "network")
            scene.say_something()
            assert (event := told.next(5)) is not None
            assert "again" in event.data["message"]
        assert client.status()["troubles"] == []
        assert kept.read_text().count('"text":"Remember the bread."') == 3
        assert len([line for line in scene.lines() if "written" in line]) == 2


def test_the_network_is_gone_for_long(scene: Scene) -> None:
    """An hour of it is in the tests of the back-off; here what it costs, and how soon it is over."""
    scene.say_something()
    since, before = len(scene.daemon.log), scene.peer.connections
    scene.peer.close()
    until(lambda: scene.client.status()["state"] == "offline", "loss")
    before_s, began_s = scene.cpu_s(), time.monotonic()
    with scene.client.events("session") as told:
        for _ in range(3):
            assert (event := told.next(5)) is not None
        assert event.data["retry_in_s"] <= 2.0
        assert "refused" in event.data["reason"]
    assert scene.cpu_s() - before_s < CPU_SHARE * (time.monotonic() - began_s)
    assert len(scene.lines(since)) <= 4
    scene.peer.serve()
    took_s = until(lambda: scene.client.status()["state"] == "listening", "session")
    assert took_s < BACK_WITHIN_S + 0.3
    scene.remembered(before)
    scene.hears()


def test_the_machine_sleeps(scene: Scene) -> None:
    """Nobody is blamed for having been silent, and the conversation goes on with the same processes."""
    scene.say_something()
    since, pids = len(scene.daemon.log), scene.daemon.family()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    stopped_s = time.monotonic()
    until(lambda: time.monotonic() - stopped_s > 3.5, "longer than the heartbeat's limit")
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)
    began_s = time.monotonic()
    scene.hears()
    scene.say_something()
    assert time.monotonic() - began_s < BACK_WITHIN_S
    assert scene.daemon.family() == pids
    assert "hangs" not in scene.daemon.log[since:]


#: In place of the wall clock: what a file says, added to it.
CLOCK = """import os, time
right = time.time
def shifted():
    with open(os.environ["CLOCK_SHIFT"]) as file:
        return right() + float(file.read())
time.time = shifted
"""


@pytest.mark.parametrize("leap_s", [400 * 86_400, -400 * 86_400])
def test_the_clock_jumps(peer: ScriptedServer, tmp_path: Path, leap_s: int) -> None:
    """Nothing that was said is lost or removed, no session ends for it, and nobody who waits waits longer."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    shift = tmp_path / "shift"
    shift.write_text("0")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {"CLOCK_SHIFT": str(shift), "PYTHONPATH": path}
    with Daemon(compatible(peer.url) + NO_SOUND_CARD, env) as daemon, daemon.wait_until_ready().client() as client:
        scene = Scene(daemon, client, peer)
        scene.say_something()
        for now in (str(leap_s), "0"):
            (tmp_path / "next").write_text(now)
            (tmp_path / "next").replace(shift)
            with client.events("status") as told:
                assert (event := told.next(5)) is not None
                assert abs(event.time - time.time() - float(now)) < 60, "the daemon sees another time"
            began_s = time.monotonic()
            scene.say_something()
            scene.hears()
            assert time.monotonic() - began_s < BACK_WITHIN_S
            assert peer.connections == 1
        os.kill(scene.pid("network"), signal.SIGKILL)
        scene.remembered(before=1)
        written = [line for file in Path(daemon.env["XDG_STATE_HOME"]).rglob("turns-*.jsonl") for line in file.read_text().splitlines()]
        assert len([line for line in written if '"text":"Remember the bread."' in line]) == 3


def test_the_sound_server_restarts_in_the_middle_of_a_reply(sound: SoundServer, peer: ScriptedServer) -> None:
    """What was not heard yet is said when there is a loudspeaker again."""
    with Daemon(compatible(peer.url), sound.env) as daemon, daemon.wait_until_ready().client() as client:
        scene = Scene(daemon, client, peer)
        with sound.recorder() as speaker:
            reply = peer.begin_reply()
            peer.send(events.OutputTranscriptDelta(response_id=reply.response_id, item_id=reply.item_id, delta=WORDS))
            peer.send_audio(reply, b"\x10\x27" * 24 * 3000)
            response_id, item_id = reply
            peer.send(
                events.OutputAudioDone(response_id=response_id, item_id=item_id),
                events.OutputTranscriptDone(response_id=response_id, item_id=item_id, transcript=WORDS),
                events.ResponseDone(response=events.Response(id=response_id, status="completed")),
            )
            first = speaker.wait_for_sound(0, timeout_s=10)
            speaker.wait_for_samples(first + 24 * 600, timeout_s=10)
            sound.kill()
        until(lambda: not client.status()["audio"]["playback"]["open"], "loss")
        sound.relaunch()
        began_s = time.monotonic()
        with sound.recorder() as speaker, client.events("turn") as told:
            again = speaker.wait_for_sound(0, timeout_s=10)
            assert time.monotonic() - began_s < BACK_WITHIN_S + START_S
            last = speaker.wait_for_silence(300, timeout_s=10, since=again)
            assert (event := told.next(5)) is not None
            assert (event.data["text"], event.data["interrupted"]) == (WORDS, False)
        assert 1200 < (last - again) / 24 < 2600
        assert scene.peer.connections == 1
