"""Drives a playback process as network, capture and supervisor do, and hears what comes out of the loudspeaker."""

import time
from typing import Any

from tests.system.family import Family, next_of
from tests.system.loudness import loud_ms
from voiced.bus import DUCK, FLUSH, HEARD, REFERENCE, REPLY, Receiver, Sender
from voiced.demo.recorder import Recorder
from voiced.demo.soundserver import SoundServer
from voiced.messages import Duck, Epoch, Flush, Flushed, MonoNs, Played, PlayedCut, Publish, Ready, ReplyAudio, ReplyEnd

DELTA = b"\x10\x27" * 6000  # 250 ms, no sample of it zero
SETTINGS: dict[str, Any] = {"device": "", "rate": 24_000, "channels": 1, "buffer_ms": 100}
SETTINGS |= {"volume": 100, "landing_ms": 3, "duck_db": 18.0, "earcons": True}
_TIMEOUT_S = 5.0


class Playing:
    """A playback process, what it is told and what is heard. `listened`: capture takes the reference."""

    def __init__(self, family: Family, server: SoundServer, speaker: Recorder, *, listened: bool = False, **settings: object) -> None:
        self.family, self.server, self.speaker = family, server, speaker
        self.flushes = Sender(family.bus.bind(FLUSH))
        self.heard = Receiver(family.bus.bind(HEARD))
        self.reference = Receiver(family.bus.bind(REFERENCE)) if listened else None
        self.replies = Sender(family.bus.connect(REPLY))
        self.ducks = Sender(family.bus.connect(DUCK))
        family.start("playback", **{**SETTINGS, **settings})
        self.ready = family.wait_for(Ready)
        assert self.flushes.socket.recv() == b"\x01"  # its subscription: from here on no flush is lost

    def say(self, epoch: int, item: str, deltas: int, *, end: bool = False) -> int:
        return self.say_this(epoch, item, DELTA * deltas, end=end)

    def say_this(self, epoch: int, item: str, pcm: bytes, *, end: bool = False) -> int:
        """Returns a sample of the recording from before it sounds."""
        at = self.speaker.samples
        for first in range(0, len(pcm), len(DELTA)):
            self.replies.send(ReplyAudio(Epoch(epoch), item, 0), pcm[first : first + len(DELTA)])
        if end:
            self.replies.send(ReplyEnd(Epoch(epoch), item, 0))
        return at

    def flush(self, epoch: int) -> tuple[Flushed, MonoNs]:
        ordered = MonoNs(time.monotonic_ns())
        self.flushes.send(Flush(Epoch(epoch), "speech_started", ordered))
        while (flushed := next_of(self.heard, Flushed)[0]).epoch != epoch:
            pass
        return flushed, ordered

    def duck(self, *, lowered: bool = True) -> tuple[Publish, MonoNs]:
        """Returns what it publishes, and when it was ordered."""
        ordered = MonoNs(time.monotonic_ns())
        self.ducks.send(Duck(lowered, ordered))
        return self.family.wait_for(Publish), ordered

    def announced(self) -> list[tuple[Played | PlayedCut, bytes]]:
        """What capture was told of what sounds, since this was last asked."""
        assert self.reference is not None
        return [(message, pcm) for message, pcm in self.reference.drain(1000) if isinstance(message, Played | PlayedCut)]

    def listen(self, ms: float, since: int | None = None) -> None:
        """Until so much more is heard, from `since` or from now on."""
        self.speaker.wait_for_samples((self.speaker.samples if since is None else since) + round(24 * ms), _TIMEOUT_S + ms / 1000)

    def sounded_ms(self, since: int) -> float:
        first = self.speaker.first_sound(since)
        last = self.speaker.wait_for_silence(150, _TIMEOUT_S, since=since)
        assert first is not None
        return (last - first + 1) / 24

    def loud_ms(self, since: int) -> float:
        """How much of it was heard: what a gap, where the machine stalled, does not change."""
        last = self.speaker.wait_for_silence(150, _TIMEOUT_S, since=since)
        return loud_ms(self.speaker.sound(since, last + 1))
