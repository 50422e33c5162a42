"""What our own voice detector says of the user, until the server says it; and whether he is listened to at all. Pure."""

from voiced.messages import MicFrame, MonoNs
from voiced.network.outputs import Outbox

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
#: Where speech began, before the sample that decided it (capture.speech: 82 to 104 ms), and a margin for a soft onset.
ONSET_NS = 400 * _NS_PER_MS
#: The same for an interruption, of which capture sends along what it held back.
CONFIRMED_NS = 500 * _NS_PER_MS
#: And for the wake word, where that is 1.5 s.
WAKE_NS = 2 * _NS_PER_S
#: Speech that the server has not noticed by then is none, or not for it. It notices within a second.
UNNOTICED_NS = 3 * _NS_PER_S
#: The microphone has a frame each 20 ms: after such a hole another capture process may be speaking.
_HOLE_NS = 500 * _NS_PER_MS


class Ear:
    """A detector's word is a guess, good for three seconds: then the server has noticed it too, or was right not to.

    One speech is told once by each who heard it first: `speech.started` of source `local`, then again of source `server`, which
    names the item; its `speech.stopped` comes once, from the server where it noticed.
    """

    def __init__(self, out: Outbox) -> None:
        self.alive = False  # there is a detector, and it has spoken
        self.speaking_since_ns: int | None = None  # about when the speech began that goes on
        self.claim_until_ns: int | None = None  # so long the user counts as heard
        self._out = out
        self._newest_ns: int | None = None

    @property
    def hearing(self) -> bool:
        """The user speaks, as far as we know, and the server has not said so."""
        return self.claim_until_ns is not None

    def frame(self, frame: MicFrame) -> bool:
        """A frame of the microphone came; True where the detector of before is gone, or deaf, and will not say `stopped`."""
        newest_ns, self._newest_ns = self._newest_ns, frame.captured_ns
        hole = newest_ns is not None and frame.captured_ns - newest_ns > _HOLE_NS
        if not (hole or frame.muted) or not (self.alive or self.speaking_since_ns):
            return False
        was_alive, self.alive = self.alive, self.alive and not hole
        self.speaking_since_ns = None
        if self.claim_until_ns is not None:
            self.claim_until_ns = frame.captured_ns
        return was_alive and hole

    def started(self, captured_ns: MonoNs, before_ns: int = ONSET_NS) -> None:
        self.alive = True
        if self.speaking_since_ns is None:
            self.speaking_since_ns = captured_ns - before_ns

    def stopped(self) -> None:
        self.alive = True
        self.speaking_since_ns = None
        self._end()

    def claim(self, now: MonoNs) -> None:
        """The user is heard."""
        if self.claim_until_ns is None:
            self._out.publish("speech.started", item_id=None, audio_ms=None, source="local")
        self.claim_until_ns = now + UNNOTICED_NS

    def noticed(self) -> None:
        """The server has heard it, or a key says it: from here on that counts."""
        self.claim_until_ns = None

    def deafened(self) -> None:
        """Nobody listens any more."""
        self.speaking_since_ns = None
        self._end()

    def _end(self) -> None:
        if self.claim_until_ns is not None:
            self.claim_until_ns = None
            self._out.publish("speech.stopped", item_id=None, audio_ms=None, source="local")

    def tick(self, now: MonoNs) -> None:
        if self.claim_until_ns is not None and now >= self.claim_until_ns:
            self._end()


class Door:
    """Whether the microphone is let in: with a wake word from that on, until the conversation has been quiet for a while.

    The capture process keeps it; it opens it by itself when it hears the word.
    """

    def __init__(self, out: Outbox) -> None:
        self.word = ""
        self.opened_ns = 0
        self.shut = False
        self._listen_ns = 0
        self._again_ns: int | None = None  # when it is closed once more, if sound still comes through
        self._out = out

    def configure(self, word: str, listen_s: int) -> None:
        """`word` "": there is no door."""
        self._listen_ns = listen_s * _NS_PER_S
        if bool(word) != bool(self.word):
            self._turn(shut=bool(word))
        self.word = word

    def open(self, now: MonoNs) -> None:
        self.opened_ns = now
        if self.shut:
            self._turn(shut=False)

    def close(self) -> None:
        if self.word:
            self._turn(shut=True)

    def _turn(self, *, shut: bool) -> None:
        self.shut, self._again_ns = shut, None
        self._out.publish("ears", open=not shut)

    def came_through(self, captured_ns: MonoNs) -> None:
        """There was sound, although it is shut: the order may be on its way; or capture heard the word, and that got lost or
        came too late."""
        if self._again_ns is not None and captured_ns >= self._again_ns:
            self._turn(shut=True)
        if self._again_ns is None:
            self._again_ns = captured_ns + _NS_PER_S

    def due_ns(self, quiet_since_ns: int | None) -> int | None:
        """When it is to be closed."""
        if not self.word or self.shut or quiet_since_ns is None:
            return None
        return max(quiet_since_ns, self.opened_ns) + self._listen_ns
