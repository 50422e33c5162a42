"""The conversation's parts, each of which knows one thing, and what concerns all of them at once: a session opens, ends, falls
asleep, fails, or hands over to the next. Pure.

`line` the connection, `turn` the user's half, `voice` the assistant's, `calls` the tools, `transcript` what was said, `queue` the
answers to ask for, `ear` our own voice detector, `door` the wake word.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from voiced.errors import VoicedError
from voiced.messages import Epoch, MonoNs
from voiced.network import events
from voiced.network.bargein import Interruption
from voiced.network.complaints import Complaints, sane
from voiced.network.ear import Door, Ear
from voiced.network.hello import Phase
from voiced.network.line import Line, Quiet
from voiced.network.outputs import Fail, Opened, Outbox
from voiced.network.owed import OWED_AT_MOST_NS
from voiced.network.quote import MESSAGE, Quote
from voiced.network.responses import ResponseQueue
from voiced.network.tools.calls import Calls
from voiced.network.transcript import Said, Transcript
from voiced.network.turn import Turn
from voiced.network.voice import Voice
from voiced.shown import public


class Conversation:
    """One conversation, over however many sessions."""

    def __init__(
        self, settings: dict[str, Any], epoch: Epoch, new_id: Callable[[], str], history: Iterable[Mapping[str, Any]], quote: Quote
    ) -> None:
        self.new_id = new_id
        self.quote = quote
        self.out = Outbox(self.quote)
        self.transcript = Transcript(history)
        self.complaints = Complaints()
        self.queue = ResponseQueue()
        self.line = Line(settings, new_id, self.out, self.told)
        self.ear = Ear(self.out)
        self.door = Door(self.out)
        self.turn = Turn(self.out, self.queue, self.transcript, self.ear)
        self.voice = Voice(epoch, self.out, self.transcript, self.complaints)
        self.calls = Calls(self.out, self.queue, new_id)
        self.quiet = Quiet()
        self.last_error: str | None = None
        self.exhausted: str = settings.get("exhausted") or ""  # why no session may be opened, or nothing
        self.capped = False  # asleep because it is exhausted, not because nobody spoke
        self.configured()

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the session of now."""
        return self.line.settings

    @property
    def phase(self) -> Phase:
        return self.line.hello.phase

    @property
    def where(self) -> str:
        return public(self.settings.get("url") or "")

    @property
    def woken(self) -> bool:
        """A session that slept is being opened again."""
        return self.phase in (Phase.CONNECTING, Phase.GREETING) and self.line.woken

    def told(self, session: Mapping[str, Any]) -> dict[str, Any]:
        """Of a session object of the server's what we go by, with words that may be shown."""
        known = {key: session[key] for key in ("id", "model", "expires_at") if key in session}
        return {key: self.quote(value) if isinstance(value, str) else value for key, value in known.items()}

    def configured(self) -> None:
        """The settings of the session of now are known to everybody whom they concern."""
        self.hide_secrets(self.settings)
        self.turn.configure(self.settings)
        self.door.configure(self.settings.get("wake_word") or "", int(self.settings.get("listen_s") or 0))
        self.calls.configure(self.settings)

    def hide_secrets(self, settings: Mapping[str, Any]) -> None:
        """What these settings hold of secrets is not shown, whoever repeats it."""
        self.quote.hide(settings.get("token"))
        for tool in settings.get("mcp") or ():
            self.quote.hide(tool.get("authorization"))
        for secret in settings.get("secrets") or ():
            self.quote.hide(secret)

    # the session's life --------------------------------------------------------------------------------------------------

    def close(self, phase: Phase, reason: str, now: MonoNs) -> None:
        if self.phase is not phase:
            self.line.closed(phase)
            self.configured()
        self.last_error = reason
        self.leave(now, asleep=phase is Phase.ASLEEP)
        if phase in (Phase.FAILED, Phase.ASLEEP) and self.queue.clear():
            self.out.error("connection_lost", "what was asked of the assistant got lost with the connection; ask again")

    def leave(self, now: MonoNs, *, asleep: bool) -> None:
        """The session of now is over for everything that was under way in it."""
        self.queue.closed()
        if self.voice.answering:
            self.turn.answered()  # what came of it plays on
        self.turn.session_closed(now, asleep=asleep)
        self.calls.session_closed(now, asleep=asleep)
        self.voice.session_closed(now)
        for said in self.transcript.give_up_words(self.turn.owed_items):
            self.said(said)

    def fail(self, error: VoicedError, now: MonoNs) -> None:
        if self.phase is Phase.FAILED:
            return
        error = type(error)(self.quote(error.message, MESSAGE))
        self.close(Phase.FAILED, error.message, now)
        self.out.publish("session", connected=False, reason=error.message, attempt=0, retry_in_s=None)
        self.out.add(Fail(error))  # the supervisor makes an error event of it

    def sleep(self, reason: str, now: MonoNs, *, capped: bool = False) -> None:
        self.capped = capped
        self.line.sleep(reason)
        self.shut_the_door()
        self.configured()
        self.close(Phase.ASLEEP, reason, now)
        self.out.publish("session", connected=False, reason=reason, attempt=0, retry_in_s=None)
        self.out.log(logging.INFO, f"asleep: {reason}")

    def take_over(self, now: MonoNs) -> None:
        self.leave(now, asleep=False)
        early = self.line.take_over()
        self.configured()
        self.opened(now, "moved to a new session")
        for event in early:
            self.heard_of_mcp(event, now)

    def heard_of_mcp(self, event: events.ServerEvent, now: MonoNs) -> None:
        """What the server tells of its MCP servers, in items and failures."""
        match event:
            case events.ItemAdded(item=item) | events.ItemDone(item=item):
                self.calls.item_seen(item, now)
            case events.McpListToolsFailed(item_id=item_id):
                self.calls.list_failed(item_id, now)

    def opened(self, now: MonoNs, reason: str | None = None) -> None:
        """A session is open: it is told the conversation so far, and what the last one did not answer."""
        self.last_error = None
        hello = self.line.hello
        self.out.add(Opened({"id": hello.session_id, "model": hello.model}))
        self.out.publish("session", connected=True, reason=reason, attempt=0, retry_in_s=None)
        if reason is None:
            self.quiet.since_ns = None  # nobody was idle who waited for the session
        if self.queue.drop_older(now - OWED_AT_MOST_NS):
            self.out.error("connection_lost", "there was no session for too long; what was asked is not sent any more; ask again")
        self.transcript.new_generation()
        self.tell_history()
        self.turn.session_opened(now, self.new_id(), answering=self.calls.thinking)
        self.calls.session_opened(now)

    def tell_history(self) -> None:
        for item in self.transcript.untold(self.settings.get("context_chars", 16_000)):
            self.out.send(events.ItemCreate(item=item))

    def wake(self) -> None:
        """A session is wanted now. Who is speaking already is told to it."""
        self.line.wake()
        self.turn.session_wanted()

    def shut_the_door(self) -> None:
        """Nobody listens until the wake word."""
        self.door.close()
        if self.door.shut:
            self.ear.deafened()

    # what concerns several parts -----------------------------------------------------------------------------------------

    def stop_answer(self, reason: str, received: int, now: MonoNs) -> tuple[Interruption | None, bool]:
        """The user takes the floor. Returns the interruption, if there was something to interrupt, and whether an answer was
        asked for that had not begun."""
        under_way = self.queue.interrupt(now)
        self.calls.interrupted(now)
        return self.voice.interrupt(reason, received, now) or self.voice.pending_interruption(), under_way

    def make_way(self, now: MonoNs) -> None:
        """The user speaks: the server answers what is said now, and nothing from before."""
        self.calls.interrupted(now)
        self.queue.drop_answers()
        self.queue.unwanted()

    def said(self, said: Said | None) -> None:
        if said is not None:
            self.out.publish(f"transcript.{said.role}", item_id=said.item_id, text=said.text, final=said.final)

    def spent(self, kind: str, model: str, usage: Mapping[str, Any] | None) -> None:
        if usage:
            self.out.publish("spent", kind=kind, model=model, usage=sane(dict(usage)))

    def look_how_quiet(self, now: MonoNs) -> None:
        # A guess of the ear's does not count: a television must not keep a session open that the server hears nothing in.
        going_on = self.turn.hearing or self.voice.generating or self.calls.pending
        busy = going_on or self.turn.busy or self.queue.busy or self.voice.audible or not self.voice.free
        self.quiet.speaking = going_on or self.ear.hearing
        if busy:
            self.quiet.since_ns = None
        elif self.quiet.since_ns is None:
            self.quiet.since_ns = now

    @property
    def state(self) -> str:
        match self.phase:
            case Phase.FAILED:
                return "failed"
            case Phase.ASLEEP:
                return "asleep"
            case Phase.OFFLINE:
                return "offline"
            case Phase.CONNECTING | Phase.GREETING:
                return "connecting"
        if self.voice.sounding:
            return "speaking"
        if self.turn.hearing or self.ear.hearing:
            return "hearing"
        busy = self.voice.generating or self.voice.audible or self.calls.thinking or self.turn.thinking_until_ns is not None
        if busy:
            return "thinking"
        return "asleep" if self.door.shut else self.turn.waiting_state
