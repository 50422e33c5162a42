"""The queue of responses that we ask for. Pure.

Only one response at a time may write the conversation, and two at once would speak over each other; so a
`response.create` of ours waits until no response is being generated and no interruption is unsettled (a create sent
before the `response.done` of a cancelled response is refused: realtime-protocol 4.2).
"""

from collections import deque
from typing import NamedTuple

from voiced.network.events import ClientEvent, ResponseCreate, ResponseParams

#: A create that has brought neither response.created nor an error by then was lost by the server.
CREATED_WITHIN_NS = 10_000_000_000
#: Where the server's own response won the race, and its response.created is already behind us.
RETRY_AFTER_NS = 1_000_000_000
#: Metadata by which our responses out of the conversation are known again.
PURPOSE = "voiced"
SAY = "say"


class Wanted(NamedTuple):
    """What is sent, in one go, when the floor is free; the last event is the response.create."""

    events: tuple[ClientEvent, ...]
    asked_ns: int | None = None  # when somebody asked for it who will not wait for ever

    @property
    def event_id(self) -> str | None:
        return self.events[-1].event_id

    @property
    def aside(self) -> bool:
        """A response beside the conversation, which no session before it is needed for."""
        create = self.events[-1]
        return isinstance(create, ResponseCreate) and create.response is not None and create.response.conversation == "none"


def answer(event_id: str) -> Wanted:
    """An answer to the conversation as it is then."""
    return Wanted((ResponseCreate(event_id=event_id),))


def say(text: str, event_id: str, asked_ns: int) -> Wanted:
    """The assistant says just this: a response out of the conversation (realtime-protocol 4.6), with nothing to answer."""
    instructions = f"Say exactly the following text aloud, word for word, in its own language, and nothing else:\n\n{text}"
    params = ResponseParams(
        conversation="none", instructions=instructions, input=[], output_modalities=["audio"], tool_choice="none", metadata={PURPOSE: SAY}
    )
    return Wanted((ResponseCreate(event_id=event_id, response=params),), asked_ns)


class ResponseQueue:
    """What waits to be sent, and the create that is under way."""

    def __init__(self) -> None:
        self._waiting: deque[Wanted] = deque()
        self._sent: Wanted | None = None
        self._sent_ns = 0
        self._cancelled = False  # the one under way was interrupted: its response.created is answered with a cancel
        self._not_before_ns = 0

    def add(self, wanted: Wanted) -> None:
        """Two answers to the same conversation are one."""
        if wanted.aside or all(waiting.aside for waiting in self._waiting):
            self._waiting.append(wanted)

    def drop_answers(self) -> None:
        """Nobody waits for an answer to the conversation any more: it goes on."""
        self._waiting = deque(wanted for wanted in self._waiting if wanted.aside)

    def next(self, now_ns: int, *, free: bool) -> Wanted | None:
        """What is to be sent now, if anything is."""
        if not free or self._sent is not None or not self._waiting or now_ns < self._not_before_ns:
            return None
        self._sent = self._waiting.popleft()
        self._sent_ns = now_ns
        return self._sent

    def created(self, now_ns: int) -> bool:
        """A response.created arrived; true where it is that of a create which was interrupted. With one create under way
        it is taken for ours; a server's own that slipped in between makes ours fail with an error, upon which it is
        sent again."""
        self.expire(now_ns)
        cancelled = self._cancelled
        self._settle()
        return cancelled

    def refused(self, event_id: str | None, now_ns: int, *, again: bool) -> bool:
        """An error names our create (or no event at all). Returns whether it was the one under way; with `again` it
        goes back to the head of the queue, unless it was interrupted."""
        sent = self._sent
        if sent is None or (event_id is not None and event_id != sent.event_id):
            return False
        cancelled = self._cancelled
        self._settle()
        if again and not cancelled:
            # The items are in the conversation already; only the create is repeated.
            self._waiting.appendleft(Wanted(sent.events[-1:], sent.asked_ns))
            self._not_before_ns = now_ns + RETRY_AFTER_NS
        return True

    def interrupt(self, now_ns: int) -> bool:
        """Forgets what waits; says whether there is a create under way, whose response is unwanted from here on."""
        self._waiting.clear()
        self._cancelled = self._sent is not None
        return self._cancelled

    def closed(self) -> None:
        """The session is gone, and with it the create under way: it is sent again to the next one, unless it was interrupted.
        An answer to the conversation is asked for anew by whoever knows what is owed."""
        if self._sent is not None and not self._cancelled:
            self._waiting.appendleft(self._sent)
        self.drop_answers()
        self._not_before_ns = 0
        self._settle()

    def unwanted(self) -> None:
        """The answer under way is wanted no more: somebody speaks."""
        self._cancelled = self._sent is not None

    def drop_older(self, before_ns: int) -> int:
        """Forgets what was asked for before then; says how much that was."""
        fresh = [wanted for wanted in self._waiting if wanted.asked_ns is None or wanted.asked_ns >= before_ns]
        dropped, self._waiting = len(self._waiting) - len(fresh), deque(fresh)
        return dropped

    def clear(self) -> int:
        """Forgets all; says how many were waiting or under way."""
        count = len(self._waiting) + (self._sent is not None)
        self._waiting.clear()
        self._settle()
        return count

    def expire(self, now_ns: int) -> bool:
        """Gives up the create under way where it is time; true where somebody waited for it."""
        if self._sent is None or now_ns - self._sent_ns < CREATED_WITHIN_NS:
            return False
        waited = not self._cancelled
        self._settle()
        return waited

    def _settle(self) -> None:
        self._sent = None
        self._cancelled = False

    @property
    def busy(self) -> bool:
        return bool(self._waiting) or self._sent is not None

    def __len__(self) -> int:
        return len(self._waiting)

    def wake_ns(self, *, free: bool) -> int | None:
        """When `next` wants to be called again."""
        if self._sent is not None:
            return self._sent_ns + CREATED_WITHIN_NS
        return self._not_before_ns if self._waiting and free else None
