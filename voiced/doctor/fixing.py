"""Recommended settings, written into the configuration file: comments and everything else stay as they are.

`edited` and `diff` are pure; `write` replaces the file in one step, so that nobody reads half of one, and leaves the old one beside it.
"""

import difflib
import os
import shutil
import tomllib
from collections.abc import Mapping, MutableMapping
from itertools import count
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from voiced.doctor.show import literal
from voiced.errors import ConfigInvalid
from voiced.files import write_whole

_NEW_FILE_MODE = 0o600


def edited(text: str, settings: Mapping[str, Any]) -> str:
    """`text` with these settings, by their dotted names. Raises ConfigInvalid where that can't be done: then by hand."""
    by_hand = "; write by hand: " + ", ".join(f"{name} = {literal(value)}" for name, value in settings.items())
    try:
        before = tomllib.loads(text)
        document = tomlkit.parse(text)
        for name, value in settings.items():
            _set(document, name.split("."), value)
        after = tomlkit.dumps(document)
        wanted = before
        for name, value in settings.items():
            _set_plain(wanted, name.split("."), value)
        done = tomllib.loads(after) == wanted
    except (TOMLKitError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigInvalid(f"the settings can't be edited ({error}){by_hand}") from error
    if not done:  # an editor that spoils what it does not understand is worse than none
        raise ConfigInvalid(f"the settings are written in a way that is not understood{by_hand}")
    return after


def _set(table: MutableMapping[str, Any], path: list[str], value: Any) -> None:
    first, *rest = path
    if not rest:
        table[first] = value
        return
    if first not in table:
        table[first] = tomlkit.table(is_super_table=len(rest) > 1)
    _set(table[first], rest, value)


def _set_plain(table: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        table = table.setdefault(part, {})
    table[path[-1]] = value


def diff(before: str, after: str, path: Path) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), f"{path} (new)", lineterm="", n=2)
    return list(lines)


def read(path: Path) -> str:
    """ "" where there is no such file. Raises ConfigInvalid."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"can't read {path}: {getattr(error, 'strerror', None) or 'it is not text in UTF-8'}") from error


def write(path: Path, before: str, after: str) -> Path | None:
    """Puts `after` in the place of `before`, with the same mode; returns the copy of what was there. Raises ConfigInvalid."""
    path = path.resolve()  # of a link, what it leads to is replaced
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if read(path) != before:
            raise ConfigInvalid(f"{path} was changed meanwhile; nothing is written")
        backup = None
        if path.exists():
            backup = _copied(path)
        write_whole(path, after.encode(), path.stat().st_mode & 0o7777 if backup else _NEW_FILE_MODE)
    except OSError as error:
        raise ConfigInvalid(f"can't write {path}: {error.strerror or error}") from error
    return backup


def _copied(path: Path) -> Path:
    """The copy, under the first name that nothing has: .bak, .bak.1 and so on."""
    for number in count():
        backup = path.with_name(f"{path.name}.bak" + (f".{number}" if number else ""))
        try:
            with open(backup, "xb", opener=lambda name, flags: os.open(name, flags, _NEW_FILE_MODE)) as file:
                file.write(path.read_bytes())
        except FileExistsError:
            continue
        shutil.copystat(path, backup)
        return backup
    raise AssertionError("numbers do not end")
