"""What a Prometheus may know: one table, from which the text and the README's table derive. Pure.

The text is Prometheus' format 0.0.4. Its own library would do this too, for 10 MiB and 80 ms of start in the process that
restarts all the others (prometheus_client 0.26.0, measured); Python's http.server alone costs 7 MiB and 40 ms.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from voiced.control import STATES
from voiced.errors import BY_CODE

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Of the histogram, in seconds: from the order to the aborted device it takes 0.5 to 3 ms, on PipeWire 16.
_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_BY_VOICE = ("speech_started", "local")
#: Reasons and codes that a server may make up must not make up series.
_REASONS = ("speech_started", "local", "interrupt", "ask", "talk", "playback_lost", "restart", "epoch")
_STATUSES = ("completed", "cancelled", "failed", "incomplete")
_OTHER = "other"

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]  # what is added to the name, labels, value


class Tally:
    """Counts events since the start."""

    def __init__(self) -> None:
        self.flushes: Counter[str] = Counter()
        self.responses: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.turns: Counter[str] = Counter()
        #: One for each bound and one beyond; not added up.
        self.latencies = [0] * (len(_BOUNDS_S) + 1)
        self.latency_sum_s = 0.0

    def count(self, topic: str, data: Mapping[str, Any]) -> None:
        match topic:
            case "flush":
                self.flushes[_known(data.get("reason"), _REASONS)] += 1
                latency_ms = data.get("latency_ms")
                if isinstance(latency_ms, int | float) and data.get("reason") in _BY_VOICE:
                    self.latencies[bisect_left(_BOUNDS_S, latency_ms / 1000)] += 1
                    self.latency_sum_s += latency_ms / 1000
            case "response.done":
                self.responses[_known(data.get("status"), _STATUSES)] += 1
            case "error":
                self.errors[_known(data.get("code"), BY_CODE)] += 1
            case "turn":
                self.turns[_known(data.get("role"), ("user", "assistant"))] += 1


def _known(value: object, known: Iterable[str]) -> str:
    return value if isinstance(value, str) and value in known else _OTHER


class Metric(NamedTuple):
    name: str
    kind: str
    doc: str
    #: Of the status map, as the control contract has it, and the tally.
    read: Callable[[Mapping[str, Any], Tally], Iterable[Sample]]


def _one(*path: str, scale: float = 1.0) -> Callable[[Mapping[str, Any], Tally], Iterable[Sample]]:
    """The number at that place of the status map; nothing where it is unknown."""

    def read(status: Mapping[str, Any], tally: Tally) -> Iterator[Sample]:
        value: Any = status
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, int | float):
            yield "", {}, value * scale

    return read


def _of_processes(field: str, scale: float = 1.0) -> Callable[[Mapping[str, Any], Tally], Iterable[Sample]]:
    def read(status: Mapping[str, Any], tally: Tally) -> Iterator[Sample]:
        for row in status["processes"]:
            yield "", {"process": row["name"]}, row[field] * scale

    return read


def _counted(of: Callable[[Tally], Counter[str]], label: str) -> Callable[[Mapping[str, Any], Tally], Iterable[Sample]]:
    def read(status: Mapping[str, Any], tally: Tally) -> Iterator[Sample]:
        for value, count in sorted(of(tally).items()):
            yield "", {label: value}, count

    return read


def _build(status: Mapping[str, Any], tally: Tally) -> Iterator[Sample]:
    session = status["session"]
    yield "", {"version": status["version"], "provider": session["provider"], "model": session["model"]}, 1


def _states(status: Mapping[str, Any], tally: Tally) -> Iterator[Sample]:
    for state in STATES:
        yield "", {"state": state}, state == status["state"]


def _running(status: Mapping[str, Any], tally: Tally) -> Iterator[Sample]:
    for row in status["processes"]:
        yield "", {"process": row["name"]}, row["state"] == "ready"


def _latencies(status: Mapping[str, Any], tally: Tally) -> Iterator[Sample]:
    total = 0
    for bound_s, count in zip((*_BOUNDS_S, float("inf")), tally.latencies, strict=True):
        total += count
        yield "_bucket", {"le": _number(bound_s)}, total
    yield "_sum", {}, tally.latency_sum_s
    yield "_count", {}, total


def _tokens(status: Mapping[str, Any], tally: Tally) -> Iterator[Sample]:
    spent = status["usage"]["session"]
    for direction in ("input", "output"):
        for kind, count in spent[direction].items():
            yield "", {"direction": direction, "kind": kind}, count


_G, _C = "gauge", "counter"

METRICS: tuple[Metric, ...] = (
    Metric("voiced_up", _G, "1: it answers", lambda status, tally: [("", {}, 1)]),
    Metric("voiced_info", _G, "1, with version, provider and model as labels", _build),
    Metric("voiced_state", _G, "1 for the state that it is in, 0 for the others", _states),
    Metric("voiced_uptime_seconds", _G, "since the start", _one("uptime_s")),
    Metric("voiced_muted", _G, "the microphone is muted", _one("muted")),
    Metric("voiced_session_connected", _G, "there is a session with the server", _one("session", "connected")),
    Metric(
        "voiced_session_reconnects_total", _C, "sessions after the first, of the running network process", _one("session", "reconnects")
    ),
    Metric("voiced_session_expires_seconds", _G, "until the session is over", _one("session", "expires_in_s")),
    Metric("voiced_process_up", _G, "its device or session is open", _running),
    Metric("voiced_process_restarts_total", _C, "how often it was started anew", _of_processes("restarts")),
    Metric("voiced_process_resident_bytes", _G, "its memory", _of_processes("rss_kib", 1024)),
    Metric("voiced_process_cpu_seconds_total", _C, "its processor time, of its current life", _of_processes("cpu_s")),
    Metric("voiced_barge_in_latency_seconds", "histogram", "from speech_started to the aborted device", _latencies),
    Metric("voiced_flushes_total", _C, "interruptions of any kind", _counted(lambda tally: tally.flushes, "reason")),
    Metric("voiced_responses_total", _C, "answers, by how they ended", _counted(lambda tally: tally.responses, "status")),
    Metric("voiced_turns_total", _C, "turns, by whose they were", _counted(lambda tally: tally.turns, "role")),
    Metric("voiced_errors_total", _C, "what went wrong, by code", _counted(lambda tally: tally.errors, "code")),
    Metric("voiced_capture_overruns_total", _C, "pieces of the microphone's sound that were lost", _one("audio", "capture", "overruns")),
    Metric("voiced_playback_underruns_total", _C, "holes in what was played", _one("audio", "playback", "underruns")),
    Metric("voiced_playback_queued_seconds", _G, "speech that waits to be played", _one("audio", "playback", "queued_ms", scale=0.001)),
    Metric(
        "voiced_playback_latency_seconds", _G, "what device and sound server hold", _one("audio", "playback", "latency_ms", scale=0.001)
    ),
    Metric("voiced_echo_return_loss_db", _G, "by how much the echo is lowered", _one("audio", "capture", "echo", "erle_db")),
    Metric("voiced_echo_delay_seconds", _G, "from loudspeaker to microphone", _one("audio", "capture", "echo", "delay_ms", scale=0.001)),
    Metric("voiced_echo_drift_ppm", _G, "of the two devices' clocks", _one("audio", "capture", "echo", "drift_ppm")),
    Metric("voiced_tokens_total", _C, "of responses; cached_text is a part of text", _tokens),
    Metric("voiced_transcribed_seconds_total", _C, "of your voice", _one("usage", "session", "transcribed", "seconds")),
    Metric("voiced_spent_usd_total", _C, "since the start", _one("usage", "session", "usd")),
    Metric("voiced_spent_today_usd", _G, "today, of earlier runs too", _one("usage", "today", "usd")),
    Metric("voiced_event_subscriptions", _G, "topics that programs listen to", _one("events", "subscriptions")),
    Metric("voiced_subscriber_lags_total", _C, "how often a program fell so far behind that it missed events", _one("events", "lagged")),
)


def exposition(status: Mapping[str, Any], tally: Tally) -> str:
    return "".join(line + "\n" for metric in METRICS for line in _lines(metric, status, tally))


def _lines(metric: Metric, status: Mapping[str, Any], tally: Tally) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.doc}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for suffix, labels, value in metric.read(status, tally):
        shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield f"{metric.name}{suffix}{{{shown}}} {_number(value)}" if shown else f"{metric.name}{suffix} {_number(value)}"


def _escaped(text: object) -> str:
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else f"{value:.12g}"
