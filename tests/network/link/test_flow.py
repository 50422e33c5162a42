from voiced.messages import MonoNs
from voiced.network.limits import FRAME_BYTES, FRAMES_A_SECOND, FRAMES_AT_ONCE, TOLD_A_SECOND, TOLD_AT_ONCE
from voiced.network.link.flow import Flow

S = 1_000_000_000


def test_ten_minutes_of_speech_at_once_are_not_too_fast() -> None:
    flow = Flow()
    for _ in range(2400):
        flow.came(2, 16_200, MonoNs(5 * S))  # 250 ms in base64, and a word
    assert not flow.too_fast(MonoNs(5 * S))


def test_a_flood_waits_until_there_is_room() -> None:
    flow, now = Flow(), MonoNs(5 * S)
    flow.came(FRAMES_AT_ONCE, 0, now)
    assert flow.too_fast(now)
    assert now < flow.open_ns <= now + S // 5
    now = MonoNs(flow.open_ns)
    assert not flow.too_fast(now)
    flow.came(FRAMES_A_SECOND // 10, 0, now)
    assert flow.too_fast(now)


def test_what_comes_at_a_fair_rate_never_waits() -> None:
    flow = Flow()
    for second in range(1, 100):
        flow.came(FRAMES_A_SECOND, 0, MonoNs(second * S))
        assert not flow.too_fast(MonoNs(second * S))


def test_a_long_frame_counts_for_several() -> None:
    flow = Flow()
    flow.came(1, FRAMES_AT_ONCE * FRAME_BYTES, MonoNs(S))
    assert flow.too_fast(MonoNs(S))


def test_more_to_tell_than_anybody_takes_in() -> None:
    flow = Flow()
    flow.told(TOLD_AT_ONCE - 1, MonoNs(S))
    assert not flow.too_much(MonoNs(S))
    flow.told(1, MonoNs(S))
    assert flow.too_much(MonoNs(S))
    assert not flow.too_much(MonoNs(S + S // TOLD_A_SECOND + 1))
