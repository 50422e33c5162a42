"""What every child process of the supervisor shares: start, settings, ready, heartbeat, orders, logs, leaving.

A child is started by exec as `python -m voiced.ROOM` with a pipe from the supervisor as its standard input. The pipe
brings the settings (so no secret of ours is in argv or the environment), then stays open and silent: its end of file
means that the supervisor is gone, however it went, and the child leaves.

    def main() -> int:
        return run("playback", _playback)

    def _playback(child: Child) -> None:
        child.ready(...)
        while not child.stopping:
            woken = child.wait(timeout_ms)
            for order in child.orders(): ...
            child.beat(stats)
"""

import errno
import gc
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgpack

from voiced import flight
from voiced.bus import FAMILY, Bus, Poller, Receiver, Sender, Socket
from voiced.errors import ControlError, ResourcesShort, VoicedError
from voiced.messages import Answer, Failed, Heartbeat, Log, MonoNs, Order, Publish, Ready, Refusal
from voiced.urgency import Urgency, claim

#: A child that has been silent for the supervisor's limit (3 s) counts as hung; several beats may be lost before that.
BEAT_EVERY_NS = 500_000_000
STOP = "stop"
#: An order to beat `beats_per_s` times a second from now on: for meters, which somebody looks at.
PACE = "pace"
#: An order to log from `log_level` on.
LOG_LEVEL = "log_level"
#: Lines of other threads kept until the loop comes by; the oldest go first.
_LOGGED_ELSEWHERE = 1000
_DEBUG = 10  # logging's number, without its import
_STDIN = 0
_SHORT = {
    errno.ENOMEM: "there is no memory left; close programs, or give voiced more (MemoryMax of its unit)",
    errno.EMFILE: "there are no file descriptors left for voiced; raise its limit (LimitNOFILE of its unit, ulimit -n)",
    errno.ENFILE: "there are no file descriptors left on this machine; close programs, or raise fs.file-max",
}


class _HasSocket(Protocol):
    socket: Socket


class Child:
    """One child process's ties to its supervisor."""

    def __init__(self, name: str, settings: dict[str, Any], directory: str) -> None:
        self.name = name
        self.settings = settings
        self.bus = Bus(directory)
        self.stopping = False
        self._was_ready = False
        self._parent = self.bus.connect(FAMILY, identity=f"{name}.{os.getpid()}")
        self._to_parent = Sender(self._parent)
        self._from_parent = Receiver(self._parent)
        self._poller = Poller()
        self._poller.watch(self._parent)
        self._poller.watch(_STDIN)
        #: Called with a new level; `voiced.logs` puts itself here.
        self.level_changed: Callable[[int], None] = lambda level: None
        self._orders_wait = False
        self._beat_every_ns = BEAT_EVERY_NS
        self._next_beat_ns = 0
        self._later: deque[Log] = deque(maxlen=_LOGGED_ELSEWHERE)

    def watch(self, source: _HasSocket | int) -> None:
        self._poller.watch(source if isinstance(source, int) else source.socket)

    def forget(self, source: _HasSocket | int) -> None:
        self._poller.forget(source if isinstance(source, int) else source.socket)

    def wait(self, timeout_ms: float) -> set[object]:
        """Sleeps until a watched source has something, an order came, or `timeout_ms` passed. Notices a supervisor
        that died. Never sleeps through a heartbeat."""
        self._log_what_waits()
        woken = self._poller.wait(min(timeout_ms, (self._next_beat_ns - time.monotonic_ns()) / 1e6))
        self._orders_wait = self._parent in woken
        if _STDIN in woken and not os.read(_STDIN, 4096):
            self.stopping = True
            self._poller.forget(_STDIN)
        return woken

    def orders(self) -> Iterator[Order]:
        """The orders that the last `wait` found, but those to every child: `stop`, which only sets `stopping`, `pace`, `log_level`."""
        if not self._orders_wait:  # asking an empty socket costs an exception, 50 times a second
            return
        for message, _ in self._from_parent.drain(limit=16):
            if not isinstance(message, Order):
                continue
            if message.command == STOP:
                self.stopping = True
            elif message.command == PACE:
                self._beat_every_ns = round(1e9 / message.args["beats_per_s"])
                self._next_beat_ns = 0
            elif message.command == LOG_LEVEL:
                self.level_changed(message.args["log_level"])
            else:
                yield message

    def ready(self, **detail: Any) -> None:
        """Says that device or session is really open. What exists the first time stays: keep the collector off it.

        Only then: what belongs to one session must go with it, and what is frozen in a circle never goes.
        """
        if not self._was_ready:
            self._was_ready = True
            gc.collect()
            gc.freeze()
        self._to_parent.send(Ready(detail))

    def beat(self, stats: Callable[[], dict[str, Any]], now_ns: int) -> None:
        """Sends a heartbeat where one is due."""
        if now_ns >= self._next_beat_ns:
            self._log_what_waits()
            self._next_beat_ns = now_ns + self._beat_every_ns
            self.bus.look()
            self._to_parent.send(Heartbeat(stats()))

    def publish(self, topic: str, **data: Any) -> None:
        self._to_parent.send(Publish(topic, data))

    def answer(self, order: Order, **result: Any) -> None:
        self._to_parent.send(Answer(order.order_id, result))

    def refuse(self, order: Order, error: VoicedError) -> None:
        field = error.field if isinstance(error, ControlError) else None
        self._to_parent.send(Refusal(order.order_id, error.code, error.message, field))

    def log(self, level: int, text: str) -> None:
        self._to_parent.send(Log(level, text))

    def log_later(self, level: int, text: str) -> None:
        """The same from another thread: goes out with the next `wait` or heartbeat."""
        self._later.append(Log(level, text))

    def _log_what_waits(self) -> None:
        while self._later:
            self._to_parent.send(self._later.popleft())

    def failed(self, error: VoicedError) -> None:
        """Says why this process or its peer can't go on."""
        self._to_parent.send(Failed(error.code, error.message))

    def close(self) -> None:
        self._log_what_waits()
        # What was said last (why we fail) must still get out; the supervisor reads at once, so half a second is ample.
        self._parent.linger = 500
        self._parent.close()
        self.bus.close()


def now_ns() -> MonoNs:
    return MonoNs(time.monotonic_ns())


def run(name: str, body: Callable[[Child], None], urgency: Urgency = Urgency.ORDINARY) -> int:
    """Runs a child process from first to last; returns its exit status."""
    claim(urgency)
    flight.record(os.environ)
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # wherever it comes from: the supervisor stops us in order
    settings = read_settings()
    try:
        child = Child(name, settings, os.environ["VOICED_RUNTIME_DIR"])
    except Exception as error:
        if (short := shortage(error)) is None:
            raise
        sys.stderr.write(f"{short.message}\n")  # there is no other way to say it
        return short.exit_status
    signal.signal(signal.SIGTERM, lambda *_: setattr(child, "stopping", True))
    status = 0
    try:
        body(child)
    except VoicedError as error:
        child.failed(error)
        status = error.exit_status
    except Exception as error:  # the last fence: a bug of ours is one line for people, its traceback only on request
        failure = shortage(error) or VoicedError(f"a bug in voiced's {name} process: {type(error).__name__}: {error}")
        child.failed(failure)
        child.log(_DEBUG, _traceback())
        status = failure.exit_status
    finally:
        child.close()
    return status


def shortage(error: Exception) -> ResourcesShort | None:
    """What this error says of the machine, if it does; libzmq's errors have a number like the system's."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    return ResourcesShort(_SHORT[number]) if number in _SHORT else None


def _traceback() -> str:
    import traceback  # 1 MiB that a process without a bug does not need

    return traceback.format_exc()


def read_settings() -> dict[str, Any]:
    """The settings that the supervisor wrote to our standard input: four bytes of length, then msgpack."""
    length = int.from_bytes(_read_exactly(4), "big")
    settings: dict[str, Any] = msgpack.unpackb(_read_exactly(length))
    return settings


def settings_frame(settings: dict[str, Any]) -> bytes:
    """What the supervisor writes there."""
    packed: bytes = msgpack.packb(settings)
    return len(packed).to_bytes(4, "big") + packed


def _read_exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = os.read(_STDIN, count - len(data))
        if not piece:
            sys.exit("this program is a part of voiced and is started by it; run `voiced`")
        data += piece
    return data
