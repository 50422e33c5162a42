"""The network process: wiring and the poll loop.

One turn of the loop: empty the WebSocket (a speech_started is acted upon here, ahead of its turn), take orders, reports of
playback and the microphone, then look at a few of the events that wait. So nothing local waits behind a burst of the
server, and a flush waits behind nothing.
"""

import logging
import random
import secrets
import sys
import time
from collections.abc import Iterable
from typing import Any

from voiced import logs
from voiced.bus import FLUSH, HEARD, MICROPHONE, REPLY, Broadcaster, Receiver, Sender
from voiced.child import BEAT_EVERY_NS, Child, now_ns, run
from voiced.errors import VoicedError
from voiced.messages import Epoch, Flush, MicFrame, MonoNs, ReplyAudio, ReplyEnd
from voiced.network import events, outputs, reconnect
from voiced.network.hello import Phase
from voiced.network.inbox import Inbox
from voiced.network.quote import Quote
from voiced.network.reach import target
from voiced.network.session import Session
from voiced.network.wire import Connecting, ConnectionEnded, Wire
from voiced.shown import public
from voiced.urgency import Urgency

#: Events looked at between two looks at the sockets: about 0.5 ms of deltas of 16 KB.
_EVENTS_AT_A_TIME = 8
#: How soon output that the socket did not take is tried again.
_SEND_AGAIN_NS = 5_000_000
#: Speech this old is answered by nobody: a process that hung must not hand it on when it wakes. The queues of the
#: microphone's socket hold up to 3.5 s (capture's, ours, the kernel's).
_STALE_SPEECH_NS = 1_000_000_000
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


def main() -> int:
    return run("network", lambda child: _Network(child).run(), Urgency.PROMPT)


class _Network:
    def __init__(self, child: Child) -> None:
        logs.forward(child)
        self._child = child
        self._settings = child.settings
        self._microphone = Receiver(child.bus.bind(MICROPHONE))
        self._heard = Receiver(child.bus.bind(HEARD))
        self._flush = Broadcaster(child.bus.bind(FLUSH))
        self._reply = Sender(child.bus.connect(REPLY))
        for receiver in (self._microphone, self._heard, self._flush):
            child.watch(receiver)
        # By the clock, so that a network process that was restarted is never older than what playback has seen.
        epoch = Epoch(time.monotonic_ns() // _NS_PER_MS)
        self._session = Session(self._settings, epoch, lambda: f"voiced_{secrets.token_hex(10)}")
        self._inbox = Inbox()
        self._backoff = reconnect.Backoff()
        self._quote = Quote(self._settings.get("token"))
        self._where = public(self._settings.get("url") or "")
        self._wire: Wire | None = None
        self._watching = False  # the wire's descriptor is in the poller
        self._connecting: Connecting | None = None
        self._events_a_turn = _EVENTS_AT_A_TIME
        self._retry_ns: MonoNs | None = None
        self._tick_ns: int | None = None
        self._due_ns = 0  # when the next whole turn of the loop is due
        self._held: list[tuple[ReplyAudio | ReplyEnd, bytes | None]] = []
        self._since: float | None = None  # unix seconds
        self._opened = 0
        self._stale = 0  # frames of the microphone in a row that came too late

    # the loop ------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self._do(self._session.begin(now_ns()))
        self._connect()
        only_microphone = {self._microphone.socket}
        while not self._child.stopping:
            woken = self._child.wait((self._due_ns - now_ns()) / _NS_PER_MS)
            now = now_ns()
            if woken == only_microphone and now < self._due_ns:
                self._hear_microphone(now)  # 50 times a second; nothing else has changed
            else:
                self._turn(woken, now)
                self._due_ns = self._next_due_ns()
        if self._connecting is not None:
            self._connecting.abandon()
        if self._wire is not None:
            self._wire.close()

    def _turn(self, woken: set[object], now: MonoNs) -> None:
        if self._wire is not None and (self._wire.fd in woken or self._wire.more):
            self._receive(self._wire, now)
        if self._connecting is not None and self._connecting.fd in woken:
            self._connected(self._connecting, now)
        if self._flush.socket in woken:
            self._listeners(now)
        for order in self._child.orders():
            self._do(self._session.order(order, self._inbox.received, now))
        if self._heard.socket in woken:
            for message, _ in self._heard.drain(64):
                self._do(self._session.heard(message, now))
        if self._microphone.socket in woken:
            self._hear_microphone(now)
        self._look(now)
        self._timers(now)
        self._child.beat(self._stats, now)

    def _hear_microphone(self, now: MonoNs) -> None:
        """One frame: where more wait, the poll returns at once; asking an empty socket costs an exception each time."""
        frame = self._microphone.next()
        if frame is not None and isinstance(frame[0], MicFrame):
            if now - frame[0].captured_ns > _STALE_SPEECH_NS:
                self._stale += 1
            else:
                self._tell_stale()
                self._do(self._session.microphone(frame[1]))
        if self._wire is not None and (self._wire.unsent or self._wire.ended is not None):
            self._due_ns = now

    def _tell_stale(self) -> None:
        if self._stale:
            self._child.log(logging.WARNING, f"{self._stale} frames of the microphone came over a second late and were dropped")
            self._stale = 0

    def _next_due_ns(self) -> int:
        """When the next turn is due, whether or not anything happens before."""
        now = now_ns()
        self._tick_ns = self._session.wake_ns
        wire = self._wire
        if self._inbox or (wire is not None and (wire.more or wire.ended is not None)):
            return now
        times = (self._tick_ns, self._retry_ns, now + (_SEND_AGAIN_NS if wire is not None and wire.unsent else BEAT_EVERY_NS))
        return min(time_ns for time_ns in times if time_ns is not None)

    def _timers(self, now: MonoNs) -> None:
        if self._tick_ns is not None and now >= self._tick_ns:
            self._do(self._session.tick(now))
        if self._retry_ns is not None and now >= self._retry_ns:
            self._retry_ns = None
            self._connect()
        wire = self._wire
        if wire is None:
            return
        if wire.ended is not None:
            if not self._inbox:
                self._ended(wire, wire.ended, now)
        elif wire.unsent or now >= wire.wake_ns:
            try:
                wire.send_rest()
                wire.check(now)
            except ConnectionEnded as ended:
                self._end(wire, ended)

    # the WebSocket -------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._connecting = Connecting(target(self._settings), self._quote)
        self._child.watch(self._connecting.fd)

    def _connected(self, connecting: Connecting, now: MonoNs) -> None:
        self._child.forget(connecting.fd)
        self._connecting = None
        try:
            self._wire = connecting.result(now)
        except VoicedError as error:
            self._lost(error, now)
            return
        self._child.watch(self._wire.fd)
        self._watching = True
        self._do(self._session.connected(now))

    def _receive(self, wire: Wire, now: MonoNs) -> None:
        if wire.ended is not None or self._inbox.full:
            return
        for text in wire.receive(now):
            if self._inbox.put(text):
                self._do(self._session.overtake(text, self._inbox.received, now))
        self._events_a_turn = 1 if wire.flooded else _EVENTS_AT_A_TIME
        if wire.ended is not None:
            self._end(wire, wire.ended)

    def _look(self, now: MonoNs) -> None:
        for _ in range(self._events_a_turn):
            waiting = self._inbox.take()
            if waiting is None:
                return
            number, text = waiting
            self._do(self._session.feed(text, number, now))

    def _end(self, wire: Wire, ended: ConnectionEnded) -> None:
        """Nothing more comes or goes; what came is still looked at. A closed socket would be readable for ever."""
        wire.ended = ended
        if self._watching:
            self._watching = False
            self._child.forget(wire.fd)

    def _ended(self, wire: Wire, ended: ConnectionEnded, now: MonoNs) -> None:
        """The connection is over, and all that it brought was looked at."""
        self._drop(wire, ended)
        error = reconnect.from_close(self._where, self._settings.get("model") or "", ended.code, self._quote(ended.said))
        self._lost(error or reconnect.broken(ended.code, ended.reason), now)

    def _drop(self, wire: Wire, ended: ConnectionEnded) -> None:
        self._end(wire, ended)
        wire.close()
        self._wire = None
        self._since = None

    def _lost(self, error: VoicedError, now: MonoNs) -> None:
        """No connection: another attempt later, or none where it would be useless."""
        if self._session.hello.phase is Phase.FAILED:
            return
        if error.fatal:
            self._do(self._session.failed(error, now))
            return
        delay_s = self._backoff.lost(now, random.random())
        self._retry_ns = MonoNs(now + int(delay_s * _NS_PER_S))
        self._do(self._session.lost(error.message, self._backoff.attempt, delay_s, now))

    # what is to be done --------------------------------------------------------------------------------------------------

    def _do(self, wanted: Iterable[outputs.Output]) -> None:
        for output in wanted:
            match output:
                case outputs.SendEvent(event):
                    self._send(event)
                case outputs.Play(header, pcm):
                    self._play(header, pcm)
                case outputs.PlayEnd(end):
                    self._play(end, None)
                case outputs.Broadcast(flush):
                    self._flush.send(flush)
                    self._held.clear()
                case outputs.PublishEvent(topic, data):
                    self._child.publish(topic, **data)
                case outputs.LogLine(level, text):
                    self._child.log(level, text)
                case _:
                    self._rarely(output)

    def _rarely(self, output: outputs.Output) -> None:
        match output:
            case outputs.Answered(order, result):
                self._child.answer(order, **result)
            case outputs.Refused(order, error):
                self._child.refuse(order, error)
            case outputs.Opened(detail):
                self._open(detail)
            case outputs.Disconnect(reason):
                if self._wire is not None and self._wire.ended is None:
                    self._end(self._wire, ConnectionEnded(1000, reason))
            case outputs.Fail(error):
                self._retry_ns = None
                if self._wire is not None:
                    self._drop(self._wire, ConnectionEnded(1000, error.message))
                self._child.failed(error)
            case _:
                raise TypeError(f"no way to do {output!r}")

    def _send(self, event: events.ClientEvent) -> None:
        wire = self._wire
        if wire is None or wire.ended is not None:
            return
        try:
            wire.send(events.encode(event))
        except ConnectionEnded as ended:
            self._end(wire, ended)

    def _play(self, header: ReplyAudio | ReplyEnd, pcm: bytes | None) -> None:
        """Sound waits until playback is known to hear the flush that could void it."""
        if self._flush.listeners:
            self._reply.send(header, pcm)
        else:
            self._held.append((header, pcm))

    def _listeners(self, now: MonoNs) -> None:
        before = self._flush.listeners
        gone = self._flush.update()
        if gone:
            self._do(self._session.playback_gone(now))
        if self._flush.listeners and (gone or not before):
            # What an earlier network process gave it to play belongs to a conversation that is gone.
            self._flush.send(Flush(self._session.epoch, "restart", now))
            held, self._held = self._held, []
            for header, pcm in held:
                self._reply.send(header, pcm)

    def _open(self, detail: dict[str, Any]) -> None:
        self._backoff.opened(now_ns())
        self._since = time.time()
        self._opened += 1
        self._child.log(logging.INFO, f"the session with {self._where} is open")
        self._child.ready(**{**self._stats(), **detail})

    def _stats(self) -> dict[str, Any]:
        """The session as `status` shows it."""
        hello = self._session.hello
        return {
            "provider": self._settings.get("provider"),
            "url": self._where,
            "model": hello.model or self._settings.get("model") or None,
            "connected": hello.ready,
            "id": hello.session_id,
            "since": self._since,
            "expires_in_s": None if hello.expires_at is None else round(hello.expires_at - time.time()),
            "reconnects": max(0, self._opened - 1),
            "last_error": self._session.last_error,
        }


if __name__ == "__main__":
    sys.exit(main())
