"""Between a device and the bus: any rate and one or two channels on one side, 24 kHz mono on the other.

A device that is opened at 24 kHz mono (every sound server offers that) needs none of it, and then numpy is not even
imported: it costs 9 MiB and 100 ms of start in each process (architecture, Traps).
"""

from typing import Protocol

from voiced.audio.device import OpenFormat
from voiced.messages import SAMPLE_RATE_HZ

BUS_FORMAT = OpenFormat(SAMPLE_RATE_HZ, 1)


class Converter(Protocol):
    def convert(self, pcm: bytes) -> bytes:
        """Sound in the other format: all that the sound so far determines."""
        ...

    def reset(self) -> None:
        """Forgets what came before: the next sound starts from silence."""


class _Same:
    def convert(self, pcm: bytes) -> bytes:
        return pcm

    def reset(self) -> None:
        pass


def to_device(format: OpenFormat) -> Converter:
    """24 kHz mono to a device's format; two channels get the same sound."""
    return _between(BUS_FORMAT, format)


def from_device(format: OpenFormat) -> Converter:
    """A device's format to 24 kHz mono; two channels are averaged."""
    return _between(format, BUS_FORMAT)


def _between(source: OpenFormat, target: OpenFormat) -> Converter:
    if source == target:
        return _Same()
    from voiced.audio.conversion import Conversion  # here and not above: it imports numpy

    return Conversion(source, target)
