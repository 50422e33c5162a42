"""What was said, turn by turn: written to a file a day, and the newest of it remembered."""

from collections import deque
from pathlib import Path
from typing import Any

from voiced.supervisor.state import DayFiles, day_of

MOST_TURNS = 200
#: Characters of text, as JSON counts them; in English a byte each.
MOST_CHARS = 48 * 1024
#: Of one day's file at the start: more than what may be remembered, in any script.
_MOST_BYTES = 1 << 18
#: Unix seconds; beyond are only a broken clock's, and no number that a line may hold.
_END_OF_TIME = 1e12
#: Turns of the assistant's that are being said: one, and what was told to be said behind it.
_MOST_UNFINISHED = 8
#: Of each of them, six minutes of speech: with all that is remembered it must fit in a pipe, in any script.
_MOST_UNFINISHED_CHARS = 6 * 1024
_LOSS = "what is said now is not written down; make room there or put that right, or set memory.keep = false"


class Journal:
    """The turns of the conversation: of an earlier run what is recent at the start, and all of this one, whatever the clock does.
    Without a directory they are only remembered, for as long as this run lasts.

    A turn is {item_id, role, text, heard, interrupted, played_ms}; "time", unix seconds, is added.
    """

    def __init__(self, directory: Path | None, days: int, resume_s: float, wall_s: float) -> None:
        """`resume_s`: how far back an earlier run is gone on with.

        A clock that was set back left turns in the future: those are as recent as they are far from now.
        """
        self.keep(directory, days, wall_s)
        self._newest: deque[dict[str, Any]] = deque()
        self._unfinished: dict[str, dict[str, Any]] = {}
        self._chars = 0
        self._read()
        self._newest = deque(turn for turn in self._newest if abs(wall_s - turn["time"]) <= resume_s)
        self._chars = sum(map(_chars, self._newest))

    def keep(self, directory: Path | None, days: int, wall_s: float) -> None:
        """From now on writes there, or nowhere."""
        self._files = DayFiles(directory, "turns", days, day_of(wall_s), _LOSS)

    def _read(self) -> None:
        for day in self._files.days():
            for turn in reversed([row for row in self._files.rows(day, _MOST_BYTES) if _is_turn(row)]):
                self._newest.appendleft(turn)
                self._chars += _chars(turn)
                if self._forget():
                    return

    def begun(self, item_id: str, text: str, *, final: bool) -> None:
        """The assistant says something: so far, or in all, this. Only remembered, for a network process that takes over."""
        text = text[:_MOST_UNFINISHED_CHARS]
        turn = {"item_id": item_id, "role": "assistant", "text": text, "heard": text, "final": final, "over": False}
        self._unfinished[item_id] = turn
        if len(self._unfinished) > _MOST_UNFINISHED:
            del self._unfinished[next(iter(self._unfinished))]

    def add(self, turn: dict[str, Any], wall_s: float) -> str | None:
        """Writes the turn down; a complaint where that was not possible, once until it is again."""
        self._unfinished.pop(turn["item_id"], None)
        row = {**turn, "time": round(wall_s, 3)}
        self._newest.append(row)
        self._chars += _chars(row)
        self._forget()
        self._files.append(day_of(wall_s), row)
        return self._files.complaint

    @property
    def trouble(self) -> str:
        """Why nothing can be written down; "" = it can."""
        return self._files.trouble

    @property
    def turns(self) -> list[dict[str, Any]]:
        """As they were added, the oldest first; the newest 200 and 48 Ki characters. Then those that are not `over`."""
        return [dict(turn) for turn in (*self._newest, *self._unfinished.values())]

    def _forget(self) -> bool:
        """Whether anything had to be forgotten, the oldest first."""
        before = len(self._newest)
        while len(self._newest) > MOST_TURNS or self._chars > MOST_CHARS:
            self._chars -= _chars(self._newest.popleft())
        return len(self._newest) < before


def _is_turn(row: dict[str, Any]) -> bool:
    if not all(isinstance(row.get(name), str) for name in ("item_id", "role", "text")):
        return False
    time = row.get("time")
    return isinstance(time, int | float) and abs(time) < _END_OF_TIME


def _chars(turn: dict[str, Any]) -> int:
    return sum(len(turn[name]) for name in ("text", "heard") if isinstance(turn.get(name), str))
