"""The transcript: who said what, in the order of the conversation's items, and where the assistant was cut off. Pure.

It is also the memory from which a new session is told the conversation so far: every turn that is over, and that the server
of now does not know (a generation is one session with a server), is told as a text item; of a turn that was cut off, what
was heard.

Partial texts are published at most ten times a second for each item, as all of the text so far: a server may send two
thousand deltas a second, and whoever shows them wants the newest state, not a puzzle.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from voiced.network.events import Content, Item
from voiced.network.limits import TRANSCRIPT_CHARS, TURN_CHARS, TURNS

_PUBLISH_EVERY_NS = 100_000_000
#: A partial text that is longer comes less often: so many letters, ten times a second.
_LETTERS_AT_ONCE = 10_000
#: Of all items together, between two looks.
_PARTS_AT_ONCE = 8

#: Nobody speaks faster, in letters a second. Words come ahead of their sound, so the share of the sound that was heard
#: says too much of a reply that is still being generated.
_FASTEST_LETTERS_PER_S = 25
#: The API's limit for ids that a client chooses; servers of others make longer ones.
_LONGEST_ID = 32
#: Shorter ones are counted by a server, and so will be those of the next session.
_SHORTEST_ID = 16

USER = "user"
ASSISTANT = "assistant"


class Said(NamedTuple):
    """News for `transcript.user` or `transcript.assistant`."""

    role: str
    item_id: str
    text: str
    final: bool


class _Turn:
    __slots__ = (
        "aside",
        "asked",
        "born_in",
        "due_ns",
        "final",
        "heard",
        "interrupted",
        "item_id",
        "known_in",
        "length",
        "over",
        "pieces",
        "played_ms",
        "role",
    )

    def __init__(self, role: str, item_id: str, known_in: int) -> None:
        self.role = role
        self.born_in = known_in
        self.known_in = known_in  # the generation whose server has it
        self.over = False
        self.asked = False  # typed, and not told to any server yet
        self.aside = False  # said, but no part of the conversation
        self.heard: str | None = None
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
    """The last turns. `generation` numbers the sessions that the conversation has had."""

    def __init__(self, history: Iterable[Mapping[str, Any]] = ()) -> None:
        self.generation = 0
        self._turns: OrderedDict[str, _Turn] = OrderedDict()
        self._unpublished: dict[str, _Turn] = {}
        self._ended: list[dict[str, Any]] = []
        self._untold = False
        self._letters = 0  # in all turns
        self._next_due_ns = 0
        for number, turn in enumerate(history):
            self._remember(turn, number)

    def _remember(self, told: Mapping[str, Any], number: int) -> None:
        """A turn from before our time, in the form of the `turn` event."""
        turn = self._turn(USER if told.get("role") == USER else ASSISTANT, str(told.get("item_id") or f"before_{number}"))
        turn.pieces = [str(told.get("text") or "")[:TURN_CHARS]]
        self._grow(turn, len(turn.pieces[0]))
        turn.heard = str(told.get("heard") or "")[:TURN_CHARS]
        turn.interrupted = bool(told.get("interrupted"))
        played_ms = told.get("played_ms")
        turn.played_ms = played_ms if isinstance(played_ms, int) else None
        turn.final = bool(told.get("final", True))
        turn.over = bool(told.get("over", True))
        turn.known_in = -1
        self._untold = True

    # the turns -----------------------------------------------------------------------------------------------------------

    def announce(self, role: str, item_id: str, *, aside: bool = False) -> None:
        """Gives an item its place in the order, before its text is known."""
        turn = self._turn(role, item_id)
        turn.aside = turn.aside or aside

    def add(self, role: str, item_id: str, piece: str, now_ns: int) -> None:
        turn = self._turn(role, item_id)
        piece = piece[: max(0, TURN_CHARS - turn.length)]
        if turn.final or not piece:
            return
        turn.pieces.append(piece)
        self._grow(turn, len(piece))
        if item_id not in self._unpublished:
            self._unpublished[item_id] = turn
            turn.due_ns = now_ns if turn.due_ns is None else max(now_ns, turn.due_ns)

    def finish(self, role: str, item_id: str, text: str | None = None) -> Said | None:
        """The text of a turn is whole: `text`, or what came so far; None where it was already. A turn of the user's is over
        with it, one of the assistant's when it was heard."""
        turn = self._turn(role, item_id)
        if turn.final:
            return None
        if text is not None:
            turn.pieces = [text[:TURN_CHARS]]
            self._grow(turn, len(turn.pieces[0]) - turn.length)
        turn.final = True
        self._unpublished.pop(item_id, None)
        if role == USER:
            self._end(turn, turn.text)
        return turn.said()

    def typed(self, item_id: str, text: str) -> Said | None:
        """A turn of the user's in writing, of which the server does not know yet."""
        turn = self._turn(USER, item_id)
        turn.known_in, turn.asked = -1, True
        return self.finish(USER, item_id, text)

    def give_up_words(self, still_owed: Collection[str]) -> Iterator[Said]:
        """No more words come for the user's turns, but those that the next session is told again: what came of them stays."""
        for turn in list(self._turns.values()):
            if turn.role == USER and turn.pieces and not turn.final and turn.item_id not in still_owed:
                said = self.finish(USER, turn.item_id)
                if said is not None:
                    yield said

    def knows(self, item_id: str) -> bool:
        """Whether the words of this item are known."""
        turn = self._turns.get(item_id)
        return turn is not None and turn.final

    def close(self, item_id: str, played_ms: int | None, received_ms: int, *, interrupted: bool) -> Said | None:
        """The assistant's turn is over, cut off or heard to its end; what is written of it stays as it was received.
        `played_ms` None: as `played` said."""
        turn = self._turns.get(item_id)
        if turn is None or turn.over:
            return None
        turn.interrupted = interrupted
        if played_ms is not None:
            turn.played_ms = played_ms
        said = self.finish(turn.role, item_id)
        self._end(turn, heard_of(turn.text, turn.played_ms or 0, received_ms) if interrupted else turn.text)
        return said

    def heard_of_before(self, item_id: str, played_ms: int) -> None:
        """A turn that was being said before our time was heard to the end of what came of its sound."""
        turn = self._turns.get(item_id)
        if turn is not None and turn.known_in == -1 and not turn.over:
            turn.interrupted, turn.played_ms, turn.final = not turn.final, played_ms, True
            self._end(turn, turn.text)

    def end_of_before(self, sounding: Collection[str]) -> None:
        """Turns of before our time that nobody says any more. How much of them was heard is not known; they were about to be."""
        for turn in self._turns.values():
            if turn.known_in == -1 and not turn.over and turn.role == ASSISTANT and turn.item_id not in sounding:
                turn.interrupted = turn.final = True
                self._end(turn, turn.text)

    def _end(self, turn: _Turn, heard: str) -> None:
        turn.over = True
        turn.heard = heard
        self._untold = True
        if turn.text:
            self._ended.append(
                {
                    "item_id": turn.item_id,
                    "role": turn.role,
                    "text": turn.text,
                    "heard": heard,
                    "interrupted": turn.interrupted,
                    "played_ms": turn.played_ms,
                }
            )

    def played(self, item_id: str, played_ms: int) -> None:
        turn = self._turns.get(item_id)
        if turn is not None:
            turn.played_ms = (turn.played_ms or 0) + played_ms

    # what follows --------------------------------------------------------------------------------------------------------

    def ended(self) -> list[dict[str, Any]]:
        """The turns that ended since the last call, as the `turn` event has them."""
        ended, self._ended = self._ended, []
        return ended

    def untold(self, most_chars: int) -> list[Item]:
        """The turns that are over and of which the server of this generation does not know, as items, oldest first; the
        newest that fit in `most_chars`. They count as told from here on."""
        if not self._untold:
            return []
        self._untold = False
        unknown = [turn for turn in self._turns.values() if turn.over and turn.known_in != self.generation]
        items: list[Item] = []
        for turn in reversed(unknown):
            turn.known_in = self.generation
            words = turn.heard or ""
            if turn.aside or not words:
                continue
            ours, turn.asked = turn.asked, False
            if not ours and len(words) > most_chars:
                words = "" if items or most_chars <= 0 else words[-most_chars:]
                most_chars = 0
            if words:
                most_chars -= len(words)
                items.append(_item(turn, words, ours=ours))
        return items[::-1]

    def new_generation(self) -> None:
        """Another session, whose server knows nothing of what was said."""
        self.generation += 1
        self._untold = True

    def due(self, now_ns: int) -> Iterator[Said]:
        """Partial texts whose time has come."""
        if now_ns < self._next_due_ns:
            return
        due = [(item_id, turn) for item_id, turn in self._unpublished.items() if turn.due_ns is None or now_ns >= turn.due_ns]
        for item_id, turn in due[:_PARTS_AT_ONCE]:
            del self._unpublished[item_id]
            turn.due_ns = now_ns + _PUBLISH_EVERY_NS * (1 + turn.length // _LETTERS_AT_ONCE)
            yield turn.said()
        if len(due) > _PARTS_AT_ONCE:
            self._next_due_ns = now_ns + _PUBLISH_EVERY_NS

    @property
    def wake_ns(self) -> int | None:
        due_ns = min((turn.due_ns or 0 for turn in self._unpublished.values()), default=None)
        return None if due_ns is None else max(due_ns, self._next_due_ns)

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

    def _rename(self, old: str, new: str) -> None:
        """Another key for a turn, in its place."""
        self._turns = OrderedDict((new if key == old else key, turn) for key, turn in self._turns.items())

    def _turn(self, role: str, item_id: str) -> _Turn:
        turn = self._turns.get(item_id)
        if turn is not None and turn.over and turn.born_in != self.generation:
            self._rename(item_id, f"{item_id} of session {turn.born_in}")  # servers that count their items begin anew
            turn = None
        if turn is None:
            turn = self._turns[item_id] = _Turn(role, item_id, self.generation)
            if len(self._turns) > TURNS:
                self._forget_oldest()
        return turn

    def _grow(self, turn: _Turn, letters: int) -> None:
        turn.length += letters
        self._letters += letters
        while self._letters > TRANSCRIPT_CHARS and next(iter(self._turns.values())) is not turn:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        old_id, old = self._turns.popitem(last=False)
        self._unpublished.pop(old_id, None)
        self._letters -= old.length


def heard_of(text: str, played_ms: int, received_ms: int) -> str:
    """The words of `text` that were heard when `played_ms` of the `received_ms` of its sound were. Transcript and sound are
    not aligned (realtime-protocol 4.1), so by share; whole words only."""
    if played_ms <= 0 or received_ms <= 0:
        return ""
    letters = min(len(text) * min(played_ms, received_ms) // received_ms, played_ms * _FASTEST_LETTERS_PER_S // 1000)
    if letters >= len(text):
        return text
    return text[: text.rfind(" ", 0, letters + 1) + 1].rstrip()


def _item(turn: _Turn, words: str, *, ours: bool) -> Item:
    """The assistant's sound can't be given to a session, its words can (realtime-protocol 1.5). `ours`: the id is one that we gave."""
    kind = "input_text" if turn.role == USER else "output_text"
    words = f"{words} …" if turn.interrupted else words
    item_id = turn.item_id if ours or _SHORTEST_ID <= len(turn.item_id) <= _LONGEST_ID else None
    return Item(type="message", role=turn.role, id=item_id, content=[Content(type=kind, text=words)])
