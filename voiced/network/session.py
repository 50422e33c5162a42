"""The conversation as a state machine without I/O: (server event | order | report of playback | microphone | time) -> outputs.

Every server event has a sequence number, given in the order of receipt. An event may be looked at long after it was
received (a burst is decoded a piece at a time), so a speech_started is handed over ahead of its turn, by `overtake`; the
events before it are then void as far as they would make sound: an interruption keeps the number of the newest such event
as its *horizon*, and is settled when all of them were seen and playback has said what was heard.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from voiced.errors import NotNow, VoicedError
from voiced.messages import Epoch, Message, MonoNs, Order
from voiced.network import configure, events, reconnect, responses
from voiced.network.complaints import Complaints, sane
from voiced.network.hello import Hello, Phase
from voiced.network.outputs import Answered, Disconnect, Fail, Opened, Outbox, Output, Refused, SendEvent
from voiced.network.quote import MESSAGE, Quote
from voiced.network.responses import ResponseQueue
from voiced.network.transcript import USER, Said, Transcript
from voiced.network.voice import SPEECH_STARTED, Voice
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
#: After the user's last word the server answers within a second or two; later, nobody is thinking any more.
_THINKING_AT_MOST_NS = 10_000_000_000


class Session:
    """One conversation, over however many connections. Not for threads.

    Every public method returns the outputs in the order in which they are to be carried out; `overtake` hands them out
    one by one, and is to be run to its end at once.
    """

    def __init__(self, settings: dict[str, Any], epoch: Epoch, new_id: Callable[[], str]) -> None:
        self.hello = Hello()
        self.transcript = Transcript()
        self.complaints = Complaints()
        self.last_error: str | None = None
        self._settings = settings
        self._new_id = new_id
        self._where = public(settings.get("url") or "")
        self._quote = Quote(settings.get("token"))
        self._out = Outbox(self._quote)
        self._voice = voice = Voice(epoch, self._out, self.transcript, self.complaints)
        self._queue = ResponseQueue()
        self._overtaken = 0  # the newest speech_started that was looked at before its turn
        self._speech_item: str | None = None
        self._hearing = False
        self._thinking_until_ns: int | None = None
        self._update_id = ""
        self._state = ""
        self._handlers: dict[type, Callable[[Any, int, MonoNs], None]] = {
            events.SessionCreated: self._on_session_created,
            events.SessionUpdated: self._on_session_updated,
            events.ErrorEvent: self._on_error,
            events.SpeechStarted: self._on_speech_started,
            events.SpeechStopped: self._on_speech_stopped,
            events.InputAudioCommitted: self._on_committed,
            events.TranscriptionDelta: self._on_user_delta,
            events.TranscriptionCompleted: self._on_user_transcript,
            events.TranscriptionFailed: self._on_transcription_failed,
            events.ResponseCreated: self._on_response_created,
            events.ResponseDone: voice.on_response_done,
            events.OutputItemAdded: voice.on_item_announced,
            events.OutputItemDone: voice.on_item_announced,
            events.OutputAudioDelta: voice.on_audio,
            events.OutputAudioDone: voice.on_audio_done,
            events.OutputTranscriptDelta: voice.on_words,
            events.OutputTranscriptDone: voice.on_words_done,
            events.OutputTextDelta: voice.on_text,
            events.OutputTextDone: voice.on_text_done,
        }

    @property
    def epoch(self) -> Epoch:
        return self._voice.epoch

    # the connection ------------------------------------------------------------------------------------------------------

    def begin(self, now: MonoNs) -> list[Output]:
        """The first outputs: the state."""
        return self._after(now)

    def connected(self, now: MonoNs) -> list[Output]:
        """The WebSocket is open: our settings go out at once, ahead of everything else."""
        self.hello.connected(now)
        self._update_id = self._new_id()
        self._out.send(configure.session_update(self._settings, self._update_id))
        return self._after(now)

    def lost(self, reason: str, attempt: int, retry_in_s: float, now: MonoNs) -> list[Output]:
        """The connection broke or could not be made; another attempt follows."""
        reason = self._quote(reason, MESSAGE)
        self._out.log(logging.WARNING, f"{reason}; trying again in {retry_in_s:.1f} s")
        self._close(Phase.OFFLINE, reason, now)
        self._out.publish("session", connected=False, reason=reason, attempt=attempt, retry_in_s=round(retry_in_s, 3))
        return self._after(now)

    def failed(self, error: VoicedError, now: MonoNs) -> list[Output]:
        """The server refused for good."""
        self._fail(error, now)
        return self._after(now)

    def _close(self, phase: Phase, reason: str, now: MonoNs) -> None:
        self.hello.closed(phase)
        self.last_error = reason
        self._hearing = False
        self._speech_item = None
        self._thinking_until_ns = None
        if self._queue.clear():
            self._out.error("connection_lost", "what was asked of the assistant got lost with the connection; ask again")
        self._voice.session_closed(now)

    def _fail(self, error: VoicedError, now: MonoNs) -> None:
        if self.hello.phase is Phase.FAILED:
            return
        error = type(error)(self._quote(error.message, MESSAGE))
        self._close(Phase.FAILED, error.message, now)
        self._out.publish("session", connected=False, reason=error.message, attempt=0, retry_in_s=None)
        self._out.add(Fail(error))  # the supervisor makes an error event of it

    def _opened(self) -> None:
        self.last_error = None
        self._out.add(Opened({"id": self.hello.session_id, "model": self.hello.model}))
        self._out.publish("session", connected=True, reason=None, attempt=0, retry_in_s=None)

    # server events -------------------------------------------------------------------------------------------------------

    def feed(self, text: bytes, seq: int, now: MonoNs) -> list[Output]:
        """One message of the server, in its turn."""
        try:
            event = events.decode_server(text)
        except events.WireMalformed as error:
            self.complaints.tell(error.code + (f" {error.param}" if error.param else ""), error.message, self._out)
        else:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event, seq, now)
        self._voice.handled = seq
        return self._after(now)

    def overtake(self, text: bytes, seq: int, now: MonoNs) -> Iterator[Output]:
        """A message that looks like speech_started, as soon as it was received: the flush comes out before the rest is
        even thought about. It is fed again when its turn comes, and then does nothing."""
        try:
            event = events.decode_server(text)
        except events.WireMalformed:
            return  # told when its turn comes
        if not isinstance(event, events.SpeechStarted):
            return
        if self._is_new_speech(event, seq):
            flushed = self._voice.hush(SPEECH_STARTED, now)
            yield from self._out.take()
            self._hear_speech(event, flushed, seq, now)
        self._overtaken = seq
        yield from self._after(now)

    def _on_session_created(self, event: events.SessionCreated, seq: int, now: MonoNs) -> None:
        self.hello.created(self._told(event.session), now)

    def _on_session_updated(self, event: events.SessionUpdated, seq: int, now: MonoNs) -> None:
        if self.hello.answered(self._told(event.session)):
            self._opened()

    def _told(self, session: Mapping[str, Any]) -> dict[str, Any]:
        return {key: self._quote(value) if isinstance(value, str) else value for key, value in session.items()}

    def _on_error(self, event: events.ErrorEvent, seq: int, now: MonoNs) -> None:
        error = event.error
        code = error.code or error.type or "error"
        fatal = reconnect.from_code(self._where, self._settings.get("model") or "", code, self._quote(error.message))
        ours = self._queue.refused(error.event_id, now, again=True) if code == _ACTIVE_RESPONSE else False
        if fatal is not None:
            self._fail(fatal, now)
        elif code == _EXPIRED:
            self._out.add(Disconnect("the session reached the server's time limit"))
        elif code in _RACES:
            self._out.log(logging.DEBUG, f"the server says {code}" + ("; asking again" if ours else ""))
        else:
            self._refused(error, code, now)

    def _refused(self, error: events.ErrorDetail, code: str, now: MonoNs) -> None:
        if error.event_id is not None:
            self._queue.refused(error.event_id, now, again=False)
        message = self._quote(error.message) or code
        if self.hello.phase is Phase.GREETING and error.event_id in (None, self._update_id):
            message = f"the server refused our settings ({message}); check the [realtime] section of the configuration"
            if self.hello.refused():
                self._opened()
        self._out.server_error(code, message, now)

    def _on_speech_started(self, event: events.SpeechStarted, seq: int, now: MonoNs) -> None:
        if self._is_new_speech(event, seq):
            self._hear_speech(event, self._voice.hush(SPEECH_STARTED, now), seq, now)

    def _is_new_speech(self, event: events.SpeechStarted, seq: int) -> bool:
        return seq > self._overtaken and not (self._hearing and event.item_id == self._speech_item)

    def _hear_speech(self, event: events.SpeechStarted, flushed: Epoch | None, seq: int, now: MonoNs) -> None:
        self._voice.void(flushed, SPEECH_STARTED, seq - 1, now)
        self._speech_item = event.item_id
        self._hearing = True
        self._thinking_until_ns = None
        self.transcript.announce(USER, event.item_id)
        self._out.publish("speech.started", item_id=event.item_id, audio_ms=sane(event.audio_start_ms), source="server")

    def _on_speech_stopped(self, event: events.SpeechStopped, seq: int, now: MonoNs) -> None:
        if seq <= self._overtaken:
            return  # it ended a speech before the one that we know of already
        self._hearing = False
        self._thinking_until_ns = now + _THINKING_AT_MOST_NS
        self._out.publish("speech.stopped", item_id=event.item_id, audio_ms=sane(event.audio_end_ms), source="server")

    def _on_committed(self, event: events.InputAudioCommitted, seq: int, now: MonoNs) -> None:
        self.transcript.announce(USER, event.item_id)

    def _on_user_delta(self, event: events.TranscriptionDelta, seq: int, now: MonoNs) -> None:
        self.transcript.add(USER, event.item_id, event.delta, now)

    def _on_user_transcript(self, event: events.TranscriptionCompleted, seq: int, now: MonoNs) -> None:
        self._said(self.transcript.finish(USER, event.item_id, event.transcript))

    def _on_transcription_failed(self, event: events.TranscriptionFailed, seq: int, now: MonoNs) -> None:
        why = event.error.message or "no reason given"
        self._out.server_error(event.error.code or "transcription_failed", f"your words could not be written down: {why}", now)

    def _on_response_created(self, event: events.ResponseCreated, seq: int, now: MonoNs) -> None:
        unwanted = self._queue.created(now)
        self._thinking_until_ns = None
        self._voice.on_response_created(event, seq, now, unwanted=unwanted)

    # playback ------------------------------------------------------------------------------------------------------------

    def heard(self, message: Message, now: MonoNs) -> list[Output]:
        """A report of playback."""
        self._voice.heard(message, now)
        return self._after(now)

    def playback_gone(self, now: MonoNs) -> list[Output]:
        """The playback process is gone, and with it what it had not played; it will never say what was heard."""
        self._voice.playback_gone(now)
        return self._after(now)

    # orders --------------------------------------------------------------------------------------------------------------

    def order(self, order: Order, received: int, now: MonoNs) -> list[Output]:
        """A control command; `received` is the number of the newest server event that was received by now."""
        if order.command == "interrupt":
            self._order_interrupt(order, received, now)
        elif order.command == "transcript":
            self._out.add(Answered(order, {"turns": self.transcript.last(order.args["limit"])}))
        elif order.command in ("ask", "say"):
            self._order_words(order, received, now)
        else:
            self._out.add(Refused(order, NotNow(f"the network process does not know the command {order.command!r}")))
        return self._after(now)

    def _order_interrupt(self, order: Order, received: int, now: MonoNs) -> None:
        under_way = self._queue.interrupt(now)
        interruption = self._voice.interrupt("interrupt", received, now) or self._voice.pending_interruption()
        if interruption is None:
            self._out.add(Answered(order, {"interrupted": under_way, "item_id": None, "played_ms": 0}))
        else:
            interruption.orders.append(order)

    def _order_words(self, order: Order, received: int, now: MonoNs) -> None:
        if not self.hello.ready:
            reason = f" ({self.last_error})" if self.last_error else ""
            message = f"there is no session with the server{reason}; `voicectl status` shows when there is one"
            self._out.add(Refused(order, NotNow(message)))
            return
        text = order.args["text"]
        if order.command == "say":
            self._queue.add(responses.say(text, self._new_id()))
            self._out.add(Answered(order, {"queued": True}))
            return
        # A question in writing is a turn of the user's: it interrupts as a spoken one would.
        self._voice.interrupt("ask", received, now)
        item_id = self._new_id()
        self._queue.add(responses.ask(text, item_id, self._new_id()))
        self._said(self.transcript.finish(USER, item_id, text))
        self._out.add(Answered(order, {"item_id": item_id}))

    # microphone and time -------------------------------------------------------------------------------------------------

    def microphone(self, pcm: bytes) -> list[Output]:
        """One frame of the microphone; dropped while there is no session."""
        return [SendEvent(events.InputAudioAppend(audio=pcm))] if self.hello.ready else []

    @property
    def wake_ns(self) -> int | None:
        """When `tick` wants to be called, at the latest."""
        times = (
            self.hello.wake_ns,
            self._voice.wake_ns,
            self.transcript.wake_ns,
            self._queue.wake_ns if self._free else None,
            self._thinking_until_ns,
        )
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: MonoNs) -> list[Output]:
        """Does what is due."""
        if self.hello.overdue(now):
            self._hello_overdue()
        self._voice.tick(now)
        if self._thinking_until_ns is not None and now >= self._thinking_until_ns:
            self._thinking_until_ns = None
        for said in self.transcript.due(now):
            self._said(said)
        return self._after(now)

    def _hello_overdue(self) -> None:
        if self.hello.refused():
            self._out.log(logging.INFO, "the server did not answer session.update")
            self._opened()
        else:
            self.hello.closed(Phase.OFFLINE)
            self._out.add(Disconnect("the server accepted the connection but opened no session within 10 s"))

    @property
    def _free(self) -> bool:
        return self.hello.ready and self._voice.free

    # the end of every step -----------------------------------------------------------------------------------------------

    def _after(self, now: MonoNs) -> list[Output]:
        self._voice.settle()
        wanted = self._queue.next(now, free=self._free)
        if wanted is not None:
            for event in wanted.events:
                self._out.send(event)
            self._thinking_until_ns = now + _THINKING_AT_MOST_NS
        state = self._now_state()
        if state != self._state:
            self._state = state
            self._out.publish("state", state=state)
        return self._out.take()

    def _now_state(self) -> str:
        phase = self.hello.phase
        if phase is Phase.FAILED:
            return "failed"
        if phase is not Phase.READY:
            return "offline" if phase is Phase.OFFLINE else "connecting"
        if self._voice.sounding:
            return "speaking"
        if self._hearing:
            return "hearing"
        busy = self._voice.generating or self._voice.audible or self._thinking_until_ns is not None
        return "thinking" if busy else "listening"

    def _said(self, said: Said | None) -> None:
        if said is not None:
            self._out.publish(f"transcript.{said.role}", item_id=said.item_id, text=said.text, final=said.final)
