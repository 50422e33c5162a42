import os
import subprocess
import sys
import time

from hypothesis import given
from hypothesis import strategies as st

from voiced import flight, messages
from voiced.flight import Record, Ring, lines, records
from voiced.messages import MESSAGES, Epoch, Failed, Flush, Heartbeat, Log, MicFrame, MonoNs, Order, Publish, ReplyAudio


def noted(*said: messages.Message) -> list[Record]:
    ring = Ring()
    for message in said:
        ring.note(True, message)
    return list(records(ring.copy()))


def test_a_record_names_what_went_by() -> None:
    ring = Ring()
    ring.note(True, MicFrame(4711, MonoNs(1), False), 960)
    ring.note(False, ReplyAudio(Epoch(3), "item_that_is_long_000012", 0), 12_000)
    ring.note(True, Flush(Epoch(4), "speech_started", MonoNs(1)))
    assert [str(record) for record in records(ring.copy())] == [
        "-> MicFrame     seq 4711 960 B of sound",
        "<- ReplyAudio   epoch 3 t_is_long_000012 12000 B of sound",
        "-> Flush        epoch 4 speech_started",
    ]


def test_a_terminal_that_shows_it_obeys_nobody() -> None:
    (record,) = noted(ReplyAudio(Epoch(3), "a\n\x1b[2J", 0))
    assert str(record) == "-> ReplyAudio   epoch 3 a \N{REPLACEMENT CHARACTER}[2J"


def test_no_word_is_in_it() -> None:
    said = "whispered secrets"  # long words: a short one may be in a time
    ring = Ring()
    for message in (
        Publish("turn", {"text": said}),
        Log(20, said),
        Failed("key_refused", said),
        Heartbeat({"last_error": said}),
        Order(7, "say", {"text": said}),
        messages.Answer(7, {"text": said}),
        messages.Refusal(7, "not_now", said, said),
    ):
        ring.note(True, message)
    for word in said.encode().split():
        assert word not in ring.copy().replace(b"say", b"")


def test_every_message_has_a_record() -> None:
    examples = [kind(*range(len(kind._fields))) for kind in MESSAGES]  # type: ignore[arg-type]
    assert [record.kind for record in noted(*examples)] == list(MESSAGES)


def test_the_oldest_give_way() -> None:
    ring = Ring()
    many = len(ring.copy()) // 40 + 100
    for number in range(many):
        ring.note(True, MicFrame(number, MonoNs(1), False))
    kept = sorted(record.number for record in records(ring.copy()))
    assert kept == list(range(100, many))


def test_what_several_said_is_in_the_order_of_its_times() -> None:
    capture, network = Ring(), Ring()
    capture.note(True, MicFrame(1, MonoNs(1), False))
    network.note(False, MicFrame(1, MonoNs(1), False))
    capture.note(True, MicFrame(2, MonoNs(1), False))
    told = list(lines({"network": network.copy(), "capture": capture.copy()}, time.monotonic_ns()))
    assert [line.split()[1:5] for line in told] == [
        ["capture", "->", "MicFrame", "seq"],
        ["network", "<-", "MicFrame", "seq"],
        ["capture", "->", "MicFrame", "seq"],
    ]
    assert all(-1 < float(line.split()[0]) < 0 for line in told)


def test_what_is_older_is_left_out() -> None:
    ring = Ring()
    ring.note(True, MicFrame(1, MonoNs(1), False))
    assert list(lines({"capture": ring.copy()}, time.monotonic_ns() + 31 * 10**9)) == []


@given(st.binary(min_size=40, max_size=400))
def test_whatever_is_in_the_memory_can_be_read(content: bytes) -> None:
    for record in records(content[: len(content) // 40 * 40]):
        assert str(record)


def test_a_number_that_is_none_harms_nobody() -> None:
    wrong = [MicFrame(1 << 70, MonoNs(1), False), MicFrame("x", MonoNs(1), False)]  # type: ignore[arg-type]
    assert [record.number for record in noted(*wrong)] == [0, 0]


def test_it_outlives_the_process_that_wrote_it() -> None:
    ring, descriptor = flight.shared()
    program = (
        "import os, signal\n"
        "from voiced import bus, flight\n"
        "from voiced.messages import Publish\n"
        "flight.record(os.environ)\n"
        "bus.tap(True, Publish('state', {}), 0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {flight.VARIABLE: str(descriptor)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, pass_fds=(descriptor,), timeout=30).returncode == -9
    os.close(descriptor)
    assert [record.name for record in records(ring.copy())] == ["state"]


def test_without_a_ring_nothing_is_recorded() -> None:
    flight.record({})
    flight.record({flight.VARIABLE: "x"})


def test_a_note_is_cheap() -> None:
    ring, frame = Ring(), MicFrame(1, MonoNs(1), False)
    before_ns = time.thread_time_ns()
    for _ in range(10_000):
        ring.note(True, frame, 960)
    assert (time.thread_time_ns() - before_ns) / 10_000 < 20_000  # 1 us; ten times that on a busy machine
