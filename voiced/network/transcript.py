"""The transcript: who said what, in the order of the conversation's items, and where the assistant was cut off. Pure.

Partial texts are published at most ten times a second for each item, as all of the text so far: a server may send two
thousand deltas a second, and whoever shows them wants the newest state, not a puzzle.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

_PUBLISH_EVERY_NS = 100_000_000
_TURNS_KEPT = 1000
#: A turn longer than this is cut in the log; 27 minutes of speech (realtime-protocol 5.3) stay far below.
_LONGEST_TEXT = 200_000

USER = "user"
ASSISTANT = "assistant"


class Said(NamedTuple):
    """News for `transcript.user` or `transcript.assistant`."""

    role: str
    item_id: str
    text: str
    final: bool


class _Turn:
    __slots__ = ("due_ns", "final", "interrupted", "item_id", "length", "pieces", "played_ms", "role")

    def __init__(self, role: str, item_id: str) -> None:
        self.role = role
        self.item_id = item_id
        self.pieces: list[str] = []
        self.length = 0
        self.final = False
        self.interrupted = False
        self.played_ms: int | None = None
        self.due_ns: int | None = None  # when its partial text is next published

    @property
    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def said(self) -> Said:
        return Said(self.role, self.item_id, self.text, self.final)


class Transcript:
    """The last turns."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, _Turn] = OrderedDict()
        self._unpublished: dict[str, _Turn] = {}

    def announce(self, role: str, item_id: str) -> None:
        """Gives an item its place in the order, before its text is known."""
        self._turn(role, item_id)

    def add(self, role: str, item_id: str, piece: str, now_ns: int) -> None:
        turn = self._turn(role, item_id)
        if turn.final or turn.length >= _LONGEST_TEXT:
            return
        turn.pieces.append(piece)
        turn.length += len(piece)
        if item_id not in self._unpublished:
            self._unpublished[item_id] = turn
            turn.due_ns = now_ns if turn.due_ns is None else max(now_ns, turn.due_ns)

    def finish(self, role: str, item_id: str, text: str | None = None) -> Said | None:
        """The turn is whole, with `text` or what was heard so far; None where it was already."""
        turn = self._turn(role, item_id)
        if turn.final:
            return None
        if text is not None:
            turn.pieces = [text[:_LONGEST_TEXT]]
        turn.final = True
        self._unpublished.pop(item_id, None)
        return turn.said()

    def close(self, item_id: str, played_ms: int, *, interrupted: bool) -> Said | None:
        """The assistant's turn is over, cut off or heard to its end; what is written of it stays as it was received."""
        turn = self._turns.get(item_id)
        if turn is None:
            return None
        turn.interrupted = interrupted
        turn.played_ms = played_ms
        return self.finish(turn.role, item_id)

    def played(self, item_id: str, played_ms: int) -> None:
        turn = self._turns.get(item_id)
        if turn is not None:
            turn.played_ms = (turn.played_ms or 0) + played_ms

    def due(self, now_ns: int) -> Iterator[Said]:
        """Partial texts whose time has come."""
        for item_id, turn in list(self._unpublished.items()):
            if turn.due_ns is None or now_ns >= turn.due_ns:
                del self._unpublished[item_id]
                turn.due_ns = now_ns + _PUBLISH_EVERY_NS
                yield turn.said()

    @property
    def wake_ns(self) -> int | None:
        return min((turn.due_ns or 0 for turn in self._unpublished.values()), default=None)

    def last(self, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` turns that have words, oldest first, as the `transcript` command shows them."""
        turns = [turn for turn in self._turns.values() if turn.length or turn.text]
        return [
            {
                "role": turn.role,
                "text": turn.text,
                "item_id": turn.item_id,
                "final": turn.final,
                "interrupted": turn.interrupted,
                "played_ms": turn.played_ms,
            }
            for turn in turns[-limit:]
        ]

    def _turn(self, role: str, item_id: str) -> _Turn:
        turn = self._turns.get(item_id)
        if turn is None:
            turn = self._turns[item_id] = _Turn(role, item_id)
            if len(self._turns) > _TURNS_KEPT:
                old_id, _ = self._turns.popitem(last=False)
                self._unpublished.pop(old_id, None)
        return turn
