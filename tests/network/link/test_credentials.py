"""The key's command with real programs."""

import os
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiced.errors import KeyUnavailable
from voiced.network.link import credentials
from voiced.network.link.credentials import KeyCommand, headers
from voiced.network.quote import Quote

KEY = "sk-from-a-program"


def ask(*argv: str) -> str:
    return KeyCommand(argv, Quote("")).key()


def refused(*argv: str) -> str:
    with pytest.raises(KeyUnavailable) as caught:
        ask(*argv)
    assert not caught.value.fatal
    assert caught.value.message.isprintable()
    assert "realtime.api_key_command" in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("auth", "key", "header"),
    [
        ("bearer", "k", ["Authorization: Bearer k"]),
        ("api-key", "k", ["api-key: k"]),
        ("x-api-key", "k", ["X-API-Key: k"]),
        ("none", "k", []),
        ("bearer", "", []),
    ],
)
def test_each_kind_of_server_has_its_header(auth: str, key: str, header: list[str]) -> None:
    assert headers(auth, key) == header


def test_the_first_line_is_the_key_and_is_hidden_from_then_on() -> None:
    quote = Quote("")
    assert KeyCommand(("sh", "-c", f"printf '%s\\r\\nurl: x\\n' {KEY}"), quote).key() == KEY
    assert quote(f"we do not like {KEY}!") == "we do not like ***!"


def test_a_last_line_may_lack_its_end() -> None:
    assert ask("printf", KEY) == KEY


def test_there_is_no_shell() -> None:
    assert ask("echo", "$HOME;ls") == "$HOME;ls"


def test_our_input_is_not_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is the pipe from the supervisor, and whoever reads there would wait for ever."""
    monkeypatch.setattr(credentials, "_WITHIN_S", 2.0)
    ours = os.dup(0)
    out, into = os.pipe()
    os.dup2(out, 0)
    try:
        assert "printed nothing" in refused("cat")
    finally:
        os.dup2(ours, 0)
        for file in (ours, out, into):
            os.close(file)


def test_a_program_that_fails_is_quoted_without_its_arguments_and_the_key() -> None:
    said = refused("sh", "-c", f"echo {KEY}; echo 'the keyring is locked, {KEY} remains' >&2; echo more >&2; exit 3")
    assert said.startswith("the program 'sh' of realtime.api_key_command ended with status 3: the keyring is locked, *** remains;")
    assert "more" not in said


def test_a_key_in_the_place_of_the_program_is_not_told() -> None:
    assert refused("sk-never-seen").startswith("the program of realtime.api_key_command can't be run (No such file")


def test_the_program_is_no_more_urgent_than_others(tmp_path: Path) -> None:
    go_on = tmp_path / "go_on"
    os.mkfifo(go_on)
    told: list[str] = []

    def run() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -5)  # of this thread
            told.append(ask("sh", "-c", f"cat {go_on}; nice"))
        except PermissionError:
            go_on.open("r").close()

    thread = threading.Thread(target=run)
    thread.start()
    go_on.write_text("")
    thread.join(10)
    if not told:
        pytest.skip("may not be urgent ourselves")
    assert told == ["0"]


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("/no/such/program",), "No such file"),
        (("/",), "can't be run"),
        (("a\0b",), "can't be run"),
        (("sh", "-c", "kill -9 $$"), "killed by signal 9"),
        (("true",), "printed nothing"),
        (("echo", "two words"), "more than a key"),
        (("printf", "sk\\033[31m"), "more than a key"),
        (("printf", "\\377\\376"), "more than a key"),
    ],
)
def test_what_is_no_key(argv: tuple[str, ...], why: str) -> None:
    assert why in refused(*argv)


def test_an_endless_output_fills_no_memory() -> None:
    before = time.monotonic()
    assert "ended with status" in refused("sh", "-c", "yes 2>/dev/null")
    assert time.monotonic() - before < 5


def test_a_key_is_there_although_something_goes_on_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_WITHIN_S", 5.0)
    before = time.monotonic()
    assert ask("sh", "-c", f"sleep 8 & echo {KEY}") == KEY
    assert time.monotonic() - before < 4


#: It and its child hold a FIFO open, whose end tells that both are gone.
STUBBORN = 'trap "" TERM; exec 3>"$0"; echo began >&3; sleep 100 & wait; sleep 100'


@pytest.fixture
def life(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """The FIFO, and our end of it."""
    os.mkfifo(tmp_path / "life")
    reading = os.open(tmp_path / "life", os.O_RDONLY | os.O_NONBLOCK)
    yield tmp_path / "life", reading
    os.close(reading)


def until_gone(reading: int) -> None:
    while True:
        assert select.select([reading], [], [], 5)[0], "something lives on"
        if not os.read(reading, 100):
            return


def test_a_program_that_hangs_is_ended_with_all_its_children(life: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_WITHIN_S", 1.5)
    assert "within 1.5 s" in refused("sh", "-c", STUBBORN, str(life[0]))
    until_gone(life[1])


def test_a_program_can_be_stopped_from_outside(life: tuple[Path, int]) -> None:
    command = KeyCommand(("sh", "-c", STUBBORN, str(life[0])), Quote(""))
    ended: list[Exception] = []

    def run() -> None:
        try:
            command.key()
        except KeyUnavailable as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert select.select([life[1]], [], [], 5)[0]
    before = time.monotonic()
    command.stop()
    thread.join(5)
    assert time.monotonic() - before < 2
    assert len(ended) == 1
    until_gone(life[1])
    command.stop()  # once more does no harm


def test_what_was_stopped_before_it_began_never_runs(tmp_path: Path) -> None:
    command = KeyCommand(("touch", str(tmp_path / "ran")), Quote(""))
    command.stop()
    with pytest.raises(KeyUnavailable):
        command.key()
    assert not (tmp_path / "ran").exists()


def test_nothing_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        ask("echo", KEY)
        refused("false")
        refused("/no/such/program")
    assert len(os.listdir("/proc/self/fd")) == before
