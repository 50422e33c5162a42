"""What the laboratory's figures rest on: streams that are what they claim, and scores that follow from known flags."""

from typing import NamedTuple

import numpy as np
import pytest

from tests.bench.rooms import rooms, score, transients
from tests.bench.rooms.peers import LevelGate, Output, Verdict
from tests.bench.rooms.streams import Stream, Utterance
from tests.bench.rooms.transcripts import distance, normalised
from tests.bench.rooms.voices import FAR, NEAR, RATE_HZ, Samples, level_dbfs
from tests.bench.rooms.words import ANSWERS, INTERRUPTIONS

_SECOND = RATE_HZ


def noise(seconds: float, dbfs: float, seed: int = 0) -> Samples:
    sound = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)) * 10 ** (dbfs / 20)
    return np.asarray(sound, np.float32)


def lag(later: Samples, earlier: Samples) -> int:
    return score.delay_of(later, earlier)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("kind", ["single", "room", "loud", "diffuse"])
def test_an_echo_is_as_late_and_as_loud_as_its_room_says(kind: rooms.Kind, rng: np.random.Generator) -> None:
    far = noise(4, -20)
    place = rooms.room(kind, "tune", 3, echo_db=-6)
    echo = rooms.echo(place, far, rng)
    assert level_dbfs(echo) == pytest.approx(-26, abs=1.0)
    assert not echo[: int(place.delay_ms * 16) - 1].any()
    if kind == "single":
        assert lag(echo, far) == pytest.approx(place.delay_ms * 16, abs=1)


def test_a_jump_moves_the_echo_by_40_ms_and_back(rng: np.random.Generator) -> None:
    far = noise(6, -20)
    place = rooms.room("jump", "tune", 3, -6, changes_s=(2.0, 4.0))._replace(direct_db=12.0)
    echo = rooms.echo(place, far, rng)
    lags = [lag(echo[at * _SECOND + 3200 : (at + 2) * _SECOND], far[at * _SECOND + 3200 : (at + 2) * _SECOND]) for at in (0, 2, 4)]
    assert (lags[1] - lags[0], lags[2] - lags[0]) == (640, 0)


def test_a_drift_of_100_ppm_moves_the_echo_by_a_sample_in_ten_thousand(rng: np.random.Generator) -> None:
    far = noise(21, -20)
    place = rooms.room("drift", "tune", 3, -6)._replace(direct_db=12.0)
    echo = rooms.echo(place, far, rng)
    first, last = (lag(echo[at * _SECOND : (at + 1) * _SECOND], far[at * _SECOND : (at + 1) * _SECOND]) for at in (0, 20))
    assert last - first == pytest.approx(np.sign(place.drift_ppm) * 32, abs=1)


def test_a_moved_device_has_another_path_and_headphones_have_none(rng: np.random.Generator) -> None:
    far = noise(4, -20)
    place = rooms.room("moved", "tune", 3, -6, changes_s=(2.0,))
    echo = rooms.echo(place, far, rng)
    response = rooms.impulse_response(place.tail_ms, place.direct_db, np.random.default_rng(1))
    stays = np.concatenate((np.zeros(round(place.delay_ms * 16), np.float32), rooms.convolved(far, response)))[: len(far)] * 10 ** (-6 / 20)
    assert np.abs(echo[: 2 * _SECOND] - stays[: 2 * _SECOND]).max() < 1e-4
    assert np.linalg.norm((echo - stays)[3 * _SECOND :]) > 0.3 * np.linalg.norm(stays[3 * _SECOND :])
    assert not rooms.echo(rooms.room("headphones", "tune", 3, -6), far, rng).any()


def test_convolution_is_to_the_sample() -> None:
    sound, response = noise(1.3, -20), noise(0.1, -20, seed=1)
    assert np.allclose(rooms.convolved(sound, response), np.convolve(sound, response)[: len(sound)], atol=1e-6)


@pytest.mark.parametrize("name", transients.NAMES)
def test_transients_differ_from_each_other_and_are_equally_loud(name: transients.Name, rng: np.random.Generator) -> None:
    first, second = transients.make(name, rng), transients.make(name, rng)
    assert [level_dbfs(first), level_dbfs(second)] == pytest.approx([-20, -20], abs=0.1)
    assert len(first) != len(second) or not np.allclose(first, second)
    assert 0.1 < len(first) / RATE_HZ < 2


def test_what_is_held_out_is_not_tuned_on() -> None:
    for said in (INTERRUPTIONS, ANSWERS):
        assert not set(said["tune"]) & set(said["held"])
    assert not set(NEAR["tune"]) & set(NEAR["held"])
    for split in ("tune", "held"):
        assert not set(FAR[split]) & set(NEAR[split])


class _Flags(NamedTuple):
    """An engine that tells what it was told to tell, a decision for each block."""

    up_s: tuple[tuple[float, float], ...]

    def process(self, near: Samples, far: Samples) -> Output:
        at = int(far[-1])
        up = any(begin * RATE_HZ < at <= end * RATE_HZ for begin, end in self.up_s)
        return Output(near, [Verdict(up, False)])


def _stream(*utterances_s: tuple[float, float]) -> Stream:
    marks = tuple(Utterance(round(begin * RATE_HZ), round(end * RATE_HZ), "", False) for begin, end in utterances_s)
    silence = np.zeros(10 * _SECOND, np.float32)
    # The far end tells the engine of this test what time it is.
    clock = np.arange(1, len(silence) + 1).astype(np.float32)
    return Stream(silence, clock, silence, silence, marks, (), rooms.room("headphones", "tune", 0, 0))


def _heard(up_s: tuple[tuple[float, float], ...], *utterances_s: tuple[float, float]) -> score.Heard:
    stream = _stream(*utterances_s)
    track = score.run(_Flags(up_s), stream)
    assert not track.confirmed.any()
    return score.heard(track.at, track.suspected, stream)


def test_an_interruption_is_heard_when_the_block_of_its_decision_is_full() -> None:
    assert _heard(((2.09, 2.5),), (2.0, 3.0)) == ((100.0,), ())


def test_a_flag_that_is_up_already_hears_nothing() -> None:
    assert _heard(((1.5, 3.0),), (2.0, 3.0)).latencies_ms == (None,)


def test_a_little_before_and_after_an_utterance_counts_and_more_does_not() -> None:
    assert _heard(((1.97, 2.1),), (2.0, 3.0)) == ((-20.0,), ())
    assert _heard(((3.47, 3.6),), (2.0, 3.0)).latencies_ms == (1480.0,)
    assert _heard(((3.6, 3.7),), (2.0, 3.0)) == ((None,), (3.62,))


def test_a_flag_that_flickers_is_one_false_start_and_after_a_while_another() -> None:
    assert len(_heard(((1, 1.1), (1.3, 1.4), (2, 2.1))).false_s) == 2


def test_echo_left_is_told_where_there_was_echo_alone() -> None:
    echo = np.concatenate((noise(4, -20), np.zeros(4 * _SECOND, np.float32)))
    near = echo + noise(8, -90, seed=2)
    stream = _stream()._replace(near=near, far=echo, speech=np.zeros_like(echo), echo=echo)
    left = near.copy()
    left[_SECOND : 4 * _SECOND] *= 0.01
    left[4 * _SECOND :] = 0.5
    track = score.Track(left, None, np.zeros(0, np.intp), np.zeros(0, bool), np.zeros(0, bool), 0.0)
    assert score.echo_left_db(track, stream, 0, [(1.0, 8.0)]) == pytest.approx(-40, abs=0.1)
    assert score.echo_left_db(track, stream, 0, [(0.0, 1.0)]) == pytest.approx(0, abs=0.1)


def test_a_sound_says_how_late_it_is() -> None:
    source = noise(1, -20)
    assert score.delay_of(np.concatenate((np.zeros(128, np.float32), source))[: len(source)], source) == 128


def test_the_level_gate_opens_for_what_is_louder_than_its_share_of_the_answer() -> None:
    far = noise(2, -20)
    threshold_dbfs = 20 * np.log10(0.6 * 0.1 + 0.002)
    for above_db, opens in ((2.0, True), (-2.0, False)):
        told = LevelGate().process(noise(2, threshold_dbfs + above_db, seed=3), far)
        assert all(each.confirmed == opens for each in told.decisions[25:])
        assert len(told.decisions) == 50
    assert not any(each.confirmed for each in LevelGate().process(noise(2, -38, seed=3), np.zeros_like(far)).decisions)


def test_words_are_compared_as_they_sound() -> None:
    assert distance(normalised("Set an alarm for half past six."), normalised("set an alarm for half-past six")) == 0
    assert distance(["a", "b", "c"], ["a", "x", "c", "d"]) == 2
    assert distance(["a"], []) == 1
