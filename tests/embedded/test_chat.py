"""The chat URL, against a real HTTP server."""

import base64
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from voiced.embedded.chat import Chat
from voiced.embedded.parts import ModelFailed
from voiced.embedded.work import Call, Piece, Said, Think

NOON = datetime(2026, 11, 22, 12, 5)
THINK = Think("r", "Be brief.", (Said("user", "Why?"), Said("assistant", "Because."), Said("user", "And?")))


class Ollama(http.server.ThreadingHTTPServer):
    """What an OpenAI-compatible server does, and some that do it badly."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.silent = threading.Event()
        self.hung_up = threading.Event()
        self.answer: tuple[int, str, bytes] = (200, "text/event-stream", b"")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Ollama

    def do_GET(self) -> None:
        self._answer(200, "application/json", b'{"data": [{"id": "first-model"}]}')

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append({"path": self.path, "authorization": self.headers["Authorization"], **body})
        if self.server.silent.is_set():
            self.server.silent.clear()
            self.rfile.read(1)  # until the client hangs up
            self.server.hung_up.set()
            return
        self._answer(*self.server.answer)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def ollama() -> Iterator[Ollama]:
    with Ollama() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def streamed(*pieces: str) -> bytes:
    chunks = [json.dumps({"choices": [{"delta": {"content": piece}}]}) for piece in pieces]
    return "".join(f"data: {chunk}\n\n" for chunk in (*chunks, "[DONE]")).encode()


def answer(chat: Chat, most: int = 100, think: Think = THINK) -> list[Piece]:
    pieces: list[Piece] = []
    chat.answer(think, NOON, lambda: len(pieces) < most, pieces.append)
    return pieces


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_conversation_is_sent_and_the_answer_streamed(ollama: Ollama, tail: str) -> None:
    ollama.answer = (200, "text/event-stream", b": hello\n\n" + streamed("Be", "cause."))
    assert answer(Chat(ollama.url + tail)) == ["Be", "cause."]
    asked = ollama.asked[0]
    assert (asked["path"], asked["model"], asked["stream"]) == ("/v1/chat/completions", "first-model", True)
    assert [message["role"] for message in asked["messages"]] == ["system", "user", "assistant", "user"]
    assert "Be brief." in asked["messages"][0]["content"]
    assert "Sunday, 22 November 2026, 12:05" in asked["messages"][0]["content"]


def test_the_model_may_be_named(ollama: Ollama) -> None:
    ollama.answer = (200, "text/event-stream", streamed("x"))
    answer(Chat(ollama.url, "qwen"))
    assert ollama.asked[0]["model"] == "qwen"


def test_a_server_that_does_not_stream(ollama: Ollama) -> None:
    ollama.answer = (200, "application/json", b'{"choices": [{"message": {"content": "All at once."}}]}')
    assert answer(Chat(ollama.url)) == ["All at once."]


def test_nobody_wants_it_any_more(ollama: Ollama) -> None:
    ollama.answer = (200, "text/event-stream", streamed(*"abcdef"))
    assert answer(Chat(ollama.url), most=2) == ["a", "b"]


@pytest.mark.parametrize(
    "bad",
    [
        (500, "text/plain", b"oops"),
        (404, "application/json", b'{"error": "model not found"}'),
        (200, "text/event-stream", b"data: {nonsense\n\n"),
        (200, "text/event-stream", b'data: {"choices": [7]}\n\n'),
        (200, "application/json", b"[]"),
        (200, "application/json", b'{"choices": []}'),
        (200, "application/json", b'{"choices": [{"message": {"content": ["All"]}}]}'),
        (200, "text/event-stream", b'data: {"choices": [{"delta": {"content": 7}}]}\n\n'),
    ],
)
def test_a_server_that_fails(ollama: Ollama, bad: tuple[int, str, bytes]) -> None:
    ollama.answer = bad
    with pytest.raises(ModelFailed, match=r"127\.0\.0\.1:\d+/v1 gave no answer .*check embedded\.chat_url") as caught:
        answer(Chat(ollama.url))
    assert "I can't reach my language model at 127.0.0.1" in caught.value.spoken


def test_no_server_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ModelFailed, match="ConnectionRefusedError"):
        answer(Chat(f"http://127.0.0.1:{port}"))


def test_a_message_without_text_says_nothing(ollama: Ollama) -> None:
    ollama.answer = (200, "application/json", b'{"choices": [{"message": {"content": null}}]}')
    assert answer(Chat(ollama.url)) in ([], [""])
    ollama.answer = (200, "text/event-stream", b'data: {"choices": [{"delta": {"content": null}}]}\n\n' + streamed("x"))
    assert answer(Chat(ollama.url)) == ["x"]


def test_what_no_utf_8_can_hold_is_replaced(ollama: Ollama) -> None:
    ollama.answer = (200, "text/event-stream", streamed("a\ud800b"))
    assert answer(Chat(ollama.url)) == ["a?b"]


def test_a_user_and_a_password_are_sent_and_never_shown(ollama: Ollama) -> None:
    chat = Chat(ollama.url.replace("//", "//me:p%40ss@"), "m")
    ollama.answer = (200, "text/event-stream", streamed("x"))
    assert answer(chat) == ["x"]
    assert ollama.asked[0]["authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    ollama.answer = (500, "text/plain", b"")
    with pytest.raises(ModelFailed) as caught:
        answer(chat)
    assert "ss" not in chat.name + str(caught.value).replace("no answer", "") + caught.value.spoken


def test_a_url_that_is_none_is_not_shown_either() -> None:
    with pytest.raises(ValueError, match=r"embedded\.chat_url is no URL") as caught:
        Chat("http://me:pa/ss@host")
    assert "pa" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_silent_server_is_left_once_nobody_wants_its_answer(ollama: Ollama) -> None:
    ollama.silent.set()
    Chat(ollama.url, "m").answer(THINK, NOON, lambda: not ollama.asked, lambda piece: pytest.fail(str(piece)))
    assert ollama.hung_up.wait(10)


WEATHER = {"type": "function", "name": "weather", "description": "of today", "parameters": {"type": "object"}}


def with_tools(choice: str | dict[str, Any] = "auto", *said: Said) -> Think:
    return Think("r", "Be brief.", said or (Said("user", "Weather?"),), (WEATHER,), choice)


def deltas(*pieces: dict[str, Any]) -> tuple[int, str, bytes]:
    chunks = [json.dumps({"choices": [{"delta": piece}]}) for piece in pieces]
    return (200, "text/event-stream", "".join(f"data: {chunk}\n\n" for chunk in (*chunks, "[DONE]")).encode())


def calling(arguments: object, name: str | None = None, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"tool_calls": [{"type": "function", "function": function, **more}]}


def test_tools_are_offered_and_called(ollama: Ollama) -> None:
    ollama.answer = deltas(
        {"role": "assistant", "content": "Let me see."},
        calling("", "weather", index=0, id="a"),
        calling('{"city": ', index=0),
        calling('"Bern"}', index=0),
        calling("{}", "lamp", index=1, id="b"),
        {"content": None},
    )
    assert answer(Chat(ollama.url), think=with_tools()) == ["Let me see.", Call("weather", '{"city": "Bern"}'), Call("lamp", "{}")]
    asked = ollama.asked[0]
    function = {"name": "weather", "description": "of today", "parameters": {"type": "object"}}
    assert (asked["tools"], asked["tool_choice"]) == ([{"type": "function", "function": function}], "auto")


@pytest.mark.parametrize(
    "pieces",
    [
        [calling("{}", "weather", id="a"), calling('{"a": 1}', "lamp", id="b")],  # without an index
        [calling("{}", "weather"), calling('{"a": 1}', "lamp")],  # nor an id
        [calling("{}", "weather", index=0, id="a"), calling('{"a": 1}', "lamp", index=0, id="b")],  # all the same index
        [calling("", "weather", id="a"), calling({"a": 1}, "lamp", id="b")],  # nothing, and a map
        [calling("", index=0, id="a"), calling("{}", "weather", index=0), calling('{"a": 1}', "lamp", index=1)],  # the name late
        [calling("{", "weather"), calling("}"), calling('{"a": 1}', "lamp")],
        [calling("{", "weather", index=0, id="a"), calling("}", "weather", index=0, id="a"), calling('{"a": 1}', "lamp", index=1)],
    ],
)
def test_servers_that_call_in_ways_of_their_own(ollama: Ollama, pieces: list[dict[str, Any]]) -> None:
    ollama.answer = deltas(*pieces)
    assert answer(Chat(ollama.url), think=with_tools()) == [Call("weather", "{}"), Call("lamp", '{"a": 1}')]


def test_a_call_by_a_server_that_does_not_stream(ollama: Ollama) -> None:
    body = {"choices": [{"message": {"content": None, **calling('{"a": 1}', "weather", id="a")}}]}
    ollama.answer = (200, "application/json", json.dumps(body).encode())
    assert [piece for piece in answer(Chat(ollama.url), think=with_tools()) if piece] == [Call("weather", '{"a": 1}')]


@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        ("required", "required"),
        ({"type": "function", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
        ({"type": "mcp", "server_label": "docs"}, "auto"),
    ],
)
def test_the_choice_of_a_tool_is_handed_on(ollama: Ollama, choice: str | dict[str, Any], asked: object) -> None:
    ollama.answer = (200, "text/event-stream", streamed("x"))
    answer(Chat(ollama.url), think=with_tools(choice))
    assert ollama.asked[0]["tool_choice"] == asked


def test_without_tools_none_are_spoken_of(ollama: Ollama) -> None:
    ollama.answer = (200, "text/event-stream", streamed("x"))
    answer(Chat(ollama.url))
    assert not {"tools", "tool_choice"} & ollama.asked[0].keys()


def test_a_call_goes_with_its_answer_whatever_was_said_between(ollama: Ollama) -> None:
    ollama.answer = (200, "text/event-stream", streamed("Sunny."))
    said = (
        Said("user", "Weather?"),
        Said("call", '{"a": 1}', call_id="c1", name="weather"),
        Said("call", "{}", call_id="c2", name="weather"),
        Said("user", "Hello?"),
        Said("tool", "", call_id="c1"),
        Said("tool", "lost", call_id="c0"),
    )
    answer(Chat(ollama.url), think=with_tools("auto", *said))
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a": 1}'}}
    assert ollama.asked[0]["messages"][1:] == [
        {"role": "user", "content": "Weather?"},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "user", "content": "A tool answered: lost"},
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [{"tool_calls": 7}],
        [{"tool_calls": [7]}],
        [calling(7, "weather")],
        [calling("{}", "weather")] * 17,
        [calling("x" * 200_001, "weather")],
    ],
)
def test_calls_that_make_no_sense(ollama: Ollama, pieces: list[dict[str, Any]]) -> None:
    ollama.answer = deltas(*pieces)
    with pytest.raises(ModelFailed):
        answer(Chat(ollama.url), think=with_tools())
