"""What was used: counted from the wire's usage maps, added up by kind and model, shown. Pure.

Counts are whole numbers, so that they add up to the same in whatever order: "times", tokens by kind and way ("text_in", of
which "text_cached", "text_out"...), and "ms" of sound of what is paid by time.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from voiced.supervisor.prices import Row, priced, row_for

RESPONSE: Final = "response"
TRANSCRIPTION: Final = "transcription"
_INPUT: Final = ("text", "audio", "image")
_OUTPUT: Final = ("text", "audio")
FIELDS: Final = (
    "times",
    *(f"{kind}_in" for kind in _INPUT),
    *(f"{kind}_cached" for kind in _INPUT),
    *(f"{kind}_out" for kind in _OUTPUT),
    "ms",
)
#: More than this for one answer is nonsense; the largest context has 128,000 tokens (realtime-protocol 6.3).
_MOST_TOKENS: Final = 10_000_000
_MOST_SECONDS: Final = 86_400
_LONGEST_NAME: Final = 100

Counts = dict[str, int]


def counted(kind: str, usage: object) -> Counts:
    """Of a `usage` map (realtime-protocol 6.1), of which anything may be missing or nonsense; what is 0 is left out."""
    top = _map(usage)
    counts = {"times": 1}
    seconds = _number(top.get("seconds"), _MOST_SECONDS)
    if kind == TRANSCRIPTION and seconds and top.get("type") != "tokens":
        return counts | {"ms": round(seconds * 1000)}
    given = _map(top.get("input_token_details"))
    tokens = _by_kind(given, _INPUT)
    # What no detail claims: beside details text; without any it was speech, the dearer, as a cap had better be reached too early.
    tokens["text" if any(tokens.values()) else "audio"] += max(0, _tokens(top.get("input_tokens")) - sum(tokens.values()))
    cached = _cached(given, tokens)
    out = _by_kind(_map(top.get("output_token_details")), _OUTPUT)
    rest = max(0, _tokens(top.get("output_tokens")) - sum(out.values()))
    out["text" if any(out.values()) or kind == TRANSCRIPTION else "audio"] += rest
    for way, of in (("in", tokens), ("cached", cached), ("out", out)):
        counts |= {f"{name}_{way}": count for name, count in of.items() if count}
    return counts


class Tally:
    """Counts by kind and model."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}

    def add(self, kind: str, model: str, counts: Mapping[str, int]) -> None:
        sums = self._counts.setdefault((kind, model), dict.fromkeys(FIELDS, 0))
        for name, count in counts.items():
            sums[name] += count

    def usd(self, prices: Mapping[str, Row]) -> float:
        return math.fsum(priced(counts, row_for(model, prices))[0] for (_, model), counts in self._counts.items())

    def unpriced(self, prices: Mapping[str, Row]) -> list[str]:
        """The models of which the price, or a part of it, is unknown."""
        return sorted({model for (_, model), counts in self._counts.items() if not priced(counts, row_for(model, prices))[1]})

    def shown(self, prices: Mapping[str, Row]) -> dict[str, Any]:
        """For the `usage` event. Of "input", "cached_text" is a part of "text", not beside it."""
        answered, heard = self._sum(RESPONSE), self._sum(TRANSCRIPTION)
        ways = [f"{kind}_{way}" for kind in _INPUT for way in ("in", "out")]
        return {
            "responses": answered["times"],
            "transcriptions": heard["times"],
            "input": {name: answered[f"{name}_in"] for name in _INPUT} | {f"cached_{name}": answered[f"{name}_cached"] for name in _INPUT},
            "output": {name: answered[f"{name}_out"] for name in _OUTPUT},
            "transcribed": {"tokens": sum(heard.get(way, 0) for way in ways), "seconds": heard["ms"] / 1000},
            "usd": round(self.usd(prices), 6),
            "unpriced": self.unpriced(prices),
        }

    def _sum(self, kind: str) -> Counts:
        return {name: sum(counts[name] for (of, _), counts in self._counts.items() if of == kind) for name in FIELDS}


# rows of the file --------------------------------------------------------------------------------------------------------


def row_of(kind: str, model: str, counts: Counts, prices: Mapping[str, Row], wall_s: float) -> dict[str, Any]:
    """With the price of that moment, for people: null where it is unknown. It isn't read again: a price may be corrected."""
    usd, known = priced(counts, row_for(model, prices))
    return {"time": round(wall_s, 3), "kind": kind, "model": model, **counts, "usd": round(usd, 9) if known else None}


def spendings(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, Counts]]:
    """Kind, model and counts of the rows that are spendings."""
    for row in rows:
        kind, model = row.get("kind"), row.get("model")
        if kind in (RESPONSE, TRANSCRIPTION) and isinstance(model, str):
            counts = {name: _tokens(row[name]) for name in FIELDS if name != "ms" and name in row}
            counts["ms"] = int(_number(row.get("ms"), _MOST_SECONDS * 1000))
            yield kind, model_name(model), counts


def model_name(model: object) -> str:
    return model[:_LONGEST_NAME] if isinstance(model, str) and model else "unknown"


# the wire's numbers ------------------------------------------------------------------------------------------------------


def _cached(given: Mapping[str, Any], tokens: Counts) -> Counts:
    """By kind, never more than there are. A server that gives just the sum caches from the start, where the instructions are."""
    cached = {name: min(count, tokens[name]) for name, count in _by_kind(_map(given.get("cached_tokens_details")), _INPUT).items()}
    left = max(0, _tokens(given.get("cached_tokens")) - sum(cached.values()))
    for name in _INPUT:
        more = min(left, tokens[name] - cached[name])
        cached[name] += more
        left -= more
    return cached


def _by_kind(given: Mapping[str, Any], kinds: Iterable[str]) -> Counts:
    return {kind: _tokens(given.get(f"{kind}_tokens")) for kind in kinds}


def _tokens(value: object) -> int:
    return int(_number(value, _MOST_TOKENS))


def _number(value: object, most: float) -> float:
    """The number, or 0 for what can't be one."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most else 0


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
