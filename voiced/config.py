"""The settings as they are read: every key of `voiced.keys` and the rows of its tables, checked.

Read by the supervisor: `--config FILE`, `VOICED_CONFIG` or `$XDG_CONFIG_HOME/voiced/config.toml`, then
`VOICED_SECTION__KEY` from the environment. All problems are reported at once. A secret never sits here: only where it
is to be found (`voiced.secret`). Beside the keys stand the tables, whose rows people name themselves: [tools.weather].
"""

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from voiced.checks import LONGEST_SHOWN, complaint, did_you_mean, name_complaint, named, shown
from voiced.errors import ConfigInvalid
from voiced.files import read_file
from voiced.keys import KEYS, TABLES, Key

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NO_PROFILE = ("", "none")
#: Where the key is. Who says one of them anew says them all anew.
_KEY_SOURCES = ("realtime.api_key_env", "realtime.api_key_file", "realtime.api_key_command")
#: What belongs to a server, so that another must not get it.
_OF_A_SERVER = ("realtime.auth", *_KEY_SOURCES)
#: What another provider can do nothing with.
_OF_A_PROVIDER = ("realtime.url", "realtime.model", "realtime.voice", "realtime.transcription_model", *_OF_A_SERVER)
_LARGEST_FILE = 1 << 20
#: Of instructions: room for characters of four bytes, and for space that is stripped.
_LARGEST_TEXT = 1 << 17

Values = dict[str, Any]
Rows = dict[str, dict[str, Values]]


class Config:
    """The settings of one run: `config["audio.frame_ms"]`, `config.table("tools")["weather"]["command"]`."""

    def __init__(
        self,
        values: Mapping[str, Any],
        source: str,
        rows: Rows | None = None,
        base: "Config | None" = None,
        overrides: Collection[str] = (),
    ) -> None:
        """`overrides` are the keys that the environment has set: no profile changes them."""
        self._values = {key.name: values.get(key.name, key.default) for key in KEYS.values()}
        self._rows = rows or {}
        self.source = source
        self._overrides = overrides
        #: The settings without any profile: the whole tables.
        self.base = base or self

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def section(self, prefix: str) -> Values:
        """The keys below `prefix`, without it."""
        start = prefix + "."
        return {name.removeprefix(start): value for name, value in self._values.items() if name.startswith(start)}

    def table(self, name: str) -> dict[str, Values]:
        """The rows of a table by their names, as far as the profile has them; what a row leaves out is as by default."""
        keys = TABLES[name].keys.values()
        return {row: {key.name: given.get(key.name, key.default) for key in keys} for row, given in self._rows.get(name, {}).items()}

    def with_profile(self, name: str) -> "Config":
        """These settings under the profile of that name in place of another; "" or "none" for none.

        A profile that names another provider leaves model, voice, URL and key behind; one that names another URL, the key. Neither
        has MCP servers but those that it names, since their tokens go to whoever answers. Raises ConfigInvalid for a name that
        there is not.
        """
        base, profiles = self.base, self.base._rows.get("profiles", {})
        if name in _NO_PROFILE:
            return Config(base._values | {"realtime.profile": ""}, base.source, base._rows, base, base._overrides)
        if name not in profiles:
            raise ConfigInvalid(_no_profile(name, profiles))
        values, elsewhere = base._under({f"realtime.{key}": value for key, value in profiles[name].items() if key != "tools"})
        values["realtime.profile"] = name
        rows = dict(base._rows)
        if "tools" in profiles[name]:
            for table in ("tools", "mcp"):
                rows[table] = {tool: given for tool, given in rows.get(table, {}).items() if tool in profiles[name]["tools"]}
            if values["realtime.tool_choice"] not in (*_TOOL_CHOICES, *rows["tools"]):
                values["realtime.tool_choice"] = KEYS["realtime.tool_choice"].default
        elif elsewhere:
            rows["mcp"] = {}
        return Config(values, base.source, rows, base, base._overrides)

    def _under(self, row: Values) -> tuple[Values, bool]:
        """The values with a profile's `row`, less what the environment overrides; and whether another server answers then."""
        values, overrides = self._values, set(self._overrides)
        before, meant = _server(values), _server(values | row)
        row = {name: value for name, value in row.items() if name not in overrides}
        after = _server(values | row)
        if after != meant:  # the environment names another server than the row, whose key is not for it
            row = _without(row, _OF_A_SERVER if after[0] == meant[0] else _OF_A_PROVIDER)
        if after[0] != before[0]:
            # Of the environment's, too, the key is for the server that was.
            values = _without(values, [name for name in _OF_A_PROVIDER if name in _OF_A_SERVER or name not in overrides])
        elif after != before:
            values = _without(values, _OF_A_SERVER)
        elif overrides.intersection(_KEY_SOURCES):
            row = _without(row, _KEY_SOURCES)
        full = {name: values.get(name, KEYS[name].default) for name in KEYS}
        return _overlaid(full, row), after != before


def default_path(env: Mapping[str, str]) -> Path:
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "voiced" / "config.toml"


def load(named: Path | None, env: Mapping[str, str] = os.environ) -> Config:
    """The settings from file and environment, under the profile that they begin with.

    Raises ConfigInvalid with every problem, a line each, where there are any.
    """
    path = named or (Path(env["VOICED_CONFIG"]) if env.get("VOICED_CONFIG") else None)
    explicit = path is not None
    path = path or default_path(env)
    try:
        text = read_file(path, _LARGEST_FILE).decode()
    except FileNotFoundError as error:
        if explicit:
            raise ConfigInvalid(f"no configuration file {path}") from error
        text = ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigInvalid(f"can't read the configuration {path}: {reason}") from error
    problems: list[str] = []
    values, rows = _from_tree(_parsed(text, path), str(path), problems)
    env_values = _from_env(env, problems)
    values = _overlaid(values, env_values)
    for name, problem in _contradictions(values, rows):
        problems.append(f"{_variable_of(name) if name in env_values else path}: {problem}")
    if problems:
        raise ConfigInvalid("\n".join(problems))
    config = Config(values, str(path) if text else "defaults", rows, overrides=env_values.keys())
    return config.with_profile(config["realtime.profile"])


def _parsed(text: str, path: Path) -> dict[str, Any]:
    if not text:
        return {}
    import tomllib  # 13 ms, for those who have a file

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than Python reads
        raise ConfigInvalid(f"{path} is not TOML: {error}") from error


# from file and environment -----------------------------------------------------------------------------------------------


def _from_tree(tree: dict[str, Any], where: str, problems: list[str]) -> tuple[Values, Rows]:
    values: Values = {}
    rows: Rows = {}

    def walk(branch: dict[str, Any], prefix: str) -> None:
        for part, value in branch.items():
            name = f"{prefix}{part}"
            if name in KEYS:
                _take(KEYS[name], value, where, name, name, values, problems)
            elif name in TABLES:
                rows[name] = _rows(name, value, where, problems)
            elif isinstance(value, dict) and any(known.startswith(name + ".") for known in KEYS):
                walk(value, name + ".")
            else:
                problems.append(f"{where}: no setting `{named(name)}`{did_you_mean(name, KEYS)}")

    walk(tree, "")
    _read_instructions(values, "realtime.", where, problems)
    return values, rows


def _rows(table: str, branch: object, where: str, problems: list[str]) -> dict[str, Values]:
    if not isinstance(branch, dict):
        problems.append(f"{where}: {table} must be a table, as [{table}.NAME] ({TABLES[table].doc})")
        return {}
    rows: dict[str, Values] = {}
    for row, fields in branch.items():
        name = f"{table}.{row}"
        if not isinstance(fields, dict):
            problems.append(f"{where}: {named(name)} must be a table, as [{named(name)}] ({TABLES[table].doc})")
            continue
        if wrong := name_complaint(table, row):
            problems.append(f"{where}: [{named(name)}] {wrong}")
        rows[row] = _row(table, name, fields, where, problems)
    return rows


def _row(table: str, name: str, fields: dict[str, Any], where: str, problems: list[str]) -> Values:
    keys, values = TABLES[table].keys, Values()
    for part, value in fields.items():
        full = f"{name}.{part}"
        if part in keys:
            rule = f"realtime.{part}" if table == "profiles" else f"{table}.{part}"
            _take(keys[part], value, where, full, rule, values, problems)
        elif isinstance(value, dict) and table in ("profiles", "prices"):  # others' names have no dots
            problems.append(
                f'{where}: no setting `{full}`; a name with a dot needs quotes, as in [{table}."{name.partition(".")[2]}.{part}"]'
            )
        else:
            close = did_you_mean(full, (f"{name}.{known}" for known in keys))
            problems.append(f"{where}: no setting `{name}.{named(part)}`{close}")
    if table == "mcp" and not fields.get("url"):
        problems.append(f"{where}: {name}.url is missing ({keys['url'].doc})")
    _read_instructions(values, "", where, problems)
    return values


def _from_env(env: Mapping[str, str], problems: list[str]) -> Values:
    values: Values = {}
    for variable, text in env.items():
        if not variable.startswith("VOICED_") or "__" not in variable:
            continue
        name = variable.removeprefix("VOICED_").lower().replace("__", ".")
        key = KEYS.get(name)
        if key is None:
            in_a_table = name.partition(".")[0] in TABLES
            where = variable if named(name) == name else _variable_of(named(name))
            advice = "; tables stand in the file alone" if in_a_table else did_you_mean(name, KEYS)
            problems.append(f"{where}: no setting `{named(name)}`{advice}")
            continue
        try:
            value = _from_text(key, text)
        except ValueError:  # of shlex
            problems.append(f"{variable}: {name} has a quotation that does not end")
            continue
        _take(key, value, variable, name, name, values, problems)
    _read_instructions(values, "realtime.", _variable_of("realtime.instructions_file"), problems)
    return values


def _from_text(key: Key, text: str) -> Any:
    """The value that a text of the environment means; the text itself where it means none, which `_take` then names."""
    if key.type in (int, float):
        with contextlib.suppress(ValueError):
            return key.type(text)
    if key.type is list:
        import shlex  # 3 ms

        return shlex.split(text)
    return _BOOLEANS.get(text.lower(), text) if key.type is bool else text


def _variable_of(name: str) -> str:
    return "VOICED_" + name.upper().replace(".", "__")


def _take(key: Key, value: Any, where: str, name: str, rule: str, values: Values, problems: list[str]) -> None:
    if key.type is float and type(value) is int:
        with contextlib.suppress(OverflowError):
            value = float(value)
    if key.type is list and isinstance(value, list):
        value = tuple(value)
    wrong = complaint(key, value, rule)
    if wrong:
        problems.append(f"{where}: {name} {wrong}{shown(key, value)} ({key.doc})")
    else:
        values[key.name] = value


def _read_instructions(values: Values, prefix: str, where: str, problems: list[str]) -> None:
    """Puts the text of the file, where one is named, in the place of the instructions."""
    file, most = values.get(f"{prefix}instructions_file"), KEYS["realtime.instructions"].most
    if not file or most is None:
        return
    try:
        text = read_file(Path(file).expanduser(), _LARGEST_TEXT).decode().strip()
    except (OSError, ValueError, RuntimeError) as error:  # no text, a NUL in the name, no such ~user
        reason = error.strerror if isinstance(error, OSError) else "it is not text" if isinstance(error, UnicodeError) else "no such file"
        problems.append(f"{where}: can't read instructions_file {file!r}: {reason}")
        return
    if len(text) > most:
        problems.append(f"{where}: instructions_file {file!r} must hold at most {most:g} characters")
    values[f"{prefix}instructions"] = text


# what they say together --------------------------------------------------------------------------------------------------

_TOOL_CHOICES = ("auto", "none", "required")


def _overlaid(values: Values, layer: Values) -> Values:
    if any(key in layer for key in _KEY_SOURCES):
        values = values | {key: KEYS[key].default for key in _KEY_SOURCES}
    return values | layer


def _server(values: Mapping[str, Any]) -> tuple[str, str]:
    """Who answers, as far as settings tell: provider and URL."""
    provider = values["realtime.provider"]
    return "openai" if provider == "auto" else provider, values["realtime.url"]


def _without(values: Values, names: Collection[str]) -> Values:
    return {name: value for name, value in values.items() if name not in names}


def _no_profile(name: str, profiles: Mapping[str, Values]) -> str:
    there_are = f"there are {', '.join(profiles)}" if profiles else "there are none: [profiles.NAME] in the settings makes one"
    return (f"no profile `{name}`" if len(name) <= LONGEST_SHOWN else "no profile of that name") + f"; {there_are}"


def _contradictions(values: Values, rows: Rows) -> Iterator[tuple[str, str]]:
    """What is wrong between settings that are right by themselves: (setting, problem)."""
    tools, mcp, profiles = (rows.get(table, {}) for table in ("tools", "mcp", "profiles"))
    first = values.get("realtime.profile", "")
    if first not in (*_NO_PROFILE, *profiles):
        yield "realtime.profile", f"realtime.profile: {_no_profile(first, profiles)}"
    choice = values.get("realtime.tool_choice", "auto")
    if choice not in (*_TOOL_CHOICES, *tools):
        others = f", or one of [tools]: {', '.join(tools)}" if tools else "; [tools] has none"
        not_this = shown(KEYS["realtime.tool_choice"], choice)
        yield "realtime.tool_choice", f"realtime.tool_choice must be one of {', '.join(_TOOL_CHOICES)}{others}{not_this}"
    for name, row in profiles.items():
        unknown = [named(tool) for tool in row.get("tools", ()) if tool not in (*tools, *mcp)]
        if unknown:
            there_are = ", ".join([*tools, *mcp]) or "none"
            yield f"profiles.{name}", f"profiles.{name}.tools: no {', '.join(unknown)} in [tools] and [mcp]; there are {there_are}"
