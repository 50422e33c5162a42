"""Replays a recording of the wire (`voicectl record on`, voiced/network/recording.py) against a fresh session:

    python -m tests.replay FILE            what came in, what was wanted done, and where the session of today does otherwise
    python -m tests.replay --brief FILE    the first difference only

The exit status is 0 where nothing differs, 1 where something does, 2 where the file is no recording.

A recording begins in the middle of a session, so the replay opens one first, with a session.created of its own. Where something
was going on at that time, the recording does not know all of it, and the replay begins at the first quiet moment; what was said
before the recording, and is told again to a later session, is not asked of it. Log lines are words for people, and not compared.
"""

import argparse
import base64
import difflib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from voiced import messages
from voiced.errors import BY_CODE, VoicedError
from voiced.messages import Epoch, MicFrame, MonoNs, Order, PartHeard, PartQueued
from voiced.network.interface import Conversing
from voiced.network.outputs import Output
from voiced.network.quote import Quote
from voiced.network.recording.recorder import FORMAT, INPUTS
from voiced.network.recording.redaction import AUDIO_BYTES, Redaction
from voiced.network.session import Session

_LONGEST_SHOWN = 300
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


class NoRecording(ValueError):
    """The file is none, or one of another format."""


class Make(Protocol):
    """What makes a session: `Session`, or one that a test has broken."""

    def __call__(self, settings: dict[str, Any], epoch: Epoch, new_id: Callable[[], str], *, quote: Quote) -> Conversing: ...


class Step(NamedTuple):
    """An input, what came of it, and what comes of it now; outputs as `{name: fields}`."""

    told: dict[str, Any]  # the line of the recording
    recorded: list[Any]
    replayed: list[Any] | None  # None: before the first quiet moment

    @property
    def differs(self) -> bool:
        known = self.replayed is not None and "left_out" not in self.told
        return known and _compared(self.recorded) != _compared(self.replayed or [])


def load(lines: Iterable[str | bytes]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header and the steps, in the order in which they began. The last line may be cut off. Raises NoRecording."""
    try:
        header, *rest = [line for line in lines if line.strip()]
        head = json.loads(header)
        if head["format"] != FORMAT:
            raise NoRecording(f"its format is {head['format']}, this program reads {FORMAT}")
        steps = [json.loads(line) for line in rest[:-1]]
        if rest and rest[-1].strip()[-1:] in ("}", b"}"):
            steps.append(json.loads(rest[-1]))
        return head, sorted(steps, key=lambda step: int(step["n"]))
    except (ValueError, KeyError, TypeError) as error:
        raise error if isinstance(error, NoRecording) else NoRecording(f"{type(error).__name__}: {error}") from error


def replay(header: dict[str, Any], steps: Iterable[dict[str, Any]], make: Make = Session) -> Iterator[Step]:
    """Every step, replayed."""
    return _Replay(header, make).run(steps)


class _Replay:
    def __init__(self, header: dict[str, Any], make: Make) -> None:
        self._start_ns: int = header["mono_ns"]
        self._redaction = Redaction(Quote(None))
        self._ids: list[str] = []
        self._own = itertools.count(1)
        self._seen: set[str] = set()  # every text of the steps so far, ids among them
        self._make = make
        self._session: Conversing | None = None
        if header["moment"]["quiet_since_ns"] is not None:
            self._session = self._opened(header)

    def _new_id(self) -> str:
        return self._ids.pop(0) if self._ids else f"replay_{next(self._own)}"

    def _opened(self, standing: dict[str, Any]) -> Conversing:
        """A session that stands where the recorded one stood."""
        settings, moment = standing["settings"], standing["moment"]
        session, phase = self._make(settings, Epoch(standing["epoch"]), self._new_id, quote=Quote(None)), moment["phase"]
        now = MonoNs(moment["quiet_since_ns"])
        session.begin(now)
        session.skipped(moment["handled"])
        if phase in ("GREETING", "READY"):
            session.connected(now, _unix_s(moment, now))
        if phase == "READY":
            told = {"type": "realtime", "id": moment["id"], "model": moment["model"], "expires_at": moment["expires_at"]}
            for kind in ("session.created", "session.updated"):
                session.feed(json.dumps({"type": kind, "session": told}).encode(), moment["handled"], now)
        elif phase == "OFFLINE":
            session.lost("before the recording", 1, 0.0, now)
        elif phase == "FAILED":
            session.failed(VoicedError("before the recording"), now)
        elif phase == "ASLEEP" and not settings.get("exhausted"):
            session.order(Order(0, "budget", {"exhausted": "asleep"}), 0, now)
            # There is no order to sleep and to be wakeable.
            session._talk.exhausted = ""  # type: ignore[attr-defined]  # of Session, the one class there is
        return session

    def run(self, steps: Iterable[dict[str, Any]]) -> Iterator[Step]:
        for told in steps:
            self._ids = list(told.get("ids", ()))
            if "moment" in told:
                self._session = self._opened(told)
                continue
            recorded = _outputs(told)
            if self._session is None:
                yield Step(told, recorded, None)
                continue
            try:
                replayed = self._frames(self._session, told) if "captured_ns" in told else self._plain(self._feed(self._session, told))
            except Exception as error:  # it may be just this that is looked for
                replayed = [{"raised": f"{type(error).__name__}: {error}"}]
            yield Step(told, self._without_retold(recorded, replayed), replayed)
            self._seen |= set(_texts(told))

    def _plain(self, outputs: Iterable[Output] | None) -> list[Any]:
        plain: list[Any] = json.loads(json.dumps(self._redaction.plain(list(outputs or ()))))
        return plain

    def _feed(self, session: Conversing, told: dict[str, Any]) -> Iterable[Output] | None:
        names = (name for name in INPUTS[told["in"]] if name in told or name in ("now", "text"))
        outputs: Iterable[Output] | None = getattr(session, told["in"])(**{name: self._argument(name, told) for name in names})
        return outputs

    def _argument(self, name: str, told: dict[str, Any]) -> Any:
        match name:
            case "now":
                return self._start_ns + round(told["ms"] * _NS_PER_MS)
            case "text":
                return _text(told)
            case "order":
                return Order(**told["order"])
            case "message" | "frame" | "speech":
                return _message(told[name])
            case "error":
                return BY_CODE.get(told["error"]["code"], VoicedError)(told["error"]["message"])
            case "pcm":
                return bytes(told["pcm"][AUDIO_BYTES])
        return told[name]

    def _frames(self, session: Conversing, told: dict[str, Any]) -> list[Any]:
        """For each frame, whether it was sent; or what else came of it."""
        pcm = bytes(told["bytes"])
        sent = {"SendEvent": {"event": {"type": "input_audio_buffer.append", "audio": {AUDIO_BYTES: len(pcm)}}}}
        captured_ns, came = self._start_ns, []
        for later_ns in told["captured_ns"]:
            captured_ns += later_ns
            plain = self._plain(session.microphone(MicFrame(0, MonoNs(captured_ns), told["muted"]), pcm))
            came.append(plain == [sent] if plain in ([], [sent]) else plain)
        return came

    def _without_retold(self, recorded: list[Any], replayed: list[Any]) -> list[Any]:
        """What was recorded, but for the turns of before the recording, which a new session is told."""
        if not any("Opened" in output for output in recorded if isinstance(output, dict)):
            return recorded
        return [output for output in recorded if output in replayed or not self._from_before(output)]

    def _from_before(self, output: dict[str, Any]) -> bool:
        event = output.get("SendEvent", {}).get("event", {})
        item = event.get("item", {})
        return event.get("type") == "conversation.item.create" and item.get("type") == "message" and item.get("id") not in self._seen


def _unix_s(moment: dict[str, Any], now: MonoNs) -> float:
    """The wall clock's time at `now` by which the session's end is when it was; a microsecond later, for it is rounded."""
    if moment["expires_at"] is None or moment["expires_ns"] is None:
        return 0.0
    return float(moment["expires_at"] - (moment["expires_ns"] - now) / _NS_PER_S + 1e-6)


# from JSON ---------------------------------------------------------------------------------------------------------------


def _outputs(told: dict[str, Any]) -> list[Any]:
    outputs = list(told["out"]) if "out" in told else [told["sent"]] * len(told["captured_ns"])
    return [*outputs, {"raised": told["raised"]}] if "raised" in told else outputs


def _text(told: dict[str, Any]) -> bytes:
    """The server's message, with silence for sound."""
    if "malformed" in told:
        return str(told["malformed"]).encode()
    if "left_out" in told:
        if told["left_out"]["type"]:
            return b'{"type": "voiced.left_out"}'
        return b"0" if told["left_out"].get("code") == "invalid_event" else b"\xff"
    return json.dumps(_with_sound(told["event"])).encode()


def _with_sound(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {AUDIO_BYTES}:
            return base64.b64encode(bytes(value[AUDIO_BYTES])).decode()
        return {name: _with_sound(inner) for name, inner in value.items()}
    return [_with_sound(inner) for inner in value] if isinstance(value, list) else value


def _message(told: dict[str, Any]) -> Any:
    """A message of the bus."""
    ((name, fields),) = told.items()
    if "heard" in fields:
        fields = {**fields, "heard": tuple(PartHeard(**part["PartHeard"]) for part in fields["heard"])}
    if "parts" in fields:
        fields = {**fields, "parts": tuple(PartQueued(**part["PartQueued"]) for part in fields["parts"])}
    return getattr(messages, name)(**fields)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


# for people --------------------------------------------------------------------------------------------------------------


def _compared(outputs: list[Any]) -> list[Any]:
    return [output for output in outputs if not (isinstance(output, dict) and "LogLine" in output)]


def _shown(step: Step) -> Iterator[str]:
    """The input, and the outputs: `=` as recorded, `-` recorded only, `+` replayed only, `?` not replayed."""
    told = step.told
    ms = f"{told['ms']:12.3f} ms" if "ms" in told else " " * 15
    given = {name: value for name, value in told.items() if name not in ("n", "ms", "in", "ids", "out", "raised")}
    yield f"{ms} {told['in']} {_brief(given)}"
    lines = _counted if "captured_ns" in told else _each
    recorded = lines(step.recorded)
    if step.replayed is None:
        yield from (f"  ? {line}" for line in recorded)
        return
    replayed = lines(step.replayed)
    for kind, a, b, c, d in difflib.SequenceMatcher(None, recorded, replayed, autojunk=False).get_opcodes():
        yield from (f"  {'=' if kind == 'equal' else '-'} {line}" for line in recorded[a:b])
        yield from (f"  + {line}" for line in replayed[c:d] if kind != "equal")


def _counted(came: list[Any]) -> list[str]:
    """Of the frames of the microphone: so many sent, so many not."""
    return [
        f"{'sent' if kind is True else 'kept' if kind is False else kind} x {len(list(same))}" for kind, same in itertools.groupby(came)
    ]


def _each(outputs: list[Any]) -> list[str]:
    return [_brief(output) for output in outputs]


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}... ({len(text)})"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.replay", description="Replays a recording of the wire.")
    parser.add_argument("file")
    parser.add_argument("--brief", action="store_true", help="the first difference only")
    args = parser.parse_args(argv)
    try:
        with open(args.file, encoding="ascii") as file:
            header, steps = load(file)
    except (OSError, NoRecording) as error:
        print(f"{args.file} can't be replayed: {error}", file=sys.stderr)
        return 2
    print(f"recorded by voiced {header['voiced']} at {header['time']}, {len(steps)} steps")
    first: Step | None = None
    compared = 0
    for step in replay(header, steps):
        compared += step.replayed is not None
        if not args.brief:
            print("\n".join(_shown(step)))
        if first is None and step.differs:
            first = step
    if first is None:
        print("no difference" if compared else "there is nothing to replay: the recording ended before the first quiet moment")
        return 0 if compared else 2
    print("\n".join(("the first difference:", *_shown(first))))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
