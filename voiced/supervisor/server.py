"""The control socket and the event socket: whatever arrives is answered or dropped, and we live on."""

import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from voiced import control
from voiced.bus import Bus, Poller
from voiced.control import Command, Request, RequestRefused
from voiced.doors import Door
from voiced.ends import EventStream, Requests
from voiced.errors import CONTROL_BY_CODE, ControlError, InternalControlError, NotNow, TimedOut, Unavailable
from voiced.messages import Answer, Order, Refusal
from voiced.rate import Rate

#: Shorter than voicectl's own 5 s, so that a client learns who did not answer.
ORDER_LIMIT_S = 4.5
#: More than these at once only from a client that runs wild; they wait in its socket.
_REQUESTS_AT_ONCE = 64

_BUG = InternalControlError("a bug in voiced; its log says more")

#: Clients of each of the two sockets. Each costs a descriptor and 60 KiB.
_MOST_PEERS = 500
#: More are of no use to us, and dear to programs that close them all one by one.
_DESCRIPTORS = 8192
#: Descriptors for everything but clients.
_OF_OURS = 200
_COMPLAINS_EVERY_S = 60.0

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
        self._rates = {command.name: Rate(command.often, 10 * command.often) for command in control.COMMANDS.values() if command.often}
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
            self._admit(request.command, now_s)
            self._dispatch(envelope, request, now_s)
        except RequestRefused as refused:
            self._requests.reply(envelope, control.pack_refusal(refused.id, refused.error))
        except ControlError as error:
            self._requests.reply(envelope, control.pack_refusal(id, error))
        except Exception as error:  # the fence: a bug of ours costs one client its answer, not everybody the daemon
            self._complain(f"a bug in voiced, in a request: {type(error).__name__}: {error}; please report this")
            self._requests.reply(envelope, control.pack_refusal(id, _BUG))

    def _admit(self, command: Command, now_s: float) -> None:
        """Or a script that runs wild would keep a process from its sound, and fill the log."""
        rate = self._rates.get(command.name)
        if rate is not None and not rate.allows(now_s):
            raise NotNow(f"too many {command.name} requests: {rate.per_s:g} a second are carried out; try again")

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
    """Numbers and publishes events; greets whoever subscribes to `status` with a snapshot of it.

    A subscriber that does not keep up misses some, and sees gaps in their numbers. `complain` takes a line for the log, seldom.
    """

    def __init__(self, stream: EventStream, snapshot: Callable[[], dict[str, Any]], complain: Callable[[str], None]) -> None:
        self._stream = stream
        self._snapshot = snapshot
        self._complain = complain
        self._seq = 0
        self._subscribers: dict[bytes, int] = {}
        self._lagged = 0
        self._complaints = Rate(1 / _COMPLAINS_EVERY_S, 1)

    @property
    def figures(self) -> dict[str, Any]:
        """The `events` field of `status`; `lagged` counts how often a subscriber fell so far behind that it missed some."""
        return {"subscriptions": sum(self._subscribers.values()), "lagged": self._lagged}

    def receive(self) -> None:
        """Takes new subscriptions. A `status` snapshot is the first thing that those to it get."""
        newcomers = False
        for _ in range(_REQUESTS_AT_ONCE):
            subscription = self._stream.next(control.may_begin_topic)
            if subscription is None:
                break
            count = self._subscribers.get(subscription.topic, 0) + (1 if subscription.wanted else -1)
            if count > 0:
                self._subscribers[subscription.topic] = count
            else:
                self._subscribers.pop(subscription.topic, None)
            newcomers |= subscription.wanted and b"status".startswith(subscription.topic)
        if newcomers:
            self.publish("status", self._snapshot())

    def publish(self, topic: str, data: dict[str, Any]) -> None:
        self._seq += 1
        if self._stream.publish(topic, control.pack_event(self._seq, time.time(), data)):
            return
        self._lagged += 1
        if self._complaints.allows(time.monotonic()):
            self._complain("a subscriber to the events does not keep up, and misses some: it should read more, or subscribe to less")

    def publish_status(self) -> None:
        """The status map, which is dear to make, where anybody listens."""
        if self.wanted("status"):
            self.publish("status", self._snapshot())

    def wanted(self, topic: str, by_name: str = "") -> bool:
        """Whether anybody listens to it, who asked for what begins with `by_name`."""
        return any(topic.encode().startswith(prefix) and prefix.startswith(by_name.encode()) for prefix in self._subscribers)


class Doors:
    """The doors of both sockets.

    `complain` takes a line for the log when more clients than it has room for are sent away, and when that is over."""

    def __init__(self, bus: Bus, poller: Poller, requests: Requests, stream: EventStream, complain: Callable[[str], None]) -> None:
        most = min(_MOST_PEERS, (_descriptors() - _OF_OURS) // 4)  # as many again may come in before we look
        self._doors = {"control": Door(bus, requests.socket, most), "events": Door(bus, stream.socket, most)}
        stream.nonsense = self._doors["events"].offended
        for door in self._doors.values():
            poller.watch(door.socket)
        self._complain = complain

    def look(self) -> None:
        for name, door in self._doors.items():
            if door.look():
                now = "more are sent away; what forgets to close them?" if door.crowded else "more may come again"
                self._complain(f"{door.peers} clients are connected to the {name} socket: {now}")


def _descriptors() -> int:
    """How many we may have, by now as many as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard, _DESCRIPTORS) if hard != resource.RLIM_INFINITY else _DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
