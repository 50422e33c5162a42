"""PulseAudio's native protocol, as far as it tells which devices there are: questions, answers, and the word that
something changed. PipeWire's pipewire-pulse speaks it, too. Pure: bytes in, bytes out.

Spoken here by hand and not through libpulse: the Python bindings (pulsectl 24.12) cost 2.9 MiB and 30 ms in each
process, and a thread. Values on the wire carry their types ("tagstruct"; pulsecore/tagstruct.h, native-common.h), so one
decoder serves; how many make an entry depends on the version that the client names. We name 13, the first with
property lists: whatever is newer answers in its form.
"""

import struct
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

from voiced.audio.presence.scene import Endpoint, Scene

_VERSION = 13
COOKIE_BYTES = 256

_ERROR, _REPLY, _AUTH, _SET_CLIENT_NAME, _SERVER_INFO, _CLIENTS, _SUBSCRIBE, _EVENT = 0, 2, 8, 9, 20, 28, 35, 66
_HEADER = struct.Struct(">IIIII")
_CONTROL_CHANNEL = 0xFFFF_FFFF
#: More than any list of devices; whoever announces more is no sound server.
_LONGEST = 1 << 20


class Facility(NamedTuple):
    """What one direction is asked for."""

    list_endpoints: int
    list_streams: int
    #: Of those, which to be told about: endpoints, streams, and the server (its defaults).
    subscription: int
    #: Values that make an entry of the list of streams.
    stream_values: int
    #: Index of the default's name among the values of the server's answer.
    default: int


SOURCES = Facility(24, 32, 0x02 | 0x08 | 0x80, 12, 6)
SINKS = Facility(22, 30, 0x01 | 0x04 | 0x80, 14, 5)
_ENDPOINT_VALUES, _CLIENT_VALUES = 15, 5
#: Where an entry of a stream has the indexes of its client and its endpoint.
_CLIENT, _PLACE = 3, 4


class Malformed(ValueError):
    """The other side does not speak the protocol, or refuses."""


class Dialogue:
    """One connection's talk: `outgoing` is to be sent, `feed` takes what came and makes scenes of it."""

    def __init__(self, facility: Facility, pid: int, cookie: bytes = b"") -> None:
        self._facility = facility
        self._pid = str(pid)
        self._tags = count(1)
        self._received = b""
        #: Which answer is which, by tag: the four of a question that is under way.
        self._asked: dict[int, int] = {}
        self._answers: dict[int, list[Any]] = {}
        self._stale = True  # something changed since the last question
        self.scene: Scene | None = None
        name = _proplist({"application.name": "voiced", "application.process.id": self._pid})
        self.outgoing = (
            self._packet(_AUTH, _u32(_VERSION), b"x", struct.pack(">I", COOKIE_BYTES), cookie.ljust(COOKIE_BYTES, b"\0"))
            + self._packet(_SET_CLIENT_NAME, name)
            + self._packet(_SUBSCRIBE, _u32(facility.subscription))
        )
        self._ask()

    def feed(self, data: bytes) -> bool:
        """Whether there is a new scene. Raises Malformed."""
        self._received += data
        told = False
        while (payload := self._next_payload()) is not None:
            told |= self._take(payload)
        self._ask()
        return told

    def _next_payload(self) -> bytes | None:
        if len(self._received) < _HEADER.size:
            return None
        length, channel, *_ = _HEADER.unpack_from(self._received)
        if channel != _CONTROL_CHANNEL or length > _LONGEST:
            raise Malformed("not a sound server's control packet")
        end = _HEADER.size + length
        if len(self._received) < end:
            return None
        payload, self._received = self._received[_HEADER.size : end], self._received[end:]
        return payload

    def _take(self, payload: bytes) -> bool:
        told = values(payload)
        if len(told) < 2 or not all(isinstance(number, int) for number in told[:2]):
            raise Malformed("a packet without a command")
        command, tag, *rest = told
        if command == _EVENT:
            self._stale = True
        elif command == _ERROR:
            raise Malformed(f"the sound server refuses: error {rest}")
        elif command == _REPLY and tag in self._asked:
            self._answers[self._asked.pop(tag)] = rest
            if not self._asked:
                self.scene = scene_of(self._facility, self._answers, self._pid)
                return True
        return False

    def _ask(self) -> None:
        """One question at a time: a burst of changes costs two."""
        if self._asked or not self._stale:
            return
        self._stale = False
        for command in (_SERVER_INFO, _CLIENTS, self._facility.list_endpoints, self._facility.list_streams):
            self.outgoing += self._packet(command, asked=True)

    def _packet(self, command: int, *fields: bytes, asked: bool = False) -> bytes:
        tag = next(self._tags)
        if asked:
            self._asked[tag] = command
        payload = b"".join((_u32(command), _u32(tag), *fields))
        return _HEADER.pack(len(payload), _CONTROL_CHANNEL, 0, 0, 0) + payload


def scene_of(facility: Facility, answers: dict[int, list[Any]], pid: str) -> Scene:
    """Raises Malformed."""
    try:
        endpoints = {}
        for index, name, description, spec, _, _, _, _, _, _, _, driver, _, properties, _ in _entries(
            answers[facility.list_endpoints], _ENDPOINT_VALUES
        ):
            endpoints[index] = Endpoint(name, description or name, spec[0], spec[1], driver or "", properties)
        # The process is told by the client: a native stream of PipeWire's, as ALSA's plugin for it opens, does not have it.
        clients = _entries(answers[_CLIENTS], _CLIENT_VALUES)
        us = {client[0] for client in clients if client[-1].get("application.process.id") == pid}
        of_us = [stream[_PLACE] for stream in _entries(answers[facility.list_streams], facility.stream_values) if stream[_CLIENT] in us]
        ours = endpoints[of_us[0]].name if of_us and of_us[0] in endpoints else "" if of_us else None
        return Scene(answers[_SERVER_INFO][facility.default] or "", tuple(endpoints.values()), ours)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise Malformed(f"an answer of another form: {error}") from error


def _entries(flat: list[Any], size: int) -> Iterator[list[Any]]:
    if len(flat) % size:
        raise Malformed(f"{len(flat)} values are no list of entries of {size}")
    return (flat[start : start + size] for start in range(0, len(flat), size))


def _u32(value: int) -> bytes:
    return struct.pack(">cI", b"L", value)


def _text(value: str) -> bytes:
    return b"t" + value.encode() + b"\0"


def _proplist(properties: dict[str, str]) -> bytes:
    packed = b"P"
    for name, value in properties.items():
        raw = value.encode() + b"\0"
        packed += _text(name) + _u32(len(raw)) + b"x" + struct.pack(">I", len(raw)) + raw
    return packed + b"N"


def values(payload: bytes) -> list[Any]:
    """The values of a packet: int, str, None, bool, bytes, (rate, channels) of a sample format, dict of a property list.

    What is of no use here (volumes, channel maps) comes as bytes. Raises Malformed.
    """
    reader = _Reader(payload)
    try:
        return list(reader.rest())
    except (struct.error, ValueError, TypeError, AttributeError) as error:
        raise Malformed(f"not a tagstruct: {error}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def rest(self) -> Iterator[Any]:
        while self._at < len(self._data):
            yield self._value()

    def _value(self) -> Any:
        tag = self._bytes(1)
        match tag:
            case b"L" | b"V":
                return self._number(">I", 4)
            case b"t":
                return self._string()
            case b"N":
                return None
            case b"0" | b"1":
                return tag == b"1"
            case b"U" | b"R" | b"r" | b"T":
                return self._number(">Q", 8)
            case b"B":
                return self._number(">B", 1)
            case b"a":
                _, channels, rate = struct.unpack(">BBI", self._bytes(6))
                return rate, channels
            case b"m":
                return self._bytes(self._number(">B", 1))
            case b"v":
                return self._bytes(4 * self._number(">B", 1))
            case b"x":
                return self._bytes(self._number(">I", 4))
            case b"P":
                return self._properties()
        raise ValueError(f"unknown type {tag!r}")

    def _properties(self) -> dict[str, str]:
        properties = {}
        while (name := self._value()) is not None:
            self._value()  # the length, which the value has once more
            raw = self._value()
            properties[name] = raw.rstrip(b"\0").decode(errors="replace")
        return properties

    def _string(self) -> str:
        end = self._data.index(b"\0", self._at)
        text = self._data[self._at : end].decode(errors="replace")
        self._at = end + 1
        return text

    def _number(self, form: str, size: int) -> int:
        number: int = struct.unpack(form, self._bytes(size))[0]
        return number

    def _bytes(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("cut short")
        self._at += size
        return taken
