"""What playback says of the parts that it plays, and what it is given when it listens again, or for the first time: what it has
plays on, what it lacks is sent. Pure.

it was killed                     its successor has nothing: the rest goes on from where it was heard
we were killed                    it has what our predecessor sent: that plays on, and can be interrupted
the line between us was broken    it has most of what was sent, and what is missing is sent again
"""

from collections.abc import Iterable, Mapping

from voiced.messages import CarriedOn, Epoch, MonoNs, PartQueued, PlayFinished, PlayReached, PlayStarted, ReplyAudio, ReplyEnd
from voiced.network.outputs import Outbox, Play, PlayEnd
from voiced.network.replies import Replies
from voiced.network.transcript import Transcript

#: What playback has, by item and content part.
There = Mapping[tuple[str, int], PartQueued]


class Playing:
    def __init__(self, epoch: Epoch, replies: Replies, out: Outbox, transcript: Transcript) -> None:
        self.sounding = False
        self._replies = replies
        self._out = out
        self._transcript = transcript
        self._since = epoch  # what is said of an older one is of a playback process that is gone, or of before the line to it broke

    def report(self, message: PlayStarted | PlayReached | PlayFinished, now: MonoNs) -> bool:
        """True where an answer of the conversation begins to sound."""
        found = self._replies.find(message.item_id)
        part = found[1].parts.get(message.content_index) if found else None
        if found is None or part is None:
            if isinstance(message, PlayFinished):
                self._transcript.heard_of_before(message.item_id, message.played_ms)
            return False
        if message.epoch < self._since:
            return False
        reply, item = found
        match message:
            case PlayStarted():
                self.sounding = self.sounding or not reply.interrupted
                return part.start(now) and not reply.interrupted and not reply.out_of_band
            case PlayReached(played_frames=played_frames, held_frames=held_frames, at_ns=at_ns):
                part.reach(played_frames, held_frames, at_ns)
            case PlayFinished():
                part.finish()
                if not reply.interrupted:
                    self._transcript.played(item.item_id, part.forwarded_ms)
        return False

    def stop(self, epoch: Epoch, now: MonoNs) -> None:
        """Playback went away: as far as is known, that is where it was heard to. `epoch` is that of what it is given next."""
        self._since, self.sounding = epoch, False
        for reply in self._replies:
            for item in reply.items.values():
                for part in item.parts.values():
                    part.stop(now)

    def is_late(self, carried: CarriedOn) -> bool:
        """It went away again meanwhile."""
        return carried.epoch < self._since

    def there(self, parts: Iterable[PartQueued], now: MonoNs) -> There | None:
        """What it has of replies that live; what nobody here knows is adopted. None where it has what should be silent."""
        there = {(queued.item_id, queued.content_index): queued for queued in parts}
        for queued in there.values():
            found = self._replies.find(queued.item_id)
            if self._replies.is_void("", queued.item_id) or (found is not None and found[0].interrupted):
                return None
        for queued in there.values():
            reply, item = self._replies.find(queued.item_id) or self._replies.adopt(queued.item_id, now)
            if reply.adopted and queued.content_index not in item.parts:
                reply.cut = not self._transcript.knows(queued.item_id)
                item.part(queued.content_index).adopt(queued.played_frames, queued.received_frames, now)
                self.sounding = self.sounding or queued.played_frames > 0
        self._transcript.end_of_before({queued.item_id for queued in there.values()})
        return there

    def carry_on(self, epoch: Epoch, there: There) -> bool:
        """Sends what it lacks; false where that is not kept any more."""
        whole = True
        for reply in self._replies:
            for item in () if reply.interrupted else reply.items.values():
                for part in item.parts.values():
                    if not part.open:
                        continue
                    queued = there.get((item.item_id, part.content_index))
                    rest = part.carry_on(None if queued is None else queued.received_frames)
                    if rest is None:
                        whole = False
                        continue
                    header = ReplyAudio(epoch, item.item_id, part.content_index)
                    for pcm in rest:
                        self._out.add(Play(header, pcm))
                    if part.ended:
                        self._out.add(PlayEnd(ReplyEnd(*header)))
        return whole
