"""Client and server joined, and whatever people, networks and scripts do to them: history agrees with what was heard."""

from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.joined.judge import Judge, words
from tests.joined.room import STEP_MS, Room
from voiced.embedded.work import Call, Piece, Think
from voiced.network.hello import Phase

_CALM = ("listening", "idle")
_TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}, "command": [], "timeout_s": 3.0}
_STEPS = st.integers(1, 12)
#: Beyond this what was said is not sent any more (network.turn.OWED_AT_MOST_NS).
_SHORT_MS = 8000


class Conversation(RuleBasedStateMachine):
    """A person, a network and scripts, around one `Room`."""

    @initialize(
        reply_ms=st.sampled_from([40, 300, 4000]),
        wire_ms=st.sampled_from([0, 160, 320]),
        brain_ms=st.sampled_from([0, 320]),
        connect_ms=st.sampled_from([0, 480]),
        by_key=st.booleans(),
        local=st.booleans(),
    )
    def begin(self, reply_ms: int, wire_ms: int, brain_ms: int, connect_ms: int, by_key: bool, local: bool) -> None:
        self.local = local
        self.mode = "push_to_talk" if by_key else "vad"
        self.settings: dict[str, Any] = {"mode": self.mode, "tools": [_TOOL]}
        self.room = Room(reply_ms, wire_ms, brain_ms=brain_ms, connect_ms=connect_ms, local=local, **self.settings)
        self.room.think = self.think
        self.judge = Judge(self.room, told=frozenset({"connection_lost"}))
        self.plans: deque[int] = deque()  # of the next thoughts: how many tools they call
        self.calls_read = 0
        self.waiting: list[str] = []  # calls that a script has not answered
        self.excused: set[str] = set()  # utterances of which nobody can know
        self.noticed_before: dict[str, int] = {}  # how many turns the server had noticed when an utterance began
        self.abandoned: set[str] = set()  # utterances that were interrupted before their words came
        self.given_up = False  # nobody waits for the answer to the last turn
        self.asked = self.voices = 0
        self.pressed = False

    def think(self, asked: Think) -> list[Piece]:
        calls = self.plans.popleft() if self.plans else 0
        return [*(Call("look", '{"at": "it"}') for _ in range(calls)), "" if calls else "An answer that has a few words more than one."]

    # the person ------------------------------------------------------------------------------------------------------

    @rule(steps=_STEPS)
    def speak(self, steps: int) -> None:
        if self.mode == "vad" or self.pressed:
            self.given_up = False
            offline = not self.room.session.ready
            self.noticed_before[f"<{self.room.utterance + 1}>"] = len(self.room.of("speech.started"))
            number = self.room.speak(steps * STEP_MS)
            if ((offline and not self.pressed) or not self.room.session.ready) and not self.local:
                self.excused.add(f"<{number}>")

    @rule(steps=_STEPS)
    def wait(self, steps: int) -> None:
        self.room.pass_ms(steps * STEP_MS)

    @rule()
    def ask(self) -> None:
        self.asked += 1
        if "refused" not in self.room.order("ask", text=f"question-{self.asked}"):
            self.given_up = False

    @rule()
    def say(self) -> None:
        self.room.order("say", text="The tea is ready.")

    @rule()
    def interrupt(self) -> None:
        self.room.order("interrupt")
        self.given_up = True
        self.abandoned |= self.unwritten()
        if not self.room.session.ready:
            self.excuse()  # what the next session was to be told is not wanted any more

    @precondition(lambda self: self.mode == "push_to_talk")
    @rule(pressed=st.booleans())
    def talk(self, pressed: bool) -> None:
        self.pressed = bool(self.room.order("talk", pressed=pressed).get("pressed"))
        self.given_up = True  # until something is said

    # the network -----------------------------------------------------------------------------------------------------

    @rule(gently=st.booleans(), down_steps=st.sampled_from([0, 0, 3, 12, 150]))
    def lose(self, gently: bool, down_steps: int) -> None:
        self.excuse_unnoticed()
        self.room.lose(gently=gently)
        if down_steps:
            self.room.reachable = False
            self.room.pass_ms(down_steps * STEP_MS)
            self.room.reachable = True
        if down_steps * STEP_MS > _SHORT_MS:
            self.excuse()
            self.given_up = True

    @rule()
    def lose_next(self) -> None:
        self.room.lose_next()

    @rule()
    def change(self) -> None:
        """Settings that only a new session can have: the conversation moves when it is quiet, or within a minute."""
        self.voices += 1
        self.room.order("configure", settings=self.room.session.next_settings | {"voice": f"voice-{self.voices}"})

    @precondition(lambda self: not self.pressed)
    @rule()
    def sleep(self) -> None:
        self.room.order("budget", exhausted="enough for today")
        self.excuse()
        self.given_up = True
        self.room.pass_ms(STEP_MS)
        self.room.order("budget", exhausted="")

    # tools -----------------------------------------------------------------------------------------------------------

    @rule(calls=st.integers(1, 3))
    def plan_calls(self, calls: int) -> None:
        self.plans.append(calls)

    @rule(newest=st.booleans())
    def answer_call(self, newest: bool) -> None:
        self.see_calls()
        if self.waiting:
            call_id = self.waiting.pop(-1 if newest else 0)
            self.room.order("tool_result", call_id=call_id, output="seen")

    def see_calls(self) -> None:
        calls = self.room.of("tool.call")
        self.waiting += [call["call_id"] for call in calls[self.calls_read :]]
        self.calls_read = len(calls)

    # what must hold --------------------------------------------------------------------------------------------------

    def unwritten(self) -> set[str]:
        self.judge.look()
        written = {word for text in self.judge.said_by_user for word in text.split()}
        return {f"<{number}>" for number in range(1, self.room.utterance + 1)} - written

    def excuse(self) -> None:
        self.excused |= self.unwritten()

    def excuse_unnoticed(self) -> None:
        """What the server has not noticed by the time when the connection breaks is known to nobody."""
        self.excused |= self.abandoned & self.unwritten()
        if self.room.state == "hearing" or self.pressed or self.local:
            return
        noticed = len(self.room.of("speech.started"))
        self.excused |= {word for word in self.unwritten() if self.noticed_before.get(word) == noticed}

    @rule()
    def come_to_rest(self) -> None:
        room = self.room
        if self.pressed:
            self.talk(False)
        calm = 0
        for _ in range(900):
            room.pass_ms(STEP_MS)
            calm = calm + 1 if room.state in _CALM and room.still and room.session.ready else 0
            if calm == 20:
                break
        assert calm == 20, f"{room.state} for ever"
        self.judge.in_agreement()
        self.no_turn_is_lost()
        self.every_call_is_answered()

    def no_turn_is_lost(self) -> None:
        assert self.unwritten() <= self.excused
        said = [word for text in self.judge.said_by_user for word in text.split() if word.startswith("<")]
        assert len(said) == len(set(said)), f"twice in the books: {said}"
        told = [word for entry in self.room.link.entries("user") for word in words(entry).split()]
        assert [word for word in said if word in told] == said
        messages = [entry.item.role for entry in self.room.link.entries() if entry.item.type == "message"]
        unknown = f"<{self.room.utterance}>" in self.excused
        assert self.given_up or unknown or messages[-1:] != ["user"], "nobody answered"

    def every_call_is_answered(self) -> None:
        called = [call["call_id"] for call in self.room.of("tool.call")]
        done = [call["call_id"] for call in self.room.of("tool.done")]
        assert len(called) == len(set(called))
        assert sorted(done) == sorted(called)
        items: dict[str, list[Any]] = {"function_call": [], "function_call_output": []}
        for entry in self.room.link.entries():
            if entry.item.type in items:
                items[entry.item.type].append(entry.item.call_id)
        assert items["function_call"] == list(dict.fromkeys(items["function_call"]))
        assert sorted(items["function_call"]) == sorted(items["function_call_output"])

    def teardown(self) -> None:
        if hasattr(self, "room"):
            assert self.room.session.phase is not Phase.FAILED
            self.come_to_rest()


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=80, stateful_step_count=20, deadline=None)
