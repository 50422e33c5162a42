"""What becomes of the microphone's sound on its way out. Joins the parts; decides nothing.

    device ─► framer ─► mute ─► hearing (echo) ─► ears (wake word) ─► interruption, segments ─► gate ─► network

No device, no clock, no socket: sound and messages come in with their times, messages go out.
"""

from typing import Any, NamedTuple

from voiced.audio.echo.interface import Decision
from voiced.audio.format import Converter
from voiced.audio.meter import FLOOR_DBFS, dbfs
from voiced.capture.ears import KEPT_MS, Ears, Word
from voiced.capture.framer import Framer
from voiced.capture.gate import Frame, Gate
from voiced.capture.hearing import Hearing
from voiced.capture.interruption import RECENT_NS, Cleaned, Interruption
from voiced.capture.speech import Segments
from voiced.messages import Duck, LocalSpeech, MicFrame, MonoNs, Played, PlayedCut

_NS_PER_MS = 1_000_000
#: A voice is suspected so long after it began.
_ONSET_MS = 120
#: Longer than any sound is in canceller and resamplers (16 ms, with frames of 10 ms 26).
_INSIDE_MS = 30


class Taken(NamedTuple):
    """What one reading of the device leads to."""

    to_network: list[tuple[MicFrame | LocalSpeech, bytes | None]]
    to_playback: list[Duck]


class Microphone:
    """`settings` are those of the process; `word` listens for the wake word."""

    def __init__(self, settings: dict[str, Any], converter: Converter, cleaned: Cleaned, word: Word | None = None) -> None:
        self.muted = bool(settings["muted"])
        self._framer = Framer(converter, settings["frame_ms"])
        self._hearing = Hearing(settings, cleaned)
        self._interruption = Interruption(settings["barge_in"], cleaned, push_to_talk=settings["push_to_talk"])
        self._segments = Segments(settings["barge_in"]["threshold"])
        self._gate = Gate(keep=RECENT_NS // (settings["frame_ms"] * _NS_PER_MS), least=_ONSET_MS // settings["frame_ms"])
        self._ears = Ears(word, keep=KEPT_MS // settings["frame_ms"])
        self._last = b""
        self._deafening = -(-_INSIDE_MS // settings["frame_ms"])
        #: So many frames more are not heard: sound from before a mute is still in what processes it.
        self._deaf = 0

    def take(self, pcm: bytes, captured_ns: MonoNs) -> Taken:
        """Sound of the device, the last sample of which was captured then."""
        taken = Taken([], [])
        for at, sound in self._framer.feed(pcm, captured_ns):
            if self.muted:
                self._hearing.ignore(at)
                taken.to_network.append(self._gate.silence(at, len(sound), muted=True))
            elif self._deaf:
                self._deaf -= 1
                self._hearing.hear(sound, at)
                taken.to_network.append(self._gate.silence(at, len(sound), muted=False))
            else:
                self._hear(sound, at, taken)
        return taken

    def _hear(self, sound: bytes, captured_ns: MonoNs, taken: Taken) -> None:
        heard = self._hearing.hear(sound, captured_ns)
        self._last = heard.frame.sound
        woken, frames = self._ears.hear(heard.samples, heard.frame)
        if not frames:
            taken.to_network.append(self._gate.silence(captured_ns, len(sound), muted=False))
            return
        if woken is not None:
            taken.to_network.append((woken, None))
            self._pass(frames[:-1], taken)
        for decision in heard.decisions:
            speech = self._segments.heard(decision.speech, captured_ns)
            if speech is not None:
                taken.to_network.append((speech, None))
        self._interrupt(heard.decisions, heard.frame, taken)

    def _interrupt(self, decisions: list[Decision], frame: Frame, taken: Taken) -> None:
        outcome = self._interruption.heard(decisions, frame.captured_ns)
        if outcome.duck is not None:
            taken.to_playback.append(outcome.duck)
        if outcome.speech is not None:
            taken.to_network.append((outcome.speech, None))
        taken.to_network.extend(self._gate.passes(frame, open=outcome.open, replay=outcome.replay))

    def _pass(self, frames: list[Frame], taken: Taken) -> None:
        for frame in frames:
            taken.to_network.extend(self._gate.passes(frame, open=True, replay=False))

    def played(self, message: Played | PlayedCut, pcm: bytes) -> None:
        """Playback has handed sound to its device, or taken it back."""
        self._hearing.played(message, pcm)
        if isinstance(message, Played):
            self._interruption.played()
        elif message.reason:
            self._interruption.flushed(message.cut_ns)

    def mute(self, muted: bool, now: MonoNs) -> list[Duck]:
        """From the next frame on. No sample of one side of the switch is sent on the other, and nobody waits for one who is mute."""
        self.muted = muted
        self._deaf = 0 if muted else self._deafening
        self._framer.forget()
        return self._forget(now)

    def listen(self, *, open: bool, now: MonoNs) -> list[Duck]:
        """Opens the ears, or closes them until the wake word. As they are already: the word itself opened them, and what is said
        behind it is under way."""
        if open == self.listening:
            return []
        self._ears.turn(open=open)
        return self._forget(now)

    def leave_to_a_key(self, on: bool, now: MonoNs) -> list[Duck]:
        """Push-to-talk, or no longer."""
        raised = self._forget(now)
        self._interruption.push_to_talk = on
        return raised

    def _forget(self, now: MonoNs) -> list[Duck]:
        raised = [Duck(lowered=False, ordered_ns=now)] if self._interruption.lowered else []
        self._gate.reset()
        self._ears.reset()
        self._interruption.reset()
        self._segments.reset()
        self._last = b""
        return raised

    @property
    def listening(self) -> bool:
        return self._ears.open

    @property
    def level_dbfs(self) -> float:
        """Of what was heard last."""
        return FLOOR_DBFS if self.muted else dbfs(self._last)

    def facts(self) -> dict[str, Any]:
        return {"muted": self.muted, "listening": self.listening, "echo": self._hearing.facts()}
