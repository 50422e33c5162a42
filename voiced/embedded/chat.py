"""The language model of any OpenAI-compatible chat URL (Ollama, llama.cpp, vLLM and others), streamed."""

import http.client
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from voiced.embedded.parts import ModelFailed, Say, Wanted
from voiced.embedded.work import Call, Piece, Said, Think

_CONNECT_LIMIT_S = 5
#: A model that is loaded from disk first is silent for long; one that is silent for longer is gone.
_SILENCE_LIMIT_S = 60
#: How soon an answer that nobody wants any more is cut off.
_LOOK_EVERY_S = 0.25
_TURNS = 40
#: What a tool is given by a model that has not lost its way.
_LONGEST_ARGUMENTS = 200_000
_MOST_CALLS = 16
_SPOKEN = "Your answers are spoken aloud: be brief, and write plain sentences without lists, tables, emoji or markup."


class Chat:
    knows_better = True

    def __init__(self, url: str, model: str | None = None) -> None:
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("embedded.chat_url is no URL as http://localhost:11434/v1") from None  # theirs may quote a password
        path = parts.path.rstrip("/")
        if path.endswith("/chat/completions"):
            path = path.removesuffix("/chat/completions")
        elif not path:
            path = "/v1"
        self._secure = parts.scheme == "https"
        self._path = path
        self._headers = {"Content-Type": "application/json"}
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(credentials.encode()).decode()}"
        #: As it may be shown: whatever the URL says of a user and a password is not in it.
        self._shown = self._host if self._port is None else f"{self._host}:{self._port}"
        self._model = model
        self.name = f"chat at {self._host}"

    def answer(self, think: Think, now: datetime, wanted: Wanted, say: Say) -> None:
        try:
            for piece in self._stream(think, now, wanted):
                if not wanted():
                    return
                say(piece)
        except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            if wanted():  # else it was cut off
                raise self._failed(f"{type(error).__name__}: {error}") from error

    def _stream(self, think: Think, now: datetime, wanted: Wanted) -> Iterator[Piece]:
        system = f"{think.instructions}\n\n{_SPOKEN} It is {now:%A, %d %B %Y, %H:%M}."
        messages = [{"role": "system", "content": system}, *_messages(think)]
        body = {"model": self._model or self._first_model(wanted), "messages": messages, "stream": True, **_tools(think)}
        with self._ask("POST", "chat/completions", wanted, body) as response:
            yield from _pieces(response)

    def _first_model(self, wanted: Wanted) -> str:
        """The first model that the server offers."""
        with self._ask("GET", "models", wanted) as response:
            listed: dict[str, Any] = json.load(response)
        self._model = str(listed["data"][0]["id"])
        return self._model

    @contextmanager
    def _ask(self, method: str, what: str, wanted: Wanted, body: dict[str, Any] | None = None) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        with closing(kind(self._host, self._port, timeout=_CONNECT_LIMIT_S)) as connection:
            connection.connect()
            connection.sock.settimeout(_SILENCE_LIMIT_S)
            with _cut_off_when_unwanted(connection.sock, wanted):
                connection.request(method, f"{self._path}/{what}", json.dumps(body) if body else None, self._headers)
                with connection.getresponse() as response:
                    if response.status != http.client.OK:
                        raise self._failed(f"HTTP {response.status} {response.reason}")
                    yield response

    def _failed(self, why: str) -> ModelFailed:
        return ModelFailed(
            f"the language model at {self._shown}{self._path} gave no answer ({why}); check embedded.chat_url and embedded.chat_model",
            f"I can't reach my language model at {self._shown}.",
        )


@contextmanager
def _cut_off_when_unwanted(sock: socket.socket, wanted: Wanted) -> Iterator[None]:
    """A model may be silent for a minute; whoever interrupts it must not keep the thread that waits for it."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_EVERY_S):
            if not wanted():
                with suppress(OSError):  # the server closed it just now
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which waits for the other side
                return

    watcher = threading.Thread(target=watch, name="chat-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _tools(think: Think) -> dict[str, Any]:
    """The tools in the words of this API, which keeps a function in a map of its own."""
    if not think.tools:
        return {}
    names = ("name", "description", "parameters")
    tools = [{"type": "function", "function": {name: tool[name] for name in names if name in tool}} for tool in think.tools]
    choice = think.tool_choice
    if isinstance(choice, dict):
        choice = {"type": "function", "function": {"name": choice["name"]}} if choice.get("type") == "function" else "auto"
    return {"tools": tools, "tool_choice": choice}


def _messages(think: Think) -> list[dict[str, Any]]:
    calls = {turn.call_id: turn for turn in think.said if turn.role == "call"}
    turns = [turn for turn in think.said if turn.text or turn.role == "tool"]
    return [message for turn in turns[-_TURNS:] for message in _messages_of(turn, calls)]


def _messages_of(turn: Said, calls: dict[str, Said]) -> list[dict[str, Any]]:
    """A call goes with its answer, directly before it, as this API wants it; one without an answer goes nowhere."""
    if turn.role == "call":
        return []
    if turn.role != "tool":
        return [{"role": turn.role, "content": turn.text}]
    called = calls.get(turn.call_id)
    if called is None:
        return [{"role": "user", "content": f"A tool answered: {turn.text}"}]
    call = {"id": turn.call_id, "type": "function", "function": {"name": called.name, "arguments": called.text}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": turn.call_id, "content": turn.text},
    ]


def _pieces(response: http.client.HTTPResponse) -> Iterator[Piece]:
    """What is in a stream of server-sent events, or in one plain answer where the server does not stream: text, then calls."""
    calls = _Calls()
    if "event-stream" not in (response.getheader("Content-Type") or ""):
        message = json.load(response)["choices"][0]["message"]
        yield _text_of(message)
        calls.add(message)
    else:
        for message in _deltas(response):
            if text := _text_of(message):
                yield text
            calls.add(message)
    yield from calls.whole()


def _deltas(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in response:
        data = line.strip().removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        if not line.startswith(b"data:"):
            continue
        chunk = json.loads(data)
        for choice in chunk.get("choices") or ():
            yield choice.get("delta") or {}


@dataclass
class _Growing:
    """A call of a tool that is still being told."""

    index: int | None
    id: str | None
    name: str
    arguments: str = ""


class _Calls:
    """Calls of tools as their pieces come: the name first, the arguments bit by bit. Raises ValueError for too much."""

    def __init__(self) -> None:
        self._calls: list[_Growing] = []

    def add(self, message: dict[str, Any]) -> None:
        for piece in message.get("tool_calls") or ():
            function = piece.get("function") or {}
            call = self._of(piece.get("index"), piece.get("id"), function.get("name") or "")
            arguments = function.get("arguments") or ""
            call.arguments += json.dumps(arguments) if isinstance(arguments, dict) else arguments  # a map in Ollama's own API
            if len(self._calls) > _MOST_CALLS or len(call.arguments) > _LONGEST_ARGUMENTS:
                raise ValueError("it calls too many tools, or with too much")

    def _of(self, index: int | None, id: str | None, name: str) -> _Growing:
        """The call that a piece belongs to. Some servers leave out the index, or give all calls the same."""
        begins = bool(name) and index is None and id is None
        for call in reversed(self._calls):
            if not begins and call.index == index and id in (None, "", call.id):
                call.name = call.name or name
                return call
        self._calls.append(_Growing(index, id, name))
        return self._calls[-1]

    def whole(self) -> Iterator[Call]:
        for call in self._calls:
            yield Call(_sound_text(call.name), _sound_text(call.arguments) or "{}")


def _text_of(message: dict[str, Any]) -> str:
    """Its text, "" where it has none, as in a call of a tool. Raises TypeError where the text is something else."""
    content = message.get("content")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(f"content is no text but {type(content).__name__}")
    return _sound_text(content)


def _sound_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # JSON can hold halves of surrogate pairs, and UTF-8 can't
