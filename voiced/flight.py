"""The flight recorder: what went over the internal bus in the last half minute, without sound and without words.

Each process writes into a ring in memory that it shares with the supervisor (a memfd, so that nothing lies in the file system).
So it outlives whatever ends the process, and the supervisor can write down what all of them said before it ended. A note costs
1 us (there are about 110 messages a second in a process of sound), and a ring 200 KiB.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from voiced import bus
from voiced.messages import MESSAGES, Message
from voiced.shown import harmless

#: In the environment of a child: the descriptor of its ring.
VARIABLE = "VOICED_FLIGHT"
#: A process of sound has 110 messages a second, with frames of 10 ms 160.
_RECORDS = 5120
#: When, a number, bytes of sound, which message, whether it was sent, a name.
_RECORD = struct.Struct("<QqIBB2x16s")
_LONGEST_NAME = 16
_MOST_SOUND = 0xFFFFFFFF

#: Of a message's fields, the first of these is shown. What is said, heard, asked or complained of is in neither list.
_NUMBERS = ("epoch", "seq", "position", "order_id", "level", "lowered")
_NAMES = ("item_id", "topic", "command", "code", "phase", "reason")


class _Shape(NamedTuple):
    tag: int
    number: int | None  # the place of the field
    name: int | None


def _place(kind: type[Message], shown: tuple[str, ...]) -> int | None:
    return next((kind._fields.index(field) for field in shown if field in kind._fields), None)


_SHAPES = {kind: _Shape(tag, _place(kind, _NUMBERS), _place(kind, _NAMES)) for tag, kind in enumerate(MESSAGES)}


class Record(NamedTuple):
    mono_ns: int
    sent: bool
    kind: type[Message]
    number: int
    name: str
    sound_bytes: int

    def __str__(self) -> str:
        shape = _SHAPES[self.kind]
        number = f" {self.kind._fields[shape.number]} {self.number}" if shape.number is not None else ""
        sound = f" {self.sound_bytes} B of sound" if self.sound_bytes else ""
        return f"{'->' if self.sent else '<-'} {self.kind.__name__:<12}{number}{' ' + self.name if self.name else ''}{sound}"


class Ring:
    """The newest records of one process; a memory that a child may share."""

    def __init__(self, descriptor: int = -1) -> None:
        """Of a descriptor that is inherited; without one, of this process alone."""
        self._memory = mmap.mmap(descriptor, _RECORDS * _RECORD.size)
        self._next = 0

    def note(self, sent: bool, message: Message, sound_bytes: int = 0) -> None:
        tag, number_at, name_at = _SHAPES[type(message)]
        fields: tuple[object, ...] = message
        number = fields[number_at] if number_at is not None else 0
        name = fields[name_at] if name_at is not None else ""
        at = self._next
        self._next = at + _RECORD.size if at < (_RECORDS - 1) * _RECORD.size else 0
        shown = str(name)[-_LONGEST_NAME:].encode(errors="replace")
        try:
            _RECORD.pack_into(self._memory, at, time.monotonic_ns(), number, min(sound_bytes, _MOST_SOUND), tag, sent, shown)
        except struct.error:  # a number that is none: whoever reads the message finds that out
            _RECORD.pack_into(self._memory, at, time.monotonic_ns(), 0, 0, tag, sent, shown)

    def copy(self) -> bytes:
        return self._memory[:]


def records(copied: bytes) -> Iterator[Record]:
    """What is in a ring, unordered. Also of a process that died in the middle of a note, or wrote whatever it liked."""
    for mono_ns, number, sound_bytes, tag, sent, name in _RECORD.iter_unpack(copied):
        if mono_ns and tag < len(MESSAGES):
            yield Record(mono_ns, bool(sent), MESSAGES[tag], number, harmless(name.rstrip(b"\0").decode(errors="replace")), sound_bytes)


def lines(rings: Mapping[str, bytes], now_ns: int, span_s: float = 30.0) -> Iterator[str]:
    """For people: the records of all processes in the order of their times, which are seconds before `now_ns`."""
    told = [(record, who) for who, copied in rings.items() for record in records(copied)]
    for record, who in sorted(told, key=lambda each: each[0].mono_ns):
        ago_s = (now_ns - record.mono_ns) / 1e9
        if 0 <= ago_s <= span_s:
            yield f"{-ago_s:11.6f} {who:<10} {record}"


def shared() -> tuple[Ring, int]:
    """A ring, and the descriptor by which a child gets it. Raises OSError where there is no memory or descriptor left."""
    descriptor = os.memfd_create("voiced-flight", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, _RECORDS * _RECORD.size)
        return Ring(descriptor), descriptor
    except OSError:
        os.close(descriptor)
        raise


def record(environment: Mapping[str, str]) -> None:
    """Notes from now on what goes over the bus of this process, in the ring that it was started with."""
    descriptor = environment.get(VARIABLE, "")
    if not descriptor.isdecimal():
        return
    bus.tap = Ring(int(descriptor)).note
    os.close(int(descriptor))
