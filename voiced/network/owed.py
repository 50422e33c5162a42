"""The turns of the user's that no answer has come to: what another session has to be told again. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from voiced.network.transcript import USER

_NS_PER_S = 1_000_000_000
#: Who is not answered by then has given up, too: what was said while there was no connection is not sent minutes later.
OWED_AT_MOST_NS = 15 * _NS_PER_S
#: More turns in a row that nobody answers are not remembered.
_MOST_OWED = 8


def owed_of_before(history: Sequence[Mapping[str, Any]], unix_s: float) -> str | None:
    """The item of the turn that a process before this one left unanswered: the last word was the user's, and a moment ago."""
    last = history[-1] if history else {}
    recent = abs(unix_s - last.get("time", 0.0)) * _NS_PER_S < OWED_AT_MOST_NS
    return str(last["item_id"]) if recent and last.get("role") == USER else None


class Owed:
    """A turn that an answer is owed to."""

    __slots__ = ("began_ns", "ended_ns", "guessed", "item_id", "released_ns")

    def __init__(self, began_ns: int, item_id: str | None) -> None:
        self.began_ns = began_ns
        self.item_id = item_id  # None: the server has not named it
        self.ended_ns: int | None = None  # the user's last word
        self.released_ns: int | None = None  # push-to-talk: where its sound ends
        self.guessed = False  # only our own voice detector has heard it

    def name(self, item_id: str) -> None:
        """The server has heard it."""
        self.item_id, self.guessed = item_id, False


class Debts:
    """They, oldest first. `knows` says whether the words of an item are known."""

    def __init__(self, knows: Callable[[str], bool]) -> None:
        self._knows = knows
        self._owed: list[Owed] = []

    def __bool__(self) -> bool:
        return bool(self._owed)

    def __iter__(self) -> Iterator[Owed]:
        return iter(list(self._owed))

    @property
    def nameless(self) -> Owed | None:
        """The turn that was told again, of which this server has not said that it hears it."""
        return next((owed for owed in self._owed if owed.item_id is None), None)

    @property
    def guess(self) -> Owed | None:
        return next((owed for owed in self._owed if owed.guessed), None)

    def add(self, began_ns: int, item_id: str | None) -> Owed:
        """A turn has begun."""
        self._owed = [*self._owed, Owed(began_ns, item_id)][-_MOST_OWED:]
        return self._owed[-1]

    def remove(self, gone: Owed) -> None:
        self._owed = [owed for owed in self._owed if owed is not gone]

    def paid(self, *, but: Owed | None = None) -> None:
        """Nobody waits for an answer any more."""
        self._owed = [owed for owed in self._owed if owed is but]

    def answered(self, *, but: Owed | None) -> None:
        """They are answered; but not what no server has heard."""
        self._owed = [owed for owed in self._owed if owed.guessed or owed is but]

    def by_sound(self) -> list[Owed]:
        """Those whose words are not known."""
        return [owed for owed in self._owed if owed.item_id is None or not self._knows(owed.item_id)]

    def untold_since_ns(self) -> int | None:
        """When the first of them began. Asked fifty times a second, mostly for nothing."""
        if not self._owed:
            return None
        return min((owed.began_ns for owed in self.by_sound()), default=None)

    def merge(self, spoken: list[Owed]) -> None:
        """Several turns that a server hears again become the one that it makes of them."""
        first = spoken[0]
        first.ended_ns = spoken[-1].ended_ns
        self._owed = [owed for owed in self._owed if owed is first or owed not in spoken]

    def expire(self, now: int) -> int:
        """Drops those that ended too long ago; says how many, without the guesses."""
        late = [owed for owed in self._owed if owed.ended_ns is not None and now - owed.ended_ns >= OWED_AT_MOST_NS]
        self._owed = [owed for owed in self._owed if owed not in late]
        return sum(not owed.guessed for owed in late)

    @property
    def until_ns(self) -> int | None:
        """When `expire` has something to do."""
        return min((owed.ended_ns + OWED_AT_MOST_NS for owed in self._owed if owed.ended_ns is not None), default=None)
