"""Requests that nobody should send, from a seed: garbage, near misses, depth, length, and now and then one that is right.

None of them is a request that a daemon carries out with an effect: what `mute` or `shutdown` do is no fault of its.
"""

import random
import struct
from collections.abc import Iterator
from typing import Any

import msgpack

from voiced import control

_HARMLESS = ("ping", "status", "usage", "describe", "devices", "transcript", "profile", "reload")
#: With arguments that name nothing.
_HOLLOW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("restart", {"process": "no such"}),
    ("tool_result", {"call_id": "no such", "output": "x"}),
    ("approve", {"approval_id": "no such"}),
    ("record", {"on": True}),
)
_NAMES = ("v", "id", "cmd", "args", "text", "limit", "level", "on", "process", "name", "call_id", "output", "pressed", "")
_WORDS = (*_HARMLESS, *(name for name, _ in _HOLLOW), "no_such", "__class__", "ping\0", "../../etc/passwd", "%s%n", "\ud7ff", "")
#: Sent instead of `cmd`, so that no mutation makes an effect of it.
_BASES = [control.pack_request(7, name, {}) for name in _HARMLESS if name != "reload"]


def requests(seed: int) -> Iterator[list[bytes]]:
    """For ever: the frames of one message each. The last is the body; what stands before it comes back with the answer."""
    rng = random.Random(seed)
    kinds = (_garbage, _junk, _near, _near, _right, _mutated, _mutated, _deep, _large, _in_many_hands)
    weights = (8, 8, 20, 20, 10, 12, 12, 4, 0.2, 4)
    while True:
        (kind,) = rng.choices(kinds, weights)
        yield kind(rng)


def _garbage(rng: random.Random) -> list[bytes]:
    return [rng.randbytes(rng.randrange(300))]


def _junk(rng: random.Random) -> list[bytes]:
    return [msgpack.packb(_anything(rng, 4))]


def _near(rng: random.Random) -> list[bytes]:
    request: dict[Any, Any] = {"cmd": rng.choice(_WORDS) if rng.random() < 0.9 else _anything(rng, 2)}
    for name in rng.sample(_NAMES, rng.randrange(4)):
        if name != "cmd":
            request[name] = _anything(rng, 3)
    if rng.random() < 0.5:
        request["args"] = {rng.choice(_NAMES): _anything(rng, 3) for _ in range(rng.randrange(4))}
    if request["cmd"] == "profile":  # a name that happened to be "none" or empty would be carried out
        request.pop("args", None)
    return [msgpack.packb(request)]


def _right(rng: random.Random) -> list[bytes]:
    id = rng.choice((None, 1, "two", [3], {"four": 4.0}, b"five"))
    if rng.random() < 0.3:
        return [control.pack_request(id, *rng.choice(_HOLLOW))]
    return [control.pack_request(id, rng.choice(_HARMLESS), {})]


def _mutated(rng: random.Random) -> list[bytes]:
    body = bytearray(rng.choice(_BASES))
    for _ in range(rng.randrange(1, 4)):
        match rng.randrange(3):
            case 0:
                body[rng.randrange(len(body))] = rng.randrange(256)
            case 1:
                del body[rng.randrange(len(body)) :]
                body += rng.randbytes(1)
            case _:
                body.insert(rng.randrange(len(body)), rng.randrange(256))
    return [bytes(body)]


def _deep(rng: random.Random) -> list[bytes]:
    shell = rng.choice((b"\x91", b"\x81\xa1a"))
    return [b"\x81" + msgpack.packb(rng.choice(("v", "id", "cmd", "args"))) + shell * rng.choice((100, 510, 1015, 5000, 50_000)) + b"\x01"]


def _large(rng: random.Random) -> list[bytes]:
    match rng.randrange(4):
        case 0:
            return [bytes(rng.choice(((1 << 20) + 1, 2 << 20)))]
        case 1:  # an array that claims four billion items
            return [b"\xdd\xff\xff\xff\xff" + bytes(1000)]
        case 2:
            return [control.pack_request("x" * 100_000, "ping", {})]
        case _:
            return [control.pack_request(1, "say", {"text": "x" * 900_000})]


def _in_many_hands(rng: random.Random) -> list[bytes]:
    return [rng.randbytes(rng.randrange(20)) for _ in range(rng.choice((1, 2, 5, 15, 200)))] + _right(rng)


def _anything(rng: random.Random, depth: int) -> Any:
    match rng.randrange(9 if depth else 7):
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2:
            return rng.choice((0, -1, 1 << 63, -(1 << 63), rng.randrange(1 << 40)))
        case 3:
            return rng.choice((0.5, float("nan"), float("inf"), -1e300))
        case 4:
            return rng.choice(_WORDS)
        case 5:
            return rng.randbytes(rng.randrange(20))
        case 6:
            return msgpack.ExtType(rng.randrange(128), rng.randbytes(8))
        case 7:
            return [_anything(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {rng.choice(_NAMES): _anything(rng, depth - 1) for _ in range(rng.randrange(4))}


# below the requests: what is no ZeroMQ, or not all of it ------------------------------------------------------------------

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def openings(seed: int) -> Iterator[bytes]:
    """For ever: what a connection may begin with, and then hang."""
    rng = random.Random(seed)
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    frame = b"\x04" + bytes([len(ready)]) + ready
    while True:
        yield rng.choice(
            (
                b"",
                _GREETING[: rng.randrange(64)],
                _GREETING,
                _GREETING + rng.randbytes(60),
                _GREETING + frame + b"\x03" + struct.pack(">Q", rng.choice((1 << 62, 1 << 31, 10))),  # a long frame, and none comes
                _GREETING + frame + (b"\x01\x01x") * 2000,  # a message without an end
                _GREETING + frame + rng.randbytes(200),
                b"GET / HTTP/1.1\r\n\r\n",
                rng.randbytes(300),
            )
        )
