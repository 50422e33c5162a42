import contextlib
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.messages import MESSAGES, Epoch, Flushed, Message, MessageMalformed, MonoNs, PartHeard, Publish, Ready, decode, encode

_VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8)
_FIELDS = st.dictionaries(st.text(max_size=8), _VALUES, max_size=3)
_NEARLY = st.lists(st.integers(-2, 20) | st.text(max_size=3) | st.lists(_VALUES), max_size=8)
st.register_type_strategy(Epoch, st.integers(0, 2**40).map(Epoch))
st.register_type_strategy(MonoNs, st.integers(0, 2**62).map(MonoNs))
st.register_type_strategy(int, st.integers(-(2**63), 2**64 - 1))


def _any(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Messages of a kind, from the annotations of its fields."""
    return st.builds(kind, **{name: _FIELDS for name, type in kind.__annotations__.items() if type == dict[str, Any]})


@given(st.one_of([_any(kind) for kind in MESSAGES]))
def test_what_is_sent_is_what_arrives(message: Message) -> None:
    assert decode(encode(message)) == message
    assert type(decode(encode(message))) is type(message)


def test_the_parts_of_a_flush_arrive_typed() -> None:
    decoded = decode(encode(Flushed(Epoch(1), (PartHeard("a", 0, 40),), 5, 900, True)))
    assert isinstance(decoded, Flushed)
    assert isinstance(decoded.heard[0], PartHeard)


def test_the_table_has_every_message_once() -> None:
    assert set(MESSAGES) == set(get_args(Message))
    assert len(MESSAGES) == len(set(MESSAGES))


@given(st.binary(max_size=60) | _NEARLY.map(msgpack.packb))
def test_garbage_is_malformed_and_nothing_else(header: bytes) -> None:
    with contextlib.suppress(MessageMalformed):
        assert decode(header) is not None


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",
        *(msgpack.packb(what) for what in (3, [], [99], [0], ["x"], [4, 1, [3], 0, 0, 0], [-1, True, 0], [0, "1", 2, True], [9, 20, b"x"])),
    ],
)
def test_what_is_no_message(header: bytes) -> None:
    with pytest.raises(MessageMalformed, match="no bus message"):
        decode(header)


def test_maps_keep_their_shape() -> None:
    assert decode(encode(Ready({"device": "x", "rates": [1, 2]}))) == Ready({"device": "x", "rates": [1, 2]})
    assert decode(encode(Publish("state", {"state": "idle"}))) == Publish("state", {"state": "idle"})
