"""The tools of MCP servers, which the Realtime server calls by itself: who may be called, and who says what came of it. Pure.

The order of events after such a call is not documented (realtime-protocol 4.8), so a response is asked for only when the
server leaves the call's result unsaid for a while; where both ask at once, one create is refused, harmlessly.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from voiced.errors import NotNow
from voiced.messages import MonoNs, Order
from voiced.network.events import Item, ItemCreate
from voiced.network.outputs import Answered, Outbox, Refused
from voiced.network.responses import ResponseQueue, answer
from voiced.network.tools.arguments import Unusable, parsed

#: A question that nobody answers by then is answered with no.
APPROVED_WITHIN_NS = 60_000_000_000
#: How long a server has for beginning to say what a call of its own brought.
SAID_WITHIN_NS = 1_000_000_000
_MOST = 64
_MOST_SEEN = 1024
_LONGEST_ID = 512
_LONGEST_NAME = 64


class _Asked(NamedTuple):
    name: str
    deadline_ns: int


class Approvals:
    def __init__(self, out: Outbox, queue: ResponseQueue, new_id: Callable[[], str]) -> None:
        self._out = out
        self._queue = queue
        self._new_id = new_id
        self._asked: dict[str, _Asked] = {}
        self._seen: set[str] = set()  # requests of this session
        self._labels: dict[str, str] = {}  # of the items that list a server's tools
        self._running = False  # a response
        self._unsaid = False  # the last finished item is an MCP call, and nobody said what came of it
        self._speak_ns: int | None = None

    # what the server does ------------------------------------------------------------------------------------------------

    def response_created(self) -> None:
        self._running = True
        self._hold_tongue()

    def item_seen(self, item: Item) -> None:
        """An item that is announced; the list of a server's tools names the server."""
        if item.type == "mcp_list_tools" and item.id and item.server_label and len(self._labels) < _MOST:
            self._labels[item.id] = self._out.quote(item.server_label, _LONGEST_NAME)

    def list_failed(self, item_id: str, now: MonoNs) -> None:
        label = self._labels.get(item_id)
        server = f"the MCP server {label!r}" if label else "an MCP server"
        message = f"{server} does not tell its tools; check its url and its key in the section [mcp] of the configuration"
        self._out.server_error("mcp_list_tools_failed", message, now)

    def item_done(self, item: Item, now: MonoNs) -> None:
        if item.type == "mcp_approval_request":
            self._ask(item, now)
        elif item.type != "mcp_list_tools":
            self._unsaid = item.type == "mcp_call"
            self._say_soon(now)

    def response_done(self, status: str | None, items: list[Item], now: MonoNs) -> None:
        self._running = False
        for item in items:
            if item.type == "mcp_approval_request":
                self._ask(item, now)
        last = items[-1] if items else None
        if last is not None and last.type != "mcp_approval_request":
            self._unsaid = last.type == "mcp_call" and (self._unsaid or last.output is not None or last.error is not None)
        if status == "cancelled":
            self._hold_tongue()
        self._say_soon(now)

    def _say_soon(self, now: MonoNs) -> None:
        ripe = self._unsaid and not self._running and not self._asked
        self._speak_ns = now + SAID_WITHIN_NS if ripe else None

    def _hold_tongue(self) -> None:
        self._unsaid = False
        self._speak_ns = None

    def _ask(self, item: Item, now: MonoNs) -> None:
        id, name = item.id or "", self._out.quote(item.name or "", _LONGEST_NAME)
        if id in self._seen:
            return
        too_much = len(self._asked) >= _MOST or len(self._seen) >= _MOST_SEEN
        if not id.isprintable() or not 0 < len(id) <= _LONGEST_ID or too_much:
            self._out.server_error("mcp_approval_refused", f"the server asks in vain whether it may call {name!r}: it asks too much", now)
            return
        self._seen.add(id)
        self._asked[id] = _Asked(name, now + APPROVED_WITHIN_NS)
        try:
            arguments = parsed(item.arguments or "")
        except Unusable as why:
            self._answer(id, False, f"nobody can judge it: {why}", now)
            return
        server = self._out.quote(item.server_label or "", _LONGEST_NAME)
        self._out.publish("tool.approval", approval_id=id, server=server, name=name, arguments=arguments)

    # what people do ------------------------------------------------------------------------------------------------------

    def approve(self, order: Order, now: MonoNs) -> None:
        id, approved = order.args["approval_id"], order.args["approved"]
        if id not in self._asked:
            self._out.add(Refused(order, NotNow("no tool waits for this approval: it was answered, or 60 s are over")))
            return
        self._answer(id, approved, None if approved else "the user does not allow it", now)
        self._out.add(Answered(order, {"accepted": True}))

    def interrupted(self) -> None:
        self._hold_tongue()

    def session_closed(self) -> None:
        self._seen.clear()
        if self._asked:  # the requests are items of the session that went
            names = ", ".join(repr(asked.name) for asked in self._asked.values())
            self._out.error("tool_not_approved", f"the session ended before anybody said whether {names} may be called: it is not called")
        self._asked.clear()
        self._labels.clear()
        self._running = False
        self._hold_tongue()

    def _answer(self, id: str, approved: bool, reason: str | None, now: MonoNs) -> None:
        del self._asked[id]
        item = Item(type="mcp_approval_response", id=self._new_id(), approval_request_id=id, approve=approved, reason=reason)
        self._out.send(ItemCreate(item=item))
        if not approved:  # allowed, the call goes on and is the next item; refused, somebody has to say so
            self._unsaid = True
            self._say_soon(now)

    # time ----------------------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        return bool(self._asked) or self._speak_ns is not None

    @property
    def wake_ns(self) -> int | None:
        return min((*(asked.deadline_ns for asked in self._asked.values()), *_some(self._speak_ns)), default=None)

    def tick(self, now: MonoNs) -> None:
        for id, asked in list(self._asked.items()):
            if now >= asked.deadline_ns:
                self._out.error("tool_not_approved", f"nobody said within 60 s whether {asked.name!r} may be called: it may not")
                self._answer(id, False, "nobody answered within 60 s", now)
        if self._speak_ns is not None and now >= self._speak_ns:
            self._hold_tongue()
            self._queue.add(answer(self._new_id()))


def _some(value: Any) -> tuple[Any, ...]:
    return () if value is None else (value,)
