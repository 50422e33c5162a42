from voiced.network.transcript import ASSISTANT, USER, Said, Transcript

MS = 1_000_000


def test_partial_texts_come_at_most_ten_times_a_second() -> None:
    transcript = Transcript()
    transcript.add(ASSISTANT, "i1", "one ", 0)
    assert list(transcript.due(0)) == [Said(ASSISTANT, "i1", "one ", False)]
    transcript.add(ASSISTANT, "i1", "two ", 10 * MS)
    transcript.add(ASSISTANT, "i1", "three", 20 * MS)
    assert list(transcript.due(99 * MS)) == []
    assert transcript.wake_ns == 100 * MS
    assert list(transcript.due(100 * MS)) == [Said(ASSISTANT, "i1", "one two three", False)]
    assert transcript.wake_ns is None


def test_a_final_text_comes_at_once_and_once() -> None:
    transcript = Transcript()
    transcript.add(USER, "u1", "hel", 0)
    assert transcript.finish(USER, "u1", "Hello.") == Said(USER, "u1", "Hello.", True)
    assert transcript.finish(USER, "u1", "Hello?") is None
    transcript.add(USER, "u1", "late", 0)
    assert list(transcript.due(MS)) == []
    assert transcript.last(1)[0]["text"] == "Hello."


def test_turns_stand_in_the_order_of_their_announcement() -> None:
    transcript = Transcript()
    transcript.announce(USER, "u1")
    transcript.finish(ASSISTANT, "i1", "Hi.")
    transcript.finish(USER, "u1", "Hello.")
    assert [turn["item_id"] for turn in transcript.last(10)] == ["u1", "i1"]
    assert [turn["item_id"] for turn in transcript.last(1)] == ["i1"]


def test_turns_without_words_are_not_shown() -> None:
    transcript = Transcript()
    transcript.announce(USER, "u1")
    assert transcript.last(10) == []


def test_an_interruption_ends_the_text_and_says_where() -> None:
    transcript = Transcript()
    transcript.add(ASSISTANT, "i1", "Once upon", 0)
    assert transcript.close("i1", 420, 900, interrupted=True) == Said(ASSISTANT, "i1", "Once upon", True)
    assert transcript.last(1)[0]["interrupted"] is True
    assert transcript.last(1)[0]["played_ms"] == 420
    assert transcript.close("unknown", 1, 2, interrupted=True) is None


def test_what_was_played_of_several_parts_adds_up() -> None:
    transcript = Transcript()
    transcript.finish(ASSISTANT, "i1", "Hi.")
    transcript.played("i1", 100)
    transcript.played("i1", 50)
    assert transcript.last(1)[0]["played_ms"] == 150


def test_only_the_last_thousand_turns_are_kept() -> None:
    transcript = Transcript()
    for number in range(1005):
        transcript.add(USER, f"u{number}", "x", 0)
    assert len(transcript.last(5000)) == 1000
    assert transcript.last(5000)[0]["item_id"] == "u5"
    assert sum(len(list(transcript.due(at * 100 * MS))) for at in range(200)) == 1000
