"""The server over a real socket, with the openai package's own client, real speech and whatever package is there."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial

import pytest
from openai.types.realtime import ConversationItemTruncatedEvent
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.embedded.client import Client, connected, quiet
from tests.embedded.conftest import Speech
from voiced.embedded import rules
from voiced.embedded import server as server_module
from voiced.embedded.candidates import candidates
from voiced.embedded.parts import Candidates
from voiced.embedded.reading import ALICE
from voiced.embedded.server import Server
from voiced.embedded.workers import NO_RECOGNISER, NO_VOICE, Workers

# The openai package (3.54) uses websockets (17.1 and later) in a way that this one calls legacy.
pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")]


def at_three() -> datetime:
    """The time in the tests. A voice that says another one each time is misheard some day: "seventeen" for "seven fifteen"."""
    return datetime(2026, 11, 22, 15, 0)


def serving(parts: Candidates, token: str | None = None) -> Iterator[Server]:
    workers = Workers(parts, at_three)
    server = Server(workers, token=token)
    workers.start()
    server.start()
    yield server
    server.stop()
    assert workers.stop(within_s=20)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """With recognition and a voice from their packages; rules only, whose answers are known."""
    yield from serving(candidates()._replace(models=[]))


@pytest.fixture
def bare_server() -> Iterator[Server]:
    """A machine with flite and no speech packages at all."""
    yield from serving(Candidates(recognisers=[], voices=candidates().voices[1:2], models=[]))


@pytest.fixture
def mute_server() -> Iterator[Server]:
    yield from serving(Candidates(recognisers=[], voices=[], models=[]))


@pytest.fixture
def guarded_server() -> Iterator[Server]:
    yield from serving(Candidates(recognisers=[], voices=[], models=[]), token="right")


def ask(client: Client, text: str) -> None:
    client.connection.conversation.item.create(item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
    client.connection.response.create()


def test_a_spoken_question_is_answered_aloud(server: Server, speech: Speech) -> None:
    with connected(server.url) as client:
        created = client.next()
        assert (created.type, created.session.model) == ("session.created", "gpt-realtime")
        patient = {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad", "silence_duration_ms": 500}}
        client.connection.session.update(session={"type": "realtime", "audio": {"input": patient}})
        client.until("session.updated")
        client.say(quiet(500) + speech("What time is it?") + quiet(1000))
        done = client.until("response.done")
        heard = client.of("conversation.item.input_audio_transcription.completed")[0].transcript
        assert "what time is it" in heard.lower()
        assert done.response.output[0].content[0].transcript == "It is three o'clock in the afternoon."
        sound = b"".join(base64.b64decode(event.delta) for event in client.of("response.output_audio.delta"))
        assert 1000 < len(sound) / 48 < 6000
        # The answer is speech indeed: the server understands itself.
        client.connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": base64.b64encode(sound).decode()}]}
        )
        spoken = client.until("conversation.item.input_audio_transcription.completed").transcript
        assert "in the afternoon" in spoken.lower()


class HesitantVoice:
    """A real voice that stops after the first sentences until it may go on: a reply that is sure to be unfinished."""

    def __init__(self, may_go_on: threading.Event) -> None:
        self._voice = candidates().voices[1]()
        self.name = self._voice.name
        self._said = 0
        self._may_go_on = may_go_on

    def speak(self, text: str, speed: float) -> bytes:
        self._said += 1
        if self._said > 3:
            assert self._may_go_on.wait(60)
        return self._voice.speak(text, speed)


@pytest.fixture
def hesitant_server() -> Iterator[Server]:
    may_go_on = threading.Event()
    for server in serving(Candidates(recognisers=[], voices=[partial(HesitantVoice, may_go_on)], models=[])):
        yield server
        may_go_on.set()


def test_barge_in_in_the_middle_of_a_reply(hesitant_server: Server, speech: Speech) -> None:
    with connected(hesitant_server.url) as client:
        ask(client, "Read me something long.")
        item = client.until("response.output_item.added").item
        client.until("response.output_audio.delta")
        client.say(quiet(320) + speech("Stop it now please.") + quiet(1000))
        client.until("input_audio_buffer.speech_started")
        after = len(client.events)
        done = client.until("response.done")
        assert (done.response.status, done.response.status_details.reason) == ("cancelled", "turn_detected")
        assert not [event for event in client.events[after:] if event.type == "response.output_audio.delta"]
        sound = sum(len(base64.b64decode(event.delta)) for event in client.of("response.output_audio.delta"))
        text = "".join(event.delta for event in client.of("response.output_audio_transcript.delta"))
        assert client.of("response.output_audio_transcript.done")[0].transcript == text
        assert len(text) < len(ALICE)
        client.connection.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=sound // 48 + 2)
        assert "already shorter" in client.until("error").error.message
        client.connection.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=sound // 96)
        assert isinstance(client.until("conversation.item.truncated"), ConversationItemTruncatedEvent)


def test_errors_leave_the_session_open(server: Server) -> None:
    with connected(server.url) as client:
        client.next()
        client.connection.send({"type": "no.such.event", "event_id": "e1"})
        unknown = client.next().error
        assert (unknown.code, unknown.param, unknown.event_id) == ("invalid_value", "type", "e1")
        client.connection._connection.send("no JSON")  # below the package, which sends only JSON
        assert client.next().error.code == "invalid_json"
        client.connection.response.cancel()
        assert client.next().error.code == "response_cancel_not_active"
        client.connection.input_audio_buffer.commit()
        assert client.next().error.code == "input_audio_buffer_commit_empty"
        client.connection.input_audio_buffer.append(audio="***")
        assert client.next().error.param == "audio"
        client.connection.conversation.item.delete(item_id="item_x")
        assert client.next().error.code == "item_not_found"
        ask(client, "Hello")
        assert client.until("response.done").response.status == "completed"


def test_an_append_of_15_mib_is_taken_and_more_is_refused(server: Server) -> None:
    with connected(server.url) as client:
        client.connection.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
        client.until("session.updated")
        client.connection.input_audio_buffer.append(audio=base64.b64encode(bytes(15 * 1024 * 1024)).decode())
        client.connection.input_audio_buffer.append(audio=base64.b64encode(bytes(15 * 1024 * 1024 + 2)).decode())
        assert "15 MiB" in client.next().error.message
        client.connection.input_audio_buffer.clear()
        assert client.next().type == "input_audio_buffer.cleared"


def test_sessions_do_not_know_each_other(server: Server) -> None:
    with connected(server.url) as one, connected(server.url) as other:
        ask(one, "Hello")
        assert one.until("response.done").response.status == "completed"
        other.connection.response.cancel()
        assert other.until("error").error.code == "response_cancel_not_active"


def test_there_are_seats_for_eight(mute_server: Server) -> None:
    with ExitStack() as eight:
        for _ in range(8):
            eight.enter_context(connect(mute_server.url)).recv(timeout=5)
        with connect(mute_server.url) as ninth, pytest.raises(ConnectionClosed) as closed:
            ninth.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013


def test_the_beta_is_refused_as_the_api_does(server: Server) -> None:
    with connect(server.url, additional_headers={"OpenAI-Beta": "realtime=v1"}) as connection:
        assert '"beta_api_shape_disabled"' in str(connection.recv(timeout=5))
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "invalid_request_error.beta_api_shape_disabled")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/elsewhere", {}, 404),
        ("/v1/realtime", {"Origin": "https://evil.example"}, 403),
        ("/v1/realtime", {"Origin": "http://["}, 400),
        ("//[", {}, 400),
        ("/v1/realtime?intent=transcription", {}, 400),
    ],
)
def test_who_is_not_let_in(server: Server, path: str, headers: dict[str, str], status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(server.url.replace("/v1/realtime", path), additional_headers=headers)
    assert refused.value.response.status_code == status


def test_pages_of_this_machine_are_let_in_by_subprotocol(server: Server) -> None:
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.secret")]
    with connect(server.url, origin=Origin("http://localhost:3000"), subprotocols=offered) as connection:
        assert connection.subprotocol == "realtime"
        assert "session.created" in str(connection.recv(timeout=5))


def test_a_token_keeps_others_out(guarded_server: Server) -> None:
    for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}, {}):
        with pytest.raises(InvalidStatus) as refused:
            connect(guarded_server.url, additional_headers=headers)
        assert refused.value.response.status_code == 401
    with connect(guarded_server.url, additional_headers={"Authorization": "Bearer right"}) as connection:
        assert "session.created" in str(connection.recv(timeout=5))


def test_without_speech_packages_it_still_serves(bare_server: Server, speech: Speech) -> None:
    with connected(bare_server.url) as client:
        client.connection.session.update(session={"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}})
        client.until("session.updated")
        client.say(quiet(500) + speech("Hello") + quiet(600))
        done = client.until("response.done")
        assert done.response.output[0].content[0].transcript == rules.NO_RECOGNITION
        assert client.of("conversation.item.input_audio_transcription.failed")[0].error.message == NO_RECOGNISER
        assert client.of("response.output_audio.delta")


def test_without_any_voice_it_says_so_in_the_response(mute_server: Server) -> None:
    with connected(mute_server.url) as client:
        ask(client, "Hello")
        done = client.until("response.done")
        assert done.response.status == "failed"
        assert NO_VOICE in done.response.status_details.to_json()


def test_a_client_that_does_not_read_loses_its_seat(mute_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SEND_LIMIT_S", 1)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 60_000}]}
    message = json.dumps({"type": "conversation.item.create", "item": item})
    with connect(mute_server.url, max_queue=1) as deaf:
        with suppress(ConnectionClosed):
            for _ in range(200):
                deaf.send(message)
        for _ in range(8):
            assert mute_server._seats.acquire(timeout=20)
        for _ in range(8):
            mute_server._seats.release()


def test_a_tool_is_called_and_its_answer_told(mute_server: Server) -> None:
    with connected(mute_server.url) as client:
        tool = {"type": "function", "name": "front_door", "parameters": {"type": "object", "properties": {}}}
        client.connection.session.update(session={"type": "realtime", "output_modalities": ["text"], "tools": [tool]})
        ask(client, "Please use the front door.")
        call = client.until("response.function_call_arguments.done")
        assert (call.name, call.arguments) == ("front_door", "{}")
        assert [item.type for item in client.until("response.done").response.output] == ["function_call"]
        client.connection.conversation.item.create(item={"type": "function_call_output", "call_id": call.call_id, "output": "It is open."})
        client.connection.response.create()
        assert client.until("response.done").response.output[0].content[0].text == "The answer is: It is open."
