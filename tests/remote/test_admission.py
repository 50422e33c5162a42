from typing import Any

import pytest

from voiced import control
from voiced.control import COMMANDS
from voiced.errors import ControlError
from voiced.remote.admission import Admission, Visitors

DESK, PHONE = b"d" * 32, b"p" * 32


def refused(requests: Admission, command: str, now_s: float = 0.0, name: str = "desk", **args: Any) -> str | None:
    answer = requests.refusal(control.pack_request(7, command, args), name, now_s)
    if answer is None:
        return None
    id, error = control.unpack_answer(answer)
    assert id == 7
    assert isinstance(error, ControlError)
    return error.code


ARGS: dict[str, dict[str, Any]] = {
    "restart": {"process": "x"},
    "record": {"on": True},
    "approve": {"approval_id": "x"},
    "say": {"text": "x"},
    "ask": {"text": "x"},
    "talk": {"pressed": True},
    "tool_result": {"call_id": "x", "output": "y"},
}


def test_what_administers_the_daemon_is_for_home_alone() -> None:
    denied = {name for name in COMMANDS if refused(Admission(admin=False), name, **ARGS.get(name, {}))}
    assert denied == {"reload", "record", "restart", "approve", "shutdown"}
    assert all(refused(Admission(admin=True), name, **ARGS.get(name, {})) is None for name in COMMANDS)


def test_what_is_no_request_goes_no_further() -> None:
    requests = Admission(admin=True)
    answer = requests.refusal(b"\xc1", "desk", 0.0)
    assert answer is not None
    assert control.unpack_answer(answer)[0] is None
    assert refused(requests, "nonsense") == "unknown_command"
    assert refused(requests, "say") == "bad_argument"


def test_a_machine_that_runs_wild_does_not_spoil_it_for_another() -> None:
    requests = Admission(admin=False)
    codes = [refused(requests, "ping", 10.0) for _ in range(150)]
    assert codes == [None] * 100 + ["not_now"] * 50
    assert refused(requests, "ping", 10.0, name="phone") is None
    assert refused(requests, "ping", 11.0) is None
    for _ in range(200):
        requests.refusal(b"garbage", "phone", 20.0)
    assert refused(requests, "ping", 20.0, name="phone") == "not_now", "garbage counts"


def test_names_are_learnt_and_forgotten() -> None:
    visitors = Visitors()
    assert not visitors.learn({"desk": DESK})
    assert (visitors.name(DESK), visitors.name(PHONE), visitors.count) == ("desk", "", 1)
    assert not visitors.learn({"desk": DESK, "phone": PHONE})
    assert visitors.learn({"phone": PHONE}), "one is lost"
    assert visitors.learn({"desk": PHONE}), "one has another name, under which it is known to the sockets"
    assert visitors.name(DESK) == ""


def test_the_log_hears_of_each_machine_but_not_of_each_time() -> None:
    visitors = Visitors()
    visitors.learn({"desk": DESK})
    assert visitors.line(DESK, "10.0.0.7", 0.0) == "desk came in from 10.0.0.7"
    assert visitors.line(DESK, "10.0.0.7", 30.0) == ""
    assert visitors.line(DESK, "10.0.0.8", 30.0) == "desk came in from 10.0.0.8"
    assert visitors.line(DESK, "10.0.0.7", 61.0) != ""
    told = visitors.line(PHONE, "10.0.0.9", 100.0)
    assert told == f"turned away an unknown key from 10.0.0.9; `voiced keys allow NAME {PHONE.hex()}` would let it in"


def test_strangers_do_not_fill_the_log_nor_the_memory() -> None:
    visitors = Visitors()
    lines = [visitors.line(number.to_bytes(32, "big"), "10.0.0.9", number / 1000) for number in range(50_000)]
    assert 0 < sum(map(bool, lines)) <= 10
    again = visitors.line(PHONE, "10.0.0.9", 200.0)
    assert again.endswith(f"; {50_000 - sum(map(bool, lines))} others since the last such line")


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.admin])
def test_it_says_what_would_allow_it(name: str) -> None:
    answer = Admission(admin=False).refusal(control.pack_request(1, name, ARGS.get(name, {})), "desk", 0.0)
    assert answer is not None
    error = control.unpack_answer(answer)[1]
    assert isinstance(error, ControlError)
    assert "allow.remote_admin" in error.message
