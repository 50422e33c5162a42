"""The player over a device that only takes notes: the order of what it does, with made-up times."""

from itertools import pairwise

from voiced.audio.device import OpenFormat
from voiced.messages import (
    CarriedOn,
    CarryOn,
    Duck,
    Epoch,
    Flush,
    Flushed,
    MonoNs,
    PartHeard,
    PartQueued,
    Played,
    PlayedCut,
    PlayFinished,
    PlayReached,
    PlayStarted,
    ReplyAudio,
    ReplyEnd,
)
from voiced.playback.gain import Loudness
from voiced.playback.player import Player, Report, World
from voiced.playback.reference import Reference

MS = 1_000_000


class NotedDevice:
    """Takes sound at the pace of the test's clock and writes down what was asked of it."""

    name = "noted"
    format = OpenFormat(24_000, 1)
    start_frames = 480
    buffer_frames = 1440

    def __init__(self, bench: "Bench") -> None:
        self._bench = bench
        self.did: list[str] = []
        self.written: list[bytes] = []
        self.room = self.buffer_frames
        self.starts_take_ns: list[int] = []

    def start(self) -> None:
        self.did.append("start")
        self._bench.now = MonoNs(self._bench.now + (self.starts_take_ns.pop(0) if self.starts_take_ns else 0))

    def writable(self) -> int:
        return self.room

    def write(self, pcm: bytes) -> None:
        self.did.append(f"write {len(pcm) // 48}")
        self.written.append(pcm)
        self.room -= len(pcm) // 2

    def abort(self) -> None:
        self.did.append("abort")
        self.room = self.buffer_frames

    def close(self) -> None:
        self.did.append("close")


class Bench:
    def __init__(self, percent: int = 100, landing_ms: int = 0, start_ms: int = 20) -> None:
        self.now = MonoNs(-1)
        self.told: list[Report] = []
        #: Of parts: how much was heard, when, and how much the device held beyond that; in ms.
        self.reached: list[tuple[str, int, int, int]] = []
        self.announced: list[tuple[Played | PlayedCut, int]] = []  # and milliseconds of sound
        self.slept_ns: list[int] = []
        self.device = NotedDevice(self)
        self.device.start_frames = 24 * start_ms
        world = World(lambda: self.now, self.sleep, self.tell)
        self.player = Player(self.device, Loudness(percent, duck_db=20), Reference(self.announce), world, landing_ms)
        self.player.flush(Flush(Epoch(1), "test", self.now))
        self.now = MonoNs(0)
        self.told.clear()
        self.reached.clear()
        self.announced.clear()
        self.device.did.clear()

    def tell(self, report: Report) -> None:
        if isinstance(report, PlayReached):
            self.reached.append((report.item_id, report.played_frames // 24, report.at_ns // MS, report.held_frames // 24))
        else:
            self.told.append(report)

    def sleep(self, ns: int) -> None:
        self.slept_ns.append(ns)
        self.now = MonoNs(self.now + ns)

    def announce(self, message: Played | PlayedCut, sound: bytes | None = None) -> None:
        self.announced.append((message, len(sound or b"") // 48))

    def duck(self, *, lowered: bool = True) -> bool:
        return self.player.duck(Duck(lowered, self.now))

    def levels(self) -> list[int]:
        """The last sample of each piece that was written, since this was last asked."""
        last = [int.from_bytes(pcm[-2:], "little", signed=True) for pcm in self.device.written]
        self.device.written.clear()
        return last

    def say(self, ms: int, item: str = "a", epoch: int = 1, value: int = 10_000) -> None:
        self.player.receive(ReplyAudio(Epoch(epoch), item, 0), value.to_bytes(2, "little", signed=True) * 24 * ms)

    def end(self, item: str = "a", epoch: int = 1) -> None:
        self.player.receive(ReplyEnd(Epoch(epoch), item, 0), b"")

    def at(self, ms: float) -> None:
        self.now = MonoNs(int(ms * MS))
        self.player.pump()


def test_one_slow_start_of_a_busy_machine_says_nothing_about_the_device() -> None:
    bench = Bench(landing_ms=3)
    bench.device.starts_take_ns = [180 * MS, 8 * MS, 8 * MS, 1 * MS]
    bench.player.prime()
    assert bench.player.landing_ms == 3
    assert bench.device.did[-1] == "abort"


def test_priming_starts_the_device_once_unheard() -> None:
    bench = Bench()
    bench.player.prime()
    assert bench.device.did == ["start", "write 20", "abort", "start", "abort"]


def test_a_reply_starts_at_once_and_fills_the_device_in_pieces() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    assert bench.device.did == ["start", "write 20", "write 20", "write 20"]
    assert bench.told == [PlayStarted("a", 0, Epoch(1))]


def test_a_start_too_short_for_the_device_waits_a_moment_for_more() -> None:
    bench = Bench()
    bench.say(10)
    bench.at(0)
    assert bench.device.did == []
    bench.say(30)
    bench.at(2)
    assert bench.device.did == ["start", "write 20", "write 20"]


def test_and_is_filled_with_silence_when_no_more_comes() -> None:
    bench = Bench()
    bench.say(10)
    bench.at(0)
    bench.at(5)
    assert bench.device.did == ["start", "write 10", "write 10"]


def test_a_part_that_ended_short_does_not_wait() -> None:
    bench = Bench()
    bench.say(10)
    bench.end()
    bench.at(0)
    assert bench.device.did[:3] == ["start", "write 10", "write 10"]


def test_a_flush_aborts_before_it_tells() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    bench.now = MonoNs(40 * MS)
    bench.player.flush(Flush(Epoch(2), "speech_started", MonoNs(39 * MS)))
    assert bench.device.did[-1] == "abort"
    assert bench.told[-1] == Flushed(Epoch(2), (PartHeard("a", 0, 40),), 210, 1000, True)


def test_a_second_flush_for_the_same_speech_does_nothing() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    for _ in range(2):
        bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert bench.device.did.count("abort") == 1
    assert len([told for told in bench.told if isinstance(told, Flushed)]) == 1


def test_a_flush_of_silence_leaves_the_device_alone_but_answers() -> None:
    bench = Bench()
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert bench.device.did == []
    assert bench.told == [Flushed(Epoch(2), (), 0, 0, False)]


def test_late_deltas_are_dropped_and_the_next_reply_plays_at_once() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    bench.device.did.clear()
    bench.say(250, epoch=1)
    bench.at(1)
    assert bench.device.did == []
    bench.say(250, item="b", epoch=2)
    bench.at(2)
    assert bench.device.did[0] == "start"
    assert bench.told[-1] == PlayStarted("b", 0, Epoch(2))


def test_sound_of_a_newer_epoch_makes_up_for_a_flush_that_never_came() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    bench.say(250, item="b", epoch=2)
    assert bench.device.did[-1] == "abort"
    assert isinstance(bench.told[-1], Flushed)


def test_the_end_is_told_when_it_was_heard_and_the_device_rests_later() -> None:
    bench = Bench()
    bench.say(40)
    bench.end()
    bench.at(0)
    bench.at(30)
    assert not any(isinstance(told, PlayFinished) for told in bench.told)
    bench.at(41)
    assert bench.told[-1] == PlayFinished("a", 0, Epoch(1), 40)
    assert "abort" not in bench.device.did
    bench.at(61)
    bench.at(700)
    assert bench.device.did[-1] == "abort"


def test_silence_follows_the_last_sample_once_there_is_room() -> None:
    bench = Bench()
    bench.say(60)
    bench.end()
    bench.at(0)
    assert bench.device.did[-1] == "write 20"
    bench.device.room = 480
    bench.at(20)
    bench.at(21)
    assert bench.device.did[3:] == ["write 20", "write 20"]


def test_silence_follows_a_reply_too_that_joined_a_run_that_was_over() -> None:
    bench = Bench()
    for item in "ab":
        bench.say(20, item)
        bench.end(item)
        bench.at(0)
    assert bench.device.did == ["start", "write 20", "write 20", "write 20"]
    bench.device.room = 480
    bench.at(20)
    assert bench.device.did[4:] == ["write 20"]


def test_it_sleeps_until_there_is_something_to_do() -> None:
    bench = Bench()
    assert bench.player.wake_in_ms() >= 500
    bench.say(30)
    assert bench.player.wake_in_ms() <= 5
    bench.at(0)
    assert bench.player.wake_in_ms() == 20
    bench.end()
    bench.at(1)
    assert bench.player.wake_in_ms() == 50


def test_a_duck_writes_what_was_not_heard_again_and_lower_from_the_sample_that_sounds() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    bench.at(20)
    bench.device.did.clear()
    bench.levels()
    bench.now = MonoNs(30 * MS)
    assert bench.duck()
    assert bench.device.did == ["abort", "start", "write 20", "write 20", "write 20"]
    assert bench.levels() == [1000, 1000, 1000]
    assert bench.player.playout.queued_frames == 24 * (250 - 30 - 60)


def test_what_follows_a_cut_fades_in() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    bench.device.written.clear()
    bench.duck()
    first = memoryview(bench.device.written[0]).cast("h")
    assert first[0] < 20
    assert list(first[:120]) == sorted(first[:120])
    assert max(b - a for a, b in pairwise(first)) < 20


def test_the_voice_comes_back_by_a_ramp_on_what_is_still_to_be_written() -> None:
    bench = Bench()
    bench.say(500)
    bench.at(0)
    bench.duck()
    bench.levels()
    bench.device.did.clear()
    bench.now = MonoNs(20 * MS)
    assert bench.duck(lowered=False)
    assert bench.device.did == []
    for _ in range(3):
        bench.device.room = 1440
        bench.at(bench.now / MS + 60)
    levels = bench.levels()
    assert levels[0] < 3000
    assert levels == sorted(levels)
    assert levels[-1] == 10_000


def test_ducks_change_nothing_about_what_was_heard() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    bench.now = MonoNs(25 * MS)
    bench.duck()
    bench.now = MonoNs(55 * MS)
    bench.duck(lowered=False)
    bench.now = MonoNs(60 * MS)
    bench.duck()
    bench.now = MonoNs(70 * MS)
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert bench.told == [PlayStarted("a", 0, Epoch(1)), Flushed(Epoch(2), (PartHeard("a", 0, 70),), 180, 0, True)]


def test_a_duck_that_is_ordered_twice_is_obeyed_once() -> None:
    bench = Bench()
    assert not bench.duck(lowered=False)
    assert bench.duck()
    assert not bench.duck()


def test_a_duck_of_silence_leaves_the_device_alone_and_holds_for_what_starts() -> None:
    bench = Bench()
    assert bench.duck()
    assert bench.device.did == []
    bench.say(250)
    bench.at(0)
    assert bench.levels() == [1000, 1000, 1000]


def test_a_voice_that_is_still_low_is_lowered_without_a_cut() -> None:
    bench = Bench()
    bench.say(500)
    bench.at(0)
    for lowered in (True, False, True):
        bench.duck(lowered=lowered)
    assert bench.device.did.count("abort") == 1


def test_what_sounds_within_20_ms_anyway_is_not_taken_back() -> None:
    bench = Bench()
    bench.say(60)
    bench.end()
    bench.at(0)
    bench.now = MonoNs(41 * MS)
    bench.duck()
    assert "abort" not in bench.device.did


def test_what_would_not_make_the_device_start_again_is_taken_back_only_if_no_more_comes() -> None:
    bench = Bench(start_ms=40)
    bench.say(60)
    bench.at(0)
    bench.now = MonoNs(30 * MS)
    bench.duck()
    assert "abort" not in bench.device.did
    bench = Bench(start_ms=40)
    bench.say(60)
    bench.end()
    bench.at(0)
    bench.device.did.clear()
    bench.now = MonoNs(30 * MS)
    bench.duck()
    assert bench.device.did == ["abort", "start", "write 20", "write 10", "write 10"]


def test_a_flush_ends_a_duck() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(0)
    bench.duck()
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    bench.levels()
    bench.say(250, item="b", epoch=2)
    bench.at(1)
    assert bench.levels() == [10_000] * 3


def test_a_duck_that_a_flush_overtook_is_over() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(10)
    late = Duck(True, bench.now)
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert not bench.player.duck(late)
    assert not bench.player.loudness.ducked
    bench.now = MonoNs(11 * MS)
    assert bench.duck()


def test_a_reply_that_is_too_short_to_be_written_again_closes_with_silence() -> None:
    bench = Bench()
    bench.say(45)
    bench.end()
    bench.at(0)
    bench.now = MonoNs(20 * MS)
    bench.device.did.clear()
    bench.duck()
    assert bench.device.did == ["abort", "start", "write 20", "write 5"]
    bench.at(46)
    assert bench.told[-1] == PlayFinished("a", 0, Epoch(1), 45)


def test_the_volume_is_that_of_what_is_written_from_now_on_and_clips() -> None:
    bench = Bench(percent=50)
    bench.say(60, value=-30_000)
    bench.at(0)
    assert bench.levels() == [-15_000] * 3
    bench.player.loudness.turn_to(150)
    bench.say(60, value=-30_000)
    bench.device.room = 1440
    bench.at(20)
    assert bench.levels()[1:] == [-32_768] * 2


def test_capture_is_told_what_sounds_when_and_as_loud_as_it_does() -> None:
    bench = Bench()
    bench.say(250)
    bench.at(5)
    pieces = [(Played(480 * n, MonoNs((5 + 20 * n) * MS)), 20) for n in range(3)]
    assert bench.announced == pieces
    assert bench.player.level_dbfs() == -10.3
    bench.now = MonoNs(25 * MS)
    bench.duck()
    assert bench.announced[3:5] == [(PlayedCut(480, bench.now), 0), (Played(1440, bench.now), 20)]
    assert bench.player.level_dbfs() == -30.3
    bench.now = MonoNs(30 * MS)
    bench.player.flush(Flush(Epoch(2), "interrupt", bench.now))
    assert bench.announced[-1] == (PlayedCut(1440 + 120, bench.now, "interrupt"), 0)


def test_capture_is_told_of_a_flush_of_silence_too() -> None:
    bench = Bench()
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert bench.announced == [(PlayedCut(0, bench.now, "speech_started"), 0)]


def test_a_device_slower_than_our_clock_is_found_to_hold_sound_when_it_should_be_empty() -> None:
    bench = Bench()
    bench.say(3000)
    bench.at(0)
    for step in range(1, 27):  # a tenth too slow: the 42 ms that it holds at the least are used up after 420
        bench.device.room += 24 * 18
        bench.at(20 * step)
    assert bench.player.playout.underruns == 1
    true_ms = 3000 - bench.player.playout.queued_frames / 24 - (1440 - bench.device.room) / 24
    last, sound_ms = bench.announced[-1]
    assert isinstance(last, Played)
    assert abs(last.heard_ns / MS + sound_ms - 20 * 26 - (1440 - bench.device.room) / 24) < 20
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    flushed = bench.told[-1]
    assert isinstance(flushed, Flushed)
    assert abs(flushed.heard[0].played_ms - true_ms) < 20


def test_what_a_device_that_ran_dry_claims_to_hold_still_delays_nothing() -> None:
    bench = Bench()
    bench.say(60)
    bench.at(0)
    bench.device.room = 1440 - 24 * 30  # PipeWire keeps its last quantum to itself, and PulseAudio tells late
    bench.say(200)
    bench.at(61)
    assert bench.announced[3][0] == Played(1440, MonoNs(61 * MS))


def test_silence_is_not_announced_but_counted() -> None:
    bench = Bench()
    bench.say(10)
    bench.end()
    bench.at(0)
    bench.at(50)
    bench.device.room = 1440
    bench.say(20, item="b")
    bench.at(50)
    assert [sent for sent, _ in bench.announced] == [Played(0, MonoNs(0)), Played(480 + 480, MonoNs(50 * MS))]


def test_a_cue_sounds_and_is_told_to_nobody() -> None:
    bench = Bench()
    bench.player.cue(b"\1\0" * 24 * 140)
    bench.at(0)
    bench.device.room = 1440
    bench.at(40)
    assert bench.device.did[0] == "start"
    assert [ms for _, ms in bench.announced] == [20] * 6
    bench.device.room = 1440
    for ms in (100, 139, 141, 200):
        bench.at(ms)
    assert bench.told == []
    assert bench.player.playout.idle
    assert bench.player.playout.underruns == 0


def test_a_cue_disturbs_nobody() -> None:
    bench = Bench()
    bench.say(60)
    bench.at(0)
    bench.player.cue(b"\1\0" * 24 * 140)
    assert bench.player.playout.queued_frames == 0


def test_a_flush_ends_a_cue_and_tells_of_nothing_heard() -> None:
    bench = Bench()
    bench.player.cue(b"\1\0" * 24 * 140)
    bench.at(0)
    bench.now = MonoNs(20 * MS)
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert bench.device.did[-1] == "abort"
    assert bench.told == [Flushed(Epoch(2), (), 0, 0, False)]


def test_a_flush_in_the_silence_behind_a_sound_interrupts_nobody() -> None:
    for sound in ("cue", "reply"):
        bench = Bench(landing_ms=3)
        if sound == "cue":
            bench.player.cue(b"\1\0" * 24 * 30)
        else:
            bench.say(30)
            bench.end()
        bench.at(0)
        bench.device.room = 480
        bench.at(15)
        assert bench.device.did[-1] == "write 20"
        bench.now = MonoNs(35 * MS)
        bench.player.flush(Flush(Epoch(2), "speech_started", MonoNs(34 * MS)))
        assert bench.device.did[-1] == "abort"
        assert bench.told[-1] == Flushed(Epoch(2), (), 0, 0, False)


def _with_a_pause(bench: Bench) -> None:
    """Sounds, and is quiet for a millisecond, 2.5 ms from now and again 13 ms later."""
    for ms in (30, 12, 200):
        bench.say(ms)
        bench.say(1, value=0)
    bench.at(0)
    bench.now = MonoNs(28 * MS)


def test_a_flush_waits_a_moment_for_a_quiet_one() -> None:
    bench = Bench(landing_ms=3)
    _with_a_pause(bench)
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert sum(bench.slept_ns) / MS == 2.5 - 0.625
    assert bench.told[-1] == Flushed(Epoch(2), (PartHeard("a", 0, 29),), 215, 1875, True)


def test_a_low_voice_is_cut_off_at_once() -> None:
    bench = Bench(landing_ms=3)
    _with_a_pause(bench)
    bench.duck()
    assert sum(bench.slept_ns) == 1_875_000
    bench.slept_ns.clear()
    bench.now = MonoNs(41 * MS)
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert sum(bench.slept_ns) == 0


def test_a_device_that_cuts_when_it_likes_is_not_waited_for() -> None:
    bench = Bench(landing_ms=3)
    bench.device.starts_take_ns = [180 * MS, 8 * MS, 8 * MS, 8 * MS]
    bench.player.prime()
    assert bench.player.landing_ms == 0
    _with_a_pause(bench)
    bench.player.flush(Flush(Epoch(2), "speech_started", bench.now))
    assert sum(bench.slept_ns) == 0


def test_when_a_part_begins_and_every_40_ms_it_is_told_how_far_it_was_heard() -> None:
    bench = Bench()
    bench.say(500)
    for ms in range(0, 140, 20):
        bench.device.room = 480 if ms else bench.device.room
        bench.at(ms)
    assert bench.reached == [("a", 0, 0, 60), ("a", 40, 40, 60), ("a", 80, 80, 60), ("a", 120, 120, 60)]


def test_of_a_part_that_begins_behind_another_it_is_told_when_it_will() -> None:
    bench = Bench()
    bench.say(50)
    bench.end()
    bench.at(0)
    bench.say(500, "b")
    bench.device.room = 480
    bench.at(20)
    assert bench.reached == [("a", 0, 0, 50), ("a", 20, 20, 30), ("b", 0, 50, 20)]


def test_a_network_process_that_starts_hears_what_there_is_and_nothing_is_cut() -> None:
    bench = Bench()
    bench.say(250)
    bench.end()
    bench.say(100, "b")
    bench.at(0)
    bench.now = MonoNs(30 * MS)
    did = list(bench.device.did)
    bench.player.carry_on(CarryOn(Epoch(7)))
    parts = (PartQueued("a", 0, 24 * 30, 24 * 250), PartQueued("b", 0, 0, 24 * 100))
    assert bench.told[-1] == CarriedOn(Epoch(7), parts)
    assert bench.device.did == did
    bench.say(100, "b", epoch=1)
    assert bench.player.playout.queued_frames == 24 * 290, "what is of before and still on its way is void"
    bench.say(100, "b", epoch=7)
    assert bench.player.playout.queued_frames == 24 * 390
    assert bench.device.did == did


def test_what_a_network_process_says_first_is_no_reason_to_cut() -> None:
    bench = Bench()
    bench.player.carry_on(CarryOn(Epoch(7)))
    assert bench.told[-1] == CarriedOn(Epoch(7), ())
    bench.player.flush(Flush(Epoch(7), "late", bench.now))
    assert len(bench.told) == 1
