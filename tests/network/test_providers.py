"""The network process with each kind of server, which behaves as realtime-protocol.md says that it does (1.4, 3.6, 7)."""

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from tests.network.process import PATIENCE_S, World
from tests.scripted_server import BYTES_PER_MS, Manner, Reply, ScriptedServer
from voiced.bus import Poller
from voiced.messages import Answer, Failed, Flush, Flushed, Log, PartHeard, PlayFinished, PlayStarted, Publish, Ready, ReplyAudio, ReplyEnd
from voiced.network import events

pytestmark = pytest.mark.system


class Provider(NamedTuple):
    name: str
    manner: Manner
    settings: Mapping[str, Any] = MappingProxyType({})
    query: str = "?model=m"
    transcribes: bool = True


_TRANSCRIPTION: frozenset[type[events.ServerEvent]] = frozenset({events.TranscriptionDelta, events.TranscriptionCompleted})
_LIFECYCLE: frozenset[type[events.ServerEvent]] = frozenset(
    {
        events.OutputItemAdded,
        events.OutputItemDone,
        events.ContentPartAdded,
        events.ContentPartDone,
        events.ItemDone,
    }
)
_UNTOLD: frozenset[type[events.ServerEvent]] = frozenset({events.ItemTruncated})
_BETA_NAMES = {kind: name for name, kind in events.BETA_NAMES.items() if kind is not events.SessionUpdated}

PROVIDERS = (
    Provider("OpenAI", Manner(key=("authorization", "Bearer sk-secret"), answers=True)),
    Provider(
        "Azure",
        Manner(key=("api-key", "sk-secret"), answers=True, lacks=_TRANSCRIPTION),
        {"provider": "azure", "auth": "api-key", "transcription_model": ""},
        "?model=my-deployment",
        transcribes=False,
    ),
    Provider("xAI", Manner(key=("authorization", "Bearer sk-secret"), greets=False, answers=True)),
    Provider("LocalAI", Manner(greets_after_s=0.5, whole_deltas=True, answers=True), {"auth": "none", "token": ""}, "?model=a-pipeline"),
    Provider(
        "speaches",
        Manner(
            key=("x-api-key", "sk-secret"),
            answers=True,
            names=_BETA_NAMES,
            lacks=frozenset({events.ItemDone}) | _UNTOLD,
        ),
        {"auth": "x-api-key"},
    ),
    Provider(
        "Hugging Face speech-to-speech",
        Manner(
            answers=True,
            names={events.ItemAdded: "conversation.item.created"},
            lacks=_LIFECYCLE | _UNTOLD,
            cancels_first=True,
        ),
        {"auth": "none", "token": ""},
    ),
)


class Talk:
    """A network process, the server it talks to, and what playback and the user would do."""

    def __init__(self, directory: Path, server: ScriptedServer, query: str = "?model=m", **settings: Any) -> None:
        self.server = server
        self.world = World(directory, server.url + query, **settings)

    def begin(self) -> None:
        self.world.until(lambda message: isinstance(message, Ready))
        self.world.listen()

    def play(self, reply: Reply, pcm: bytes) -> ReplyAudio:
        """The server says `pcm` as a reply; returns when all of it came to playback, which begins to play it."""
        self.server.send_audio(reply, pcm)
        poller = Poller()
        poller.watch(self.world.replies.socket)
        deadline = time.monotonic() + PATIENCE_S
        came = b""
        while len(came) < len(pcm):
            assert time.monotonic() < deadline, f"only {len(came)} of {len(pcm)} bytes came"
            poller.wait(100)
            while (message := self.world.replies.next()) is not None:
                header, sound = message
                if isinstance(header, ReplyAudio) and header.item_id == reply.item_id and sound is not None:
                    last, came = header, came + sound
        assert came == pcm
        self.world.heard.send(PlayStarted(reply.item_id, 0, last.epoch))
        self.world.until_published("state", state="speaking")
        return last

    def whole_turn(self, *, transcribed: bool) -> None:
        """The user says something, is answered, and hears all of it."""
        self.server.hear("Hello there.")
        if transcribed:
            self.world.until_published("transcript.user", text="Hello there.", final=True)
        reply = self.server.begin_reply()
        header = self.play(reply, _sound(1300))
        self.server.send(events.OutputTranscriptDelta(response_id=reply.response_id, item_id=reply.item_id, delta="And to you."))
        self.server.end_reply(reply)
        self.world.until_from(self.world.replies, lambda message: isinstance(message, ReplyEnd) and message.item_id == reply.item_id)
        self.world.until_published("response.done", response_id=reply.response_id, status="completed")
        self.world.heard.send(PlayFinished(reply.item_id, 0, header.epoch, 1300))
        self.world.until_published("state", state="listening")

    def barge_in(self) -> None:
        """A long answer is interrupted by voice, and what was heard is told."""
        reply = self.server.begin_reply()
        header = self.play(reply, _sound(5000))
        self.server.interrupt(reply)
        assert self.world.flushes is not None
        flush = self.world.until_from(self.world.flushes, lambda message: isinstance(message, Flush) and message.epoch > header.epoch)
        assert isinstance(flush, Flush)
        self.world.heard.send(Flushed(flush.epoch, (PartHeard(reply.item_id, 0, 321),), 4679, 900, True))
        truncate = self.server.until(lambda event: isinstance(event, events.ItemTruncate)).event
        assert truncate == events.ItemTruncate(event_id=truncate.event_id, item_id=reply.item_id, content_index=0, audio_end_ms=321)
        assert self.world.until_published("flush", item_id=reply.item_id)["played_ms"] == 321

    def ask(self) -> None:
        """A question in writing reaches the server, is asked once, and is answered aloud."""
        since = len(self.server.received)
        self.world.order("ask", text="What time is it?")
        self.server.until(lambda event: isinstance(event, events.ItemCreate), since=since)
        self.server.until(lambda event: isinstance(event, events.ResponseCreate), since=since)
        reply = self.server.begin_reply()
        self.play(reply, _sound(400))
        self.server.end_reply(reply)

    def complaints(self) -> list[object]:
        """Whatever was amiss so far: everything the server said was taken in, and all that came of it was told."""
        self.server.roundtrip()
        self.world.order("transcript", limit=1)
        self.world.until(lambda message: isinstance(message, Answer) and "turns" in message.result)
        return [message for message in self.world.from_child if _amiss(message)]


def _amiss(message: object) -> bool:
    if isinstance(message, Publish):
        return message.topic == "error" or (message.topic == "response.done" and message.data["status"] == "failed")
    return isinstance(message, Failed) or (isinstance(message, Log) and message.level >= logging.WARNING)


def _sound(ms: int) -> bytes:
    return bytes(range(1, 1 + 2 * BYTES_PER_MS)) * (ms // 2)


@pytest.fixture
def talks() -> Iterator[list[Talk]]:
    """Those that a test begins; each process must leave as it should."""
    begun: list[Talk] = []
    yield begun
    assert [talk.world.close() for talk in begun] == [0] * len(begun)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_conversation(provider: Provider, tmp_path: Path, talks: list[Talk]) -> None:
    with ScriptedServer(provider.manner) as server:
        settings = {"transcription_model": "whisper-1", **provider.settings}
        talk = Talk(tmp_path, server, provider.query, **settings)
        talks.append(talk)
        talk.begin()
        assert server.requests[0].path == "/v1/realtime" + provider.query
        talk.whole_turn(transcribed=provider.transcribes)
        talk.barge_in()
        talk.whole_turn(transcribed=provider.transcribes)
        talk.ask()
        assert talk.complaints() == []
        assert server.connections == 1


def test_azure_is_asked_for_no_transcription_without_a_deployment_for_it(tmp_path: Path, talks: list[Talk]) -> None:
    with ScriptedServer(PROVIDERS[1].manner) as server:
        talks.append(Talk(tmp_path, server, **PROVIDERS[1].settings))
        update = server.until(lambda event: isinstance(event, events.SessionUpdate), PATIENCE_S).event
        assert isinstance(update, events.SessionUpdate)
        assert not update.session["audio"]["input"].get("transcription")


def test_a_server_that_ends_an_idle_session_is_followed(tmp_path: Path, talks: list[Talk]) -> None:
    """xAI closes after 900 s without a word (realtime-protocol 7.1)."""
    with ScriptedServer(PROVIDERS[2].manner) as server:
        talk = Talk(tmp_path, server)
        talks.append(talk)
        talk.begin()
        server.hang_up(1000, "idle timeout")
        talk.world.until_published("session", connected=False)
        talk.world.until_published("session", connected=True)
        talk.whole_turn(transcribed=True)


@pytest.mark.parametrize("code", [1001, 1000])
def test_a_session_of_sixty_minutes_is_followed_at_once_and_without_a_warning(code: int, tmp_path: Path, talks: list[Talk]) -> None:
    with ScriptedServer(PROVIDERS[0].manner) as server:
        talk = Talk(tmp_path, server)
        talks.append(talk)
        talk.begin()
        server.hang_up(code, "Your session hit the maximum duration of 60 minutes.")
        assert talk.world.until_published("session", connected=False)["retry_in_s"] == 0
        talk.world.until_published("session", connected=True)
        talk.whole_turn(transcribed=True)
        assert talk.complaints() == []


def test_a_server_without_a_free_session_is_tried_again(tmp_path: Path, talks: list[Talk]) -> None:
    with ScriptedServer(PROVIDERS[5].manner._replace(busy=2)) as server:
        talk = Talk(tmp_path, server, **PROVIDERS[5].settings)
        talks.append(talk)
        lost = talk.world.until_published("session", connected=False)
        assert "no session free" in lost["reason"]
        assert lost["retry_in_s"] > 0
        talk.begin()
        talk.whole_turn(transcribed=True)
        assert not any(isinstance(message, Failed) for message in talk.world.from_child)


def test_a_stale_key_of_a_command_is_asked_for_again(tmp_path: Path, talks: list[Talk]) -> None:
    renewed = tmp_path / "renewed"
    command = ["sh", "-c", 'test -e "$0" && echo fresh-key || { touch "$0"; echo stale-key; }', str(renewed)]
    with ScriptedServer(Manner(key=("authorization", "Bearer fresh-key"))) as server:
        talk = Talk(tmp_path, server, token="", token_command=command)
        talks.append(talk)
        talk.begin()
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer stale-key", "Bearer fresh-key"]
        assert "-key'" not in repr(talk.world.from_child)


def test_a_key_that_is_refused_twice_is_given_up(tmp_path: Path, talks: list[Talk]) -> None:
    with ScriptedServer(Manner(key=("authorization", "Bearer other-key"))) as server:
        talk = Talk(tmp_path, server, token="", token_command=["echo", "wrong-key"])
        talks.append(talk)
        failed = talk.world.until(lambda message: isinstance(message, Failed))
        assert isinstance(failed, Failed)
        assert failed.code == "key_refused"
        assert len(server.requests) == 2


def test_an_account_without_credit_is_final(tmp_path: Path, talks: list[Talk]) -> None:
    with ScriptedServer(PROVIDERS[0].manner) as server:
        talk = Talk(tmp_path, server)
        talks.append(talk)
        talk.begin()
        server.send(events.ErrorEvent(error=events.ErrorDetail(type="insufficient_quota", message="You exceeded your current quota")))
        failed = talk.world.until(lambda message: isinstance(message, Failed))
        assert isinstance(failed, Failed)
        assert failed.code == "quota_exhausted"
        talk.world.until_published("state", state="failed")
