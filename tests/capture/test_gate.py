"""What leaves the capture process: numbered, in order, and nothing that may not."""

from voiced.capture.gate import Frame, Gate
from voiced.messages import MicFrame, MonoNs


def frame(number: int) -> Frame:
    return Frame(MonoNs(number), bytes([number]) * 4, bytes([100 + number]) * 4)


def test_an_open_gate_passes_the_sound() -> None:
    gate = Gate(keep=2, least=1)
    assert [gate.passes(frame(n), open=True, replay=False) for n in (1, 2)] == [
        [(MicFrame(0, MonoNs(1), False), b"\1\1\1\1")],
        [(MicFrame(1, MonoNs(2), False), b"\2\2\2\2")],
    ]


def test_a_closed_gate_keeps_the_clock_going() -> None:
    gate = Gate(keep=2, least=1)
    assert gate.passes(frame(1), open=False, replay=False) == [(MicFrame(0, MonoNs(1), False), bytes(4))]


def test_what_was_held_back_goes_first_and_clear() -> None:
    gate = Gate(keep=2, least=1)
    for n in (1, 2, 3):
        gate.passes(frame(n), open=False, replay=False)
    assert gate.passes(frame(4), open=True, replay=True) == [
        (MicFrame(3, MonoNs(2), False), b"\x66\x66\x66\x66"),
        (MicFrame(4, MonoNs(3), False), b"\x67\x67\x67\x67"),
        (MicFrame(5, MonoNs(4), False), b"\4\4\4\4"),
    ]
    assert len(gate.passes(frame(5), open=True, replay=True)) == 1, "once"


def test_of_what_nobody_was_noticed_in_a_little_is_sent_along_as_it_is() -> None:
    """A voice is noticed only a while after it began."""
    gate = Gate(keep=2, least=1)
    for n in (1, 2):
        gate.passes(frame(n), open=False, replay=False)
    assert [sound for _, sound in gate.passes(frame(3), open=True, replay=False)] == [b"\2\2\2\2", b"\3\3\3\3"]
    assert len(gate.passes(frame(4), open=True, replay=False)) == 1, "once"


def test_a_mute_drops_what_was_held_back() -> None:
    gate = Gate(keep=2, least=1)
    gate.passes(frame(1), open=False, replay=False)
    gate.reset()
    assert gate.silence(MonoNs(2), 4, muted=True) == (MicFrame(1, MonoNs(2), True), bytes(4))
    assert len(gate.passes(frame(3), open=True, replay=True)) == 1
