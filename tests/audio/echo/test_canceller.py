import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.audio.echo.echoes import babble, echoed, lowered_db, response
from voiced.audio.echo.canceller import Canceller
from voiced.audio.echo.interface import RATE_HZ, Decision, Samples
from voiced.audio.echo.wire import Aec3


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """A sentence at -20 dBFS."""
    path: Path = tmp_path_factory.mktemp("speech") / "speech.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", "Wait a moment, I have a question.", "-o", str(path)], check=True)
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    return np.asarray(sound * 0.1 / np.sqrt(np.mean(sound**2)), np.float32)[: int(1.5 * RATE_HZ)]


def run(canceller: Canceller, near: Samples, far: Samples, frame: int = 320) -> tuple[Samples, list[Decision]]:
    sounds, decisions = [], []
    for at in range(0, len(near) // frame * frame, frame):
        cancelled = canceller.process(near[at : at + frame], far[at : at + frame])
        assert len(cancelled.sound) == len(cancelled.clear) == frame
        sounds.append(cancelled.sound)
        decisions += cancelled.decisions
    return np.concatenate(sounds), decisions


def test_the_user_interrupts_an_assistant_as_loud_as_he_is_and_it_never_interrupts_itself(said: Samples) -> None:
    far = babble(1, 5)
    near = echoed(far, response(1, gain=1.0))
    onset = int(3.2 * RATE_HZ)
    near[onset : onset + len(said)] += said
    sound, decisions = run(Canceller(), near, far)
    before, after = decisions[: onset // 512], decisions[onset // 512 : (onset + len(said)) // 512]
    assert not any(d.suspected for d in before)
    assert any(d.confirmed for d in after)
    assert all(d.far_active for d in decisions[1:])
    assert lowered_db(near[2 * RATE_HZ : 3 * RATE_HZ], sound[2 * RATE_HZ : 3 * RATE_HZ]) > 25


def test_a_user_with_a_headset_is_heard(said: Samples) -> None:
    far = babble(2, 3)
    near = np.random.default_rng(3).normal(0, 1e-3, len(far)).astype(np.float32)
    near[RATE_HZ : RATE_HZ + len(said)] += said
    _, decisions = run(Canceller(), near, far)
    assert not any(d.suspected for d in decisions[: RATE_HZ // 512])
    assert any(d.confirmed for d in decisions[RATE_HZ // 512 :])


def test_a_user_is_heard_while_nothing_plays(said: Samples) -> None:
    near = np.random.default_rng(4).normal(0, 1e-3, 2 * RATE_HZ).astype(np.float32)
    near[RATE_HZ // 2 : RATE_HZ // 2 + len(said)] += said
    _, decisions = run(Canceller(), near, np.zeros_like(near))
    assert any(d.confirmed for d in decisions)
    assert not any(d.far_active for d in decisions)


@pytest.mark.parametrize("frame", [160, 320])
def test_the_sound_is_late_by_what_it_says(frame: int) -> None:
    near = babble(6, 1.5)
    canceller = Canceller(frame=frame, noise_suppression=False)
    sound, decisions = run(canceller, near, np.zeros_like(near), frame)
    assert len(decisions) == len(near) // 512
    match = np.correlate(near[RATE_HZ // 2 - 400 : RATE_HZ], sound[RATE_HZ // 2 : RATE_HZ], "valid")
    assert 400 - np.argmax(match) == canceller.delay


def test_an_echo_out_of_reach_is_brought_near() -> None:
    far = babble(7, 6)
    canceller = Canceller()
    run(canceller, echoed(far, response(7, delay_ms=500)), far)
    facts = canceller.facts()
    assert facts.converged
    assert facts.delay_ms == pytest.approx(500, abs=1)


def test_what_is_no_sound_spoils_nothing() -> None:
    far = babble(8, 3)
    near = echoed(far, response(8))
    near[RATE_HZ : RATE_HZ + 100] = np.nan
    far[RATE_HZ + 320 : RATE_HZ + 420] = np.inf
    sound, decisions = run(Canceller(), near, far)
    assert np.isfinite(sound).all()
    assert np.isfinite([d.speech for d in decisions]).all()
    last = slice(-RATE_HZ // 2, None)
    assert lowered_db(near[last], sound[last]) > 20


def test_the_path_of_an_echo_that_is_held_back_stays_known() -> None:
    far = babble(9, 4)
    near = echoed(far, response(9, delay_ms=250, tail_ms=40))  # later than is left alone, yet within reach
    canceller = Canceller()
    known_db: list[float] = []
    for at in range(0, len(near) // 320 * 320, 320):
        canceller.process(near[at : at + 320], far[at : at + 320])
        facts = canceller.facts()
        if canceller._aligner.held and facts.erle_db is not None:
            known_db.append(facts.erle_db)
    assert facts.delay_ms == pytest.approx(250, abs=1)
    assert len(known_db) > 50
    assert min(known_db) >= known_db[0] - 1


def test_what_it_knows_of_the_echo_is_told() -> None:
    canceller = Canceller()
    assert canceller.facts() == (None, None, None, False)
    far = babble(5, 5)
    run(canceller, echoed(far, response(5, delay_ms=60)), far)
    facts = canceller.facts()
    assert facts.converged
    assert facts.erle_db is not None
    assert facts.erle_db > 10
    assert facts.delay_ms == pytest.approx(60, abs=1)


def test_frames_that_are_no_multiple_of_10_ms_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 160"):
        Canceller(frame=256)


def test_what_rests_while_nothing_plays_makes_no_difference(said: Samples) -> None:
    """The user speaks on while the assistant begins. A far end below hearing keeps the other one from resting."""
    near = np.random.default_rng(7).normal(0, 1e-3, 2 * RATE_HZ).astype(np.float32)
    near[RATE_HZ // 4 : RATE_HZ // 4 + len(said)] += said
    sounds = []
    for silence in (0.0, 1e-7):
        canceller = Canceller(noise_suppression=False)
        sounds.append(run(canceller, near, np.concatenate((np.full(RATE_HZ, silence, np.float32), babble(6, 1))))[0])
        assert not canceller.idle
    assert np.abs(sounds[0] - sounds[1]).max() < 0.02


def test_what_went_by_is_gone_over_in_little_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once it held the process up for four frames at the beginning of each answer."""

    class Counted(Aec3):
        calls = 0

        def process(self, near: Samples, far: Samples) -> Samples:
            Counted.calls += 1
            return super().process(near, far)

    monkeypatch.setattr("voiced.audio.echo.canceller.Aec3", Counted)
    canceller = Canceller()
    silent = np.zeros(RATE_HZ, np.float32)
    run(canceller, babble(8, 1), silent)
    assert Counted.calls == 0, "nothing plays"
    far = babble(9, 1)
    calls, sounding = [], []
    for at in range(0, RATE_HZ // 2, 320):
        before = Counted.calls
        sounding += [d.far_active for d in canceller.process(silent[at : at + 320], far[at : at + 320]).decisions]
        calls.append(Counted.calls - before)
    assert all(sounding), "known from the first block on"
    assert max(calls) <= 4
    assert calls[10:] == [1] * 15, "then it keeps up"
    assert sum(calls) == 20 + 25
