"""What leaves the capture process: frames, numbered, silent where nothing may be heard, and late where it turns out that
they should have been. Pure."""

from collections import deque
from typing import NamedTuple

from voiced.messages import MicFrame, MonoNs


class Frame(NamedTuple):
    """One frame as it was heard, s16le at 24 kHz."""

    captured_ns: MonoNs
    sound: bytes
    #: The same with the user clearer and the echo less suppressed: what is sent along when he turns out to have spoken.
    clear: bytes


class Gate:
    """Holds back the last `keep` frames while it is closed, of which `least` go out whenever it opens: a voice is noticed 100 ms after it
    begins. The server's voice detector needs a clock, so zeros go out meanwhile (realtime-protocol 5.2)."""

    def __init__(self, keep: int, least: int) -> None:
        self._held: deque[Frame] = deque(maxlen=keep)
        self._least = least
        self._seq = 0

    def reset(self) -> None:
        """Nothing from before may go out any more."""
        self._held.clear()

    def silence(self, captured_ns: MonoNs, size: int, *, muted: bool) -> tuple[MicFrame, bytes]:
        self._seq += 1
        return MicFrame(self._seq - 1, captured_ns, muted), bytes(size)

    def passes(self, frame: Frame, *, open: bool, replay: bool) -> list[tuple[MicFrame, bytes]]:
        """What goes out in this frame's place: itself, zeros, or itself after those that were held back (`replay`: all of them)."""
        if not open:
            self._held.append(frame)
            return [self.silence(frame.captured_ns, len(frame.sound), muted=False)]
        held = list(self._held)
        self._held.clear()
        if replay:
            sounds = [(each.captured_ns, each.clear) for each in held]
        else:
            sounds = [(each.captured_ns, each.sound) for each in held[len(held) - self._least :]]
        return [self._numbered(*sound) for sound in (*sounds, (frame.captured_ns, frame.sound))]

    def _numbered(self, captured_ns: MonoNs, sound: bytes) -> tuple[MicFrame, bytes]:
        self._seq += 1
        return MicFrame(self._seq - 1, captured_ns, False), sound
