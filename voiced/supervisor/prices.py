"""What models cost, where [prices] does not say otherwise, and the sum for what was counted. Pure.

The figures were looked up on the day below and change without notice: indicative, as is all that is computed from them. Sources: the
models' pages at developers.openai.com/api/docs/models (gpt-realtime-2.1-mini, -1.5, gpt-4o-mini-realtime-preview, gpt-realtime-whisper,
gpt-transcribe, gpt-4o-transcribe), for the others as said at the row.
"""

import re
from collections.abc import Mapping
from typing import Final

Row = Mapping[str, float]

PRICES_AS_OF: Final = "2026-11-22"

_KINDS: Final = ("text", "audio", "image")
#: A price beyond is a slip of the keyboard: then the price is unknown rather than the sum nonsense.
_MOST_USD: Final = 1e6
#: The day of a snapshot, as in gpt-realtime-mini-2025-12-15, which costs what its model does.
_SNAPSHOT: Final = re.compile(r"-\d{4}-\d\d-\d\d$", re.ASCII)


def _row(text: tuple[float, float, float], audio: tuple[float, float, float], image: tuple[float, float] = (0.0, 0.0)) -> Row:
    """Of USD for a million tokens in, cached and out."""
    row = {
        f"{kind}_{way}": usd
        for kind, of in (("text", text), ("audio", audio))
        for way, usd in zip(("in", "cached", "out"), of, strict=True)
    }
    return row | {"image_in": image[0], "image_cached": image[1]}


_2_1 = _row((4.0, 0.40, 24.0), (32.0, 0.40, 64.0), (5.0, 0.50))
_1_5 = _row((4.0, 0.40, 16.0), (32.0, 0.40, 64.0), (5.0, 0.50))
_MINI = _row((0.60, 0.06, 2.40), (10.0, 0.30, 20.0), (0.80, 0.08))

#: Keys as in a row of [prices]: USD for a million tokens, and for a minute.
BUILT_IN: Final[Mapping[str, Row]] = {
    "gpt-realtime-2.1": _2_1,
    "gpt-realtime-2": _2_1,
    "gpt-realtime-1.5": _1_5,
    "gpt-realtime": _1_5,  # uncertain: taken to cost what 1.5 does
    "gpt-realtime-2.1-mini": _MINI,
    "gpt-realtime-mini": _MINI,  # text from 2.1-mini's page, the rest from third parties
    "gpt-4o-realtime-preview": _row((5.0, 2.50, 20.0), (40.0, 2.50, 80.0)),
    "gpt-4o-mini-realtime-preview": _row((0.60, 0.30, 2.40), (10.0, 0.30, 20.0)),
    # Uncertain: the page now asks 2.50 (mini 1.25) for sound too, the price list before it 6 (mini 3), which alone agrees with the
    # 0.006 (0.003) that it estimates for a minute. A cap had better be reached too early.
    "gpt-4o-transcribe": {"text_in": 2.50, "audio_in": 6.0, "text_out": 10.0, "minute": 0.006},
    "gpt-4o-mini-transcribe": {"text_in": 1.25, "audio_in": 3.0, "text_out": 5.0, "minute": 0.003},
    "gpt-transcribe": {"minute": 0.0045},
    "gpt-realtime-whisper": {"minute": 0.017},
    "whisper-1": {"minute": 0.006},  # third parties, for years the same
    "voiced-embedded": {},  # this machine's own work
}


def row_for(model: str, own: Mapping[str, Row]) -> Row | None:
    """The prices of a model or of the one that it is a snapshot of, `own` first; None where they are unknown."""
    for name in (model, _SNAPSHOT.sub("", model)):
        for table in (own, BUILT_IN):
            if name in table:
                return table[name] if all(0 <= usd <= _MOST_USD for usd in table[name].values()) else None
    return None


def priced(counts: Mapping[str, int], row: Row | None) -> tuple[float, bool]:
    """USD for the tokens of each kind ("text_in", of which "text_cached", "text_out"...) and "ms", and whether that is all of it.

    A row without any price is free. One with prices, but none for what was counted, as tokens of a model that is paid by
    the minute, leaves the sum unknown.
    """
    tokens, ms = any(counts.get(f"{kind}_{way}") for kind in _KINDS for way in ("in", "out")), counts.get("ms", 0)
    if row is None:
        return 0.0, not (tokens or ms)
    by_minute = row.get("minute", 0.0)
    by_token = any(usd for name, usd in row.items() if name != "minute")
    known = not (tokens and by_minute and not by_token) and not (ms and by_token and not by_minute)
    return sum(_of_kind(kind, counts, row) for kind in _KINDS) / 1e6 + ms / 60_000 * by_minute, known


def _of_kind(kind: str, counts: Mapping[str, int], row: Row) -> float:
    """In USD a million."""
    cached = counts.get(f"{kind}_cached", 0)
    full = row.get(f"{kind}_in", 0.0)
    # Without a price of their own, cached tokens cost what all do.
    cached_usd = row.get(f"{kind}_cached", 0.0) or full
    return (counts.get(f"{kind}_in", 0) - cached) * full + cached * cached_usd + counts.get(f"{kind}_out", 0) * row.get(f"{kind}_out", 0.0)
