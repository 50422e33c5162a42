"""Words to a command, and a command carried out: what both ways into the program share."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from voiced import control
from voiced.errors import ControlError, HostRefused, HostUnknown, NotRunning, RuntimeDirUnusable, SocketFailed, TimedOut, VoicedError
from voiced.shown import harmless

if TYPE_CHECKING:
    from typing import TextIO

EVENTS = "events"
TIMEOUT_S = 5.0
REFUSED, WRONG_USAGE, NO_DAEMON, NO_ANSWER = 1, 2, 3, 4
#: All the words of a command that ask for its help.
HELP = (["-h"], ["--help"])
UNWRITTEN = 1  # as the coreutils have it


class WrongUsage(Exception):
    """Words that make no command of ours; the message is for people."""


def without_json(words: list[str]) -> tuple[list[str], bool]:
    """A command's words without `--json`, its one option, and whether that was there: as the last word. Before that, and
    after a `--` in front of all, it may belong to a text.
    """
    if words[1:2] == ["--"]:
        return words[:1] + words[2:], False
    as_json = words[1:] != [] and words[-1] == "--json"
    return words[:-1] if as_json else words, as_json


def understand(words: list[str]) -> tuple[str, dict[str, object]]:
    """The command and its arguments; for `events`, {"topics": [...]}. Raises WrongUsage."""
    if not words:
        raise WrongUsage("which command?")
    name, given = words[0].replace("-", "_"), words[1:]
    if name == EVENTS:
        for topic in given:
            if not any(known.startswith(topic) for known in control.EVENTS):
                raise WrongUsage(f"no events begin with {topic!r}; there are " + ", ".join(control.EVENTS))
        return name, {"topics": given}
    if name not in control.COMMANDS:
        raise WrongUsage(f"no command {words[0]!r}")
    return name, _arguments(control.COMMANDS[name], given)


def _arguments(command: control.Command, given: list[str]) -> dict[str, object]:
    """Words as the table says, in its order; a text that comes last takes all that are left."""
    args: dict[str, object] = {}
    for arg in command.args:
        if not given and arg.required:
            raise WrongUsage(f"{arg.shown} is missing: {arg.doc}")
        if not given:
            break
        rest = arg.type is str and arg is command.args[-1]
        word, given = (" ".join(given), []) if rest else (given[0], given[1:])
        try:
            args[arg.name] = arg.words.index(word) == 0 if arg.words else arg.type(word)
        except ValueError:
            raise WrongUsage(f"{arg.shown} is {arg.doc}, not {word!r}") from None
    if given:
        raise WrongUsage(f"{command.name.replace('_', '-')} takes no {given[0]!r}")
    return args


def run(name: str, args: dict[str, object], *, as_json: bool, timeout_s: float, host: str | None = None) -> int:
    """Carries the command out, on another machine if `host` names one; returns the exit status of the contract."""
    from voicectl import output
    from voicectl.client import Client

    try:
        with Client(host=host, timeout_s=timeout_s) as client:
            if name == EVENTS:
                output.follow(client, args["topics"], as_json=as_json)
            else:
                output.show(name, client.call(name, **args), as_json=as_json)
        return 0
    except VoicedError as error:
        for line in error.message.splitlines():
            complain(line)
        return status_of(error)


def unwritten(error: OSError) -> int:
    """The exit status where standard output refused."""
    if sys.stdout is not None:
        _give_up(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return 0  # whoever read has enough (`| head`)
    complain(f"can't write to the standard output: {error.strerror}")
    return UNWRITTEN


def complain(line: str) -> None:
    """To standard error, where that is open: print() would take standard output instead."""
    if sys.stderr is None:
        return
    try:
        print(f"voicectl: {harmless(line)}", file=sys.stderr)
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Python would complain of a stream that refuses again when it flushes at exit, by exit status 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def status_of(error: VoicedError) -> int:
    """The exit status of the contract."""
    match error:
        case NotRunning() | RuntimeDirUnusable() | SocketFailed():
            return NO_DAEMON
        case TimedOut():
            return NO_ANSWER
        case ControlError() | HostRefused():
            return REFUSED
        case HostUnknown():
            return WRONG_USAGE
    return error.exit_status
