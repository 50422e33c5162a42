"""The ties of a child to its supervisor, with this test as the supervisor."""

import errno
import gc
import logging
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from tests.supervisor import running
from voiced.bus import FAMILY, Bus, Family
from voiced.child import LOG_LEVEL, STOP, Child, settings_frame, shortage
from voiced.errors import DeviceUnknown, VoicedError
from voiced.messages import Answer, Failed, Heartbeat, Log, Message, Order, Ready

pytestmark = pytest.mark.system


class Parent:
    def __init__(self, home: Path) -> None:
        self._bus = Bus(home)
        self.family = Family(self._bus.bind(FAMILY))
        env = dict(os.environ) | {"VOICED_RUNTIME_DIR": str(home), "PYTHONPATH": str(running.ROOT)}
        program = [sys.executable, "-m", "tests.supervisor.children.talker"]
        self.child = subprocess.Popen(program, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.child.stdin is not None
        assert self.child.stderr is not None
        self.stdin, self.stderr = self.child.stdin, self.child.stderr

    def settle(self, end: str, log_level: int = logging.INFO) -> None:
        self.stdin.write(settings_frame({"end": end, "log_level": log_level}))
        self.stdin.flush()

    def order(self, order: Order) -> None:
        self.family.send("talker", self.child.pid, order)

    def hear(self, kind: type[Message]) -> list[Message]:
        """Everything up to the first message of this kind."""
        heard: list[Message] = []
        while not heard or not isinstance(heard[-1], kind):
            assert self.family.socket.poll(10_000), heard
            item = self.family.next()
            assert item is not None
            assert item[:2] == ("talker", self.child.pid)
            heard.append(item[2])
        return heard

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        self.stdin.close()
        self.stderr.close()
        self._bus.close()


@pytest.fixture
def parent() -> Iterator[Parent]:
    with running.home() as home:
        made = Parent(home)
        yield made
        made.close()


@pytest.mark.parametrize(
    ("end", "failure", "status"),
    [
        ("error", Failed("device_unknown", "no such device"), DeviceUnknown.exit_status),
        ("bug", Failed("internal", "a bug in voiced's talker process: KeyError: 'oops'"), VoicedError.exit_status),
    ],
)
def test_a_failure_is_told_before_the_end(parent: Parent, end: str, failure: Failed, status: int) -> None:
    parent.settle(end)
    assert parent.hear(Failed)[-1] == failure
    assert parent.child.wait(10) == status
    assert parent.stderr.read() == b"", "no traceback"


@pytest.mark.parametrize(("level", "ours"), [(logging.DEBUG, ["DEBUG", "INFO", "WARNING"]), (logging.WARNING, ["WARNING"])])
def test_the_log_is_ours_and_libraries_warnings(parent: Parent, level: int, ours: list[str]) -> None:
    """A WebSocket library logs every header, the key among them, at its debug level."""
    parent.settle("wait", level)
    texts = [message.text for message in parent.hear(Ready) if isinstance(message, Log)]
    assert texts == [*(f"{name} from voiced.capture" for name in ours), "WARNING from websockets.client"]


def test_the_level_of_the_log_changes_while_it_runs(parent: Parent) -> None:
    parent.settle("wait", logging.INFO)
    parent.hear(Ready)
    parent.order(Order(1, "echo", {}))
    assert not [message for message in parent.hear(Answer) if isinstance(message, Log)]
    parent.order(Order(0, LOG_LEVEL, {"log_level": logging.DEBUG}))
    parent.order(Order(2, "echo", {}))
    assert [message.text for message in parent.hear(Answer) if isinstance(message, Log)] == ["obeyed"]


def test_what_another_thread_logs_goes_out_from_ours(parent: Parent) -> None:
    """ZeroMQ's sockets are for one thread each."""
    parent.settle("threads")
    heard = parent.hear(Ready)
    assert [message.text for message in heard if isinstance(message, Log)][-1] == "none sent by its own thread"
    texts = [message.text for message in parent.hear(Heartbeat) if isinstance(message, Log)]
    assert texts == ["WARNING from a thread"]


def test_orders_are_answered_until_the_order_to_stop(parent: Parent) -> None:
    parent.settle("wait")
    parent.hear(Ready)
    parent.order(Order(5, "anything", {"a": 1}))
    assert parent.hear(Answer)[-1] == Answer(5, {"echo": {"a": 1}})
    parent.order(Order(0, STOP, {}))
    assert parent.child.wait(8) == 0


def test_it_leaves_when_its_parent_is_gone(parent: Parent) -> None:
    parent.settle("wait")
    parent.hear(Ready)
    parent.stdin.close()
    assert parent.child.wait(4) == 0


def test_sigterm_ends_it_in_order_and_ctrl_c_does_not(parent: Parent) -> None:
    parent.settle("wait")
    parent.hear(Ready)
    parent.child.send_signal(signal.SIGINT)
    parent.order(Order(1, "still there?", {}))
    parent.hear(Answer)
    parent.child.send_signal(signal.SIGTERM)
    parent.order(Order(2, "wake", {}))
    assert parent.child.wait(8) == 0


def test_started_by_hand_it_says_what_to_run() -> None:
    program = [sys.executable, "-m", "tests.supervisor.children.talker"]
    env = dict(os.environ) | {"PYTHONPATH": str(running.ROOT), "VOICED_RUNTIME_DIR": "/nowhere"}
    done = subprocess.run(program, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
    assert done.returncode == 1
    assert done.stderr == "this program is a part of voiced and is started by it; run `voiced`\n"


class _Ring:
    """Only the collector can get rid of it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_later_session_leaves_behind_is_collected() -> None:
    with running.home() as home:
        child = Child("talker", {}, str(home))
        try:
            child.ready()
            connection = _Ring()
            gone = weakref.ref(connection)
            child.ready()
            del connection
            gc.collect()
            assert gone() is None
        finally:
            gc.unfreeze()
            child.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_machine_that_is_short_of_something_is_no_bug(number: int) -> None:
    for error in (OSError(number, "short"), zmq.ZMQError(number)):
        found = shortage(error)
        assert found is not None
        assert found.exit_status == 71
    assert shortage(OSError(errno.EPERM, "no")) is None
    assert shortage(ValueError("x")) is None
    assert shortage(MemoryError()) is not None
