"""The private sound servers: what PortAudio plays is heard, what is said reaches PortAudio, and nobody is disturbed."""

import math
import os
import select
import shutil
import subprocess
import sys
import time
from array import array
from pathlib import Path

import pytest

from voiced.demo.recorder import RATE_HZ, Recorder, RecorderFailed
from voiced.demo.soundserver import PulseServer, SoundServer, SoundServerFailed

pytestmark = [pytest.mark.system, pytest.mark.any_sound]

#: Blocks are of 1 ms and 21 ms; what a busy machine adds to the least of a few is still little.
SANE_MS = {"PulseAudio": 8, "PipeWire": 100}

PLAY = """
import pyaudio, sys, time
audio = pyaudio.PyAudio()
stream = audio.open(rate=24000, channels=1, format=pyaudio.paInt16, output=True, frames_per_buffer=480)
sound = sys.stdin.buffer.read()
print(time.monotonic_ns(), flush=True)
stream.write(sound + bytes(24000))  # PortAudio's ALSA backend drops what is queued when it stops
stream.close()
"""
RECORD = """
import pyaudio, sys, time
audio = pyaudio.PyAudio()
stream = audio.open(rate=24000, channels=1, format=pyaudio.paInt16, input=True, frames_per_buffer=480)
stream.read(480)
print("ready", flush=True)
sys.stdout.buffer.write(stream.read(24000))
"""


def tone(ms: int, hz: float = 440.0) -> bytes:
    """A tone without a single zero sample."""
    return array("h", (int(8000 * math.sin(2 * math.pi * hz * i / RATE_HZ)) | 1 for i in range(ms * RATE_HZ // 1000))).tobytes()


def run_portaudio(server: SoundServer, script: str, sound: bytes = b"") -> bytes:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=os.environ | server.env, input=sound, stdout=subprocess.PIPE, check=True, timeout=20).stdout


def test_what_portaudio_plays_is_heard_whole(sound: SoundServer, speaker: Recorder) -> None:
    run_portaudio(sound, PLAY, tone(500))
    last = speaker.wait_for_silence(400, timeout_s=5)
    sounding = sum(sample != 0 for sample in array("h", speaker.sound(0, last + 1)))
    assert sounding == pytest.approx(RATE_HZ // 2, rel=0.02)


def test_what_portaudio_plays_is_heard_when_it_is_played(sound: SoundServer, speaker: Recorder) -> None:
    late_ms = []
    for _ in range(4):  # a busy machine makes a program late, never early: the least delay is the recorder's own
        before = speaker.samples
        written_ns = int(run_portaudio(sound, PLAY, tone(50)))
        late_ms.append((speaker.time_ns(speaker.wait_for_sound(before, timeout_s=5)) - written_ns) / 1e6)
        speaker.wait_for_silence(200, timeout_s=5)
    assert -0.5 <= min(late_ms) <= SANE_MS[sound.name]


def test_what_is_said_reaches_portaudios_default_microphone(sound: SoundServer) -> None:
    sound.listen_to_microphone()
    with subprocess.Popen([sys.executable, "-c", RECORD], env=os.environ | sound.env, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        asked_ns = time.monotonic_ns()
        speech = sound.play(tone(200))
        recorded = program.stdout.read()
    assert asked_ns < speech.started_ns < time.monotonic_ns()
    assert len(recorded.strip(b"\0")) == pytest.approx(len(tone(200)), rel=0.1)


def test_silence_can_not_be_said(sound: SoundServer) -> None:
    with pytest.raises(SoundServerFailed, match="nothing but silence"):
        sound.play(bytes(9600))


def test_a_recording_is_saved_as_wav(sound: SoundServer, speaker: Recorder, tmp_path: Path) -> None:
    run_portaudio(sound, PLAY, tone(100))
    last = speaker.wait_for_silence(100, timeout_s=5)
    speaker.save(tmp_path / "heard.wav", end=last + 1)
    assert (tmp_path / "heard.wav").stat().st_size == 44 + 2 * (last + 1)


def test_waiting_for_a_sound_that_never_comes_ends(speaker: Recorder) -> None:
    with pytest.raises(RecorderFailed, match="heard no sound"):
        speaker.wait_for_sound(0, timeout_s=0.1)


@pytest.mark.usefixtures("pulseaudio")
def test_two_servers_do_not_hear_each_other() -> None:
    with PulseServer() as one, PulseServer() as other, one.recorder() as heard_by_one, other.recorder() as heard_by_other:
        run_portaudio(one, PLAY, tone(100))
        heard_by_one.wait_for_silence(200, timeout_s=5)
        heard_by_other.wait_for_samples(heard_by_other.sample_at(time.monotonic_ns()), timeout_s=5)
        assert heard_by_one.last_sound() is not None
        assert heard_by_other.last_sound() is None


def test_nothing_is_left_behind(sound: SoundServer) -> None:
    pids, directory = sound.pids, sound.directory
    sound.close()
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not directory.exists()


@pytest.mark.usefixtures("pulseaudio")
def test_a_server_dies_with_the_program_that_started_it() -> None:
    script = "import os, sys; from voiced.demo.soundserver import PulseServer; s = PulseServer().start()\n"
    script += "print(s.directory, *s.pids, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        directory, *pids = program.stdout.readline().split()
        watched = [os.pidfd_open(int(pid)) for pid in pids]
        program.kill()
    for pidfd in watched:
        assert select.select([pidfd], [], [], 5)[0] == [pidfd]
        os.close(pidfd)
    shutil.rmtree(directory)
