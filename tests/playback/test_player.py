"""The player over a device that only takes notes: the order of what it does, with made-up times."""

from voiced.audio.device import OpenFormat
from voiced.messages import Epoch, Flush, Flushed, MonoNs, PartHeard, PlayFinished, PlayStarted, ReplyAudio, ReplyEnd
from voiced.playback.player import Player

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
        self.room = self.buffer_frames

    def start(self) -> None:
        self.did.append("start")

    def writable(self) -> int:
        return self.room

    def write(self, pcm: bytes) -> None:
        self.did.append(f"write {len(pcm) // 48}")
        self.room -= len(pcm) // 2

    def abort(self) -> None:
        self.did.append("abort")
        self.room = self.buffer_frames

    def close(self) -> None:
        self.did.append("close")


class Bench:
    def __init__(self) -> None:
        self.now = MonoNs(0)
        self.told: list[Flushed | PlayStarted | PlayFinished] = []
        self.device = NotedDevice(self)
        self.player = Player(self.device, lambda: self.now, self.told.append)
        self.player.flush(Flush(Epoch(1), "test", self.now))
        self.told.clear()
        self.device.did.clear()

    def say(self, ms: int, item: str = "a", epoch: int = 1) -> None:
        self.player.receive(ReplyAudio(Epoch(epoch), item, 0), b"\1\0" * 24 * ms)

    def end(self, item: str = "a", epoch: int = 1) -> None:
        self.player.receive(ReplyEnd(Epoch(epoch), item, 0), b"")

    def at(self, ms: float) -> None:
        self.now = MonoNs(int(ms * MS))
        self.player.pump()


def test_priming_starts_the_device_once_unheard() -> None:
    bench = Bench()
    bench.player.prime()
    assert bench.device.did == ["start", "write 20", "abort"]


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
