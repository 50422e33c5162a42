"""Tools: who answers a call, and when the server is told."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiced.messages import MonoNs, Order
from voiced.network.events import FunctionArgumentsDone, Item, ItemCreate, ResponseCreate
from voiced.network.outputs import Answered, Outbox, Output, PublishEvent, Refused, RunTool, SendEvent, StopTool
from voiced.network.quote import Quote
from voiced.network.responses import ResponseQueue
from voiced.network.tools.calls import LONGEST_OUTPUT, MOST_CALLS, Calls

TOOLS = [
    {"name": "weather", "description": "", "parameters": {}, "command": [], "timeout_s": 5.0},
    {"name": "lamp", "description": "", "parameters": {}, "command": ["/usr/bin/lamp", "--json"], "timeout_s": 2.0},
]


class Table:
    """The calls, and all they put out."""

    def __init__(self) -> None:
        self.queue = ResponseQueue()
        self.outbox = Outbox(Quote("sk-secret"))
        ids = itertools.count(1)
        self.calls = Calls(self.outbox, self.queue, lambda: f"id{next(ids)}")
        self.calls.configure({"tools": TOOLS, "mcp": []})
        self.now = MonoNs(1_000_000_000)
        self.out: list[Output] = []
        self.calls.session_opened(self.now)

    def look(self) -> list[Output]:
        """What was put out since the last look."""
        self.out = self.outbox.take()
        return self.out

    def call(self, call_id: str = "c1", name: str = "weather", arguments: str = '{"city": "Bern"}', response: str = "r1") -> None:
        self.calls.item_done(response, call_item(call_id, name, arguments), self.now)

    def done(self, response: str = "r1", status: str = "completed", *items: Item) -> None:
        self.calls.response_done(response, status, list(items), self.now)

    def result(self, call_id: str = "c1", output: str = "sunny") -> None:
        self.calls.result(Order(7, "tool_result", {"call_id": call_id, "output": output}), self.now)

    def approve(self, approval_id: str, approved: bool = True) -> None:
        self.calls.approve(Order(8, "approve", {"approval_id": approval_id, "approved": approved}), self.now)

    def wait(self, s: float) -> None:
        self.now = MonoNs(self.now + round(s * 1e9))
        self.calls.tick(self.now)

    def creates(self) -> int:
        """How many responses wait to be asked for; takes them."""
        count = 0
        while (wanted := self.queue.next(self.now, free=True)) is not None:
            assert [type(event) for event in wanted.events] == [ResponseCreate]
            self.queue.created(self.now)
            count += 1
        return count


def call_item(call_id: str, name: str = "weather", arguments: str = "{}", status: str | None = "completed") -> Item:
    return Item(type="function_call", id=f"item_{call_id}", call_id=call_id, name=name, arguments=arguments, status=status)


def mcp_call(output: str | None = "42") -> Item:
    return Item(type="mcp_call", id="item_m", server_label="docs", name="search", arguments="{}", output=output)


def approval(arguments: str = '{"q": "x"}') -> Item:
    return Item(type="mcp_approval_request", id="a1", server_label="docs", name="search", arguments=arguments)


def told(outputs: list[Output]) -> list[tuple[Any, ...]]:
    """Items for the server, brief."""
    items = [output.event.item for output in outputs if isinstance(output, SendEvent) and isinstance(output.event, ItemCreate)]
    return [(item.type, item.call_id, item.output if item.type == "function_call_output" else item.name) for item in items]


def published(outputs: list[Output], topic: str) -> list[dict[str, Any]]:
    return [output.data for output in outputs if isinstance(output, PublishEvent) and output.topic == topic]


def of(kind: type[Any], outputs: list[Output]) -> list[Any]:
    return [output for output in outputs if isinstance(output, kind)]


def error_told(outputs: list[Output]) -> str:
    ((kind, _, output),) = told(outputs)
    assert kind == "function_call_output"
    error: str = json.loads(output)["error"]
    return error


# scripts and programs ----------------------------------------------------------------------------------------------------


def test_a_script_answers_and_one_response_follows() -> None:
    table = Table()
    table.call()
    assert published(table.look(), "tool.call") == [{"call_id": "c1", "name": "weather", "arguments": {"city": "Bern"}}]
    table.done()
    assert table.calls.pending
    table.now = MonoNs(table.now + 1_500_000_000)
    table.result()
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]
    assert of(Answered, table.out)[0].result == {"accepted": True}
    assert published(table.out, "tool.done") == [{"call_id": "c1", "name": "weather", "ok": True, "took_ms": 1500}]
    assert table.creates() == 1
    assert not table.calls.pending


def test_an_answer_waits_for_its_response_to_be_done() -> None:
    table = Table()
    table.call()
    table.result()
    assert told(table.look()) == []
    assert (table.creates(), table.calls.pending, table.calls.thinking) == (0, True, True)
    table.done()
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]
    assert table.creates() == 1


def test_all_outputs_of_a_response_are_told_before_one_create() -> None:
    table = Table()
    table.call("c1")
    table.call("c2", "lamp", "")
    table.done()
    table.result("c1")
    assert of(RunTool, table.look()) == [RunTool("c2", ("/usr/bin/lamp", "--json"), "{}")]
    assert (told(table.out), table.creates()) == ([], 0)
    table.calls.ended("c2", True, "on", table.now)
    assert told(table.look()) == [("function_call_output", "c1", "sunny"), ("function_call_output", "c2", "on")]
    assert table.creates() == 1


def test_a_call_is_acted_upon_once_whoever_tells_of_it_first() -> None:
    table = Table()
    event = FunctionArgumentsDone(response_id="r1", item_id="i", call_id="c1", arguments='{"city": "Bern"}', name="weather")
    table.calls.arguments_done(event, table.now)
    table.call()
    table.done("r1", "completed", call_item("c1"))
    assert len(published(table.look(), "tool.call")) == 1
    table.result()
    table.done("r1", "completed", call_item("c1"))
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]


@pytest.mark.parametrize(("name", "arguments"), [("", "{}"), ("weather", '{"city": "Be'), ("weather", "")])
def test_arguments_that_may_be_unfinished_wait_for_their_item(name: str, arguments: str) -> None:
    table = Table()
    table.calls.arguments_done(
        FunctionArgumentsDone(response_id="r1", item_id="i", call_id="c1", arguments=arguments, name=name), table.now
    )
    assert table.look() == []
    table.call()
    assert len(published(table.look(), "tool.call")) == 1


@pytest.mark.parametrize("status", [None, "completed", "in_progress"])
def test_a_call_that_only_the_end_of_the_response_tells_of_counts(status: str | None) -> None:
    table = Table()
    table.done("r1", "completed", call_item("c1", status=status))
    table.result()
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]
    assert table.creates() == 1


@pytest.mark.parametrize("status", ["incomplete", "in_progress"])
def test_an_unfinished_call_is_not_acted_upon(status: str) -> None:
    table = Table()
    table.calls.item_done("r1", call_item("c1", status=status), table.now)
    table.done("r1", "cancelled", call_item("c1", status=status), call_item("c2", status=None))
    assert table.look() == []
    assert not table.calls.pending


def test_a_call_told_of_after_the_end_of_its_response_is_answered_at_once() -> None:
    table = Table()
    table.done()
    table.call()
    table.result()
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]


def test_a_response_whose_end_was_never_told_ends_with_the_next() -> None:
    table = Table()
    table.calls.response_created("r1", table.now)
    table.call()
    table.result()
    assert told(table.look()) == []
    table.calls.response_created("r2", table.now)
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("rm", "{}", "there is no tool 'rm'; there are: lamp, weather"),
        ("weather", "[1]", "no JSON object"),
        ("weather", '{"city": ', "not JSON"),
        ("weather", '{"city": "\ud800"}', "not JSON"),
        ("weather", '{"a": 99999999999999999999999}', "more than 64 bits"),
        ("weather", '{"a": ' * 40 + "1" + "}" * 40, "nested deeper"),
        ("weather", '{"a": "' + "x" * 200_000 + '"}', "too long"),
        ("weather", '{"a":' * 100_000, "200000 are allowed"),
        ("weather", '{"a":' * 30_000, "not JSON"),
    ],
)
def test_a_call_that_can_not_be_made_is_answered_honestly_at_once(name: str, arguments: str, why: str) -> None:
    table = Table()
    table.call("c1", name, arguments)
    table.done()
    assert published(table.look(), "tool.call") == []
    assert why in error_told(table.out)
    assert published(table.out, "tool.done")[0]["ok"] is False
    assert table.creates() == 1


def test_a_script_that_does_not_answer() -> None:
    table = Table()
    table.call()
    table.done()
    assert table.calls.wake_ns == table.now + 5_000_000_000
    table.wait(4.999)
    assert table.creates() == 0
    table.wait(0.001)
    assert error_told(table.look()) == "weather did not answer within 5 s"
    assert of(StopTool, table.out) == []
    assert table.creates() == 1
    table.result()
    assert of(Refused, table.look())[0].error.code == "not_now"
    assert not told(table.out)
    assert table.calls.wake_ns is None


def test_a_program_that_does_not_end_is_stopped_and_what_it_says_later_dropped() -> None:
    table = Table()
    table.call("c1", "lamp", "{}")
    table.done()
    table.wait(2.0)
    assert error_told(table.look()) == "lamp did not answer within 2 s"
    assert of(StopTool, table.out) == [StopTool("c1")]
    table.calls.ended("c1", True, "on", table.now)
    assert table.look() == []


def test_a_program_that_fails_and_a_script_that_says_so() -> None:
    table = Table()
    table.call("c1", "lamp", "{}")
    table.call("c2")
    table.done()
    table.calls.ended("c1", False, "no such lamp", table.now)
    table.result("c2", '{"error": "no script is listening for tool calls"}')
    assert told(table.look()) == [
        ("function_call_output", "c1", '{"error":"no such lamp"}'),
        ("function_call_output", "c2", '{"error": "no script is listening for tool calls"}'),
    ]
    assert [event["ok"] for event in published(table.out, "tool.done")] == [False, False]


@pytest.mark.parametrize("call_id", ["c1", "other"])
def test_a_script_may_not_answer_what_it_was_not_asked(call_id: str) -> None:
    table = Table()
    table.call("c1", "lamp", "{}")
    table.done()
    table.look()
    table.result(call_id)
    assert [type(output) for output in table.look()] == [Refused]


def test_a_long_answer_is_cut_and_told_so() -> None:
    table = Table()
    table.call()
    table.done()
    table.result(output="x" * 150_000)
    ((_, _, output),) = told(table.look())
    assert output.startswith("x" * LONGEST_OUTPUT + "\n[cut here, after 100000")


@pytest.mark.parametrize(("choice", "asked"), [("auto", None), ("none", None), ("required", "auto"), ("weather", "auto")])
def test_a_model_that_must_call_a_tool_need_not_in_the_answer(choice: str, asked: str | None) -> None:
    table = Table()
    table.calls.configure({"tools": TOOLS, "tool_choice": choice})
    table.call()
    table.done()
    table.result()
    wanted = table.queue.next(table.now, free=True)
    assert wanted is not None
    (create,) = wanted.events
    assert isinstance(create, ResponseCreate)
    assert (create.response.tool_choice if create.response else None) == asked


def test_tools_may_be_reconfigured_while_one_is_called() -> None:
    table = Table()
    table.call()
    table.calls.configure({"tools": [], "mcp": []})
    table.done()
    table.result()
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]
    table.call("c2", response="r2")
    table.done("r2")
    assert error_told(table.look()) == "there is no tool 'weather'; there are: none"


def test_a_hostile_server() -> None:
    table = Table()
    for count in range(2000):
        table.call(f"c{count}")
    assert len(published(table.look(), "tool.call")) == MOST_CALLS
    assert len(published(table.out, "error")) == 1
    for bad in ("", "x" * 513, "a\nb", "\ud800"):
        table.now = MonoNs(table.now + 1_000_000_000)
        table.call(bad)
        assert [error["code"] for error in published(table.look(), "error")] == ["tool_call_invalid"]
    for count in range(1000):
        table.calls.response_created(f"x{count}", table.now)
    table.result("c5")
    assert told(table.look()) == []  # c5 waits for the others


# interruptions -----------------------------------------------------------------------------------------------------------


def test_after_an_interruption_the_server_is_told_but_nobody_speaks() -> None:
    table = Table()
    table.calls.response_created("r1", table.now)
    table.call("c1")
    table.call("c2")
    table.done()
    table.calls.interrupted(table.now)
    assert (table.calls.pending, table.calls.thinking) == (True, False)
    table.result("c1")
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]
    table.result("c2", "rain")
    assert told(table.look()) == [("function_call_output", "c2", "rain")]
    assert (table.creates(), table.calls.pending) == (0, False)


@pytest.mark.parametrize("created", [True, False])
def test_a_call_that_comes_after_the_interruption_of_its_response(created: bool) -> None:
    table = Table()
    if created:
        table.calls.response_created("r1", table.now)
    table.calls.interrupted(table.now)
    table.call()
    table.done("r1", "completed" if created else "cancelled")
    table.result()
    assert told(table.look()) == [("function_call_output", "c1", "sunny")]
    assert table.creates() == 0


def test_a_failed_response_is_followed_by_another() -> None:
    table = Table()
    table.call()
    table.done("r1", "failed")
    table.result()
    assert len(told(table.look())) == 1
    assert table.creates() == 1


# sessions ----------------------------------------------------------------------------------------------------------------


def test_a_call_outlives_its_session() -> None:
    table = Table()
    table.call("c1")
    table.calls.session_closed(table.now)
    table.result()
    assert told(table.look()) == []
    assert table.calls.pending
    table.calls.session_opened(table.now)
    assert told(table.look()) == [("function_call", "c1", "weather"), ("function_call_output", "c1", "sunny")]
    assert table.creates() == 1
    assert not table.calls.pending


def test_a_call_answered_in_the_next_session() -> None:
    table = Table()
    table.call("c1")
    table.done()
    table.calls.session_closed(table.now)
    table.calls.session_opened(table.now)
    table.call("c2", response="r1")  # a server that counts anew
    table.result("c1")
    assert told(table.look()) == [("function_call", "c1", "weather"), ("function_call_output", "c1", "sunny")]
    table.done("r1")
    table.result("c2")
    assert told(table.look()) == [("function_call_output", "c2", "sunny")]


def test_the_calls_of_several_responses_are_answered_by_one_in_the_next_session() -> None:
    table = Table()
    for number in (1, 2):
        table.calls.response_created(f"r{number}", table.now)
        table.call(f"c{number}", response=f"r{number}")
        table.done(f"r{number}")
    table.calls.session_closed(table.now)
    table.result("c1")
    table.result("c2")
    table.calls.session_opened(table.now)
    assert len(told(table.look())) == 4
    assert table.creates() == 1


def test_what_was_told_to_a_session_that_went_before_it_spoke_is_told_again() -> None:
    table = Table()
    table.call()
    table.done()
    table.result()
    assert table.creates() == 1
    table.look()
    table.calls.session_closed(table.now)
    table.calls.session_opened(table.now)
    assert told(table.look()) == [("function_call", "c1", "weather"), ("function_call_output", "c1", "sunny")]
    assert table.creates() == 1
    table.calls.response_created("r2", table.now)
    table.calls.session_closed(table.now)
    table.calls.session_opened(table.now)
    assert told(table.look()) == []


@pytest.mark.parametrize("answered_first", [True, False])
def test_an_interruption_counts_over_sessions(answered_first: bool) -> None:
    table = Table()
    table.call()
    table.done()
    if answered_first:
        table.result()
    table.calls.interrupted(table.now)
    table.calls.session_closed(table.now)
    if not answered_first:
        table.result()
    table.look()
    table.calls.session_opened(table.now)
    assert len(told(table.look())) == (0 if answered_first else 2)
    table.queue.interrupt(table.now)  # as the session does: what waited from before
    assert table.creates() == 0


def test_a_call_that_takes_too_long_does_so_without_a_session_too() -> None:
    table = Table()
    table.call()
    table.calls.session_closed(table.now)
    table.wait(5)
    table.calls.session_opened(table.now)
    assert [kind for kind, _, _ in told(table.look())] == ["function_call", "function_call_output"]


@pytest.mark.parametrize("answered", ["before the loss", "during it", "after it"])
@pytest.mark.parametrize(("away_s", "creates"), [(15, 1), (15.1, 0)])
def test_after_a_long_outage_the_output_is_told_but_nobody_speaks(answered: str, away_s: float, creates: int) -> None:
    table = Table()
    table.call("c1", "lamp")
    table.done()
    if answered == "before the loss":
        table.calls.ended("c1", True, "on", table.now)
        assert table.creates() == 1
    table.calls.session_closed(table.now)
    if answered == "during it":
        table.calls.ended("c1", True, "on", table.now)
    table.look()
    table.now = MonoNs(table.now + round(away_s * 1e9))
    table.calls.session_closed(table.now)  # as each attempt in vain has it
    table.calls.session_opened(table.now)
    if answered == "after it":
        table.calls.ended("c1", True, "on", table.now)
    assert told(table.look()) == [("function_call", "c1", "lamp"), ("function_call_output", "c1", "on")]
    assert (table.creates(), table.calls.pending) == (creates, False)


def test_a_second_short_outage_is_short() -> None:
    table = Table()
    table.call()
    table.done()
    for _ in range(2):
        table.calls.session_closed(table.now)
        table.calls.session_opened(table.now)
        table.now = MonoNs(table.now + 14_000_000_000)
    table.calls.session_closed(table.now)
    table.result()
    table.calls.session_opened(table.now)
    assert table.creates() == 1


def test_a_session_that_falls_asleep_forgets_its_calls() -> None:
    table = Table()
    for call_id, name in (("c1", "lamp"), ("c2", "weather"), ("c3", "weather")):
        table.call(call_id, name)
    table.done()
    table.result("c3")
    table.look()
    table.calls.session_closed(table.now, asleep=True)
    table.look()
    assert of(StopTool, table.out) == [StopTool("c1")]
    assert [(done["call_id"], done["ok"]) for done in published(table.out, "tool.done")] == [("c1", False), ("c2", False)]
    assert (table.calls.pending, table.calls.wake_ns) == (False, None)
    table.calls.ended("c1", False, "was killed by signal 9", table.now)
    table.result("c2")
    assert [type(output) for output in table.look()] == [Refused]
    table.calls.session_opened(table.now)
    assert table.look() == []
    assert table.creates() == 0


def test_what_was_told_before_a_sleep_is_not_told_again() -> None:
    table = Table()
    table.call()
    table.done()
    table.result()
    assert table.creates() == 1
    table.calls.session_closed(table.now, asleep=True)
    table.look()
    table.calls.session_opened(table.now)
    assert table.look() == []


# the server's own tools ----------------------------------------------------------------------------------------------------


def answers(outputs: list[Output]) -> list[tuple[str | None, bool | None, str | None]]:
    items = [output.event.item for output in outputs if isinstance(output, SendEvent) and isinstance(output.event, ItemCreate)]
    return [(item.approval_request_id, item.approve, item.reason) for item in items if item.type == "mcp_approval_response"]


def test_an_approval_is_asked_for_once_and_given() -> None:
    table = Table()
    table.calls.response_created("r1", table.now)
    table.calls.item_done("r1", approval(), table.now)
    table.done("r1", "completed", approval())
    asked = {"approval_id": "a1", "server": "docs", "name": "search", "arguments": {"q": "x"}}
    assert published(table.look(), "tool.approval") == [asked]
    assert table.calls.pending
    table.approve("a1")
    assert answers(table.look()) == [("a1", True, None)]
    assert of(Answered, table.out)[0].result == {"accepted": True}
    table.wait(10)
    assert (table.creates(), table.calls.pending) == (0, False)  # the call goes on by itself
    table.approve("a1")
    assert of(Refused, table.look())[0].error.code == "not_now"


@pytest.mark.parametrize("before_done", [True, False])
def test_a_refusal_is_spoken_of(before_done: bool) -> None:
    table = Table()
    table.calls.response_created("r1", table.now)
    table.calls.item_done("r1", approval(), table.now)
    if before_done:
        table.approve("a1", False)
    table.done("r1", "completed", approval())
    if not before_done:
        table.approve("a1", False)
    assert answers(table.look()) == [("a1", False, "the user does not allow it")]
    table.wait(1)
    assert table.creates() == 1


def test_an_approval_that_nobody_gives() -> None:
    table = Table()
    table.done("r1", "completed", approval())
    assert table.calls.wake_ns == table.now + 60_000_000_000
    table.wait(59.9)
    assert answers(table.look()) == []
    table.wait(0.1)
    assert answers(table.look()) == [("a1", False, "nobody answered within 60 s")]
    assert published(table.out, "error")[0]["code"] == "tool_not_approved"


def test_what_nobody_can_judge_is_not_allowed() -> None:
    table = Table()
    table.calls.item_done("r1", approval("{"), table.now)
    assert published(table.look(), "tool.approval") == []
    ((_, approve, reason),) = answers(table.out)
    assert approve is False
    assert "not JSON" in (reason or "")


def test_an_approval_ends_with_its_session() -> None:
    table = Table()
    table.calls.item_done("r1", approval(), table.now)
    table.calls.session_closed(table.now)
    assert [error["code"] for error in published(table.look(), "error")] == ["tool_not_approved"]
    table.calls.session_closed(table.now)
    assert published(table.look(), "error") == []
    table.approve("a1")
    assert of(Refused, table.look())
    assert table.calls.wake_ns is None


def test_a_list_that_failed_names_its_server() -> None:
    table = Table()
    table.calls.item_seen(Item(type="mcp_list_tools", id="l1", server_label="docs"), table.now)
    table.calls.list_failed("l1", table.now)
    assert "'docs'" in published(table.look(), "error")[0]["message"]


def test_what_an_mcp_call_brought_is_said_if_the_server_does_not() -> None:
    table = Table()
    table.calls.response_created("r1", table.now)
    table.calls.item_done("r1", mcp_call(), table.now)
    table.wait(5)
    assert table.creates() == 0  # the response goes on
    table.done("r1", "completed", mcp_call())
    table.wait(0.9)
    assert table.creates() == 0
    table.wait(0.1)
    assert table.creates() == 1
    table.wait(5)
    assert table.creates() == 0


@pytest.mark.parametrize(("fields", "creates"), [({"output": "42"}, 1), ({"error": {"type": "http_error"}}, 1), ({}, 0)])
def test_an_mcp_call_that_only_the_end_of_the_response_tells_of(fields: dict[str, Any], creates: int) -> None:
    table = Table()
    table.done("r1", "completed", Item(type="mcp_call", id="item_m", server_label="docs", name="search", arguments="{}", **fields))
    table.wait(1)
    assert table.creates() == creates


def test_an_mcp_call_that_ends_after_its_response() -> None:
    table = Table()
    table.calls.response_created("r1", table.now)
    table.done("r1", "completed", mcp_call(None))
    table.wait(5)
    assert table.creates() == 0
    table.calls.item_done("r1", mcp_call(), table.now)
    table.wait(1)
    assert table.creates() == 1


@pytest.mark.parametrize("what", ["message", "created", "interrupted", "cancelled", "approval"])
def test_an_mcp_call_that_needs_no_word_of_ours(what: str) -> None:
    table = Table()
    table.calls.response_created("r1", table.now)
    table.calls.item_done("r1", mcp_call(), table.now)
    message = Item(type="message", id="i1", role="assistant")
    items = {"message": [mcp_call(), message], "approval": [mcp_call(), approval()]}.get(what, [mcp_call()])
    for item in items[1:]:
        table.calls.item_done("r1", item, table.now)
    table.done("r1", "cancelled" if what == "cancelled" else "completed", *items)
    if what == "created":
        table.calls.response_created("r2", table.now)
    elif what == "interrupted":
        table.calls.interrupted(table.now)
    table.wait(5)
    assert table.creates() == 0


# whatever happens ------------------------------------------------------------------------------------------------------------

STEPS = ("call", "program", "bad", "arguments", "created", "done", "cancelled", "result", "ended", "interrupted", "close", "open", "wait")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=40))
def test_every_call_is_answered_once_in_a_session_and_none_is_forgotten(steps: list[tuple[str, int]]) -> None:
    table = Table()
    acted: set[str] = set()
    outputs_of: dict[str, int] = {}
    open_, sessions = True, 0
    for number, (step, which) in enumerate([*steps, ("open", 0), ("created", 99), ("wait", 0), ("done", 99)]):
        call_id, response = f"{sessions}.c{which}", f"r{which % 3}"
        match step:
            case "call" | "program" | "bad" if open_:
                table.call(call_id, {"call": "weather", "program": "lamp", "bad": "none"}[step], "{}", response)
            case "arguments" if open_:
                done = FunctionArgumentsDone(response_id=response, item_id="i", call_id=call_id, arguments="{}", name="weather")
                table.calls.arguments_done(done, table.now)
            case "created" if open_:
                table.calls.response_created(f"n{number}", table.now)
            case "done" | "cancelled" if open_:
                table.done(response, "completed" if step == "done" else "cancelled")
            case "result":
                table.result(call_id)
            case "ended":
                table.calls.ended(call_id, bool(which % 2), "x", table.now)
            case "interrupted":
                table.calls.interrupted(table.now)
                table.queue.interrupt(table.now)
            case "close" if open_:
                table.calls.session_closed(table.now)
                table.queue.clear()
                open_, outputs_of, sessions = False, {}, sessions + 1
            case "open" if not open_:
                open_ = True
                table.calls.session_opened(table.now)
            case "wait":
                table.wait(6)
        outputs = table.look()
        acted |= {output.call_id for output in outputs if isinstance(output, RunTool)}
        acted |= {data["call_id"] for topic in ("tool.call", "tool.done") for data in published(outputs, topic)}
        for kind, told_id, _ in told(outputs):
            assert open_
            if kind == "function_call_output":
                outputs_of[told_id] = outputs_of.get(told_id, 0) + 1
                assert outputs_of[told_id] == 1
                assert told_id in acted
    assert not table.calls.pending
    assert table.calls.wake_ns is None
