"""What remains of a server's event of which some field is not what the protocol says: all the rest. Pure.

Servers that speak the protocol more or less send numbers as text, or text where an object belongs, in fields that are of no
use to us (realtime-protocol 7). A response.done that is ignored for that leaves the conversation waiting.
"""

import re
from typing import Any

import msgspec

#: Each costs a whole look at the event.
_MOST_FIELDS = 8
#: A longer one takes too long; it is sound or a listing, not the end of anything.
_LONGEST_BYTES = 256 << 10
_PATH = re.compile(r"at `\$([^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")


def without_odd_fields(text: bytes | str, kind: Any, complaint: str) -> Any:
    """The event without the fields that are of a wrong type, and without what in a list makes no sense; None where it makes no
    sense without them. `complaint` is msgspec's about the whole."""
    path = _odd(complaint) if len(text) <= _LONGEST_BYTES else []
    try:
        event = msgspec.json.decode(text) if path else None
        for _ in range(_MOST_FIELDS):
            if not path:
                break
            _leave_out(event, path)
            try:
                return msgspec.convert(event, kind)
            except msgspec.ValidationError as error:
                path = _odd(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
        pass  # malformed in another way, too; a field that is there twice is found with another shape
    return None


def _leave_out(event: Any, path: list[str | int]) -> None:
    for step in path[:-1]:
        event = event[step]
    del event[path[-1]]


def _odd(complaint: str) -> list[str | int]:
    """The way to what can be left out, from msgspec's words: "Expected `str`, got `int` - at `$.response.output[0].id`"."""
    found = _PATH.search(complaint)
    path: list[str | int] = []
    for step in _STEP.finditer(found[1] if found else ""):
        if not step[1] and not step[2]:
            break  # some member of a map, which is not named
        path.append(step[1] or int(step[2]))
    in_a_list = bool(path) and isinstance(path[-1], int)
    return path if "`, got `" in complaint or (in_a_list and "missing required field" in complaint) else []
