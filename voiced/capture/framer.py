"""Device sound in, frames out: converted to 24 kHz mono and cut to one length.

Also when to look at the device again, so that a frame is fetched as soon as it is there and the processor sleeps in
between. Pure: no device, no clock, no socket.
"""

from voiced.audio.format import Converter
from voiced.messages import BYTES_PER_MS, MonoNs

#: A device whose clock or wake-ups lag a little behind ours is asked again after this.
_AGAIN_MS = 1.0
#: Never sleep through more than this, so that a device that is late is noticed.
_LONGEST_WAIT_MS = 100.0


class Framer:
    """Cuts one stream of sound into frames of `frame_ms`."""

    def __init__(self, converter: Converter, frame_ms: int) -> None:
        self.frame_bytes = frame_ms * BYTES_PER_MS
        self._frame_ns = frame_ms * 1_000_000
        self._convert = converter.convert
        self._kept = b""

    def feed(self, pcm: bytes, captured_ns: MonoNs) -> list[tuple[MonoNs, bytes]]:
        """The whole frames that this sound completes, each with when its last sample was captured; `captured_ns` is the sound's own."""
        self._kept += self._convert(pcm)
        count = len(self._kept) // self.frame_bytes
        frames = [
            (MonoNs(captured_ns - (count - 1 - n) * self._frame_ns), self._kept[n * self.frame_bytes : (n + 1) * self.frame_bytes])
            for n in range(count)
        ]
        self._kept = self._kept[count * self.frame_bytes :]
        return frames

    def forget(self) -> None:
        """What is left of a frame goes, so that no sample of one side of a mute is sent on the other."""
        self._kept = b""


def captured(now: MonoNs, behind: int, rate: int) -> MonoNs:
    """When a sample was captured behind which so many more are readable now. Who was held up reads it late, by 75 ms once; to
    take that for the time at which it came moved the echo's reference by 5 ms for seconds."""
    return MonoNs(now - behind * 1_000_000_000 // rate)


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
