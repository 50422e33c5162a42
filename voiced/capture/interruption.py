"""Duck, confirm, resume: what is done about a user who may be speaking while the assistant is. Pure.

                     suspected                       confirmed
    nobody speaks ─────────────► the voice is lowered ──────────► interrupted: a LocalSpeech to the network process
          ▲                          │  nothing for `resume_ms`        │
          └──────────────────────────┴─────────────────────────────────┘  the voice comes back, or was flushed

The gate is part of it: while the assistant sounds, or its echo may, the server hears nothing until an interruption is
confirmed, so that neither echo nor cough can interrupt it there. What was said meanwhile is sent along when the gate opens.

In mode `server` there is neither: the server hears all, and it alone interrupts. In mode `local` a suspicion is enough.
What another program's canceller left of the echo is not ours to judge: then a suspicion lowers the voice, the gate stays
open, and the server confirms. Where nobody cancels, all is left to the server.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from voiced.audio.echo.interface import Decision
from voiced.messages import Duck, LocalSpeech, MonoNs

_NS_PER_MS = 1_000_000
#: After an interruption this much without evidence means that the next is another one (two-path.md, R6: 416 ms).
_REARM_NS = 416 * _NS_PER_MS
#: Speech that was suspected this long ago is still behind the gate when it opens, and worth sending along.
RECENT_NS = 500 * _NS_PER_MS
#: A flush by whatever order: what may still be heard is the room's tail, which the canceller knows. Until playback sounds again.
_FLUSHED_NS = 1_000 * _NS_PER_MS


class Cleaned(StrEnum):
    """Who takes the echo out of the microphone's sound."""

    OURS = "ours"
    SYSTEM = "system"  # PipeWire's or PulseAudio's echo-cancelled source
    NOBODY = "off"


class Outcome(NamedTuple):
    """What follows from one frame."""

    duck: Duck | None
    speech: LocalSpeech | None
    open: bool  # the gate
    #: It opened with somebody speaking: the frames held back go first.
    replay: bool


class Interruption:
    """`settings` is the section barge_in of the configuration. With push-to-talk a voice interrupts nobody: the key does."""

    def __init__(self, settings: dict[str, Any], cleaned: Cleaned, *, push_to_talk: bool = False) -> None:
        self.push_to_talk = push_to_talk
        self._mode = "server" if cleaned is Cleaned.NOBODY else str(settings["mode"])
        self._trusting = cleaned is Cleaned.OURS
        self._resume_ns = int(settings["resume_ms"]) * _NS_PER_MS
        self.reset()

    def reset(self) -> None:
        """Nothing was heard so far: at the start, and when the microphone was muted."""
        self.lowered = False
        self._ducked_ns = 0
        self._suspected_ns: int | None = None
        self._evidence_ns: int | None = None  # of the interruption that was confirmed
        # Echo comes before the first decision about it.
        self._open = not self._trusting or self._left_to_others
        self._flushed_until_ns = 0

    def heard(self, decisions: Iterable[Decision], now: MonoNs) -> Outcome:
        """The decisions about one frame, which may be none."""
        speech = None
        sounding: bool | None = None
        for decision in decisions:
            sounding = decision.far_active
            # What was said before the assistant began interrupts nothing: it is what is answered.
            if sounding and (decision.suspected or decision.confirmed):
                self._suspected_ns = now
            speech = self._confirm(decision, now) or speech
        if self._left_to_others:
            return Outcome(None, None, True, False)
        was_open = self._open
        if sounding is not None and self._trusting:
            self._open = not sounding or self._interrupting(now) or now < self._flushed_until_ns
        replay = self._open and not was_open and self._recent(self._suspected_ns, RECENT_NS, now)
        return Outcome(self._duck(now, sounding=bool(sounding)), speech, self._open, replay)

    def flushed(self, now: MonoNs) -> None:
        """The assistant was silenced, by whatever flush."""
        # It ended the duck, but for one that was ordered since and is still on its way: playback makes the same comparison.
        self.lowered = self.lowered and self._ducked_ns > now
        self._flushed_until_ns = now + _FLUSHED_NS

    def played(self) -> None:
        """The assistant sounds. Where that comes soon after a flush, its echo is not the tail of what was flushed."""
        if self._flushed_until_ns:
            self._flushed_until_ns = 0
            self._suspected_ns = None

    def _confirm(self, decision: Decision, now: MonoNs) -> LocalSpeech | None:
        enough = (decision.confirmed and self._trusting) or (self._mode == "local" and decision.suspected)
        if not enough or not decision.far_active or self._left_to_others:
            return None
        already = self._interrupting(now)
        self._evidence_ns = now
        return None if already else LocalSpeech("confirmed", now, decision.speech)

    @property
    def _left_to_others(self) -> bool:
        """To the server, or to a key."""
        return self._mode == "server" or self.push_to_talk

    def _interrupting(self, now: MonoNs) -> bool:
        return self._recent(self._evidence_ns, _REARM_NS, now)

    def _duck(self, now: MonoNs, *, sounding: bool) -> Duck | None:
        suspected = self._recent(self._suspected_ns, self._resume_ns, now) and now >= self._flushed_until_ns
        wanted = self._mode == "duck" and suspected and (sounding or self.lowered)
        if wanted == self.lowered:
            return None
        self.lowered, self._ducked_ns = wanted, now
        return Duck(wanted, now)

    @staticmethod
    def _recent(since_ns: int | None, limit_ns: int, now: MonoNs) -> bool:
        return since_ns is not None and now - since_ns < limit_ns
