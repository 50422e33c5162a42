"""What was received and not looked at yet: raw messages, numbered in the order of receipt. Pure.

The socket is emptied far faster than events can be decoded and their sound be handed on, so that a speech_started is never
found late behind a backlog: `put` says at once when a message looks like one.
"""

from collections import deque

from voiced.network.limits import INBOX_BYTES, INBOX_MESSAGES

#: A type stands within the first bytes of an event in every server known; this far is looked.
_TYPE_WITHIN = 200
_SPEECH_STARTED = b'"input_audio_buffer.speech_started"'


class Inbox:
    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self.received = 0  # the number of the newest message

    def put(self, text: bytes) -> bool:
        """Takes in a message; true where it looks like speech_started and should be looked at ahead of its turn."""
        self._waiting.append(text)
        self._bytes += len(text)
        self.received += 1
        return _SPEECH_STARTED in text[:_TYPE_WITHIN]

    def take(self) -> tuple[int, bytes] | None:
        """The oldest message and its number."""
        if not self._waiting:
            return None
        text = self._waiting.popleft()
        self._bytes -= len(text)
        return self.received - len(self._waiting), text

    def clear(self) -> None:
        """Forgets what waits; the numbers go on."""
        self._waiting.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """The socket is left alone until some is decoded, and the server has to wait."""
        return self._bytes >= INBOX_BYTES or len(self._waiting) >= INBOX_MESSAGES
