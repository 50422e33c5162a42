import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiced.supervisor.journald import Journald, entry


@pytest.fixture
def journal(home: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(home / "socket"))
        listener.settimeout(5)
        yield listener


def test_an_entry_is_a_line_a_field() -> None:
    assert entry({"MESSAGE": "ready", "PRIORITY": "6"}) == b"MESSAGE=ready\nPRIORITY=6\n"


def test_a_value_of_more_lines_is_preceded_by_its_length() -> None:
    assert entry({"MESSAGE": "a\nb"}) == b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n"


def test_an_entry_fits_in_a_datagram(home: Path, journal: socket.socket) -> None:
    client = Journald(home / "socket")
    assert client.send({"MESSAGE": "\N{EURO SIGN}" * 1_000_000})
    assert journal.recv(1 << 20).startswith(b"MESSAGE=\xe2\x82\xac")
    assert client.lost == 0
    client.close()


def test_without_a_journal_somebody_else_has_to_tell(home: Path) -> None:
    client = Journald(home / "socket")
    assert not client.send({"MESSAGE": "ready"})
    client.close()


def test_a_journal_that_was_started_anew_is_found(home: Path) -> None:
    client = Journald(home / "socket")
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(home / "socket"))
            assert client.send({"MESSAGE": "ready"})
            assert listener.recv(100) == b"MESSAGE=ready\n"
        assert not client.send({"MESSAGE": "ready"})
        (home / "socket").unlink()
    client.close()


def test_a_journal_that_stands_still_makes_nobody_wait_and_losses_are_counted(home: Path, journal: socket.socket) -> None:
    client = Journald(home / "socket")
    while client.lost == 0:
        assert client.send({"MESSAGE": "x" * 1000})
    assert journal.recv(2000) == b"MESSAGE=" + b"x" * 1000 + b"\n"
    client.close()
