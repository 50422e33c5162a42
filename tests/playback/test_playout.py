"""What is queued, what was heard, and what a flush leaves: the playout as plain calls with made-up times."""

from hypothesis import given
from hypothesis import strategies as st

from voiced.messages import Epoch, PartHeard, PlayFinished, PlayStarted, ReplyAudio, ReplyEnd
from voiced.playback.playout import Playout, frames_in

MS = 1_000_000
E1, E2 = Epoch(1), Epoch(2)


def sound(ms: int, value: int = 7) -> bytes:
    return value.to_bytes(2, "little") * (24 * ms)


def playout(device_ms: int = 60) -> Playout:
    made = Playout(24 * device_ms)
    made.flush(E1, 0)
    return made


def play(out: Playout, ms: int, now_ns: int) -> tuple[bytes, list[PlayStarted]]:
    """Writes at most that much, beginning a run where none is on."""
    if not out.running:
        out.begin(now_ns)
    return out.take(24 * ms)


def test_frames_in_counts_24_a_millisecond() -> None:
    assert frames_in(10 * MS) == 240


def test_sound_goes_out_in_order_and_whole() -> None:
    out = playout()
    for value in (1, 2, 3):
        out.receive(ReplyAudio(E1, "a", 0), sound(10, value))
    first, started = play(out, 15, 0)
    rest, started_again = play(out, 100, 0)
    assert first + rest == sound(10, 1) + sound(10, 2) + sound(10, 3)
    assert started == [PlayStarted("a", 0, E1)]
    assert started_again == []


def test_heard_is_the_time_since_the_run_began() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(1000))
    assert out.speaking
    play(out, 60, 5 * MS)
    play(out, 60, 45 * MS)
    assert out.flush(E2, 85 * MS).heard == (PartHeard("a", 0, 80),)


def test_heard_is_never_more_than_was_written() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(1000))
    play(out, 30, 0)
    assert out.flush(E2, 500 * MS).heard == (PartHeard("a", 0, 30),)


def test_heard_is_never_less_than_what_the_device_cannot_hold() -> None:
    out = playout(device_ms=60)
    out.receive(ReplyAudio(E1, "a", 0), sound(1000))
    play(out, 500, 0)  # a device whose clock runs ahead of ours has room again sooner than it should
    assert out.flush(E2, 400 * MS).heard == (PartHeard("a", 0, 440),)


def test_flush_reports_every_part_in_its_order_and_what_was_dropped() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(100))
    out.receive(ReplyAudio(E1, "b", 0), sound(300))
    out.end(ReplyEnd(E1, "a", 0))
    play(out, 60, 0)
    result = out.flush(E2, 40 * MS)
    assert result.heard == (PartHeard("a", 0, 40), PartHeard("b", 0, 0))
    assert result.dropped_ms == 360


def test_flush_of_nothing_reports_nothing() -> None:
    out = playout()
    assert not out.speaking
    assert out.flush(E2, 0) == ((), 0)


def test_older_epochs_are_void_and_newer_ones_tell() -> None:
    out = playout()
    out.flush(E2, 0)
    out.receive(ReplyAudio(E1, "late", 0), sound(10))
    out.end(ReplyEnd(E1, "late", 0))
    assert out.idle
    assert out.outdated_by(Epoch(3))
    assert not out.outdated_by(E2)


def test_a_part_is_over_when_its_last_sample_was_heard_not_written() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(40))
    out.end(ReplyEnd(E1, "a", 0))
    play(out, 60, 0)
    assert out.settle(39 * MS) == []
    assert out.settle(40 * MS) == [PlayFinished("a", 0, E1, 40)]
    assert out.idle
    assert out.underruns == 0


def test_an_underrun_ends_the_run_and_the_pause_is_not_counted_as_heard() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(20))
    play(out, 60, 0)
    out.settle(50 * MS)
    assert not out.running
    assert out.underruns == 1
    out.receive(ReplyAudio(E1, "a", 0), sound(100))
    play(out, 60, 200 * MS)
    assert out.flush(E2, 230 * MS).heard == (PartHeard("a", 0, 50),)


def test_sound_that_comes_just_when_the_device_ran_dry_starts_a_run_of_its_own() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(20))
    play(out, 60, 0)
    out.receive(ReplyAudio(E1, "a", 0), sound(100))
    out.settle(70 * MS)
    assert not out.running
    play(out, 60, 70 * MS)
    assert out.flush(E2, 80 * MS).heard == (PartHeard("a", 0, 30),)


def test_the_silence_that_fills_a_start_is_nobodys_and_takes_its_time() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(5))
    out.end(ReplyEnd(E1, "a", 0))
    play(out, 60, 0)
    assert out.pad(24 * 15) == bytes(15 * 48)
    assert out.remaining_ns(0) == 20 * MS
    assert out.settle(5 * MS) == [PlayFinished("a", 0, E1, 5)]
    assert out.running
    out.settle(20 * MS)
    assert not out.running
    assert out.underruns == 0


def test_two_parts_of_one_item_are_told_apart() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(10))
    out.receive(ReplyAudio(E1, "a", 1), sound(10))
    assert play(out, 20, 0)[1] == [PlayStarted("a", 0, E1), PlayStarted("a", 1, E1)]


def test_half_a_sample_is_left_out() -> None:
    out = playout()
    out.receive(ReplyAudio(E1, "a", 0), sound(10) + b"\x01")
    assert out.queued_frames == 240


def test_what_the_device_held_is_taken_back_from_the_sample_that_sounds() -> None:
    out = playout()
    for value in (1, 2):
        out.receive(ReplyAudio(E1, "a", 0), sound(30, value))
    out.receive(ReplyAudio(E1, "b", 0), sound(40, 3))
    assert play(out, 80, 0)[1] == [PlayStarted("a", 0, E1), PlayStarted("b", 0, E1)]
    out.settle(20 * MS)
    assert out.held_frames == 24 * 60
    assert out.position == 24 * 20
    assert out.ahead() == sound(10, 1) + sound(30, 2) + sound(20, 3)
    out.take_back()
    assert not out.running
    assert out.position is None
    assert out.queued_frames == 24 * 80
    again, started = play(out, 80, 21 * MS)
    assert again == sound(10, 1) + sound(30, 2) + sound(40, 3)
    assert started == []
    assert out.flush(E2, 71 * MS).heard == (PartHeard("a", 0, 60), PartHeard("b", 0, 10))
    assert out.underruns == 0


def test_a_cue_is_nobodys_speech() -> None:
    out = playout()
    assert out.idle
    out.cue(sound(30))
    assert not out.idle
    assert not out.speaking
    assert play(out, 60, 0) == (sound(30), [])
    out.receive(ReplyAudio(E1, "", 0), sound(10))
    assert out.speaking
    assert out.settle(30 * MS) == []
    assert out.flush(E2, 30 * MS) == ((PartHeard("", 0, 0),), 10)


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), st.sampled_from("abc"), st.integers(0, 90)),
        st.tuples(st.just("end"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("write"), st.just(""), st.integers(1, 60)),
        st.tuples(st.just("wait"), st.just(""), st.integers(0, 120)),
        st.tuples(st.just("take back"), st.just(""), st.just(0)),
    ),
    max_size=60,
)


@given(_steps)
def test_whatever_happens_no_sound_is_lost_doubled_or_heard_before_it_was_written(steps: list[tuple[str, str, int]]) -> None:
    out = playout()
    now = 0
    received = dict.fromkeys("abc", 0)
    finished: dict[str, int] = {}
    written = 0
    ended: set[str] = set()
    for what, item, ms in steps:
        if what == "receive" and item not in ended:
            out.receive(ReplyAudio(E1, item, 0), sound(ms))
            received[item] += ms
        elif what == "end" and received[item]:
            ended.add(item)
            out.end(ReplyEnd(E1, item, 0))
        elif what == "write" and out.queued_frames:
            written += len(play(out, ms, now)[0]) // 48
        elif what == "wait":
            now += ms * MS
        elif what == "take back":
            written -= out.held_frames // 24
            out.take_back()
        for part in out.settle(now):
            assert part.item_id not in finished
            finished[part.item_id] = part.played_ms
    assert out.queued_frames == 24 * (sum(received.values()) - written)
    result = out.flush(E2, now)
    heard = {**finished, **{part.item_id: part.played_ms for part in result.heard}}
    assert all(heard[item] <= received[item] for item in heard)
    assert all(heard[item] == received[item] for item in finished)
    assert sum(heard.values()) + result.dropped_ms == sum(received.values())
    assert out.idle
