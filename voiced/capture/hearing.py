"""The microphone's sound made ready: 24 kHz in, the echo taken out at 16 kHz, 24 kHz out, and what it says about the user.

No clock, no socket: time comes with the frames, the far end from playback's messages.
"""

from typing import Any, NamedTuple

import numpy as np

from voiced.audio.echo.canceller import Canceller
from voiced.audio.echo.interface import RATE_HZ, Decision, Samples
from voiced.audio.echo.reference import Reference
from voiced.audio.resample import Resampler
from voiced.capture.gate import Frame
from voiced.capture.interruption import Cleaned
from voiced.messages import SAMPLE_RATE_HZ, MonoNs, Played, PlayedCut

_FULL_SCALE = 32768.0
#: Where the echo is not ours to judge: the assistant may be heard this long after its last sample, in a room of 300 ms.
_TAIL_MS = 300


class Heard(NamedTuple):
    frame: Frame
    samples: Samples  # the same at 16 kHz
    decisions: list[Decision]


class Hearing:
    """One stream of the microphone, in frames of `frame_ms`. `settings` are those of the process."""

    def __init__(self, settings: dict[str, Any], cleaned: Cleaned) -> None:
        frame = settings["frame_ms"] * RATE_HZ // 1000
        self._cleaned = cleaned
        #: Another program's canceller suppresses noise, too; and who wants nothing done gets that.
        self._untouched = cleaned is Cleaned.SYSTEM or (
            cleaned is Cleaned.NOBODY and not settings["noise_suppression"] and not settings["gain_control"]
        )
        self._frame_ms = settings["frame_ms"]
        self._down = _Steady(SAMPLE_RATE_HZ, RATE_HZ, frame)
        self._up = _Steady(RATE_HZ, SAMPLE_RATE_HZ, settings["frame_ms"] * SAMPLE_RATE_HZ // 1000)
        self._up_clear = _Steady(RATE_HZ, SAMPLE_RATE_HZ, settings["frame_ms"] * SAMPLE_RATE_HZ // 1000)
        self._reference = Reference()
        self._canceller = Canceller(
            settings["barge_in"]["threshold"],
            frame,
            noise_suppression=settings["noise_suppression"],
            gain_control=settings["gain_control"],
        )
        self._nothing: Samples = np.zeros(frame, np.float32)
        self._quiet_ms = _TAIL_MS

    def played(self, message: Played | PlayedCut, pcm: bytes) -> None:
        """Playback has handed sound to its device, or taken it back."""
        if isinstance(message, Played):
            self._reference.played(message, pcm)
        else:
            self._reference.cut(message)

    def ignore(self, captured_ns: MonoNs) -> None:
        """A frame that nobody may hear went by. The far end goes by with it."""
        self._reference.far(captured_ns, len(self._nothing))

    def hear(self, pcm: bytes, captured_ns: MonoNs) -> Heard:
        """One frame, s16le at 24 kHz, whose last sample was captured then."""
        near = self._down.process(_samples(pcm))
        far = self._reference.far(captured_ns, len(near))
        if self._cleaned is Cleaned.OURS:
            cancelled = self._canceller.process(near, far)
            decisions = cancelled.decisions
        else:
            cancelled = self._canceller.process(near, self._nothing)
            decisions = self._place(cancelled.decisions, sounding=bool(far.any()))
        if self._untouched:
            return Heard(Frame(captured_ns, pcm, pcm), near, decisions)
        sound = _pcm(self._up.process(cancelled.sound))
        clear = sound if self._canceller.idle else _pcm(self._up_clear.process(cancelled.clear))
        return Heard(Frame(captured_ns, sound, clear), cancelled.sound, decisions)

    def facts(self) -> dict[str, Any]:
        """The echo as `status` shows it."""
        return {"canceller": str(self._cleaned), **self._canceller.facts()._asdict()}

    def _place(self, decisions: list[Decision], *, sounding: bool) -> list[Decision]:
        """The decisions of a canceller that was not told of the far end."""
        self._quiet_ms = 0 if sounding else self._quiet_ms + self._frame_ms
        return [decision._replace(far_active=self._quiet_ms < _TAIL_MS) for decision in decisions]


class _Steady:
    """A resampler that gives a frame for each frame: what its filter still lacks is made up for by silence at the start."""

    def __init__(self, in_rate: int, out_rate: int, frame: int) -> None:
        self._resampler = Resampler(in_rate, out_rate)
        self._frame = frame
        self._kept: Samples = np.zeros(int(self._resampler.delay_s * out_rate) + 1, np.float32)

    def process(self, samples: Samples) -> Samples:
        sound = np.concatenate((self._kept, self._resampler.process(samples)))
        self._kept = sound[self._frame :]
        return sound[: self._frame]


def _samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(_FULL_SCALE)


def _pcm(samples: Samples) -> bytes:
    whole = samples * np.float32(_FULL_SCALE)
    np.rint(whole, out=whole)
    np.minimum(whole, _FULL_SCALE - 1, out=whole)  # np.clip takes twice as long
    np.maximum(whole, -_FULL_SCALE, out=whole)
    return whole.astype("<i2").tobytes()
