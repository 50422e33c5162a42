import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from openai.types.realtime import RealtimeSessionCreateRequest, SessionUpdateEvent
from pydantic import BaseModel, TypeAdapter

from tests.network.script import SETTINGS
from voiced.embedded import settings as embedded
from voiced.network import configure, events
from voiced.network.configure import PARTS, Change, Retry, Updates
from voiced.network.events import ErrorDetail, SessionUpdate

WEATHER = {
    "name": "weather",
    "description": "The weather at a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    "command": [],
    "timeout_s": 20.0,
}
LIGHTS = {"name": "lights", "description": "", "parameters": {}, "command": ["/usr/bin/lights"], "timeout_s": 5.0}
DOCS = {"type": "mcp", "server_label": "docs", "server_url": "https://example.org/mcp", "authorization": "t", "require_approval": "always"}
#: Everything away from its default.
FULL: dict[str, Any] = {
    **SETTINGS,
    "speed": 1.2,
    "noise_reduction": "near_field",
    "reasoning_effort": "low",
    "max_output_tokens": 500,
    "tool_choice": "weather",
    "truncation": "retention_ratio",
    "retention_ratio": 0.7,
    "tools": [WEATHER, LIGHTS],
    "mcp": [DOCS],
}


def updates(of: dict[str, Any]) -> Updates:
    ids = itertools.count(1)
    return Updates(of, lambda: f"e{next(ids)}")


def parts_of(update: SessionUpdate) -> dict[str, Any]:
    """path -> value, of the parts that an update has."""
    found = {}
    for part in PARTS:
        place: Any = update.session
        for name in part.path.split("."):
            place = place.get(name, ...) if isinstance(place, dict) else ...
        if place is not ...:
            found[part.path] = place
    return found


def unnamed(update: SessionUpdate) -> ErrorDetail:
    return ErrorDetail(type="invalid_request_error", message="no", event_id=update.event_id)


def param(update: SessionUpdate, name: str) -> ErrorDetail:
    return ErrorDetail(type="invalid_request_error", code="unknown_parameter", message="no", param=name, event_id=update.event_id)


def unknown_to_openai(model: Any, path: str = "session") -> Iterator[str]:
    """What openai's types, which take everything, have no field for."""
    if isinstance(model, BaseModel):
        for name in model.model_extra or {}:
            yield f"{path}.{name}"
        for name in type(model).model_fields:
            yield from unknown_to_openai(getattr(model, name), f"{path}.{name}")
    elif isinstance(model, list):
        for inner in model:
            yield from unknown_to_openai(inner, path)


def check_with_openai(update: SessionUpdate) -> None:
    adapter: TypeAdapter[SessionUpdateEvent] = TypeAdapter(SessionUpdateEvent)
    model = adapter.validate_json(events.encode(update))
    assert isinstance(model.session, RealtimeSessionCreateRequest)
    assert list(unknown_to_openai(model)) == []


def in_embedded(update: SessionUpdate) -> embedded.Settings:
    """The embedded server's settings after an update: it refuses whatever is not as the API has it."""
    return embedded.updated(embedded.Settings(id="s", model="m", expires_at=0), update.session, voice_locked=False)


_WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
_TOOL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["weather", "lights", "music"]),
        "description": _WORDS,
        "parameters": st.sampled_from([{}, WEATHER["parameters"], {"properties": {"n": {"type": "integer"}}}]),
        "command": st.just([]),
        "timeout_s": st.just(1.0),
    }
)
#: What changes without a new connection.
_LIVE: dict[str, st.SearchStrategy[Any]] = {
    "instructions": _WORDS,
    "language": st.sampled_from(["", "en"]),
    "transcription_model": st.sampled_from(["", "whisper-1"]),
    "noise_reduction": st.sampled_from(["", "near_field", "far_field"]),
    "reasoning_effort": st.sampled_from(["", "minimal", "xhigh"]),
    "speed": st.sampled_from([0.25, 1.0, 1.5]),
    "max_output_tokens": st.sampled_from([0, 1, 4096]),
    "tool_choice": st.sampled_from(["auto", "none", "required", "weather", "docs"]),
    "truncation": st.sampled_from(["auto", "disabled", "retention_ratio"]),
    "retention_ratio": st.floats(0, 1),
    "mode": st.sampled_from(["vad", "push_to_talk"]),
    "detection": st.sampled_from(["server_vad", "semantic_vad"]),
    "threshold": st.floats(0, 1),
    "prefix_padding_ms": st.integers(0, 5000),
    "silence_ms": st.integers(50, 10_000),
    "idle_timeout_ms": st.sampled_from([0, 4000, 5000, 30_000]),
    "eagerness": st.sampled_from(["auto", "low", "medium", "high"]),
    "tools": st.lists(_TOOL, max_size=3),
    "mcp": st.lists(st.just(DOCS), max_size=1),
}
SOME = st.fixed_dictionaries(
    {"url": st.just("ws://127.0.0.1:1"), "model": st.sampled_from(["a", "b"]), "voice": st.sampled_from(["", "marin"]), **_LIVE}
)
ONE_CHANGE = st.sampled_from(sorted(_LIVE)).flatmap(lambda name: st.tuples(st.just(name), _LIVE[name]))

# the session ------------------------------------------------------------------------------------------------------------


def test_every_setting_has_its_place_in_the_session() -> None:
    assert configure.session(FULL) == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "whisper-1", "language": "en"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.4,
                    "prefix_padding_ms": 250,
                    "silence_duration_ms": 450,
                    "create_response": True,
                    "interrupt_response": True,
                    "idle_timeout_ms": None,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.2},
        },
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "The weather at a place.",
                "parameters": WEATHER["parameters"],
            },
            {"type": "function", "name": "lights", "parameters": {"type": "object", "properties": {}}},
            DOCS,
        ],
        "tool_choice": {"type": "function", "name": "weather"},
        "max_output_tokens": 500,
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.7},
        "reasoning": {"effort": "low"},
    }


def test_only_what_is_wanted_is_sent() -> None:
    bare = configure.session({"instructions": "", "voice": "", "language": "en"})
    assert bare.keys() == {"type", "output_modalities", "audio"}
    assert bare["audio"]["input"].keys() == {"format", "turn_detection"}
    assert bare["audio"]["output"].keys() == {"format"}


@pytest.mark.parametrize(
    ("changed", "turn_detection"),
    [
        ({"mode": "push_to_talk"}, None),
        (
            {"detection": "semantic_vad", "eagerness": "low"},
            {"type": "semantic_vad", "eagerness": "low", "create_response": True, "interrupt_response": True},
        ),
    ],
)
def test_who_hears_the_end_of_a_turn(changed: dict[str, Any], turn_detection: Any) -> None:
    assert configure.session({**SETTINGS, **changed})["audio"]["input"]["turn_detection"] == turn_detection


@pytest.mark.parametrize(("set_ms", "sent_ms"), [(0, None), (100, 5000), (8000, 8000)])
def test_the_idle_timeout_is_one_that_servers_take(set_ms: int, sent_ms: int | None) -> None:
    session = configure.session({**SETTINGS, "idle_timeout_ms": set_ms})
    assert session["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == sent_ms


def test_a_tool_choice_can_name_an_mcp_server() -> None:
    assert configure.session({**FULL, "tool_choice": "docs"})["tool_choice"] == {"type": "mcp", "server_label": "docs"}


def test_no_tool_is_required_where_there_is_none() -> None:
    assert "tool_choice" not in configure.session({**SETTINGS, "tool_choice": "required"})


@settings(deadline=None)
@given(SOME)
def test_openai_knows_every_field(some: dict[str, Any]) -> None:
    update = SessionUpdate(event_id="e1", session=configure.session(some))
    check_with_openai(update)
    in_embedded(update)


def test_the_check_with_openai_sees_a_field_that_does_not_exist() -> None:
    update = SessionUpdate(event_id="e1", session=configure.session(FULL))
    update.session["audio"]["output"]["pitch"] = 2
    with pytest.raises(AssertionError, match="pitch"):
        check_with_openai(update)


# a change of the settings -------------------------------------------------------------------------------------------------


def test_only_what_differs_is_sent() -> None:
    told = updates(FULL)
    told.hello()
    change = told.change({**FULL, "instructions": "Be long.", "reasoning_effort": "high"})
    assert not change.reconnect
    [update] = change.updates
    assert update.session == {"type": "realtime", "instructions": "Be long.", "reasoning": {"effort": "high"}}
    assert told.change({**FULL, "instructions": "Be long.", "reasoning_effort": "high"}) == Change((), False)


def test_back_to_the_default_is_said() -> None:
    told = updates(FULL)
    told.hello()
    [update] = told.change({**SETTINGS, "instructions": "", "transcription_model": ""}).updates
    check_with_openai(update)
    assert parts_of(update) == {
        "instructions": "",
        "audio.input.transcription": None,
        "audio.input.noise_reduction": None,
        "audio.output.speed": 1.0,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "reasoning": None,
    }


@pytest.mark.parametrize("name", ["provider", "url", "model", "voice", "token", "token_command", "auth", "ca_file", "proxy"])
def test_what_needs_a_new_connection(name: str) -> None:
    told = updates(FULL)
    told.hello()
    new = {**FULL, name: "other", "instructions": "Be long."}
    assert told.change(new) == Change((), True)
    assert told.change(new) == Change((), True)  # still so, until there is one
    assert told.change(FULL) == Change((), False)  # thought better of
    told.change(new)
    assert told.hello().session == configure.session(new)
    assert told.change(new) == Change((), False)


@settings(deadline=None)
@given(SOME, SOME)
def test_a_change_ends_where_a_fresh_connection_begins(before: dict[str, Any], after: dict[str, Any]) -> None:
    after = {**after, "model": before["model"], "voice": before["voice"]}
    told = updates(before)
    changed = in_embedded(told.hello())
    for update in told.change(after).updates:
        check_with_openai(update)
        changed = embedded.updated(changed, update.session, voice_locked=True)
    fresh = in_embedded(updates(after).hello())
    if not after["instructions"] and before["instructions"]:
        fresh.instructions = ""  # a server has its own, but there is no way back to them
    assert changed == fresh


# refusals ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message", "param", "lost"),
    [
        ("unknown_parameter", "no", "session.reasoning", "reasoning"),
        ("invalid_value", "no", "session.audio.input.noise_reduction.type", "audio.input.noise_reduction"),
        ("unknown_parameter", "no", "reasoning.effort", "reasoning"),
        ("unknown_parameter", "no", "audio.input.transcription", "audio.input.transcription"),
        ("unknown_parameter", "no", "turn_detection.idle_timeout_ms", "audio.input.turn_detection"),
        ("unknown_parameter", "Unknown parameter: 'session.truncation'.", None, "truncation"),
        ("unknown_parameter", 'unknown field "retention_ratio"', None, "truncation"),
        ("unknown_parameter", "no", "idle_timeout_ms", "audio.input.turn_detection"),
        ("invalid_value", "'low' is none of 'minimal' for `effort`", None, "reasoning"),
        ("invalid_value", "no", "session.output_modalities", "output_modalities"),
        ("invalid_value", "no", "session.tools", "tools"),
        ("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.", None, "audio.output.voice"),
    ],
)
def test_what_is_named_is_left_out_and_the_rest_sent_again(code: str, message: str, param: str | None, lost: str) -> None:
    told = updates(FULL)
    hello = told.hello()
    retry = told.refused(ErrorDetail(code=code, message=message, param=param, event_id=hello.event_id))
    assert retry is not None
    [update] = retry.updates
    rest = parts_of(hello)
    del rest[lost]
    if lost == "tools":
        del rest["tool_choice"]  # fails each response where there is no tool
    assert parts_of(update) == rest
    [name] = [part.name for part in PARTS if part.path == lost]
    assert retry.warning == f"the server refuses {name}, which is left out: {message}"


def test_one_bad_tool_is_left_out_alone() -> None:
    told = updates(FULL)
    hello = told.hello()
    retry = told.refused(param(hello, "session.tools[0].description"))
    assert retry is not None
    assert "[tools.weather]" in retry.warning
    assert [tool.get("name") for tool in retry.updates[0].session["tools"]] == ["lights", None]
    retry = told.refused(param(retry.updates[0], "session.tools.1.type"))
    assert retry is not None
    assert "[mcp.docs]" in retry.warning
    assert [tool["name"] for tool in retry.updates[0].session["tools"]] == ["lights"]


def test_where_nothing_is_named_only_the_refused_part_is_lost() -> None:
    told = updates(FULL)
    hello = told.hello()
    retry = told.refused(unnamed(hello))
    assert retry is not None
    assert retry.warning == ""
    first, *others = retry.updates
    assert parts_of(first).keys() == {"output_modalities", "audio.input.format", "audio.output.format"}
    assert [len(parts_of(update)) for update in others] == [1] * (len(PARTS) - 3)
    told.answered()
    [refused] = [update for update in others if "reasoning" in update.session]
    again = told.refused(unnamed(refused))
    assert again == Retry("the server refuses realtime.reasoning_effort, which is left out: no", ())


def test_where_the_base_is_refused_the_server_has_its_own() -> None:
    bare = {"instructions": "", "voice": "", "transcription_model": ""}
    told = updates(bare)
    retry = told.refused(unnamed(told.hello()))
    assert retry is not None
    base, turn_detection = retry.updates
    lost = told.refused(unnamed(base))
    assert lost is not None
    assert lost.updates == ()
    assert "the sound of the microphone" in lost.warning
    last = told.refused(unnamed(turn_detection))
    assert last is not None
    assert last.updates == ()
    # nothing is left, and still there is something to answer
    assert told.hello().session == {"type": "realtime"}


def test_without_tools_none_is_required_any_more() -> None:
    told = updates({**SETTINGS, "tools": [WEATHER], "tool_choice": "required"})
    retry = told.refused(unnamed(told.hello()))
    assert retry is not None
    [tools] = [update for update in retry.updates if "tools" in update.session]
    lost = told.refused(unnamed(tools))
    assert lost is not None
    assert [update.session for update in lost.updates] == [{"type": "realtime", "tool_choice": "auto"}]
    # nor is it worth a second line where the choice was refused as well
    [choice] = [update for update in retry.updates if "tool_choice" in update.session]
    first, second = told.refused(unnamed(choice)), told.refused(unnamed(lost.updates[0]))
    assert first is not None
    assert first.warning
    assert second == Retry("", ())


def test_a_refusal_is_remembered_for_the_server_and_the_value() -> None:
    told = updates(FULL)
    told.refused(param(told.hello(), "reasoning"))
    assert "reasoning" not in told.hello().session
    # mended, it is tried
    [update] = told.change({**FULL, "reasoning_effort": "high"}).updates
    assert update.session["reasoning"] == {"effort": "high"}
    told.change({**FULL, "model": "other"})
    assert "reasoning" in told.hello().session


def test_a_refused_change_leaves_what_was_in_force() -> None:
    told = updates(FULL)
    told.hello()
    told.answered()
    [update] = told.change({**FULL, "speed": 1.5}).updates
    retry = told.refused(param(update, "session.audio.output.speed"))
    assert retry is not None
    assert retry.updates == ()
    assert told.change({**FULL, "speed": 1.5}) == Change((), False)
    [back] = told.change({**FULL, "speed": 1.0}).updates
    assert parts_of(back) == {"audio.output.speed": 1.0}


def test_what_can_not_be_cleared_is_said_once() -> None:
    told = updates(FULL)
    told.hello()
    told.answered()
    bare = {**FULL, "reasoning_effort": ""}
    [update] = told.change(bare).updates
    assert update.session == {"type": "realtime", "reasoning": None}
    assert told.refused(unnamed(update)) == Retry("the server refuses realtime.reasoning_effort, which is left out: no", ())
    assert told.change(bare) == Change((), False)


def test_a_later_value_is_not_undone_by_an_earlier_refusal() -> None:
    told = updates(SETTINGS)
    told.hello()
    told.answered()
    [first] = told.change({**SETTINGS, "instructions": "A", "speed": 1.5}).updates
    told.change({**SETTINGS, "instructions": "B", "speed": 1.5})
    assert told.refused(param(first, "speed")) == Retry("the server refuses realtime.speed, which is left out: no", ())


def test_while_a_new_connection_is_waited_for_the_old_one_keeps_its_settings() -> None:
    told = updates(FULL)
    hello = told.hello()
    told.change({**FULL, "voice": "cedar", "instructions": "Be long."})
    retry = told.refused(param(hello, "reasoning"))
    assert retry is not None
    assert retry.updates[0].session["instructions"] == "Be brief."
    assert retry.updates[0].session["audio"]["output"]["voice"] == "marin"


def test_whose_error_it_is() -> None:
    told = updates(FULL)
    hello = told.hello()
    assert hello.event_id is not None
    assert told.refused(ErrorDetail(message="no", event_id="e99")) is None
    # without an id, by what it names, or else as long as an update is unanswered
    assert told.refused(ErrorDetail(message="no", param="item.id")) is None
    assert told.unanswered == 1
    told.answered()
    assert told.unanswered == 0
    assert told.refused(ErrorDetail(message="no")) is None
    [update] = told.change({**FULL, "speed": 1.5}).updates
    told.settle()
    assert told.refused(ErrorDetail(message="no")) is None
    # but by its id at any time: some servers send a session.updated that answers nothing
    assert told.refused(param(update, "speed")) is not None


def test_an_error_without_an_id_is_about_the_update_that_has_the_field() -> None:
    told = updates(FULL)
    told.hello()
    told.answered()
    told.change({**FULL, "instructions": "Be long."})
    told.change({**FULL, "instructions": "Be long.", "speed": 1.5})
    retry = told.refused(ErrorDetail(message="no", param="speed", event_id=""))
    assert retry == Retry("the server refuses realtime.speed, which is left out: no", ())
    assert told.unanswered == 1


def test_a_name_that_two_parts_have_names_none() -> None:
    told = updates(FULL)
    retry = told.refused(param(told.hello(), "format"))
    assert retry is not None
    assert not retry.warning
    assert len(retry.updates) > 1


def test_a_second_complaint_about_the_same_update_changes_nothing() -> None:
    told = updates(FULL)
    hello = told.hello()
    told.refused(param(hello, "reasoning"))
    assert told.refused(param(hello, "truncation")) == Retry("", ())


def test_the_servers_words_stay_on_one_line() -> None:
    told = updates(FULL)
    error = param(told.hello(), "reasoning")
    error.message = "no\n  such field\n"
    retry = told.refused(error)
    assert retry is not None
    assert retry.warning.endswith(": no such field")


def test_thousands_of_changes_leave_nothing_behind() -> None:
    told = updates(FULL)
    sent = [told.hello()]
    for number in range(1000):
        sent += told.change({**FULL, "instructions": str(number)}).updates
    assert all(parts_of(update).keys() == {"instructions"} for update in sent[1:])
    assert told.unanswered == 32
    assert told.change({**FULL, "instructions": "999"}) == Change((), False)
    assert told.refused(ErrorDetail(message="no", event_id=sent[-33].event_id)) is None
    assert told.refused(ErrorDetail(message="no", event_id=sent[-32].event_id)) is not None


# against a server that refuses -------------------------------------------------------------------------------------------

_PATHS = [part.path for part in PARTS]
_BASE = {part.path for part in PARTS if part.base}
_CLEAR = {part.path: part.clear for part in PARTS}
_WAYS = ("param", "short", "quoted", "only the event", "nothing")


class Server:
    """Refuses some parts, whatever their value, and says so in its own way."""

    def __init__(self, refuses: dict[str, str]) -> None:
        self.refuses = refuses  # path -> one of _WAYS
        self.has: dict[str, Any] = {}

    def take(self, update: SessionUpdate) -> ErrorDetail | None:
        """None: taken, session.updated."""
        values = parts_of(update)
        wrong = next((path for path in values if path in self.refuses), None)
        if wrong is None:
            self.has |= values
            return None
        way = self.refuses[wrong]
        error = ErrorDetail(type="invalid_request_error", message="no", event_id=update.event_id)
        if way == "param":
            error.param = f"session.{wrong}"
        elif way == "short":
            error.param = wrong.removeprefix("audio.")
        elif way == "quoted":
            error.message = f"Unknown parameter: 'session.{wrong}'."
        elif way == "nothing":
            error.event_id = None
        return error


def wanted(of: dict[str, Any]) -> dict[str, Any]:
    return parts_of(SessionUpdate(session=configure.session(of)))


def check_in_force(server: Server, of: dict[str, Any]) -> None:
    """All that was not refused is as the settings have it."""
    want = wanted(of)
    for path in _PATHS:
        if path in server.refuses:
            assert path not in server.has
        elif path == "tool_choice" and "tools" in server.refuses:
            assert server.has.get(path, "auto") == "auto"
        elif path not in _BASE or not _BASE & server.refuses.keys():
            assert server.has.get(path, _CLEAR[path]) == want.get(path, _CLEAR[path]), path


REFUSES = st.dictionaries(st.sampled_from(_PATHS), st.sampled_from(_WAYS), max_size=6)


@settings(deadline=None)
@given(SOME, REFUSES)
def test_each_refused_part_costs_one_warning_and_nothing_else(some: dict[str, Any], refuses: dict[str, str]) -> None:
    server, told = Server(refuses), updates(some)
    waiting, warnings = [told.hello()], []
    for _exchange in range(4 * len(PARTS)):
        error = server.take(waiting.pop(0))
        if error is None:
            told.answered()
        else:
            retry = told.refused(error)
            assert retry is not None
            warnings += [retry.warning] if retry.warning else []
            waiting += retry.updates
        if not waiting:
            break
    assert not waiting
    assert told.unanswered == 0
    check_in_force(server, some)
    # the base goes together where it is not named
    costly = {"base" if path in _BASE else path for path in wanted(some) if path in refuses}
    if "base" in costly:
        warnings = [warning for warning in warnings if not any(part.name in warning for part in PARTS if part.base)]
        costly.remove("base")
    if {"tools", "tool_choice"} <= costly and len(warnings) < len(costly):
        costly.remove("tool_choice")  # went with the tools
    assert len(warnings) == len(costly)
    assert server.take(told.hello()) is None  # a new connection does not try again


class Conversations(RuleBasedStateMachine):
    """Reloads and reconnections at any moment, against a server that answers when it likes."""

    @initialize(some=SOME, refuses=REFUSES)
    def begin(self, some: dict[str, Any], refuses: dict[str, str]) -> None:
        self.settings, self.refuses = some, refuses
        self.told = updates(some)
        self.gave_up: set[str] = set()
        self.connect()

    @rule()
    def connect(self) -> None:
        if getattr(self, "live", self.settings)["model"] != self.settings["model"]:
            self.gave_up.clear()
        self.server = Server(self.refuses)
        self.live = self.settings
        self.waiting: list[SessionUpdate] = []
        self.send(self.told.hello())

    def send(self, *new: SessionUpdate) -> None:
        for update in new:
            check_with_openai(update)
            for path, value in parts_of(update).items():
                assert json.dumps([path, value]) not in self.gave_up, "what was given up is sent again"
        self.waiting += new

    @rule(change=ONE_CHANGE)
    def reload(self, change: tuple[str, Any]) -> None:
        self.apply({**self.settings, change[0]: change[1]})

    @rule(model=st.sampled_from(["a", "b"]), voice=st.sampled_from(["", "marin"]))
    def reload_the_connection(self, model: str, voice: str) -> None:
        self.apply({**self.settings, "model": model, "voice": voice})

    def apply(self, new: dict[str, Any]) -> None:
        self.settings = new
        change = self.told.change(new)
        assert change.reconnect == any(new[name] != self.live[name] for name in ("model", "voice"))
        if change.reconnect:
            assert not change.updates
        else:
            self.live = new
            self.send(*change.updates)

    @precondition(lambda self: self.waiting)
    @rule()
    def answer(self) -> None:
        update = self.waiting.pop(0)
        error = self.server.take(update)
        if error is None:
            self.told.answered()
            return
        retry = self.told.refused(error)
        assert retry is not None
        sent = parts_of(update)
        lost = {part.path for part in PARTS if part.name in retry.warning.split(", which is left out: ")[0]} & sent.keys()
        assert bool(lost) == bool(retry.warning)
        assert lost & self.refuses.keys() or not lost
        # what is on its way already is not called back
        on_the_way = {json.dumps(pair) for other in self.waiting for pair in parts_of(other).items()}
        self.gave_up |= {json.dumps([path, sent[path]]) for path in lost} - on_the_way
        self.send(*retry.updates)

    @rule()
    def fall_silent(self) -> None:
        """All that is under way arrives: the loop has an end, and the server has what it takes."""
        for _exchange in range(10 * len(PARTS)):
            if not self.waiting:
                break
            self.answer()
        assert not self.waiting
        assert self.told.unanswered == 0
        check_in_force(self.server, self.live)


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
