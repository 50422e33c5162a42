"""Barge-in: what the server is told about a reply that was cut off. Pure decisions over the book of replies.

    speech_started or a local order -> Interruption (its flush is out) -> playback's Flushed -> remedies

For each item of an interrupted reply, by what came out of the loudspeaker (realtime-protocol 4.2):

    heard in part           truncate each part that was not heard to its end, at the ms heard, never beyond what we received
    not heard at all        delete: a truncate at 0 ms fails where the server holds no audio of the item
    heard to its end        nothing: a needless truncate deletes the server's transcript and changes how the model goes on
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from voiced.messages import BYTES_PER_MS, Epoch, Flushed, MonoNs, Order, PartHeard
from voiced.network.events import ClientEvent, ItemDelete, ItemTruncate
from voiced.network.part import Part
from voiced.network.replies import Replies, SpokenItem

#: How long playback may take to say what was heard. It answers within 20 ms when it is well, and on a machine that does much else it
#: took over 250: what it says is right to 3 ms, the estimate to 40. After this it is down or hung.
ANSWER_WITHIN_NS = 500_000_000

#: played ms by (item id, content index)
Heard = Mapping[tuple[str, int], int]


class Remedy(NamedTuple):
    """What happens to one item of an interrupted reply."""

    item_id: str
    events: tuple[ClientEvent, ...]
    played_ms: int
    received_ms: int
    whole: bool  # heard to its end


class Interruption:
    """One interruption between its flush and the day its remedies are sent."""

    def __init__(self, epoch: Epoch | None, reason: str, horizon: int, now_ns: MonoNs) -> None:
        self.epoch = epoch  # None: nothing of ours could sound, so nothing was flushed
        self.reason = reason
        #: Sequence number of the newest server event that was received when this began: whatever is older is void.
        self.horizon = horizon
        self.deadline_ns = now_ns + ANSWER_WITHIN_NS
        self.heard: Heard | None = {} if epoch is None else None
        self.flushed: Flushed | None = None
        self.items: list[SpokenItem] = []
        self.orders: list[Order] = []
        self.cancelled = False  # a response was still being generated

    @property
    def sounded(self) -> tuple[str | None, int]:
        """The item that was sounding when it was cut off, and the ms heard of it: the last one of which anything was heard."""
        heard = [(item_id, played_ms) for (item_id, _), played_ms in (self.heard or {}).items()]
        begun = [(item_id, played_ms) for item_id, played_ms in heard if played_ms > 0]
        return begun[-1] if begun else (heard[0][0] if heard else None, 0)

    def ready(self, handled: int) -> bool:
        """Whether all is known: playback has answered, and every older event of the server has been looked at."""
        return self.heard is not None and handled >= self.horizon


def heard_map(heard: Iterable[PartHeard], replies: Replies) -> Heard:
    """From the parts' first sample on; a playback process counts from what it was given."""
    return {(part.item_id, part.content_index): part.played_ms + replies.base_ms(part.item_id, part.content_index) for part in heard}


def estimate(items: Iterable[SpokenItem], until_ns: int) -> Heard:
    """What was heard if playback never says: it died or hangs.

    A part that had started is taken to have sounded without a break from what playback said last until then, as far as its sound
    reaches. That may be too much, but the user surely heard some of it, and to delete it would make the model deny what it was
    heard saying. A part that never started was not heard.
    """
    return {
        (item.item_id, part.content_index): part.heard_at(until_ns) // BYTES_PER_MS
        for item in items
        for part in item.parts.values()
        if part.started_ns is not None and not part.finished
    }


def remedy(item: SpokenItem, heard: Heard) -> Remedy:
    """What the server has to be told about one item, given what was heard of it."""
    played = {part.content_index: _played_ms(item, part, heard) for part in item.parts.values()}
    total = sum(played.values())
    unheard = [part for part in item.parts.values() if not _whole(part, played[part.content_index])]
    if item.parts and not unheard:
        return Remedy(item.item_id, (), total, item.received_ms, whole=True)
    if not item.in_conversation:
        return Remedy(item.item_id, (), total, item.received_ms, whole=False)
    if total == 0 and not any(part.finished for part in item.parts.values()):
        events: tuple[ClientEvent, ...] = () if item.has_text else (ItemDelete(item_id=item.item_id),)
        return Remedy(item.item_id, events, 0, item.received_ms, whole=False)
    cuts = tuple(
        ItemTruncate(item_id=item.item_id, content_index=part.content_index, audio_end_ms=played[part.content_index]) for part in unheard
    )
    return Remedy(item.item_id, cuts, total, item.received_ms, whole=False)


def _played_ms(item: SpokenItem, part: Part, heard: Heard) -> int:
    if part.finished:
        return part.forwarded_ms
    return max(0, min(heard.get((item.item_id, part.content_index), 0), part.forwarded_ms))


def _whole(part: Part, played_ms: int) -> bool:
    return part.ended and part.received == part.forwarded and played_ms >= part.forwarded_ms


class BargeIn:
    """The interruptions that are not settled yet."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._pending: list[Interruption] = []

    def begin(self, interruption: Interruption) -> None:
        """Takes every reply that lives: from here on its sound is void."""
        for reply in self._replies:
            if not reply.interrupted:
                reply.interrupted = True
                interruption.items.extend(reply.items.values())
        self._pending.append(interruption)

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    @property
    def horizon(self) -> int:
        """The newest sequence number that is void; -1 where nothing is."""
        return max((interruption.horizon for interruption in self._pending), default=-1)

    @property
    def latest(self) -> Interruption | None:
        return self._pending[-1] if self._pending else None

    @property
    def wake_ns(self) -> int | None:
        return min((interruption.deadline_ns for interruption in self._pending if interruption.heard is None), default=None)

    def answered(self, flushed: Flushed) -> None:
        """Playback obeyed a flush, and with it every older one. An answer that comes too late changes nothing any more."""
        for interruption in self._pending:
            if interruption.epoch is not None and interruption.epoch <= flushed.epoch and interruption.heard is None:
                interruption.heard = heard_map(flushed.heard, self._replies)
                interruption.flushed = flushed

    def session_closed(self) -> None:
        """The server of these items is gone: it is told nothing of them any more."""
        for interruption in self._pending:
            interruption.horizon = -1
            for item in interruption.items:
                item.in_conversation = False

    def give_up(self, now_ns: int | None) -> int:
        """Settles by estimate what playback has not answered in time, or all (None) where it never will; says how many. One that has not
        answered has not obeyed: its device has played on, as far as it had sound."""
        overdue = [each for each in self._pending if each.heard is None and (now_ns is None or now_ns >= each.deadline_ns)]
        for interruption in overdue:
            flushed_ns = interruption.deadline_ns - ANSWER_WITHIN_NS
            interruption.heard = estimate(interruption.items, flushed_ns if now_ns is None else now_ns)
        return len(overdue)

    def take_settled(self, handled: int) -> list[tuple[Interruption, list[Remedy]]]:
        """The interruptions about which all is known, with the remedies for their items; each item gets one, once."""
        settled = [interruption for interruption in self._pending if interruption.ready(handled)]
        self._pending = [interruption for interruption in self._pending if not interruption.ready(handled)]
        return [(interruption, list(_remedies(interruption))) for interruption in settled]


def _remedies(interruption: Interruption) -> Iterable[Remedy]:
    for item in interruption.items:
        if not item.settled:
            item.settled = True
            yield remedy(item, interruption.heard or {})
