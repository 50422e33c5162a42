"""The language model of any OpenAI-compatible chat URL (Ollama, llama.cpp, vLLM and others), streamed."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from voiced.embedded.parts import ModelFailed, Say, Wanted
from voiced.embedded.work import Think

_CONNECT_LIMIT_S = 5
#: A model that is loaded from disk first is silent for long; one that is silent for longer is gone.
_SILENCE_LIMIT_S = 60
_TURNS = 40
_SPOKEN = "Your answers are spoken aloud: be brief, and write plain sentences without lists, tables, emoji or markup."


class Chat:
    knows_better = True

    def __init__(self, url: str, model: str | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        path = parts.path.rstrip("/")
        if path.endswith("/chat/completions"):
            path = path.removesuffix("/chat/completions")
        elif not path:
            path = "/v1"
        self._secure = parts.scheme == "https"
        self._host = parts.netloc
        self._path = path
        self._model = model
        self.name = f"chat at {parts.hostname}"

    def answer(self, think: Think, now: datetime, wanted: Wanted, say: Say) -> None:
        try:
            for text in self._stream(think, now):
                if not wanted():
                    return
                say(text)
        except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error

    def _stream(self, think: Think, now: datetime) -> Iterator[str]:
        system = f"{think.instructions}\n\n{_SPOKEN} It is {now:%A, %d %B %Y, %H:%M}."
        messages = [{"role": "system", "content": system}, *_messages(think)]
        body = {"model": self._model or self._first_model(), "messages": messages, "stream": True}
        with self._ask("POST", "chat/completions", body) as response:
            yield from _pieces(response)

    def _first_model(self) -> str:
        """The first model that the server offers."""
        with self._ask("GET", "models") as response:
            listed: dict[str, Any] = json.load(response)
        self._model = str(listed["data"][0]["id"])
        return self._model

    @contextmanager
    def _ask(self, method: str, what: str, body: dict[str, Any] | None = None) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        with closing(kind(self._host, timeout=_CONNECT_LIMIT_S)) as connection:
            connection.connect()
            connection.sock.settimeout(_SILENCE_LIMIT_S)
            connection.request(method, f"{self._path}/{what}", json.dumps(body) if body else None, {"Content-Type": "application/json"})
            with connection.getresponse() as response:
                if response.status != http.client.OK:
                    raise self._failed(f"HTTP {response.status} {response.reason}")
                yield response

    def _failed(self, why: str) -> ModelFailed:
        return ModelFailed(
            f"the language model at {self._host}{self._path} gave no answer ({why}); check embedded.chat_url and embedded.chat_model",
            f"I can't reach my language model at {self._host}.",
        )


def _messages(think: Think) -> list[dict[str, str]]:
    turns = [turn for turn in think.said if turn.text]
    return [{"role": "user" if turn.role == "tool" else turn.role, "content": turn.text or ""} for turn in turns[-_TURNS:]]


def _pieces(response: http.client.HTTPResponse) -> Iterator[str]:
    """The text in a stream of server-sent events, or in one plain answer where the server does not stream."""
    if "event-stream" not in (response.getheader("Content-Type") or ""):
        yield json.load(response)["choices"][0]["message"]["content"]
        return
    for line in response:
        data = line.strip().removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        if not line.startswith(b"data:"):
            continue
        chunk = json.loads(data)
        for choice in chunk.get("choices") or ():
            if text := (choice.get("delta") or {}).get("content"):
                yield text
