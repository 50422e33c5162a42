"""The user's turn: when it begins and ends, by the server's ear or by push-to-talk, and the answer that is owed to it. Pure.

A turn whose answer has not begun to sound is *owed* one. Where the connection is lost meanwhile, the next session is told the
turn again: by its words where they are known, else by its sound.
"""

import logging
from typing import Any

from voiced.messages import BYTES_PER_MS, MicFrame, MonoNs
from voiced.network import events
from voiced.network.complaints import sane
from voiced.network.ear import Ear
from voiced.network.kept import RECENT_NS, KeptSound
from voiced.network.limits import AWAITED
from voiced.network.outputs import Outbox, Output
from voiced.network.owed import OWED_AT_MOST_NS, Debts, Owed
from voiced.network.press import Press
from voiced.network.responses import ResponseQueue, answer
from voiced.network.transcript import USER, Transcript

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
#: After the user's last word the server answers within a second or two; later, nobody is thinking any more.
_THINKING_AT_MOST_NS = 10 * _NS_PER_S
#: A turn's words come within seconds, or not at all.
_WORDS_WITHIN_NS = 5 * _NS_PER_S
#: Sound from before the press: people press while they begin to speak.
BEFORE_PRESS_NS = 300 * _NS_PER_MS
#: A server refuses a shorter turn (realtime-protocol 1.8: input_audio_buffer_commit_empty).
_SHORTEST_TURN_MS = 100
_SHORTEST_TURN_NS = _SHORTEST_TURN_MS * _NS_PER_MS
#: Told again to the next server, although nobody was heard: the last one may not have noticed yet.
_BEFORE_CLOSE_NS = 1 * _NS_PER_S

PUSH_TO_TALK = "push_to_talk"


class Turn:
    def __init__(self, out: Outbox, queue: ResponseQueue, transcript: Transcript, ear: Ear) -> None:
        self.mode = "vad"
        self.hearing = False
        self.muted = False
        self.item_id: str | None = None
        self.thinking_until_ns: int | None = None
        self._refuse_until_ns: int | None = None  # the next response is wanted no more
        self._start_ms = 0
        self._pressed_ns = 0
        self._release_ns: int | None = None  # when a key is held for too long
        self._over_ns = 0  # what was said before belongs to a turn that is over
        self._talk_limit_ns = 0
        self._out = out
        self._queue = queue
        self._transcript = transcript
        self._ear = ear
        self._press: Press | None = None
        self._said: Owed | None = None  # the turn that is being said
        self._kept = KeptSound()
        self._debts = Debts(transcript.knows)
        self._closed_ns: int | None = None
        self._captured_ns: MonoNs | None = None  # the end of the newest frame
        self._sent_bytes = 0  # to the session of now
        self._pressed_bytes = 0  # of these, since the press
        self._awaited: dict[str, int] = {}  # items whose words are to come, and until when
        self._transcribed = False

    def configure(self, settings: dict[str, Any]) -> None:
        mode = settings.get("mode") or "vad"
        self._talk_limit_ns = int(settings.get("talk_limit_s") or 120) * _NS_PER_S
        self._transcribed = bool(settings.get("transcription_model"))
        if mode != self.mode:
            self._abandon()
        self.mode = mode

    def _abandon(self) -> None:
        """What was said in one mode is no turn of the other."""
        if self.hearing:
            self._publish_stop(self.item_id, None, "local" if self.pressed else "server")
        self.hearing, self._press, self._said = False, None, None
        self._release_ns = self.thinking_until_ns = None
        self._debts.paid()
        self._ear.deafened()

    @property
    def pressed(self) -> bool:
        return self._press is not None

    @property
    def busy(self) -> bool:
        """Somebody speaks, or waits for an answer, or for words to be written down. A guess of our own ear's does not count."""
        return self.hearing or self.unanswered or bool(self._awaited)

    @property
    def unanswered(self) -> bool:
        """An answer is owed."""
        return any(not owed.guessed for owed in self._debts)

    @property
    def waiting_state(self) -> str:
        """The state while nothing goes on: with push-to-talk nobody listens."""
        return "idle" if self.mode == PUSH_TO_TALK else "listening"

    @property
    def owed_items(self) -> set[str]:
        """The items of turns that are told again."""
        return {owed.item_id for owed in self._debts if owed.item_id is not None}

    # the microphone ------------------------------------------------------------------------------------------------------

    def microphone(self, frame: MicFrame, pcm: bytes, *, ready: bool) -> list[Output]:
        """One frame. Push-to-talk sends only what is spoken while pressed."""
        self.muted = frame.muted
        self._captured_ns = frame.captured_ns
        if self._ear.frame(frame):
            self._undetected(ready=ready)
        if self._ear.speaking_since_ns is None:
            self._end_guess(frame.captured_ns)
        self._kept.add(frame.captured_ns, pcm, self._debts.untold_since_ns())
        press = self._press
        if not ready or (self.mode == PUSH_TO_TALK and (press is None or not press.sending)):
            return self._out.take()
        if press is not None:
            press.sent(frame.captured_ns)
        self._sent_bytes += len(pcm)
        self._pressed_bytes += len(pcm)
        self._out.send(events.InputAudioAppend(audio=pcm))
        return self._out.take()

    def _replay(self, from_ns: int, until_ns: int | None = None) -> None:
        for pcm in self._kept.between(from_ns, until_ns):
            self._sent_bytes += len(pcm)
            self._pressed_bytes += len(pcm)
            self._out.send(events.InputAudioAppend(audio=pcm))
        if self._press is not None and until_ns is None and self._captured_ns is not None:
            self._press.sent(self._captured_ns)

    # our own ear ---------------------------------------------------------------------------------------------------------

    def guessed(self, began_ns: int) -> None:
        """Somebody speaks while there is no session: the next one is told it, as far as the words are not too old. It ends when our
        own ear hears nobody, or nothing, any more."""
        guess = self._debts.guess
        if guess is not None:
            guess.ended_ns = None
        else:
            self._debts.add(max(began_ns, self._over_ns), None).guessed = True

    def session_wanted(self) -> None:
        """There is none, and somebody may be speaking."""
        if self._ear.speaking_since_ns is not None and self.mode != PUSH_TO_TALK:
            self.guessed(self._ear.speaking_since_ns)

    def _end_guess(self, now: MonoNs) -> None:
        guess = self._debts.guess
        if guess is not None and guess.ended_ns is None:
            guess.ended_ns = now

    def spoke(self, captured_ns: MonoNs, *, ready: bool) -> None:
        """Somebody speaks while the key is down."""
        press, said = self._press, self._said
        if press is None or said is None:
            return
        from_ns = press.started(captured_ns)
        said.began_ns = max(said.began_ns, press.first_ns)
        if from_ns is not None and ready:
            self._replay(from_ns)

    def fell_silent(self, captured_ns: MonoNs) -> None:
        if self._press is not None:
            self._press.stopped(captured_ns)

    def _undetected(self, *, ready: bool) -> None:
        from_ns = None if self._press is None else self._press.undetected()
        if from_ns is not None and ready:
            self._replay(from_ns)

    # the server's ear ----------------------------------------------------------------------------------------------------

    def speech_started(self, event: events.SpeechStarted, now: MonoNs) -> None:
        self.item_id = event.item_id
        self.hearing = True
        self.thinking_until_ns = self._refuse_until_ns = None
        self._start_ms = event.audio_start_ms
        self._ear.noticed()
        began_ns = self._when(event.audio_start_ms, now)
        self._said = told = self._debts.nameless
        if told is not None:
            told.name(event.item_id)  # it was told again, and this server has heard it now
            told.began_ns = min(told.began_ns, began_ns)
            told.ended_ns = None
        else:
            self._said = self._debts.add(began_ns, event.item_id)
        self._transcript.announce(USER, event.item_id)
        self._out.publish("speech.started", item_id=event.item_id, audio_ms=sane(event.audio_start_ms), source="server")

    def speech_stopped(self, event: events.SpeechStopped, now: MonoNs) -> None:
        told = event.audio_end_ms > self._start_ms  # or the server has no clock
        self._over_ns = self._when(event.audio_end_ms, now) if told else now
        self._stop_hearing(event.item_id, event.audio_end_ms, now)

    def overtaken(self, event: events.SpeechStopped) -> None:
        """The end of a speech before the one that is heard now."""
        self._publish_stop(event.item_id, event.audio_end_ms, "server")

    def _stop_hearing(self, item_id: str, audio_ms: int | None, now: MonoNs) -> None:
        self.hearing = False
        self._wait_for_answer(now)
        self._publish_stop(item_id, audio_ms, "server")

    def _publish_stop(self, item_id: str | None, audio_ms: int | None, source: str) -> None:
        self._out.publish("speech.stopped", item_id=item_id, audio_ms=sane(audio_ms), source=source)

    def _when(self, audio_ms: int, now: MonoNs) -> int:
        """A time of the server's clock, which counts the sound of this session (realtime-protocol 3.4), by ours."""
        behind_ms = self._sent_bytes // BYTES_PER_MS - audio_ms
        newest_ns = now if self._captured_ns is None else self._captured_ns
        return newest_ns - min(max(behind_ms, 0), 10_000) * _NS_PER_MS

    def committed(self, item_id: str, now: MonoNs) -> None:
        self._transcript.announce(USER, item_id)
        if self.hearing and item_id == self.item_id:
            self._stop_hearing(item_id, None, now)  # servers have been seen to leave out speech_stopped
        nameless = (owed for owed in self._debts if owed.item_id is None and (owed.released_ns or self.mode != PUSH_TO_TALK))
        if (owed := next(nameless, None)) is not None:
            owed.name(item_id)
        if self._transcribed:
            self._awaited[item_id] = now + _WORDS_WITHIN_NS
            if len(self._awaited) > AWAITED:
                del self._awaited[next(iter(self._awaited))]

    def written_down(self, item_id: str) -> None:
        """The words of an item are known, or never will be."""
        self._awaited.pop(item_id, None)

    def _wait_for_answer(self, now: MonoNs) -> None:
        self.thinking_until_ns = now + _THINKING_AT_MOST_NS
        if self._said is not None:
            self._said.ended_ns = now
        self._said = None

    # push-to-talk --------------------------------------------------------------------------------------------------------

    def press(self, now: MonoNs, *, ready: bool) -> None:
        """The turn begins a little before the press. Whatever sounds was interrupted already."""
        self.hearing = True
        self.item_id = None
        self.thinking_until_ns = self._refuse_until_ns = None
        self._pressed_ns = now
        self._release_ns = now + self._talk_limit_ns
        began_ns = max(now - BEFORE_PRESS_NS, self._over_ns)
        self._press = press = Press(began_ns, trusting=self._ear.alive and self._ear.speaking_since_ns is None)
        self._said = self._debts.add(began_ns, None)
        self._pressed_bytes = 0
        if ready:
            self._out.send(events.InputAudioClear())
        if ready and press.sending:
            self._replay(began_ns)
        self._out.publish("speech.started", item_id=None, audio_ms=None, source="local")

    def release(self, now: MonoNs, new_id: str, *, ready: bool) -> None:
        """Where the detector heard nobody, the key is the user's word: but not one that is stuck, or where there is no sound."""
        press = self._press
        held_ns = now - self._pressed_ns
        if press is not None and not press.spoken and not self.muted and _SHORTEST_TURN_NS <= held_ns < self._talk_limit_ns:
            self._undetected(ready=ready)
        self._press = None
        self.hearing = False
        self._release_ns = None
        self._over_ns = now
        self._publish_stop(None, None, "local")
        said = self._said
        if said is None or press is None:
            return
        spoken_ms = self._pressed_bytes // BYTES_PER_MS if ready else held_ns // _NS_PER_MS
        if spoken_ms < _SHORTEST_TURN_MS or not press.spoken:
            self._debts.remove(said)
            self._said = None
            if ready:
                self._out.send(events.InputAudioClear())
            why = f"was down for less than {_SHORTEST_TURN_MS} ms; nothing was said" if press.spoken else "was down, but nobody was heard"
            self._out.log(logging.INFO, f"the key {why}")
            return
        said.released_ns = now if press.stopped_ns is None else press.stopped_ns
        self._wait_for_answer(now)
        if ready:
            self._out.send(events.InputAudioCommit())
            self._queue.add(answer(new_id))

    # the answer ----------------------------------------------------------------------------------------------------------

    def typed(self, item_id: str, now: MonoNs) -> None:
        """A turn in writing, to which an answer is asked for."""
        self._refuse_until_ns = None
        self._debts.add(now, item_id).ended_ns = now

    def thinking(self, now: MonoNs) -> None:
        self.thinking_until_ns = now + _THINKING_AT_MOST_NS

    def answered(self) -> None:
        """The answer sounds, or is over without a sound."""
        self._debts.answered(but=self._said)
        self.thinking_until_ns = None

    def given_up(self) -> bool:
        """Nobody waits for an answer any more: it was interrupted. True where the server was about to begin one, which is
        refused when it comes."""
        self._debts.paid(but=self._said)
        self._refuse_until_ns, self.thinking_until_ns = self.thinking_until_ns, None
        return self._refuse_until_ns is not None

    def response_created(self, now: MonoNs) -> bool:
        """The server begins an answer; true where it is wanted no more."""
        refused = self._refuse_until_ns is not None and now < self._refuse_until_ns
        self.thinking_until_ns = self._refuse_until_ns = None
        return refused

    # another session -----------------------------------------------------------------------------------------------------

    def session_closed(self, now: MonoNs, *, asleep: bool) -> None:
        """Of a turn that the server was hearing there is the sound; push-to-talk goes on."""
        if not self.pressed and self._said is not None:
            self._said.ended_ns = now  # it may not be, but that is the last we know
            self._said = None
        else:
            self.session_wanted()
        if self._closed_ns is None:
            self._closed_ns = now
        if asleep:
            self._closed_ns = None
            self._debts.paid()
            self._kept.forget()
            if self.pressed:
                self._publish_stop(None, None, "local")
            self._press = self._said = self._release_ns = None
        self.hearing = self.pressed
        self.thinking_until_ns = self._refuse_until_ns = None
        self._awaited.clear()
        self._sent_bytes = 0

    def session_opened(self, now: MonoNs, new_id: str, *, answering: bool) -> None:
        """Tells the new session what the last one was not told, or did not answer. While the outputs of tools are to come
        (`answering`), the answer comes with them.

        Words, where they are known, are in the conversation that the new session was told already.
        """
        closed_ns, self._closed_ns = self._closed_ns, None
        self._expire(now, ready=False)
        spoken = self._debts.by_sound()
        known = self.unanswered
        if spoken and self.mode == PUSH_TO_TALK:
            self._talk_again(spoken, new_id)
        elif spoken:
            self._tell_again(spoken, now)
        elif closed_ns is not None and self.mode != PUSH_TO_TALK:
            self._replay(max(closed_ns - _BEFORE_CLOSE_NS, now - RECENT_NS, self._over_ns))
        if known and all(owed.guessed for owed in spoken) and not answering:
            self._queue.add(answer(new_id))
            self.thinking(now)

    def _tell_again(self, spoken: list[Owed], now: MonoNs) -> None:
        """All that was said, with the pauses in it, faster than it was said; the server will hear turns in it."""
        first = spoken[0]
        self._replay(max(first.began_ns, now - OWED_AT_MOST_NS) if first.guessed else first.began_ns)
        self._debts.merge(spoken)
        first.item_id = None
        if first.guessed:
            first.ended_ns = now  # whether or not it goes on: if it was anything, the server notices

    def _talk_again(self, spoken: list[Owed], new_id: str) -> None:
        """What was said while the key was down, turn by turn, and nothing of what was said in between."""
        for owed in spoken:
            owed.item_id = None
            self._pressed_bytes = 0
            if owed.released_ns is None and self._press is not None and not self._press.spoken:
                continue
            self._replay(owed.began_ns, owed.released_ns)
            if owed.released_ns is not None:
                self._out.send(events.InputAudioCommit())
                self._queue.add(answer(new_id))

    # time ----------------------------------------------------------------------------------------------------------------

    @property
    def wake_ns(self) -> int | None:
        times = (self.thinking_until_ns, self._release_ns, self._debts.until_ns, *self._awaited.values())
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: MonoNs, *, ready: bool) -> bool:
        """What is due; true where a key was held for too long and is to be released."""
        if self.thinking_until_ns is not None and now >= self.thinking_until_ns:
            self.thinking_until_ns = None
        self._expire(now, ready=ready)
        self._awaited = {item_id: until_ns for item_id, until_ns in self._awaited.items() if now < until_ns}
        return self._release_ns is not None and now >= self._release_ns

    def _expire(self, now: MonoNs, *, ready: bool) -> None:
        if self._debts.expire(now) and not ready:
            self._out.error("connection_lost", "there was no session for too long; what you said was not answered; say it again")
