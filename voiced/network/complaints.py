"""What the server sent that makes no sense: counted, told once for each kind, never the end of anything. Pure."""

import math
from collections import Counter
from collections.abc import Iterator

from voiced.errors import ProtocolViolated
from voiced.network.outputs import Outbox

#: Kinds told apart; a server that finds new ways every time gets no more log lines than this.
_KINDS_TOLD = 32


class Complaints:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, kind: str) -> bool:
        """Counts one of `kind`; true where it is the first and may be told."""
        if kind not in self.counts and len(self.counts) >= _KINDS_TOLD:
            kind = "others"
        self.counts[kind] += 1
        return self.counts[kind] == 1

    def tell(self, kind: str, message: str, out: Outbox) -> None:
        """Counts one of `kind`, and says so once."""
        if self.add(kind):
            out.error(ProtocolViolated.code, f"the server sent what makes no sense, and it is ignored: {message}")


#: A text, or a name, in what is passed on as it came, and how many values there may be in all.
_LONGEST_TEXT = 200
_MOST_VALUES = 200


def sane(value: object, depth: int = 4) -> object:
    """`value` from the server's JSON as it may travel on our bus: nested at most `depth` deep, texts short, integers of 64 bits
    (msgpack holds no others), numbers that are some; what is not becomes None, and what is too much is left out."""
    left = iter(range(_MOST_VALUES))
    return _sane(value, depth, left)


def _sane(value: object, depth: int, left: Iterator[int]) -> object:
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else None
    # The range comes first in zip: at its end nothing more is taken.
    if depth and isinstance(value, dict):
        return {str(key)[:_LONGEST_TEXT]: _sane(inner, depth - 1, left) for _, (key, inner) in zip(left, value.items(), strict=False)}
    if depth and isinstance(value, list):
        return [_sane(inner, depth - 1, left) for _, inner in zip(left, value, strict=False)]
    return None
