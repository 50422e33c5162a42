"""When a device that is away is tried again."""

from voiced.audio.presence.waiting import Patience
from voiced.messages import MonoNs

MS = 1_000_000


def test_it_is_tried_at_once_after_a_change_and_ever_less_often_without_one() -> None:
    patience, now = Patience(), 0
    waits = []
    for _ in range(6):
        assert patience.due(0, MonoNs(now))
        patience.tried(0, MonoNs(now))
        began = now
        while not patience.due(0, MonoNs(now)):
            now += 50 * MS
        waits.append((now - began) / 1e9)
    assert waits == [0.25, 0.5, 1.0, 2.0, 5.0, 5.0]
    patience.tried(0, MonoNs(now))
    assert patience.due(1, MonoNs(now))
    patience.tried(1, MonoNs(now))
    assert not patience.due(1, MonoNs(now + 249 * MS))
    assert patience.due(1, MonoNs(now + 250 * MS)), "as often as at first: a server that starts is not done at once"
