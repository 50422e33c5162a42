"""The server's half of the Realtime protocol without I/O, threads or clock.

A host feeds it and does what it asks:

    engine = Engine(model, now=..., wall_s=...)
    outputs = engine.opened()
    outputs = engine.receive(event, now)               a client event (voiced.network.events), sound included
    outputs = engine.refuse(malformed)                 text from the client that is no event
    outputs = engine.hear(probabilities, now)          speech probabilities of the sound received, one for each 32 ms
    outputs = engine.recognised(item_id, text)         answers to requests, see voiced.embedded.work
    outputs = engine.thought(response_id, piece, last)
    outputs = engine.spoken(response_id, number, pcm)
    while engine.has_delta:                            the reply's sound, a delta at a time: look for interruptions between
        outputs = engine.next_delta()
    outputs = engine.tick(now)                         at engine.deadline, if nothing else happens before

Each returns, in order, events to send and requests (voiced.embedded.work) to carry out. `now` is a monotonic clock in
seconds; sound in and out is s16le, mono, 24 kHz, whatever format the wire carries.
"""

import secrets
import string
from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from voiced.embedded import settings as config
from voiced.embedded.conversation import Conversation, Entry, already_there, check_item, contents, with_sound, without_sound
from voiced.embedded.ear import Ear
from voiced.embedded.refusal import Refused
from voiced.embedded.reply import Outputs, Reply
from voiced.embedded.turns import Turn
from voiced.embedded.work import Call, Drop, HangUp, Piece, Recognise, Think
from voiced.messages import BYTES_PER_MS
from voiced.network import events as wire

#: The API's own limit (realtime-protocol 1.5).
SESSION_S = 3600
#: How many responses may run beside the conversation's own.
_OUT_OF_BAND = 4
_ALPHABET = string.ascii_letters + string.digits


def random_id(kind: str) -> str:
    """An id as the API makes them, "item_" and 21 letters or digits."""
    return f"{kind}_{''.join(secrets.choice(_ALPHABET) for _ in range(21))}"


class Engine:
    """One session."""

    def __init__(self, model: str, *, now: float, wall_s: float, make_id: Callable[[str], str] = random_id) -> None:
        self._make_id = make_id
        self.settings = config.Settings(id=make_id("sess"), model=model, expires_at=int(wall_s) + SESSION_S)
        self._expires = now + SESSION_S
        self._now = now
        self._conversation = Conversation(make_id("conv"))
        self._ear = Ear()
        self._next_item = make_id("item")  # of the user's turn in progress
        self._active: Reply | None = None
        self._replies: dict[str, Reply] = {}
        self._unrecognised: dict[str, Entry] = {}
        self._waiting: dict[str, set[str]] = {}  # responses that wait for the text of items
        self._voice_locked = False
        self._idle_at: float | None = None
        self._over = False

    # feeding -----------------------------------------------------------------------------------------------------

    def opened(self) -> Outputs:
        return self._out([wire.SessionCreated(session=self.settings.as_sent())])

    def receive(self, event: wire.ClientEvent | wire.Unknown, now: float) -> Outputs:
        self._now = now
        try:
            return self._out(self._dispatch(event))
        except Refused as refused:
            return self._out([wire.ErrorEvent(error=refused.detail(event.event_id))])

    def refuse(self, malformed: wire.WireMalformed) -> Outputs:
        refused = Refused(malformed.message, malformed.code, malformed.param)
        return self._out([wire.ErrorEvent(error=refused.detail(malformed.event_id))])

    def hear(self, probabilities: list[float], now: float) -> Outputs:
        self._now = now
        outputs: Outputs = []
        for probability in probabilities:
            vad = self.settings.audio.input.turn_detection
            if vad is None:
                self._ear.skip_window()
                continue
            turn = self._ear.step(probability, vad)
            if turn is Turn.STARTED:
                outputs += self._speech_started(vad)
            elif turn is Turn.STOPPED or self._ear.turn_is_too_long:
                outputs += self._speech_stopped(vad)
        return self._out(outputs)

    def recognised(self, item_id: str, text: str | None, error: str | None = None) -> Outputs:
        """What was said in an item, or None and why nobody knows."""
        entry = self._unrecognised.pop(item_id, None)
        if entry is None:
            return []
        entry.heard_text = text
        outputs = self._transcription(entry, text, error)
        for response_id, waits_for in list(self._waiting.items()):
            waits_for.discard(item_id)
            if not waits_for:
                del self._waiting[response_id]
                outputs += self._think(self._replies[response_id])
        return self._out(outputs)

    def thought(self, response_id: str, piece: Piece, last: bool) -> Outputs:
        reply = self._replies.get(response_id)
        if reply is None:
            return []
        if isinstance(piece, Call):
            item_id, call_id = self._make_id("item"), self._make_id("call")
            call = wire.Item(type="function_call", id=item_id, call_id=call_id, name=piece.name, arguments=piece.arguments)
            reply.call(Entry(call))
            piece = ""
        return self._out([*reply.thought(piece, last), *self._end_if_over(reply)])

    def think_failed(self, response_id: str, message: str, code: str = "brain_failed") -> Outputs:
        reply = self._replies.get(response_id)
        if reply is None:
            return []
        error = wire.ErrorDetail(type="server_error", code=code, message=message)
        return self._out(self._end(reply, "failed", error=error))

    def spoken(self, response_id: str, number: int, pcm: bytes) -> Outputs:
        reply = self._replies.get(response_id)
        if reply is not None:
            reply.spoken(number, pcm)
        return []

    def speak_failed(self, response_id: str, message: str) -> Outputs:
        return self.think_failed(response_id, message, "speech_failed")

    @property
    def has_delta(self) -> bool:
        return any(reply.has_delta for reply in self._replies.values())

    def next_delta(self) -> Outputs:
        for reply in list(self._replies.values()):
            if reply.has_delta:
                outputs = reply.next_delta()
                self._voice_locked = self._voice_locked or reply is self._active
                return self._out([*outputs, *self._end_if_over(reply)])
        return []

    @property
    def deadline(self) -> float:
        """When `tick` has something to do, if nothing else happens before."""
        return self._expires if self._idle_at is None else min(self._expires, self._idle_at)

    def tick(self, now: float) -> Outputs:
        self._now = now
        if now >= self._expires and not self._over:
            self._over = True
            text = f"Your session hit the maximum duration of {SESSION_S // 60} minutes."
            error = wire.ErrorDetail(type="invalid_request_error", code="session_expired", message=text)
            return self._out([wire.ErrorEvent(error=error), HangUp(1001, text)])
        if self._idle_at is not None and now >= self._idle_at:
            return self._out(self._idle_timeout())
        return []

    # client events -----------------------------------------------------------------------------------------------

    def _dispatch(self, event: wire.ClientEvent | wire.Unknown) -> Outputs:
        match event:
            case wire.InputAudioAppend():
                self._ear.append(event.audio)
                return []
            case wire.SessionUpdate():
                return self._update(event)
            case wire.InputAudioCommit():
                return self._commit(self._ear.take_all())
            case wire.InputAudioClear():
                self._ear.clear()
                return [wire.InputAudioCleared()]
            case wire.ItemCreate():
                return self._create_item(event)
            case wire.ItemRetrieve():
                return [wire.ItemRetrieved(item=with_sound(self._conversation.get(event.item_id)))]
            case wire.ItemTruncate():
                self._conversation.truncate(event.item_id, event.content_index, event.audio_end_ms)
                return [wire.ItemTruncated(item_id=event.item_id, content_index=event.content_index, audio_end_ms=event.audio_end_ms)]
            case wire.ItemDelete():
                self._conversation.delete(event.item_id)
                return [wire.ItemDeleted(item_id=event.item_id)]
            case wire.ResponseCreate():
                return self._respond(event.response or wire.ResponseParams())
            case wire.ResponseCancel():
                return self._cancel(event.response_id)
            case _:
                name = event.type if isinstance(event, wire.Unknown) else type(event).__name__
                known = ", ".join(sorted(wire.CLIENT_EVENTS))
                raise Refused(f"Invalid value: '{name}'. Supported values are: {known}.", "invalid_value", "type")

    def _update(self, event: wire.SessionUpdate) -> Outputs:
        self.settings = config.updated(self.settings, event.session, voice_locked=self._voice_locked)
        vad = self.settings.audio.input.turn_detection
        if vad is None:
            self._ear.forget_turn()
        if not isinstance(vad, config.ServerVad) or vad.idle_timeout_ms is None:
            self._idle_at = None
        return [wire.SessionUpdated(session=self.settings.as_sent())]

    def _create_item(self, event: wire.ItemCreate) -> Outputs:
        check_item(event.item)
        if event.item.id == self._next_item:  # announced by speech_started; inserted when the speech stops
            raise already_there(event.item.id)
        entry = self._entry_of(event.item)
        previous = self._conversation.insert(entry, event.previous_item_id)
        shown = without_sound(entry.item)
        added: Outputs = [wire.ItemAdded(item=shown, previous_item_id=previous), wire.ItemDone(item=shown, previous_item_id=previous)]
        return added + self._recognise(entry)

    def _entry_of(self, item: wire.Item) -> Entry:
        item.id = item.id or self._make_id("item")
        item.status = item.status or "completed"
        entry = Entry(item)
        for part in contents(item):
            entry.add_sound(part.audio or b"")
        return entry

    def _cancel(self, response_id: str | None) -> Outputs:
        reply = self._active if response_id is None else self._replies.get(response_id)
        if reply is None:
            raise Refused("Cancellation failed: no active response found", "response_cancel_not_active")
        return self._end(reply, "cancelled", "client_cancelled")

    # the user's turns --------------------------------------------------------------------------------------------

    def _speech_started(self, vad: config.ServerVad | config.SemanticVad) -> Outputs:
        self._idle_at = None
        start_ms = self._ear.begin_turn(vad.prefix_padding_ms if isinstance(vad, config.ServerVad) else 300)
        outputs: Outputs = [wire.SpeechStarted(item_id=self._next_item, audio_start_ms=start_ms)]
        if vad.interrupt_response and self._active:
            outputs += self._end(self._active, "cancelled", "turn_detected")
        return outputs

    def _speech_stopped(self, vad: config.ServerVad | config.SemanticVad) -> Outputs:
        outputs: Outputs = [wire.SpeechStopped(item_id=self._next_item, audio_end_ms=self._ear.heard_ms)]
        outputs += self._commit(self._ear.end_turn())
        if vad.create_response:
            outputs += self._respond_by_itself()
        return outputs

    def _respond_by_itself(self) -> Outputs:
        try:
            return self._respond(wire.ResponseParams())
        except Refused as refused:  # a response runs already: the client said not to interrupt it (realtime-protocol 2.3)
            return [wire.ErrorEvent(error=refused.detail(None))]

    def _commit(self, pcm: bytes) -> Outputs:
        item = wire.Item(type="message", id=self._next_item, status="completed", role="user", content=[wire.Content(type="input_audio")])
        self._next_item = self._make_id("item")
        entry = Entry(item)
        entry.add_sound(pcm)
        previous = self._conversation.insert(entry)
        shown = without_sound(item)
        committed: Outputs = [
            wire.InputAudioCommitted(item_id=entry.id, previous_item_id=previous),
            wire.ItemAdded(item=shown, previous_item_id=previous),
            wire.ItemDone(item=shown, previous_item_id=previous),
        ]
        return committed + self._recognise(entry)

    def _recognise(self, entry: Entry) -> Outputs:
        if not entry.sound_bytes:
            return []
        self._unrecognised[entry.id] = entry
        return [Recognise(entry.id, bytes(entry.sound))]

    def _transcription(self, entry: Entry, text: str | None, error: str | None) -> Outputs:
        if self.settings.audio.input.transcription is None:
            return []
        index = next((place for place, part in enumerate(contents(entry.item)) if part.type == "input_audio"), 0)
        if text is None:
            detail = wire.ErrorDetail(type="server_error", code="transcription_unavailable", message=error or "nothing was recognised")
            return [wire.TranscriptionFailed(item_id=entry.id, error=detail, content_index=index)]
        contents(entry.item)[index].transcript = text
        seconds = {"type": "duration", "seconds": entry.sound_bytes / BYTES_PER_MS / 1000}
        return [wire.TranscriptionCompleted(item_id=entry.id, transcript=text, content_index=index, usage=seconds)]

    def _idle_timeout(self) -> Outputs:
        self._idle_at = None
        start_ms, pcm = self._ear.take_silence()
        item_id = self._next_item
        timed_out = wire.IdleTimeout(item_id=item_id, audio_start_ms=start_ms, audio_end_ms=self._ear.heard_ms)
        return [timed_out, *self._commit(pcm), *self._respond_by_itself()]

    # responses ---------------------------------------------------------------------------------------------------

    def _respond(self, params: wire.ResponseParams) -> Outputs:
        out_of_band = params.conversation == "none"
        if params.conversation not in (None, "auto", "none"):
            raise Refused(f"Invalid value: '{params.conversation}'.", "invalid_value", "response.conversation")
        if not out_of_band and self._active:
            raise Refused(
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one.",
                "conversation_already_has_active_response",
            )
        if out_of_band and sum(reply is not self._active for reply in self._replies.values()) >= _OUT_OF_BAND:
            raise Refused(f"{_OUT_OF_BAND} responses run beside the conversation; wait for one to end.", "rate_limit_exceeded")
        settings = config.overridden(self.settings, _changes(params))
        context, fresh = self._context(params)
        conversation = None if out_of_band else self._conversation
        reply = Reply(self._make_id("resp"), self._make_id("item"), settings, conversation, params.metadata)
        reply.context = context
        self._replies[reply.id] = reply
        if not out_of_band:
            self._active = reply
        self._idle_at = None
        outputs = reply.created()
        for entry in fresh:
            outputs += self._recognise(entry)
        return outputs + self._think_when_all_is_known(reply)

    def _context(self, params: wire.ResponseParams) -> tuple[list[Entry], list[Entry]]:
        """What the response answers to: the conversation, or what the client gave instead; and what is new in it."""
        if params.input is UNSET:
            return self._conversation.entries(), []
        context, fresh = [], []
        for item in params.input:
            if item.type == "item_reference":
                context.append(self._conversation.get(item.id or ""))
            else:
                check_item(item)
                fresh.append(self._entry_of(item))
                context.append(fresh[-1])
        return context, fresh

    def _think_when_all_is_known(self, reply: Reply) -> Outputs:
        unknown = {entry.id for entry in reply.context if entry.id in self._unrecognised}
        if unknown:
            self._waiting[reply.id] = unknown
            return []
        return self._think(reply)

    def _think(self, reply: Reply) -> Outputs:
        said = tuple(turn for entry in reply.context if (turn := entry.said()))
        return [Think(reply.id, reply.settings.instructions, said, reply.settings.functions, reply.settings.tool_choice)]

    def _end_if_over(self, reply: Reply) -> Outputs:
        if reply.ended:  # its tokens are spent
            return self._forget(reply)
        return self._end(reply, "completed") if reply.complete else []

    def _end(self, reply: Reply, status: str, reason: str | None = None, error: wire.ErrorDetail | None = None) -> Outputs:
        return [*reply.finish(status, reason, error), *self._forget(reply)]

    def _forget(self, reply: Reply) -> Outputs:
        self._replies.pop(reply.id, None)
        self._waiting.pop(reply.id, None)
        if reply is self._active:
            self._active = None
            vad = self.settings.audio.input.turn_detection
            if isinstance(vad, config.ServerVad) and vad.idle_timeout_ms is not None and not self._ear.speaking:
                self._idle_at = self._now + (reply.entry.audio_ms + vad.idle_timeout_ms) / 1000
        return [Drop(reply.id)]

    def _out(self, outputs: Outputs) -> Outputs:
        for output in outputs:
            if isinstance(output, wire.ServerEvent):
                output.event_id = self._make_id("event")
        return outputs


def _changes(params: wire.ResponseParams) -> dict[str, Any]:
    """The overrides in a `response.create`, as changes to the session's settings."""
    names = ("output_modalities", "audio", "tools", "tool_choice", "max_output_tokens")
    changes = {name: value for name in names if (value := getattr(params, name)) is not UNSET}
    return changes if params.instructions is None else {**changes, "instructions": params.instructions}
