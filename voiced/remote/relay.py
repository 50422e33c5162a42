"""Passes requests on to the daemon and answers back, subscriptions up and events down."""

import time

from voiced import control
from voiced.bus import CONTROL, EVENTS, Abroad, Bus, Poller
from voiced.doors import Door
from voiced.ends import EventStream, Feed, Guests, Upstream
from voiced.errors import Unavailable
from voiced.keyring import split_address
from voiced.remote.admission import Admission

#: Connections to either socket; each costs a descriptor and some 60 KiB.
MOST_PEERS = 64
_AT_ONCE = 64
_LAST_ANSWERS_S = 0.2


class Relay:
    """The sockets at both ends. Raises SocketFailed where `listen` (HOST:PORT; the events are one port further) can't be had."""

    def __init__(self, bus: Bus, listen: str, secret: bytes, requests: Admission) -> None:
        host, port = split_address(listen)
        self._requests = requests
        front = bus.bind(CONTROL, Abroad(f"tcp://{host}:{port}", secret))
        try:
            desk = bus.bind(EVENTS, Abroad(f"tcp://{host}:{port + 1}", secret))
        except BaseException:
            front.close()
            raise
        self.guests, self.desk = Guests(front), EventStream(desk)
        self.daemon, self.feed = Upstream(bus.connect(CONTROL)), Feed(bus.connect(EVENTS, topics=()))
        #: The daemon greets who subscribes to `status`. `feed` is one subscriber for all, so this one subscribes anew for each.
        self._greeted = Feed(bus.connect(EVENTS, topics=()))
        self._wanted: dict[bytes, int] = {}
        self._owed = 0  # answers that the daemon has not given yet
        self.missed = 0
        self.doors = (Door(bus, front, MOST_PEERS), Door(bus, desk, MOST_PEERS))
        self.desk.nonsense = self.doors[1].offended
        self.ends = (self.guests, self.desk, self.daemon, self.feed, self._greeted, *self.doors)

    def move(self, now_s: float) -> bool:
        """Passes on what waits; whether one of the doors became crowded, or is no more."""
        changed = [door.look() for door in self.doors]
        self._take_requests(now_s)
        self._take_answers()
        self._take_subscriptions()
        for _ in range(_AT_ONCE):
            if (event := self.feed.next()) is None:
                break
            self.missed += not self.desk.publish(*event)
        while self._greeted.next() is not None:
            pass  # `feed` has the same
        return any(changed)

    def close(self) -> None:
        """Sends the answers that are still owed, that to `shutdown` among them, and hangs up."""
        poller, until_s = Poller(), time.monotonic() + _LAST_ANSWERS_S
        poller.watch(self.daemon.socket)
        while self._owed and (left_s := until_s - time.monotonic()) > 0:
            poller.wait(left_s * 1000)
            self._take_answers()
        self.guests.socket.close(linger=round(_LAST_ANSWERS_S * 1000))

    def _take_answers(self) -> None:
        for _ in range(_AT_ONCE):
            if (answer := self.daemon.next()) is None:
                return
            self._owed = max(0, self._owed - 1)
            self.guests.reply(*answer)

    def _take_requests(self, now_s: float) -> None:
        for _ in range(_AT_ONCE):
            if (arrived := self.guests.next()) is None:
                return
            envelope, body, name = arrived
            refusal = self._requests.refusal(body, name, now_s)
            if refusal is None and self.daemon.send(envelope, body):
                self._owed += 1
                continue
            busy = Unavailable("voiced is too busy; try again")
            self.guests.reply(envelope, refusal or control.pack_refusal(control.parse_request(body).id, busy))

    def _take_subscriptions(self) -> None:
        greet = False
        for _ in range(_AT_ONCE):
            if (subscription := self.desk.next(control.may_begin_topic)) is None:
                break
            topic, before = subscription.topic, self._wanted.get(subscription.topic, 0)
            now = before + 1 if subscription.wanted else max(0, before - 1)
            self._wanted[topic] = now
            if now and not before:
                self.feed.subscribe(topic)
            elif before and not now:
                self.feed.unsubscribe(topic)
            else:
                greet |= subscription.wanted and b"status".startswith(topic)
        if greet:
            self._greeted.unsubscribe(b"status")
            self._greeted.subscribe(b"status")

    def clear(self) -> None:
        """Sends everybody away; who may comes again."""
        for door in self.doors:
            door.look()  # or one that has just come in would have the number of one that is gone
            door.clear()
