"""A week of conversation in virtual time: a session of the server lives an hour, the conversation does not end."""

import gc
import itertools
import random
import re
import sys
import types
from collections.abc import Iterator

import pytest

from tests.joined.judge import Judge
from tests.joined.room import MS, STEP_MS, Link, Room
from voiced.network.session import Session

HOUR_MS = 3600 * 1000
WEEK_MS = 7 * 24 * HOUR_MS
#: From the issue: what a week may add to what the first hour took.
MOST_GROWTH_BYTES = 5 << 20
#: Between two turns, on the average.
_PAUSE_MS = 12 * 60 * 1000
_REPLIES_MS = (500, 1500, 3000)
_NO_DATA = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.FrameType)


def held_bytes(session: Session) -> int:
    """All that the session holds, in bytes."""
    seen: set[int] = set()
    total, left = 0, [session]
    while left:
        thing = left.pop()
        if id(thing) not in seen and not isinstance(thing, _NO_DATA):
            seen.add(id(thing))
            total += sys.getsizeof(thing)
            left += gc.get_referents(thing)
    return total


def holes(frames: list[int]) -> Iterator[tuple[int, int]]:
    """Where frames of the microphone are missing, or come twice."""
    return ((before, after) for before, after in itertools.pairwise(frames) if (after - before) % (1 << 16) != 1)


def contiguous(old: Link, new: Link) -> bool:
    """Every frame of the microphone reached one of two sessions, and the new one was told what led up to the move."""
    overlap = (old.frames[-1] - new.frames[0]) % (1 << 16) + 1
    return not list(holes(old.frames)) and not list(holes(new.frames)) and 0 < overlap <= len(old.frames)


class _Week:
    """Somebody who lives with the assistant for a week."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.room = Room(frame_ms=80, wire_ms=160, brain_ms=160, connect_ms=480, context_chars=2000)
        self.judge = Judge(self.room)
        self.asked = self.barged_in = self.moves = 0

    def live_until(self, now_ms: int) -> None:
        while self.room.now_ms < now_ms:
            self.rest(self.next_turn_ms())
            self.talk()
            self.look()

    def next_turn_ms(self) -> int:
        """Often just when the conversation is about to move."""
        wake = self.room.session.wake_ns
        if wake is not None and self.chance.random() < 0.15:
            return wake // MS + self.chance.randint(0, 4000)
        return self.room.now_ms + int(self.chance.expovariate(1 / _PAUSE_MS))

    def rest(self, until_ms: int) -> None:
        """Nothing is said. Where nothing happens time is skipped; around a move the microphone is on."""
        room = self.room
        while room.now_ms < until_ms:
            wake = room.session.wake_ns
            quiet_until_ms = until_ms if wake is None else min(until_ms, wake // MS - 3000)
            if room.still and quiet_until_ms > room.now_ms:
                room.skip_to(quiet_until_ms)
            else:
                room.pass_ms(STEP_MS)
                self.see_move()

    def see_move(self) -> None:
        if self.room.moves > self.moves:
            self.moves = self.room.moves
            self.room.pass_ms(2 * STEP_MS)
            old, new = list(self.room.links)[-2:]
            assert contiguous(old, new)

    def talk(self) -> None:
        room, chance = self.room, self.chance
        room.reply_ms = chance.choice(_REPLIES_MS)
        if chance.random() < 0.1:
            room.order("ask", text=f"question {self.asked}")
            self.asked += 1
        else:
            room.speak(chance.randint(2, 8) * STEP_MS)
        if chance.random() < 0.1:
            room.pass_ms(chance.randint(1, 20) * STEP_MS)
            room.speak(chance.randint(2, 8) * STEP_MS)
            self.barged_in += 1
        room.pass_ms(1500)
        for _ in range(100):
            if room.state == "listening":
                break
            room.pass_ms(STEP_MS)
            self.see_move()
        assert room.state == "listening"

    def look(self) -> None:
        self.judge.in_agreement()
        told = [turn for turn in self.judge.turns.values() if turn["role"] == "user"]
        users = self.room.link.entries("user")
        assert [turn["item_id"] for turn in told[-len(users) :]] == [entry.id for entry in users]
        state = self.room.of("state")[-1]
        self.judge.forget()
        self.room.published.append(("state", state))


@pytest.mark.parametrize("seed", [1])
def test_a_week_goes_by_without_a_lost_turn(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    week = _Week(seed)
    week.live_until(HOUR_MS)
    after_an_hour = held_bytes(week.room.session)
    week.live_until(WEEK_MS)
    growth = held_bytes(week.room.session) - after_an_hour
    said = " ".join(week.judge.said_by_user)
    assert re.findall(r"<\d+>", said) == [f"<{number}>" for number in range(1, week.room.utterance + 1)]
    assert re.findall(r"question \d+", said) == [f"question {number}" for number in range(week.asked)]
    answers = [turn for turn in week.judge.turns.values() if turn["role"] == "assistant"]
    assert sum(turn["interrupted"] for turn in answers) <= week.barged_in
    assert all(turn["interrupted"] or turn["played_ms"] in _REPLIES_MS for turn in answers)
    with capsys.disabled():
        print(
            f"\n{len(week.judge.turns)} turns, {week.moves} moves, {after_an_hour / 1024:.0f} KiB after an hour, {growth / 1024:+.0f} KiB"
        )
    assert week.moves > 160
    assert growth < MOST_GROWTH_BYTES
