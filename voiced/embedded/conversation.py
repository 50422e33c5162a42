"""The conversation: its items in order, their sound, and the checks on inserting, truncating and deleting them. Pure."""

from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import UNSET

from voiced.embedded.refusal import Refused
from voiced.embedded.work import Said
from voiced.messages import BYTES_PER_MS
from voiced.network.events import Content, Item

#: Sound kept for `conversation.item.retrieve`; beyond it the oldest is let go. 32 MiB are eleven minutes.
_SOUND_KEPT_BYTES = 32 * 1024 * 1024

#: No talk needs more in one text, and rules and voices have to go through all of it.
_LONGEST_TEXT = 64 * 1024
#: What tools are given and tell, which is for programs rather than for ears.
_LONGEST_OF_TOOLS = 256 * 1024
_STATES = ("completed", "incomplete", "in_progress")

Value = TypeVar("Value")

_CONTENT_OF = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text",),
}


@dataclass
class Passage:
    """A sentence of an assistant item and where its sound ends in the item, in bytes."""

    text: str
    end: int


@dataclass
class Entry:
    """An item with what the wire does not show: its sound and what was really heard of it."""

    item: Item
    sound: bytearray = field(default_factory=bytearray)
    sound_bytes: int = 0  # stays when the sound is let go
    passages: list[Passage] = field(default_factory=list)
    #: Text not yet recognised or never to be is None.
    heard_text: str | None = None
    unheard: str = ""

    @property
    def id(self) -> str:
        return self.item.id or ""

    @property
    def audio_ms(self) -> int:
        """Duration of the sound, rounded up: a client that counts samples must not fail by half a millisecond."""
        return -(-self.sound_bytes // BYTES_PER_MS)

    def add_sound(self, pcm: bytes) -> None:
        self.sound += pcm
        self.sound_bytes += len(pcm)

    def let_sound_go(self) -> None:
        self.sound.clear()
        for part in contents(self.item):
            part.audio = None

    @property
    def spoken(self) -> bool:
        return bool(self.passages)

    def said(self) -> Said | None:
        """The item as a turn for the brain, or None where it is no part of the talk."""
        if self.item.type == "function_call":
            return Said("call", self.item.arguments or "{}", call_id=self.item.call_id or "", name=self.item.name or "")
        if self.item.type == "function_call_output":
            return Said("tool", self.item.output or "", call_id=self.item.call_id or "")
        if self.item.type != "message" or not self.item.role:
            return None
        if self.heard_text is not None or self.sound_bytes:
            written = [part.text for part in contents(self.item) if part.type == "input_text" and part.text]
            return Said(self.item.role, " ".join([*written, self.heard_text or ""]).strip() if written else self.heard_text, self.unheard)
        return Said(self.item.role, " ".join(part.text or part.transcript or "" for part in contents(self.item)), self.unheard)


def contents(item: Item) -> list[Content]:
    return [] if item.content is UNSET else item.content


def without_sound(item: Item) -> Item:
    """The item as events show it: never with audio bytes (realtime-protocol 3.4)."""
    shown = [Content(type=part.type, text=part.text, transcript=part.transcript, image_url=part.image_url) for part in contents(item)]
    return _copy(item, shown)


def with_sound(entry: Entry) -> Item:
    """The item as `conversation.item.retrieved` shows it."""
    shown = [
        Content(type=part.type, text=part.text, transcript=part.transcript, image_url=part.image_url, audio=_sound_of(entry, part))
        for part in contents(entry.item)
    ]
    return _copy(entry.item, shown)


def _sound_of(entry: Entry, part: Content) -> bytes | None:
    """Items from the client keep the sound of each part, the server's have but one."""
    return (bytes(entry.sound) if part.audio is None else part.audio) if part.type in ("input_audio", "output_audio") else None


def _copy(item: Item, content: list[Content]) -> Item:
    return Item(
        type=item.type,
        id=item.id,
        object="realtime.item",
        status=item.status,
        role=item.role,
        content=content if item.type == "message" else UNSET,
        call_id=item.call_id,
        name=item.name,
        arguments=item.arguments,
        output=item.output,
    )


def check_item(item: Item) -> None:
    """Raises Refused where a client may not make such an item."""
    if item.status not in (None, *_STATES):
        raise Refused(f"Invalid value: '{item.status}'. Supported values are: {', '.join(_STATES)}.", "invalid_value", "item.status")
    for name in ("output", "arguments"):
        _check_length(getattr(item, name), f"item.{name}", _LONGEST_OF_TOOLS)
    if item.type == "function_call_output":
        _need(item.call_id, "item.call_id")
        _need(item.output, "item.output")
    elif item.type == "function_call":
        _need(item.call_id, "item.call_id")
        _need(item.name, "item.name")
    elif item.type == "message":
        _check_message(item)
    else:
        kinds = "message, function_call or function_call_output"
        raise Refused(f"Invalid value: '{item.type}'. Items are {kinds}.", "invalid_value", "item.type")


def _check_message(item: Item) -> None:
    allowed = _CONTENT_OF.get(_need(item.role, "item.role"))
    if allowed is None:
        raise Refused(f"Invalid value: '{item.role}'. Roles are user, assistant and system.", "invalid_value", "item.role")
    if item.content is UNSET:
        raise Refused("Missing required parameter: 'item.content'.", "missing_required_parameter", "item.content")
    for place, part in enumerate(item.content):
        where = f"item.content[{place}]"
        if part.type not in allowed:
            kinds = ", ".join(allowed)
            raise Refused(f"Invalid value: '{part.type}'. {item.role} messages hold {kinds}.", "invalid_value", f"{where}.type")
        if part.type in ("input_text", "output_text"):
            _check_length(_need(part.text, f"{where}.text"), f"{where}.text")
        if part.type == "input_audio" and len(_need(part.audio, f"{where}.audio")) % 2:
            raise Refused("16-bit audio has an even number of bytes.", "invalid_value", f"{where}.audio")


def _check_length(text: str | None, param: str, longest: int = _LONGEST_TEXT) -> None:
    if text is not None and len(text) > longest:
        words = f"Expected a string with maximum length {longest}, but got a string with length {len(text)} instead."
        raise Refused(f"Invalid '{param}': string too long. {words}", "string_above_max_length", param)


def already_there(item_id: str) -> Refused:
    return Refused(f"An item with id '{item_id}' exists already.", "invalid_value", "item.id")


def _need(value: Value | None, param: str) -> Value:
    if value is None:
        raise Refused(f"Missing required parameter: '{param}'.", "missing_required_parameter", param)
    return value


class Conversation:
    """The items of the default conversation."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._entries: list[Entry] = []

    def insert(self, entry: Entry, after: str | None = None) -> str | None:
        """Puts an item at the end, at the front ("root") or after another; returns the id of the item before it.

        Raises Refused for a duplicate id and for a neighbour that does not exist.
        """
        if any(entry.id == other.id for other in self._entries):
            raise already_there(entry.id)
        if after is None:
            place = len(self._entries)
        elif after == "root":
            place = 0
        else:
            place = self._place(after, "item_not_found", "previous_item_id") + 1
        self._entries.insert(place, entry)
        self._let_old_sound_go()
        return self.previous_of(entry)

    def previous_of(self, entry: Entry) -> str | None:
        """The id of the item before one, as things stand now; None at the front or where the item is gone."""
        place = next((n for n, other in enumerate(self._entries) if other is entry), 0)
        return self._entries[place - 1].id if place else None

    def get(self, item_id: str) -> Entry:
        """Raises Refused (item_not_found)."""
        return self._entries[self._place(item_id, "item_not_found", "item_id")]

    def delete(self, item_id: str) -> None:
        """Raises Refused (item_not_found)."""
        del self._entries[self._place(item_id, "item_not_found", "item_id")]

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cuts what an assistant said down to what was heard. The transcript goes, as nobody can say where it was cut.

        Raises Refused.
        """
        entry = self._entries[self._place(item_id, "item_truncate_invalid_item_id", "item_id")]
        parts = contents(entry.item)
        if entry.item.role != "assistant" or not any(part.type == "output_audio" for part in parts) or not entry.sound_bytes:
            raise Refused("Only model output audio messages can be truncated.", "unsupported_content_type", "item_id")
        if not 0 <= content_index < len(parts):
            raise Refused(f"The item has no content {content_index}.", "invalid_value", "content_index")
        if audio_end_ms < 0:
            raise Refused("Invalid value: 'audio_end_ms' can't be negative.", "invalid_value", "audio_end_ms")
        if audio_end_ms > entry.audio_ms:
            raise Refused(f"Audio content of {entry.audio_ms}ms is already shorter than {audio_end_ms}ms", "invalid_value", "audio_end_ms")
        _cut(entry, audio_end_ms)
        parts[content_index].transcript = None

    def said(self) -> tuple[Said, ...]:
        return tuple(turn for entry in self._entries if (turn := entry.said()))

    def entries(self) -> list[Entry]:
        return list(self._entries)

    def _place(self, item_id: str, code: str, param: str) -> int:
        for place, entry in enumerate(self._entries):
            if entry.id == item_id:
                return place
        raise Refused(f"Item with item_id '{item_id}' not found.", code, param)

    def _let_old_sound_go(self) -> None:
        kept = 0
        for entry in reversed(self._entries):
            kept += len(entry.sound)
            if kept > _SOUND_KEPT_BYTES:
                entry.let_sound_go()


def _cut(entry: Entry, audio_end_ms: int) -> None:
    """Divides the text at the moment of the interruption, to the word, by the share of the sentence that sounded."""
    end = min(audio_end_ms * BYTES_PER_MS, entry.sound_bytes)
    heard: list[str] = []
    unheard: list[str] = []
    start = 0
    for passage in entry.passages:
        words = passage.text.split()
        share = (end - start) / max(1, passage.end - start)
        count = max(0, min(len(words), int(share * len(words))))
        heard += words[:count]
        unheard += words[count:]
        start = passage.end
    entry.heard_text = " ".join(heard)
    entry.unheard = " ".join((*unheard, entry.unheard)).strip()
    entry.sound_bytes = end
    del entry.sound[end:]
    entry.passages = [Passage(entry.heard_text, end)]
