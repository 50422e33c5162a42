"""The server as a process of its own: by itself, and as a child of the supervisor."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from voiced.bus import FAMILY, Bus, Poller
from voiced.child import settings_frame
from voiced.messages import Heartbeat, Order, Ready
from voiced.messages import decode as decode_message
from voiced.messages import encode as encode_message

pytestmark = pytest.mark.system

Kind = TypeVar("Kind", Ready, Heartbeat)
COMMAND = [sys.executable, "-m", "voiced.embedded"]


@pytest.fixture
def alone() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*COMMAND, "--token", "right"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on ws://127.0.0.1:")
    assert line.endswith("/v1/realtime\n")
    return line.removeprefix("listening on ").strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_one_line_and_stops_when_told(alone: subprocess.Popen[str], number: signal.Signals) -> None:
    with connect(url_of(alone), additional_headers={"Authorization": "Bearer right"}) as client:
        assert "session.created" in str(client.recv(timeout=10))
        told = time.monotonic()
        alone.send_signal(number)
        rest, errors = alone.communicate(timeout=10)
    assert time.monotonic() - told < 6  # 2 s where the processors are free; a model that loads on busy ones holds it up
    assert (alone.returncode, rest, errors) == (0, "", "")


def test_a_client_that_says_nothing_does_not_keep_it(alone: subprocess.Popen[str]) -> None:
    address = urlsplit(url_of(alone))
    with socket.create_connection((address.hostname, address.port)):
        told = time.monotonic()
        alone.send_signal(signal.SIGTERM)
        rest, errors = alone.communicate(timeout=10)
    assert time.monotonic() - told < 6  # 2 s where the processors are free; a model that loads on busy ones holds it up
    assert (alone.returncode, rest, errors) == (0, "", "")


def test_a_wrong_token_is_refused(alone: subprocess.Popen[str]) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(url_of(alone), additional_headers={"Authorization": "Bearer wrong"}):
        pass
    assert refused.value.response.status_code == 401


def test_a_port_that_is_taken_gets_one_clear_line(alone: subprocess.Popen[str]) -> None:
    port = url_of(alone).split(":")[2].split("/")[0]
    second = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 71
    assert second.stdout == ""
    assert second.stderr.count("\n") == 1
    assert f"can't listen on 127.0.0.1:{port}" in second.stderr


def test_as_a_child_it_is_ready_beats_and_leaves(tmp_path: Path) -> None:
    bus = Bus(tmp_path)
    family = bus.bind(FAMILY)
    poller = Poller()
    poller.watch(family)
    started = time.monotonic()
    environment = {**os.environ, "VOICED_CHILD": "1", "VOICED_RUNTIME_DIR": str(tmp_path)}
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as child:
        try:
            assert child.stdin is not None
            child.stdin.write(settings_frame({"token": "secret", "chat_url": None, "chat_model": None, "voice": None, "log_level": 30}))
            child.stdin.flush()
            ready = next_of(Ready, family, poller)
            print(f"ready after {time.monotonic() - started:.2f} s")
            with connect(ready.detail["url"], additional_headers={"Authorization": "Bearer secret"}) as client:
                assert "session.created" in str(client.recv(timeout=10))
                while next_of(Heartbeat, family, poller).stats["sessions"] != 1:
                    pass
            told = time.monotonic()
            family.send_multipart((b"embedded", encode_message(Order(1, "stop", {}))))
            output, errors = child.communicate(timeout=10)
            assert time.monotonic() - told < 6  # 2 s where the processors are free; a model that loads on busy ones holds it up
            assert (child.returncode, output, errors) == (0, b"", b"")
        finally:
            child.kill()
            bus.close()


def next_of(kind: type[Kind], family: Any, poller: Poller) -> Kind:
    """The next message of a kind from the child."""
    while poller.wait(10_000):
        _name, header = family.recv_multipart()
        message = decode_message(header)
        if isinstance(message, kind):
            return message
    raise AssertionError(f"no {kind.__name__} within 10 s")
