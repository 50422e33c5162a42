"""A real daemon at the mercy of a hostile server: it stays small, obeys its user, and needs no restart. All attacks, with figures:
`python -m tests.hostile`."""

import pytest

from tests.hostile.measured import measure
from voiced.demo.soundserver import SoundServer

pytestmark = pytest.mark.system

#: Far above what was measured, far below what it was before there were limits: no answer at all.
SANE_ANSWER_MS = 4_000
SANE_FLUSH_MS = 250


@pytest.mark.parametrize("attack", ["tiny_frames", "endless_sound", "never_announced", "many_transcripts"])
def test_the_user_is_obeyed_and_memory_stays_bounded(attack: str, sound: SoundServer) -> None:
    cost = measure(attack, sound)
    assert cost.restarts == 0
    assert cost.answer_ms < SANE_ANSWER_MS
    assert cost.flush_ms is None or cost.flush_ms < SANE_FLUSH_MS
    assert cost.network_mib < 150
    assert cost.playback_mib < 150
    assert cost.supervisor_mib < 30
    assert cost.log_lines < 20
