"""The playback process on real sound servers: lowered and raised again, what capture is told of it, volume and earcons."""

import numpy as np
import pytest

from tests.bench import sounds
from tests.system.family import Family, next_of
from tests.system.playing import Playing
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import SoundServer
from voiced.messages import Heartbeat, Played, PlayedCut, PlayFinished, PlayStarted, Publish

pytestmark = [pytest.mark.system, pytest.mark.any_sound]

#: A duck is heard within this on a machine that does other things too, and may lose or double as much of the reply: PipeWire cuts
#: and begins in whole quanta, 21 ms. The bench has the real figures.
SANE_MS = {"PulseAudio": 30.0, "PipeWire": 100.0}


def level(bench: Playing, first: int, end: int) -> float:
    return float(np.sqrt(np.mean(sounds.as_samples(bench.speaker.sound(first, end)) ** 2)))


def test_the_voice_is_lowered_at_once_and_comes_back_and_all_of_it_is_heard(family: Family, sound: SoundServer, speaker: Recorder) -> None:
    bench = Playing(family, sound, speaker)
    since = bench.say_this(1, "a", sounds.noise(2.0, seed=1), end=True)
    first = speaker.wait_for_sound(since, timeout_s=5)
    bench.listen(400, first)
    told, ordered = bench.duck()
    assert told.data["lowered"]
    bench.listen(200)
    raised, ordered_back = bench.duck(lowered=False)
    assert not raised.data["lowered"]
    assert next_of(bench.heard, PlayFinished)[0].played_ms == 2000
    last = speaker.wait_for_silence(150, timeout_s=5, since=since)
    down, up = speaker.sample_at(ordered), speaker.sample_at(ordered_back)
    loud = level(bench, down - 4800, down)
    low = down + round(24 * SANE_MS[sound.name])
    assert level(bench, low, up) == pytest.approx(loud / 8, rel=0.12)
    assert level(bench, last - 4800, last) == pytest.approx(loud, rel=0.12)
    heard = sounds.as_samples(speaker.sound(first, last + 1))
    assert np.count_nonzero(np.abs(heard) > 50) / 24 == pytest.approx(2000, abs=SANE_MS[sound.name])


def test_what_was_heard_is_right_after_ducks(family: Family, sound: SoundServer, speaker: Recorder) -> None:
    bench = Playing(family, sound, speaker)
    since = bench.say_this(1, "a", sounds.noise(3.0, seed=2))
    first = speaker.wait_for_sound(since, timeout_s=5)
    bench.listen(200, first)
    for lowered in (True, False, True):
        bench.duck(lowered=lowered)
        bench.listen(150)
    flushed, _ = bench.flush(2)
    last = speaker.wait_for_silence(150, timeout_s=5, since=since)
    truth = sounds.place(sounds.as_samples(speaker.sound(first, last + 1)), last - first, sounds.as_samples(sounds.noise(3.0, seed=2)))
    assert truth is not None
    [part] = flushed.heard
    assert part.played_ms == pytest.approx(truth / 24, abs=SANE_MS[sound.name])


def test_capture_is_told_to_the_sample_what_sounds_and_when(family: Family, sound: SoundServer, speaker: Recorder) -> None:
    bench = Playing(family, sound, speaker, listened=True, volume=50)
    since = bench.say_this(1, "a", sounds.noise(2.0, seed=3))
    first = speaker.wait_for_sound(since, timeout_s=5)
    bench.listen(300, first)
    _, ducked = bench.duck()
    bench.listen(200)
    bench.flush(2)
    last = speaker.wait_for_silence(150, timeout_s=5, since=since)
    told = bench.announced()
    cuts = [(at, message) for at, (message, _) in enumerate(told) if isinstance(message, PlayedCut)]
    assert [cut.reason for _, cut in cuts] == ["epoch", "", "speech_started"]
    assert abs(cuts[1][1].cut_ns - ducked) < SANE_MS[sound.name] * 1e6
    before, after = told[cuts[0][0] + 1 : cuts[1][0]], told[cuts[1][0] + 1 : cuts[2][0]]
    heard = sounds.as_samples(speaker.sound(first, last + 1))
    for run, cut in ((before, cuts[1][1]), (after, cuts[2][1])):
        begun = run[0][0]
        assert isinstance(begun, Played)
        sounded = cut.position - begun.position
        pcm = sounds.as_samples(b"".join(pcm for _, pcm in run))[:sounded]
        assert sounded > 24 * 100
        # An excerpt of what it was told is found in what was heard, where and as loud as it was told.
        excerpt = slice(1200, min(sounded - 480, 3600))
        at = found(pcm[excerpt], heard) - 1200 + first
        lag_ms = (speaker.time_ns(at) - begun.heard_ns) / 1e6
        assert -5 < lag_ms < SANE_MS[sound.name]
        assert level(bench, at + 1200, at + excerpt.stop) == pytest.approx(float(np.sqrt(np.mean(pcm[excerpt] ** 2))), rel=0.12)


def found(excerpt: sounds.Samples, heard: sounds.Samples) -> int:
    """Where it is most alike."""
    match = np.correlate(heard, excerpt, "valid")
    energy = np.sqrt(np.convolve(heard**2, np.ones(len(excerpt)), "valid")) * np.linalg.norm(excerpt)
    likeness = match / np.maximum(energy, 1)
    assert likeness.max() > 0.9
    return int(likeness.argmax())


def test_the_volume_is_turned_and_shown(family: Family, sound: SoundServer, speaker: Recorder) -> None:
    bench = Playing(family, sound, speaker, volume=80)
    assert bench.ready.detail["volume"] == 80
    assert family.order("playback", "volume", level=None) == {"volume": 80}
    assert family.order("playback", "volume", level=10) == {"volume": 10}
    while (beat := family.wait_for(Heartbeat)).stats["volume"] != 10:
        pass
    assert not beat.stats["ducked"]
    since = bench.say_this(1, "a", sounds.noise(0.5, seed=4), end=True)
    last = speaker.wait_for_silence(150, timeout_s=5, since=speaker.wait_for_sound(since, timeout_s=5))
    expected = 9000 / 3**0.5 / 10  # of the noise, evenly spread up to 9000
    assert level(bench, last - 4800, last) == pytest.approx(expected, rel=0.12)


def test_an_earcon_sounds_where_nothing_else_does_and_is_nobodys_speech(family: Family, sound: SoundServer, speaker: Recorder) -> None:
    bench = Playing(family, sound, speaker)
    at = speaker.samples
    family.send("playback", "earcon", name="listening")
    speaker.wait_for_sound(at, timeout_s=5)
    assert 120 < bench.sounded_ms(at) < 150
    since = bench.say(1, "a", deltas=1, end=True)
    family.send("playback", "earcon", name="error")
    assert next_of(bench.heard, PlayFinished)[0].item_id == "a"
    bench.speaker.wait_for_silence(200, timeout_s=5, since=since)
    family.send("playback", "earcon", name="muted")
    at = speaker.samples
    speaker.wait_for_sound(at, timeout_s=5)
    flushed, _ = bench.flush(2)
    assert (flushed.heard, flushed.dropped_ms, flushed.was_playing) == ((), 0, False)
    assert bench.sounded_ms(at) < 120


def test_the_end_of_a_duck_is_told_whatever_ends_it(family: Family, sound: SoundServer, speaker: Recorder) -> None:
    bench = Playing(family, sound, speaker)
    bench.say(1, "a", deltas=8)
    next_of(bench.heard, PlayStarted)  # the reply's new epoch has flushed, which ends a duck that is ordered before
    assert bench.duck()[0].data["lowered"]
    family.send("playback", "raise")  # capture is gone
    assert family.wait_for(Publish).data["lowered"] is False
    assert bench.duck()[0].data["lowered"]
    bench.say(2, "b", deltas=1, end=True)  # a flush that was not heard of
    assert family.wait_for(Publish).data["lowered"] is False
