"""PulseAudio's protocol against a server's half written down here, cut anywhere, and against nonsense."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.audio.presence.wire import SINKS, SOURCES, Dialogue, Facility, Malformed, values

_HEADER = struct.Struct(">IIIII")


def u32(value: int) -> bytes:
    return b"L" + struct.pack(">I", value)


def text(value: str | None) -> bytes:
    return b"N" if value is None else b"t" + value.encode() + b"\0"


def properties(**values: str) -> bytes:
    packed = b"P"
    for name, value in values.items():
        raw = value.encode() + b"\0"
        packed += text(name.replace("_", ".")) + u32(len(raw)) + b"x" + struct.pack(">I", len(raw)) + raw
    return packed + b"N"


SPEC = b"a\x03\x01" + struct.pack(">I", 24_000)
MAP, VOLUME, USEC = b"m\x01\x00", b"v\x01" + struct.pack(">I", 65_536), b"U" + bytes(8)


def reply(tag: int, *fields: bytes) -> bytes:
    return packet(2, tag, *fields)


def packet(command: int, tag: int, *fields: bytes) -> bytes:
    payload = u32(command) + u32(tag) + b"".join(fields)
    return _HEADER.pack(len(payload), 0xFFFF_FFFF, 0, 0, 0) + payload


def endpoint(index: int, name: str) -> bytes:
    head = (u32(index), text(name), text(f"The {name}"), SPEC, MAP, u32(7), VOLUME, b"0", u32(0), text(None), USEC)
    return b"".join((*head, text("module-x.c"), u32(0), properties(device_class="sound"), USEC))


def stream(facility: Facility, at: int) -> bytes:
    head = u32(1), text("ALSA Capture"), u32(0), u32(7), u32(at), SPEC, MAP
    middle = (USEC, USEC, text("copy"), text("x.c")) if facility is SOURCES else (VOLUME, USEC, USEC, text("copy"), text("x.c"), b"0")
    return b"".join((*head, *middle, properties(media_name="ALSA Capture")))


def clients(pid: str) -> bytes:
    """We and another, who has index 7."""
    both = ((6, "42"), (7, pid))
    return b"".join(u32(i) + text("x") + u32(0) + text("x.c") + properties(application_process_id=of) for i, of in both)


def server_info(sink: str, source: str) -> bytes:
    return b"".join((text("pulseaudio"), text("16.1"), text("u"), text("h"), SPEC, text(sink), text(source), u32(99)))


def answers(dialogue: Dialogue, *four: bytes) -> bytes:
    """To the last four questions that were asked."""
    tags = []
    while dialogue.outgoing:
        length = _HEADER.unpack_from(dialogue.outgoing)[0]
        tags.append(values(dialogue.outgoing[20 : 20 + length])[1])
        dialogue.outgoing = dialogue.outgoing[20 + length :]
    return b"".join(reply(tag, fields) for tag, fields in zip(tags[-4:], four, strict=True))


def told(facility: Facility, dialogue: Dialogue, pid: str = "42", at: int = 5) -> bytes:
    return answers(dialogue, server_info("loud", "mic"), clients(pid), endpoint(4, "first") + endpoint(5, "second"), stream(facility, at))


@given(cut=st.integers(1, 60), facility=st.sampled_from([SOURCES, SINKS]))
def test_a_scene_is_told_however_the_bytes_come(cut: int, facility: Facility) -> None:
    dialogue = Dialogue(facility, 42)
    sent = told(facility, dialogue)
    news = [dialogue.feed(sent[start : start + cut]) for start in range(0, len(sent), cut)]
    assert news.count(True) == 1
    scene = dialogue.scene
    assert scene is not None
    assert scene.default == ("mic" if facility is SOURCES else "loud")
    assert [(each.name, each.description, each.rate, each.channels) for each in scene.endpoints] == [
        ("first", "The first", 24_000, 1),
        ("second", "The second", 24_000, 1),
    ]
    assert scene.endpoints[0].properties == {"device.class": "sound"}
    assert scene.ours == "second"


@pytest.mark.parametrize(("pid", "at", "ours"), [("43", 5, None), ("42", 0xFFFF_FFFF, ""), ("42", 4, "first")])
def test_our_stream_is_told_from_others_and_from_one_that_is_connected_to_nothing(pid: str, at: int, ours: str | None) -> None:
    dialogue = Dialogue(SOURCES, 42)
    dialogue.feed(told(SOURCES, dialogue, pid, at))
    assert dialogue.scene is not None
    assert dialogue.scene.ours == ours


def test_a_change_is_asked_about_once_for_all_that_comes_meanwhile() -> None:
    dialogue = Dialogue(SOURCES, 42)
    sent = told(SOURCES, dialogue)
    event = packet(66, 0xFFFF_FFFF, u32(0x11), u32(3))
    dialogue.feed(event * 5)
    assert dialogue.outgoing == b"", "the first question is not answered yet"
    dialogue.feed(sent)
    assert dialogue.outgoing.count(struct.pack(">I", 0xFFFF_FFFF)) == 4
    assert dialogue.feed(told(SOURCES, dialogue))
    assert dialogue.outgoing == b""


def test_a_refusal_is_one() -> None:
    with pytest.raises(Malformed, match="error"):
        Dialogue(SOURCES, 42).feed(packet(0, 1, u32(1)))


@pytest.mark.parametrize("wrong", [u32(1), text("x"), b"0" * 15, b""])
def test_answers_of_another_form_are_malformed(wrong: bytes) -> None:
    dialogue = Dialogue(SOURCES, 42)
    with pytest.raises(Malformed):
        dialogue.feed(answers(dialogue, wrong, clients("42"), endpoint(4, "first") + wrong, stream(SOURCES, 4)))


@pytest.mark.parametrize("payload", [b"", u32(2), text("x") + u32(1), b"PLLNN", b"PN" * 2, b"P" + text("name") + u32(1) + u32(1) + b"N"])
def test_a_packet_of_another_kind_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        Dialogue(SINKS, 42).feed(_HEADER.pack(len(payload), 0xFFFF_FFFF, 0, 0, 0) + payload)


@given(st.binary(max_size=200))
def test_nonsense_is_malformed_or_nothing(data: bytes) -> None:
    dialogue = Dialogue(SINKS, 42)
    try:
        assert not dialogue.feed(data)
        assert not dialogue.feed(packet(2, 4, data))
    except Malformed:
        pass
    assert dialogue.scene is None
