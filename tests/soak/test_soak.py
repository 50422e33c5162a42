"""The parts of the soak that must be right for its verdict to be."""

import random
import socket

from tests.soak.faults import Deck, Fault
from tests.soak.relay import Relay
from tests.soak.talk import numbers


def fault(name: str, of: str | None = None) -> Fault:
    return Fault(name, lambda stage, chance: None, of=of)


def test_each_fault_comes_once_before_any_comes_again() -> None:
    among = tuple(fault(name) for name in "abcdef")
    deck = Deck(among, random.Random(1))
    drawn = [deck.draw(0.0) for _ in range(12)]
    assert set(drawn[:6]) == set(drawn[6:]) == set(among)
    assert drawn[:6] != list(among)


def test_the_same_seed_brings_the_same_order() -> None:
    among = tuple(fault(name) for name in "abcdef")
    orders = [[Deck(among, random.Random(7)).draw(0.0) for _ in range(3)] for _ in range(2)]
    assert orders[0] == orders[1]


def test_no_process_is_replaced_so_often_that_it_is_given_up() -> None:
    killed, hangs, other = fault("killed", "capture"), fault("hangs", "capture"), fault("other")
    deck = Deck((killed, hangs, other), random.Random(1))
    drawn = [deck.draw(100.0 + second) for second in range(10)]
    assert sum(each is not other for each in drawn) == 1
    later = deck.draw(130.0)
    assert later in (killed, hangs)
    assert later not in drawn


def test_where_all_have_to_wait_nothing_is_drawn() -> None:
    deck = Deck((fault("killed", "capture"),), random.Random(1))
    assert deck.draw(100.0) is not None
    assert deck.draw(110.0) is None


def test_numbers_are_found_again() -> None:
    assert numbers("I say number 12, and number 7.") == {7, 12}


def connected(relay: Relay) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", relay.port))
    client.settimeout(5)
    return client


def test_what_stalls_flows_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Relay(listener.getsockname()[1]) as relay, connected(relay) as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"before ")
            assert server.recv(100) == b"before "
            relay.stall()
            client.sendall(b"meanwhile")
            server.settimeout(0.05)
            try:
                got = server.recv(100)
            except TimeoutError:
                got = b""
            assert got == b""
            relay.come_back()
            server.settimeout(5)
            assert server.recv(100) == b"meanwhile"


def test_who_is_away_takes_nobody_and_has_cut_the_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Relay(listener.getsockname()[1]) as relay, connected(relay) as client:
        listener.accept()[0].close()
        relay.leave()
        with connected(relay) as late:
            assert late.recv(1) == b""
        relay.come_back()
        assert client.recv(1) == b""
        with connected(relay):
            listener.accept()[0].close()
