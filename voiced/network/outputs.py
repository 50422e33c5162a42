"""What the conversation wants done: the outputs of `session.Session`, carried out by the process's loop in their order."""

import logging
from typing import Any, NamedTuple

from voiced.errors import ControlError, VoicedError
from voiced.messages import Flush, MonoNs, Order, ReplyAudio, ReplyEnd
from voiced.network.events import ClientEvent
from voiced.network.limits import ERRORS_AT_ONCE, ERRORS_EVERY_NS
from voiced.network.quote import MESSAGE, Quote

#: A server that repeats itself is heard once in this time.
_ERROR_EVERY_NS = 1_000_000_000
_LONGEST_CODE = 64


class SendEvent(NamedTuple):
    """To the server."""

    event: ClientEvent


class SendNext(NamedTuple):
    """To the server, on the connection that is to take over."""

    event: ClientEvent


class Play(NamedTuple):
    """To playback: sound of a reply."""

    header: ReplyAudio
    pcm: bytes


class PlayEnd(NamedTuple):
    """To playback: no more sound for a part."""

    header: ReplyEnd


class Broadcast(NamedTuple):
    """To everybody, before anything else."""

    flush: Flush


class PublishEvent(NamedTuple):
    """An event of the control contract; `state` in the internal form {"state": ...}."""

    topic: str
    data: dict[str, Any]


class Answered(NamedTuple):
    order: Order
    result: dict[str, Any]


class Refused(NamedTuple):
    order: Order
    error: ControlError


class LogLine(NamedTuple):
    level: int  # logging's
    text: str


class Opened(NamedTuple):
    """The session is really open: it may be reported as ready."""

    detail: dict[str, Any]


class Disconnect(NamedTuple):
    """Close this connection and make another; `code` as if the server had closed it."""

    reason: str
    code: int = 1000


class OpenNext(NamedTuple):
    """Make a second connection, which is to take the conversation over."""

    reason: str


class DropNext(NamedTuple):
    """Give that second connection up."""


class TakeOver(NamedTuple):
    """The second connection is the conversation's from here on; the first is closed, and what it still brings is void."""


class Sleep(NamedTuple):
    """Close the connection, and make none until told to."""

    reason: str


class Wake(NamedTuple):
    """Make a connection now."""


class RunTool(NamedTuple):
    """Run a program of the settings; its end comes back as `Session.tool_ended`."""

    call_id: str
    argv: tuple[str, ...]
    arguments: str  # JSON


class StopTool(NamedTuple):
    """Nobody waits for this program any more."""

    call_id: str


class Record(NamedTuple):
    """Begin or end the recording of the wire."""

    order: Order
    on: bool


class Fail(NamedTuple):
    """Nothing more can work until somebody changes something."""

    error: VoicedError


Output = (
    SendEvent
    | SendNext
    | Play
    | PlayEnd
    | Broadcast
    | PublishEvent
    | Answered
    | Refused
    | LogLine
    | Opened
    | Disconnect
    | OpenNext
    | DropNext
    | TakeOver
    | Sleep
    | Wake
    | RunTool
    | StopTool
    | Record
    | Fail
)


class Outbox:
    """The outputs of one step, as they gather. All that is told to people passes `quote` here."""

    def __init__(self, quote: Quote) -> None:
        self.quote = quote
        self._outputs: list[Output] = []
        self._told_ns: dict[str, int] = {}  # by code, the errors of the last second
        self._errors_until_ns = 0  # each that is told moves it on
        self._untold = 0

    def add(self, output: Output) -> None:
        self._outputs.append(output)

    def send(self, event: ClientEvent) -> None:
        self._outputs.append(SendEvent(event))

    def publish(self, topic: str, **data: Any) -> None:
        self._outputs.append(PublishEvent(topic, data))

    def log(self, level: int, text: str) -> None:
        self._outputs.append(LogLine(level, self.quote(text, MESSAGE)))

    def error(self, code: str, message: str) -> None:
        """What people should know, and what ends nothing: an event and a line in the log."""
        self.publish("error", code=self.quote(code, _LONGEST_CODE), message=self.quote(message, MESSAGE), fatal=False)
        self.log(logging.WARNING, message)

    def server_error(self, code: str, message: str, now: MonoNs) -> None:
        """The same for what the server may repeat as often as it likes: each code once a second, a few at once, and then one each
        ten seconds; the rest is counted."""
        self._told_ns = {told: told_ns for told, told_ns in self._told_ns.items() if now - told_ns < _ERROR_EVERY_NS}
        code = self.quote(code, _LONGEST_CODE)
        if code in self._told_ns or self._errors_until_ns - now > (ERRORS_AT_ONCE - 1) * ERRORS_EVERY_NS:
            self._untold += 1
            return
        self._told_ns[code] = now
        self._errors_until_ns = max(self._errors_until_ns, now) + ERRORS_EVERY_NS
        untold, self._untold = self._untold, 0
        self.error(code, f"{self.quote(message)} ({untold} more errors of the server's were not told)" if untold else message)

    def take(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs
