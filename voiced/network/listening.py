"""When the conversation listens: what it makes of our own voice detector and of the wake word, one method a phase of
`LocalSpeech`, and how it falls asleep when nobody speaks. Pure.
"""

from collections.abc import Callable

from voiced.messages import LocalSpeech, MonoNs
from voiced.network.conversation import Conversation
from voiced.network.ear import CONFIRMED_NS, ONSET_NS, WAKE_NS
from voiced.network.hello import Phase
from voiced.network.turn import PUSH_TO_TALK

LOCAL = "local"
_NS_PER_S = 1_000_000_000


class Listening:
    """`received` is the number of the newest server event that was received by then."""

    def __init__(self, conversation: Conversation) -> None:
        self._talk = conversation
        self._phases: dict[str, Callable[[LocalSpeech, int, MonoNs], None]] = {
            "started": self._started,
            "stopped": self._stopped,
            "confirmed": self._confirmed,
            "wake": self._woken,
        }

    def begin(self, now: MonoNs) -> None:
        """Where a session is not kept open for nothing, the first one waits for the wake word."""
        if self._talk.door.shut and self._idle_s:
            self._talk.sleep(f"nobody has said {self._talk.door.word} yet", now)

    def hear(self, speech: LocalSpeech, received: int, now: MonoNs) -> None:
        phase = self._phases.get(speech.phase)
        if phase is not None:
            phase(speech, received, now)

    def _started(self, speech: LocalSpeech, received: int, now: MonoNs) -> None:
        talk = self._talk
        if talk.door.shut:
            return
        talk.ear.started(speech.captured_ns, CONFIRMED_NS if speech.phase == "confirmed" else ONSET_NS)
        if talk.turn.mode == PUSH_TO_TALK:
            talk.turn.spoke(speech.captured_ns, ready=talk.line.ready)
        else:
            self._attend(now)

    def _stopped(self, speech: LocalSpeech, received: int, now: MonoNs) -> None:
        self._talk.ear.stopped()
        self._talk.turn.fell_silent(speech.captured_ns)

    def _confirmed(self, speech: LocalSpeech, received: int, now: MonoNs) -> None:
        """As the server's speech_started, which may follow. With push-to-talk only the key interrupts."""
        if self._talk.turn.mode != PUSH_TO_TALK and not self._talk.door.shut:
            self._take_the_floor(received, now)
        self._started(speech, received, now)

    def _woken(self, speech: LocalSpeech, received: int, now: MonoNs) -> None:
        talk = self._talk
        if talk.voice.audible:
            self._take_the_floor(received, now)
        talk.out.publish("wake", word=talk.door.word, probability=round(speech.probability, 3))
        talk.door.open(now)
        if talk.phase is Phase.ASLEEP and talk.exhausted:
            talk.out.error("asleep", talk.exhausted)
            talk.door.close()
            return
        self._wake()
        if talk.turn.mode != PUSH_TO_TALK:
            self._guess(speech.captured_ns - WAKE_NS)

    def _take_the_floor(self, received: int, now: MonoNs) -> None:
        talk = self._talk
        talk.voice.interrupt(LOCAL, received, now)
        talk.make_way(now)

    def _attend(self, now: MonoNs) -> None:
        """Somebody speaks, and the server does not know."""
        talk = self._talk
        self._wake()
        self._guess(talk.ear.speaking_since_ns or now)
        if not talk.turn.hearing and not talk.voice.audible:
            talk.ear.claim(now)

    def _guess(self, began_ns: int) -> None:
        """The session that is being opened will be told it."""
        talk = self._talk
        if not talk.line.ready and talk.phase not in (Phase.ASLEEP, Phase.FAILED):
            talk.turn.guessed(began_ns)

    def _wake(self) -> None:
        if self._talk.phase is Phase.ASLEEP and not self._talk.exhausted:
            self._talk.wake()

    # time ----------------------------------------------------------------------------------------------------------------

    @property
    def _idle_s(self) -> int:
        return int(self._talk.settings.get("idle_disconnect_s") or 0)

    @property
    def _idle_ns(self) -> int | None:
        """When to fall asleep. Not while somebody may be speaking."""
        talk = self._talk
        if not self._idle_s or not talk.line.ready or talk.quiet.since_ns is None:
            return None
        since_ns = max(talk.quiet.since_ns, talk.door.opened_ns)
        return max(since_ns + self._idle_s * _NS_PER_S, talk.ear.claim_until_ns or 0)

    @property
    def _door_ns(self) -> int | None:
        """When to close the door."""
        talk = self._talk
        due_ns = talk.door.due_ns(talk.quiet.since_ns)
        return None if due_ns is None or talk.woken else max(due_ns, talk.ear.claim_until_ns or 0)

    @property
    def wake_ns(self) -> int | None:
        """When `tick` wants to be called, at the latest."""
        times = (self._talk.ear.claim_until_ns, self._idle_ns, self._door_ns)
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: MonoNs) -> None:
        talk = self._talk
        talk.ear.tick(now)
        if self._door_ns is not None and now >= self._door_ns:
            talk.shut_the_door()
        if self._idle_ns is not None and now >= self._idle_ns:
            by_voice = "" if talk.turn.mode == PUSH_TO_TALK else f"{talk.door.word or 'your voice'}, "
            talk.sleep(f"nothing was said for {self._idle_s} s; {by_voice}`voicectl wake` or `talk` goes on", now)
