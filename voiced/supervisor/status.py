"""What the daemon as a whole is doing: folds what its processes say into the status map of the control contract and
into the events that follow from it. Pure.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from voiced.control import EVENTS
from voiced.shown import public
from voiced.supervisor.policy import State
from voiced.supervisor.processes import REMOTE
from voiced.supervisor.provider import Provider

Emission = tuple[str, dict[str, Any]]

#: The fields of the contract and what they are before anything is known.
_SESSION: dict[str, Any] = {
    "provider": "",
    "url": "",
    "model": "",
    "connected": False,
    "id": None,
    "since": None,
    "expires_in_s": None,
    "reconnects": 0,
    "last_error": None,
    "profile": None,
}
_AUDIO: dict[str, dict[str, Any]] = {
    "capture": {
        "device": None,
        "endpoint": None,
        "fallback": False,
        "rate": None,
        "overruns": 0,
        "level_dbfs": None,
        "open": False,
        "listening": True,
        "echo": None,
    },
    "playback": {
        "device": None,
        "endpoint": None,
        "fallback": False,
        "rate": None,
        "underruns": 0,
        "queued_ms": 0,
        "latency_ms": None,
        "volume": 100,
        "ducked": False,
        "open": False,
    },
}
#: Fields of _AUDIO that are of the moment.
_GAUGES = ("endpoint", "queued_ms", "latency_ms", "level_dbfs", "ducked", "echo")
#: Reasons of flushes that are barge-ins: the server's ear, and ours.
_BY_VOICE = ("speech_started", "local")
#: Flushes that the percentiles are taken over: a day of heavy use, and some KiB.
_FLUSHES_KEPT = 1000
#: States in which the assistant only waits for the user, so that a muted microphone is what matters.
_WAITING = ("idle", "listening", "connecting")


class Process(NamedTuple):
    """A row of `processes`."""

    name: str
    state: State
    pid: int | None
    restarts: int
    since_s: float  # monotonic
    reason: str = ""  # why it is not ready; of one that starts, what its predecessor died of


class Status:
    """Everything that `status` shows. Methods that take news return the events that it makes."""

    def __init__(
        self,
        provider: Provider,
        mode: str = "vad",
        profile: str | None = None,
        *,
        version: str,
        pid: int,
        now_s: float,
    ) -> None:
        self.muted = False
        self.volume: int | None = None  # percent, where somebody chose it
        self._version = version
        self._pid = pid
        self._started_s = now_s
        self._processes: dict[str, Process] = {}
        self._mode = mode
        self._session = _SESSION | _answering(provider, profile)
        self._audio = {name: dict(fields) for name, fields in _AUDIO.items()}
        self._conversation = "connecting"
        self._refused: set[str] = set()  # processes whose peer refused for good
        self._output_dbfs: float | None = None
        self._latencies_ms: deque[float] = deque(maxlen=_FLUSHES_KEPT)
        self._flushes = 0
        self._state = self._composed()

    @property
    def state(self) -> str:
        return self._state

    @property
    def answering(self) -> str:
        """The provider of the open session; "" where none is."""
        return str(self._session["provider"]) if self._session["connected"] else ""

    @property
    def all_ready(self) -> bool:
        """A session that sleeps by its own will is as ready as it wants to be."""
        asleep = "network" if self._conversation == "asleep" else ""
        needed = [row for row in self._processes.values() if row.name != REMOTE]
        return bool(needed) and all(row.state is State.READY or row.name == asleep for row in needed)

    # news ------------------------------------------------------------------------------------------------------------

    def process(self, name: str, state: State, pid: int | None, restarts: int, reason: str, now_s: float) -> list[Emission]:
        """A process changed its state."""
        known = self._processes.get(name)
        kept = known.reason if known is not None and state is not State.READY else ""
        self._processes[name] = Process(name, state, pid, restarts, now_s, reason or kept)
        if state is not State.READY:
            if name in self._audio:
                fresh = _AUDIO[name]  # what was measured last says nothing any more
                self._audio[name] |= {"open": False} | {field: fresh[field] for field in _GAUGES if field in fresh}
                if name == "playback":
                    self._output_dbfs = None
            if name == "network":
                self._session |= {"connected": False, "id": None, "since": None, "expires_in_s": None}
                self._conversation = "connecting"
        if state is State.STARTING:
            self._refused.discard(name)
        data = {"name": name, "state": state.value, "pid": pid, "restarts": restarts, "reason": reason}
        return [("process", data), *self._changes()]

    def dismissed(self, name: str) -> list[Emission]:
        """A process belongs to the daemon no more."""
        del self._processes[name]
        self._refused.discard(name)
        return self._changes()

    def reconfigured(self, provider: Provider, mode: str, profile: str | None) -> list[Emission]:
        """The settings changed: whoever was refused tries again. A session that is open is another's until it says that it moved."""
        self._mode = mode
        self._session |= {"profile": profile} if self._session["connected"] else _answering(provider, profile)
        self._refused.discard("network")
        return self._changes()

    def ready(self, name: str, detail: Mapping[str, Any]) -> list[Emission]:
        """A process opened its device or session."""
        self._take(name, detail)
        if name in self._audio:
            self._audio[name]["open"] = bool(detail.get("open", True))  # a microphone may begin shut
        elif name == "network":
            self._session["connected"] = True
        self._refused.discard(name)
        return self._changes()

    def beat(self, name: str, stats: Mapping[str, Any]) -> list[Emission]:
        """A process sent its figures."""
        self._take(name, stats)
        if name == "capture" and isinstance(stats.get("muted"), bool):
            self.muted = stats["muted"]
        elif name == "playback":
            self._output_dbfs = stats.get("level_dbfs")
        return self._changes()

    def answered(self, name: str, result: Mapping[str, Any]) -> list[Emission]:
        """A process carried out a command."""
        if name == "capture" and isinstance(result.get("muted"), bool):
            self.muted = result["muted"]
        elif name == "playback" and isinstance(result.get("volume"), int):
            self.volume = self._audio[name]["volume"] = result["volume"]
        return self._changes()

    def published(self, name: str, topic: str, data: Mapping[str, Any]) -> list[Emission]:
        """A process published an event. `state` is the conversation's; what others see is composed of more."""
        if topic not in EVENTS or topic == "status":
            return []
        if topic == "state":
            self._conversation = str(data.get("state", self._conversation))
            return self._changes()
        if topic == "session":
            self._session["connected"] = bool(data.get("connected"))
            if self._session["connected"]:
                self._refused.discard(name)
            elif data.get("reason"):
                self._session["last_error"] = data["reason"]
        elif topic == "flush" and data.get("reason") in _BY_VOICE and isinstance(data.get("latency_ms"), int | float):
            self._flushes += 1
            self._latencies_ms.append(data["latency_ms"])
        return [(topic, dict(data)), *self._changes()]

    def failed(self, name: str, code: str, message: str, *, fatal: bool) -> list[Emission]:
        """A process, or its peer, can't go on."""
        if fatal:
            self._refused.add(name)
        if name == "network":
            self._session["last_error"] = message
        return [("error", {"code": code, "message": message, "fatal": fatal}), *self._changes()]

    # shown -----------------------------------------------------------------------------------------------------------

    def snapshot(self, now_s: float, figures: Mapping[int, tuple[int, float]], usage: Mapping[str, Any]) -> dict[str, Any]:
        """The status map; `figures` has KiB and CPU seconds by pid, `usage` is the ledger's."""
        rows = [Process("supervisor", State.READY, self._pid, 0, self._started_s), *self._processes.values()]
        return {
            "state": self._state,
            "muted": self.muted,
            "mode": self._mode,
            "version": self._version,
            "pid": self._pid,
            "uptime_s": round(now_s - self._started_s, 1),
            "session": dict(self._session),
            "processes": [_row(process, now_s, figures) for process in rows],
            "audio": {name: dict(fields) for name, fields in self._audio.items()},
            "barge_in": self._barge_in(),
            "usage": dict(usage),
        }

    def pids(self) -> list[int]:
        return [self._pid, *(process.pid for process in self._processes.values() if process.pid is not None)]

    def levels(self) -> dict[str, float | None]:
        """The `level` event."""
        return {"input_dbfs": self._audio["capture"]["level_dbfs"], "output_dbfs": self._output_dbfs}

    @property
    def metering(self) -> str:
        """Whose heartbeats bring the `level` event."""
        capture = self._processes.get("capture")
        return "capture" if capture is not None and capture.state is State.READY else "playback"

    def devices_in_use(self, direction: str) -> list[str]:
        """The name of the open `input` or `output` device, and of the sound server's behind it."""
        audio = self._audio["capture" if direction == "input" else "playback"]
        return [audio[field] for field in ("device", "endpoint") if audio[field] and audio["open"]]

    def _barge_in(self) -> dict[str, Any]:
        latencies = sorted(self._latencies_ms)
        return {
            "count": self._flushes,
            "last_ms": self._latencies_ms[-1] if latencies else None,
            "p50_ms": percentile(latencies, 50),
            "p95_ms": percentile(latencies, 95),
            "max_ms": latencies[-1] if latencies else None,
        }

    def _take(self, name: str, given: Mapping[str, Any]) -> None:
        """Keeps the fields that the contract knows."""
        fields = self._session if name == "network" else self._audio.get(name, {})
        fields.update((field, value) for field, value in given.items() if field in fields)

    def _changes(self) -> list[Emission]:
        previous, self._state = self._state, self._composed()
        return [("state", {"state": self._state, "previous": previous})] if self._state != previous else []

    def _composed(self) -> str:
        states = {process.state for process in self._processes.values() if process.name != REMOTE}
        if self._refused or State.GIVEN_UP in states:
            return "failed"
        if self._conversation == "offline":
            return "offline"
        if not self.all_ready:
            return "connecting"
        if self.muted and self._conversation in _WAITING:
            return "muted"
        return self._conversation


def _answering(provider: Provider, profile: str | None) -> dict[str, Any]:
    return {"provider": provider.name, "url": public(provider.url), "model": provider.model, "profile": profile}


def _row(process: Process, now_s: float, figures: Mapping[int, tuple[int, float]]) -> dict[str, Any]:
    resident_kib, cpu_s = figures.get(process.pid, (0, 0.0)) if process.pid is not None else (0, 0.0)
    return {
        "name": process.name,
        "pid": process.pid,
        "state": process.state.value,
        "restarts": process.restarts,
        "reason": process.reason or None,
        "uptime_s": round(now_s - process.since_s, 1),
        "rss_kib": resident_kib,
        "cpu_s": round(cpu_s, 2),
    }


def percentile(ordered: list[float], percent: int) -> float | None:
    """By nearest rank, of values in ascending order."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None
