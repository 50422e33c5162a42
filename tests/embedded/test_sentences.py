import time

import pytest

from voiced.embedded.sentences import Sentences


def cut(*pieces: str) -> list[str]:
    sentences = Sentences()
    return [done for piece in pieces for done in sentences.feed(piece)] + sentences.end()


def test_sentences_come_out_as_soon_as_they_are_complete() -> None:
    sentences = Sentences()
    assert sentences.feed("It is noon. Time") == ["It is noon."]
    assert sentences.feed(" for lunch! And") == ["Time for lunch!"]
    assert sentences.end() == ["And"]
    assert sentences.end() == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Pi is 3.14 or so. Yes.", ["Pi is 3.14 or so.", "Yes."]),
        ("Dr. Smith met J. Doe. Fine.", ["Dr. Smith met J. Doe.", "Fine."]),
        ('He said "no!" Then left.', ['He said "no!"', "Then left."]),
        ("one\ntwo\n\nthree", ["one", "two", "three"]),
        ("", []),
        ("  ", []),
    ],
)
def test_where_a_sentence_ends(text: str, wanted: list[str]) -> None:
    assert cut(text) == wanted
    assert cut(*text) == wanted


def test_an_endless_sentence_is_cut_and_nothing_is_lost() -> None:
    text = "word " * 300
    pieces = cut(text)
    assert max(map(len, pieces)) <= 300
    assert " ".join(pieces).split() == text.split()


def test_the_first_clause_does_not_wait_for_its_sentence() -> None:
    sentences = Sentences()
    assert sentences.feed("The sky is blue because of the air, ") == ["The sky is blue because of the air,"]
    assert sentences.feed("which scatters blue light more than red, as it") == []
    assert sentences.end() == ["which scatters blue light more than red, as it"]


def test_a_text_without_ends_takes_linear_time() -> None:
    begun = time.process_time()
    pieces = cut("A. " * 20_000)
    assert time.process_time() - begun < 1  # took minutes
    assert " ".join(pieces).split() == ["A."] * 20_000
