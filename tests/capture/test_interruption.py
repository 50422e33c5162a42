"""Duck, confirm, resume, and the gate: who hears what, and when."""

from collections.abc import Iterator
from typing import Any

from voiced.audio.echo.interface import Decision
from voiced.capture.interruption import Cleaned, Interruption, Outcome
from voiced.messages import Duck, LocalSpeech, MonoNs

_MS = 1_000_000
SILENT = Decision(0.0, suspected=False, confirmed=False, far_active=False)
SOUNDING = SILENT._replace(far_active=True)
SUSPECTED = SOUNDING._replace(suspected=True, speech=0.8)
CONFIRMED = SUSPECTED._replace(confirmed=True)


class Script:
    """Frames of 20 ms, one decision in each."""

    def __init__(self, mode: str = "duck", cleaned: Cleaned = Cleaned.OURS) -> None:
        self.interruption = Interruption({"mode": mode, "resume_ms": 600}, cleaned)
        self.now = 0

    def hear(self, *decisions: Decision) -> list[Outcome]:
        return list(self._hear(decisions))

    def _hear(self, decisions: tuple[Decision, ...]) -> Iterator[Outcome]:
        for decision in decisions:
            self.now += 20 * _MS
            yield self.interruption.heard([decision], MonoNs(self.now))

    def flush(self) -> None:
        self.interruption.flushed(MonoNs(self.now))


def ducks(outcomes: list[Outcome]) -> list[bool]:
    return [outcome.duck.lowered for outcome in outcomes if outcome.duck]


def confirmations(outcomes: list[Outcome]) -> list[LocalSpeech]:
    return [outcome.speech for outcome in outcomes if outcome.speech]


def test_a_suspicion_lowers_the_voice_at_once() -> None:
    script = Script()
    [_, outcome] = script.hear(SOUNDING, SUSPECTED)
    assert outcome == Outcome(Duck(True, MonoNs(script.now)), None, open=False, replay=False)


def test_a_cough_costs_nothing_but_the_duck() -> None:
    script = Script()
    outcomes = script.hear(SUSPECTED, SUSPECTED, *[SOUNDING] * 40)
    assert ducks(outcomes) == [True, False]
    assert [outcome.duck is not None for outcome in outcomes].index(True, 1) == 1 + 30, "600 ms after the last of it"
    assert not confirmations(outcomes)
    assert not any(outcome.open for outcome in outcomes)


def test_while_he_may_still_be_speaking_the_voice_stays_low() -> None:
    outcomes = Script().hear(*([SUSPECTED] + [SOUNDING] * 20) * 4)
    assert ducks(outcomes) == [True]


def test_confirmed_is_told_once_and_opens_the_gate_with_what_was_held() -> None:
    script = Script()
    outcomes = script.hear(SOUNDING, SUSPECTED, CONFIRMED, CONFIRMED, CONFIRMED)
    assert [speech.phase for speech in confirmations(outcomes)] == ["confirmed"]
    assert [outcome.open for outcome in outcomes] == [False, False, True, True, True]
    assert [outcome.replay for outcome in outcomes] == [False, False, True, False, False]


def test_after_a_pause_it_is_another_interruption() -> None:
    script = Script()
    outcomes = script.hear(CONFIRMED, *[SOUNDING] * 15, CONFIRMED, *[SOUNDING] * 22, CONFIRMED)
    assert len(confirmations(outcomes)) == 2


def test_a_duck_that_was_ordered_after_the_flush_that_is_heard_of_now_is_taken_back() -> None:
    script = Script()
    script.hear(SOUNDING, SUSPECTED)
    script.interruption.flushed(MonoNs(script.now - _MS))
    assert ducks(script.hear(SOUNDING)) == [False]


def test_the_gate_closes_for_what_is_said_soon_after_a_flush() -> None:
    """The daemon's first answer came within a second of the flush of its first connection, and its echo went to the server."""
    script = Script()
    script.hear(SOUNDING, SUSPECTED)
    script.flush()
    assert [outcome.open for outcome in script.hear(SOUNDING)] == [True]
    script.interruption.played()
    outcomes = script.hear(*[SOUNDING] * 10)
    assert not any(outcome.open for outcome in outcomes)
    assert ducks(outcomes) == [], "nor does a suspicion from before lower it"
    assert ducks(script.hear(SUSPECTED)) == [True]


def test_before_the_first_decision_nothing_is_let_out() -> None:
    """After an unmute in the middle of an answer it would be echo."""
    interruption = Interruption({"mode": "duck", "resume_ms": 600}, Cleaned.OURS)
    assert interruption.heard([], MonoNs(1)).open is False
    assert interruption.heard([SILENT], MonoNs(2)).open is True


def test_what_was_said_before_the_assistant_began_lowers_nothing() -> None:
    """Its answer comes half a second after the last word."""
    said = SILENT._replace(suspected=True, confirmed=True)
    assert ducks(Script().hear(*[said] * 10, *[SILENT] * 10, *[SOUNDING] * 10)) == []


def test_who_speaks_on_while_the_assistant_begins_interrupts_it() -> None:
    said = SILENT._replace(suspected=True, confirmed=True)
    outcomes = Script().hear(*[said] * 50, CONFIRMED, CONFIRMED)
    assert [speech.phase for speech in confirmations(outcomes)] == ["confirmed"]


def test_a_flush_ends_the_duck() -> None:
    script = Script()
    script.hear(SUSPECTED, CONFIRMED)
    script.flush()
    assert ducks(script.hear(*[SUSPECTED] * 5, *[SILENT] * 60)) == [], "nor does the room's tail begin another"


def test_a_silent_assistant_is_neither_lowered_nor_interrupted() -> None:
    outcomes = Script().hear(*[SILENT._replace(suspected=True, confirmed=True)] * 20)
    assert not ducks(outcomes)
    assert not confirmations(outcomes)
    assert all(outcome.open for outcome in outcomes)


def test_what_was_said_into_the_last_echo_is_sent_along() -> None:
    """The gate opens because the echo is over, in the middle of a word that was not confirmed yet."""
    [*_, opened] = Script().hear(SOUNDING, SUSPECTED, SILENT)
    assert (opened.open, opened.replay) == (True, True)
    [*_, opened] = Script().hear(SOUNDING, SOUNDING, SILENT)
    assert (opened.open, opened.replay) == (True, False)


def test_with_push_to_talk_a_key_interrupts_and_no_voice() -> None:
    script = Script()
    script.interruption.push_to_talk = True
    assert script.hear(SOUNDING, SUSPECTED, CONFIRMED) == [Outcome(None, None, open=True, replay=False)] * 3


def test_after_a_flush_the_room_s_tail_does_not_hide_the_user() -> None:
    script = Script()
    script.hear(SOUNDING)
    script.flush()
    assert [outcome.open for outcome in script.hear(*[SOUNDING] * 60)] == [True] * 49 + [False] * 11


def test_the_server_alone() -> None:
    outcomes = Script("server").hear(SOUNDING, SUSPECTED, CONFIRMED)
    assert outcomes == [Outcome(None, None, open=True, replay=False)] * 3


def test_the_local_detector_alone() -> None:
    outcomes = Script("local").hear(SOUNDING, SUSPECTED)
    assert [speech.phase for speech in confirmations(outcomes)] == ["confirmed"]
    assert not ducks(outcomes)
    assert [outcome.open for outcome in outcomes] == [False, True]


def test_what_another_canceller_left_is_not_judged_here() -> None:
    outcomes = Script(cleaned=Cleaned.SYSTEM).hear(SOUNDING, SUSPECTED, CONFIRMED)
    assert ducks(outcomes) == [True]
    assert not confirmations(outcomes)
    assert all(outcome.open for outcome in outcomes)


def test_where_nobody_cancels_all_is_left_to_the_server() -> None:
    outcomes = Script(cleaned=Cleaned.NOBODY).hear(SOUNDING, SUSPECTED, CONFIRMED)
    assert outcomes == [Outcome(None, None, open=True, replay=False)] * 3


def test_a_mute_forgets_what_was_heard() -> None:
    script = Script()
    script.hear(SUSPECTED)
    script.interruption.reset()
    assert ducks(script.hear(SOUNDING)) == []


def test_settings_name_the_mode() -> None:
    settings: dict[str, Any] = {"mode": "duck", "resume_ms": 100}
    assert Interruption(settings, Cleaned.OURS).heard([SUSPECTED], MonoNs(1)).duck == Duck(True, MonoNs(1))
