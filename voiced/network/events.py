"""The Realtime wire (GA), typed: one class an event, shared by the client session and the embedded server.

Decoding ignores unknown fields, as the protocol asks (realtime-protocol 3.4), and turns an event of an unknown type
into `Unknown`. What is malformed raises WireMalformed with a `code` and `param` in the words of the API, so that the
embedded server can answer with them. Names follow the `openai` package's `types/realtime`; tests hold every event
against those types.

Sound is `bytes` here (s16le, 24 kHz, mono) and base64 only in the JSON.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from voiced.network.event_parts import NOT_PLAIN, PLAIN, BoundedId, Id
from voiced.network.event_parts import Content as Content
from voiced.network.event_parts import ErrorDetail as ErrorDetail
from voiced.network.event_parts import Item as Item
from voiced.network.event_parts import Part as Part
from voiced.network.event_parts import Response as Response
from voiced.network.event_parts import ResponseParams as ResponseParams
from voiced.network.event_parts import StatusDetails as StatusDetails
from voiced.network.lenient import without_odd_fields
from voiced.network.limits import LONGEST_EVENT_BYTES


class WireMalformed(ValueError):
    """Text from the peer that is no event; `code` and `param` as the API's `error` event has them."""

    def __init__(self, message: str, code: str, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.event_id = event_id


# client events -------------------------------------------------------------------------------------------------------


class ClientEvent(Struct, kw_only=True, omit_defaults=True):
    event_id: str | None = None


class SessionUpdate(ClientEvent, tag="session.update"):
    session: dict[str, Any]


class InputAudioAppend(ClientEvent, tag="input_audio_buffer.append"):
    audio: bytes


class InputAudioCommit(ClientEvent, tag="input_audio_buffer.commit"):
    pass


class InputAudioClear(ClientEvent, tag="input_audio_buffer.clear"):
    pass


class ItemCreate(ClientEvent, tag="conversation.item.create"):
    item: Item
    previous_item_id: str | None = None


class ItemRetrieve(ClientEvent, tag="conversation.item.retrieve"):
    item_id: Id


class ItemTruncate(ClientEvent, tag="conversation.item.truncate"):
    item_id: Id
    content_index: int
    audio_end_ms: int


class ItemDelete(ClientEvent, tag="conversation.item.delete"):
    item_id: Id


class ResponseCreate(ClientEvent, tag="response.create"):
    response: ResponseParams | None = None


class ResponseCancel(ClientEvent, tag="response.cancel"):
    response_id: str | None = None


# server events -------------------------------------------------------------------------------------------------------


class ServerEvent(Struct, kw_only=True):
    #: The server fills it just before sending; a client never needs it.
    event_id: str = ""


class ErrorEvent(ServerEvent, tag="error"):
    error: ErrorDetail


class SessionCreated(ServerEvent, tag="session.created"):
    session: dict[str, Any]


class SessionUpdated(ServerEvent, tag="session.updated"):
    session: dict[str, Any]


class ItemAdded(ServerEvent, tag="conversation.item.added"):
    item: Item
    previous_item_id: str | None = None


class ItemDone(ServerEvent, tag="conversation.item.done"):
    item: Item
    previous_item_id: str | None = None


class ItemRetrieved(ServerEvent, tag="conversation.item.retrieved"):
    item: Item


class ItemDeleted(ServerEvent, tag="conversation.item.deleted"):
    item_id: Id


class ItemTruncated(ServerEvent, tag="conversation.item.truncated"):
    item_id: Id
    content_index: int = 0
    audio_end_ms: int = 0


class TranscriptionDelta(ServerEvent, tag="conversation.item.input_audio_transcription.delta"):
    item_id: Id
    content_index: int = 0
    delta: str = ""


class TranscriptionCompleted(ServerEvent, tag="conversation.item.input_audio_transcription.completed"):
    item_id: Id
    transcript: str
    content_index: int = 0
    usage: dict[str, Any] | None = None


class TranscriptionFailed(ServerEvent, tag="conversation.item.input_audio_transcription.failed"):
    item_id: Id
    error: ErrorDetail
    content_index: int = 0


class InputAudioCommitted(ServerEvent, tag="input_audio_buffer.committed"):
    item_id: Id
    previous_item_id: str | None = None


class InputAudioCleared(ServerEvent, tag="input_audio_buffer.cleared"):
    pass


class SpeechStarted(ServerEvent, tag="input_audio_buffer.speech_started"):
    item_id: Id
    audio_start_ms: int = 0


class SpeechStopped(ServerEvent, tag="input_audio_buffer.speech_stopped"):
    item_id: Id
    audio_end_ms: int = 0


class IdleTimeout(ServerEvent, tag="input_audio_buffer.timeout_triggered"):
    item_id: Id
    audio_start_ms: int = 0
    audio_end_ms: int = 0


class ResponseCreated(ServerEvent, tag="response.created"):
    response: Response


class ResponseDone(ServerEvent, tag="response.done"):
    response: Response


class OutputItemAdded(ServerEvent, tag="response.output_item.added"):
    response_id: Id
    item: Item
    output_index: int = 0


class OutputItemDone(ServerEvent, tag="response.output_item.done"):
    response_id: Id
    item: Item
    output_index: int = 0


class _OfPart(ServerEvent, kw_only=True):
    """What every event about one content part of one output item carries."""

    response_id: BoundedId
    item_id: BoundedId
    output_index: int = 0
    content_index: int = 0

    def __post_init__(self) -> None:
        """What `Id` says; a pattern takes 2 us a delta, this 0.4."""
        if not (self.response_id.isprintable() and self.item_id.isprintable()):
            raise ValueError(NOT_PLAIN)


class ContentPartAdded(_OfPart, tag="response.content_part.added"):
    part: Part


class ContentPartDone(_OfPart, tag="response.content_part.done"):
    part: Part


class OutputAudioDelta(_OfPart, tag="response.output_audio.delta"):
    delta: bytes


class OutputAudioDone(_OfPart, tag="response.output_audio.done"):
    pass


class OutputTranscriptDelta(_OfPart, tag="response.output_audio_transcript.delta"):
    delta: str


class OutputTranscriptDone(_OfPart, tag="response.output_audio_transcript.done"):
    transcript: str


class OutputTextDelta(_OfPart, tag="response.output_text.delta"):
    delta: str


class OutputTextDone(_OfPart, tag="response.output_text.done"):
    text: str


class FunctionArgumentsDelta(ServerEvent, tag="response.function_call_arguments.delta"):
    response_id: Id
    item_id: Id
    call_id: str
    delta: str
    output_index: int = 0


class FunctionArgumentsDone(ServerEvent, tag="response.function_call_arguments.done"):
    response_id: Id
    item_id: Id
    call_id: str
    arguments: str
    name: str = ""
    output_index: int = 0


class McpListToolsInProgress(ServerEvent, tag="mcp_list_tools.in_progress"):
    item_id: Id


class McpListToolsCompleted(ServerEvent, tag="mcp_list_tools.completed"):
    item_id: Id


class McpListToolsFailed(ServerEvent, tag="mcp_list_tools.failed"):
    item_id: Id


class McpArgumentsDone(ServerEvent, tag="response.mcp_call_arguments.done"):
    response_id: Id
    item_id: Id
    arguments: str
    output_index: int = 0


class McpCallInProgress(ServerEvent, tag="response.mcp_call.in_progress"):
    item_id: Id
    output_index: int = 0


class McpCallCompleted(ServerEvent, tag="response.mcp_call.completed"):
    item_id: Id
    output_index: int = 0


class McpCallFailed(ServerEvent, tag="response.mcp_call.failed"):
    item_id: Id
    output_index: int = 0


class RateLimitsUpdated(ServerEvent, tag="rate_limits.updated"):
    rate_limits: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Unknown(Struct):
    """An event of a type that is not in the tables: real traffic has them, and they are ignored (or refused)."""

    type: str
    event_id: str | None = None


# the tables and the codec ----------------------------------------------------------------------------------------------


def _type_of(kind: type[Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _leaves(base: type[Struct]) -> list[type[Struct]]:
    return [leaf for sub in base.__subclasses__() for leaf in (_leaves(sub) or [sub])]


CLIENT_EVENTS: dict[str, type[ClientEvent]] = {_type_of(kind): kind for kind in _leaves(ClientEvent)}  # type: ignore[misc]  # leaves of ClientEvent are ClientEvents
SERVER_EVENTS: dict[str, type[ServerEvent]] = {_type_of(kind): kind for kind in _leaves(ServerEvent)}  # type: ignore[misc]  # likewise

#: Names of servers of the beta, for events with the same fields (realtime-protocol 3.6).
BETA_NAMES: dict[str, type[ServerEvent]] = {
    "conversation.item.created": ItemAdded,
    "response.audio.delta": OutputAudioDelta,
    "response.audio.done": OutputAudioDone,
    "response.audio_transcript.delta": OutputTranscriptDelta,
    "response.audio_transcript.done": OutputTranscriptDone,
    "response.text.delta": OutputTextDelta,
    "response.text.done": OutputTextDone,
    "transcription_session.updated": SessionUpdated,
}


class _Envelope(Struct):
    type: str | None = None
    event_id: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_client = {name: msgspec.json.Decoder(kind) for name, kind in CLIENT_EVENTS.items()}
_server = {name: msgspec.json.Decoder(kind) for name, kind in SERVER_EVENTS.items()}
# A decoder wants the name that its class has, so a beta name has a class of its own, which nobody else sees.
_beta = {name: msgspec.json.Decoder(msgspec.defstruct("_Beta", (), bases=(kind,), tag=name)) for name, kind in BETA_NAMES.items()}
_encoder = msgspec.json.Encoder()
_MISMATCH = f"Expected `str` matching regex {PLAIN!r}"  # msgspec's words


def encode(event: ClientEvent | ServerEvent) -> bytes:
    """The JSON text of an event."""
    return _encoder.encode(event)


def decode_client(text: bytes | str) -> ClientEvent | Unknown:
    """An event from a client. Raises WireMalformed."""
    event: ClientEvent | Unknown = _decode(text, _client)
    return event


def decode_server(text: bytes | str) -> ServerEvent | Unknown:
    """An event from a server; one with a beta name comes as what GA calls it, and odd fields are left out. Raises WireMalformed."""
    event: ServerEvent | Unknown = _decode(text, _server, lenient=True)
    if isinstance(event, Unknown) and event.type in _beta:
        beta = _decode(text, _beta, lenient=True)
        return BETA_NAMES[event.type](**msgspec.structs.asdict(beta))
    return event


def _decode(text: bytes | str, decoders: dict[str, msgspec.json.Decoder[Any]], *, lenient: bool = False) -> Any:
    try:
        envelope = _envelope.decode(text)
    except msgspec.ValidationError as error:
        raise WireMalformed(f"not an event: {error}", "invalid_event", "type") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireMalformed(f"not JSON: {error}", "invalid_json") from error
    if envelope.type is None:
        raise WireMalformed("The 'type' field is missing.", "invalid_event", "type", envelope.event_id)
    decoder = decoders.get(envelope.type)
    if decoder is None:
        return Unknown(envelope.type, envelope.event_id)
    if lenient and len(text) > LONGEST_EVENT_BYTES and not issubclass(decoder.type, OutputAudioDelta):
        raise WireMalformed(f"{envelope.type}: {len(text)} bytes are too long", "event_too_long")
    try:
        return decoder.decode(text)
    except UnicodeDecodeError as error:  # the envelope's decoder does not look into what it skips
        raise WireMalformed(f"{envelope.type}: not UTF-8: {error}", "invalid_json", None, envelope.event_id) from error
    except (msgspec.DecodeError, RecursionError) as error:
        complaint = str(error).replace(_MISMATCH, NOT_PLAIN)
        if lenient and (event := without_odd_fields(text, decoder.type, complaint)) is not None:
            return event
        code, param = _blame(complaint)
        raise WireMalformed(f"{envelope.type}: {complaint}", code, param, envelope.event_id) from error


def _blame(complaint: str) -> tuple[str, str | None]:
    """The API's code and the parameter at fault, from msgspec's words: "... missing required field `a` - at `$.b`"."""
    path = re.search(r"at `\$\.?([^`]*)`", complaint)
    missing = re.search(r"missing required field `([^`]+)`", complaint)
    where = path[1] if path else ""
    if missing:
        return "missing_required_parameter", ".".join(part for part in (where, missing[1]) if part)
    return "invalid_value", where or None
