import io
import os
import sys
from collections.abc import Mapping

import pytest

from voiced.messages import Failed, Heartbeat, Publish, Ready, Refusal
from voiced.supervisor.journald import Journald
from voiced.supervisor.log import DEBUG, ERROR, INFO, WARNING, Log, is_journal


def log(level: int = INFO, *, journal: bool = False, hidden: tuple[str, ...] = ()) -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(level, stream, journal=journal, hidden=hidden, clock=lambda: "12:00:00"), stream


def test_one_line_for_one_thing() -> None:
    say, stream = log()
    say(INFO, "capture", "ready")
    assert stream.getvalue() == "12:00:00 capture    ready\n"


def test_more_lines_each_say_who() -> None:
    say, stream = log()
    say(ERROR, "network", "one\ntwo")
    assert stream.getvalue() == "12:00:00 network    one\n12:00:00 network    two\n"


def test_below_the_level_is_nothing() -> None:
    say, stream = log(WARNING)
    say(INFO, "capture", "ready")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("level", "priority"), [(DEBUG, 7), (INFO, 6), (WARNING, 4), (ERROR, 3), (50, 3)])
def test_the_journal_gets_priorities_and_no_time(level: int, priority: int) -> None:
    say, stream = log(DEBUG, journal=True)
    say(level, "capture", "ready")
    assert stream.getvalue() == f"<{priority}>capture: ready\n"


def test_a_terminal_is_given_no_orders() -> None:
    say, stream = log()
    say(INFO, "network", "a\x1b[2Jb")
    assert stream.getvalue() == "12:00:00 network    a\ufffd[2Jb\n"


def test_what_children_say_to_people_is_without_secrets_and_the_rest_as_it_was() -> None:
    say, _ = log(hidden=("sk-1",))
    assert say.cleaned(Failed("key_refused", "no key sk-1")) == Failed("key_refused", "no key ***")
    assert say.cleaned(Refusal(4, "not_now", "sk-1", "text")) == Refusal(4, "not_now", "***", "text")
    event = Publish("session", {"reason": "bad key sk-1", "connected": False, "id": "sk-1"})
    assert say.cleaned(event) == Publish("session", {"reason": "bad key ***", "connected": False, "id": "sk-1"})
    assert say.cleaned(Heartbeat({"last_error": "sk-1", "rate": 1})) == Heartbeat({"last_error": "***", "rate": 1})
    assert say.cleaned(Ready({"last_error": "sk-1", "token": "sk-1"})) == Ready({"last_error": "***", "token": "sk-1"})


def test_secrets_are_hidden_whoever_says_them() -> None:
    say, stream = log(hidden=("", "sk-1"))
    say.hide("token-2")
    say(INFO, "network", "Authorization: Bearer sk-1, or token-2?")
    assert stream.getvalue().endswith("Bearer ***, or ***?\n")


def test_of_secrets_that_are_parts_of_each_other_nothing_is_left() -> None:
    say, stream = log(hidden=("abc",))
    for _ in range(3):
        say.hide("abcdef")
    say(INFO, "network", "abcdef abc")
    assert stream.getvalue().endswith(" *** ***\n")
    assert len(say._hidden) == 2, "a reload hides them again"


def test_a_reader_that_went_away_does_no_harm() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = open(writer, "w", buffering=1)  # noqa: SIM115  # closed below, where its complaint is expected
    Log(INFO, stream, journal=False)(INFO, "voiced", "ready")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_only_the_journals_own_stream_counts() -> None:
    with open(os.devnull) as other:
        found = os.fstat(sys.__stderr__.fileno() if sys.__stderr__ else 2)
        env = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(env, sys.__stderr__.fileno() if sys.__stderr__ else 2)
        assert not is_journal(env, other.fileno())
        assert not is_journal({}, other.fileno())
    assert not is_journal(env, 10**6)


class Entries(Journald):
    """A journal that keeps what it is told, or is not there."""

    def __init__(self, *, there: bool = True) -> None:
        self.told: list[dict[str, str]] = []
        self.lost = 0
        self._there = there

    def send(self, fields: Mapping[str, str]) -> bool:
        if self._there:
            self.told.append(dict(fields))
        return self._there


def journalling(entries: Entries, level: int = INFO) -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(level, stream, journal=True, hidden=("sk-1",), journald=entries), stream


def test_the_journal_gets_fields_to_search_by() -> None:
    entries = Entries()
    say, stream = journalling(entries)
    say(ERROR, "network", "no key sk-1", event="failed", code="key_refused")
    say(INFO, "voiced", "listening")
    say(DEBUG, "capture", "ready")
    assert entries.told == [
        {
            "MESSAGE": "network: no key ***",
            "PRIORITY": "3",
            "SYSLOG_IDENTIFIER": "voiced",
            "VOICED_PROCESS": "network",
            "VOICED_EVENT": "failed",
            "VOICED_CODE": "key_refused",
        },
        {"MESSAGE": "listening", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "voiced", "VOICED_PROCESS": "voiced"},
    ]
    assert stream.getvalue() == ""


def test_no_field_holds_a_secret_or_the_end_of_a_line() -> None:
    entries = Entries()
    say, _ = journalling(entries)
    say(INFO, "network", "x", code="sk-1\nPRIORITY=0")
    assert entries.told[0]["VOICED_CODE"] == "*** PRIORITY=0"


def test_the_journal_is_told_that_it_lost_something() -> None:
    entries = Entries()
    entries.lost = 3
    say, _ = journalling(entries)
    say(INFO, "network", "x")
    assert entries.told[0]["VOICED_LOST"] == "3"


def test_where_the_journal_s_socket_is_gone_its_stream_is_told() -> None:
    say, stream = journalling(Entries(there=False))
    say(ERROR, "capture", "gone", event="failed")
    assert stream.getvalue() == "<3>capture: gone\n"
