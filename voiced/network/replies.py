"""The book of replies: what the server sent of each response, what was handed to playback, and what was heard of it.

Pure bookkeeping. `bargein` decides with it, `session` fills it. Lengths are bytes of s16le at 24 kHz mono or ms.
"""

from collections import OrderedDict
from collections.abc import Iterator

from voiced.messages import BYTES_PER_MS
from voiced.network.limits import ITEMS, PARTS, REPLIES
from voiced.network.part import Part

#: Ids remembered of interrupted replies that are over; late deltas come within seconds of an interruption.
_VOID_IDS_KEPT = 512


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

    __slots__ = ("adopted", "cut", "done", "interrupted", "items", "last_event_ns", "orphaned", "out_of_band", "response_id")

    def __init__(self, response_id: str, now_ns: int) -> None:
        self.response_id = response_id
        self.items: dict[str, SpokenItem] = {}
        self.done = False  # response.done was seen
        self.interrupted = False
        self.orphaned = False  # its session is gone
        self.cut = False  # its session ended before it was whole
        self.out_of_band = False
        self.adopted = False  # an earlier network process had it said
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
            if len(self._by_id) >= REPLIES:
                # Not what sounds: nobody could interrupt it any more.
                oldest = iter(self._by_id.values())
                self.forget(next((reply for reply in oldest if not reply.audible), next(iter(self._by_id.values()))))
            reply = self._by_id[response_id] = Reply(response_id, now_ns)
        reply.last_event_ns = now_ns
        return reply

    def has_room(self, response_id: str, item_id: str, content_index: int | None = None) -> bool:
        """Whether this is known already, or may be taken into the book. A server that announces more talks nonsense."""
        known = self._by_item.get(item_id)
        if known is None:
            reply = self._by_id.get(response_id)
            if sum(len(each.items) for each in self._by_id.values()) >= ITEMS and (reply is None or item_id not in reply.items):
                return False
        if content_index is None or (known is not None and content_index in known[1].parts):
            return True
        return sum(len(item.parts) for reply in self._by_id.values() for item in reply.items.values()) < PARTS

    def item(self, reply: Reply, item_id: str) -> SpokenItem:
        if item_id not in reply.items:
            item = reply.items[item_id] = SpokenItem(item_id, in_conversation=not reply.out_of_band)
            self._by_item.setdefault(item_id, (reply, item))
        return reply.items[item_id]

    def adopt(self, item_id: str, now_ns: int) -> tuple[Reply, SpokenItem]:
        """What an earlier network process had playback say. No server of now knows of it."""
        reply = self.open(f"before {item_id}", now_ns)
        reply.adopted = reply.done = reply.orphaned = True
        item = self.item(reply, item_id)
        item.in_conversation = False
        return reply, item

    def base_ms(self, item_id: str, content_index: int) -> int:
        """What of a part was heard before playback's count of it."""
        found = self._by_item.get(item_id)
        part = found[1].parts.get(content_index) if found else None
        return 0 if part is None else part.base_ms

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
