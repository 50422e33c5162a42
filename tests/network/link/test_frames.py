"""RFC 6455 from bytes, wherever these are cut, and what a hostile server makes of it."""

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import loopback_websocket as server
from voiced.network.link import frames
from voiced.network.link.frames import LONGEST_MESSAGE_BYTES, PING, TEXT, FrameRefused, Frames, frame


def taken(stream: Frames, most: int = 1000) -> list[tuple[int, bytes]]:
    return stream.take(most)[0]


@given(st.lists(st.integers(0, 70_000), max_size=4), st.lists(st.integers(0, 300_000), max_size=4))
def test_it_does_not_matter_where_the_stream_is_cut(sizes: list[int], cuts: list[int]) -> None:
    texts = [bytes([number]) * size for number, size in enumerate(sizes)]
    data = b"".join(map(server.frame, texts))
    stream, found, at = Frames(), [], 0
    for cut in (*sorted(cuts), len(data)):
        stream.feed(data[at:cut])
        found += taken(stream)
        at = max(at, cut)
    assert found == [(TEXT, text) for text in texts]


def test_a_message_in_fragments_with_a_ping_between_them() -> None:
    stream = Frames()
    stream.feed(b"\x02\x01a" + server.frame(b"?", PING) + b"\x00\x00\x80\x01b")
    assert taken(stream) == [(PING, b"?"), (frames.BINARY, b"ab")]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"\xc1\x01x", b"\xa1\x01x", b"\x91\x01x"),  # reserved bits
        *(b"\x83\x00", b"\x8b\x00"),  # unknown opcodes
        *(b"\x80\x01x", b"\x01\x01a\x01\x01b", b"\x01\x01a\x81\x01b"),  # fragments out of order
        *(b"\x81\x80abcd", b"\x81\x81abcdx"),  # masked
        *(b"\x09\x00", b"\x89\x7e\x00\x7e", b"\x88\x01x", b"\x88\x7f"),  # no control frames
    ],
)
def test_what_the_protocol_forbids(raw: bytes) -> None:
    stream = Frames()
    stream.feed(server.frame(b"before") + raw)
    assert taken(stream)[0] == (TEXT, b"before")
    with pytest.raises(FrameRefused) as refused:
        stream.take(1000)
    assert refused.value.code == 1002


@pytest.mark.parametrize("piece", [1 << 16, 16 << 20, LONGEST_MESSAGE_BYTES + 1])
def test_a_message_without_end_is_refused_before_it_is_held(piece: int) -> None:
    head = bytes([0x00, 127]) + piece.to_bytes(8, "big")
    stream = Frames()
    stream.feed(b"\x01\x00")
    body = bytes(piece if piece <= LONGEST_MESSAGE_BYTES else 0)
    tracemalloc.start()
    try:
        code = None
        while code is None:
            stream.feed(head + body)
            try:
                stream.take(1000)
            except FrameRefused as refused:
                code = refused.code
        assert tracemalloc.get_traced_memory()[1] < 2.6 * LONGEST_MESSAGE_BYTES
    finally:
        tracemalloc.stop()
    assert code == 1009


def test_a_frame_that_drips_is_not_looked_at_anew_with_every_drop() -> None:
    """The library's parser added up all pieces at each: 20,000 of them took 2 s."""
    stream = Frames()
    stream.feed(bytes([0x81, 127]) + (1 << 20).to_bytes(8, "big"))
    tracemalloc.start()
    try:
        for _ in range(20_000):
            stream.feed(b"  ")
            assert stream.take(1000) == ([], 0)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_no_more_frames_are_looked_at_than_was_asked_for() -> None:
    stream = Frames()
    stream.feed(b"\x81\x00" * 10 + b"\x01\x00" + b"\x00\x00" * 10)
    assert stream.take(4) == ([(TEXT, b"")] * 4, 4)
    assert stream.take(100) == ([(TEXT, b"")] * 6, 17)
    assert stream.take(100) == ([], 0)


@given(st.binary(max_size=300))
def test_what_we_send_is_what_a_server_reads(data: bytes) -> None:
    read = server.read_frame(io.BytesIO(frame(data, TEXT)))
    assert read == server.Frame(TEXT, data)
