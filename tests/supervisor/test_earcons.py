from typing import Any

from voiced.supervisor.earcons import Earcons


def told(earcons: Earcons, *events: tuple[float, str, dict[str, Any]]) -> list[str | None]:
    return [earcons.due(topic, data, now_s) for now_s, topic, data in events]


def state(now_s: float, now: str, previous: str) -> tuple[float, str, dict[str, Any]]:
    return now_s, "state", {"state": now, "previous": previous}


def test_a_session_that_opens_is_told_once() -> None:
    events = [state(1, "listening", "connecting"), state(20, "hearing", "listening"), state(40, "listening", "speaking")]
    assert told(Earcons(), *events) == ["listening", None, None]


def test_a_session_that_comes_back_is_told_and_a_process_that_does_is_not() -> None:
    earcons = Earcons()
    told(earcons, state(1, "listening", "connecting"))
    assert told(earcons, state(10, "connecting", "listening"), state(20, "listening", "connecting")) == [None, None]
    lost = (30.0, "session", {"connected": False})
    assert told(earcons, lost, state(30, "offline", "listening"), state(40, "listening", "offline")) == [None, None, "listening"]


def test_who_says_the_wake_word_and_waits_is_told_and_the_session_that_follows_is_not() -> None:
    earcons = Earcons()
    told(earcons, (0.0, "session", {"connected": False}))
    assert told(earcons, (1.0, "wake", {}), state(1, "connecting", "asleep")) == [None, None]
    assert earcons.due_s == 1.6
    assert earcons.take(1.5) is None
    assert earcons.take(1.6) == "listening"
    assert (earcons.due_s, earcons.take(1.7)) == (None, None)
    assert told(earcons, state(3, "listening", "connecting")) == [None]


def test_nothing_sounds_over_the_words_behind_the_wake_word() -> None:
    for follows in ((1.1, "speech.started", {}), state(1.1, "hearing", "connecting")):
        earcons = Earcons()
        events = [(1.0, "wake", {}), state(1, "listening", "asleep"), follows, state(4, "listening", "hearing")]
        assert told(earcons, *events) == [None] * 4
        assert earcons.due_s is None


def test_a_wake_word_that_is_refused_is_told_as_an_error_alone() -> None:
    earcons = Earcons()
    assert told(earcons, (1.0, "wake", {}), (1.0, "error", {})) == [None, "error"]
    assert earcons.due_s is None


def test_nothing_sounds_over_a_voice_that_wakes_the_session() -> None:
    events = [state(1, "asleep", "connecting"), state(2, "connecting", "asleep"), state(3, "hearing", "connecting")]
    assert told(Earcons(), *events, state(4, "listening", "hearing")) == [None] * 4
    assert told(Earcons(), state(1, "hearing", "asleep")) == [None]


def test_a_microphone_that_is_let_in_by_order_is_told() -> None:
    earcons = Earcons()
    assert told(earcons, state(1, "asleep", "connecting"), state(9, "listening", "asleep")) == [None, "listening"]


def test_who_is_muted_or_presses_a_key_is_not_told_to_speak() -> None:
    assert told(Earcons(), state(1, "muted", "connecting"), state(2, "idle", "muted")) == [None, None]


def test_errors_are_told_every_few_seconds_at_the_most() -> None:
    assert told(Earcons(), *((now_s, "error", {}) for now_s in (1.0, 2.0, 5.9, 6.0))) == ["error", None, None, "error"]
