"""The network process: wiring and the poll loop.

One turn of the loop: empty the WebSocket (a speech_started is acted upon here, ahead of its turn), take orders, reports of
playback and the microphone, then look at a few of the events that wait. So nothing local waits behind a burst of the
server, and a flush waits behind nothing.
"""

import logging
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from voiced import logs
from voiced.bus import FLUSH, HEARD, MICROPHONE, REPLY, Broadcaster, Receiver, Sender
from voiced.child import BEAT_EVERY_NS, Child, now_ns, run
from voiced.messages import CarriedOn, CarryOn, Epoch, LocalSpeech, MicFrame, MonoNs, ReplyAudio, ReplyEnd
from voiced.network import outputs
from voiced.network.hello import Phase
from voiced.network.interface import Conversing
from voiced.network.link.uplink import Uplink
from voiced.network.owed import owed_of_before
from voiced.network.quote import Quote
from voiced.network.recording.recorder import Recorder
from voiced.network.session import Session
from voiced.network.stale import Stale
from voiced.network.tools.programs import Ended, Programs
from voiced.urgency import Urgency

_NS_PER_MS = 1_000_000


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
        quote = Quote(self._settings.get("token"))
        self._recorder = Recorder(child, quote, self._use)
        history = self._settings.get("history") or ()
        # Who starts voiced anew does not wait for an answer from before; who talks to it as this process takes over does.
        owed = owed_of_before(history, time.time()) if self._settings.get("patient") else None
        self._session: Conversing = Session(self._settings, epoch, self._recorder.new_id, history, quote, owed)
        self._uplink = Uplink(child, self._session, quote, self._do)
        self._programs = Programs(child)
        self._tick_ns: int | None = None
        self._due_ns = 0  # when the next whole turn of the loop is due
        self._playback_listens = False
        self._since: float | None = None  # unix seconds
        self._stale = Stale()

    # the loop ------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        with ExitStack() as leaving:  # also for a bug: what is open is closed, whatever else fails
            leaving.callback(self._uplink.close)
            leaving.callback(self._programs.stop_all)
            leaving.callback(self._recorder.close)  # first: what led to a bug is what it is for
            self._loop()

    def _loop(self) -> None:
        self._do(self._session.begin(now_ns()))
        if self._session.phase is Phase.CONNECTING:
            self._uplink.connect()
        only_microphone = {self._microphone.socket}
        while not self._child.stopping:
            woken = self._child.wait((self._due_ns - now_ns()) / _NS_PER_MS)
            now = now_ns()
            if woken == only_microphone and now < self._due_ns:
                self._hear_microphone(now)  # 50 times a second; nothing else has changed
            else:
                self._turn(woken, now)
                self._due_ns = self._next_due_ns()

    def _turn(self, woken: set[object], now: MonoNs) -> None:
        self._uplink.read(woken, now)
        if self._flush.socket in woken:
            self._listeners(now)
        for order in self._child.orders():
            self._do(self._session.order(order, self._uplink.received, now))
        if self._heard.socket in woken:
            for message, _ in self._heard.drain(64):
                self._playback_listens = self._playback_listens or isinstance(message, CarriedOn)
                self._do(self._session.heard(message, now))
        if self._microphone.socket in woken:
            self._hear_microphone(now)
        for ended in self._programs.handle(woken):
            self._tool_ended(ended, now)
        self._uplink.look(now)
        if self._tick_ns is not None and now >= self._tick_ns:
            self._do(self._session.tick(now))
        self._uplink.keep_up(now)
        self._recorder.keep_up(now)
        self._child.beat(self._stats, now)

    def _hear_microphone(self, now: MonoNs) -> None:
        """One message: where more wait, the poll returns at once; asking an empty socket costs an exception each time."""
        heard = self._microphone.next()
        if heard is not None and isinstance(heard[0], LocalSpeech) and not self._stale.speech(heard[0], now):
            self._do(self._session.local_speech(heard[0], self._uplink.received, now))
            self._due_ns = now  # other things may be due from now on
        elif heard is not None and isinstance(heard[0], MicFrame) and not self._stale.frame(heard[0], now):
            if dropped := self._stale.take():
                self._child.log(logging.WARNING, f"{dropped} frames of the microphone came over a second late and were dropped")
            self._do(self._session.microphone(heard[0], heard[1]))
        if self._uplink.busy:
            self._due_ns = now

    def _next_due_ns(self) -> int:
        """When the next turn is due, whether or not anything happens before."""
        now = now_ns()
        self._tick_ns = self._session.wake_ns
        times = (self._tick_ns, self._uplink.due_ns(now), now + BEAT_EVERY_NS)
        return min(time_ns for time_ns in times if time_ns is not None)

    # what is to be done --------------------------------------------------------------------------------------------------

    def _do(self, wanted: Iterable[outputs.Output]) -> None:
        for output in wanted:
            match output:
                case outputs.SendEvent(event):
                    self._uplink.send(event)
                case outputs.Play(header, pcm):
                    self._play(header, pcm)
                case outputs.PlayEnd(end):
                    self._play(end, None)
                case outputs.Broadcast(flush):
                    self._flush.send(flush)
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
            case outputs.SendNext(event):
                self._uplink.send_next(event)
            case outputs.OpenNext(reason):
                self._child.log(logging.DEBUG, f"opening the next session: {reason}")
                self._uplink.open_next()
            case outputs.DropNext():
                self._uplink.drop_next()
            case outputs.TakeOver():
                self._uplink.take_over()
            case outputs.Disconnect(reason, code):
                self._uplink.disconnect(code, reason)
            case outputs.Sleep(_):
                self._since = None
                self._uplink.close()
            case outputs.Wake():
                self._uplink.wake()
            case outputs.RunTool():
                if (ended := self._programs.start(output)) is not None:
                    self._tool_ended(ended, now_ns())
            case outputs.StopTool(call_id):
                self._programs.stop(call_id)
            case outputs.Record(order, on):
                self._recorder.obey(order, on, self._session, now_ns())
            case outputs.Fail(error):
                self._since = None
                self._uplink.close()
                self._child.failed(error)
            case _:
                raise TypeError(f"no way to do {output!r}")

    def _use(self, session: Conversing) -> None:
        """A recording has begun or ended."""
        self._session = session
        self._uplink.use(session)

    def _tool_ended(self, ended: Ended, now: MonoNs) -> None:
        self._do(self._session.tool_ended(ended.call_id, ended.ok, ended.output, now))

    def _play(self, header: ReplyAudio | ReplyEnd, pcm: bytes | None) -> None:
        """Where playback does not hear the flush that could void it, it is not sent: the session keeps it until playback does."""
        if self._playback_listens:
            self._reply.send(header, pcm)

    def _listeners(self, now: MonoNs) -> None:
        before = self._flush.listeners
        gone = self._flush.update()
        if gone:
            self._playback_listens = False
            self._reply.socket.close(linger=0)  # what it did not take is not for its successor
            self._reply = Sender(self._child.bus.connect(REPLY))
            self._do(self._session.playback_gone(now))
        if self._flush.listeners and (gone or not before):
            self._flush.send(CarryOn(self._session.epoch))

    def _open(self, detail: dict[str, Any]) -> None:
        self._uplink.healthy(now_ns())
        self._since = time.time()
        stats = self._stats()
        self._child.log(logging.INFO, f"the session with {stats['url']} is open")
        self._child.ready(**{**stats, **detail})

    def _stats(self) -> dict[str, Any]:
        """The session as `status` shows it."""
        facts = self._session.facts(time.time())
        return {**facts, "since": self._since if facts["connected"] else None, "reconnects": self._uplink.reconnects}


if __name__ == "__main__":
    sys.exit(main())
