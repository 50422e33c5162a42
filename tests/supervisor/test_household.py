"""The household where the order of things matters that real processes decide by chance; the rest is in test_daemon and test_live."""

import errno
import io
import os
import time
from typing import Any, cast

import pytest

from voiced.bus import Family, Poller
from voiced.config import Config
from voiced.messages import Heartbeat, Message, Order
from voiced.secret import Credential
from voiced.supervisor import log, member
from voiced.supervisor.household import Household
from voiced.supervisor.member import Member
from voiced.supervisor.policy import Event, State
from voiced.supervisor.processes import Row, World
from voiced.supervisor.provider import resolve

PID = 7


class FakeChild:
    """In place of a process."""

    pid, pidfd, output_fd, output_open = PID, 101, 102, False
    flight = None

    def __init__(self, module: str, env: object) -> None:
        pass

    def send_settings(self, settings: dict[str, Any]) -> None:
        pass

    def signal(self, number: int) -> None:
        pass

    def ended(self) -> int:
        return 0

    def reap(self) -> None:
        pass


class FakeSockets:
    """In place of the family's socket and of the poller."""

    socket = None

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.orders: list[Order] = []

    def watch(self, source: object) -> None:
        pass

    forget = watch

    def next(self) -> tuple[str, int, Message] | None:
        return ("network", PID, self.waiting.pop(0)) if self.waiting else None

    def send(self, name: str, pid: int, order: Order) -> None:
        self.orders.append(order)


class FakeHead:
    language = "de"

    def __init__(self) -> None:
        self.gone: list[str] = []
        self.deaths: list[str] = []

    def world(self) -> World:
        config = Config({"realtime.language": self.language}, "test")
        return World(config, resolve(config, Credential(), {}), 10, "", False, {})

    def heard(self, member: Member, message: Message) -> None:
        pass

    def changed(self, member: Member, reason: str) -> None:
        pass

    def died(self, member: Member, reason: str) -> None:
        self.deaths.append(reason)

    def dismissed(self, member: Member) -> None:
        self.gone.append(member.name)


ROW = Row("network", "nowhere", lambda world: {"log_level": world.log_level, "language": world.config["realtime.language"]}, live=True)


class Home:
    def __init__(self) -> None:
        self.head, self.sockets = FakeHead(), FakeSockets()
        self.say = log.Log(log.INFO, io.StringIO(), journal=False)
        self.household = Household(self.head, cast(Family, self.sockets), cast(Poller, self.sockets), {}, self.say)
        self.household.man([ROW])
        self.network = self.household.members["network"]

    def end(self) -> None:
        self.household.see({FakeChild.pidfd})


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(member, "Spawned", FakeChild)
    return Home()


def test_one_that_can_not_be_started_is_tried_again_for_as_long_as_it_takes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(module: str, env: object) -> FakeChild:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(member, "Spawned", short)
    home.end()
    for _ in range(20):
        home.household.keep_time(time.monotonic() + 2.1)  # the longest wait
    assert home.network.state is State.BACKOFF
    assert home.network.pid is None
    assert home.head.deaths[1:] == ["can't start the network process: Too many open files; it is tried again"] * 20
    monkeypatch.setattr(member, "Spawned", FakeChild)
    home.household.keep_time(time.monotonic() + 2.1)
    assert home.network.state is State.STARTING
    assert home.network.pid == PID


def test_what_changed_while_a_process_loaded_is_told_when_it_hears(home: Home) -> None:
    assert home.network.given == {"log_level": 10, "language": "de"}
    home.say.level = log.WARNING
    home.household.tell_level()
    home.head.language = "fr"
    home.household.settle()
    assert home.sockets.orders == [], "nobody hears yet"
    home.sockets.waiting.append(Heartbeat({}))
    home.household.hear()
    assert [(order.command, order.args) for order in home.sockets.orders] == [
        ("log_level", {"log_level": log.WARNING}),
        ("configure", {"settings": {"log_level": 10, "language": "fr"}}),
    ]
    home.household.settle()
    assert len(home.sockets.orders) == 2, "once"


def test_what_is_not_wanted_any_more_is_dismissed_when_it_has_ended(home: Home) -> None:
    home.household.man([])
    assert home.network.state is State.STARTING, "somebody may still depend on it"
    home.household.dismiss_unwanted()
    assert (home.network.state, home.head.gone) == (State.STOPPING, [])
    home.end()
    assert (home.household.members, home.head.gone) == ({}, ["network"])


def test_what_is_wanted_again_before_it_has_ended_is_started_again(home: Home) -> None:
    home.household.man([])
    home.household.dismiss_unwanted()
    home.household.man([ROW])
    home.end()
    assert home.household.members["network"].state is State.STARTING
    assert home.head.gone == []


def test_what_waits_for_another_try_and_is_not_wanted_goes_at_once(home: Home) -> None:
    home.household.feed(home.network, Event.REPLACE)
    home.end()
    assert home.network.state is State.BACKOFF
    home.household.man([])
    home.household.dismiss_unwanted()
    assert home.head.gone == ["network"]


def test_nobody_is_started_while_all_end(home: Home) -> None:
    home.household.stop()
    home.end()
    assert home.household.gone
    home.household.man([ROW])
    assert home.network.state is State.STOPPED
