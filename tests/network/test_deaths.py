"""A server that dies at every step of a conversation, in every way: the process is back with all that was said, and owes nothing."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.network.process import PATIENCE_S, World
from tests.scripted_server import Manner, Reply, ScriptedServer
from voiced.bus import Poller
from voiced.messages import Answer, Flush, Flushed, MicFrame, MonoNs, PartHeard, PlayFinished, PlayStarted, Ready, ReplyAudio
from voiced.network import events
from voiced.network.events import Item, Response

pytestmark = pytest.mark.system

_TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}, "command": [], "timeout_s": 30.0}
_SETTINGS: dict[str, Any] = {"transcription_model": "whisper-1", "voice": "marin", "tools": [_TOOL]}
#: Two silences of this length, and nobody is there any more; 20 s each in earnest.
_IMPATIENT = """import sys
from voiced.network import __main__
from voiced.network.link import wire
wire.QUIET_NS = 400_000_000
sys.exit(__main__.main())
"""
_SPEECH = b"\x07\x00" * 4800
_WORDS = "one two three four five six seven eight nine ten"
_GREETED = [("user", "Hello there."), ("assistant", "Good day.")]


class Life:
    """A network process and its server, up to a death and beyond."""

    def __init__(self, directory: Path, server: ScriptedServer, how: str | int) -> None:
        self.server = server
        self.how = how
        launch = ("-c", _IMPATIENT) if how == "silence" else ("-m", "voiced.network")
        self.world = World(directory, server.url, launch=launch, **_SETTINGS)
        self.died_at = 0  # how many events of the client came before

    def die(self) -> None:
        self.died_at = len(self.server.received)
        if self.how == "FIN":
            self.server.hang_up()
        elif self.how == "RST":
            self.server.reset()
        elif self.how == "silence":
            self.server.manner = self.server.manner._replace(pongs=False)
        else:
            assert isinstance(self.how, int)
            self.server.hang_up(self.how)

    # a conversation ----------------------------------------------------------------------------------------------------

    def greet(self) -> None:
        """Ready, and a whole turn behind us."""
        self.world.until(lambda message: isinstance(message, Ready))
        self.world.listen()
        self.server.hear("Hello there.")
        reply = self.server.begin_reply()
        self.say(reply, "Good day.", 200)
        self.end(reply, "Good day.")
        self.world.heard.send(PlayFinished(reply.item_id, 0, self.epoch, 200))
        self.world.until_published("turn", role="assistant")

    def say(self, reply: Reply, words: str, ms: int) -> None:
        """The server says something, and playback begins to play it."""
        self.server.send(events.OutputTranscriptDelta(response_id=reply.response_id, item_id=reply.item_id, delta=words))
        self.server.send_audio(reply, bytes(48 * ms))
        self.epoch = self.sound_of(reply, 48 * ms).epoch
        self.world.heard.send(PlayStarted(reply.item_id, 0, self.epoch))
        self.world.until_published("state", state="speaking")

    def end(self, reply: Reply, words: str) -> None:
        response_id, item_id = reply
        self.server.send(
            events.OutputAudioDone(response_id=response_id, item_id=item_id),
            events.OutputTranscriptDone(response_id=response_id, item_id=item_id, transcript=words),
            events.ResponseDone(response=Response(id=response_id, status="completed")),
        )
        self.world.until_published("response.done", response_id=response_id)

    def sound_of(self, reply: Reply, size: int) -> ReplyAudio:
        poller = Poller()
        poller.watch(self.world.replies.socket)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            poller.wait(100)
            while (message := self.world.replies.next()) is not None:
                header, pcm = message
                if isinstance(header, ReplyAudio) and header.item_id == reply.item_id:
                    size -= len(pcm)
                    if size <= 0:
                        return header
        raise AssertionError("the sound did not come to playback")

    def speak(self) -> str:
        """The user speaks, and the server notices."""
        at = len(self.server.received)
        for _ in range(5):
            self.world.microphone.send(MicFrame(0, MonoNs(time.monotonic_ns()), False), _SPEECH)
        for _ in range(5):
            found = self.server.until(lambda event: isinstance(event, events.InputAudioAppend) and event.audio == _SPEECH, since=at)
            at = self.server.received.index(found, at) + 1
        item_id = self.server.new_id("item")
        self.server.send(events.SpeechStarted(item_id=item_id, audio_start_ms=0))
        self.world.until_published("state", state="hearing")
        return item_id

    def commit(self, words: str | None = None) -> None:
        item_id = self.speak()
        heard_ms = sum(len(event.audio) for event in self.got(events.InputAudioAppend)) // 48
        self.server.send(events.SpeechStopped(item_id=item_id, audio_end_ms=heard_ms), events.InputAudioCommitted(item_id=item_id))
        if words is not None:
            self.server.send(events.TranscriptionCompleted(item_id=item_id, transcript=words))
            self.world.until_published("transcript.user", text=words)
        self.server.roundtrip()

    # after the death ---------------------------------------------------------------------------------------------------

    def come_back(self) -> None:
        self.world.until_published("session", connected=False)
        self.server.manner = Manner()
        self.world.until_published("session", connected=True)
        self.server.roundtrip()
        update = self.server.until(lambda event: isinstance(event, events.SessionUpdate), since=self.died_at).event
        assert isinstance(update, events.SessionUpdate)
        assert update.session["audio"]["output"]["voice"] == "marin"
        assert [tool["name"] for tool in update.session["tools"]] == ["look"]

    def got(self, kind: type[events.ClientEvent]) -> list[Any]:
        """What the new connection brought."""
        newest = self.server.connections
        return [received.event for received in self.server.received if received.connection == newest and isinstance(received.event, kind)]

    def told(self) -> list[tuple[str | None, str | None]]:
        """The conversation so far, as the new server was told it: role and text, or what else the item is."""
        items = [event.item for event in self.got(events.ItemCreate)]
        return [(item.role, item.content[0].text) if item.type == "message" else (item.type, item.call_id) for item in items]

    def answer(self) -> None:
        """The server answers what it was asked, without a sound."""
        reply = self.server.begin_reply()
        self.server.end_reply(reply)
        self.world.until_published("response.done", response_id=reply.response_id)

    def nothing_was_flushed(self) -> None:
        assert self.world.flushes is not None
        while (message := self.world.flushes.next()) is not None:
            assert not isinstance(message[0], Flush)

    def orders_work(self, creates: int) -> None:
        """`creates` responses were asked for before."""
        since = len(self.server.received)
        self.world.order("ask", text="And now?")
        self.server.until(lambda event: isinstance(event, events.ItemCreate) and _text(event.item) == "And now?", since=since)
        self.server.until(lambda event: isinstance(event, events.ResponseCreate), since=since)
        assert len(self.got(events.ResponseCreate)) == creates + 1
        self.world.order("interrupt")
        answer = self.world.until(lambda message: isinstance(message, Answer) and "interrupted" in message.result)
        assert isinstance(answer, Answer)
        assert answer.result["interrupted"] is True


def _text(item: Item) -> str | None:
    return item.content[0].text if item.type == "message" and item.content else None


# the steps: what happens before the death, and what must hold after it ----------------------------------------------------


def before_the_upgrade(life: Life) -> None:
    life.server.manner = Manner()
    life.world.until_published("session", connected=True)
    life.orders_work(0)


def after_the_upgrade(life: Life) -> None:
    life.server.wait_for_client()
    life.die()
    life.come_back()
    assert life.told() == []
    life.orders_work(0)


def after_session_updated(life: Life) -> None:
    life.greet()
    life.die()
    life.come_back()
    assert life.told() == _GREETED
    life.nothing_was_flushed()
    life.orders_work(0)


def in_the_users_speech(life: Life) -> None:
    life.greet()
    life.speak()
    life.die()
    life.come_back()
    assert [event.audio for event in life.got(events.InputAudioAppend)] == [_SPEECH] * 5
    assert life.told() == _GREETED
    life.nothing_was_flushed()
    life.orders_work(0)


def after_the_commit(life: Life) -> None:
    """Of words that are not known yet there is the sound, and the server answers by itself what it hears."""
    life.greet()
    life.commit()
    life.die()
    life.come_back()
    assert [event.audio for event in life.got(events.InputAudioAppend)] == [_SPEECH] * 5
    assert life.told() == _GREETED
    life.orders_work(0)


def after_the_words(life: Life) -> None:
    life.greet()
    life.commit("What next?")
    life.die()
    life.come_back()
    assert life.told() == [*_GREETED, ("user", "What next?")]
    assert _SPEECH not in [event.audio for event in life.got(events.InputAudioAppend)]
    life.answer()
    life.orders_work(1)


def after_response_created(life: Life) -> None:
    life.greet()
    life.commit("What next?")
    life.server.begin_reply()
    life.server.roundtrip()
    life.die()
    life.come_back()
    assert life.told() == [*_GREETED, ("user", "What next?")]
    life.answer()
    life.orders_work(1)


def in_the_reply(life: Life) -> None:
    """What came plays on; it is told when it was heard, as the fragment that it is."""
    life.greet()
    life.commit("What next?")
    reply = life.server.begin_reply()
    life.say(reply, _WORDS, 4000)
    life.die()
    life.come_back()
    assert life.told() == [*_GREETED, ("user", "What next?")]
    life.nothing_was_flushed()
    life.world.heard.send(PlayFinished(reply.item_id, 0, life.epoch, 4000))
    life.world.until_published("turn", item_id=reply.item_id)
    life.server.roundtrip()
    assert life.told()[3:] == [("assistant", f"{_WORDS} …")]
    life.orders_work(0)


def while_the_reply_plays(life: Life) -> None:
    """All of it came, and it is cut off only now."""
    life.greet()
    life.commit("What next?")
    reply = life.server.begin_reply()
    life.say(reply, _WORDS, 4000)
    life.end(reply, _WORDS)
    life.die()
    life.come_back()
    life.nothing_was_flushed()
    life.world.order("interrupt")
    assert life.world.flushes is not None
    flush = life.world.until_from(life.world.flushes, lambda message: isinstance(message, Flush))
    assert isinstance(flush, Flush)
    life.world.heard.send(Flushed(flush.epoch, (PartHeard(reply.item_id, 0, 2000),), 2000, 70, True))
    turn = life.world.until_published("turn", item_id=reply.item_id)
    life.server.roundtrip()
    assert turn["interrupted"]
    assert life.told() == [*_GREETED, ("user", "What next?"), ("assistant", f"{turn['heard']} …")]
    assert _WORDS.startswith(turn["heard"])
    assert 15 < len(turn["heard"]) <= len(_WORDS) // 2
    life.orders_work(0)


def in_a_tool_call(life: Life) -> None:
    life.greet()
    life.commit("Look at it.")
    call = Item(type="function_call", id="item_call", call_id="call_1", name="look", arguments="{}", status="completed")
    opened = life.server.begin_reply()
    life.server.send(events.OutputItemDone(response_id=opened.response_id, item=call))
    life.world.until_published("tool.call", call_id="call_1")
    life.die()
    life.come_back()
    creates = len(life.got(events.ResponseCreate))
    for _ in range(creates):
        life.answer()
    life.world.order("tool_result", call_id="call_1", output="It is green.")
    life.server.until(lambda event: isinstance(event, events.ItemCreate) and event.item.type == "function_call_output", since=life.died_at)
    life.server.until(lambda event: isinstance(event, events.ResponseCreate), since=len(life.server.received) - 1)
    told = life.told()
    assert told == [*_GREETED, ("user", "Look at it."), ("function_call", "call_1"), ("function_call_output", "call_1")]
    life.answer()
    assert creates == 0
    life.orders_work(1)


Step = Callable[[Life], None]


class Death(NamedTuple):
    step: Step
    how: str | int
    manner: Manner = Manner()

    @property
    def name(self) -> str:
        return f"{self.step.__name__}-{self.how}"


DEATHS = (
    Death(before_the_upgrade, "refusal", Manner(refuse=503)),
    Death(after_the_upgrade, "FIN", Manner(greets=False, answers_update=False)),
    Death(after_the_upgrade, 1013, Manner(answers_update=False)),
    Death(after_session_updated, "RST"),
    Death(after_session_updated, 1012),
    Death(in_the_users_speech, "RST"),
    Death(in_the_users_speech, 1011),
    Death(after_the_commit, "FIN"),
    Death(after_the_words, 1000),
    Death(after_response_created, "RST"),
    Death(after_response_created, 1001),
    *(Death(in_the_reply, how) for how in ("FIN", "RST", 1000, 1001, 1011, 1012, 1013, "silence")),
    Death(while_the_reply_plays, "RST"),
    Death(while_the_reply_plays, 1001),
    Death(in_a_tool_call, "FIN"),
    Death(in_a_tool_call, 1012),
)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.name)
def test_a_server_that_dies(death: Death, server: ScriptedServer, tmp_path: Path) -> None:
    server.manner = death.manner
    life = Life(tmp_path, server, death.how)
    try:
        if death.step is before_the_upgrade:
            life.world.until_published("session", connected=False)
        death.step(life)
    finally:
        code = life.world.close()
    assert code == 0
