"""Hears what a sound server's device plays: a recording in which every sample has its time on the monotonic clock.

Each piece that `parec` delivers is stamped when it is read, and a stamp can only be late (the reader waits for a
processor), never early. So the clock of the recording is its least delayed stamp: the null devices of PulseAudio and
PipeWire run on the monotonic clock at their nominal rate, and between stamps time is counted in samples. That keeps
times good on a machine whose processors are all busy.

A sound server shows its monitor each block when the block begins to sound, one block's length ahead of its last sample:
the `lead`. And what begins or ends within a block that was already shown is seen up to a block later than it was. On
PulseAudio (blocks of 1 ms) times came out within half a millisecond of the writes and aborts that caused them.

Silence is exact zero: a null device that nobody writes to yields nothing else, and neither server dithers s16le.
"""

import os
import re
import subprocess
import threading
import time
import wave
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

RATE_HZ = 24_000
_BYTES = 2
_NS = 1_000_000_000
_LOUD = re.compile(rb"[^\0]")
_START_TIMEOUT_S = 10.0
#: A device that is awake delivers within this; an idle null sink sleeps up to 2 s.
_AWAKE_S = 0.1


class Timing(NamedTuple):
    """How a sound server's monitor delivers."""

    piece_samples: int  # the size of the pieces to ask for
    lead_ns: int  # how far ahead of the sound the end of a piece is at the most
    window_ns: int  # the least delayed stamp is looked for within this much to either side
    #: Record at so many times 24 kHz and keep every so-manieth sample. A server that mixes at 48 kHz would resample, and
    #: its filter holds back an unknown part of each block; a reply has nothing above 12 kHz that could fold down.
    oversampling: int = 1


class RecorderFailed(RuntimeError):
    """`parec` is missing, ended, or delivered nothing in time."""


class Recorder:
    """Records one source of a sound server, s16le mono at 24 kHz, from `start` to `close`; a context manager.

    Samples are counted from 0. All methods may be called from any thread while it records. `wake` is called where
    the device is asleep and must be made to look at its new listener.
    """

    def __init__(self, source: str, env: Mapping[str, str], timing: Timing, wake: Callable[[], None]) -> None:
        self.source = source
        self._timing = timing
        self._wake = wake
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._read, name=f"recorder {source}", daemon=True)
        self._changed = threading.Condition()
        self._sound = bytearray()
        self._last_loud = -1
        self._ended = False
        # One entry a piece: samples delivered by then, and when.
        self._counts = array("q")
        self._stamps = array("q")

    def start(self) -> Self:
        """Starts recording; returns when the first piece is here. Raises RecorderFailed."""
        times = self._timing.oversampling
        piece = self._timing.piece_samples * times * _BYTES
        form = ["--raw", "--format=s16le", f"--rate={RATE_HZ * times}", "--channels=1"]
        command = ["parec", f"--device={self.source}", *form, f"--latency={piece}"]
        try:
            self._process = subprocess.Popen(command, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except FileNotFoundError as error:
            raise RecorderFailed("parec is missing: install pulseaudio-utils") from error
        self._thread.start()
        try:
            deadline = time.monotonic() + _START_TIMEOUT_S
            while not self._within(_AWAKE_S, lambda: self.samples > 0) and time.monotonic() < deadline:
                self._wake()
            self._wait(lambda: self.samples > 0, 0, "delivered nothing")
        except RecorderFailed:
            self.close()
            raise
        return self

    def close(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def samples(self) -> int:
        """How many samples are recorded so far: the index of the next one."""
        return len(self._sound) // _BYTES

    def sound(self, first: int = 0, end: int | None = None) -> bytes:
        """The samples from `first` up to `end` (all there are), s16le."""
        with self._changed:
            return bytes(self._sound[first * _BYTES : None if end is None else end * _BYTES])

    def time_ns(self, sample: int) -> int:
        """When this sample was played, on the monotonic clock."""
        with self._changed:
            at = min(bisect_right(self._counts, sample), len(self._counts) - 1)
            first = bisect_left(self._stamps, self._stamps[at] - self._timing.window_ns)
            end = bisect_right(self._stamps, self._stamps[at] + self._timing.window_ns)
            pieces = zip(self._stamps[first:end], self._counts[first:end], strict=True)
            return self._timing.lead_ns + min(stamp - (count - sample) * _NS // RATE_HZ for stamp, count in pieces)

    def sample_at(self, mono_ns: int) -> int:
        """The sample that was played at this time; may lie outside of the recording."""
        newest = self.samples - 1
        guess = newest - (self.time_ns(newest) - mono_ns) * RATE_HZ // _NS
        within = min(max(guess, 0), newest)
        return within + (mono_ns - self.time_ns(within)) * RATE_HZ // _NS

    def first_sound(self, since: int) -> int | None:
        """The first sample at or after `since` that is not silent."""
        with self._changed:
            found = _LOUD.search(self._sound, since * _BYTES)
        return found.start() // _BYTES if found else None

    def last_sound(self) -> int | None:
        """The last sample that was not silent."""
        return self._last_loud if self._last_loud >= 0 else None

    def wait_for_sound(self, since: int, timeout_s: float) -> int:
        """Waits until something sounds; returns the first sample at or after `since` that does. Raises RecorderFailed."""
        self._wait(lambda: self._last_loud >= since, timeout_s, "heard no sound")
        found = self.first_sound(since)
        assert found is not None, "a sound after `since` was just seen"
        return found

    def wait_for_silence(self, quiet_ms: float, timeout_s: float, since: int = 0) -> int:
        """Waits until nothing sounded for `quiet_ms` (counted from `since` at the earliest); returns the last sample
        that did sound, or -1. Raises RecorderFailed."""
        quiet = round(quiet_ms * RATE_HZ / 1000)
        self._wait(lambda: self.samples - max(self._last_loud + 1, since) >= quiet, timeout_s, "heard no silence")
        return self._last_loud

    def wait_for_samples(self, count: int, timeout_s: float) -> None:
        """Waits until `count` samples are recorded. Raises RecorderFailed."""
        self._wait(lambda: self.samples >= count, timeout_s, f"has not heard {count} samples")

    def save(self, path: Path, first: int = 0, end: int | None = None) -> None:
        """Writes the samples from `first` up to `end` as a WAV file."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(_BYTES)
            file.setframerate(RATE_HZ)
            file.writeframes(self.sound(first, end))

    def _wait(self, reached: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        if not self._within(timeout_s, reached):
            why = "parec ended" if self._ended else f"waited {timeout_s:g} s"
            raise RecorderFailed(f"the recorder of {self.source} {complaint}: {why}")

    def _within(self, timeout_s: float, reached: Callable[[], bool]) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or reached(), timeout_s)
            return reached()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        times = self._timing.oversampling
        rest = b""
        while piece := os.read(pipe, 1 << 16):
            stamp = time.monotonic_ns()
            piece = rest + piece
            whole = len(piece) - len(piece) % (_BYTES * times)
            rest = piece[whole:]
            self._keep(_every(times, piece[:whole]), stamp)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _keep(self, piece: bytes, stamp: int) -> None:
        loud = piece.rstrip(b"\0")
        with self._changed:
            if loud:
                self._last_loud = (len(self._sound) + len(loud) - 1) // _BYTES
            self._sound += piece
            self._counts.append(self.samples)
            self._stamps.append(stamp)
            self._changed.notify_all()


def _every(nth: int, pcm: bytes) -> bytes:
    return pcm if nth == 1 else array("h", pcm)[::nth].tobytes()
