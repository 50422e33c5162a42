"""The parts that events of the Realtime wire are made of: items, their content, responses. `events` has the events and the
rules of decoding, and hands these on."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

LONGEST_ID: Final = 512
_LONGEST_NAME: Final = 200
_LONGEST_WORDS: Final = 4000
#: No control characters, nor those that turn the direction of text: ids are told to people and scripts.
PLAIN: Final = r"\A[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]*\Z"
NOT_PLAIN: Final = "an id with control characters"
Id = Annotated[str, Meta(max_length=LONGEST_ID, pattern=PLAIN)]
BoundedId = Annotated[str, Meta(max_length=LONGEST_ID)]


class Content(Struct, kw_only=True, omit_defaults=True):
    """One content part of a message item: input_text, input_audio, input_image, output_text, output_audio; of servers with
    beta names also text and audio."""

    type: str
    text: str | None = None
    audio: bytes | None = None
    transcript: str | None = None
    image_url: str | None = None


class Item(Struct, kw_only=True, omit_defaults=True):
    """A conversation item: message, function_call, function_call_output, mcp_list_tools, mcp_call, mcp_approval_request or
    mcp_approval_response; others keep only what they share with these."""

    type: str
    id: Id | None = None
    object: str | None = None
    status: str | None = None
    role: str | None = None
    content: list[Content] | UnsetType = UNSET
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None
    server_label: str | None = None
    approval_request_id: str | None = None
    approve: bool | None = None
    reason: str | None = None
    tools: list[dict[str, Any]] | UnsetType | None = UNSET
    error: Any = None  # an object, but of some servers text


class ErrorDetail(Struct, kw_only=True):
    """`error.error`; also the error of a failed response or transcription. Servers leave out what they like, and what is longer than
    anybody reads is cut here, before anybody looks for words in it."""

    type: str = ""
    code: str | None = None
    message: str = ""
    param: str | None = None
    event_id: str | None = None

    def __post_init__(self) -> None:
        self.type, self.message = self.type[:_LONGEST_NAME], self.message[:_LONGEST_WORDS]
        self.code = self.code and self.code[:_LONGEST_NAME]
        self.param = self.param and self.param[:_LONGEST_NAME]


class StatusDetails(Struct, kw_only=True, omit_defaults=True):
    type: str | None = None
    reason: str | None = None
    error: ErrorDetail | None = None


class Response(Struct, kw_only=True):
    id: Id
    object: str = "realtime.response"
    status: str | None = None
    status_details: StatusDetails | None = None
    output: list[Item] = msgspec.field(default_factory=list)
    conversation_id: str | None = None
    output_modalities: list[str] | UnsetType | None = UNSET
    max_output_tokens: int | str | UnsetType | None = UNSET
    audio: dict[str, Any] | UnsetType | None = UNSET
    usage: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class Part(Struct, kw_only=True, omit_defaults=True):
    """The part of response.content_part.*: `audio` or `text` here, not output_audio (realtime-protocol 3.4)."""

    type: str
    text: str | None = None
    transcript: str | None = None


class ResponseParams(Struct, kw_only=True, omit_defaults=True):
    """`response.create.response`: overrides of the session for one response."""

    conversation: str | None = None
    instructions: str | None = None
    input: list[Item] | UnsetType = UNSET
    output_modalities: list[str] | UnsetType = UNSET
    audio: dict[str, Any] | UnsetType = UNSET
    tools: list[dict[str, Any]] | UnsetType = UNSET
    tool_choice: Any = UNSET
    max_output_tokens: int | str | UnsetType = UNSET
    metadata: dict[str, str] | None = None
