"""The client for scripts: synchronous, no threads. Speaks the control contract and knows nothing of the daemon's inside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from voicectl.places import place
from voiced import control
from voiced.bus import CONTROL, EVENTS, Bus, Poller
from voiced.errors import TimedOut

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from voicectl.places import Place
    from voiced.bus import Socket

#: A daemon that is there answers sooner; after that we look whether anyone listens at all.
_PROMPT_S = 0.15


class Event(NamedTuple):
    topic: str
    seq: int
    time: float  # unix seconds
    data: dict[str, Any]


class Client:
    """A connection to the daemon of this user, or to that of a `host` that `voicectl hosts add` made known.

    Every command raises NotRunning where there is no daemon, TimedOut where it does not answer, and the leaves of
    voiced.errors.ControlError for what it refuses. Results are the maps of the control contract. With a host, HostUnknown and
    HostRefused, too.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None, *, host: str | None = None, timeout_s: float = 5.0) -> None:
        self.timeout_s = timeout_s
        self._place = place(directory, host)
        self._last_id = 0
        self._place.require_socket(CONTROL)
        self._bus = Bus(self._place.directory)
        self._poller = Poller()
        try:
            self._socket = self._bus.connect(CONTROL, abroad=self._place.abroad(CONTROL), before=self._watch)
            self._poller.watch(self._socket)
        except BaseException:
            self._bus.close()
            raise

    def call(self, command: str, **args: Any) -> dict[str, Any]:
        """The result of any command, by name."""
        self._last_id += 1
        self._socket.send(control.pack_request(self._last_id, command, args))
        started_s = time.monotonic()
        deadline_s = started_s + self.timeout_s
        if self.timeout_s > _PROMPT_S and not self._comes(started_s + _PROMPT_S):
            self._place.require_listener(CONTROL)
        while self._comes(deadline_s):
            try:
                id, outcome = control.unpack_answer(self._socket.recv_multipart()[-1])
            except ValueError as error:
                raise self._place.foreign(CONTROL) from error
            if id != self._last_id:
                continue  # to an earlier request, which had timed out
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        self._place.require_listener(CONTROL)
        raise TimedOut(f"no answer within {self.timeout_s:g} s")

    def _watch(self, socket: Socket) -> None:
        self._place.watch(self._bus, socket, self._poller)

    def _comes(self, deadline_s: float) -> bool:
        """Whether there is something to read before that."""
        while True:
            woken = self._poller.wait((deadline_s - time.monotonic()) * 1000)
            if self._socket in woken or not woken:
                return bool(woken)
            self._place.look()

    def events(self, *topics: str) -> Events:
        """The events of these topics (all of them without any) from now on: nothing published after the return is missed."""
        self._place.require_listener(EVENTS)
        return Events(self._bus, self._place, topics, self.timeout_s)

    def ping(self) -> dict[str, Any]:
        return self.call("ping")

    def status(self) -> dict[str, Any]:
        return self.call("status")

    def mute(self) -> bool:
        """Whether the microphone is muted now, as with the next two."""
        return bool(self.call("mute")["muted"])

    def unmute(self) -> bool:
        return bool(self.call("unmute")["muted"])

    def toggle_mute(self) -> bool:
        return bool(self.call("toggle_mute")["muted"])

    def interrupt(self) -> dict[str, Any]:
        return self.call("interrupt")

    def ask(self, text: str) -> dict[str, Any]:
        return self.call("ask", text=text)

    def say(self, text: str) -> dict[str, Any]:
        return self.call("say", text=text)

    def talk(self, pressed: bool) -> bool:
        """Whether the key counts as pressed now."""
        return bool(self.call("talk", pressed=pressed)["pressed"])

    def wake(self) -> dict[str, Any]:
        return self.call("wake")

    def volume(self, level: int | None = None) -> int:
        """Percent, after it was set to `level` where that is given."""
        return int(self.call("volume", level=level)["volume"])

    def devices(self) -> dict[str, Any]:
        return self.call("devices")

    def transcript(self, limit: int = 20) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = self.call("transcript", limit=limit)["turns"]
        return turns

    def usage(self) -> dict[str, Any]:
        return self.call("usage")

    def tool_result(self, call_id: str, output: str) -> bool:
        """Whether the call still waited for it, as with the next."""
        return bool(self.call("tool_result", call_id=call_id, output=output)["accepted"])

    def approve(self, approval_id: str, approved: bool = True) -> bool:
        return bool(self.call("approve", approval_id=approval_id, approved=approved)["accepted"])

    def reload(self) -> dict[str, Any]:
        return self.call("reload")

    def profile(self, name: str | None = None) -> dict[str, Any]:
        """Switches to that profile, "none" for none; without a name it only tells which there are."""
        return self.call("profile") if name is None else self.call("profile", name=name)

    def record(self, on: bool) -> dict[str, Any]:
        return self.call("record", on=on)

    def restart(self, process: str) -> None:
        self.call("restart", process=process)

    def shutdown(self) -> None:
        self.call("shutdown")

    def describe(self) -> dict[str, Any]:
        return self.call("describe")

    def close(self) -> None:
        self._bus.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Events:
    """A subscription: an iterator that ends by NotRunning when the daemon does. A context manager, too."""

    def __init__(self, bus: Bus, place: Place, topics: tuple[str, ...], timeout_s: float) -> None:
        """Subscribes, and waits for the daemon's `status` snapshot, which says that the subscription stands."""
        self._place, self._topics = place, topics
        # `status` last: when its snapshot comes, the others stand, too. All topics include it.
        self._socket = bus.connect(EVENTS, topics=(*topics, "status") if topics else ("",), abroad=place.abroad(EVENTS))
        self._gone = bus.goodbyes(self._socket)
        self._poller = Poller()
        self._poller.watch(self._socket)
        self._poller.watch(self._gone)
        self._waiting: list[Event] = []
        try:
            self._await_snapshot(timeout_s)
        except BaseException:
            self.close()
            raise

    def _await_snapshot(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not self._waiting or self._waiting[-1].topic != "status":
            event = self._receive(deadline_s - time.monotonic())
            if event is None:
                raise TimedOut(f"no events within {timeout_s:g} s of subscribing")
            self._waiting.append(event)

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None where none came within `timeout_s`. Raises NotRunning when the daemon ended."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            event = self._waiting.pop(0) if self._waiting else self._receive(None if deadline_s is None else deadline_s - time.monotonic())
            if event is None or not self._topics or event.topic.startswith(self._topics):
                return event

    def __iter__(self) -> Iterator[Event]:
        while (event := self.next()) is not None:
            yield event

    def _receive(self, timeout_s: float | None) -> Event | None:
        woken = self._poller.wait(timeout_s * 1000 if timeout_s is not None else None)
        if self._socket in woken:
            try:
                topic, body = self._socket.recv_multipart()
                return Event(topic.decode(), *control.unpack_event(body))
            except ValueError as error:
                raise self._place.foreign(EVENTS) from error
        if woken:
            raise self._place.ended()
        return None

    def close(self) -> None:
        if self._socket.closed:  # with its client
            return
        self._socket.disable_monitor()
        self._gone.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
