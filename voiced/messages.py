"""Every message on the internal bus, and its codec. One class a message, one table, nothing else.

A message is a NamedTuple: it travels as the msgpack array [tag, field, field, ...] in the first ZeroMQ frame. Sound
travels as raw bytes (s16le, mono, 24 kHz) in a second frame, never inside msgpack. Both ends are always of the same
version, so there is no versioning here; the stable contract for others is `voiced.control`.

Times are `mono_ns`: `time.monotonic_ns()`, one clock for all processes of a machine.
"""

from typing import Any, NamedTuple, NewType

import msgpack

Epoch = NewType("Epoch", int)
MonoNs = NewType("MonoNs", int)

SAMPLE_RATE_HZ = 24_000
BYTES_PER_FRAME = 2
BYTES_PER_MS = SAMPLE_RATE_HZ * BYTES_PER_FRAME // 1000


# capture -> network ------------------------------------------------------------------------------------------------


class MicFrame(NamedTuple):
    """One frame of the microphone, sound attached. While muted the sound is made of zeros (the server's voice
    detector needs a clock: realtime-protocol 5.2) and no sample of the device is in it."""

    seq: int
    captured_ns: MonoNs  # when its last sample was read
    muted: bool


class LocalSpeech(NamedTuple):
    """What the local voice detector makes of the frames around it; travels among them.

    started/stopped    the user speaks or has stopped, assistant silent or not
    confirmed          while the assistant sounds, enough evidence to interrupt it; the frames from before follow
    wake               the wake word was heard
    """

    phase: str
    captured_ns: MonoNs  # of the sample that decided
    probability: float


# playback -> capture -----------------------------------------------------------------------------------------------


class Played(NamedTuple):
    """The echo canceller's reference: sound as it was handed to the device, at the volume it has there, sent before it sounds."""

    position: int  # of its first sample, counted from the start of the process
    heard_ns: MonoNs  # when that will sound


class PlayedCut(NamedTuple):
    """An abort: of what was announced as Played, nothing from this position on was heard."""

    position: int
    cut_ns: MonoNs
    reason: str = ""  # of the flush that it was for; "" = a duck, and what was cut is announced anew


# capture -> playback -----------------------------------------------------------------------------------------------


class Duck(NamedTuple):
    """Lower the voice, or let it come back. A flush ends it too."""

    lowered: bool
    ordered_ns: MonoNs


# network -> playback -----------------------------------------------------------------------------------------------


class ReplyAudio(NamedTuple):
    """Sound of a reply as it came from the server, uncut: one delta, any length."""

    epoch: Epoch
    item_id: str
    content_index: int


class ReplyEnd(NamedTuple):
    """No more sound will come for this content part."""

    epoch: Epoch
    item_id: str
    content_index: int


# network -> everybody (broadcast) ----------------------------------------------------------------------------------


class Flush(NamedTuple):
    """Be silent. Whatever has an older epoch is void."""

    epoch: Epoch
    reason: str  # speech_started | local | interrupt | ask | talk | playback_lost | restart | epoch
    ordered_ns: MonoNs


class CarryOn(NamedTuple):
    """To playback, once it is known to listen: what it has plays on, under this epoch. Frames of an older one that are still on
    their way are void."""

    epoch: Epoch


# playback -> network -----------------------------------------------------------------------------------------------


class PartHeard(NamedTuple):
    """How much of one content part came out of the loudspeaker before a flush."""

    item_id: str
    content_index: int
    played_ms: int


class Flushed(NamedTuple):
    """A flush was obeyed. `heard` lists what was queued or sounding, in order of play; a part that is neither here
    nor reported by PlayFinished was not heard at all."""

    epoch: Epoch
    heard: tuple[PartHeard, ...]
    dropped_ms: int
    latency_us: int  # ordered_ns -> device aborted; 0 where nothing was playing
    was_playing: bool


class PartQueued(NamedTuple):
    """How much of one content part playback was given, and how much of that was heard."""

    item_id: str
    content_index: int
    played_frames: int
    received_frames: int


class CarriedOn(NamedTuple):
    """The answer to CarryOn: all that is queued or sounding, in order of play. Sound is sent from here on, not before."""

    epoch: Epoch
    parts: tuple[PartQueued, ...]


class PlayReached(NamedTuple):
    """When a part begins and every 40 ms while it sounds: so much of it was heard at that time, which may be just to come, and so much
    more the device holds."""

    item_id: str
    content_index: int
    epoch: Epoch
    played_frames: int
    held_frames: int
    at_ns: MonoNs


class PlayStarted(NamedTuple):
    item_id: str
    content_index: int
    epoch: Epoch


class PlayFinished(NamedTuple):
    """The last sample of a part has left the loudspeaker."""

    item_id: str
    content_index: int
    epoch: Epoch
    played_ms: int


# child -> supervisor -----------------------------------------------------------------------------------------------


class Ready(NamedTuple):
    """The device or session is really open. `detail` is shown in status."""

    detail: dict[str, Any]


class Heartbeat(NamedTuple):
    """Alive, with the figures that status shows."""

    stats: dict[str, Any]


class Log(NamedTuple):
    level: int  # logging's
    text: str


class Publish(NamedTuple):
    """An event for the event socket; topics and fields are those of voiced.control.EVENTS."""

    topic: str
    data: dict[str, Any]


class Answer(NamedTuple):
    order_id: int
    result: dict[str, Any]


class Refusal(NamedTuple):
    order_id: int
    code: str
    message: str
    field: str | None


class Failed(NamedTuple):
    """This process can't go on (and leaves) or its peer refused for good; code as in voiced.errors."""

    code: str
    message: str


# supervisor -> child -----------------------------------------------------------------------------------------------


class Order(NamedTuple):
    """A control command that this process carries out, or `stop`."""

    order_id: int
    command: str
    args: dict[str, Any]


Message = (
    MicFrame
    | ReplyAudio
    | ReplyEnd
    | Flush
    | Flushed
    | PlayStarted
    | PlayFinished
    | Ready
    | Heartbeat
    | Log
    | Publish
    | Answer
    | Refusal
    | Failed
    | Order
    | LocalSpeech
    | Played
    | PlayedCut
    | Duck
    | CarryOn
    | CarriedOn
    | PlayReached
)

#: The table: a message's place in it is its tag on the wire.
MESSAGES: tuple[type[Message], ...] = (
    MicFrame,
    ReplyAudio,
    ReplyEnd,
    Flush,
    Flushed,
    PlayStarted,
    PlayFinished,
    Ready,
    Heartbeat,
    Log,
    Publish,
    Answer,
    Refusal,
    Failed,
    Order,
    LocalSpeech,
    Played,
    PlayedCut,
    Duck,
    CarryOn,
    CarriedOn,
    PlayReached,
)
_TAG = {kind: tag for tag, kind in enumerate(MESSAGES)}


def _plain(annotation: Any) -> Any:
    """What `isinstance` takes."""
    annotation = getattr(annotation, "__supertype__", annotation)
    return (int, float) if annotation is float else getattr(annotation, "__origin__", annotation)


def _types(kind: type) -> tuple[Any, ...]:
    return tuple(map(_plain, kind.__annotations__.values()))


_TYPES = {kind: _types(kind) for kind in (*MESSAGES, PartHeard, PartQueued)}


class MessageMalformed(ValueError):
    """Bytes on the internal bus that are no message: a bug of ours, or somebody else wrote to our sockets."""


def encode(message: Message) -> bytes:
    """The header frame of a message."""
    header: bytes = msgpack.packb((_TAG[type(message)], *message))
    return header


def decode(header: bytes) -> Message:
    """The message in a header frame. Lists stay lists: settings that come by an order equal those of the start.

    Raises MessageMalformed, and nothing else, for whatever is no message.
    """
    try:
        tag, *fields = msgpack.unpackb(header)
        kind: Any = MESSAGES[tag if tag >= 0 else len(MESSAGES)]
        if kind is Flushed:
            fields[1] = tuple(_checked(PartHeard(*part)) for part in fields[1])
        elif kind is CarriedOn:
            fields[1] = tuple(_checked(PartQueued(*part)) for part in fields[1])
        message: Message = _checked(kind(*fields))
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise MessageMalformed(f"{len(header)} bytes are no bus message: {error}") from error
    return message


def _checked(made: Any) -> Any:
    """`made`, whose fields are of their types: 0.4 us for a frame of the microphone."""
    if not all(map(isinstance, made, _TYPES[type(made)])):
        raise TypeError(f"a {type(made).__name__} with a field of a wrong type")
    return made
