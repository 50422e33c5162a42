"""The input audio buffer and the turns in it. Pure.

Two clocks, both in session audio (realtime-protocol 3.4: all that was ever appended): what was received, and what the
voice detector has judged of it, a window at a time. Turns live on the second, so it does not matter how the sound was
cut into events.
"""

from voiced.embedded.refusal import Refused
from voiced.embedded.settings import SemanticVad, ServerVad
from voiced.embedded.turns import WINDOW_MS, Turn, TurnDetector
from voiced.messages import BYTES_PER_MS

MIN_COMMIT_MS = 100
#: The API takes 15 MiB in one event (realtime-protocol 1.5) and a client that never commits must not eat all memory.
MAX_APPEND_BYTES = 15 * 1024 * 1024
_MAX_BUFFER_BYTES = 32 * 1024 * 1024
#: A turn that does not end (a radio beside the microphone) is ended here, after five minutes. With the longest append
#: it fits the buffer, so nothing of a turn is ever lost.
_MAX_TURN_BYTES = 14 * 1024 * 1024
#: Silence that is kept while nobody speaks: the longest prefix there is (realtime-protocol 2.3), and the detector's hold.
_SILENCE_KEPT_MS = 5100


class Ear:
    def __init__(self) -> None:
        self._detector = TurnDetector()
        self._kept = bytearray()
        self._start = 0  # place of the first kept byte in the session's audio
        self._floor = 0  # sound before this place is committed or cleared
        self._turn_start: int | None = None

    @property
    def heard_ms(self) -> int:
        return self._detector.heard_ms

    @property
    def speaking(self) -> bool:
        return self._turn_start is not None

    @property
    def turn_is_too_long(self) -> bool:
        return self._turn_start is not None and self._heard - self._turn_start >= _MAX_TURN_BYTES

    def append(self, pcm: bytes) -> None:
        """Takes sound; where nobody ever commits, the oldest goes. Raises Refused."""
        if len(pcm) % 2:
            raise Refused(f"Invalid audio: {len(pcm)} bytes are no whole number of 16-bit samples.", "invalid_value", "audio")
        if len(pcm) > MAX_APPEND_BYTES:
            raise Refused("An append holds at most 15 MiB of audio.", "invalid_value", "audio")
        self._kept += pcm
        self._let_go(self._end - _MAX_BUFFER_BYTES)

    def step(self, probability: float, vad: ServerVad | SemanticVad) -> Turn | None:
        turn = self._detector.step(probability, vad)
        if self._turn_start is None and turn is None:
            self._let_go(self._heard - _SILENCE_KEPT_MS * BYTES_PER_MS)
        return turn

    def skip_window(self) -> None:
        """The detector's clock goes on while nobody asks for turns."""
        self._detector.heard_ms += WINDOW_MS

    def begin_turn(self, prefix_ms: int) -> int:
        """Returns where the turn begins, in ms of session audio, the prefix included."""
        start = (self._detector.onset_ms - prefix_ms) * BYTES_PER_MS
        self._turn_start = max(start, self._floor, self._start)
        return self._turn_start // BYTES_PER_MS

    def end_turn(self) -> bytes:
        """The sound of the turn, up to the moment that ended it."""
        start = self._floor if self._turn_start is None else self._turn_start
        return self._take(start, min(self._heard, self._end))

    def forget_turn(self) -> None:
        self._turn_start = None
        self._detector.forget_turn()

    def take_all(self) -> bytes:
        """All that is not committed. Raises Refused for less than 100 ms."""
        buffered_ms = (self._end - self._floor) / BYTES_PER_MS
        if buffered_ms < MIN_COMMIT_MS:
            raise Refused(
                "Error committing input audio buffer: buffer too small. "
                f"Expected at least {MIN_COMMIT_MS}ms of audio, but buffer only has {buffered_ms:.2f}ms of audio.",
                "input_audio_buffer_commit_empty",
            )
        return self._take(self._floor, self._end)

    def take_silence(self) -> tuple[int, bytes]:
        """The silence that an idle timeout commits, and where it begins in ms."""
        start = max(self._floor, self._start)
        return start // BYTES_PER_MS, self._take(start, self._end)

    def clear(self) -> None:
        self._take(self._end, self._end)

    @property
    def _heard(self) -> int:
        return self._detector.heard_ms * BYTES_PER_MS

    @property
    def _end(self) -> int:
        return self._start + len(self._kept)

    def _take(self, start: int, end: int) -> bytes:
        taken = bytes(self._kept[max(0, start - self._start) : max(0, end - self._start)])
        self._turn_start = None
        self._detector.forget_turn()
        self._let_go(end)
        return taken

    def _let_go(self, before: int) -> None:
        """Drops what lies before a place; it can't be committed any more."""
        drop = min(before, self._end) - self._start
        if drop > 0:
            del self._kept[:drop]
            self._start += drop
            self._floor = max(self._floor, self._start)
