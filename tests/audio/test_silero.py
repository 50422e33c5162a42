import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from voiced.audio.silero import RATE_HZ, WINDOW, WINDOW_MS, Silero, together


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Half a second of quiet, a sentence, half a second of quiet, in faint noise."""
    path: Path = tmp_path_factory.mktemp("speech") / "speech.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", "Please tell me what the weather will be like tomorrow.", "-o", str(path)], check=True)
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE_HZ
        said = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    quiet = np.zeros(RATE_HZ // 2, np.float32)
    sound = np.concatenate((quiet, said, quiet))
    return sound + np.random.default_rng(0).normal(0, 0.002, len(sound)).astype(np.float32)


def noises() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    seconds = np.arange(4 * RATE_HZ) / RATE_HZ
    clicks = np.zeros(len(seconds))
    clicks[:: RATE_HZ // 7] = 0.9
    return {
        "silence": np.zeros(len(seconds)),
        "white": random.normal(0, 0.1, len(seconds)),
        "fan": np.cumsum(random.normal(0, 0.01, len(seconds))) * 0.2 % 0.3,
        "chord": 0.1 * np.sin(2 * np.pi * np.outer((262, 330, 392, 523), seconds)).sum(axis=0),
        "clicks": clicks,
    }


def test_speech_is_heard_and_the_quiet_around_it_is_not(speech: np.ndarray) -> None:
    loud = np.flatnonzero(np.abs(speech) > 0.05) * 1000 / RATE_HZ
    heard = np.flatnonzero(np.array(Silero().process(speech)) > 0.5)
    assert -50 <= heard[0] * WINDOW_MS - loud[0] <= 100
    assert -150 <= (heard[-1] + 1) * WINDOW_MS - loud[-1] <= 150
    assert len(heard) > 0.8 * (heard[-1] - heard[0])


@pytest.mark.parametrize("kind", noises())
def test_what_is_no_speech_is_not_heard(kind: str) -> None:
    heard = np.array(Silero().process(noises()[kind].astype(np.float32))) > 0.5
    held = heard[1:] & heard[:-1]
    assert not held.any()


def test_the_loudest_sound_overflows_nothing() -> None:
    seconds = np.arange(4 * RATE_HZ) / RATE_HZ
    loudest = np.sign(np.sin(2 * np.pi * 60 * seconds)).astype(np.float32)
    with np.errstate(all="raise", under="ignore"):
        assert max(Silero().process(loudest)) <= 1


def test_block_lengths_change_nothing(speech: np.ndarray) -> None:
    at_once = Silero().process(speech)
    cut = Silero()
    pieces = [probability for start in range(0, len(speech), 333) for probability in cut.process(speech[start : start + 333])]
    assert len(at_once) == len(speech) // WINDOW
    assert pieces == at_once


def test_two_detectors_together_hear_what_each_hears_alone(speech: np.ndarray) -> None:
    noise = np.resize(noises()["chord"], len(speech)).astype(np.float32)
    pair = Silero(), Silero()
    found = [of for at in range(0, len(speech), 320) for of in together(pair, (speech[at : at + 320], noise[at : at + 320]))]
    np.testing.assert_allclose(np.transpose(found), (Silero().process(speech), Silero().process(noise)), atol=1e-5)


def test_reset_forgets(speech: np.ndarray) -> None:
    silero = Silero()
    first = silero.process(speech)
    silero.reset()
    assert silero.process(speech) == first
