"""The user's turn: when it begins and ends, by the server's ear or by push-to-talk, and the answer that is owed to it. Pure.

A turn whose answer has not begun to sound is *owed* one. Where the connection is lost meanwhile, the next session is told the
turn again: by its words where they are known, else by its sound.
"""

import logging
from collections.abc import Iterator
from typing import Any

from voiced.messages import BYTES_PER_MS, MicFrame, MonoNs
from voiced.network import events
from voiced.network.complaints import sane
from voiced.network.kept import RECENT_NS, KeptSound
from voiced.network.outputs import Outbox, Output, SendEvent
from voiced.network.responses import ResponseQueue, answer
from voiced.network.transcript import USER, Transcript

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
#: After the user's last word the server answers within a second or two; later, nobody is thinking any more.
_THINKING_AT_MOST_NS = 10 * _NS_PER_S
#: Who is not answered by then has given up, too: what was said while there was no connection is not sent minutes later.
OWED_AT_MOST_NS = 15 * _NS_PER_S
#: A turn's words come within seconds, or not at all.
_WORDS_WITHIN_NS = 5 * _NS_PER_S
#: Sound from before the press: people press while they begin to speak.
BEFORE_PRESS_NS = 300 * _NS_PER_MS
#: A server refuses a shorter turn (realtime-protocol 1.8: input_audio_buffer_commit_empty).
_SHORTEST_TURN_MS = 100
#: Told again to the next server, although nobody was heard: the last one may not have noticed yet.
_BEFORE_CLOSE_NS = 1 * _NS_PER_S

#: More turns in a row that nobody answers are not remembered.
_MOST_OWED = 8

PUSH_TO_TALK = "push_to_talk"


class _Owed:
    """The turn that an answer is owed to."""

    __slots__ = ("began_ns", "committed", "earlier", "ended_ns", "item_id")

    def __init__(self, began_ns: int, item_id: str | None, earlier: tuple["_Owed", ...] = ()) -> None:
        self.began_ns = began_ns
        self.item_id = item_id  # None: not known yet
        self.earlier = earlier  # turns before it that were not answered
        self.ended_ns: int | None = None  # the user's last word
        self.committed = False  # push-to-talk: released


class Turn:
    def __init__(self, out: Outbox, queue: ResponseQueue, transcript: Transcript) -> None:
        self.mode = "vad"
        self.hearing = False
        self.pressed = False
        self.muted = False
        self.item_id: str | None = None
        self.thinking_until_ns: int | None = None
        self._release_ns: int | None = None  # when a key is held for too long
        self._over_ns = 0  # what was said before belongs to a turn that is over
        self._talk_limit_ns = 0
        self._out = out
        self._queue = queue
        self._transcript = transcript
        self._kept = KeptSound()
        self._owed: _Owed | None = None
        self._closed_ns: int | None = None
        self._captured_ns: MonoNs | None = None  # the end of the newest frame
        self._sent_bytes = 0  # to the session of now
        self._pressed_bytes = 0  # of these, since the press
        self._awaited: dict[str, int] = {}  # items whose words are to come, and until when
        self._transcribed = False

    def configure(self, settings: dict[str, Any]) -> None:
        self.mode = settings.get("mode") or "vad"
        self._talk_limit_ns = int(settings.get("talk_limit_s") or 120) * _NS_PER_S
        self._transcribed = bool(settings.get("transcription_model"))
        if self.pressed and self.mode != PUSH_TO_TALK:
            self.pressed = self.hearing = False

    @property
    def busy(self) -> bool:
        """Somebody speaks, or waits for an answer, or for words to be written down."""
        return self.hearing or self._owed is not None or bool(self._awaited)

    @property
    def waiting_state(self) -> str:
        """The state while nothing goes on: with push-to-talk nobody listens."""
        return "idle" if self.mode == PUSH_TO_TALK else "listening"

    # the microphone ------------------------------------------------------------------------------------------------------

    def microphone(self, frame: MicFrame, pcm: bytes, *, ready: bool) -> list[Output]:
        """One frame. Push-to-talk sends only what is spoken while pressed."""
        self.muted = frame.muted
        self._captured_ns = frame.captured_ns
        self._kept.add(frame.captured_ns, pcm, self._untold_since_ns)
        if not ready or (self.mode == PUSH_TO_TALK and not self.pressed):
            return []
        self._sent_bytes += len(pcm)
        self._pressed_bytes += len(pcm)
        return [SendEvent(events.InputAudioAppend(audio=pcm))]

    def _replay(self, from_ns: int) -> None:
        for pcm in self._kept.since(from_ns):
            self._sent_bytes += len(pcm)
            self._pressed_bytes += len(pcm)
            self._out.send(events.InputAudioAppend(audio=pcm))

    # the server's ear ----------------------------------------------------------------------------------------------------

    def speech_started(self, event: events.SpeechStarted, now: MonoNs) -> None:
        self.item_id = event.item_id
        self.hearing = True
        self.thinking_until_ns = None
        began_ns = self._when(event.audio_start_ms, now)
        if self._owed is not None and self._owed.item_id is None:
            self._owed.item_id = event.item_id  # it was told again, and this server has heard it now
            self._owed.began_ns = min(self._owed.began_ns, began_ns)
            self._owed.ended_ns = None
        else:
            self._owe(began_ns, event.item_id)
        self._transcript.announce(USER, event.item_id)
        self._out.publish("speech.started", item_id=event.item_id, audio_ms=sane(event.audio_start_ms), source="server")

    def speech_stopped(self, event: events.SpeechStopped, now: MonoNs) -> None:
        self.hearing = False
        self._over_ns = self._when(event.audio_end_ms, now)
        self._wait_for_answer(now)
        self._out.publish("speech.stopped", item_id=event.item_id, audio_ms=sane(event.audio_end_ms), source="server")

    def _when(self, audio_ms: int, now: MonoNs) -> int:
        """A time of the server's clock, which counts the sound of this session (realtime-protocol 3.4), by ours."""
        behind_ms = self._sent_bytes // BYTES_PER_MS - audio_ms
        newest_ns = now if self._captured_ns is None else self._captured_ns
        return newest_ns - min(max(behind_ms, 0), 10_000) * _NS_PER_MS

    def committed(self, item_id: str, now: MonoNs) -> None:
        self._transcript.announce(USER, item_id)
        nameless = (owed for owed in self._all_owed if owed.item_id is None and (owed.committed or self.mode != PUSH_TO_TALK))
        if (owed := next(nameless, None)) is not None:
            owed.item_id = item_id
        if self._transcribed:
            self._awaited[item_id] = now + _WORDS_WITHIN_NS

    def written_down(self, item_id: str) -> None:
        """The words of an item are known, or never will be."""
        self._awaited.pop(item_id, None)

    def _wait_for_answer(self, now: MonoNs) -> None:
        self.thinking_until_ns = now + _THINKING_AT_MOST_NS
        if self._owed is not None:
            self._owed.ended_ns = now

    # push-to-talk --------------------------------------------------------------------------------------------------------

    def press(self, now: MonoNs, *, ready: bool) -> None:
        """The turn begins a little before the press. Whatever sounds was interrupted already."""
        self.pressed = self.hearing = True
        self.item_id = None
        self.thinking_until_ns = None
        self._release_ns = now + self._talk_limit_ns
        began_ns = max(now - BEFORE_PRESS_NS, self._over_ns)
        self._owe(began_ns, None)
        self._pressed_bytes = 0
        if ready:
            self._out.send(events.InputAudioClear())
            self._replay(began_ns)
        self._out.publish("speech.started", item_id=None, audio_ms=None, source="local")

    def release(self, now: MonoNs, new_id: str, *, ready: bool) -> None:
        self.pressed = self.hearing = False
        self._release_ns = None
        self._over_ns = now
        self._out.publish("speech.stopped", item_id=None, audio_ms=None, source="local")
        if self._pressed_bytes < _SHORTEST_TURN_MS * BYTES_PER_MS and ready:
            self._out.send(events.InputAudioClear())
            self._owed = None
            self._out.log(logging.INFO, f"the key was down for less than {_SHORTEST_TURN_MS} ms; nothing was said")
            return
        self._wait_for_answer(now)
        if self._owed is not None:
            self._owed.committed = True
        if ready:
            self._commit(new_id)

    def _commit(self, new_id: str) -> None:
        self._out.send(events.InputAudioCommit())
        self._queue.add(answer(new_id))

    # the answer ----------------------------------------------------------------------------------------------------------

    def typed(self, item_id: str, now: MonoNs) -> None:
        """A turn in writing, to which an answer is asked for."""
        if self._owed is None or self._written(self._owed):
            self._owe(now, item_id)
        if self._owed is not None and not self.hearing:
            self._owed.ended_ns = now

    def _owe(self, began_ns: int, item_id: str | None) -> None:
        """A turn has begun."""
        self._owed = _Owed(began_ns, item_id, tuple(self._all_owed)[-_MOST_OWED:])

    @property
    def _all_owed(self) -> Iterator[_Owed]:
        """The turns that are not answered, oldest first."""
        if self._owed is not None:
            yield from self._owed.earlier
            yield self._owed

    def _written(self, owed: _Owed) -> bool:
        """Its words are known, and told to every session."""
        return owed.item_id is not None and self._transcript.knows(owed.item_id)

    @property
    def _untold_since_ns(self) -> int | None:
        """When the first turn began of which there is just the sound."""
        return min((owed.began_ns for owed in self._all_owed if not self._written(owed)), default=None)

    def thinking(self, now: MonoNs) -> None:
        self.thinking_until_ns = now + _THINKING_AT_MOST_NS

    def answered(self) -> None:
        """The answer sounds, is over without a sound, or is wanted no more."""
        if not self.hearing:
            self._owed = None
        self.thinking_until_ns = None

    def given_up(self) -> None:
        """Nobody waits for an answer any more: it was interrupted."""
        if not self.hearing:
            self._owed = None

    # another session -----------------------------------------------------------------------------------------------------

    def session_closed(self, now: MonoNs, *, asleep: bool) -> None:
        """Of a turn that the server was hearing there is the sound; push-to-talk goes on."""
        if self.hearing and not self.pressed and self._owed is not None:
            self._owed.ended_ns = now  # it may not be, but that is the last we know
        self._closed_ns = None if asleep else now
        if asleep:
            self._owed = None
            self._kept.forget()
        self.hearing = self.pressed
        self.thinking_until_ns = None
        self._awaited.clear()
        self._sent_bytes = 0

    def session_opened(self, now: MonoNs, new_id: str, *, answering: bool) -> bool:
        """Tells the new session what the last one was not told, or did not answer; true where that was a turn. While the outputs
        of tools are to come (`answering`), the answer comes with them.

        Words, where they are known, are in the conversation that the new session was told already.
        """
        owed, self._owed = self._owed, None
        if owed is not None and now - (owed.ended_ns if owed.ended_ns is not None else now) > OWED_AT_MOST_NS:
            owed = None
        closed_ns, self._closed_ns = self._closed_ns, None
        if owed is None:
            if closed_ns is not None and self.mode != PUSH_TO_TALK:
                self._replay(max(closed_ns - _BEFORE_CLOSE_NS, now - RECENT_NS, self._over_ns))
            return False
        self._owed = owed
        if self._written(owed):
            if not answering:
                self._queue.add(answer(new_id))
            self.thinking(now)
            return True
        owed.began_ns = self._untold_since_ns or owed.began_ns
        owed.item_id, owed.earlier = None, ()
        self._pressed_bytes = 0
        self._replay(owed.began_ns)
        if self.mode == PUSH_TO_TALK and owed.committed:
            self._commit(new_id)
        return True

    # time ----------------------------------------------------------------------------------------------------------------

    @property
    def wake_ns(self) -> int | None:
        times = (self.thinking_until_ns, self._release_ns, self._owed_until_ns, *self._awaited.values())
        return min((time for time in times if time is not None), default=None)

    @property
    def _owed_until_ns(self) -> int | None:
        owed = self._owed
        return None if owed is None or owed.ended_ns is None else owed.ended_ns + OWED_AT_MOST_NS

    def tick(self, now: MonoNs) -> bool:
        """What is due; true where a key was held for too long and is to be released."""
        if self.thinking_until_ns is not None and now >= self.thinking_until_ns:
            self.thinking_until_ns = None
        if self._owed_until_ns is not None and now >= self._owed_until_ns:
            self._owed = None
        self._awaited = {item_id: until_ns for item_id, until_ns in self._awaited.items() if now < until_ns}
        return self._release_ns is not None and now >= self._release_ns
