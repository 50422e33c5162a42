"""The conversation as a state machine without I/O: (server event | order | report of playback | microphone | time) -> outputs.

Every server event has a sequence number, given in the order of receipt. An event may be looked at long after it was
received (a burst is decoded a piece at a time), so a speech_started is handed over ahead of its turn, by `overtake`; the
events before it are then void as far as they would make sound: an interruption keeps the number of the newest such event
as its *horizon*, and is settled when all of them were seen and playback has said what was heard.
"""

import logging
from collections.abc import Callable
from typing import Any

from voiced.errors import NotNow, ProtocolViolated, VoicedError
from voiced.messages import Epoch, Flush, Flushed, Message, MonoNs, Order, PlayFinished, PlayStarted, ReplyAudio, ReplyEnd
from voiced.network import configure, events, reconnect, responses
from voiced.network.bargein import BargeIn, Interruption, Remedy, remedy
from voiced.network.complaints import Complaints, sane
from voiced.network.hello import Hello, Phase
from voiced.network.outputs import (
    Answered,
    Broadcast,
    Disconnect,
    Fail,
    LogLine,
    Opened,
    Output,
    Play,
    PlayEnd,
    PublishEvent,
    Refused,
    SendEvent,
)
from voiced.network.replies import Replies, Reply, SpokenItem
from voiced.network.responses import ResponseQueue
from voiced.network.transcript import ASSISTANT, USER, Said, Transcript

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
#: After the user's last word the server answers within a second or two; later, nobody is thinking any more.
_THINKING_AT_MOST_NS = 10_000_000_000
#: A response of which nothing was heard for this long is over, whatever the server forgot to say.
_SILENT_RESPONSE_NS = 60_000_000_000
#: How much later than it should playback may report before its sound counts as lost.
_PLAYBACK_SLACK_NS = 5_000_000_000
_NS_PER_MS = 1_000_000
_MOST_CONTENT_PARTS = 1000
_SPEECH_STARTED = "speech_started"


class Session:
    """One conversation, over however many connections. Not for threads.

    Every public method returns the outputs in the order in which they are to be carried out.
    """

    def __init__(self, settings: dict[str, Any], epoch: Epoch, new_id: Callable[[], str]) -> None:
        self.epoch = epoch
        self.hello = Hello()
        self.transcript = Transcript()
        self.complaints = Complaints()
        self.last_error: str | None = None
        self._settings = settings
        self._new_id = new_id
        self._where = configure.public(settings.get("url") or "")
        self._replies = Replies()
        self._bargein = BargeIn(self._replies)
        self._queue = ResponseQueue()
        self._out: list[Output] = []
        self._handled = 0  # the newest server event that was looked at in its turn
        self._overtaken = 0  # the newest speech_started that was looked at before its turn
        self._speech_item: str | None = None
        self._hearing = False
        self._thinking_until_ns: int | None = None
        self._sounding = False
        self._playback_ns = 0  # when playback last said something, or was last given something to begin with
        self._cancel_created = False
        self._update_id = ""
        self._state = ""

    # the connection ------------------------------------------------------------------------------------------------------

    def begin(self, now: MonoNs) -> list[Output]:
        """The first outputs: the state."""
        return self._after(now)

    def connected(self, now: MonoNs) -> list[Output]:
        """The WebSocket is open: our settings go out at once, ahead of everything else."""
        self.hello.connected(now)
        self._update_id = self._new_id()
        self._out.append(SendEvent(configure.session_update(self._settings, self._update_id)))
        return self._after(now)

    def lost(self, reason: str, attempt: int, retry_in_s: float, now: MonoNs) -> list[Output]:
        """The connection broke or could not be made; another attempt follows."""
        self._close(Phase.OFFLINE, reason)
        self._publish("session", connected=False, reason=reason, attempt=attempt, retry_in_s=round(retry_in_s, 3))
        return self._after(now)

    def failed(self, error: VoicedError, now: MonoNs) -> list[Output]:
        """The server refused for good."""
        self._fail(error)
        return self._after(now)

    def _close(self, phase: Phase, reason: str) -> None:
        self.hello.closed(phase)
        self.last_error = reason
        self._hearing = False
        self._speech_item = None
        self._thinking_until_ns = None
        self._cancel_created = False
        if self._queue.clear():
            self._error("connection_lost", "what was asked of the assistant got lost with the connection; ask again")
        # What was received plays on; the conversation that it belongs to is gone, so nothing of it is truncated any more.
        for reply in self._replies:
            reply.done = True
            self._end_parts(reply)
            for item in reply.items.values():
                item.settled = True
        self._replies.forget_finished()

    def _fail(self, error: VoicedError) -> None:
        if self.hello.phase is Phase.FAILED:
            return
        self._close(Phase.FAILED, error.message)
        self._publish("session", connected=False, reason=error.message, attempt=0, retry_in_s=None)
        self._publish("error", code=error.code, message=error.message, fatal=True)
        self._out.append(Fail(error))

    def _opened(self) -> None:
        self.last_error = None
        self._out.append(Opened({"id": self.hello.session_id, "model": self.hello.model}))
        self._publish("session", connected=True, reason=None, attempt=0, retry_in_s=None)

    # server events -------------------------------------------------------------------------------------------------------

    def feed(self, text: bytes, seq: int, now: MonoNs) -> list[Output]:
        """One message of the server, in its turn."""
        try:
            event = events.decode_server(text)
        except events.WireMalformed as error:
            self._nonsense(error.code + (f" {error.param}" if error.param else ""), error.message)
        else:
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event, seq, now)
        self._handled = seq
        return self._after(now)

    def overtake(self, text: bytes, seq: int, now: MonoNs) -> list[Output]:
        """A message that looks like speech_started, as soon as it was received. It is fed again when its turn comes,
        and then does nothing."""
        try:
            event = events.decode_server(text)
        except events.WireMalformed:
            return []  # told when its turn comes
        if not isinstance(event, events.SpeechStarted):
            return []
        self._on_speech_started(event, seq, now)
        self._overtaken = seq
        return self._after(now)

    def _on_session_created(self, event: events.SessionCreated, seq: int, now: MonoNs) -> None:
        self.hello.created(event.session, now)

    def _on_session_updated(self, event: events.SessionUpdated, seq: int, now: MonoNs) -> None:
        if self.hello.answered(event.session):
            self._opened()

    def _on_error(self, event: events.ErrorEvent, seq: int, now: MonoNs) -> None:
        error = event.error
        code = error.code or error.type or "error"
        fatal = reconnect.from_code(self._where, self._settings.get("model") or "", code, error.message)
        ours = self._queue.refused(error.event_id, now, again=True) if code == _ACTIVE_RESPONSE else False
        if fatal is not None:
            self._fail(fatal)
        elif code == _EXPIRED:
            self._out.append(Disconnect("the session reached the server's time limit"))
        elif code in _RACES:
            self._log(logging.DEBUG, f"the server says {code}" + ("; asking again" if ours else ""))
        else:
            self._refused(error, code, now)

    def _refused(self, error: events.ErrorDetail, code: str, now: MonoNs) -> None:
        if error.event_id is not None:
            self._queue.refused(error.event_id, now, again=False)
        message = error.message or code
        if self.hello.phase is Phase.GREETING and error.event_id in (None, self._update_id):
            message = f"the server refused our settings ({message}); check the [realtime] section of the configuration"
            if self.hello.refused():
                self._opened()
        self._error(code, message)

    def _on_speech_started(self, event: events.SpeechStarted, seq: int, now: MonoNs) -> None:
        if seq <= self._overtaken or (self._hearing and event.item_id == self._speech_item):
            return
        self._interrupt(_SPEECH_STARTED, seq - 1, now)
        self._speech_item = event.item_id
        self._hearing = True
        self._thinking_until_ns = None
        self.transcript.announce(USER, event.item_id)
        self._publish("speech.started", item_id=event.item_id, audio_ms=sane(event.audio_start_ms), source="server")

    def _on_speech_stopped(self, event: events.SpeechStopped, seq: int, now: MonoNs) -> None:
        if seq <= self._overtaken:
            return  # it ended a speech before the one that we know of already
        self._hearing = False
        self._thinking_until_ns = now + _THINKING_AT_MOST_NS
        self._publish("speech.stopped", item_id=event.item_id, audio_ms=sane(event.audio_end_ms), source="server")

    def _on_committed(self, event: events.InputAudioCommitted, seq: int, now: MonoNs) -> None:
        self.transcript.announce(USER, event.item_id)

    def _on_user_delta(self, event: events.TranscriptionDelta, seq: int, now: MonoNs) -> None:
        self.transcript.add(USER, event.item_id, event.delta, now)

    def _on_user_transcript(self, event: events.TranscriptionCompleted, seq: int, now: MonoNs) -> None:
        self._said(self.transcript.finish(USER, event.item_id, event.transcript))

    def _on_transcription_failed(self, event: events.TranscriptionFailed, seq: int, now: MonoNs) -> None:
        why = event.error.message or "no reason given"
        self._error(event.error.code or "transcription_failed", f"your words could not be written down: {why}")

    # replies -------------------------------------------------------------------------------------------------------------

    def _on_response_created(self, event: events.ResponseCreated, seq: int, now: MonoNs) -> None:
        response = event.response
        self._queue.created()
        if self._replies.is_over(response.id):
            return
        reply = self._replies.open(response.id, now)
        reply.out_of_band = (response.metadata or {}).get(responses.PURPOSE) == responses.SAY
        self._thinking_until_ns = None
        interruption = self._bargein.latest
        void = seq <= self._bargein.horizon
        if void or self._cancel_created:
            reply.interrupted = True
            if self._cancel_created or reply.out_of_band or (interruption is not None and interruption.reason != _SPEECH_STARTED):
                self._out.append(SendEvent(events.ResponseCancel(response_id=response.id)))
        self._cancel_created = False
        self._publish("response.started", response_id=response.id)

    def _on_response_done(self, event: events.ResponseDone, seq: int, now: MonoNs) -> None:
        response = event.response
        reply = self._replies.get(response.id)
        if reply is not None:
            reply.done = True
            self._end_parts(reply)
            self._close_reply(reply)
        details = response.status_details or events.StatusDetails()
        self._publish("response.done", response_id=response.id, status=response.status, reason=details.reason, usage=sane(response.usage))
        if response.status == "failed":
            error = details.error or events.ErrorDetail()
            self._error(error.code or "response_failed", f"the answer failed: {error.message or error.code or 'no reason given'}")
        elif response.status == "incomplete":
            self._error("response_incomplete", f"the answer was cut short: {details.reason or 'no reason given'}")

    def _on_item_announced(self, event: events.OutputItemAdded | events.OutputItemDone, seq: int, now: MonoNs) -> None:
        item = event.item
        if item.type != "message" or not item.id or self._replies.is_void(event.response_id, item.id):
            return
        self._spoken(event.response_id, item.id, seq, now)
        self.transcript.announce(ASSISTANT, item.id)

    def _on_audio(self, event: events.OutputAudioDelta, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is None:
            return
        reply, item = found
        part = item.part(event.content_index)
        pcm = part.whole_samples(event.delta)
        if reply.interrupted or not pcm:
            return
        if not self._replies.audible:
            self._playback_ns = now
        part.forwarded += len(pcm)
        self._out.append(Play(ReplyAudio(self.epoch, item.item_id, part.content_index), pcm))

    def _on_audio_done(self, event: events.OutputAudioDone, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None:
            reply, item = found
            self._end_part(reply, item, event.content_index)

    def _on_words(self, event: events.OutputTranscriptDelta, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None and not found[0].interrupted:
            self.transcript.add(ASSISTANT, event.item_id, event.delta, now)

    def _on_words_done(self, event: events.OutputTranscriptDone, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None and not found[0].interrupted:
            self._said(self.transcript.finish(ASSISTANT, event.item_id, event.transcript))

    def _on_text(self, event: events.OutputTextDelta, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None and not found[0].interrupted:
            found[1].has_text = True
            self.transcript.add(ASSISTANT, event.item_id, event.delta, now)

    def _on_text_done(self, event: events.OutputTextDone, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None and not found[0].interrupted:
            self._said(self.transcript.finish(ASSISTANT, event.item_id, event.text))

    def _part_of(self, event: Any, seq: int, now: MonoNs) -> tuple[Reply, SpokenItem] | None:
        """The reply and item that an event about a content part belongs to; None where that is over, or makes no sense."""
        if not 0 <= event.content_index < _MOST_CONTENT_PARTS:
            self._nonsense("content_index", f"content_index {event.content_index} of {type(event).__name__}"[:200])
            return None
        if self._replies.is_void(event.response_id, event.item_id):
            return None
        return self._spoken(event.response_id, event.item_id, seq, now)

    def _spoken(self, response_id: str, item_id: str, seq: int, now: MonoNs) -> tuple[Reply, SpokenItem]:
        known = self._replies.find(item_id)
        if known is not None:
            known[0].last_event_ns = now
            return known
        fresh = self._replies.get(response_id) is None
        reply = self._replies.open(response_id, now)
        if fresh and seq <= self._bargein.horizon:
            reply.interrupted = True
        item = self._replies.item(reply, item_id)
        if reply.interrupted and (latest := self._bargein.latest) is not None:
            latest.items.append(item)
        return reply, item

    def _end_parts(self, reply: Reply) -> None:
        for item in reply.items.values():
            for content_index in list(item.parts):
                self._end_part(reply, item, content_index)

    def _end_part(self, reply: Reply, item: SpokenItem, content_index: int) -> None:
        part = item.part(content_index)
        if not part.ended:
            part.ended = True
            if part.forwarded and not reply.interrupted:
                self._out.append(PlayEnd(ReplyEnd(self.epoch, item.item_id, content_index)))

    def _close_reply(self, reply: Reply) -> None:
        """Of an interrupted reply that is over, items that showed up after its interruption was settled were not heard."""
        if not (reply.done and reply.interrupted) or self._bargein.pending:
            return
        for item in reply.items.values():
            if not item.settled:
                item.settled = True
                self._apply(remedy(item, {}))
        self._replies.forget(reply)

    # interruption --------------------------------------------------------------------------------------------------------

    def _interrupt(self, reason: str, horizon: int, now: MonoNs) -> Interruption | None:
        """Voids all that was received up to `horizon`. None where there was nothing to interrupt."""
        live = [reply for reply in self._replies if not reply.interrupted]
        if not live and horizon <= max(self._handled, self._bargein.horizon):
            return None
        audible = self._replies.audible
        if audible:
            self.epoch = Epoch(self.epoch + 1)
            self._out.append(Broadcast(Flush(self.epoch, reason, now)))
        interruption = Interruption(self.epoch if audible else None, reason, horizon, now)
        for reply in live:
            if not reply.done and (reason != _SPEECH_STARTED or reply.out_of_band):
                # On speech_started the server cancels by itself, but only what is in the conversation.
                self._out.append(SendEvent(events.ResponseCancel(response_id=reply.response_id)))
                interruption.cancelled = True
        self._bargein.begin(interruption)
        self._sounding = False
        return interruption

    def _settle(self, now: MonoNs) -> None:
        for interruption, remedies in self._bargein.take_settled(self._handled):
            for each in remedies:
                self._apply(each)
            self._report(interruption)
            for reply in self._replies:
                self._close_reply(reply)

    def _apply(self, each: Remedy) -> None:
        if self.hello.ready:
            self._out.extend(SendEvent(event) for event in each.events)
        if not each.whole:
            self._said(self.transcript.interrupt(each.item_id, each.played_ms))

    def _report(self, interruption: Interruption) -> None:
        item_id, played_ms = interruption.sounded
        flushed = interruption.flushed
        if interruption.epoch is not None and (flushed is None or flushed.was_playing or flushed.heard):
            self._publish(
                "flush",
                epoch=interruption.epoch,
                reason=interruption.reason,
                item_id=item_id,
                played_ms=played_ms,
                dropped_ms=None if flushed is None else flushed.dropped_ms,
                latency_ms=None if flushed is None else flushed.latency_us / 1000,
            )
        interrupted = interruption.cancelled or interruption.epoch is not None
        for order in interruption.orders:
            self._out.append(Answered(order, {"interrupted": interrupted, "item_id": item_id, "played_ms": played_ms}))

    # playback ------------------------------------------------------------------------------------------------------------

    def heard(self, message: Message, now: MonoNs) -> list[Output]:
        """A report of playback."""
        self._playback_ns = now
        if isinstance(message, Flushed):
            self._bargein.answered(message)
        elif isinstance(message, PlayStarted | PlayFinished):
            self._played(message, now)
        return self._after(now)

    def playback_gone(self, now: MonoNs) -> list[Output]:
        """The playback process is gone, and with it what it had not played; it will never say what was heard."""
        if self._replies.audible:
            self._give_up_reply("the playback process went away in the middle of a reply; the rest of it is given up", now)
        return self._after(now)

    def _give_up_reply(self, message: str, now: MonoNs) -> None:
        self._error("playback_lost", message)
        self._interrupt("playback_lost", self._handled, now)
        self._bargein.give_up(None)

    def _played(self, message: PlayStarted | PlayFinished, now: MonoNs) -> None:
        found = self._replies.find(message.item_id)
        part = found[1].parts.get(message.content_index) if found else None
        if found is None or part is None:
            return
        reply, item = found
        if isinstance(message, PlayStarted):
            part.started_ns = now if part.started_ns is None else part.started_ns
            self._sounding = self._sounding or not reply.interrupted
            return
        part.finished = True
        if not reply.interrupted:
            self.transcript.played(item.item_id, part.forwarded_ms)
        self._replies.forget_finished()

    # orders --------------------------------------------------------------------------------------------------------------

    def order(self, order: Order, received: int, now: MonoNs) -> list[Output]:
        """A control command; `received` is the number of the newest server event that was received by now."""
        if order.command == "interrupt":
            self._order_interrupt(order, received, now)
        elif order.command == "transcript":
            self._out.append(Answered(order, {"turns": self.transcript.last(order.args["limit"])}))
        elif order.command in ("ask", "say"):
            self._order_words(order, received, now)
        else:
            self._out.append(Refused(order, NotNow(f"the network process does not know the command {order.command!r}")))
        return self._after(now)

    def _order_interrupt(self, order: Order, received: int, now: MonoNs) -> None:
        self._cancel_created = self._queue.under_way
        self._queue.drop_waiting()
        interruption = self._interrupt("interrupt", received, now) or self._bargein.latest
        if interruption is None:
            self._out.append(Answered(order, {"interrupted": self._cancel_created, "item_id": None, "played_ms": 0}))
        else:
            interruption.orders.append(order)

    def _order_words(self, order: Order, received: int, now: MonoNs) -> None:
        if not self.hello.ready:
            reason = f" ({self.last_error})" if self.last_error else ""
            message = f"there is no session with the server{reason}; `voicectl status` shows when there is one"
            self._out.append(Refused(order, NotNow(message)))
            return
        text = order.args["text"]
        if order.command == "say":
            self._queue.add(responses.say(text, self._new_id()))
            self._out.append(Answered(order, {"queued": True}))
            return
        # A question in writing is a turn of the user's: it interrupts as a spoken one would.
        self._interrupt("ask", received, now)
        item_id = self._new_id()
        self._queue.add(responses.ask(text, item_id, self._new_id()))
        self._said(self.transcript.finish(USER, item_id, text))
        self._out.append(Answered(order, {"item_id": item_id}))

    # microphone and time -------------------------------------------------------------------------------------------------

    def microphone(self, pcm: bytes) -> list[Output]:
        """One frame of the microphone; dropped while there is no session."""
        return [SendEvent(events.InputAudioAppend(audio=pcm))] if self.hello.ready else []

    @property
    def wake_ns(self) -> int | None:
        """When `tick` wants to be called, at the latest."""
        times = (
            self.hello.wake_ns,
            self._bargein.wake_ns,
            self.transcript.wake_ns,
            self._queue.wake_ns if self._free else None,
            self._thinking_until_ns,
            self._playback_deadline_ns,
            self._silent_response_ns,
        )
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: MonoNs) -> list[Output]:
        """Does what is due."""
        if self.hello.overdue(now):
            self._hello_overdue()
        for _ in range(self._bargein.give_up(now)):
            self._log(logging.WARNING, "playback did not say what was heard of a flushed reply; taken from when it began")
        if self._thinking_until_ns is not None and now >= self._thinking_until_ns:
            self._thinking_until_ns = None
        for said in self.transcript.due(now):
            self._said(said)
        deadline = self._playback_deadline_ns
        if deadline is not None and now >= deadline:
            self._give_up_reply("the playback process lost a reply or hangs; the reply is given up", now)
        for reply in self._replies.generating:
            if now - reply.last_event_ns >= _SILENT_RESPONSE_NS:
                reply.done = True
                self._end_parts(reply)
                self._close_reply(reply)
        return self._after(now)

    def _hello_overdue(self) -> None:
        if self.hello.refused():
            self._log(logging.INFO, "the server did not answer session.update")
            self._opened()
        else:
            self.hello.closed(Phase.OFFLINE)
            self._out.append(Disconnect("the server accepted the connection but opened no session within 10 s"))

    @property
    def _playback_deadline_ns(self) -> int | None:
        part = self._replies.waiting_part()
        return None if part is None else self._playback_ns + part.forwarded_ms * _NS_PER_MS + _PLAYBACK_SLACK_NS

    @property
    def _silent_response_ns(self) -> int | None:
        return min((reply.last_event_ns + _SILENT_RESPONSE_NS for reply in self._replies.generating), default=None)

    @property
    def _free(self) -> bool:
        return self.hello.ready and not self._replies.generating and not self._bargein.pending

    # the end of every step -----------------------------------------------------------------------------------------------

    def _after(self, now: MonoNs) -> list[Output]:
        if self._bargein.pending:
            self._settle(now)
        self._replies.forget_finished()
        wanted = self._queue.next(now, free=self._free)
        if wanted is not None:
            self._out.extend(SendEvent(event) for event in wanted.events)
            self._thinking_until_ns = now + _THINKING_AT_MOST_NS
        state = self._now_state()
        if state != self._state:
            self._state = state
            self._publish("state", state=state)
        outputs, self._out = self._out, []
        return outputs

    def _now_state(self) -> str:
        phase = self.hello.phase
        if phase is Phase.FAILED:
            return "failed"
        audible = self._replies.audible
        self._sounding = self._sounding and audible
        if phase is not Phase.READY:
            return "offline" if phase is Phase.OFFLINE else "connecting"
        if self._sounding:
            return "speaking"
        if self._hearing:
            return "hearing"
        live = any(not reply.interrupted for reply in self._replies.generating)
        return "thinking" if live or audible or self._thinking_until_ns is not None else "listening"

    def _said(self, said: Said | None) -> None:
        if said is not None:
            self._publish(f"transcript.{said.role}", item_id=said.item_id, text=said.text, final=said.final)

    def _error(self, code: str, message: str) -> None:
        self._publish("error", code=code, message=message, fatal=False)
        self._log(logging.WARNING, message)

    def _nonsense(self, kind: str, message: str) -> None:
        if self.complaints.add(kind):
            self._error(ProtocolViolated.code, f"the server sent what makes no sense, and it is ignored: {message}"[:400])

    def _publish(self, topic: str, **data: Any) -> None:
        self._out.append(PublishEvent(topic, data))

    def _log(self, level: int, text: str) -> None:
        self._out.append(LogLine(level, text))


_HANDLERS: dict[type, Callable[[Session, Any, int, MonoNs], None]] = {
    events.SessionCreated: Session._on_session_created,
    events.SessionUpdated: Session._on_session_updated,
    events.ErrorEvent: Session._on_error,
    events.SpeechStarted: Session._on_speech_started,
    events.SpeechStopped: Session._on_speech_stopped,
    events.InputAudioCommitted: Session._on_committed,
    events.TranscriptionDelta: Session._on_user_delta,
    events.TranscriptionCompleted: Session._on_user_transcript,
    events.TranscriptionFailed: Session._on_transcription_failed,
    events.ResponseCreated: Session._on_response_created,
    events.ResponseDone: Session._on_response_done,
    events.OutputItemAdded: Session._on_item_announced,
    events.OutputItemDone: Session._on_item_announced,
    events.OutputAudioDelta: Session._on_audio,
    events.OutputAudioDone: Session._on_audio_done,
    events.OutputTranscriptDelta: Session._on_words,
    events.OutputTranscriptDone: Session._on_words_done,
    events.OutputTextDelta: Session._on_text,
    events.OutputTextDone: Session._on_text_done,
}
