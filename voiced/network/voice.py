"""The assistant's voice: replies from the server to playback, their interruption, and what was heard of them. Pure.

The half of the session that `bargein` and `replies` serve; `session` feeds it and owns everything else.
"""

import logging
from typing import Any

from voiced.messages import (
    CarriedOn,
    Epoch,
    Flush,
    Flushed,
    Message,
    MonoNs,
    PlayFinished,
    PlayReached,
    PlayStarted,
    ReplyAudio,
    ReplyEnd,
)
from voiced.network import events, responses
from voiced.network.ahead import Ahead
from voiced.network.bargein import BargeIn, Interruption, Remedy, remedy
from voiced.network.complaints import Complaints, sane
from voiced.network.limits import KEPT_BYTES
from voiced.network.outputs import Answered, Broadcast, Outbox, Play, PlayEnd
from voiced.network.playing import Playing
from voiced.network.replies import Replies, Reply, SpokenItem
from voiced.network.transcript import ASSISTANT, Said, Transcript

SPEECH_STARTED = "speech_started"
#: A response of which nothing was heard for this long is over, whatever the server forgot to say.
_SILENT_RESPONSE_NS = 60_000_000_000
#: An interrupted one is cancelled, by the server or by us, and that is answered at once.
_CANCELLED_RESPONSE_NS = 5_000_000_000
#: How much later than it should playback may report before its sound counts as lost.
_PLAYBACK_SLACK_NS = 5_000_000_000
_NS_PER_MS = 1_000_000
_MOST_CONTENT_PARTS = 1000


class Voice:
    """All replies of one conversation."""

    def __init__(self, epoch: Epoch, out: Outbox, transcript: Transcript, complaints: Complaints) -> None:
        self.epoch = epoch
        self.handled = 0  # the newest server event that was looked at in its turn
        self._out = out
        self._transcript = transcript
        self._complaints = complaints
        self._replies = Replies()
        self._bargein = BargeIn(self._replies)
        self._playing = Playing(epoch, self._replies, out, transcript)
        self._ahead = Ahead()
        self._playback_ns = 0  # when playback last said something, or was last given something

    def session_closed(self, now: MonoNs) -> None:
        """What was received plays on; the conversation that it belongs to is gone, so nothing of it is truncated any more."""
        for reply in self._replies:
            reply.cut = not reply.done
            reply.done = True
            self._end_parts(reply, now)
            for item in reply.items.values():
                item.in_conversation = False
        self._bargein.session_closed()
        self._replies.session_closed()

    @property
    def sounding(self) -> bool:
        return self._playing.sounding

    @property
    def audible(self) -> bool:
        return self._replies.audible

    @property
    def answering(self) -> bool:
        """An answer of the conversation's sounds, or waits to."""
        return any(reply.audible for reply in self._replies if not reply.interrupted and not reply.out_of_band)

    @property
    def generating(self) -> bool:
        """A response is being generated that will be heard."""
        return any(not reply.interrupted for reply in self._replies.generating)

    @property
    def free(self) -> bool:
        """Nothing is being generated, and no interruption is unsettled: a response may be asked for."""
        return not self._bargein.pending and not self._replies.generating

    def is_aside(self, response_id: str) -> bool:
        """Whether a response is none of the conversation's, as one that says what it was told to."""
        return self._replies.is_aside(response_id)

    # replies -------------------------------------------------------------------------------------------------------------

    def pending_interruption(self) -> Interruption | None:
        """The newest interruption that is not settled."""
        return self._bargein.latest

    def on_response_created(self, event: events.ResponseCreated, seq: int, now: MonoNs, *, unwanted: bool) -> None:
        """`unwanted`: it answers a create of ours that was interrupted."""
        response = event.response
        if self._replies.is_over(response.id):
            return
        reply = self._replies.open(response.id, now)
        reply.out_of_band = (response.metadata or {}).get(responses.PURPOSE) == responses.SAY
        interruption = self._bargein.latest
        void = seq <= self._bargein.horizon
        if void or unwanted:
            reply.interrupted = True
            if unwanted or reply.out_of_band or (interruption is not None and interruption.reason != SPEECH_STARTED):
                self._out.send(events.ResponseCancel(response_id=response.id))
        self._out.publish("response.started", response_id=response.id)

    def on_response_done(self, event: events.ResponseDone, seq: int, now: MonoNs) -> None:
        response = event.response
        reply = self._replies.get(response.id)
        if reply is not None:
            reply.done = True
            self._end_parts(reply, now)
            self._close_reply(reply)
        details = response.status_details or events.StatusDetails()
        self._out.publish(
            "response.done",
            response_id=response.id,
            status=None if response.status is None else self._out.quote(response.status),
            reason=None if details.reason is None else self._out.quote(details.reason),
            usage=sane(response.usage),
        )
        if response.status == "failed":
            error = details.error or events.ErrorDetail()
            why = error.message or error.code or "no reason given"
            self._out.server_error(error.code or "response_failed", f"the answer failed: {why}", now)
        elif response.status == "incomplete":
            self._out.server_error("response_incomplete", f"the answer was cut short: {details.reason or 'no reason given'}", now)

    def on_item_announced(self, event: events.OutputItemAdded | events.OutputItemDone, seq: int, now: MonoNs) -> None:
        item = event.item
        if item.type != "message" or not item.id or self._replies.is_void(event.response_id, item.id):
            return
        if not self._replies.has_room(event.response_id, item.id):
            self._crowded()
            return
        self._spoken(event.response_id, item.id, seq, now)
        self._transcript.announce(ASSISTANT, item.id, aside=self._replies.is_aside(event.response_id))

    def on_audio(self, event: events.OutputAudioDelta, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is None:
            return
        reply, item = found
        part = item.part(event.content_index)
        pcm = part.whole_samples(event.delta)
        if reply.interrupted or not pcm:
            return
        if part.ended:
            # Playback would begin the part anew, and wait for an end that never comes.
            self._complaints.tell("sound_after_end", f"sound of {event.item_id} after its output_audio.done", self._out)
            return
        if not self._ahead.takes(len(pcm), now, sounding=self.sounding):
            self._cut(reply, item, event.content_index, now)
            return
        self._playback_ns = now
        part.forward(pcm, keep=self._ahead.waiting_bytes <= KEPT_BYTES)
        self._out.add(Play(ReplyAudio(self.epoch, item.item_id, part.content_index), pcm))

    def _cut(self, reply: Reply, item: SpokenItem, content_index: int, now: MonoNs) -> None:
        """More sound than any reply has: what there is of it is played, and the rest is not wanted."""
        self._complaints.tell("too_much_sound", "more than half an hour of sound that nobody has heard yet", self._out)
        if item.part(content_index).forwarded and not reply.done:
            self._out.send(events.ResponseCancel(response_id=reply.response_id))
        self._end_part(reply, item, content_index, now)

    def on_audio_done(self, event: events.OutputAudioDone, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None:
            reply, item = found
            self._end_part(reply, item, event.content_index, now)

    def on_words(self, event: events.OutputTranscriptDelta | events.OutputTextDelta, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None and not found[0].interrupted:
            found[1].has_text |= isinstance(event, events.OutputTextDelta)
            self._transcript.add(ASSISTANT, event.item_id, event.delta, now)

    def on_words_done(self, event: events.OutputTranscriptDone, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None and not found[0].interrupted:
            self._said(self._transcript.finish(ASSISTANT, event.item_id, event.transcript))

    def on_text_done(self, event: events.OutputTextDone, seq: int, now: MonoNs) -> None:
        found = self._part_of(event, seq, now)
        if found is not None and not found[0].interrupted:
            self._said(self._transcript.finish(ASSISTANT, event.item_id, event.text))

    def _part_of(self, event: Any, seq: int, now: MonoNs) -> tuple[Reply, SpokenItem] | None:
        """The reply and item that an event about a content part belongs to; None where that is over, or makes no sense."""
        if not 0 <= event.content_index < _MOST_CONTENT_PARTS:
            message = f"content_index {event.content_index} of {type(event).__name__}"
            self._complaints.tell("content_index", message, self._out)
            return None
        if self._replies.is_void(event.response_id, event.item_id):
            return None
        if not self._replies.has_room(event.response_id, event.item_id, event.content_index):
            self._crowded()
            return None
        return self._spoken(event.response_id, event.item_id, seq, now)

    def _crowded(self) -> None:
        self._complaints.tell("crowded", "more items and parts of replies than any conversation has", self._out)

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

    def _end_parts(self, reply: Reply, now: MonoNs) -> None:
        for item in reply.items.values():
            for content_index in list(item.parts):
                self._end_part(reply, item, content_index, now)

    def _end_part(self, reply: Reply, item: SpokenItem, content_index: int, now: MonoNs) -> None:
        part = item.part(content_index)
        if not part.ended:
            part.ended = True
            if part.forwarded and not reply.interrupted:
                self._playback_ns = now
                self._out.add(PlayEnd(ReplyEnd(self.epoch, item.item_id, content_index)))

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

    def interrupt(self, reason: str, horizon: int, now: MonoNs) -> Interruption | None:
        """Flushes, and voids all that was received up to `horizon`. None where there was nothing to interrupt."""
        return self.void(self.hush(reason, now), reason, horizon, now)

    def hush(self, reason: str, now: MonoNs) -> Epoch | None:
        """The flush alone, under a new epoch; None where nothing of ours can sound. `void` must follow."""
        if not self._replies.audible:
            return None
        self._ahead.flushed()
        self.epoch = Epoch(self.epoch + 1)
        self._out.add(Broadcast(Flush(self.epoch, reason, now)))
        return self.epoch

    def void(self, flushed: Epoch | None, reason: str, horizon: int, now: MonoNs) -> Interruption | None:
        """The rest of an interruption: what was received up to `horizon` is void. None where there was nothing."""
        live = [reply for reply in self._replies if not reply.interrupted]
        if not live and horizon <= max(self.handled, self._bargein.horizon):
            return None
        if not live and flushed is None and (latest := self._bargein.latest) is not None and latest.epoch is None:
            latest.horizon = max(latest.horizon, horizon)  # one that silenced nothing is as good for what has come since
            return latest
        interruption = Interruption(flushed, reason, horizon, now)
        for reply in live:
            reply.last_event_ns = now
            if not reply.done and (reason != SPEECH_STARTED or reply.out_of_band):
                # On speech_started the server cancels by itself, but only what is in the conversation.
                self._out.send(events.ResponseCancel(response_id=reply.response_id))
                interruption.cancelled = True
        self._bargein.begin(interruption)
        return interruption

    def _settle(self) -> None:
        for interruption, remedies in self._bargein.take_settled(self.handled):
            for each in remedies:
                self._apply(each)
            self._report(interruption)
            for reply in self._replies:
                self._close_reply(reply)

    def _apply(self, each: Remedy) -> None:
        for event in each.events:
            self._out.send(event)
        self._said(self._transcript.close(each.item_id, each.played_ms, each.received_ms, interrupted=not each.whole))

    def _report(self, interruption: Interruption) -> None:
        item_id, played_ms = interruption.sounded
        flushed = interruption.flushed
        if interruption.epoch is not None and (flushed is None or flushed.was_playing or flushed.heard):
            self._out.publish(
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
            self._out.add(Answered(order, {"interrupted": interrupted, "item_id": item_id, "played_ms": played_ms}))

    # playback ------------------------------------------------------------------------------------------------------------

    def heard(self, message: Message, now: MonoNs) -> bool:
        """A report of playback; true where an answer of the conversation begins to sound."""
        self._playback_ns = now
        if isinstance(message, Flushed):
            self._bargein.answered(message)
        elif isinstance(message, CarriedOn):
            self._carried_on(message, now)
        elif isinstance(message, PlayStarted | PlayReached | PlayFinished):
            return self._playing.report(message, now)
        return False

    def playback_gone(self, now: MonoNs) -> None:
        """Playback does not listen any more, and will not say what was heard. What it was given last may have been lost on the way."""
        self._bargein.give_up(None)
        self.epoch = Epoch(self.epoch + 1)
        self._playing.stop(self.epoch, now)

    def _carried_on(self, carried: CarriedOn, now: MonoNs) -> None:
        """Playback listens, again or for the first time, and says what it has."""
        if self._playing.is_late(carried):
            return
        there = self._playing.there(carried.parts, now)
        if there is None:
            self.epoch = Epoch(self.epoch + 1)
            self._out.add(Broadcast(Flush(self.epoch, "restart", now)))
        if not self._playing.carry_on(self.epoch, there or {}):
            self._give_up_reply("the playback process went away in the middle of a reply; the rest of it is given up", now)

    def _give_up_reply(self, message: str, now: MonoNs) -> None:
        self._out.error("playback_lost", message)
        self.interrupt("playback_lost", self.handled, now)
        self._bargein.give_up(None)

    def _forget_finished(self) -> None:
        """Drops what is over; what was said in it was heard to its end."""
        for reply in self._replies.forget_finished():
            for item in reply.items.values():
                self._said(self._transcript.close(item.item_id, None, item.received_ms, interrupted=reply.cut))

    # time ----------------------------------------------------------------------------------------------------------------

    @property
    def wake_ns(self) -> int | None:
        """When `tick` wants to be called, at the latest."""
        times = (self._bargein.wake_ns, self._playback_deadline_ns, self._silent_response_ns)
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: MonoNs) -> None:
        if self._bargein.give_up(now):
            self._out.log(logging.WARNING, "playback did not say what was heard of a flushed reply; taken from what it said last")
        deadline = self._playback_deadline_ns
        if deadline is not None and now >= deadline:
            self._give_up_reply("the playback process lost a reply or hangs; the reply is given up", now)
        for reply in self._replies.generating:
            if now >= _over_ns(reply):
                reply.done = True
                self._end_parts(reply, now)
                self._close_reply(reply)

    def settle(self) -> None:
        """At the end of every step: interruptions about which all is known, replies that are over."""
        if self._bargein.pending:
            self._settle()
        self._forget_finished()
        if not self._replies.audible:
            self._playing.sounding = False
            self._ahead.silent()

    @property
    def _playback_deadline_ns(self) -> int | None:
        part = self._replies.waiting_part()
        return None if part is None else self._playback_ns + part.forwarded_ms * _NS_PER_MS + _PLAYBACK_SLACK_NS

    @property
    def _silent_response_ns(self) -> int | None:
        return min((_over_ns(reply) for reply in self._replies.generating), default=None)

    def _said(self, said: Said | None) -> None:
        if said is not None:
            self._out.publish(f"transcript.{said.role}", item_id=said.item_id, text=said.text, final=said.final)


def _over_ns(reply: Reply) -> int:
    """When a response of which nothing more is heard counts as over."""
    return reply.last_event_ns + (_CANCELLED_RESPONSE_NS if reply.interrupted else _SILENT_RESPONSE_NS)
