"""Device sound in, frames of the bus out: converted, cut to one length, numbered, and silent while muted.

Also when to look at the device again, so that a frame is fetched as soon as it is there and the processor sleeps in
between. Pure: no device, no clock, no socket.
"""

from voiced.audio.format import Converter
from voiced.messages import BYTES_PER_MS, MicFrame, MonoNs

_NS_PER_S = 1_000_000_000
#: A device whose clock or wake-ups lag a little behind ours is asked again after this.
_AGAIN_MS = 1.0
#: Never sleep through more than this, so that a device that is late is noticed.
_LONGEST_WAIT_MS = 100.0


class Framer:
    """Cuts one stream of sound. `muted` may change at any time and holds from the next frame on."""

    def __init__(self, converter: Converter, frame_ms: int, *, muted: bool) -> None:
        self.muted = muted
        self._convert = converter.convert
        self._frame_bytes = frame_ms * BYTES_PER_MS
        self._silence = bytes(self._frame_bytes)
        self._kept = b""
        self._seq = 0

    def feed(self, pcm: bytes, now: MonoNs) -> list[tuple[MicFrame, bytes]]:
        """The whole frames that this sound completes. While muted they hold zeros, whatever the device heard."""
        self._kept += self._convert(pcm)
        frames = []
        while len(self._kept) >= self._frame_bytes:
            sound, self._kept = self._kept[: self._frame_bytes], self._kept[self._frame_bytes :]
            frames.append((MicFrame(self._seq, now, self.muted), self._silence if self.muted else sound))
            self._seq += 1
        return frames

    def mute(self, muted: bool) -> None:
        """Sound kept from before is forgotten, so that no sample of one side of the switch is sent on the other."""
        self.muted = muted
        self._kept = b""


def wait_ms(readable: int, wanted: int, rate: int) -> float:
    """How long until `wanted` frames will be readable where `readable` are now."""
    if readable >= wanted:
        return 0.0
    return min(_LONGEST_WAIT_MS, max(_AGAIN_MS, (wanted - readable) * 1000 / rate))


class Watch:
    """Tells a device that gives no sound any more from one that is only late."""

    def __init__(self, limit_ns: int, now: MonoNs) -> None:
        self._limit_ns = limit_ns
        self._last = now

    def heard(self, now: MonoNs) -> None:
        self._last = now

    def expired(self, now: MonoNs) -> bool:
        return now - self._last > self._limit_ns
