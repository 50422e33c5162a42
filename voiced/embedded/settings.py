"""A session's settings: defaults, what a client may change, and what is refused (realtime-protocol 2).

An update is merged into what is set already, field by field, down to `audio.input` and `audio.output`; what lies below
(a turn detection, a format) is replaced whole. Then the result is checked whole, so an update with one error changes nothing.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from voiced.embedded.refusal import Refused

DEFAULT_MODEL = "voiced-embedded"
DEFAULT_INSTRUCTIONS = "You are a helpful voice assistant. Answer briefly, in plain spoken words."

Modalities = Annotated[list[Literal["audio", "text"]], Meta(min_length=1, max_length=1)]
MaxTokens = Annotated[int, Meta(ge=1, le=4096)] | Literal["inf"]


class _Strict(Struct, kw_only=True, forbid_unknown_fields=True):
    pass


class Pcm(_Strict, tag="audio/pcm", tag_field="type"):
    """The only format here; the telephone's (audio/pcmu, audio/pcma) are refused."""

    rate: Literal[24000] = 24000


class ServerVad(_Strict, tag="server_vad", tag_field="type"):
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Meta(ge=0)] = 300
    # 500 in the documents, 200 in every recorded session.created (realtime-protocol 2.3)
    silence_duration_ms: Annotated[int, Meta(ge=0)] = 200
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, Meta(ge=5000, le=30000)] | None = None


class SemanticVad(_Strict, tag="semantic_vad", tag_field="type"):
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


class Transcription(_Strict, omit_defaults=True):
    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    prompt: str | None = None
    keywords: list[str] | None = None
    delay: str | None = None


class NoiseReduction(_Strict, omit_defaults=True):
    type: Literal["near_field", "far_field"]
    strength: float | None = None


class Input(_Strict):
    format: Pcm = msgspec.field(default_factory=Pcm)
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: ServerVad | SemanticVad | None = msgspec.field(default_factory=ServerVad)


class VoiceId(_Strict):
    id: str


class Output(_Strict):
    format: Pcm = msgspec.field(default_factory=Pcm)
    voice: str | VoiceId = "alloy"
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] = 1.0


class Audio(_Strict):
    input: Input = msgspec.field(default_factory=Input)
    output: Output = msgspec.field(default_factory=Output)


class Settings(_Strict, kw_only=True):
    """The whole configuration as `session.created` shows it."""

    type: Literal["realtime"] = "realtime"
    object: Literal["realtime.session"] = "realtime.session"
    id: str
    model: str
    expires_at: int
    output_modalities: Modalities = msgspec.field(default_factory=lambda: ["audio"])
    instructions: str = DEFAULT_INSTRUCTIONS
    audio: Audio = msgspec.field(default_factory=Audio)
    tools: list[dict[str, Any]] = msgspec.field(default_factory=list)
    tool_choice: Literal["auto", "none", "required"] | dict[str, Any] = "auto"
    max_output_tokens: MaxTokens = "inf"
    truncation: str | dict[str, Any] = "auto"
    tracing: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    include: list[str] | None = None
    reasoning: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    @property
    def functions(self) -> tuple[dict[str, Any], ...]:
        """The tools that may be called: there is nothing here that could reach an MCP server."""
        return () if self.tool_choice == "none" else tuple(tool for tool in self.tools if tool["type"] == "function")

    @property
    def speaks(self) -> bool:
        return self.output_modalities == ["audio"]

    def as_sent(self) -> dict[str, Any]:
        """The `session` of session.created and session.updated."""
        sent: dict[str, Any] = msgspec.to_builtins(self)
        return sent


_FIXED = ("id", "object", "model", "expires_at")


def updated(old: Settings, patch: dict[str, Any], *, voice_locked: bool) -> Settings:
    """The settings after a `session.update`.

    Raises Refused, with `old` untouched, where a field is unknown, wrong or may not change now.
    """
    if "type" not in patch:
        raise Refused("Missing required parameter: 'session.type'.", "missing_required_parameter", "session.type")
    if patch["type"] == "transcription":
        raise Refused("This server has no transcription sessions; 'session.type' must be 'realtime'.", "invalid_value", "session.type")
    new = checked(_merged(old.as_sent(), patch), Settings, "session")
    for name in _FIXED:
        if getattr(new, name) != getattr(old, name):
            raise Refused(f"'session.{name}' can't be changed in a session.", "invalid_value", f"session.{name}")
    if voice_locked and new.audio.output.voice != old.audio.output.voice:
        raise Refused(
            "Cannot update a conversation's voice if assistant audio is present.", "cannot_update_voice", "session.audio.output.voice"
        )
    if old.tracing is not None and new.tracing != old.tracing:
        raise Refused("Tracing can't be changed once it is enabled.", "invalid_value", "session.tracing")
    _check_tools(new.tools, "session.tools")
    return new


def overridden(session: Settings, changes: dict[str, Any]) -> Settings:
    """The session's settings for one response. Raises Refused."""
    output = changes.get("audio", {})
    if not isinstance(output, dict) or output.keys() - {"output"}:
        raise Refused("'response.audio' has only 'output'.", "unknown_parameter", "response.audio")
    new = checked(_merged(session.as_sent(), changes), Settings, "response")
    _check_tools(new.tools, "response.tools")
    return new


def _merged(old: dict[str, Any], patch: dict[str, Any], path: str = "") -> dict[str, Any]:
    merged = dict(old)
    for name, value in patch.items():
        place = f"{path}{name}"
        deeper = place in ("audio", "audio.input", "audio.output") and isinstance(value, dict)
        merged[name] = _merged(old[name], value, f"{place}.") if deeper else value
    return merged


def checked(value: dict[str, Any], kind: type[Settings], root: str) -> Settings:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), root) from error


def _refusal(complaint: str, root: str) -> Refused:
    """The API's code and parameter from msgspec's words, as in "... unknown field `foo` - at `$.audio`"."""
    path = re.search(r" - at `\$\.?([^`]*)`$", complaint)
    where = ".".join(part for part in (root, path[1] if path else "") if part)
    words = complaint.split(" - at ")[0]
    if unknown := re.search(r"unknown field `([^`]+)`", complaint):
        return Refused(f"Unknown parameter: '{where}.{unknown[1]}'.", "unknown_parameter", f"{where}.{unknown[1]}")
    if missing := re.search(r"missing required field `([^`]+)`", complaint):
        return Refused(f"Missing required parameter: '{where}.{missing[1]}'.", "missing_required_parameter", f"{where}.{missing[1]}")
    return Refused(f"Invalid value: '{where}': {words}.", "invalid_value", where)


def _check_tools(tools: list[dict[str, Any]], where: str) -> None:
    for place, tool in enumerate(tools):
        if tool.get("type") not in ("function", "mcp"):
            raise Refused("A tool's type is 'function' or 'mcp'.", "invalid_value", f"{where}[{place}].type")
        if tool["type"] == "function" and not isinstance(tool.get("name"), str):
            raise Refused(f"Missing required parameter: '{where}[{place}].name'.", "missing_required_parameter", f"{where}[{place}].name")
