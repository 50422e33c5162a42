"""The playback process on real sound servers: it sounds, it falls silent, and it knows what was heard."""

import statistics

import pytest

from tests.system.family import Family, next_of
from tests.system.playing import SETTINGS, Playing
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import SoundServer
from voiced.messages import Epoch, Failed, Flushed, PlayFinished, PlayStarted, Ready

pytestmark = [pytest.mark.system, pytest.mark.any_sound]

#: A flush is obeyed within this on a machine that does other things too; the bench has the real figures.
SANE_MS = {"PulseAudio": 100.0, "PipeWire": 200.0}


@pytest.fixture
def bench(family: Family, sound: SoundServer, speaker: Recorder) -> Playing:
    return Playing(family, sound, speaker)


def test_a_burst_of_speech_is_cut_off_and_what_was_heard_is_told(bench: Playing) -> None:
    silences, errors = [], []
    for turn in range(5):
        epoch = 10 * turn + 10
        since = bench.say(epoch, f"item{turn}", deltas=400 if turn == 3 else 8)  # 3: 100 s in one burst
        bench.speaker.wait_for_sound(since, timeout_s=5)
        bench.speaker.wait_for_samples(bench.speaker.samples + 24 * (200 + 37 * turn), timeout_s=5)
        flushed, ordered = bench.flush(epoch + 1)
        heard_ms = bench.sounded_ms(since)
        last = bench.speaker.last_sound()
        assert last is not None
        silences.append((bench.speaker.time_ns(last) - ordered) / 1e6)
        [part] = flushed.heard
        assert part.item_id == f"item{turn}"
        assert flushed.was_playing
        errors.append(part.played_ms - heard_ms)
    assert statistics.median(silences) < SANE_MS[bench.server.name]
    assert statistics.median(map(abs, errors)) < SANE_MS[bench.server.name]


def test_a_whole_reply_is_heard_to_its_last_sample(bench: Playing) -> None:
    since = bench.say(1, "a", deltas=2, end=True)
    assert next_of(bench.heard, PlayStarted)[0].item_id == "a"
    assert next_of(bench.heard, PlayFinished)[0] == PlayFinished("a", 0, Epoch(1), 500)
    # PulseAudio's null sink swallows up to 2 ms around a start and a stop
    assert bench.loud_ms(since) == pytest.approx(500, abs=5)


def test_deltas_that_come_after_the_flush_stay_unheard_and_the_next_reply_sounds(bench: Playing) -> None:
    since = bench.say(1, "a", deltas=8)
    bench.speaker.wait_for_sound(since, timeout_s=5)
    bench.flush(2)
    bench.speaker.wait_for_silence(150, timeout_s=5, since=since)
    late = bench.say(1, "a", deltas=8)
    bench.say(2, "b", deltas=1, end=True)
    assert next_of(bench.heard, PlayFinished)[0].item_id == "b"
    assert bench.loud_ms(late) == pytest.approx(250, abs=5)


def test_a_flush_of_silence_makes_no_sound_and_is_answered(bench: Playing) -> None:
    flushed, _ = bench.flush(5)
    assert flushed == Flushed(Epoch(5), (), 0, 0, False)
    assert bench.speaker.last_sound() is None


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1)])
def test_devices_of_other_formats_play_the_same(family: Family, sound: SoundServer, speaker: Recorder, rate: int, channels: int) -> None:
    bench = Playing(family, sound, speaker, rate=rate, channels=channels)
    assert bench.ready.detail["rate"] == rate
    since = bench.say(1, "a", deltas=2, end=True)
    assert next_of(bench.heard, PlayFinished)[0].played_ms == 500
    assert bench.loud_ms(since) == pytest.approx(500, abs=8)


def test_an_unknown_device_is_named_with_those_that_exist(family: Family) -> None:
    child = family.start("playback", **{**SETTINGS, "device": "gramophone"})
    failed = family.wait_for(Failed)
    assert failed.code == "device_unknown"
    assert "gramophone" in failed.message
    assert "default" in failed.message
    assert child.wait(5) == 78


@pytest.mark.parametrize("leave", ["stop", "terminate", "orphan"])
def test_a_stop_a_signal_and_a_lost_supervisor_all_end_it(family: Family, leave: str) -> None:
    child = family.start("playback", **SETTINGS)
    family.wait_for(Ready)
    if leave == "stop":
        family.send("playback", "stop")
    elif leave == "terminate":
        child.terminate()
    elif child.stdin:
        child.stdin.close()
    assert child.wait(2) == 0
