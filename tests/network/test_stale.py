from voiced.messages import LocalSpeech, MicFrame, MonoNs
from voiced.network.stale import Stale

S = 1_000_000_000


def frame(captured_s: float) -> MicFrame:
    return MicFrame(0, MonoNs(round(captured_s * S)), False)


def speech(phase: str, captured_s: float) -> LocalSpeech:
    return LocalSpeech(phase, MonoNs(round(captured_s * S)), 0.9)


def test_frames_that_are_over_a_second_late_are_counted() -> None:
    stale = Stale()
    assert [stale.frame(frame(captured_s), MonoNs(10 * S)) for captured_s in (8.9, 9.1)] == [True, False]
    assert (stale.take(), stale.take()) == (1, 0)


def test_what_is_sent_along_with_the_wake_word_may_be_older() -> None:
    stale = Stale()
    assert not stale.speech(speech("wake", 10.0), MonoNs(round(10.1 * S)))
    assert not stale.frame(frame(8.5), MonoNs(round(10.2 * S)))
    assert stale.frame(frame(7.9), MonoNs(round(10.2 * S)))
    assert stale.frame(frame(10.1), MonoNs(round(11.2 * S)))


def test_who_spoke_long_ago_interrupts_and_wakes_nobody_but_has_stopped() -> None:
    stale = Stale()
    late = MonoNs(12 * S)
    assert [stale.speech(speech(phase, 10.0), late) for phase in ("confirmed", "wake", "started", "stopped")] == [True, True, True, False]
    assert stale.frame(frame(9.9), late)
