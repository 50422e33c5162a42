"""What the server complains of, and what follows: the end, another try, a setting less, a line for people, or nothing. Pure."""

import logging
from collections.abc import Mapping
from typing import Any

from voiced.errors import VoicedError
from voiced.messages import MonoNs
from voiced.network import events, responses
from voiced.network.conversation import Conversation
from voiced.network.link import reconnect
from voiced.network.outputs import Disconnect, DropNext
from voiced.network.quote import MESSAGE
from voiced.shown import public

#: Errors of everyday races (realtime-protocol 1.8, 4.2): both sides acted at once, and nothing is wrong.
_RACES = frozenset(
    {
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
        "item_not_found",
        "item_truncate_invalid_item_id",
        "item_delete_invalid_item_id",
        "unsupported_content_type",
    }
)
_ACTIVE_RESPONSE = "conversation_already_has_active_response"
_EXPIRED = "session_expired"


class Faults:
    def __init__(self, conversation: Conversation) -> None:
        self._talk = conversation

    def told(self, event: events.ErrorEvent, now: MonoNs) -> None:
        error = event.error
        code = error.code or error.type or "error"
        fatal = self._verdict(code, error.message, self._talk.settings)
        if fatal is not None:
            self._talk.fail(fatal, now)
        elif code == _EXPIRED or reconnect.expired(0, error.message):
            self._talk.out.add(Disconnect("the session reached the server's time limit", reconnect.GOING_AWAY))
        elif code in _RACES:
            ours = self._talk.queue.refused(error.event_id, now, again=True) if code == _ACTIVE_RESPONSE else False
            if code == _ACTIVE_RESPONSE and not ours and error.event_id is None:
                self._answer_refused()
            self._talk.out.log(logging.DEBUG, f"the server says {code}" + ("; asking again" if ours else ""))
        else:
            self._refused(error, code, now)

    def _answer_refused(self) -> None:
        """The server's own answer to what was said got in the way of one that is interrupted: it makes no other by itself."""
        if self._talk.turn.unanswered and not self._talk.voice.generating:
            self._talk.queue.add(responses.answer(self._talk.new_id()))

    def _verdict(self, code: str, message: str, settings: Mapping[str, Any]) -> VoicedError | None:
        """The error that trying again can't mend, where it is one."""
        return reconnect.from_code(public(settings.get("url") or ""), settings.get("model") or "", code, self._talk.quote(message))

    def _refused(self, error: events.ErrorDetail, code: str, now: MonoNs) -> None:
        about_settings, opened = self._talk.line.refused(error)
        if opened:
            self._talk.opened(now)
        if about_settings:
            return
        if error.event_id is not None:
            self._talk.queue.refused(error.event_id, now, again=False)
        self._talk.out.server_error(code, self._talk.quote(error.message) or code, now)

    def of_next(self, event: events.ErrorEvent, now: MonoNs) -> bool:
        """An error on the connection that is to take over; true where that is given up for it."""
        talk = self._talk
        fatal = self._verdict(event.error.code or "", event.error.message, talk.line.next_settings)
        if fatal is not None:
            talk.line.next_lost(talk.quote(fatal.message, MESSAGE), now, fatal=True)
            talk.out.add(DropNext())
        return fatal is not None

    def answer_failed(self, response: events.Response, now: MonoNs, *, aside: bool) -> None:
        details = response.status_details or events.StatusDetails()
        error = details.error or events.ErrorDetail()
        fatal = self._verdict(error.code, error.message, self._talk.settings) if error.code else None
        if fatal is not None:
            self._talk.fail(fatal, now)
        elif self._talk.settings.get("report_aloud") and not aside:  # or a failure to say so would be said, for ever
            why = self._talk.quote(error.message or details.reason or "the server gives no reason")
            self._talk.queue.add(responses.say(f"My answer failed: {why}", self._talk.new_id(), now))
