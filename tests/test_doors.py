import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from voiced.bus import CONTROL, Bus
from voiced.doors import Door

_PATIENCE_MS = 5000


def connected(home: Path) -> socket.socket:
    """A peer that does not say a word."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(home / "control"))
    return peer


def is_hung_up(peer: socket.socket) -> bool:
    peer.settimeout(_PATIENCE_MS / 1000)
    with contextlib.suppress(ConnectionResetError):
        while said := peer.recv(100):
            assert said[:1] == b"\xff"  # its half of the greeting
    return True


def look_until(door: Door, peers: int) -> None:
    while door.peers != peers:
        assert door.socket.poll(_PATIENCE_MS), f"{door.peers} peers"
        door.look()


def test_who_is_one_too_many_is_sent_away(bus: Bus, home: Path) -> None:
    bound = bus.bind(CONTROL)
    door = Door(bus, bound, 4)
    client = Bus(home)
    talking = client.connect(CONTROL)
    talking.send(b"hello")
    assert bound.poll(_PATIENCE_MS)
    look_until(door, 1)
    inside = [connected(home) for _ in range(3)]
    look_until(door, 4)
    assert not door.crowded
    outside = connected(home)
    while not door.crowded:
        assert door.socket.poll(_PATIENCE_MS)
        door.look()
    assert is_hung_up(outside)
    look_until(door, 4)
    for peer in inside[:2]:
        peer.close()
    look_until(door, 2)
    assert not door.crowded
    talking.send(b"still here")
    assert [bound.recv_multipart()[-1] for _ in range(2)] == [b"hello", b"still here"]
    door.clear()
    assert is_hung_up(inside[2])
    client.close()
    for peer in (inside[2], outside):
        peer.close()


_STRANGER = """
import os, sys
from voiced.bus import CONTROL, Bus
os.setgid(1234), os.setuid(1234)  # who may not even read where voiced lies
bus = Bus(sys.argv[1])
client = bus.connect(CONTROL)
gone = bus.goodbyes(client)
client.send(b"hello")
sys.exit(0 if gone.poll(5000) else 1)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_another_user_is_not_let_in_even_where_directory_and_socket_are_open_to_all(bus: Bus, home: Path) -> None:
    bound = bus.bind(CONTROL)
    home.chmod(0o777)
    (home / "control").chmod(0o777)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", _STRANGER, str(home)], env=env, check=True, timeout=30)
    assert not bound.poll(0)


def test_who_says_nothing_is_hung_up_on(bus: Bus, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiced.bus._HANDSHAKE_MS", 50)
    door = Door(bus, bus.bind(CONTROL), 6)
    with connected(home) as peer:
        assert is_hung_up(peer)
    look_until(door, 0)
