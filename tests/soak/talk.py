"""The conversation that goes on all day: numbered turns, each said again until voiced has told it, and the books of them."""

import contextlib
import json
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench import sounds
from tests.scripted_server import Manner, Received, Reply, ScriptedServer
from voicectl import Client
from voiced.errors import VoicedError
from voiced.network import events

_NUMBERED = re.compile(r"number (\d+)")
_ASKED = "This is what I say in turn number {}, and I want an answer."
_ANSWERED = "And this is what I answer to number {}, so that you know."
#: One turn and its answer, spoken at most.
_WITHIN_S = 6.0
_LENGTHS_S = (0.3, 1.2)
_LOOK_S = 0.25
_BRIEF = sounds.noise(0.2, seed=9)


class Partner(ScriptedServer):
    """The server that voiced talks to, in the session that it sends the microphone's sound to. Of that it keeps but when and where
    the last came: a day of it is gigabytes."""

    def __init__(self, manner: Manner) -> None:
        self.sound_ns = 0
        self.sound_bytes = 0
        self.current = 0
        self._answering = threading.local()  # whom this thread answers
        super().__init__(manner)

    def _take(self, received: Received) -> None:
        self._answering.connection = received.connection
        if isinstance(received.event, events.InputAudioAppend):
            self.sound_ns, self.current = received.mono_ns, received.connection
            self.sound_bytes += len(received.event.audio)
        else:
            super()._take(received)
        if isinstance(received.event, events.ResponseCreate):
            self._answer_briefly()

    def _answer_briefly(self) -> None:
        """To a question that was typed, or is asked again in a new session."""
        reply = self.begin_reply()
        self.send_audio(reply, _BRIEF)
        self.send(*_transcript(reply, "As you say."))
        self.end_reply(reply)

    @property
    def _client(self) -> socket.socket:
        return self._clients[getattr(self._answering, "connection", self.current) - 1]

    def was_told(self, number: int, since_connection: int, within_s: float) -> bool:
        """Whether a session that began since then was told of that turn."""
        try:
            self._wait(lambda: f"number {number}," in self._told(since_connection), within_s, "it was not told")
        except TimeoutError:
            return False
        return True

    def _told(self, since_connection: int) -> str:
        later = [each.event for each in self.received if each.connection >= since_connection]
        parts = [part for event in later if isinstance(event, events.ItemCreate) for part in event.item.content or ()]
        return " ".join(part.text or part.transcript or "" for part in parts)


class Listener(threading.Thread):
    """What voiced tells of the turns, whichever daemon it is at the time."""

    def __init__(self, runtime_dir: Path) -> None:
        super().__init__(name="listener", daemon=True)
        self._runtime_dir = runtime_dir
        self._changed = threading.Condition()
        self.over = False
        self.subscribed = threading.Event()
        #: Numbers of turns that are over, by role.
        self.told: dict[str, set[int]] = {"user": set(), "assistant": set()}
        self.errors: list[str] = []

    def run(self) -> None:
        while not self.over:
            with contextlib.suppress(VoicedError), Client(self._runtime_dir) as client, client.events("turn", "error") as stream:
                self.subscribed.set()
                while not self.over:
                    if (event := stream.next(_LOOK_S)) is not None:
                        self._take(event.topic, event.data)

    def _take(self, topic: str, data: dict[str, Any]) -> None:
        with self._changed:
            if topic == "error":
                self.errors.append(data["message"])
            else:
                self.told[data["role"]].update(numbers(data["text"]))
            self._changed.notify_all()

    def wait_for(self, number: int, roles: tuple[str, ...], within_s: float) -> bool:
        """Whether these halves of the turn were told."""
        with self._changed:
            return self._changed.wait_for(lambda: all(number in self.told[role] for role in roles), within_s)


def numbers(text: str) -> set[int]:
    return {int(found) for found in _NUMBERED.findall(text)}


class Talk(threading.Thread):
    """Talks without a pause until `over`. A turn that voiced did not tell within seconds is said again, as people do."""

    def __init__(self, partner: Partner, listener: Listener, seed: int) -> None:
        super().__init__(name="talk", daemon=True)
        self._partner, self._listener = partner, listener
        self._chance = random.Random(seed)
        self._sounds = [sounds.noise(length_s, number) for number, length_s in enumerate((_LENGTHS_S[0], 0.6, _LENGTHS_S[1]))]
        self.over = False
        #: A fault is at work: what is said now may be lost, and is said again.
        self.disturbed = False
        self.number = 0
        self.said_again = 0
        #: Numbers of turns, by the role whose words they have. Of an answer that was interrupted nothing may have been heard.
        self.said: dict[str, set[int]] = {"user": set(), "assistant": set()}
        #: Numbers that were told nowhere although nothing disturbed them.
        self.unheard: list[int] = []

    def run(self) -> None:
        while not self.over:
            self.number += 1
            while not self.over and not self._took(self.number):
                pass

    def _took(self, number: int) -> bool:
        calm = not self.disturbed
        try:
            roles = self._say(number)
        except (OSError, IndexError):  # nobody is connected
            time.sleep(_LOOK_S / 5)
            return False
        deadline_s = time.monotonic() + _WITHIN_S
        while not self._listener.wait_for(number, roles, _LOOK_S):
            calm = calm and not self.disturbed
            if time.monotonic() > deadline_s or self.over:
                if calm and not self.over:
                    self.unheard.append(number)
                self.said_again += 1
                return False
        for role in roles:
            self.said[role].add(number)
        return True

    def _say(self, number: int) -> tuple[str, ...]:
        """Whose words voiced is to keep of it."""
        self._partner.hear(_ASKED.format(number))
        reply = self._partner.begin_reply()
        words = _ANSWERED.format(number)
        self._partner.send_audio(reply, self._chance.choice(self._sounds))
        self._partner.send(*_transcript(reply, words))
        if self._chance.random() < 0.4:
            time.sleep(self._chance.uniform(0.1, 0.3))
            self._partner.interrupt(reply)
            return ("user",)
        self._partner.end_reply(reply)
        return ("user", "assistant")


def _transcript(reply: Reply, words: str) -> Iterator[events.ServerEvent]:
    yield events.OutputTranscriptDelta(response_id=reply.response_id, item_id=reply.item_id, delta=words)
    yield events.OutputTranscriptDone(response_id=reply.response_id, item_id=reply.item_id, transcript=words)


def written(state_dir: Path) -> dict[str, set[int]]:
    """The numbers of the turns in the files, by role."""
    found: dict[str, set[int]] = {"user": set(), "assistant": set()}
    for file in sorted(state_dir.glob("voiced/turns-*.jsonl")):
        for line in file.read_text().splitlines():
            turn = json.loads(line)
            found[turn["role"]] |= numbers(turn["text"])
    return found
