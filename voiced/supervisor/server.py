"""The control socket and the event socket: whatever arrives is answered or dropped, and we live on."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from voiced import control
from voiced.bus import EventStream, Requests
from voiced.control import Request, RequestRefused
from voiced.errors import CONTROL_BY_CODE, ControlError, InternalControlError, TimedOut, Unavailable
from voiced.messages import Answer, Order, Refusal

#: Shorter than voicectl's own 5 s, so that a client learns who did not answer.
ORDER_LIMIT_S = 4.5
#: More than these at once only from a client that runs wild; they wait in its socket.
_REQUESTS_AT_ONCE = 64

_BUG = InternalControlError("a bug in voiced; its log says more")

Envelope = tuple[bytes, ...]


class _Pending(NamedTuple):
    """A request whose answer a child owes."""

    envelope: Envelope
    request: Request
    owner: str
    deadline_s: float


class ControlServer:
    """Answers what the supervisor knows itself; hands the rest to the children that own it and their answers back.

    `serve` carries out a supervisor's command and returns the result. `forward` sends an order to a child and says
    whether that is there to take it. `finish` may complete a child's result. `complain` takes a line for the log.
    """

    def __init__(
        self,
        requests: Requests,
        serve: Callable[[str, dict[str, Any]], dict[str, Any]],
        forward: Callable[[str, Order], bool],
        finish: Callable[[str, dict[str, Any]], dict[str, Any]],
        complain: Callable[[str], None],
    ) -> None:
        self._requests = requests
        self._serve = serve
        self._forward = forward
        self._finish = finish
        self._complain = complain
        self._pending: dict[int, _Pending] = {}
        self._last_order = 0

    def receive(self, now_s: float) -> None:
        """Serves the requests that wait."""
        for _ in range(_REQUESTS_AT_ONCE):
            arrived = self._requests.next()
            if arrived is None:
                return
            envelope, body = arrived
            self._answer(envelope, body, now_s)

    def _answer(self, envelope: Envelope, body: bytes, now_s: float) -> None:
        id: Any = None
        try:
            request = control.parse_request(body)
            id = request.id
            self._dispatch(envelope, request, now_s)
        except RequestRefused as refused:
            self._requests.reply(envelope, control.pack_refusal(refused.id, refused.error))
        except ControlError as error:
            self._requests.reply(envelope, control.pack_refusal(id, error))
        except Exception as error:  # the fence: a bug of ours costs one client its answer, not everybody the daemon
            self._complain(f"a bug in voiced, in a request: {type(error).__name__}: {error}; please report this")
            self._requests.reply(envelope, control.pack_refusal(id, _BUG))

    def _dispatch(self, envelope: Envelope, request: Request, now_s: float) -> None:
        command = request.command
        if command.owner == "supervisor":
            self._requests.reply(envelope, control.pack_result(request.id, self._serve(command.name, request.args)))
            return
        self._last_order += 1
        if not self._forward(command.owner, Order(self._last_order, command.name, request.args)):
            raise Unavailable(f"the {command.owner} process is not running; `voicectl status` says more")
        self._pending[self._last_order] = _Pending(envelope, request, command.owner, now_s + ORDER_LIMIT_S)

    def take(self, outcome: Answer | Refusal) -> None:
        """A child's answer goes to who asked; one that comes too late is dropped."""
        pending = self._pending.pop(outcome.order_id, None)
        if pending is None:
            return
        if isinstance(outcome, Refusal):
            kind = CONTROL_BY_CODE.get(outcome.code, InternalControlError)
            self._refuse(pending, kind(outcome.message, outcome.field))
        else:
            result = self._finish(pending.request.command.name, outcome.result)
            self._requests.reply(pending.envelope, control.pack_result(pending.request.id, result))

    def died(self, owner: str) -> None:
        """What a dead child owed will not come."""
        for order_id in [order_id for order_id, pending in self._pending.items() if pending.owner == owner]:
            self._refuse(self._pending.pop(order_id), Unavailable(f"the {owner} process died before it could answer; try again"))

    def expire(self, now_s: float) -> None:
        """Refuses what was not answered in time."""
        for order_id in [order_id for order_id, pending in self._pending.items() if pending.deadline_s <= now_s]:
            pending = self._pending.pop(order_id)
            self._refuse(pending, TimedOut(f"the {pending.owner} process did not answer within {ORDER_LIMIT_S:g} s"))

    @property
    def deadline_s(self) -> float | None:
        return min((pending.deadline_s for pending in self._pending.values()), default=None)

    def _refuse(self, pending: _Pending, error: ControlError) -> None:
        self._requests.reply(pending.envelope, control.pack_refusal(pending.request.id, error))


class EventServer:
    """Numbers and publishes events; greets whoever subscribes to `status` with a snapshot of it."""

    def __init__(self, stream: EventStream, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._stream = stream
        self._snapshot = snapshot
        self._seq = 0
        self._subscribers: dict[bytes, int] = {}

    def receive(self) -> None:
        """Takes new subscriptions. A `status` snapshot is the first thing that those to it get."""
        while (subscription := self._stream.next()) is not None:
            count = self._subscribers.get(subscription.topic, 0) + (1 if subscription.wanted else -1)
            if count > 0:
                self._subscribers[subscription.topic] = count
            else:
                self._subscribers.pop(subscription.topic, None)
            if subscription.wanted and b"status".startswith(subscription.topic):
                self.publish("status", self._snapshot())

    def publish(self, topic: str, data: dict[str, Any]) -> None:
        self._seq += 1
        self._stream.publish(topic, control.pack_event(self._seq, time.time(), data))

    def publish_status(self) -> None:
        """The status map, which is dear to make, where anybody listens."""
        if self.wanted("status"):
            self.publish("status", self._snapshot())

    def wanted(self, topic: str, by_name: str = "") -> bool:
        """Whether anybody listens to it, who asked for what begins with `by_name`."""
        return any(topic.encode().startswith(prefix) and prefix.startswith(by_name.encode()) for prefix in self._subscribers)
