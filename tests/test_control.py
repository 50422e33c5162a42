import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced import control
from voiced.control import COMMANDS, EVENTS, Request, RequestRefused, parse_request
from voiced.errors import BadArgument, ControlError, NotNow


def parse(request: Any) -> Request:
    return parse_request(msgpack.packb(request))


def packed_with_nested(field: str, depth: int) -> bytes:
    """As no packer of ours makes it: it stops at a depth of 511."""
    packed: bytes = b"\x81" + msgpack.packb(field) + b"\x91" * depth + b"\x01"
    return packed


def refusal(request: Any) -> tuple[str, str | None]:
    with pytest.raises(RequestRefused) as caught:
        parse_request(request if isinstance(request, bytes) else msgpack.packb(request))
    return caught.value.error.code, caught.value.error.field


def test_a_request_is_what_was_packed() -> None:
    request = parse_request(control.pack_request(7, "transcript", {"limit": 5}))
    assert request == Request(7, COMMANDS["transcript"], {"limit": 5})


def test_defaults_fill_what_is_left_out() -> None:
    assert parse({"cmd": "transcript"}).args == {"limit": 20}
    assert parse({"cmd": "ping", "args": None, "unknown": 1}) == Request(None, COMMANDS["ping"], {})


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (b"\xc1", "bad_request", None),
        (b"", "bad_request", None),
        (b"\x91" * 5000, "bad_request", None),
        (bytes(control.LONGEST_REQUEST_BYTES + 1), "bad_request", None),
        ("text", "bad_request", None),
        ({}, "unknown_command", None),
        ({"cmd": ["ping"]}, "unknown_command", None),
        ({"cmd": "x" * 10_000}, "unknown_command", None),
        (packed_with_nested("cmd", 1015), "unknown_command", None),
        (packed_with_nested("v", 1015), "unsupported_version", None),
        ({"cmd": "ping", "v": 2}, "unsupported_version", None),
        ({"cmd": "ping", "v": "1"}, "unsupported_version", None),
        ({"cmd": "say", "args": [1]}, "bad_argument", "args"),
        ({"cmd": "say"}, "bad_argument", "text"),
        ({"cmd": "say", "args": {"text": 5}}, "bad_argument", "text"),
        ({"cmd": "say", "args": {"text": " \n"}}, "bad_argument", "text"),
        ({"cmd": "say", "args": {"text": "x" * 20_001}}, "bad_argument", "text"),
        ({"cmd": "transcript", "args": {"limit": True}}, "bad_argument", "limit"),
        ({"cmd": "transcript", "args": {"limit": 0}}, "bad_argument", "limit"),
        ({"cmd": "transcript", "args": {"limit": 1001}}, "bad_argument", "limit"),
        ({"cmd": "transcript", "args": {"limit": 1.5}}, "bad_argument", "limit"),
    ],
)
def test_refusals_name_what_is_wrong(request_: Any, code: str, field: str | None) -> None:
    assert refusal(request_) == (code, field)


def test_a_tool_may_answer_nothing() -> None:
    assert parse({"cmd": "tool_result", "args": {"call_id": "c", "output": ""}}).args == {"call_id": "c", "output": ""}
    assert refusal({"cmd": "tool_result", "args": {"call_id": "", "output": "x"}}) == ("bad_argument", "call_id")


def test_null_is_left_out_where_that_is_allowed() -> None:
    assert parse({"cmd": "profile", "args": {"name": None}}).args == {"name": None}
    assert refusal({"cmd": "profile", "args": {"name": 7}}) == ("bad_argument", "name")
    assert refusal({"cmd": "say", "args": {"text": None}}) == ("bad_argument", "text")


def test_a_refusal_keeps_the_id_where_there_is_one() -> None:
    with pytest.raises(RequestRefused) as caught:
        parse({"id": "mine", "cmd": "fly"})
    assert caught.value.id == "mine"
    assert len(caught.value.error.message) < 200


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused_packably(body: bytes) -> None:
    _, error = control.unpack_answer(_answered(body))
    assert isinstance(error, dict | ControlError)


def _answered(body: bytes) -> bytes:
    try:
        request = parse_request(body)
    except RequestRefused as refused:
        return control.pack_refusal(refused.id, refused.error)
    return control.pack_result(request.id, {})


def test_answers_and_events_survive_the_wire() -> None:
    assert control.unpack_answer(control.pack_result(3, {"muted": True})) == (3, {"muted": True})
    id, error = control.unpack_answer(control.pack_refusal(None, BadArgument("no", "text")))
    assert id is None
    assert isinstance(error, BadArgument)
    assert (error.message, error.field) == ("no", "text")
    _, error = control.unpack_answer(control.pack_refusal(1, NotNow("later")))
    assert isinstance(error, NotNow)
    assert control.unpack_event(control.pack_event(5, 12.5, {"state": "idle"})) == (5, 12.5, {"state": "idle"})


_NEARLY = st.dictionaries(st.sampled_from(["ok", "id", "error", "result", "seq", "data"]), st.booleans() | st.text() | st.binary())


@given(st.binary(max_size=60) | _NEARLY.map(msgpack.packb))
def test_any_bytes_are_an_answer_or_a_value_error(body: bytes) -> None:
    for unpack in (control.unpack_answer, control.unpack_event):
        with contextlib.suppress(ValueError):
            assert len(unpack(body)) >= 2


def test_describe_is_the_tables_and_goes_over_the_wire() -> None:
    described = control.describe()
    assert msgpack.unpackb(msgpack.packb(described)) == described
    assert set(described["commands"]) == set(COMMANDS)
    assert set(described["events"]) == set(EVENTS)
    assert described["commands"]["transcript"]["args"]["limit"]["required"] is False


def test_the_tables_are_keyed_by_name_and_documented() -> None:
    for name, command in COMMANDS.items():
        assert command.name == name
        assert command.doc.endswith(".")
    for name, topic in EVENTS.items():
        assert topic.name == name
        assert topic.doc.endswith(".")
    assert {command.owner for command in COMMANDS.values()} <= {"supervisor", "capture", "playback", "network"}
