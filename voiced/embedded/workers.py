"""The threads that hear, think and speak for all sessions, so that no session's loop ever waits for a model.

Each kind of work has a queue. Models load in the workers' own threads, so the server listens at once and what is asked
meanwhile waits for its worker.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from voiced.embedded.brain import Brain
from voiced.embedded.parts import Candidates, NotHere, RecognitionFailed, SpeechFailed, Wanted
from voiced.embedded.work import Piece, Speak, Think

logger = logging.getLogger(__name__)

#: A slow chat server must not keep other sessions waiting.
_THINKERS = 4
NO_RECOGNISER = "no speech recognition is installed; install voiced with its speech packages"
NO_VOICE = "no speech synthesis is installed; install voiced with its speech packages, or the program flite or espeak-ng"

Part = TypeVar("Part")
#: None asks the thread behind it to end.
Queue = queue.SimpleQueue[Callable[[], None] | None]


class _Slot(Generic[Part]):
    """The part of the machine that does one kind of work, once it is loaded; None where there is none."""

    def __init__(self, kind: str, candidates: list[Callable[[], Part]]) -> None:
        self._kind = kind
        self._candidates = candidates
        self._loaded = threading.Event()
        self._part: Part | None = None

    def load(self) -> None:
        try:
            self._part = self._first_that_loads()
        finally:
            self._loaded.set()

    def _first_that_loads(self) -> Part | None:
        for candidate in self._candidates:
            try:
                return candidate()
            except NotHere as missing:
                logger.info("%s: %s", self._kind, missing)
            except Exception as error:  # a third party's package that is broken must not take the server down
                logger.warning("%s: it can't be loaded: %s: %s", self._kind, type(error).__name__, error)
        return None

    def wait(self) -> Part | None:
        self._loaded.wait()
        return self._part

    @property
    def state(self) -> str:
        if not self._loaded.is_set():
            return "loading"
        return str(getattr(self._part, "name", "none"))


class Workers:
    """All of them; one instance a process. Answers are called back from the workers' threads."""

    def __init__(self, candidates: Candidates, clock: Callable[[], datetime] = datetime.now) -> None:
        self._clock = clock
        self._recogniser = _Slot("recognition", candidates.recognisers)
        self._voice = _Slot("voice", candidates.voices)
        self._model = _Slot("language model", candidates.models)
        self._to_recognise: Queue = queue.SimpleQueue()
        self._to_think: Queue = queue.SimpleQueue()
        self._to_speak: Queue = queue.SimpleQueue()
        self._threads: list[tuple[threading.Thread, Queue]] = []
        self._may_load = threading.Event()
        self._load_after_s = 0.0

    def start(self, load_after_s: float = 0.0) -> None:
        """Starts the threads; they load their models first: after that time, or when `load` is called before. Loading
        takes all that the processor has for seconds, and whoever just connects must not wait for it."""
        self._load_after_s = load_after_s
        self._add("voice", self._voice.load, self._to_speak)
        self._add("recognition", self._recogniser.load, self._to_recognise)
        self._add("brain", self._model.load, self._to_think)
        for _ in range(_THINKERS - 1):
            self._add("brain", self._model.wait, self._to_think)

    def load(self) -> None:
        self._may_load.set()

    def stop(self, within_s: float) -> bool:
        """Ends the threads. False where one is still deep in a model: Python must not be finalised under it, as it would
        come back into an interpreter that is gone, and the C++ around it aborts the process."""
        self._may_load.set()
        for _, work in self._threads:
            work.put(None)
        deadline = time.monotonic() + within_s
        for thread, _ in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread, _ in self._threads)

    def _add(self, name: str, first: Callable[[], object], work: Queue) -> None:
        thread = threading.Thread(target=self._run, args=(first, work), name=name, daemon=True)
        self._threads.append((thread, work))
        thread.start()

    def loaded(self) -> dict[str, str]:
        """Who does what, for the status."""
        model = self._model.state
        return {"recognition": self._recogniser.state, "voice": self._voice.state, "brain": "rules" if model == "none" else model}

    def wait_until_loaded(self) -> None:
        for slot in (self._recogniser, self._voice, self._model):
            slot.wait()

    def recognise(self, pcm: bytes, wanted: Wanted, done: Callable[[str | None, str | None], None]) -> None:
        """`done` gets the text, or None and why there is none."""

        def job() -> None:
            if not wanted():
                return
            recogniser = self._recogniser.wait()
            if recogniser is None:
                done(None, NO_RECOGNISER)
                return
            try:
                done(recogniser.recognise(pcm), None)
            except RecognitionFailed as failure:
                done(None, str(failure))
            except Exception as error:
                done(None, _bug(error))

        self._to_recognise.put(job)

    def think(self, think: Think, wanted: Wanted, piece: Callable[[Piece, bool], None], failed: Callable[[str], None]) -> None:
        """`piece` gets text or a call of a tool, and whether it is the last."""

        def job() -> None:
            if not wanted():
                return
            try:
                Brain(self._model.wait(), self._clock).answer(think, wanted, lambda text: piece(text, False))
                piece("", True)
            except Exception as error:
                failed(_bug(error))

        self._to_think.put(job)

    def speak(self, speak: Speak, wanted: Wanted, done: Callable[[bytes], None], failed: Callable[[str], None]) -> None:
        def job() -> None:
            if not wanted():
                return
            voice = self._voice.wait()
            if voice is None:
                failed(NO_VOICE)
                return
            try:
                done(voice.speak(speak.text, speak.speed))
            except SpeechFailed as failure:
                failed(str(failure))
            except Exception as error:
                failed(_bug(error))

        self._to_speak.put(job)

    def _run(self, first: Callable[[], object], work: Queue) -> None:
        self._may_load.wait(self._load_after_s)
        first()
        while (job := work.get()) is not None:
            job()


def _bug(error: Exception) -> str:
    """For the log and for the client that waits: a bug of ours or of a package must not silence a session, let alone all."""
    logger.error("a bug in the embedded server: %s: %s", type(error).__name__, error)
    logger.debug("where", exc_info=True)
    return f"internal error: {type(error).__name__}"
