"""The control contract as tables: every command, its arguments and answer, and every event. The daemon's dispatcher,
voicectl's commands and help, and `describe` all derive from them; the prose is control-protocol.md, version 1.

Also the pure half of the control socket: bytes -> Request (or the right ControlError), and answer -> bytes. Imported
by voicectl, so it imports next to nothing.
"""

from typing import Any, NamedTuple

import msgpack

from voiced.errors import (
    CONTROL_BY_CODE,
    BadArgument,
    BadRequest,
    ControlError,
    InternalControlError,
    UnknownCommand,
    UnsupportedVersion,
)

PROTOCOL = 1
LONGEST_REQUEST_BYTES = 1 << 20
_REQUIRED = object()
#: Commands a second: of a wheel that turns the volume, but not of a script that runs wild; and of what reads files or starts processes.
OFTEN, SELDOM = 50.0, 2.0


class Arg(NamedTuple):
    name: str
    type: type
    doc: str
    default: Any = _REQUIRED
    least: float | None = None
    most: float | None = None
    #: In a shell, for true and for false.
    words: tuple[str, str] | None = None
    may_be_empty: bool = False

    @property
    def required(self) -> bool:
        return self.default is _REQUIRED

    @property
    def shown(self) -> str:
        """In a usage line."""
        return "|".join(self.words) if self.words else self.name.upper()


class Command(NamedTuple):
    name: str
    owner: str  # the process that carries it out
    doc: str
    result: str
    args: tuple[Arg, ...] = ()
    #: Carried out so many times a second, and ten times that at once; who asks more often is refused. None is without limit.
    often: float | None = OFTEN
    #: It administers the daemon rather than use it: from another machine only with `allow.remote_admin`.
    admin: bool = False


_TEXT = Arg("text", str, "what to say", most=20_000)
_APPROVED = Arg("approved", bool, "whether it may be called", True, words=("yes", "no"))

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("ping", "supervisor", "Ask whether the daemon is there.", "version, pid, protocol", often=None),
        Command("status", "supervisor", "Show the whole state.", "the status map", often=None),
        Command("mute", "capture", "Switch the microphone off: no sample of it leaves the capture process.", "muted"),
        Command("unmute", "capture", "Switch the microphone on.", "muted"),
        Command("toggle_mute", "capture", "Switch the microphone on or off.", "muted"),
        Command("interrupt", "network", "Stop what is being said, at once.", "interrupted, item_id, played_ms"),
        Command("ask", "network", "Take a text as a turn of yours; it is answered aloud.", "item_id", (_TEXT,)),
        Command("say", "network", "Let the assistant say just this.", "queued", (_TEXT,)),
        Command(
            "talk",
            "network",
            "Push-to-talk: your turn begins with the press and ends with the release.",
            "pressed",
            (Arg("pressed", bool, "whether the key went down", words=("press", "release")),),
        ),
        Command("wake", "network", "Reconnect a session that fell asleep.", "connected"),
        Command(
            "volume",
            "playback",
            "Show or set how loud the assistant is, in percent.",
            "volume",
            (Arg("level", int, "0 to 150; left out: only show it", None, least=0, most=150),),
        ),
        Command("devices", "capture", "List the input and output devices, and which are in use.", "input, output", often=SELDOM * 5),
        Command(
            "transcript",
            "network",
            "Show the last turns: who, what, and where they were interrupted.",
            "turns",
            (Arg("limit", int, "how many turns at the most", 20, least=1, most=1000),),
        ),
        Command(
            "usage", "supervisor", "Show tokens and money, since the start and today.", "session, today, cap_usd, currency, prices_as_of"
        ),
        Command(
            "tool_result",
            "network",
            "Answer a `tool.call` event.",
            "accepted",
            (
                Arg("call_id", str, "the call's, from the event", most=512),
                Arg("output", str, "what the model is told", most=200_000, may_be_empty=True),
            ),
        ),
        Command(
            "approve",
            "network",
            "Answer a `tool.approval` event.",
            "accepted",
            (Arg("approval_id", str, "the request's, from the event", most=512), _APPROVED),
            admin=True,
        ),
        Command(
            "reload",
            "supervisor",
            "Read the settings anew; say what changed, and what needs a restart.",
            "changed, restart",
            often=SELDOM,
            admin=True,
        ),
        Command(
            "profile",
            "supervisor",
            "Switch to a profile of the settings, or list them.",
            "profile, profiles, restart",
            (Arg("name", str, "its name; `none` for the settings as they are", None, most=200),),
            SELDOM,
        ),
        Command(
            "record",
            "network",
            "Write what goes over the wire to a file, without secrets and sound, for a bug report.",
            "recording, path",
            (Arg("on", bool, "whether to", words=("on", "off")),),
            SELDOM,
            admin=True,
        ),
        Command(
            "restart",
            "supervisor",
            "Restart one process.",
            "process",
            (Arg("process", str, "its name, as in `status`", most=40),),
            SELDOM,
            admin=True,
        ),
        Command("shutdown", "supervisor", "End the daemon cleanly.", "stopping", admin=True),
        Command("describe", "supervisor", "Describe every command, event and field.", "protocol, commands, events"),
    )
}


class Topic(NamedTuple):
    name: str
    doc: str
    fields: tuple[str, ...]


#: Of the status map.
STATUS_FIELDS = (
    "state",
    "muted",
    "mode",
    "version",
    "pid",
    "uptime_s",
    "session",
    "processes",
    "audio",
    "barge_in",
    "usage",
    "events",
    "troubles",
)

EVENTS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        Topic("status", "The whole state: a snapshot on subscription.", STATUS_FIELDS),
        Topic("state", "The daemon's state changed.", ("state", "previous")),
        Topic(
            "speech.started",
            "The user started to speak. What was heard here first is told again when the server names its item.",
            ("item_id", "audio_ms", "source"),
        ),
        Topic("speech.stopped", "The user stopped speaking.", ("item_id", "audio_ms", "source")),
        Topic("flush", "The assistant was silenced.", ("epoch", "reason", "item_id", "played_ms", "dropped_ms", "latency_ms")),
        Topic("duck", "The assistant lowered its voice because somebody may be speaking, or raised it again.", ("lowered", "latency_ms")),
        Topic("wake", "The wake word was heard.", ("word", "probability")),
        Topic("response.started", "The model began to answer.", ("response_id",)),
        Topic("response.done", "The model finished, failed or was cut off.", ("response_id", "status", "reason", "usage")),
        Topic("transcript.user", "What the user said.", ("item_id", "text", "final")),
        Topic("transcript.assistant", "What the assistant says.", ("item_id", "text", "final")),
        Topic("turn", "A turn is over, and this was heard of it.", ("item_id", "role", "text", "heard", "interrupted", "played_ms")),
        Topic(
            "tool.call",
            "The model calls a tool that scripts answer: who subscribes to it by name, not just to all.",
            ("call_id", "name", "arguments"),
        ),
        Topic("tool.done", "A tool was answered for.", ("call_id", "name", "ok", "took_ms")),
        Topic("tool.approval", "A tool of an MCP server wants to be allowed.", ("approval_id", "server", "name", "arguments")),
        Topic(
            "usage", "Tokens and money, after each response and transcription.", ("session", "today", "cap_usd", "currency", "prices_as_of")
        ),
        Topic("session", "The connection to the server changed.", ("connected", "reason", "attempt", "retry_in_s")),
        Topic("process", "A process changed its state.", ("name", "state", "pid", "restarts", "reason")),
        Topic("level", "Ten times a second while anyone listens.", ("input_dbfs", "output_dbfs")),
        Topic("error", "Something went wrong.", ("code", "message", "fatal")),
    )
}

STATES = ("connecting", "asleep", "idle", "listening", "hearing", "thinking", "speaking", "muted", "offline", "failed")


def may_begin_topic(prefix: bytes) -> bool:
    """Whether events can begin so: a subscription to what will never come would only cost memory."""
    return any(name.encode().startswith(prefix) for name in EVENTS)


class Request(NamedTuple):
    id: Any
    command: Command
    args: dict[str, Any]


class RequestRefused(Exception):
    """A request that is answered at once with an error; `id` is echoed where one could be read."""

    def __init__(self, error: ControlError, id: Any = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.id = id


def parse_request(body: bytes) -> Request:
    """The request in one message of the control socket. Raises RequestRefused for whatever is none."""
    if len(body) > LONGEST_REQUEST_BYTES:
        raise RequestRefused(BadRequest(f"{len(body)} bytes are too many; a request has at most {LONGEST_REQUEST_BYTES}"))
    try:
        request = msgpack.unpackb(body)
    except Exception as error:  # msgpack raises ValueError, its own tree, and RecursionError for hostile depth
        raise RequestRefused(BadRequest(f"not msgpack: {type(error).__name__}")) from error
    if not isinstance(request, dict):
        raise RequestRefused(BadRequest("a request is a map with at least `cmd`"))
    id = request.get("id")
    try:
        return Request(id, *_checked(request))
    except ControlError as error:
        raise RequestRefused(error, id) from error


def _checked(request: dict[Any, Any]) -> tuple[Command, dict[str, Any]]:
    version = request.get("v", PROTOCOL)
    if version != PROTOCOL:
        raise UnsupportedVersion(f"this daemon speaks version {PROTOCOL} of the control protocol, not {_shown(version)}")
    name = request.get("cmd")
    command = COMMANDS.get(name) if isinstance(name, str) else None
    if command is None:
        raise UnknownCommand(f"no command {_shown(name)}; `describe` lists them")
    given = request.get("args") or {}
    if not isinstance(given, dict):
        raise BadArgument("args is a map of names to values", "args")
    return command, {arg.name: _value(arg, given) for arg in command.args}


def _shown(value: object) -> str:
    """What was given, for a message. Only of text and numbers: the repr of a map nested 1000 deep ends in RecursionError."""
    text = repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def _value(arg: Arg, given: dict[Any, Any]) -> Any:
    if arg.name not in given or (given[arg.name] is None and arg.default is None):
        if arg.required:
            raise BadArgument(f"{arg.name} is missing: {arg.doc}", arg.name)
        return arg.default
    value = given[arg.name]
    if not isinstance(value, arg.type) or (isinstance(value, bool) and arg.type is not bool):
        raise BadArgument(f"{arg.name} must be of type {arg.type.__name__}", arg.name)
    size: Any = len(value) if isinstance(value, str) else value
    if isinstance(value, str) and not value.strip() and not arg.may_be_empty:
        raise BadArgument(f"{arg.name} is empty", arg.name)
    if arg.least is not None and size < arg.least:
        raise BadArgument(f"{arg.name} must be at least {arg.least:g}", arg.name)
    if arg.most is not None and size > arg.most:
        raise BadArgument(f"{arg.name} must be at most {arg.most:g}" + (" characters" if isinstance(value, str) else ""), arg.name)
    return value


def pack_request(id: Any, command: str, args: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb({"v": PROTOCOL, "id": id, "cmd": command, "args": args})
    return packed


def pack_result(id: Any, result: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb({"v": PROTOCOL, "id": id, "ok": True, "result": result})
    return packed


def pack_refusal(id: Any, error: ControlError) -> bytes:
    detail = {"code": error.code, "message": error.message}
    if error.field is not None:
        detail["field"] = error.field
    packed: bytes = msgpack.packb({"v": PROTOCOL, "id": id, "ok": False, "error": detail})
    return packed


def pack_event(seq: int, unix_s: float, data: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb({"v": PROTOCOL, "seq": seq, "time": unix_s, "data": data})
    return packed


def unpack_answer(body: bytes) -> tuple[Any, dict[str, Any] | ControlError]:
    """The id, and the result or the error, of an answer. Raises ValueError for what is none."""
    try:
        answer = msgpack.unpackb(body)
        if answer["ok"]:
            return answer["id"], answer["result"]
        error = answer["error"]
        kind = CONTROL_BY_CODE.get(error["code"], InternalControlError)
        return answer["id"], kind(error["message"], error.get("field"))
    except (KeyError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise ValueError("no answer of the control protocol") from error


def unpack_event(body: bytes) -> tuple[int, float, dict[str, Any]]:
    """The sequence number, unix time and data of an event. Raises ValueError for what is none."""
    try:
        event = msgpack.unpackb(body)
        return event["seq"], event["time"], event["data"]
    except (KeyError, TypeError, msgpack.UnpackException) as error:
        raise ValueError("no event of the control protocol") from error


def describe() -> dict[str, Any]:
    """What `describe` answers: the tables, as plain maps."""
    return {
        "protocol": PROTOCOL,
        "states": list(STATES),
        "commands": {
            command.name: {
                "doc": command.doc,
                "result": command.result,
                "args": {arg.name: {"type": arg.type.__name__, "doc": arg.doc, "required": arg.required} for arg in command.args},
            }
            for command in COMMANDS.values()
        },
        "events": {topic.name: {"doc": topic.doc, "fields": list(topic.fields)} for topic in EVENTS.values()},
    }
