"""The conversation as a state machine without I/O: (server event | order | report of playback | microphone | time) -> outputs.

What the process talks to, and what each event of the server means to the parts of the conversation.

Every server event has a sequence number, given in the order of receipt. An event may be looked at long after it was
received (a burst is decoded a piece at a time), so a speech_started is handed over ahead of its turn, by `overtake`; the
events before it are then void as far as they would make sound: an interruption keeps the number of the newest such event
as its *horizon*, and is settled when all of them were seen and playback has said what was heard.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from voiced.errors import VoicedError
from voiced.messages import Epoch, LocalSpeech, Message, MicFrame, MonoNs, Order
from voiced.network import events
from voiced.network.complaints import Complaints
from voiced.network.conversation import Conversation
from voiced.network.faults import Faults
from voiced.network.hello import Phase
from voiced.network.listening import Listening
from voiced.network.orders import Orders
from voiced.network.outputs import Disconnect, Output
from voiced.network.quote import MESSAGE, Quote
from voiced.network.transcript import USER
from voiced.network.voice import SPEECH_STARTED

#: More reasons of one outage are told again.
_REASONS_KEPT = 8


class Session:
    """One conversation, over however many connections. Not for threads.

    Every public method returns the outputs in the order in which they are to be carried out; `overtake` hands them out
    one by one, and is to be run to its end at once. `history` has the turns of before, as the `turn` event has them; `owed` is
    the item of one that waits for an answer.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        epoch: Epoch,
        new_id: Callable[[], str],
        history: Iterable[Mapping[str, Any]] = (),
        quote: Quote | None = None,
        owed: str | None = None,
    ) -> None:
        self._owed = owed
        self._talk = talk = Conversation(settings, epoch, new_id, history, quote or Quote(settings.get("token")))
        self._orders = Orders(talk)
        self._faults = Faults(talk)
        self._listening = Listening(talk)
        self._overtaken = 0  # the newest speech_started that was looked at before its turn
        self._state = ""
        self._outage: list[str] = []  # why there is no connection, as far as it was told
        voice = talk.voice
        self._handlers: dict[type, Callable[[Any, int, MonoNs], None]] = {
            events.SessionCreated: lambda event, seq, now: talk.line.created(event, now),
            events.SessionUpdated: self._on_session_updated,
            events.ErrorEvent: lambda event, seq, now: self._faults.told(event, now),
            events.SpeechStarted: self._on_speech_started,
            events.SpeechStopped: self._on_speech_stopped,
            events.InputAudioCommitted: lambda event, seq, now: talk.turn.committed(event.item_id, now),
            events.TranscriptionDelta: self._on_user_delta,
            events.TranscriptionCompleted: self._on_user_transcript,
            events.TranscriptionFailed: self._on_transcription_failed,
            events.ResponseCreated: self._on_response_created,
            events.ResponseDone: self._on_response_done,
            events.ItemAdded: lambda event, seq, now: talk.heard_of_mcp(event, now),
            events.ItemDone: lambda event, seq, now: talk.heard_of_mcp(event, now),
            events.McpListToolsFailed: lambda event, seq, now: talk.heard_of_mcp(event, now),
            events.OutputItemAdded: self._on_item_added,
            events.OutputItemDone: self._on_item_done,
            events.OutputAudioDelta: voice.on_audio,
            events.OutputAudioDone: voice.on_audio_done,
            events.OutputTranscriptDelta: voice.on_words,
            events.OutputTranscriptDone: voice.on_words_done,
            events.OutputTextDelta: voice.on_words,
            events.OutputTextDone: voice.on_text_done,
            events.FunctionArgumentsDone: lambda event, seq, now: talk.calls.arguments_done(event, now),
        }

    # what the process shows and needs --------------------------------------------------------------------------------------

    @property
    def epoch(self) -> Epoch:
        return self._talk.voice.epoch

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the connection of now."""
        return self._talk.settings

    @property
    def next_settings(self) -> dict[str, Any]:
        """Those of the connection that is to take over."""
        return self._talk.line.next_settings

    @property
    def phase(self) -> Phase:
        return self._talk.phase

    @property
    def ready(self) -> bool:
        return self._talk.line.ready

    @property
    def complaints(self) -> Complaints:
        """What the server sent that makes no sense."""
        return self._talk.complaints

    def facts(self, unix_s: float) -> dict[str, Any]:
        """The session as `status` shows it."""
        hello = self._talk.line.hello
        return {
            "provider": self.settings.get("provider"),
            "url": self._talk.where,
            "model": hello.model or self.settings.get("model") or None,
            "connected": hello.ready,
            "id": hello.session_id,
            "expires_in_s": None if hello.expires_at is None else round(hello.expires_at - unix_s),
            "last_error": self._talk.last_error,
        }

    def moment(self) -> dict[str, Any]:
        """Where the conversation stands: what a recording that begins in the middle of it must know."""
        hello = self._talk.line.hello
        return {
            "phase": hello.phase.name,
            "quiet_since_ns": self._talk.quiet.since_ns,
            "handled": self._talk.voice.handled,
            "id": hello.session_id,
            "model": hello.model,
            "expires_at": hello.expires_at,
            "expires_ns": hello.expires_ns,
        }

    # the connection ------------------------------------------------------------------------------------------------------

    def begin(self, now: MonoNs) -> list[Output]:
        """The first outputs: the state."""
        if self._talk.exhausted:
            self._talk.sleep(self._talk.exhausted, now, capped=True)
        else:
            self._listening.begin(now)
        if self._owed is not None and self._talk.phase is Phase.CONNECTING:
            self._talk.turn.typed(self._owed, now)
        return self._after(now)

    def connected(self, now: MonoNs, unix_s: float) -> list[Output]:
        """The WebSocket is open; `unix_s` is the wall clock's time."""
        self._talk.line.connected(now, unix_s)
        return self._after(now)

    def lost(self, reason: str, attempt: int, retry_in_s: float, now: MonoNs) -> list[Output]:
        """The connection broke or could not be made; another attempt follows."""
        reason = self._talk.quote(reason, MESSAGE)
        told = [] if self._talk.line.ready else self._outage
        level = logging.DEBUG if reason in told else logging.WARNING if retry_in_s else logging.INFO
        self._outage = [*told, reason][-_REASONS_KEPT:]  # of an hour's outage each reason is a line, and not each try
        self._talk.out.log(level, f"{reason}; connecting again in {retry_in_s:.1f} s")
        self._talk.close(Phase.OFFLINE, reason, now)
        self._talk.out.publish("session", connected=False, reason=reason, attempt=attempt, retry_in_s=round(retry_in_s, 3))
        return self._after(now)

    def failed(self, error: VoicedError, now: MonoNs) -> list[Output]:
        """The server refused for good."""
        self._talk.fail(error, now)
        return self._after(now)

    def rescued(self, now: MonoNs) -> list[Output]:
        """The connection broke: the outputs by which one that is ready takes over; none where there is none."""
        if not self._talk.line.next_ready:
            return []
        self._talk.take_over(now)
        return self._after(now)

    def next_connected(self, now: MonoNs, unix_s: float) -> list[Output]:
        self._talk.line.next_connected(now, unix_s)
        return self._after(now)

    def next_feed(self, text: bytes, now: MonoNs) -> list[Output]:
        """A message on the next connection, before that takes over."""
        try:
            self._on_next(events.decode_server(text), now)
        except events.WireMalformed as error:
            self._talk.complaints.tell(error.code, error.message, self._talk.out)
        return self._after(now)

    def _on_next(self, event: events.ServerEvent | events.Unknown, now: MonoNs) -> None:
        if not isinstance(event, events.ErrorEvent) or not self._faults.of_next(event, now):
            self._talk.line.next_event(event, now)

    def next_lost(self, reason: str, now: MonoNs, *, fatal: bool = False) -> list[Output]:
        """The connection that was to take over could not be made, or broke; with `fatal` trying again can't help."""
        self._talk.line.next_lost(self._talk.quote(reason, MESSAGE), now, fatal=fatal)
        return self._after(now)

    def skipped(self, seq: int) -> None:
        """What was received up to `seq` on a connection that is over will not be fed."""
        self._talk.voice.handled = max(self._talk.voice.handled, seq)

    # server events -------------------------------------------------------------------------------------------------------

    def feed(self, text: bytes, seq: int, now: MonoNs) -> list[Output]:
        """One message of the server, in its turn."""
        try:
            event = events.decode_server(text)
        except events.WireMalformed as error:
            self._talk.complaints.tell(error.code + (f" {error.param}" if error.param else ""), error.message, self._talk.out)
        else:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event, seq, now)
        self._talk.voice.handled = seq
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
            flushed = self._talk.voice.hush(SPEECH_STARTED, now)
            yield from self._talk.out.take()
            self._hear_speech(event, flushed, seq, now)
        self._overtaken = seq
        yield from self._after(now)

    def _on_session_updated(self, event: events.SessionUpdated, seq: int, now: MonoNs) -> None:
        if self._talk.line.updated(event):
            self._talk.opened(now)

    def _on_speech_started(self, event: events.SpeechStarted, seq: int, now: MonoNs) -> None:
        self._talk.calls.interrupted(now)  # also of calls that were not known yet when it was looked at ahead of its turn
        if self._is_new_speech(event, seq):
            self._hear_speech(event, self._talk.voice.hush(SPEECH_STARTED, now), seq, now)

    def _is_new_speech(self, event: events.SpeechStarted, seq: int) -> bool:
        return seq > self._overtaken and not (self._talk.turn.hearing and event.item_id == self._talk.turn.item_id)

    def _hear_speech(self, event: events.SpeechStarted, flushed: Epoch | None, seq: int, now: MonoNs) -> None:
        self._talk.voice.void(flushed, SPEECH_STARTED, seq - 1, now)
        self._talk.make_way(now)
        self._talk.turn.speech_started(event, now)

    def _on_speech_stopped(self, event: events.SpeechStopped, seq: int, now: MonoNs) -> None:
        if seq > self._overtaken:
            self._talk.turn.speech_stopped(event, now)
        else:
            self._talk.turn.overtaken(event)

    def _on_user_delta(self, event: events.TranscriptionDelta, seq: int, now: MonoNs) -> None:
        self._talk.transcript.add(USER, event.item_id, event.delta, now)

    def _on_user_transcript(self, event: events.TranscriptionCompleted, seq: int, now: MonoNs) -> None:
        self._talk.turn.written_down(event.item_id)
        self._talk.said(self._talk.transcript.finish(USER, event.item_id, event.transcript))
        self._talk.spent("transcription", self.settings.get("transcription_model") or "", event.usage)

    def _on_transcription_failed(self, event: events.TranscriptionFailed, seq: int, now: MonoNs) -> None:
        self._talk.turn.written_down(event.item_id)
        why = event.error.message or "no reason given"
        self._talk.out.server_error(event.error.code or "transcription_failed", f"your words could not be written down: {why}", now)

    def _on_response_created(self, event: events.ResponseCreated, seq: int, now: MonoNs) -> None:
        unwanted = self._talk.queue.created(now)
        unwanted = self._talk.turn.response_created(now) or unwanted
        self._talk.voice.on_response_created(event, seq, now, unwanted=unwanted)
        if not self._talk.voice.is_aside(event.response.id):
            self._talk.calls.response_created(event.response.id, now)

    def _on_item_added(self, event: events.OutputItemAdded, seq: int, now: MonoNs) -> None:
        self._talk.voice.on_item_announced(event, seq, now)
        self._talk.calls.item_seen(event.item, now)

    def _on_item_done(self, event: events.OutputItemDone, seq: int, now: MonoNs) -> None:
        self._talk.voice.on_item_announced(event, seq, now)
        self._talk.calls.item_done(event.response_id, event.item, now)

    def _on_response_done(self, event: events.ResponseDone, seq: int, now: MonoNs) -> None:
        response = event.response
        aside = self._talk.voice.is_aside(response.id)
        self._talk.voice.on_response_done(event, seq, now)
        self._talk.calls.response_done(response.id, response.status, response.output, now)
        self._talk.spent("response", self._talk.line.hello.model or self.settings.get("model") or "", response.usage)
        if not aside and response.status != "cancelled" and not self._talk.calls.pending:
            self._talk.turn.answered()
        if response.status in ("failed", "incomplete"):
            self._faults.answer_failed(response, now, aside=aside)

    # playback and tools --------------------------------------------------------------------------------------------------

    def heard(self, message: Message, now: MonoNs) -> list[Output]:
        """A report of playback."""
        if self._talk.voice.heard(message, now):
            self._talk.turn.answered()
        return self._after(now)

    def playback_gone(self, now: MonoNs) -> list[Output]:
        """The playback process is gone, and with it what it had not played; it will never say what was heard."""
        self._talk.voice.playback_gone(now)
        return self._after(now)

    def tool_ended(self, call_id: str, ok: bool, output: str, now: MonoNs) -> list[Output]:
        """A program that `RunTool` asked for has ended."""
        self._talk.calls.ended(call_id, ok, output, now)
        return self._after(now)

    # orders --------------------------------------------------------------------------------------------------------------

    def order(self, order: Order, received: int, now: MonoNs) -> list[Output]:
        """A control command; `received` is the number of the newest server event that was received by now."""
        self._orders.obey(order, received, now)
        return self._after(now)

    # microphone and time -------------------------------------------------------------------------------------------------

    def microphone(self, frame: MicFrame, pcm: bytes) -> list[Output]:
        """One frame of the microphone; kept for a moment while there is no session. Until the wake word nothing of it is let in,
        whatever the capture process sends."""
        if self._talk.door.shut and pcm != (silence := bytes(len(pcm))):
            self._talk.door.came_through(frame.captured_ns)
            pcm = silence
        return self._talk.turn.microphone(frame, pcm, ready=self._talk.line.ready)

    def local_speech(self, speech: LocalSpeech, received: int, now: MonoNs) -> list[Output]:
        """Our own voice detector's word, in its place among the frames; `received` as in `order`. A flush is the first output."""
        self._listening.hear(speech, received, now)
        return self._after(now)

    @property
    def wake_ns(self) -> int | None:
        """When `tick` wants to be called, at the latest."""
        times = (
            self._talk.line.wake_ns(self._talk.quiet),
            self._talk.voice.wake_ns,
            self._talk.calls.wake_ns,
            self._talk.turn.wake_ns,
            self._talk.transcript.wake_ns,
            self._talk.queue.wake_ns(free=self._free),
            self._listening.wake_ns,
        )
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: MonoNs) -> list[Output]:
        """Does what is due."""
        if self._talk.line.hello.overdue(now):
            self._hello_overdue(now)
        self._talk.line.tick(now)
        self._talk.voice.tick(now)
        self._talk.calls.tick(now)
        if self._talk.turn.tick(now, ready=self.ready):
            self._talk.out.log(logging.WARNING, "the key was down for too long; taken for released")
            self._talk.turn.release(now, self._talk.new_id(), ready=self._talk.line.ready)
        for said in self._talk.transcript.due(now):
            self._talk.said(said)
        self._listening.tick(now)
        return self._after(now)

    def _hello_overdue(self, now: MonoNs) -> None:
        if self._talk.line.overdue():
            self._talk.opened(now)
        else:
            self._talk.line.closed(Phase.OFFLINE)
            self._talk.out.add(Disconnect("the server accepted the connection but opened no session"))

    @property
    def _free(self) -> bool:
        return self._talk.line.ready and self._talk.voice.free and not self._talk.turn.hearing

    # the end of every step -----------------------------------------------------------------------------------------------

    def _after(self, now: MonoNs) -> list[Output]:
        self._talk.voice.settle()
        if self._talk.queue.expire(now):
            self._talk.out.error("response_missing", "the server did not answer a request for a response; ask again")
        self._talk.look_how_quiet(now)
        if self._talk.line.step(self._talk.quiet, now):
            self._talk.take_over(now)
        if self._talk.line.ready:
            self._talk.tell_history()
        wanted = self._talk.queue.next(now, free=self._free)
        if wanted is not None:
            for event in wanted.events:
                self._talk.out.send(event)
            self._talk.turn.thinking(now)
        for turn in self._talk.transcript.ended():
            self._talk.out.publish("turn", **turn)
        state = self._talk.state
        if state != self._state:
            self._state = state
            self._talk.out.publish("state", state=state)
        return self._talk.out.take()
