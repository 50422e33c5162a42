"""The gate of the wake word: what passes before the word, with it and after it."""

import numpy as np

from voiced.audio.echo.interface import Samples
from voiced.capture.ears import Ears, Through
from voiced.capture.gate import Frame
from voiced.messages import LocalSpeech, MonoNs

SOUND: Samples = np.zeros(320, np.float32)


class Named:
    """Hears its name in the frames of these numbers, counted from the last reset."""

    def __init__(self, *places: int) -> None:
        self._places = places
        self.resets = 0
        self.heard = 0

    def process(self, sound: Samples) -> float | None:
        assert sound is SOUND
        self.heard += 1
        return 0.97 if self.heard - 1 in self._places else None

    def reset(self) -> None:
        self.resets += 1
        self.heard = 0


def frame(number: int) -> Frame:
    return Frame(MonoNs(number), bytes([number]), b"")


def passed(ears: Ears, numbers: range) -> list[int]:
    return [through.captured_ns for number in numbers for through in ears.hear(SOUND, frame(number)).frames]


def test_nothing_passes_until_the_word_then_the_frames_before_it_and_all_that_follow() -> None:
    ears = Ears(Named(50), keep=10)
    assert passed(ears, range(50)) == []
    assert ears.hear(SOUND, frame(50)) == Through(LocalSpeech("wake", MonoNs(50), 0.97), [frame(number) for number in range(41, 51)])
    assert ears.open
    assert passed(ears, range(51, 99)) == list(range(51, 99))


def test_a_word_at_once_brings_what_there_is() -> None:
    assert passed(Ears(Named(1), keep=10), range(4)) == [0, 1, 2, 3]


def test_the_word_is_not_listened_for_while_they_are_open() -> None:
    word = Named(0)
    ears = Ears(word, keep=10)
    passed(ears, range(9))
    assert word.heard == 1


def test_they_close_on_order_and_nothing_from_before_comes_again() -> None:
    word = Named(2)
    ears = Ears(word, keep=10)
    passed(ears, range(9))
    ears.turn(open=False)
    assert word.resets == 1  # or the same word would be heard again
    assert not ears.open
    assert passed(ears, range(20, 22)) == []
    woken, frames = ears.hear(SOUND, frame(22))
    assert woken
    assert frames == [frame(20), frame(21), frame(22)]


def test_opened_on_order_they_pass_on_only_what_is_said_from_then_on() -> None:
    ears = Ears(Named(5), keep=10)
    passed(ears, range(4))
    ears.turn(open=True)
    assert [ears.hear(SOUND, frame(number)) for number in (4, 5)] == [Through(None, [frame(4)]), Through(None, [frame(5)])]


def test_what_was_said_before_mute_is_not_sent_after_it() -> None:
    ears = Ears(Named(1), keep=10)
    passed(ears, range(1))
    ears.reset()
    assert not ears.open
    assert passed(ears, range(7, 9)) == [7, 8]


def test_without_a_word_they_are_always_open() -> None:
    ears = Ears(None, keep=10)
    assert passed(ears, range(5)) == list(range(5))
    ears.turn(open=False)
    ears.reset()
    assert ears.open
    assert passed(ears, range(5)) == list(range(5))
