"""One client's session: its engine, its ear, and the loop that owns both. Everything that happens is an act in one inbox."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from voiced.audio.resample import Resampler
from voiced.audio.silero import RATE_HZ, Silero
from voiced.embedded.engine import Engine
from voiced.embedded.reply import Outputs
from voiced.embedded.work import Drop, HangUp, Recognise, Request, Speak, Think
from voiced.embedded.workers import Workers
from voiced.messages import SAMPLE_RATE_HZ
from voiced.network import events as wire

logger = logging.getLogger(__name__)

#: Read ahead of the loop. A client that sends faster than we hear is held back by TCP, not by our memory.
_READ_AHEAD_BYTES = 32 * 1024 * 1024
#: What an empty message costs all the same.
_MESSAGE_BYTES = 16 * 1024
#: Sound of one session that may wait for its recognition.
_UNHEARD_BYTES = 64 * 1024 * 1024
#: How often a reader that waits for room looks whether the session is still there.
_LOOK_UP_S = 1.0

Act = Callable[[], Outputs]


class Line(Protocol):
    """The connection to the client."""

    def send(self, text: bytes) -> None:
        """Raises LineClosed."""

    def close(self, code: int, reason: str) -> None: ...


class LineClosed(Exception):
    """The client is gone."""


class _Room:
    """How much of what was read may wait for the loop. A message larger than all of it has to be alone."""

    def __init__(self) -> None:
        self._waiting_bytes = 0
        self._changed = threading.Condition()

    def enter(self, size: int) -> bool:
        """False where there was no room for a while."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room_for(size), _LOOK_UP_S):
                return False
            self._waiting_bytes += size + _MESSAGE_BYTES
            return True

    def leave(self, size: int) -> None:
        with self._changed:
            self._waiting_bytes -= size + _MESSAGE_BYTES
            self._changed.notify()

    def _has_room_for(self, size: int) -> bool:
        return not self._waiting_bytes or self._waiting_bytes + size + _MESSAGE_BYTES <= _READ_AHEAD_BYTES


class Session:
    """`run` in a thread of its own; `take` and `end` from the thread that reads the connection."""

    def __init__(self, line: Line, workers: Workers, model: str) -> None:
        self._line = line
        self._workers = workers
        self._engine = Engine(model, now=time.monotonic(), wall_s=time.time())
        self._resampler = Resampler(SAMPLE_RATE_HZ, RATE_HZ)
        self._silero = Silero()
        self._inbox: queue.SimpleQueue[Act] = queue.SimpleQueue()
        self._room = _Room()
        self._unheard_bytes = 0
        self._live: set[str] = set()  # responses whose work is still wanted
        self._open = True

    def take(self, text: bytes | str) -> None:
        """A message from the client. Waits while too many are unread."""
        while self._open and not self._room.enter(len(text)):
            pass
        self._inbox.put(partial(self._received, text))

    def end(self) -> None:
        """The client is gone."""
        self._inbox.put(self._ended)

    def run(self) -> None:
        try:
            self._perform(self._engine.opened())
            while self._open:
                self._perform(self._next())
        except LineClosed:
            logger.debug("the client is gone")
        except Exception as error:  # a bug of ours ends this session, never the server
            logger.error("a bug in the embedded server ended a session: %s: %s", type(error).__name__, error)
            logger.debug("where", exc_info=True)
            self._line.close(1011, "internal error")
        finally:
            self._open = False
            self._live.clear()

    def _next(self) -> Outputs:
        """What there is to do. A client's word goes before the next delta, so an interruption is obeyed within one."""
        try:
            if self._engine.has_delta:
                return self._inbox.get_nowait()()
            return self._inbox.get(timeout=max(0.0, self._engine.deadline - time.monotonic()))()
        except queue.Empty:
            return self._engine.next_delta() if self._engine.has_delta else self._engine.tick(time.monotonic())

    def _ended(self) -> Outputs:
        self._open = False
        return []

    def _received(self, text: bytes | str) -> Outputs:
        self._room.leave(len(text))
        try:
            event = wire.decode_client(text)
        except wire.WireMalformed as malformed:
            return self._engine.refuse(malformed)
        now = time.monotonic()
        outputs = self._engine.receive(event, now)
        if isinstance(event, wire.InputAudioAppend) and not outputs:  # sound that was not refused
            outputs = self._engine.hear(self._listen(event.audio), now)
        return outputs

    def _listen(self, pcm: bytes) -> list[float]:
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        return self._silero.process(self._resampler.process(samples))

    def _perform(self, outputs: Outputs) -> None:
        for output in outputs:
            if isinstance(output, wire.ServerEvent):
                self._line.send(wire.encode(output))
                if isinstance(output, wire.SessionUpdated):
                    self._workers.load()
            else:
                self._ask(output)

    def _ask(self, request: Request) -> None:
        match request:
            case Recognise(item_id, pcm):
                self._recognise(item_id, pcm)
            case Think(response_id):
                self._live.add(response_id)
                wanted = partial(self._wanted, response_id)
                self._workers.think(
                    request,
                    wanted,
                    partial(self._later, self._engine.thought, response_id),
                    partial(self._later, self._engine.think_failed, response_id),
                )
            case Speak(response_id, number):
                self._workers.speak(
                    request,
                    partial(self._wanted, response_id),
                    lambda pcm: self._later(self._engine.spoken, response_id, number, pcm),
                    lambda why: self._later(self._engine.speak_failed, response_id, why),
                )
            case Drop(response_id):
                self._live.discard(response_id)
            case HangUp(code, reason):
                self._open = False
                self._line.close(code, reason)

    def _recognise(self, item_id: str, pcm: bytes) -> None:
        if self._unheard_bytes + len(pcm) > _UNHEARD_BYTES:
            self._later(self._engine.recognised, item_id, None, "too much sound waits for its recognition; send less at once")
            return
        self._unheard_bytes += len(pcm)
        done = partial(self._later, self._recognised, item_id, len(pcm))
        self._workers.recognise(pcm, lambda: self._open, done)

    def _recognised(self, item_id: str, size: int, text: str | None, why: str | None) -> Outputs:
        self._unheard_bytes -= size
        return self._engine.recognised(item_id, text, why)

    def _wanted(self, response_id: str) -> bool:
        return response_id in self._live

    def _later(self, call: Callable[..., Outputs], *arguments: object) -> None:
        self._inbox.put(partial(call, *arguments))
