"""Devices that come and go under a conversation: the real daemon on real sound servers follows within 2 s, the session stays."""

import contextlib
import os
import subprocess
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.scripted_server import ScriptedServer
from tests.system.daemon import Daemon, compatible, running
from tests.until import until
from voicectl import Client
from voiced.demo.recorder import RecorderFailed
from voiced.demo.soundserver import SoundServer
from voiced.errors import ControlError
from voiced.network.events import InputAudioAppend

pytestmark = pytest.mark.system

REPLY = b"\x10\x27" * 12_000  # half a second, no sample of it zero
TONE = array("h", (8000 if sample // 24 % 2 else -8000 for sample in range(24_000))).tobytes() * 20  # 20 s of 500 Hz
#: The issue promises 2 s, which a machine of two cores with a load of 12 may exceed.
SANE_S = 8.0
ROOMS = ("capture", "playback")
PLAIN = "[audio]\nnoise_suppression = false\n"
OFF = 'echo_cancellation = "off"\n'


class Scene(NamedTuple):
    daemon: Daemon
    client: Client
    peer: ScriptedServer
    sound: SoundServer

    def audio(self, room: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.status()["audio"][room]
        return found

    def pid(self, room: str) -> int | None:
        found: int | None = next(row["pid"] for row in self.client.status()["processes"] if row["name"] == room)
        return found

    def is_heard(self, sink: str, within_s: float = SANE_S) -> None:
        """A reply sounds from there."""
        with self.sound.recorder(f"{sink}.monitor") as recorder:
            self.speak()
            try:
                recorder.wait_for_sound(0, timeout_s=within_s)
            except RecorderFailed as error:
                raise AssertionError(f"{error}; playback: {self.audio('playback')}; {self.sound.pactl('list', 'sink-inputs')}") from error

    def speak(self) -> None:
        reply = self.peer.begin_reply()
        self.peer.send_audio(reply, REPLY)
        self.peer.end_reply(reply)

    def hears(self) -> None:
        """What is said from now on reaches the server."""
        self.peer.until(lambda event: isinstance(event, InputAudioAppend) and any(event.audio), since=len(self.peer.received))

    def went_on(self) -> bool:
        """The conversation did, and nobody met a bug."""
        connected: bool = self.client.status()["session"]["connected"]
        return connected and self.peer.connections == 1 and "Traceback" not in self.daemon.log and "a bug" not in self.daemon.log


@contextlib.contextmanager
def scene_of(sound: SoundServer, config: str = OFF) -> Iterator[Scene]:
    with ScriptedServer() as peer, running(compatible(peer.url) + PLAIN + config, sound.env) as (daemon, client):
        yield Scene(daemon, client, peer, sound)


@contextlib.contextmanager
def talking(sound: SoundServer, sink: str) -> Iterator[None]:
    """Somebody talks without a pause into the microphone that this sink feeds."""
    command = ["pacat", "--playback", f"--device={sink}", "--raw", "--format=s16le", "--rate=24000", "--channels=1", "--latency-msec=50"]
    with subprocess.Popen(command, env=os.environ | sound.env, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            process.stdin.raw.write(TONE)  # type: ignore[attr-defined]  # the pipe takes 64 KiB: 1.3 s
        try:
            yield
        finally:
            process.kill()


class Headset:
    """A microphone and a loudspeaker that can be plugged in."""

    def __init__(self, sound: SoundServer) -> None:
        self._sound = sound
        self._modules: list[str] = []

    def plug(self, rate: int = 16_000) -> None:
        for module in (
            ("module-null-sink", "sink_name=headset", "rate=48000", "channels=2", "sink_properties=device.description=Headset_sound"),
            ("module-null-sink", "sink_name=headset_said", f"rate={rate}", "channels=1"),
            (
                "module-remap-source",
                "source_name=headset_mic",
                "master=headset_said.monitor",
                "source_properties=device.description=Headset_mic",
            ),
        ):
            self._modules.append(self._sound.pactl("load-module", *module))

    def unplug(self) -> None:
        for module in reversed(self._modules):
            self._sound.pactl("unload-module", module)
        self._modules.clear()


def streams(sound: SoundServer, kind: str) -> int:
    return len(sound.pactl("list", "short", kind).splitlines())


@pytest.mark.any_sound
def test_a_sound_server_that_is_killed_and_comes_back_is_followed(sound: SoundServer) -> None:
    with scene_of(sound) as scene:
        network = scene.pid("network")
        sound.kill()
        until(lambda: not any(scene.audio(room)["open"] for room in ROOMS), "loss noticed")
        sound.relaunch()
        until(lambda: all(scene.audio(room)["open"] for room in ROOMS), "back after a restart")
        scene.is_heard("speaker")
        sound.listen_to_microphone()
        speech = sound.play(TONE)
        scene.hears()
        speech.stop()
        assert scene.pid("network") == network
        assert scene.went_on()


@pytest.mark.any_sound
def test_the_default_is_followed_also_as_it_vanishes_and_returns_with_another_rate(sound: SoundServer) -> None:
    """As a Bluetooth headset does that switches its profile."""
    headset = Headset(sound)
    with scene_of(sound) as scene:
        for rate in (48_000, 8_000):
            headset.plug(rate)
            with sound.recorder("headset_said.monitor"):
                sound.pactl("set-default-sink", "headset")
                sound.pactl("set-default-source", "headset_mic")
                until(lambda: scene.audio("playback")["endpoint"] == "Headset_sound", "default loudspeaker followed")
                until(lambda: scene.audio("capture")["endpoint"] == "Headset_mic", "default microphone followed")
                scene.is_heard("headset")
                with talking(sound, "headset_said"):
                    scene.hears()
            assert not scene.audio("playback")["fallback"]
            headset.unplug()
            until(lambda: scene.audio("playback")["endpoint"] not in (None, "Headset_sound"), "loudspeaker lost")
            until(lambda: scene.audio("capture")["endpoint"] not in (None, "Headset_mic"), "microphone lost")
            scene.is_heard("speaker")
        assert scene.went_on()


@pytest.mark.any_sound
def test_a_named_device_is_unplugged_and_plugged_again(sound: SoundServer) -> None:
    headset = Headset(sound)
    headset.plug()
    named = OFF + '[audio.capture]\ndevice = "headset_mic"\n[audio.playback]\ndevice = "Headset_sound"\n'
    with scene_of(sound, named) as scene:
        until(lambda: scene.audio("playback")["endpoint"] == "Headset_sound", "named loudspeaker in use")
        until(lambda: scene.audio("capture")["endpoint"] == "Headset_mic", "named microphone in use")
        assert not scene.audio("playback")["fallback"]
        scene.is_heard("headset")
        headset.unplug()
        until(lambda: all(scene.audio(room)["fallback"] for room in ROOMS), "fallback")
        until(lambda: all(scene.audio(room)["open"] for room in ROOMS), "fallback open")
        scene.is_heard("speaker")
        until(lambda: "Headset_sound is not in use" in scene.daemon.log, "told")
        headset.plug()
        until(lambda: not any(scene.audio(room)["fallback"] for room in ROOMS), "return")
        scene.is_heard("headset")
        with sound.recorder("headset_said.monitor"), talking(sound, "headset_said"):
            scene.hears()
        assert scene.went_on()


def test_a_named_device_that_the_server_keeps_off_is_gone_back_to(sound: SoundServer) -> None:
    """PulseAudio lets a stream follow the default once it has moved it; whoever named a device meant it."""
    headset = Headset(sound)
    headset.plug()
    with scene_of(sound, OFF + '[audio.playback]\ndevice = "headset"\n') as scene:
        for default in ("headset", "speaker", "said", "speaker"):
            sound.pactl("set-default-sink", default)
            time.sleep(0.5)  # nothing to wait for where all stays as it is
            until(lambda: scene.audio("playback")["endpoint"] == "Headset_sound", f"named loudspeaker kept, {default} default")
        scene.is_heard("headset")
        assert scene.went_on()


@pytest.mark.any_sound
def test_a_hard_mute_lets_go_of_the_microphone(sound: SoundServer) -> None:
    sound.listen_to_microphone()
    with scene_of(sound, OFF + "[audio.capture]\nhard_mute = true\n") as scene:
        others = streams(sound, "source-outputs") - 1
        pid = scene.pid("capture")
        assert scene.client.mute()
        assert streams(sound, "source-outputs") == others
        until(lambda: scene.audio("capture")["open"] is False, "told to be shut")
        since, began = len(scene.peer.received), time.monotonic()
        for _ in range(50):
            scene.peer.until(lambda event: isinstance(event, InputAudioAppend), since=len(scene.peer.received))
        assert time.monotonic() - began == pytest.approx(1.0, abs=0.3)
        sent = [received.event.audio for received in scene.peer.received[since:] if isinstance(received.event, InputAudioAppend)]
        assert not any(any(audio) for audio in sent)
        began = time.monotonic()
        assert scene.client.unmute() is False
        assert time.monotonic() - began < 1.0
        print(f"unmuted after {time.monotonic() - began:.2f} s")
        assert streams(sound, "source-outputs") == others + 1
        until(lambda: scene.audio("capture")["open"] is True, "told to be open")
        speech = sound.play(TONE)
        scene.hears()
        speech.stop()
        scene.client.mute()
        scene.client.restart("capture")
        until(lambda: scene.pid("capture") not in (pid, None) and scene.client.status()["state"] == "muted", "restarted muted")
        assert streams(sound, "source-outputs") == others
        assert scene.audio("capture")["open"] is False
        assert scene.went_on()


def test_a_hard_muted_microphone_that_is_gone_can_not_be_unmuted(sound: SoundServer) -> None:
    with scene_of(sound, OFF + "[audio.capture]\nhard_mute = true\n") as scene:
        scene.client.mute()
        sound.kill()
        until(lambda: not scene.audio("playback")["open"], "loss noticed")
        with pytest.raises(ControlError, match="input"):
            scene.client.unmute()
        assert scene.client.status()["muted"]
        sound.relaunch()
        until(lambda: scene.audio("playback")["open"], "back")
        assert scene.client.unmute() is False
        assert scene.went_on()


def test_devices_are_listed_as_they_are_now(sound: SoundServer) -> None:
    headset = Headset(sound)
    with scene_of(sound) as scene:
        assert "Headset_mic" not in repr(scene.client.devices())
        headset.plug()
        sound.pactl("set-default-source", "headset_mic")
        until(lambda: scene.audio("capture")["endpoint"] == "Headset_mic", "default followed")
        listed = scene.client.devices()
        rows = {row["name"]: row for row in listed["input"]}
        assert rows["Headset_mic"]["default"]
        assert rows["Headset_mic"]["in_use"]
        assert [row["name"] for row in listed["input"] if row["default"]] == ["Headset_mic"]
        assert {"number", "host_api", "rate"} <= set(rows["pulse"])


@pytest.mark.any_sound
def test_a_canceller_of_the_system_is_stood_back_for(sound: SoundServer) -> None:
    canceller = ("module-echo-cancel", "source_name=quiet", "sink_name=quiet_sink", "source_master=microphone", "sink_master=speaker")
    with scene_of(sound, 'echo_cancellation = "auto"\n') as scene:
        assert scene.audio("capture")["endpoint"] != "quiet"
        sound.pactl("load-module", *canceller)
        sound.pactl("set-default-source", "quiet")
        until(lambda: (scene.audio("capture")["echo"] or {}).get("canceller") == "system", "stood back")
        assert scene.went_on()


def test_a_microphone_that_dies_while_it_is_muted_stays_muted(sound: SoundServer) -> None:
    with scene_of(sound) as scene:
        sound.kill()
        until(lambda: not scene.audio("capture")["open"], "loss noticed")
        assert until_answered(scene.client.mute)
        sound.relaunch()
        until(lambda: scene.audio("capture")["open"], "back", SANE_S)
        assert scene.client.status()["muted"]


def until_answered(order: Callable[[], bool]) -> bool:
    """The process that waits for the device may just be starting."""
    deadline = time.monotonic() + SANE_S
    while True:
        with contextlib.suppress(ControlError):
            return order()
        assert time.monotonic() < deadline
