"""Tells the capture process what the loudspeaker sounds, before it does: the echo canceller's reference. Pure.

Positions count the frames that were written, silence among them, so that within a run position and time go together.
"""

from typing import Protocol

from voiced.messages import BYTES_PER_FRAME, SAMPLE_RATE_HZ, MonoNs, Played, PlayedCut

_NS_PER_S = 1_000_000_000


class Send(Protocol):
    def __call__(self, message: Played | PlayedCut, sound: bytes | None = None, /) -> object: ...


class Reference:
    """`send` never waits, and drops what nobody takes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._written = 0
        self._run = 0  # its first frame
        self._run_ns = 0

    def begin(self, now: MonoNs) -> None:
        """A run starts: what is written next is heard from now on."""
        self._run, self._run_ns = self._written, now

    def wrote(self, pcm: bytes) -> None:
        """Sound of the bus, as loud as it was handed to the device."""
        heard_ns = self._run_ns + (self._written - self._run) * _NS_PER_S // SAMPLE_RATE_HZ
        self._send(Played(self._written, MonoNs(heard_ns)), pcm)
        self._written += len(pcm) // BYTES_PER_FRAME

    def padded(self, frames: int) -> None:
        """Silence, which echoes nothing."""
        self._written += frames

    def cut(self, heard: int | None, now: MonoNs, reason: str = "") -> None:
        """An abort: of the run, so many frames were heard; None where none was on."""
        self._send(PlayedCut(self._written if heard is None else self._run + heard, now, reason))
