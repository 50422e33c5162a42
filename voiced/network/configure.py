"""What the settings mean on the wire: the `session` of session.update, and what to do where a server refuses some of it. Pure.

A server rejects an update as a whole for one field it does not know (realtime-protocol 2.1): the tools are lost because of
`reasoning`. So the session is made of parts, one row of `PARTS` each, and what is refused is left out while the rest is sent again.

The settings are the flat map that the supervisor makes; what is missing there is as in `keys.KEYS`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import UNSET

from voiced.keys import KEYS
from voiced.messages import SAMPLE_RATE_HZ
from voiced.network.events import ErrorDetail, SessionUpdate

Settings = Mapping[str, Any]
#: path under `session` -> value
Values = dict[str, Any]

_DEFAULTS: Settings = {key.name.partition(".")[2]: key.default for key in KEYS.values() if key.name.startswith(("realtime.", "turn."))} | {
    "tools": (),
    "mcp": (),
}
#: What one connection can't change: its address and its key, and the voice, which the first sound locks (realtime-protocol 2.1).
OF_A_CONNECTION = ("provider", "url", "model", "voice", "token", "token_command", "auth", "ca_file", "proxy")
_OF_A_SERVER = ("provider", "url", "model")
#: Updates of a connection that an error may still be about; `session.updated` does not say which one it answers.
_KEPT = 32
_SHORTEST_IDLE_MS = 5000  # realtime-protocol 2.3

# the parts -----------------------------------------------------------------------------------------------------------


def _format(settings: Settings) -> Any:
    return {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ}


def _turn_detection(settings: Settings) -> Any:
    """Every field: a partial object falls back to other defaults than the documented ones (realtime-protocol 2.1, 2.3)."""
    if settings["mode"] == "push_to_talk":
        return None
    automatic = {"create_response": True, "interrupt_response": True}
    if settings["detection"] == "semantic_vad":
        return {"type": "semantic_vad", "eagerness": settings["eagerness"], **automatic}
    idle_ms = settings["idle_timeout_ms"]
    return {
        "type": "server_vad",
        "threshold": settings["threshold"],
        "prefix_padding_ms": settings["prefix_padding_ms"],
        "silence_duration_ms": settings["silence_ms"],
        "idle_timeout_ms": max(idle_ms, _SHORTEST_IDLE_MS) if idle_ms else None,
        **automatic,
    }


def _transcription(settings: Settings) -> Any:
    if not settings["transcription_model"]:
        return UNSET
    return {"model": settings["transcription_model"]} | ({"language": settings["language"]} if settings["language"] else {})


def _noise_reduction(settings: Settings) -> Any:
    return {"type": settings["noise_reduction"]} if settings["noise_reduction"] else UNSET


def _tools(settings: Settings) -> Any:
    functions = (
        {
            "type": "function",
            "name": tool["name"],
            **({"description": tool["description"]} if tool.get("description") else {}),
            # an object schema even where the tool takes nothing: servers that check it want one
            "parameters": {"type": "object", "properties": {}, **(tool.get("parameters") or {})},
        }
        for tool in settings["tools"]
    )
    return [*functions, *settings["mcp"]]


def _tool_choice(settings: Settings) -> Any:
    choice = settings["tool_choice"]
    if choice in ("auto", "none", "required"):
        return choice
    if any(server.get("server_label") == choice for server in settings["mcp"]):
        return {"type": "mcp", "server_label": choice}
    return {"type": "function", "name": choice}


def _truncation(settings: Settings) -> Any:
    if settings["truncation"] != "retention_ratio":
        return settings["truncation"]
    return {"type": "retention_ratio", "retention_ratio": settings["retention_ratio"]}


def _reasoning(settings: Settings) -> Any:
    return {"effort": settings["reasoning_effort"]} if settings["reasoning_effort"] else UNSET


class Part(NamedTuple):
    """What is refused together."""

    path: str  # under `session`
    name: str  # for people: where to change it
    make: Callable[[Settings], Any]  # UNSET: nothing is wanted
    clear: Any = UNSET  # what undoes it. A fresh session is as if that had been sent, so there it is not. UNSET: always sent
    base: bool = False  # no use on its own: refused with the rest of the base, where the server does not say what
    needs: str = ""  # path of what it is about


_TOOLS = "tools"
_VOICE = "audio.output.voice"
#: In the order in which they are sent where each goes on its own.
PARTS: tuple[Part, ...] = (
    Part("output_modalities", "spoken output", lambda settings: ["audio"], base=True),
    Part("audio.input.format", "the sound of the microphone", _format, base=True),
    Part("audio.output.format", "the sound of the voice", _format, base=True),
    Part("instructions", "realtime.instructions", lambda settings: settings["instructions"] or UNSET, clear=""),
    Part("audio.input.turn_detection", "[turn]", _turn_detection),
    Part("audio.input.transcription", "realtime.transcription_model", _transcription, clear=None),
    Part("audio.input.noise_reduction", "realtime.noise_reduction", _noise_reduction, clear=None),
    Part(_VOICE, "realtime.voice", lambda settings: settings["voice"] or UNSET),
    Part("audio.output.speed", "realtime.speed", lambda settings: settings["speed"], clear=1.0),
    Part(_TOOLS, "[tools] and [mcp]", _tools, clear=[]),
    Part("tool_choice", "realtime.tool_choice", _tool_choice, clear="auto", needs=_TOOLS),
    Part("max_output_tokens", "realtime.max_output_tokens", lambda settings: settings["max_output_tokens"] or UNSET, clear="inf"),
    Part("truncation", "realtime.truncation", _truncation, clear="auto"),
    Part("reasoning", "realtime.reasoning_effort", _reasoning, clear=None),
)
_BY_PATH = {part.path: part for part in PARTS}


class Refused:
    """What one server did not take. The same value is not tried again, another one is: who mends a setting wants it used."""

    def __init__(self) -> None:
        self._values: Values = {}
        self._kept: set[str] = set()  # paths of what may not be cleared
        self._tools: list[Any] = []

    def add(self, path: str, value: Any) -> bool:
        """True where people lose something by it: what could not be set need not be cleared."""
        if value == _BY_PATH[path].clear:
            self._kept.add(path)
            return path not in self._values
        self._values[path] = value
        return True

    def add_tool(self, tool: Any) -> None:
        self._tools.append(tool)

    def has(self, path: str, value: Any) -> bool:
        if value == _BY_PATH[path].clear:
            return path in self._kept
        return path in self._values and bool(self._values[path] == value)

    def without_tools(self, value: Any) -> Any:
        return [tool for tool in value if tool not in self._tools]


def differing(settings: Settings, told: Values, refused: Refused) -> Values:
    """What has to be sent to a server that was `told` so much, so that all is as the settings have it, but for what it refused."""
    settings = {**_DEFAULTS, **settings}
    values: Values = {}
    for part in PARTS:
        value = part.make(settings)
        if part.path == _TOOLS:
            value = refused.without_tools(value)
        # `required` without any tool fails each response
        if value is UNSET or (part.needs and not (told | values).get(part.needs)):
            value = part.clear
        if value is not UNSET and value != told.get(part.path, part.clear) and not refused.has(part.path, value):
            values[part.path] = value
    return values


def assembled(values: Values) -> dict[str, Any]:
    """The `session` object of so many parts. Those that are absent stay as they are on the server (realtime-protocol 2.1)."""
    session: dict[str, Any] = {"type": "realtime"}
    for path, value in values.items():
        *way, last = path.split(".")
        place = session
        for name in way:
            place = place.setdefault(name, {})
        place[last] = value
    return session


def session(settings: Settings) -> dict[str, Any]:
    """The whole `session` for a fresh connection, for a server that refuses nothing. What is at its default is left out."""
    return assembled(differing(settings, {}, Refused()))


# the updates of a conversation -----------------------------------------------------------------------------------------


class Change(NamedTuple):
    """What new settings mean for this connection: to be sent, or, with `reconnect`, that only a new connection can have them."""

    updates: tuple[SessionUpdate, ...]
    reconnect: bool


class Retry(NamedTuple):
    """What follows from a refusal: a line for people ("": nothing is given up yet), and what is sent instead."""

    warning: str
    updates: tuple[SessionUpdate, ...]


class Updates:
    """What the server was told and what it refused, in one conversation over many connections.

    Every update that is handed out has to be sent. All but `hello` and `change` is about the connection of the last `hello`.
    """

    def __init__(self, settings: Settings, new_id: Callable[[], str]) -> None:
        self._settings = settings
        self._new_id = new_id
        self._refused = Refused()
        self._begin()

    def _begin(self) -> None:
        self._live = self._settings  # what this connection has or shall have; older than _settings where it can't have those
        self._log: dict[str, Values] = {}  # event_id -> what was sent and not refused, oldest first
        self._before: Values = {}  # what was sent before that
        self._unanswered: list[str] = []

    def successor(self, settings: Settings) -> "Updates":
        """Those of another connection: what the same server and model refused is not tried again."""
        updates = Updates(settings, self._new_id)
        if all(self._live.get(name) == settings.get(name) for name in _OF_A_SERVER):
            updates._refused = self._refused
        return updates

    def hello(self) -> SessionUpdate:
        """All settings, for a connection that was just made; but for what this server and model refused before."""
        if any(self._live.get(name) != self._settings.get(name) for name in _OF_A_SERVER):
            self._refused = Refused()
        self._begin()
        return self._update(differing(self._live, {}, self._refused))

    def change(self, settings: Settings) -> Change:
        """New settings: the fields that differ from what this connection was told. While there is none, `updates` is of no use,
        as `hello` sends all."""
        self._settings = settings
        if any(self._live.get(name) != settings.get(name) for name in OF_A_CONNECTION):
            return Change((), True)
        self._live = settings
        return Change(self._sent([self._differing()]), False)

    @property
    def unanswered(self) -> int:
        """Updates that the server has neither taken nor refused so far."""
        return len(self._unanswered)

    def answered(self) -> None:
        """session.updated arrived: it does not say for which update, so for the oldest."""
        del self._unanswered[:1]

    def settle(self) -> None:
        """This server answers no updates: an error that names no event is not about them."""
        self._unanswered.clear()

    def refused(self, error: ErrorDetail) -> Retry | None:
        """What to do about an error of the server; None where it is not about an update.

        Ends: each call finds at least one more value refused, or takes an update apart into such as can't be taken apart.
        """
        event_id = self._blamed(error)
        if event_id is None:
            return None
        values, self._log[event_id] = self._log[event_id], {}
        if event_id in self._unanswered:
            self._unanswered.remove(event_id)
        if not values:  # a second complaint about the same update, or there was nothing left to leave out
            return Retry("", ())
        named = _named(error, values)
        if named is None and len(_groups(values)) > 1:
            return Retry("", self._sent(_groups(self._differing())))
        lost = self._leave_out([named[0]] if named else list(values), values, named[1] if named else None)
        words = " ".join(error.message.split()) or error.code or "it does not say why"
        warning = f"the server refuses {lost}, which is left out: {words}" if lost else ""
        return Retry(warning, self._sent([self._differing()]))

    def _leave_out(self, paths: list[str], values: Values, place: int | None) -> str:
        """Remembers the refusal; for people, the names of what they lose by it."""
        if paths == [_TOOLS] and place is not None and place < len(values[_TOOLS]):
            tool = values[_TOOLS][place]
            self._refused.add_tool(tool)
            return f"[tools.{tool['name']}]" if tool["type"] == "function" else f"[mcp.{tool.get('server_label')}]"
        return ", ".join(_BY_PATH[path].name for path in paths if self._refused.add(path, values[path]))

    def _blamed(self, error: ErrorDetail) -> str | None:
        """The event_id of the update that an error is about."""
        if error.event_id:
            return error.event_id if error.event_id in self._log else None
        naming = [event_id for event_id in self._unanswered if _named(error, self._log[event_id])]
        if not naming and error.param and not error.param.startswith("session"):
            return None  # it names a field of another event
        return next(iter(naming or self._unanswered), None)

    def _differing(self) -> Values:
        told = dict(self._before)
        for values in self._log.values():
            told |= values
        return differing(self._live, told, self._refused)

    def _sent(self, groups: Iterable[Values]) -> tuple[SessionUpdate, ...]:
        return tuple(self._update(values) for values in groups if values)

    def _update(self, values: Values) -> SessionUpdate:
        event_id = self._new_id()
        self._log[event_id] = values
        self._unanswered.append(event_id)
        while len(self._log) > _KEPT:
            oldest = next(iter(self._log))
            self._before |= self._log.pop(oldest)
            self._unanswered = [waiting for waiting in self._unanswered if waiting != oldest]
        return SessionUpdate(event_id=event_id, session=assembled(values))


def _groups(values: Values) -> list[Values]:
    """An update taken apart: the base, then each part on its own."""
    base = {path: value for path, value in values.items() if _BY_PATH[path].base}
    return [*([base] if base else []), *({path: value} for path, value in values.items() if path not in base)]


def _named(error: ErrorDetail, values: Values) -> tuple[str, int | None] | None:
    """Which part of an update an error names, in `param` or else in quotes; and the place in the list, where it names one."""
    if error.code == "cannot_update_voice" and _VOICE in values:
        return _VOICE, None
    quoted = re.findall(r"""['"`]([A-Za-z_][\w.\[\]]*)['"`]""", error.message)
    for words in (error.param or "", *quoted):
        name = re.sub(r"\[(\d+)\]", r".\1", words).removeprefix("session.")
        paths = [path for path, value in values.items() if _meant(name, path, value)]
        if len(paths) == 1:
            place = re.match(r"tools\.(\d+)", name)
            return paths[0], int(place[1]) if place else None
    return None


def _meant(name: str, path: str, value: Any) -> bool:
    """Whether `name` is that of a part or of something in it; servers leave out what stands before: `reasoning.effort`, `voice`,
    `idle_timeout_ms`."""
    way = path.split(".")
    endings = (".".join(way[start:]) for start in range(len(way)))
    return any(f"{name}.".startswith(f"{ending}.") for ending in endings) or (isinstance(value, dict) and name in value)
