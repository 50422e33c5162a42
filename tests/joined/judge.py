"""What must hold between a person, a server and the client between them: the books of a conversation in a `Room`."""

from typing import Any

from tests.joined.room import Room
from voiced.embedded.conversation import Entry, contents

#: Refusals that only say that both sides acted at once (architecture, Traps).
RACES = {
    "response_cancel_not_active",
    "conversation_already_has_active_response",
    "item_not_found",
    "item_truncate_invalid_item_id",
    "item_delete_invalid_item_id",
    "input_audio_buffer_commit_empty",
}


def words(entry: Entry) -> str:
    """What a server has of a turn, as text or as what it heard."""
    texts = [part.text or part.transcript or "" for part in contents(entry.item)]
    return " ".join(text for text in texts if text) or entry.heard_text or ""


class Judge:
    """Reads what the session published, and holds it against the servers and the loudspeaker."""

    def __init__(self, room: Room, *, told: frozenset[str] = frozenset()) -> None:
        """`told` are the codes of errors that may be told to people."""
        self.room = room
        self._told = told
        self.turns: dict[str, dict[str, Any]] = {}  # by item, in the order in which they ended
        self._read = 0

    def look(self) -> None:
        """At any moment."""
        published = self.room.published
        for topic, data in published[self._read :]:
            if topic == "turn":
                assert data["item_id"] not in self.turns, "a turn ended twice"
                self.turns[data["item_id"]] = data
            elif topic == "error" and data["code"] not in self._told:
                raise AssertionError(f"an error was told: {data}")
        self._read = len(published)
        assert {error.code for error in self.room.server_errors} <= RACES, self.room.server_errors

    def forget(self) -> None:
        """What was read and is right need not be kept."""
        self.look()
        for kept in (self.room.published, self.room.sent, self.room.server_errors, self.room.answers):
            kept.clear()
        self._read = 0

    @property
    def said_by_user(self) -> list[str]:
        return [turn["text"] for turn in self.turns.values() if turn["role"] == "user"]

    def in_agreement(self) -> None:
        """At a quiet moment, with a connection: the server believes what was heard."""
        self.look()
        for entry in self.room.link.entries():
            if entry.item.type != "message":
                continue
            turn = self.turns.get(entry.id)
            if entry.item.role == "user":
                assert turn is None or turn["text"] == words(entry)
            elif entry.sound_bytes:
                assert entry.audio_ms == self.room.heard_ms.get(entry.id, 0), f"{entry.id} is as long as it was heard"
            else:
                assert turn is not None, f"{entry.id} was never said"
                assert words(entry) == turn["heard"] + (" …" if turn["interrupted"] else "")
        users = [words(entry) for entry in self.room.link.entries("user")]
        spoken = [word for text in users for word in text.split() if word.startswith("<")]
        assert len(spoken) == len(set(spoken)), f"told twice: {users}"
