"""The household where the order of things matters that real processes decide by chance; the rest is in test_daemon and test_live."""

import io
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

    def world(self) -> World:
        config = Config({"realtime.language": self.language}, "test")
        return World(config, resolve(config, Credential(), {}), 10, "", False, {})

    def heard(self, member: Member, message: Message) -> None:
        pass

    def changed(self, member: Member, reason: str) -> None:
        pass

    def died(self, member: Member, reason: str) -> None:
        pass

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
