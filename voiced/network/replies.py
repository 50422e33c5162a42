"""The book of replies: what the server sent of each response, what was handed to playback, and what was heard of it.

Pure bookkeeping. `bargein` decides with it, `session` fills it. Lengths are bytes of s16le at 24 kHz mono or ms.
"""

from collections import OrderedDict
from collections.abc import Iterator

from voiced.messages import BYTES_PER_FRAME, BYTES_PER_MS

#: Ids remembered of interrupted replies that are over; late deltas come within seconds of an interruption.
_VOID_IDS_KEPT = 512
#: More unfinished replies than any conversation holds at once; a server that announces more talks nonsense.
_REPLIES_KEPT = 256


class Part:
    """One audio content part."""

    __slots__ = ("_odd", "content_index", "ended", "finished", "forwarded", "received", "started_ns")

    def __init__(self, content_index: int) -> None:
        self.content_index = content_index
        self.received = 0  # whole samples that came from the server, dropped ones included
        self.forwarded = 0  # of these, handed to playback
        self.ended = False  # the server said that no more will come
        self.started_ns: int | None = None
        self.finished = False  # playback reported the last sample
        self._odd = b""

    def whole_samples(self, sound: bytes) -> bytes:
        """`sound` cut to whole samples; a byte left over waits for the next delta (realtime-protocol 5.3: guard the alignment)."""
        sound = self._odd + sound if self._odd else sound
        if len(sound) % BYTES_PER_FRAME:
            self._odd = sound[-1:]
            sound = sound[:-1]
        else:
            self._odd = b""
        self.received += len(sound)
        return sound

    @property
    def forwarded_ms(self) -> int:
        return self.forwarded // BYTES_PER_MS

    @property
    def open(self) -> bool:
        """Handed to playback, and not yet heard to its end as far as we know."""
        return self.forwarded > 0 and not self.finished


class SpokenItem:
    """One item of a response that the assistant says, or would have said."""

    __slots__ = ("has_text", "in_conversation", "item_id", "parts", "settled")

    def __init__(self, item_id: str, *, in_conversation: bool) -> None:
        self.item_id = item_id
        self.in_conversation = in_conversation  # or in no conversation at all: then there is nothing to truncate
        self.parts: dict[int, Part] = {}
        self.has_text = False  # written output, which nobody has to hear
        self.settled = False  # its truncate or delete is sent, or was found needless

    @property
    def received_ms(self) -> int:
        return sum(part.received for part in self.parts.values()) // BYTES_PER_MS

    def part(self, content_index: int) -> Part:
        if content_index not in self.parts:
            self.parts[content_index] = Part(content_index)
        return self.parts[content_index]


class Reply:
    """One response and the items in it, in order of play."""

    __slots__ = ("cut", "done", "interrupted", "items", "last_event_ns", "orphaned", "out_of_band", "response_id")

    def __init__(self, response_id: str, now_ns: int) -> None:
        self.response_id = response_id
        self.items: dict[str, SpokenItem] = {}
        self.done = False  # response.done was seen
        self.interrupted = False
        self.orphaned = False  # its session is gone
        self.cut = False  # its session ended before it was whole
        self.out_of_band = False
        self.last_event_ns = now_ns

    @property
    def audible(self) -> bool:
        return any(part.open for item in self.items.values() for part in item.parts.values())


class Replies:
    """All replies that are generated, played or being interrupted."""

    def __init__(self) -> None:
        self._by_id: dict[str, Reply] = {}
        self._by_item: dict[str, tuple[Reply, SpokenItem]] = {}
        self._void: OrderedDict[str, None] = OrderedDict()

    def __iter__(self) -> Iterator[Reply]:
        return iter(list(self._by_id.values()))

    def get(self, response_id: str) -> Reply | None:
        return self._by_id.get(response_id)

    def find(self, item_id: str) -> tuple[Reply, SpokenItem] | None:
        return self._by_item.get(item_id)

    def open(self, response_id: str, now_ns: int) -> Reply:
        """The reply, made where the server never announced it (realtime-protocol 7: tolerate missing lifecycle events)."""
        reply = self._by_id.get(response_id)
        if reply is None:
            if len(self._by_id) >= _REPLIES_KEPT:
                self.forget(next(iter(self._by_id.values())))
            reply = self._by_id[response_id] = Reply(response_id, now_ns)
        reply.last_event_ns = now_ns
        return reply

    def item(self, reply: Reply, item_id: str) -> SpokenItem:
        if item_id not in reply.items:
            item = reply.items[item_id] = SpokenItem(item_id, in_conversation=not reply.out_of_band)
            self._by_item.setdefault(item_id, (reply, item))
        return reply.items[item_id]

    def is_over(self, response_id: str) -> bool:
        return response_id in self._void

    def is_void(self, response_id: str, item_id: str) -> bool:
        """Whether late sound of this response or item belongs to an interrupted reply that is over."""
        return response_id in self._void or item_id in self._void

    def session_closed(self) -> None:
        """The next server may use the same ids."""
        self._void.clear()
        for reply in self._by_id.values():
            reply.orphaned = True

    def forget(self, reply: Reply) -> None:
        """Drops a reply; of an interrupted one the ids stay known for a while."""
        self._by_id.pop(reply.response_id, None)
        for item_id in reply.items:
            self._by_item.pop(item_id, None)
        if reply.interrupted and not reply.orphaned:
            for void_id in (reply.response_id, *reply.items):
                self._void[void_id] = None
            while len(self._void) > _VOID_IDS_KEPT:
                self._void.popitem(last=False)

    def is_aside(self, response_id: str) -> bool:
        """Whether this response is none of the conversation's."""
        reply = self._by_id.get(response_id)
        return reply is not None and reply.out_of_band

    def forget_finished(self) -> list[Reply]:
        """Drops what the server has finished and the loudspeaker too, and returns it."""
        finished = [reply for reply in self._by_id.values() if reply.done and not reply.interrupted and not reply.audible]
        for reply in finished:
            self.forget(reply)
        return finished

    @property
    def generating(self) -> list[Reply]:
        return [reply for reply in self._by_id.values() if not reply.done]

    @property
    def audible(self) -> bool:
        return any(reply.audible for reply in self._by_id.values() if not reply.interrupted)

    def waiting_part(self) -> Part | None:
        """The part that playback should be finishing now: the first that is open. None while the server may still add to it:
        then playback may well have run dry, and is right to say nothing."""
        for reply in self._by_id.values():
            if reply.interrupted:
                continue
            for item in reply.items.values():
                for part in item.parts.values():
                    if part.open:
                        return part if part.ended else None
        return None
