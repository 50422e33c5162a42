"""The arguments of a tool, which a model writes: JSON text -> a map that may travel on our bus, or why not. Pure."""

from typing import Any

import msgspec

LONGEST = 200_000
_DEEPEST = 32


class Unusable(ValueError):
    """Text that is no use as arguments; the message says why, for the model."""


def parsed(text: str) -> dict[str, Any]:
    """The arguments in `text`; servers send "" where there are none. Raises Unusable."""
    if len(text) > LONGEST:
        raise Unusable(f"arguments of {len(text)} characters are too long; {LONGEST} are allowed")
    try:
        value = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise Unusable(f"the arguments are not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unusable("the arguments are no JSON object")
    if not _travels(value, _DEEPEST):
        raise Unusable(f"the arguments are nested deeper than {_DEEPEST}, or hold a number of more than 64 bits")
    return value


def _travels(value: object, depth: int) -> bool:
    """Whether msgpack can hold it, for a reader with limits of his own."""
    if isinstance(value, int):
        return abs(value) < 1 << 63
    if isinstance(value, dict):
        return depth > 0 and all(_travels(inner, depth - 1) for inner in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_travels(inner, depth - 1) for inner in value)
    return True
