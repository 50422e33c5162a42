"""What of the microphone comes too late to be answered. Pure."""

from voiced.messages import LocalSpeech, MicFrame, MonoNs

#: A process that hung must not hand this on when it wakes. The queues of the microphone's socket hold seconds (capture's, ours,
#: the kernel's).
_STALE_NS = 1_000_000_000
#: What capture sends along, of the time before it knew that it was wanted, is older by right.
_SENT_ALONG_NS = 2_000_000_000


class Stale:
    """Frames of before a `confirmed` or `wake` that came in time are in time, too."""

    def __init__(self) -> None:
        self._wanted_from_ns = self._wanted_to_ns = 0
        self._dropped = 0

    def speech(self, speech: LocalSpeech, now: MonoNs) -> bool:
        """The end of speech is worth knowing at any time."""
        if speech.phase == "stopped":
            return False
        late = now - speech.captured_ns > _STALE_NS
        if not late and speech.phase in ("confirmed", "wake"):
            self._wanted_from_ns, self._wanted_to_ns = speech.captured_ns - _SENT_ALONG_NS, speech.captured_ns
        return late

    def frame(self, frame: MicFrame, now: MonoNs) -> bool:
        wanted = self._wanted_from_ns <= frame.captured_ns <= self._wanted_to_ns
        late = now - frame.captured_ns > _STALE_NS and not wanted
        self._dropped += late
        return late

    def take(self) -> int:
        """How many frames were dropped since it was asked last."""
        dropped, self._dropped = self._dropped, 0
        return dropped
