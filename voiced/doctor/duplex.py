"""Plays and records at once: both devices in one thread, and one time for both. An adapter."""

import time
from collections.abc import Callable

import numpy as np

from voiced.audio.device import InputDevice, OutputDevice
from voiced.audio.format import from_device, to_device
from voiced.doctor.acoustics import Samples
from voiced.doctor.programme import RATE, Duplex
from voiced.errors import DeviceLost

_NS_PER_S = 1_000_000_000
#: Devices are looked after this often: less than a quarter of what the least of their buffers holds.
_TURN_S = 0.005
#: A null source of an idle sound server wakes only every 2 s (architecture).
_FIRST_SOUND_S = 4.0
#: What is on its way through devices and sound servers when all is written.
_LATE_S = 0.3
_PIECE_S = 0.02


class Recording:
    """A running microphone: its sound at 24 kHz, and the time of each sample by the least delayed piece."""

    def __init__(self, device: InputDevice) -> None:
        self._device = device
        self._convert = from_device(device.format).convert
        self._pieces: list[bytes] = []
        self._overruns = device.overruns
        self.samples = 0
        self._began_ns: int | None = None

    def take(self, now_ns: int) -> None:
        """What is there. Raises DeviceLost."""
        frames = self._device.readable()
        if not frames:
            return
        piece = self._convert(self._device.read(frames))
        self._pieces.append(piece)
        self.samples += len(piece) // 2
        began_ns = now_ns - self.samples * _NS_PER_S // RATE
        self._began_ns = began_ns if self._began_ns is None else min(began_ns, self._began_ns)

    def wait_for_sound(self) -> None:
        """Raises DeviceLost where none comes."""
        deadline_s = time.monotonic() + _FIRST_SOUND_S
        while not self.samples:
            if time.monotonic() > deadline_s:
                raise DeviceLost(f"input device {self._device.name} gives no sound; is it plugged in? Or set audio.capture.device")
            time.sleep(_TURN_S)
            self.take(time.monotonic_ns())

    def since(self, mono_ns: int) -> Samples:
        """What was recorded from that time on; without it, from the first sample."""
        sound: Samples = np.frombuffer(b"".join(self._pieces), np.int16).astype(np.float32) / np.float32(32768)
        first = round((mono_ns - (self._began_ns or 0)) * RATE / _NS_PER_S)
        return sound[first:] if first >= 0 else np.pad(sound, (-first, 0))

    @property
    def overruns(self) -> int:
        return self._device.overruns - self._overruns


def listen(device: InputDevice, seconds: float) -> Samples:
    """What the microphone hears now. Raises DeviceLost."""
    device.start()
    recording = Recording(device)
    recording.wait_for_sound()
    began_ns = time.monotonic_ns()
    while time.monotonic_ns() - began_ns < seconds * _NS_PER_S:
        time.sleep(_TURN_S)
        recording.take(time.monotonic_ns())
    return recording.since(began_ns)


def play(sound: Samples, output: OutputDevice, microphone: InputDevice) -> Duplex:
    """What the microphone hears while the loudspeaker plays `sound` (24 kHz). Raises DeviceLost."""
    pcm = to_device(output.format).convert(np.rint(sound * 32767).astype(np.int16).tobytes())
    _prime(output)
    microphone.start()
    recording = Recording(microphone)
    recording.wait_for_sound()
    output.start()
    room = output.writable()
    began_ns = time.monotonic_ns()
    underruns = _write_all(pcm, output, room, recording.take)
    until_ns = began_ns + round((len(sound) / RATE + _LATE_S) * _NS_PER_S)
    while time.monotonic_ns() < until_ns:
        time.sleep(_TURN_S)
        recording.take(time.monotonic_ns())
    output.abort()
    return Duplex(recording.since(began_ns), underruns, recording.overruns)


def _prime(output: OutputDevice) -> None:
    """As playback does: the first start of a stream costs 180-700 ms (architecture)."""
    output.start()
    output.write(bytes(output.start_frames * 2 * output.format.channels))
    output.abort()


def _write_all(pcm: bytes, output: OutputDevice, room: int, meanwhile: Callable[[int], None]) -> int:
    """Returns how often the device had run dry."""
    frame_bytes = 2 * output.format.channels
    piece_bytes = round(_PIECE_S * output.format.rate) * frame_bytes
    underruns = at = 0
    while at < len(pcm):
        end = min(len(pcm), at + room * frame_bytes)
        while at < end:
            piece = pcm[at : min(end, at + piece_bytes)]
            output.write(piece)
            at += len(piece)
        meanwhile(time.monotonic_ns())
        time.sleep(_TURN_S)
        room = output.writable()
        underruns += room >= output.buffer_frames
    return underruns
