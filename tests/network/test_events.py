"""The wire's classes against the `openai` package's: what its models produce we decode, what we encode it accepts."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import openai.types.realtime as theirs
import pytest
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import TypeAdapter

from voiced.network import events
from voiced.network.events import Content, ErrorDetail, Item, Part, Response, ResponseParams, StatusDetails, WireMalformed

_SERVER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_CLIENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)

_PART: dict[str, Any] = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
_MESSAGE = Item(type="message", id="i", role="assistant", status="completed", content=[Content(type="output_audio", transcript="hi")])
_RESPONSE = Response(
    id="r",
    status="cancelled",
    status_details=StatusDetails(type="cancelled", reason="turn_detected"),
    output=[_MESSAGE],
    conversation_id="conv_1",
    usage={"total_tokens": 3, "input_tokens": 1, "output_tokens": 2},
    metadata={"a": "b"},
)
_SESSION = {"type": "realtime", "id": "sess_1", "object": "realtime.session", "output_modalities": ["audio"], "expires_at": 5}

SERVER = [
    events.ErrorEvent(event_id="e", error=ErrorDetail(type="invalid_request_error", code="x", message="m", param="p", event_id="c")),
    events.SessionCreated(event_id="e", session=_SESSION),
    events.SessionUpdated(event_id="e", session=_SESSION),
    events.ItemAdded(event_id="e", item=_MESSAGE, previous_item_id="h"),
    events.ItemDone(event_id="e", item=_MESSAGE),
    events.ItemRetrieved(event_id="e", item=_MESSAGE),
    events.ItemDeleted(event_id="e", item_id="i"),
    events.ItemTruncated(event_id="e", item_id="i", content_index=0, audio_end_ms=120),
    events.TranscriptionDelta(event_id="e", item_id="i", content_index=0, delta="hel"),
    events.TranscriptionCompleted(event_id="e", item_id="i", transcript="hello", usage={"type": "duration", "seconds": 1.0}),
    events.TranscriptionFailed(event_id="e", item_id="i", error=ErrorDetail(type="t", code="c", message="m")),
    events.InputAudioCommitted(event_id="e", item_id="i", previous_item_id="h"),
    events.InputAudioCleared(event_id="e"),
    events.SpeechStarted(event_id="e", item_id="i", audio_start_ms=7),
    events.SpeechStopped(event_id="e", item_id="i", audio_end_ms=9),
    events.IdleTimeout(event_id="e", item_id="i", audio_start_ms=1, audio_end_ms=2),
    events.ResponseCreated(event_id="e", response=Response(id="r", status="in_progress")),
    events.ResponseDone(event_id="e", response=_RESPONSE),
    events.OutputItemAdded(event_id="e", response_id="r", item=_MESSAGE, output_index=0),
    events.OutputItemDone(event_id="e", response_id="r", item=_MESSAGE, output_index=0),
    events.ContentPartAdded(**_PART, part=Part(type="audio", transcript="")),
    events.ContentPartDone(**_PART, part=Part(type="audio", transcript="hi")),
    events.OutputAudioDelta(**_PART, delta=b"\x01\x02\x03\x04"),
    events.OutputAudioDone(**_PART),
    events.OutputTranscriptDelta(**_PART, delta="h"),
    events.OutputTranscriptDone(**_PART, transcript="hi"),
    events.OutputTextDelta(**_PART, delta="h"),
    events.OutputTextDone(**_PART, text="hi"),
    events.FunctionArgumentsDelta(event_id="e", response_id="r", item_id="i", call_id="c", delta="{", output_index=0),
    events.FunctionArgumentsDone(event_id="e", response_id="r", item_id="i", call_id="c", arguments="{}", name="f", output_index=0),
    events.McpListToolsFailed(event_id="e", item_id="i"),
    events.McpListToolsInProgress(event_id="e", item_id="i"),
    events.McpListToolsCompleted(event_id="e", item_id="i"),
    events.McpListToolsFailed(event_id="e", item_id="i"),
    events.McpArgumentsDone(event_id="e", response_id="r", item_id="i", arguments="{}", output_index=1),
    events.McpCallInProgress(event_id="e", item_id="i", output_index=1),
    events.McpCallCompleted(event_id="e", item_id="i", output_index=1),
    events.McpCallFailed(event_id="e", item_id="i", output_index=1),
    events.RateLimitsUpdated(event_id="e", rate_limits=[{"name": "tokens", "limit": 1, "remaining": 1, "reset_seconds": 0.5}]),
]
CLIENT = [
    events.SessionUpdate(event_id="c", session={"type": "realtime", "instructions": "x"}),
    events.InputAudioAppend(audio=b"\x01\x02"),
    events.InputAudioCommit(),
    events.InputAudioClear(),
    events.ItemCreate(item=Item(type="message", role="user", content=[Content(type="input_text", text="hello")]), previous_item_id="root"),
    events.ItemCreate(item=Item(type="mcp_approval_response", id="i", approval_request_id="a", approve=False, reason="no")),
    events.ItemRetrieve(item_id="i"),
    events.ItemTruncate(item_id="i", content_index=0, audio_end_ms=5),
    events.ItemDelete(item_id="i"),
    events.ResponseCreate(response=ResponseParams(conversation="none", instructions="x", input=[], metadata={"a": "b"})),
    events.ResponseCancel(response_id="r"),
]


@pytest.mark.parametrize("event", SERVER, ids=lambda event: type(event).__name__)
def test_what_we_encode_is_what_openai_expects_of_a_server(event: events.ServerEvent) -> None:
    model = _SERVER.validate_json(events.encode(event))
    assert model.type == event.__struct_config__.tag


@pytest.mark.parametrize("event", SERVER, ids=lambda event: type(event).__name__)
def test_what_openais_models_produce_we_decode(event: events.ServerEvent) -> None:
    model = _SERVER.validate_json(events.encode(event))
    decoded = events.decode_server(model.model_dump_json())
    assert isinstance(decoded, type(event))
    assert _without_nulls(msgspec.to_builtins(decoded)) == _without_nulls(msgspec.to_builtins(event))


@pytest.mark.parametrize("event", CLIENT, ids=lambda event: type(event).__name__)
def test_client_events_likewise(event: events.ClientEvent) -> None:
    model = _CLIENT.validate_json(events.encode(event))
    assert model.type == event.__struct_config__.tag
    assert events.decode_client(model.model_dump_json(exclude_unset=True)) == event


# The union of items in openai's package is open, so items are held against the one class that each must be.
ITEMS: list[tuple[type[Any], Item]] = [
    (theirs.RealtimeMcpListTools, Item(type="mcp_list_tools", id="m", server_label="s", tools=[{"name": "t", "input_schema": {}}])),
    (theirs.RealtimeMcpToolCall, Item(type="mcp_call", id="m", server_label="s", name="t", arguments="{}", output="1")),
    (
        theirs.RealtimeMcpToolCall,
        Item(
            type="mcp_call",
            id="m",
            server_label="s",
            name="t",
            arguments="{}",
            approval_request_id="a",
            error={"type": "http_error", "code": 500, "message": "no"},
        ),
    ),
    (theirs.RealtimeMcpApprovalRequest, Item(type="mcp_approval_request", id="m", server_label="s", name="t", arguments="{}")),
    (
        theirs.RealtimeMcpApprovalResponse,
        Item(type="mcp_approval_response", id="m", approval_request_id="a", approve=False, reason="not now"),
    ),
]


@pytest.mark.parametrize(("kind", "item"), ITEMS, ids=lambda value: getattr(value, "type", ""))
def test_items_of_mcp_are_what_openai_expects_and_come_back(kind: type[Any], item: Item) -> None:
    ours = msgspec.json.encode(item)
    theirs_made = kind.model_validate_json(ours, extra="forbid", strict=True)
    raw = f'{{"type":"conversation.item.done","event_id":"e","item":{theirs_made.model_dump_json(exclude_none=True)}}}'
    decoded = events.decode_server(raw)
    assert isinstance(decoded, events.ItemDone)
    assert decoded.item == item


def test_an_approval_goes_up_as_openai_expects_it() -> None:
    answer = events.ItemCreate(item=Item(type="mcp_approval_response", id="m", approval_request_id="a", approve=True))
    model = _CLIENT.validate_json(events.encode(answer))
    assert isinstance(model.item, theirs.RealtimeMcpApprovalResponse)
    assert model.item.approve is True


def test_null_tools_of_a_listing_that_failed_are_no_error() -> None:
    raw = b'{"type":"response.output_item.done","response_id":"r","item":{"type":"mcp_list_tools","server_label":"s","tools":null}}'
    assert isinstance(events.decode_server(raw), events.OutputItemDone)


# beta names ---------------------------------------------------------------------------------------------------------------

_BETA_PART = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
_BETA_MESSAGE = {
    "id": "i",
    "object": "realtime.item",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "audio", "transcript": "hi"}],
}
BETA: list[tuple[str, dict[str, Any], events.ServerEvent]] = [
    ("response.audio.delta", _BETA_PART | {"delta": "AQI="}, events.OutputAudioDelta(**_PART, delta=b"\x01\x02")),
    ("response.audio.done", _BETA_PART, events.OutputAudioDone(**_PART)),
    ("response.audio_transcript.delta", _BETA_PART | {"delta": "h"}, events.OutputTranscriptDelta(**_PART, delta="h")),
    ("response.audio_transcript.done", _BETA_PART | {"transcript": "hi"}, events.OutputTranscriptDone(**_PART, transcript="hi")),
    ("response.text.delta", _BETA_PART | {"delta": "h"}, events.OutputTextDelta(**_PART, delta="h")),
    ("response.text.done", _BETA_PART | {"text": "hi"}, events.OutputTextDone(**_PART, text="hi")),
    (
        "conversation.item.created",
        {"event_id": "e", "previous_item_id": "h", "item": _BETA_MESSAGE},
        events.ItemAdded(
            event_id="e",
            previous_item_id="h",
            item=Item(type="message", id="i", object="realtime.item", role="assistant", content=[Content(type="audio", transcript="hi")]),
        ),
    ),
    (
        "transcription_session.updated",
        {"event_id": "e", "session": {"modalities": ["text"]}},
        events.SessionUpdated(event_id="e", session={"modalities": ["text"]}),
    ),
]


@pytest.mark.parametrize(("name", "fields", "event"), BETA, ids=[name for name, _, _ in BETA])
def test_beta_names_come_as_what_ga_calls_them(name: str, fields: dict[str, Any], event: events.ServerEvent) -> None:
    decoded = events.decode_server(msgspec.json.encode({**fields, "type": name, "new": 1}))
    assert type(decoded) is type(event)  # not a subclass: handlers are found by the very class
    assert decoded == event


def test_every_beta_name_is_held_against_ga() -> None:
    assert {name for name, _, _ in BETA} == set(events.BETA_NAMES)
    assert not set(events.BETA_NAMES) & set(events.SERVER_EVENTS)


def test_a_malformed_beta_event_is_blamed_likewise() -> None:
    with pytest.raises(WireMalformed) as caught:
        events.decode_server(b'{"type":"response.audio.delta","event_id":"e"}')
    assert (caught.value.code, caught.value.param, caught.value.event_id) == ("missing_required_parameter", "delta", "e")


def test_a_client_has_no_beta_names() -> None:
    assert isinstance(events.decode_client(b'{"type":"conversation.item.created","item":{"type":"message"}}'), events.Unknown)


def test_content_of_beta_type_is_taken() -> None:
    raw = b'{"type":"response.content_part.done","response_id":"r","item_id":"i","part":{"type":"text","text":"hi"}}'
    decoded = events.decode_server(raw)
    assert isinstance(decoded, events.ContentPartDone)
    assert decoded.part.text == "hi"
    assert isinstance(events.decode_server(b'{"type":"conversation.created","conversation":{"id":"c"}}'), events.Unknown)


def _without_nulls(value: Any) -> Any:
    """openai's models print what is not set as null, inside free maps too."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def test_every_class_is_held_against_openais() -> None:
    assert {type(event) for event in SERVER} == set(events.SERVER_EVENTS.values())
    assert {type(event) for event in CLIENT} == set(events.CLIENT_EVENTS.values())


def test_a_session_of_openais_own_model_is_decoded() -> None:
    created = theirs.SessionCreatedEvent.construct(
        type="session.created", event_id="e", session=theirs.RealtimeSessionCreateRequest(type="realtime", instructions="hi")
    )
    event = events.decode_server(created.model_dump_json())
    assert isinstance(event, events.SessionCreated)
    assert event.session["instructions"] == "hi"


def test_sound_is_base64_only_in_the_json() -> None:
    pcm = bytes(range(256)) * 8
    raw = events.encode(events.OutputAudioDelta(**_PART, delta=pcm))
    assert base64.b64encode(pcm) in raw
    decoded = events.decode_server(raw)
    assert isinstance(decoded, events.OutputAudioDelta)
    assert decoded.delta == pcm


def test_unknown_types_and_fields_are_no_errors() -> None:
    assert events.decode_server(b'{"type":"x.y","event_id":"e","z":1}') == events.Unknown("x.y", "e")
    decoded = events.decode_server(b'{"type":"response.output_text.delta","response_id":"r","item_id":"i","delta":"a","obfuscation":"zz"}')
    assert isinstance(decoded, events.OutputTextDelta)


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        (b"nope", "invalid_json", None),
        (b"\xff\xfe\x00", "invalid_json", None),
        (b"[1]", "invalid_event", "type"),
        (b'{"event_id":"e"}', "invalid_event", "type"),
        (b'{"type":"conversation.item.delete"}', "missing_required_parameter", "item_id"),
        (b'{"type":"conversation.item.delete","item_id":5}', "invalid_value", "item_id"),
        (b'{"type":"input_audio_buffer.append","audio":"%%%"}', "invalid_value", "audio"),
        (b'{"type":"conversation.item.create","item":{"role":"user"}}', "missing_required_parameter", "item.type"),
        (b'{"type":' + b"[" * 100_000, "invalid_event", None),
        (b'{"type":"conversation.item.delete","item_id":"\xff\xfe"}', "invalid_json", None),
    ],
)
def test_what_is_malformed_is_blamed_in_the_words_of_the_api(raw: bytes, code: str, param: str | None) -> None:
    with pytest.raises(WireMalformed) as caught:
        events.decode_client(raw)
    assert caught.value.code in (code, "invalid_json")
    if param is not None:
        assert (caught.value.code, caught.value.param) == (code, param)


def test_the_event_at_fault_is_named() -> None:
    with pytest.raises(WireMalformed) as caught:
        events.decode_client(b'{"type":"conversation.item.delete","event_id":"mine"}')
    assert caught.value.event_id == "mine"


# what servers make of it ---------------------------------------------------------------------------------------------------


def done(**response: Any) -> bytes:
    return msgspec.json.encode({"type": "response.done", "response": {"id": "r1", "status": "completed", **response}})


@pytest.mark.parametrize(
    ("odd", "rest"),
    [
        ({"output": [{"type": "mcp_call", "error": "boom"}]}, {"output": [Item(type="mcp_call", error="boom")]}),
        ({"metadata": {"a": 1, "b": "c"}}, {"metadata": {"a": 1, "b": "c"}}),
        ({"metadata": [1]}, {}),
        ({"usage": "much"}, {}),
        ({"status": 5}, {"status": None}),
        ({"output_modalities": [1], "max_output_tokens": 1.5, "conversation_id": {}}, {"output_modalities": []}),
        ({"output": ["x", {"id": "no type"}, {"type": "message", "id": "i1"}]}, {"output": [Item(type="message", id="i1")]}),
        ({"output": [{"type": "message", "content": [{"type": "text", "text": 5}]}]}, None),
        ({"status_details": {"error": {"code": 5, "message": "m"}}}, {"status_details": StatusDetails(error=ErrorDetail(message="m"))}),
    ],
)
def test_an_odd_field_costs_that_field(odd: dict[str, Any], rest: dict[str, Any] | None) -> None:
    event = events.decode_server(done(**odd))
    if rest is None:
        rest = {"output": [Item(type="message", content=[Content(type="text")])]}
    assert event == events.ResponseDone(response=Response(**{"id": "r1", "status": "completed", **rest}))


def test_an_odd_field_of_a_beta_event() -> None:
    raw = b'{"type":"response.audio_transcript.delta","response_id":"r1","item_id":"i1","delta":"hi","output_index":"0"}'
    assert events.decode_server(raw) == events.OutputTranscriptDelta(response_id="r1", item_id="i1", delta="hi")


def test_a_client_is_told_of_its_odd_fields() -> None:
    with pytest.raises(WireMalformed):
        events.decode_client(b'{"type":"conversation.item.create","item":{"type":"message","role":5}}')


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"response.done","response":5}',
        b'{"type":"response.done","response":{"status":"completed"}}',
        b'{"type":"response.done","response":{"id":"r1","output":[5]},"response":7}',
        b'{"type":"response.done","response":{"id":"r1","output":[5]},"response":{"output":{}}}',
        b'{"type":"response.done","response":{"id":"r1","usage":5},"x":"\xff"}',
        done(usage=5)[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        done(output=[5] * 9),
        done(output=[5], usage={"much": "x" * (256 << 10)}),
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"AAA"}',
    ],
)
def test_what_can_not_be_mended_is_malformed(raw: bytes) -> None:
    with pytest.raises(WireMalformed):
        events.decode_server(raw)


ODD_IDS = ["x" * 513, "k\x1b[2J", "a\nb", "\u009b1m", "\u202egpj"]


@pytest.mark.parametrize("odd", ODD_IDS)
@pytest.mark.parametrize(
    ("type", "fields"),
    [
        ("response.created", lambda odd: {"response": {"id": odd}}),
        ("response.output_item.added", lambda odd: {"response_id": "r1", "item": {"id": odd, "type": "message"}}),
        ("response.output_item.done", lambda odd: {"response_id": odd, "item": {"id": "i1", "type": "message"}}),
        ("response.output_audio.delta", lambda odd: {"response_id": "r1", "item_id": odd, "delta": "AAAA"}),
        ("response.audio.delta", lambda odd: {"response_id": odd, "item_id": "i1", "delta": "AAAA"}),
        ("response.output_text.delta", lambda odd: {"response_id": "r1", "item_id": odd, "delta": "hi"}),
        ("input_audio_buffer.speech_started", lambda odd: {"item_id": odd}),
        ("conversation.item.input_audio_transcription.delta", lambda odd: {"item_id": odd, "delta": "hi"}),
    ],
)
def test_an_event_with_an_absurd_id_is_malformed(type: str, fields: Callable[[str], dict[str, Any]], odd: str) -> None:
    events.decode_server(msgspec.json.encode({"type": type, **fields("item_Ä 1")}))
    with pytest.raises(WireMalformed) as caught:
        events.decode_server(msgspec.json.encode({"type": type, **fields(odd)}))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 150
