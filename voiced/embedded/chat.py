"""The language model of any OpenAI-compatible chat URL (Ollama, llama.cpp, vLLM and others), streamed."""

import http.client
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from voiced.embedded.parts import ModelFailed, Say, Wanted
from voiced.embedded.work import Think

_CONNECT_LIMIT_S = 5
#: A model that is loaded from disk first is silent for long; one that is silent for longer is gone.
_SILENCE_LIMIT_S = 60
#: How soon an answer that nobody wants any more is cut off.
_LOOK_EVERY_S = 0.25
_TURNS = 40
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
            for text in self._stream(think, now, wanted):
                if not wanted():
                    return
                say(text)
        except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            if wanted():  # else it was cut off
                raise self._failed(f"{type(error).__name__}: {error}") from error

    def _stream(self, think: Think, now: datetime, wanted: Wanted) -> Iterator[str]:
        system = f"{think.instructions}\n\n{_SPOKEN} It is {now:%A, %d %B %Y, %H:%M}."
        messages = [{"role": "system", "content": system}, *_messages(think)]
        body = {"model": self._model or self._first_model(wanted), "messages": messages, "stream": True}
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


def _messages(think: Think) -> list[dict[str, str]]:
    turns = [turn for turn in think.said if turn.text]
    return [{"role": "user" if turn.role == "tool" else turn.role, "content": turn.text or ""} for turn in turns[-_TURNS:]]


def _pieces(response: http.client.HTTPResponse) -> Iterator[str]:
    """The text in a stream of server-sent events, or in one plain answer where the server does not stream."""
    if "event-stream" not in (response.getheader("Content-Type") or ""):
        yield _text_of(json.load(response)["choices"][0]["message"])
        return
    for line in response:
        data = line.strip().removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        if not line.startswith(b"data:"):
            continue
        chunk = json.loads(data)
        for choice in chunk.get("choices") or ():
            if text := _text_of(choice.get("delta") or {}):
                yield text


def _text_of(message: dict[str, Any]) -> str:
    """Its text, "" where it has none, as in a call of a tool. Raises TypeError where the text is something else."""
    content = message.get("content")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(f"content is no text but {type(content).__name__}")
    return content.encode("utf-8", "replace").decode()  # JSON can hold halves of surrogate pairs, and UTF-8 can't
