"""Devices without a sound card: a file or nothing, at the pace of the monotonic clock.

`null` hears silence and swallows sound; `file:PATH` reads a WAV file once and then hears silence, or writes one. They
keep time as a sound card does, so the rest of the program can't tell them apart.
"""

import contextlib
import time
import wave
from pathlib import Path

from voiced.audio.device import OpenFormat, Wanted
from voiced.errors import DeviceLost, DeviceUnavailable

_BYTES_PER_SAMPLE = 2
_NS_PER_S = 1_000_000_000


class ClockedOutput:
    """Swallows sound in real time; with a file, keeps what would have been heard. After an abort, what was not yet
    due is not in the file."""

    def __init__(self, wanted: Wanted) -> None:
        self.name = wanted.device
        self.format = OpenFormat(wanted.rate, wanted.channels)
        self.buffer_frames = wanted.buffer_frames
        self.start_frames = 1
        self._closing = contextlib.ExitStack()
        self._file = _create(Path(wanted.file), self.format, self._closing) if wanted.file else None
        self._pending = b""
        self._started_ns: int | None = None
        self._consumed = 0

    def start(self) -> None:
        pass  # the clock starts with the first sample

    def writable(self) -> int:
        self._consume()
        return self.buffer_frames - len(self._pending) // self._frame_bytes

    def write(self, pcm: bytes) -> None:
        self._consume()
        if not self._pending:
            self._started_ns, self._consumed = time.monotonic_ns(), 0
        self._pending += pcm

    def abort(self) -> None:
        self._consume()
        self._pending = b""

    def close(self) -> None:
        self.abort()
        self._closing.close()

    @property
    def _frame_bytes(self) -> int:
        return _BYTES_PER_SAMPLE * self.format.channels

    def _consume(self) -> None:
        if self._started_ns is None or not self._pending:
            return
        due = (time.monotonic_ns() - self._started_ns) * self.format.rate // _NS_PER_S - self._consumed
        heard = self._pending[: due * self._frame_bytes]
        self._pending = self._pending[len(heard) :]
        self._consumed += len(heard) // self._frame_bytes
        if self._file is not None:
            try:
                self._file.writeframesraw(heard)
            except OSError as error:
                raise DeviceLost(f"can't write audio.playback.device {self.name}: {error.strerror}") from error


class ClockedInput:
    """Silence, or a WAV file read once, in real time."""

    def __init__(self, wanted: Wanted) -> None:
        self.name = wanted.device
        self.overruns = 0
        self._sound, self.format = _read(Path(wanted.file)) if wanted.file else (b"", OpenFormat(wanted.rate, wanted.channels))
        self._started_ns = 0
        self._read = 0

    def start(self) -> None:
        self._started_ns = time.monotonic_ns()

    def readable(self) -> int:
        return (time.monotonic_ns() - self._started_ns) * self.format.rate // _NS_PER_S - self._read

    def read(self, frames: int) -> bytes:
        size = _BYTES_PER_SAMPLE * self.format.channels
        pcm = self._sound[self._read * size : (self._read + frames) * size]
        self._read += frames
        return pcm.ljust(frames * size, b"\0")

    def close(self) -> None:
        self._sound = b""


def _create(path: Path, format: OpenFormat, closing: contextlib.ExitStack) -> wave.Wave_write:
    try:
        raw = closing.enter_context(path.open("wb"))
    except OSError as error:
        raise DeviceUnavailable(f"can't write audio.playback.device file:{path}: {error.strerror}") from error
    file = closing.enter_context(wave.open(raw, "wb"))  # noqa: SIM115  # it is one
    file.setnchannels(format.channels)
    file.setsampwidth(_BYTES_PER_SAMPLE)
    file.setframerate(format.rate)
    return file


def _read(path: Path) -> tuple[bytes, OpenFormat]:
    try:
        with contextlib.closing(wave.open(str(path), "rb")) as file:
            if file.getsampwidth() != _BYTES_PER_SAMPLE or file.getnchannels() > 2:
                raise DeviceUnavailable(f"audio.capture.device file:{path} must be 16-bit mono or stereo")
            return file.readframes(file.getnframes()), OpenFormat(file.getframerate(), file.getnchannels())
    except (OSError, EOFError, wave.Error) as error:
        raise DeviceUnavailable(f"can't read audio.capture.device file:{path}: {error}") from error
