"""Recordings of a session's wire (`voicectl record on`): every input of the conversation's state machine and what it wanted done,
as JSON Lines, for a bug report of one file. `python -m tests.replay FILE` feeds one to a session again.

A session that is recorded is used through a `Tap`, which takes its place; one that is not pays nothing. The first line:

    {"format": 1, "voiced": version, "time": ..., "mono_ns": the start, "epoch": ..., "settings": ..., "moment": Session.moment()}

Where something is going on at that moment, what of it began before is missing; then the last three are told again, in a line with
`n`, at the first moment when nothing is, and from there on the recording is complete.

Then one line an input, in the order of their end; `n` has the order of their beginning:

    {"n": 7, "ms": since the start, "in": method of Session, its arguments ..., "ids": [made by us], "out": [{output: its fields}]}
    {"n": 8, "in": "microphone", "muted": ..., "bytes": of each frame, "captured_ns": [since the start, then differences], "sent": ...}

A step that raised has "raised". No key of ours is in a file, except where a server spreads one over several events.
"""

import functools
import itertools
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, Final, cast

from voiced import __version__
from voiced.child import Child
from voiced.errors import NotNow
from voiced.messages import MicFrame, MonoNs, Order
from voiced.network.events import InputAudioAppend
from voiced.network.interface import Conversing
from voiced.network.outputs import Output, SendEvent
from voiced.network.quote import Quote
from voiced.network.recording.redaction import Redaction
from voiced.network.recording.spool import Writer, create

FORMAT: Final = 1
_MOST_BYTES: Final = 64 << 20
#: What a kill may cost.
_WRITE_EVERY_NS: Final = 1_000_000_000
_WRITE_BYTES: Final = 64 << 10
_FRAMES_A_LINE: Final = 250
_NS_PER_MS: Final = 1_000_000

_NOT_ALLOWED: Final = "recording is not allowed; set allow.recording = true, then `voicectl reload`"

_ASKED: Final = ("facts", "moment")
#: What a session can be told -> the names of the arguments.
INPUTS: Final[dict[str, tuple[str, ...]]] = {
    name: method.__code__.co_varnames[1 : method.__code__.co_argcount + method.__code__.co_kwonlyargcount]
    for name, method in vars(Conversing).items()
    if isinstance(method, FunctionType) and not name.startswith("_") and name not in _ASKED
}


class Recorder:
    """Begins and ends recordings; `use` is handed the session that the process is to use from there on."""

    def __init__(self, child: Child, quote: Quote, use: Callable[[Conversing], None]) -> None:
        self._child = child
        self._quote = quote
        self._use = use
        self._session: Conversing | None = None  # the one that is recorded
        self._recording: Recording | None = None

    def new_id(self) -> str:
        """For the session: an id of ours, which a replay has to make again."""
        made = f"voiced_{secrets.token_hex(10)}"
        if self._recording is not None:
            self._recording.ids.append(made)
        return made

    def obey(self, order: Order, on: bool, session: Conversing, now: MonoNs) -> None:
        """The command `record`."""
        try:
            path = self._begin(session, now) if on else self._end("")
        except NotNow as error:
            self._child.refuse(order, error)
        else:
            self._child.answer(order, recording=on, path=path)

    def keep_up(self, now: MonoNs) -> None:
        """What is due; ends a recording that can't go on, or may not any more."""
        recording = self._recording
        if recording is None or self._session is None:
            return
        recording.keep_up(now)
        if recording.trouble:
            self._end(recording.trouble)
        elif not self._session.next_settings.get("record_dir"):
            self._end("allow.recording is off now")

    def close(self) -> None:
        """The process leaves."""
        self._end("")

    def _begin(self, session: Conversing, now: MonoNs) -> str:
        if self._recording is not None:
            return self._recording.path
        directory = session.next_settings.get("record_dir")
        if not directory:
            raise NotNow(session.next_settings.get("record_refused") or _NOT_ALLOWED)
        try:
            self._recording = Recording(directory, Redaction(self._quote), session, now)
        except OSError as error:
            raise NotNow(f"can't write a recording to {directory}: {error.strerror or error}") from error
        self._session = session
        self._use(cast(Conversing, Tap(session, self._recording)))  # the interface is the same, by its `__getattr__`
        self._child.log(logging.INFO, f"recording the wire to {self._recording.path}")
        return self._recording.path

    def _end(self, trouble: str) -> str | None:
        if self._recording is None or self._session is None:
            return None
        recording, session = self._recording, self._session
        self._recording = self._session = None
        self._use(session)
        recording.close()
        trouble = trouble or recording.trouble
        if trouble:
            message = f"the recording of the wire has ended: {trouble}; so far it is in {recording.path}"
            self._child.publish("error", code="recording_ended", message=message, fatal=False)
            self._child.log(logging.WARNING, message)
        else:
            self._child.log(logging.INFO, f"recorded the wire to {recording.path}")
        return recording.path


class Tap:
    """A session whose inputs are recorded; whatever else is asked of it, the session answers."""

    def __init__(self, session: Conversing, recording: "Recording") -> None:
        self._session = session
        self._recording = recording

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        if name not in INPUTS:
            return found
        tapped = functools.partial(
            self._microphone if name == "microphone" else self._overtake if name == "overtake" else self._step, name, found
        )
        setattr(self, name, tapped)
        return tapped

    def _step(self, name: str, method: Callable[..., list[Output] | None], *args: Any, **kwargs: Any) -> list[Output] | None:
        with self._recording.step(name, args, kwargs) as outputs:
            wanted = method(*args, **kwargs)
            outputs += wanted or ()
        if not self._recording.complete:
            self._recording.look(self._session)
        return wanted

    def _overtake(self, name: str, method: Callable[..., Iterator[Output]], *args: Any) -> Iterator[Output]:
        """Handed on as they come: the first is the flush."""
        with self._recording.step(name, args, {}) as outputs:
            for output in method(*args):
                outputs.append(output)
                yield output

    def _microphone(self, name: str, method: Callable[..., list[Output]], frame: MicFrame, pcm: bytes) -> list[Output]:
        outputs = method(frame, pcm)
        self._recording.frame(frame, pcm, outputs)
        return outputs


class Recording:
    """One file. Never raises once it is open: `trouble` says why it has come to an end."""

    def __init__(self, directory: str, redaction: Redaction, session: Conversing, now: MonoNs) -> None:
        """Raises OSError."""
        self.ids: list[str] = []  # made in the step of now
        self.trouble = ""
        self.complete = session.moment()["quiet_since_ns"] is not None  # a replay knows all that goes on
        self._redaction = redaction
        self._start_ns = now
        self._numbers = itertools.count(1)
        self._run: _Run | None = None
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._bytes = 0
        self._written_ns: int = now
        self.path, fd = create(directory)
        self._writer = Writer(fd)
        header = {"format": FORMAT, "voiced": __version__, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "mono_ns": now}
        self._note(lambda: header | self._standing(session))

    def look(self, session: Conversing) -> None:
        """After a step, until the recording is complete."""
        self.complete = session.moment()["quiet_since_ns"] is not None
        if self.complete:
            self._note(lambda: {"n": next(self._numbers), **self._standing(session)})

    def _standing(self, session: Conversing) -> dict[str, Any]:
        redaction = self._redaction
        return {"epoch": session.epoch, "settings": redaction.settings(session.settings), "moment": redaction.plain(session.moment())}

    @contextmanager
    def step(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[list[Output]]:
        """Around an input: the block fills the list with what came of it. Steps may be nested: what an output leads to may be
        an input before the next output is asked for."""
        self._end_run()
        number, outer, self.ids = next(self._numbers), self.ids, []
        outputs: list[Output] = []
        raised: dict[str, str] = {}
        try:
            yield outputs
        except Exception as error:
            raised = {"raised": f"{type(error).__name__}: {error}"}
            raise
        finally:
            ids, self.ids = self.ids, outer
            given = {**dict(zip(INPUTS[name], args, strict=False)), **kwargs}
            self._note(lambda: self._told(number, name, given, ids, outputs) | self._redaction.plain(raised))

    def frame(self, frame: MicFrame, pcm: bytes, outputs: list[Output]) -> None:
        """A frame of the microphone: many of them make one line."""
        sent = _sent(outputs, pcm)
        if sent is None:  # something new: written out in full
            with self.step("microphone", (frame, pcm), {}) as noted:
                noted += outputs
            return
        run = self._run
        if run is None or (run.muted, run.bytes, run.sent) != (frame.muted, len(pcm), sent) or len(run.captured_ns) >= _FRAMES_A_LINE:
            self._end_run()
            self._run = run = _Run(next(self._numbers), frame.muted, len(pcm), sent)
        run.captured_ns.append(frame.captured_ns)

    def keep_up(self, now: MonoNs) -> None:
        """Hands on what was noted, where it is time."""
        if self._lines and (now - self._written_ns >= _WRITE_EVERY_NS or self._waiting_bytes >= _WRITE_BYTES):
            self._written_ns = now
            self._hand_on()
        self.trouble = self.trouble or self._writer.trouble

    def close(self) -> None:
        """Writes what is left; a disk that hangs is not waited for."""
        self._end_run()
        self._hand_on()
        self._writer.close()
        self.trouble = self.trouble or self._writer.trouble

    def _told(self, number: int, name: str, given: dict[str, Any], ids: list[str], outputs: list[Output]) -> dict[str, Any]:
        told: dict[str, Any] = {"n": number, "in": name}
        for argument, value in given.items():
            match argument:
                case "now":
                    told["ms"] = (value - self._start_ns) / _NS_PER_MS
                case "text":
                    told |= self._redaction.event(value)
                case "order":
                    told["order"] = self._redaction.order(value)
                case _:
                    told[argument] = self._redaction.plain(value)
        if ids:
            told["ids"] = ids
        return told | {"out": self._redaction.plain(outputs)}

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            self._note(lambda: run.told(self._start_ns))

    def _note(self, told: Callable[[], dict[str, Any]]) -> None:
        """The last fence: what can't be written down ends the recording, not the conversation."""
        if self.trouble:
            return
        try:
            self._put(told())
        except Exception as error:
            self.trouble = f"a bug in voiced: {type(error).__name__}: {self._redaction.plain(str(error))}"

    def _put(self, told: dict[str, Any]) -> None:
        line = json.dumps(told, separators=(",", ":")).encode() + b"\n"
        self._bytes += len(line)
        if self._bytes > _MOST_BYTES:
            self.trouble = f"it has reached {_MOST_BYTES >> 20} MiB"
            return
        self._lines.append(line)
        self._waiting_bytes += len(line)

    def _hand_on(self) -> None:
        data = b"".join(self._lines)
        self._lines, self._waiting_bytes = [], 0
        if data and not self._writer.write(data):
            self.trouble = self.trouble or "the disk is too slow"


class _Run:
    """Frames of the microphone in a row that are alike."""

    __slots__ = ("bytes", "captured_ns", "muted", "number", "sent")

    def __init__(self, number: int, muted: bool, size: int, sent: bool) -> None:
        self.number = number
        self.muted = muted
        self.bytes = size
        self.sent = sent
        self.captured_ns: list[int] = []

    def told(self, start_ns: int) -> dict[str, Any]:
        later = (b - a for a, b in itertools.pairwise(self.captured_ns))
        captured_ns = [self.captured_ns[0] - start_ns, *later]
        return {
            "n": self.number,
            "in": "microphone",
            "muted": self.muted,
            "bytes": self.bytes,
            "captured_ns": captured_ns,
            "sent": self.sent,
        }


def _sent(outputs: list[Output], pcm: bytes) -> bool | None:
    """Whether a frame was just sent, or just not; None where it was something else."""
    if not outputs:
        return False
    first = outputs[0]
    whole = len(outputs) == 1 and isinstance(first, SendEvent) and isinstance(first.event, InputAudioAppend) and first.event.audio is pcm
    return True if whole else None
