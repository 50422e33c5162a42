"""The wake word's detector, for real: synthetic voices call it."""

import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from voiced.audio.echo.interface import Samples
from voiced.capture.wakeword import WakeWord
from voiced.errors import PackageMissing
from voiced.keys import KEYS

FRAME = 320
PAUSE = np.zeros(16_000, np.float32)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Samples]:
    """Each word and a sentence, in a man's voice and faint noise, with a second of it before and after."""
    folder: Path = tmp_path_factory.mktemp("said")
    return {text: _said(text, folder / "said.wav") for text in ("okay nabu", "hey jarvis", "hey mycroft", "alexa", "what time is it")}


def _said(text: str, path: Path) -> Samples:
    subprocess.run(["flite", "-voice", "rms", "-t", text, "-o", str(path)], check=True)
    with wave.open(str(path)) as file:
        assert file.getframerate() == 16_000
        voice = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    sound = np.concatenate((PAUSE, voice, PAUSE))
    return (sound + np.random.default_rng(0).normal(0, 0.001, len(sound))).astype(np.float32)


def heard(word: WakeWord, sound: Samples, step: int = FRAME) -> list[int]:
    """The milliseconds at which it was heard."""
    return [start // 16 for start in range(0, len(sound), step) if word.process(sound[start : start + step]) is not None]


@pytest.mark.parametrize("name", [choice for choice in KEYS["wake.word"].choices if choice])
def test_each_hears_its_own_word_and_no_other(name: str, said: dict[str, Samples]) -> None:
    word = WakeWord(name)
    for text, sound in said.items():
        word.reset()
        times = heard(word, sound)
        assert bool(times) == (text == name.replace("_", " ")), text
        # While it is said or right after it: what follows without a pause must not wait.
        assert not times or 1000 < times[0] < len(sound) // 16 - 1000 + 300


def test_the_probability_is_one(said: dict[str, Samples]) -> None:
    word = WakeWord("alexa")
    told = [word.process(part) for part in np.array_split(said["alexa"], 150)]
    assert all(0.9 < probability <= 1 for probability in told if probability is not None)


def test_after_a_reset_the_word_just_said_is_forgotten(said: dict[str, Samples]) -> None:
    word = WakeWord("alexa")
    at = heard(word, said["alexa"])[0] * 16 + FRAME
    word.reset()
    assert word.process(said["alexa"][:at]) is not None
    assert heard(word, said["alexa"][at:]), "it would be heard again"
    word.reset()
    word.process(said["alexa"][:at])
    word.reset()
    assert not heard(word, said["alexa"][at:])


def test_however_the_sound_is_cut_the_word_is_the_same(said: dict[str, Samples]) -> None:
    word = WakeWord("hey_mycroft")
    [first, *_] = heard(word, said["hey mycroft"], 160)
    word.reset()
    [odd, *_] = heard(word, said["hey mycroft"], 333)
    assert abs(odd - first) < 30


def test_sound_beyond_full_scale_is_clipped_not_wrapped(said: dict[str, Samples]) -> None:
    assert heard(WakeWord("alexa"), said["alexa"] * 3)


def test_where_the_package_is_missing_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymicro_wakeword", None)
    with pytest.raises(PackageMissing) as raised:
        WakeWord("alexa")
    assert "pip install 'pymicro-wakeword" in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    "error",
    [
        OSError("libc.so.6: version `GLIBC_2.99' not found"),
        RuntimeError("TfLiteModelCreateFromFile returned NULL"),
        ValueError("Failed to find tensorflowlite_c library"),
    ],
)
def test_where_its_library_does_not_load_neither(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    import pymicro_wakeword

    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(pymicro_wakeword.MicroWakeWord, "from_builtin", refuse)
    with pytest.raises(PackageMissing, match=re.escape(str(error))):
        WakeWord("alexa")
