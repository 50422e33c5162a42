"""A client beside daemons that end, or are none: it never hangs, and never shows a traceback."""

import subprocess
import sys
import threading
from pathlib import Path

import msgpack
import pytest

import voicectl
from tests.supervisor import running
from voiced.bus import CONTROL, EVENTS, Bus
from voiced.errors import NotRunning, ProtocolViolated

_PATIENCE_S = 10.0


def _in_time(ending: threading.Thread) -> bool:
    ending.start()
    ending.join(_PATIENCE_S)
    return not ending.is_alive()


def test_a_daemon_that_ends_before_its_snapshot_ends_the_client(home: Path, bus: Bus) -> None:
    bus.bind(CONTROL)
    stream = bus.bind(EVENTS)
    caught: list[BaseException] = []

    def follow() -> None:
        with voicectl.Client(home, timeout_s=_PATIENCE_S) as client:
            try:
                client.events()
            except NotRunning as error:
                caught.append(error)

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    assert stream.poll(int(_PATIENCE_S) * 1000), "a subscription"
    stream.close()
    following.join(_PATIENCE_S)
    assert not following.is_alive()
    assert len(caught) == 1


def test_a_client_closes_with_events_left_open(home: Path, bus: Bus) -> None:
    bus.bind(CONTROL)
    stream = bus.bind(EVENTS)
    client = voicectl.Client(home, timeout_s=_PATIENCE_S)
    greeting = threading.Thread(
        target=lambda: (stream.recv(), stream.send_multipart((b"status", msgpack.packb({"seq": 1, "time": 0.0, "data": {}}))))
    )
    greeting.start()
    events = client.events()
    greeting.join()
    assert _in_time(threading.Thread(target=client.close, daemon=True))
    events.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request", msgpack.packb([1, 2]), msgpack.packb("x") * 2, b""])
def test_an_answer_of_somebody_else_is_an_error_of_ours(home: Path, bus: Bus, answer: bytes) -> None:
    peer = bus.bind(CONTROL)

    def reply() -> None:
        peer.send_multipart((peer.recv_multipart()[0], answer))

    replying = threading.Thread(target=reply)
    with voicectl.Client(home, timeout_s=_PATIENCE_S) as client:
        replying.start()
        with pytest.raises(ProtocolViolated, match="is not voiced"):
            client.ping()
        replying.join()


def test_a_bug_in_voicectl_is_one_line(home: Path) -> None:
    program = "import voicectl.__main__ as m; m.understand = lambda words: 1 / 0; raise SystemExit(m.main())"
    done = subprocess.run([sys.executable, "-c", program, "ping"], cwd=running.ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 70
    assert done.stderr == "voicectl: a bug in voicectl: ZeroDivisionError: division by zero; please report it\n"
