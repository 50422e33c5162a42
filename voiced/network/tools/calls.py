"""Tools: what the model calls, who answers it, and when the server is told. Pure.

A function is called by an item of a response. Scripts answer it (a `tool.call` event, the command `tool_result`), or a
program of the settings does (RunTool). The outputs of one response are told to the server together, once that response
is done and all are there, and then one response is asked for (realtime-protocol 4.5). Every call is answered, if only with an
error: a model that is left without an answer waits, or makes one up.

The tools of MCP servers, which the Realtime server calls by itself, are in `approvals`.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from voiced.errors import NotNow
from voiced.messages import MonoNs, Order
from voiced.network.events import FunctionArgumentsDone, Item, ItemCreate, ResponseCreate, ResponseParams
from voiced.network.outputs import Answered, Outbox, Refused, RunTool, StopTool
from voiced.network.owed import OWED_AT_MOST_NS
from voiced.network.responses import ResponseQueue, Wanted
from voiced.network.tools import arguments
from voiced.network.tools.approvals import Approvals

#: Of all responses together; more is no model's doing.
MOST_CALLS = 64
LONGEST_OUTPUT = 100_000
#: As long as the command `tool_result` takes one.
_LONGEST_ID = 512
_LONGEST_NAME = 64
#: Responses remembered as done, for the calls that are told of too late.
_MOST_ENDED = 64
#: Calls remembered so as not to act on them again.
_MOST_SEEN = 1024


class _Tool(NamedTuple):
    argv: tuple[str, ...]  # empty: scripts answer
    timeout_ns: int


@dataclass(slots=True, eq=False)
class _Call:
    call_id: str
    name: str
    arguments: str
    began_ns: int
    tool: _Tool | None
    output: str | None = None

    @property
    def deadline_ns(self) -> int:
        return self.began_ns + (self.tool.timeout_ns if self.tool else 0)


@dataclass(slots=True, eq=False)
class _Round:
    """The calls of one response that the server was not yet told the outputs of."""

    response_id: str
    calls: list[_Call] = field(default_factory=list)
    done: bool = False
    interrupted: bool = False  # the user took the floor since: no response follows
    lost: bool = False  # its session went: the next one has never heard of these calls


class Calls:
    """One for a conversation, over all its sessions."""

    def __init__(self, out: Outbox, queue: ResponseQueue, new_id: Callable[[], str]) -> None:
        self._out = out
        self._queue = queue
        self._new_id = new_id
        self._approvals = Approvals(out, queue, new_id)
        self._tools: dict[str, _Tool] = {}
        self._forced = False
        self._rounds: list[_Round] = []
        self._told: list[_Call] = []  # outputs that no response has followed yet
        self._seen: dict[str, None] = {}
        self._ended: deque[str] = deque(maxlen=_MOST_ENDED)  # responses that are done
        self._open = False
        self._closed_ns: MonoNs | None = None  # since when there is no session

    def configure(self, settings: dict[str, Any]) -> None:
        """From here on calls are answered by these tools; what is under way goes on."""
        self._tools = {
            tool["name"]: _Tool(tuple(tool["command"]), round(tool["timeout_s"] * 1_000_000_000)) for tool in settings.get("tools", ())
        }
        self._forced = settings.get("tool_choice", "auto") not in ("auto", "none")

    # the server ----------------------------------------------------------------------------------------------------------

    def session_opened(self, now: MonoNs) -> None:
        """After a long outage the outputs are told, but nobody waits for an answer any more."""
        closed_ns, self._closed_ns = self._closed_ns, None
        if closed_ns is not None and now - closed_ns > OWED_AT_MOST_NS:
            for round in self._rounds:
                round.interrupted = True
        self._open = True
        self._settle()

    def session_closed(self, now: MonoNs, *, asleep: bool = False) -> None:
        """What was called there, and what was told there without an answer, is told to the next session; with `asleep`, which
        may be hours later, it is forgotten."""
        if self._open:
            self._closed_ns = now
        self._open = False
        self._ended.clear()
        self._approvals.session_closed()
        if self._told:
            self._rounds.append(_Round("", self._told))
            self._told = []
        if asleep:
            self._forget(now)
        self._rounds = [round for round in self._rounds if round.calls]
        for round in self._rounds:
            round.done = round.lost = True
        self._seen = {call.call_id: None for call in self._under_way()}  # servers count anew

    def response_created(self, response_id: str, now: MonoNs) -> None:
        self._told = []
        for round in self._rounds:
            round.done = True  # if it was never said: the server writes one response at a time
        self._round(response_id)
        self._settle()
        self._approvals.response_created()

    def item_seen(self, item: Item, now: MonoNs) -> None:
        """Any item that is announced: conversation.item.added or .done, response.output_item.added."""
        self._approvals.item_seen(item)

    def list_failed(self, item_id: str, now: MonoNs) -> None:
        """mcp_list_tools.failed."""
        self._approvals.list_failed(item_id, now)

    def item_done(self, response_id: str, item: Item, now: MonoNs) -> None:
        """response.output_item.done, whatever the item is."""
        if item.type == "function_call" and item.status in (None, "completed"):
            self._call(response_id, item.call_id, item.name, item.arguments or "", now)
        self._approvals.item_done(item, now)

    def arguments_done(self, event: FunctionArgumentsDone, now: MonoNs) -> None:
        """The same call, a moment before. It comes for a response that is cut off, too: only whole arguments count, and
        a server that leaves the name out is waited for."""
        if not event.name or not event.arguments:
            return
        try:
            arguments.parsed(event.arguments)
        except arguments.Unusable:
            return  # the item tells whether the model was done
        self._call(event.response_id, event.call_id, event.name, event.arguments, now)

    def response_done(self, response_id: str, status: str | None, items: list[Item], now: MonoNs) -> None:
        """response.done, with its output."""
        whole = ("completed",) if status in ("cancelled", "failed", "incomplete") else (None, "completed", "in_progress")
        for item in items:
            if item.type == "function_call" and item.status in whole:
                self._call(response_id, item.call_id, item.name, item.arguments or "", now)
        self._approvals.response_done(status, items, now)
        self._ended.append(response_id)
        round = self._find(response_id)
        if round is not None:
            round.done = True
            round.interrupted = round.interrupted or status == "cancelled"
            self._settle()

    # people and programs -------------------------------------------------------------------------------------------------

    def interrupted(self, now: MonoNs) -> None:
        """The user took the floor. What is under way is told when it comes, but nobody speaks of it unasked."""
        for round in self._rounds:
            round.interrupted = True
        self._told = []
        self._approvals.interrupted()
        self._settle()

    def result(self, order: Order, now: MonoNs) -> None:
        """The command tool_result."""
        call = self._waiting(order.args["call_id"])
        if call is None or call.tool is None or call.tool.argv:
            why = (
                "a program of the settings answers this call" if call else "no call of this id waits: it was answered, or its time is over"
            )
            self._out.add(Refused(order, NotNow(why)))
            return
        self._out.add(Answered(order, {"accepted": True}))
        output = order.args["output"]
        self._answer(call, output, not _is_error(output), now)

    def approve(self, order: Order, now: MonoNs) -> None:
        """The command approve."""
        self._approvals.approve(order, now)

    def ended(self, call_id: str, ok: bool, output: str, now: MonoNs) -> None:
        """The end of a RunTool: what it printed, or what went wrong."""
        call = self._waiting(call_id)
        if call is not None and call.tool is not None and call.tool.argv:
            self._answer(call, output if ok else _error(output), ok, now)

    @property
    def pending(self) -> bool:
        """Something is under way that a change of session would spoil."""
        return any(round.calls for round in self._rounds) or self._approvals.pending

    @property
    def thinking(self) -> bool:
        """A response of ours is to follow."""
        return any(round.calls and not round.interrupted for round in self._rounds) or self._approvals.pending

    # time ----------------------------------------------------------------------------------------------------------------

    @property
    def wake_ns(self) -> int | None:
        times = [call.deadline_ns for call in self._under_way() if call.output is None]
        if self._approvals.wake_ns is not None:
            times.append(self._approvals.wake_ns)
        return min(times, default=None)

    def tick(self, now: MonoNs) -> None:
        for call in self._under_way():
            if call.output is None and now >= call.deadline_ns:
                seconds = (call.deadline_ns - call.began_ns) / 1_000_000_000
                message = f"{call.name} did not answer within {seconds:g} s"
                self._out.log(logging.WARNING, f"the tool {message}")
                self._stop(call)
                self._answer(call, _error(message), False, now)
        self._approvals.tick(now)

    # one call ------------------------------------------------------------------------------------------------------------

    def _call(self, response_id: str, call_id: str | None, name: str | None, text: str, now: MonoNs) -> None:
        if call_id in self._seen:
            return
        if not call_id or not call_id.isprintable() or len(call_id) > _LONGEST_ID:
            self._out.server_error("tool_call_invalid", "the model called a tool in a way that nobody can answer: without a proper id", now)
            return
        if sum(1 for _ in self._under_way()) >= MOST_CALLS:
            self._out.server_error(
                "tool_calls_too_many", f"the model called more than {MOST_CALLS} tools at once; the rest is ignored", now
            )
            return
        self._seen[call_id] = None
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        name = self._out.quote(name or "", _LONGEST_NAME)
        call = _Call(call_id, name, text, now, self._tools.get(name))
        self._round(response_id).calls.append(call)
        self._begin(call, now)

    def _begin(self, call: _Call, now: MonoNs) -> None:
        if call.tool is None:
            known = ", ".join(sorted(self._tools)) or "none"
            self._answer(call, _error(f"there is no tool {call.name!r}; there are: {known}"), False, now)
            return
        try:
            given = arguments.parsed(call.arguments)
        except arguments.Unusable as why:
            call.arguments = "{}"  # what is no use to us is none to the next session
            self._answer(call, _error(str(why)), False, now)
            return
        if call.tool.argv:
            self._out.add(RunTool(call.call_id, call.tool.argv, call.arguments or "{}"))
        else:
            self._out.publish("tool.call", call_id=call.call_id, name=call.name, arguments=given)

    def _answer(self, call: _Call, output: str, ok: bool, now: MonoNs) -> None:
        if len(output) > LONGEST_OUTPUT:
            output = f"{output[:LONGEST_OUTPUT]}\n[cut here, after {LONGEST_OUTPUT} characters]"
        call.output = output
        took_ms = (now - call.began_ns) // 1_000_000
        self._out.publish("tool.done", call_id=call.call_id, name=call.name, ok=ok, took_ms=took_ms)
        self._settle()

    def _stop(self, call: _Call) -> None:
        if call.tool is not None and call.tool.argv:
            self._out.add(StopTool(call.call_id))

    def _forget(self, now: MonoNs) -> None:
        """Nobody waits for any output any more."""
        for call in self._under_way():
            if call.output is None:
                self._stop(call)
                self._answer(call, _error("the session ended"), False, now)
        self._rounds = []

    # telling the server --------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Tells the server what it may be told by now."""
        if not self._open:
            self._rounds = [round for round in self._rounds if round.calls or not round.done]
            return
        to_answer = False
        for round in self._rounds:
            answered = [call for call in round.calls if call.output is not None]
            if round.done and answered and (round.interrupted or len(answered) == len(round.calls)):
                self._tell(round, answered)
                to_answer = to_answer or not round.interrupted
        if to_answer:
            # A model that must call a tool would call it for ever, if it had to in the answer, too.
            params = ResponseParams(tool_choice="auto") if self._forced else None
            self._queue.add(Wanted((ResponseCreate(event_id=self._new_id(), response=params),)))
        self._rounds = [round for round in self._rounds if round.calls or not round.done]

    def _tell(self, round: _Round, answered: list[_Call]) -> None:
        for call in answered:
            round.calls.remove(call)
            if round.lost:
                made = Item(type="function_call", call_id=call.call_id, name=call.name, arguments=call.arguments or "{}")
                self._out.send(ItemCreate(item=made))
            self._out.send(ItemCreate(item=Item(type="function_call_output", call_id=call.call_id, output=call.output)))
        if not round.interrupted:
            self._told = [*self._told, *answered][-MOST_CALLS:]

    # looking up ----------------------------------------------------------------------------------------------------------

    def _under_way(self) -> list[_Call]:
        return [call for round in self._rounds for call in round.calls]

    def _waiting(self, call_id: str) -> _Call | None:
        return next((call for call in self._under_way() if call.call_id == call_id and call.output is None), None)

    def _find(self, response_id: str) -> _Round | None:
        return next((round for round in self._rounds if round.response_id == response_id and not round.lost), None)

    def _round(self, response_id: str) -> _Round:
        round = self._find(response_id)
        if round is None:
            round = _Round(response_id, done=response_id in self._ended)
            self._rounds.append(round)
        return round


def _error(message: str) -> str:
    return msgspec.json.encode({"error": message}).decode()


def _is_error(output: str) -> bool:
    """Whether a script answers as we do where nothing works; the answer is passed on all the same."""
    try:
        value = msgspec.json.decode(output)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return isinstance(value, dict) and bool(value.get("error"))
