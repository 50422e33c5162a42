"""What a hostile Realtime server may send, each for as long as it is asked for: whole lots of bytes, made in advance, so that the
attacker's Python is never what slows an attack down."""

import base64
import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from tests import loopback_websocket as wire

#: Bytes to send, one lot after the other; endless, or what is there to be said once.
Attack = Iterator[bytes]

_LOT = 1 << 20
_PCM = base64.b64encode(b"\x10\x27" * 6_000).decode()


def event(type: str, /, **fields: Any) -> bytes:
    return wire.frame(json.dumps({"type": type, **fields}).encode())


def _lots(make: Callable[[int], bytes], count: int = 2000) -> Attack:
    """Events that differ by a number, in lots; the numbers never come again."""
    numbers = itertools.count()
    while True:
        yield b"".join(make(next(numbers)) for _ in range(count))


def _over(lot: bytes) -> Attack:
    return itertools.repeat(lot * max(1, _LOT // len(lot)))


def _head(length: int, *, first: int = 0x01) -> bytes:
    """The head of a frame: no last one of its message, unless `first` says so."""
    return bytes([first, 127]) + length.to_bytes(8, "big")


def nothing() -> Attack:
    """What the machine does by itself: for comparison."""
    return iter(())


# frames ------------------------------------------------------------------------------------------------------------------


def endless_message() -> Attack:
    piece = _head(1 << 16, first=0x00) + bytes(1 << 16)
    return itertools.chain([_head(1 << 16) + bytes(1 << 16)], _over(piece))


def endless_frame() -> Attack:
    return itertools.chain([_head(1 << 62, first=0x81)], itertools.repeat(bytes(_LOT)))


def drip() -> Attack:
    """30 MB, two bytes at a time."""
    return itertools.chain([_head(30_000_000, first=0x81)], itertools.repeat(b"  "))


def tiny_frames() -> Attack:
    return _over(b"\x81\x00")


def tiny_messages() -> Attack:
    return _over(wire.frame(b"{}"))


def empty_fragments() -> Attack:
    return itertools.chain([b"\x01\x00"], _over(b"\x00\x00"))


def pings() -> Attack:
    return _over(wire.frame(bytes(125), wire.PING))


def compressed() -> Attack:
    """permessage-deflate, which nobody asked for."""
    return iter([bytes([0xC1, 5]) + b"\xaa\x56\x2a\x4b\x2d"])


def masked() -> Attack:
    return iter([bytes([0x81, 0x82]) + b"abcd" + b"\x1a\x1f"])


# sound -------------------------------------------------------------------------------------------------------------------


def endless_sound() -> Attack:
    return _over(event("response.output_audio.delta", response_id="r", item_id="endless", delta=_PCM))


def tiny_sound() -> Attack:
    return _over(event("response.output_audio.delta", response_id="r", item_id="tiny", delta="AAE="))


def huge_base64() -> Attack:
    sound = base64.b64encode(bytes(23 << 20)).decode()
    return itertools.repeat(event("response.output_audio.delta", response_id="r", item_id="huge", delta=sound))


def bad_base64() -> Attack:
    bad = "A" * 16_001 + "!" * 16_000
    return _over(event("response.output_audio.delta", response_id="r", item_id="bad", delta=bad))


def never_announced() -> Attack:
    return _lots(lambda n: event("response.output_audio.delta", response_id=f"r{n}", item_id=f"i{n}", delta="AAE="))


def items_of_one_reply() -> Attack:
    return _lots(lambda n: event("response.output_audio.delta", response_id="r", item_id=f"i{n}" + "x" * 500, delta="AAE="))


def parts() -> Attack:
    def one(n: int) -> bytes:
        return event("response.output_audio.delta", response_id="r", item_id=f"i{n // 999}", content_index=n % 999, delta="AAE=")

    return _lots(one)


# words -------------------------------------------------------------------------------------------------------------------


def long_transcripts() -> Attack:
    words = "so many words " * 70_000

    def one(n: int) -> bytes:
        return event("response.output_audio_transcript.delta", response_id="r", item_id=f"i{n}", delta=words)

    return _lots(one, 4)


def many_transcripts() -> Attack:
    words = "\N{GRINNING FACE}" * 20_000
    kind = "conversation.item.input_audio_transcription.completed"
    return _lots(lambda n: event(kind, item_id=f"i{n}", transcript=words, usage={"type": "tokens", "input_tokens": -(1 << 62)}), 10)


def empty_words() -> Attack:
    return _over(event("response.output_audio_transcript.delta", response_id="r", item_id="i", delta=""))


# the conversation --------------------------------------------------------------------------------------------------------


def speeches() -> Attack:
    return _lots(lambda n: event("input_audio_buffer.speech_started", item_id=f"u{n}", audio_start_ms=-n))


def commits() -> Attack:
    return _lots(lambda n: event("input_audio_buffer.committed", item_id=f"u{n}" + "x" * 500))


def responses() -> Attack:
    usage = {f"k{number}": {"a": [number] * 10} for number in range(500)}

    def one(n: int) -> bytes:
        response = {"id": f"r{n}", "status": "completed", "usage": usage}
        return event("response.created", response={"id": f"r{n}"}) + event("response.done", response=response)

    return _lots(one, 50)


def calls() -> Attack:
    text = json.dumps({"words": "x" * 190_000})

    def one(n: int) -> bytes:
        item = {"type": "function_call", "id": f"i{n}", "call_id": f"c{n}", "name": "ask", "arguments": text, "status": "completed"}
        return event("response.output_item.done", response_id=f"r{n}", item=item)

    return _lots(one, 10)


def errors() -> Attack:
    words = "no \x07 good " * 90_000
    return _lots(lambda n: event("error", error={"type": "server_error", "code": f"code_{n}", "message": words}), 2)


def unknown_events() -> Attack:
    return _lots(lambda n: event(f"response.news.{n}", words="x" * 50))


# JSON --------------------------------------------------------------------------------------------------------------------


def deep() -> Attack:
    return _over(wire.frame(b'{"type":"session.updated","session":{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}}"))


def bloat() -> Attack:
    """Text that becomes twenty times as much."""
    listing = ",".join(["[]"] * 5_000_000)
    return itertools.repeat(wire.frame(b'{"type":"session.updated","session":{"a":[' + listing.encode() + b"]}}"))


def keys() -> Attack:
    fields = ",".join(f'"{n}":"{n}"' for n in range(60_000))
    return itertools.repeat(wire.frame(b'{"type":"session.updated","session":{' + fields.encode() + b"}}"))


def odd_fields() -> Attack:
    """Every field of a wrong type, in an event that is worth a second look."""
    items = [{"type": "message", "id": n, "role": 7, "content": "x"} for n in range(5000)]
    return itertools.repeat(event("response.done", response={"id": "r", "status": 5, "usage": [1], "output": items}))


def numbers() -> Attack:
    texts = ("NaN", "Infinity", "-1", "1e999", "1" * 4000, "-0.0", "null", '"1"', "[]", "true")
    kinds = ("audio_start_ms", "audio_end_ms", "content_index", "output_index")
    lot = [
        f'{{"type":"{type}","item_id":"u","response_id":"r","delta":"AAE=","{kind}":{text}}}'
        for type in ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "response.output_audio.delta")
        for kind in kinds
        for text in texts
    ]
    return _over(b"".join(wire.frame(text.encode()) for text in lot))


def noise() -> Attack:
    """Messages that are no UTF-8, no JSON, no event."""
    return _over(
        b"".join(wire.frame(os.urandom(200)) + wire.frame(b'{"type":"error","error":"' + os.urandom(100) + b'"}') for _ in range(50))
    )


#: By name, in the order of above; each for a session that is open.
ATTACKS: dict[str, Callable[[], Attack]] = {
    made.__name__: made
    for made in (
        *(nothing, endless_message, endless_frame, drip, tiny_frames, tiny_messages, empty_fragments, pings, compressed, masked),
        *(endless_sound, tiny_sound, huge_base64, bad_base64, never_announced, items_of_one_reply, parts),
        *(long_transcripts, many_transcripts, empty_words),
        *(speeches, commits, responses, calls, errors, unknown_events),
        *(deep, bloat, keys, odd_fields, numbers, noise),
    )
}
