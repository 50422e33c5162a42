"""What the capture process makes of the microphone: its voice detector, and the gate that is closed while the assistant sounds."""

from collections import deque

from voiced.messages import LocalSpeech, MicFrame, MonoNs

_ONSET_MS = 100
_HANGOVER_MS = 400
_HELD_MS = 500
_NS_PER_MS = 1_000_000

Heard = tuple[MicFrame | LocalSpeech, bytes]


class Capture:
    """One frame in, what goes to the network process out. Its detector errs by time only."""

    def __init__(self, frame_ms: int) -> None:
        self._frame_ms = frame_ms
        self._spoken_ms = self._quiet_ms = 0
        self._speaking = self._interrupting = False
        self._held: deque[tuple[MicFrame, bytes]] = deque(maxlen=_HELD_MS // frame_ms)

    def take(self, now: MonoNs, pcm: bytes, *, speaking: bool, sounding: bool) -> list[Heard]:
        told = [(LocalSpeech(phase, now, 0.9), b"") for phase in self._phases(speaking=speaking, sounding=sounding)]
        frame = (MicFrame(0, now, False), pcm)
        if sounding and not self._interrupting:
            self._held.append(frame)
            return [*told, (frame[0], bytes(len(pcm)))]
        sent_along = list(self._held) if self._interrupting else []
        self._held.clear()
        return [*told, *sent_along, frame]

    def _phases(self, *, speaking: bool, sounding: bool) -> list[str]:
        self._spoken_ms = self._spoken_ms + self._frame_ms if speaking else 0
        self._quiet_ms = 0 if speaking else self._quiet_ms + self._frame_ms
        phases = []
        if self._spoken_ms >= _ONSET_MS and not self._speaking:
            self._speaking = True
            phases.append("started")
        if self._spoken_ms >= _ONSET_MS and sounding and not self._interrupting:
            self._interrupting = True
            phases.append("confirmed")
        if self._quiet_ms >= _HANGOVER_MS:
            self._interrupting = False
            if self._speaking:
                self._speaking = False
                phases.append("stopped")
        return phases
