"""The settings as they are read: every key of `voiced.keys` and the rows of its tables, checked.

Read by the supervisor: `--config FILE`, `VOICED_CONFIG` or `$XDG_CONFIG_HOME/voiced/config.toml`, then
`VOICED_SECTION__KEY` from the environment. All problems are reported at once. A secret never sits here: only where it
is to be found (`voiced.secret`). Beside the keys stand the tables, whose rows
people name themselves: [tools.weather].
"""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voiced.errors import ConfigInvalid
from voiced.keys import KEYS, Key

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Config:
    """The settings of one run: `config["audio.frame_ms"]`."""

    def __init__(self, values: Mapping[str, Any], source: str) -> None:
        self._values = {key.name: values.get(key.name, key.default) for key in KEYS.values()}
        self.source = source

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def section(self, prefix: str) -> dict[str, Any]:
        """The keys below `prefix`, without it."""
        start = prefix + "."
        return {name.removeprefix(start): value for name, value in self._values.items() if name.startswith(start)}


def default_path(env: Mapping[str, str]) -> Path:
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "voiced" / "config.toml"


def load(named: Path | None, env: Mapping[str, str] = os.environ) -> Config:
    """The settings from file and environment.

    Raises ConfigInvalid with every problem, a line each, where there are any.
    """
    path = named or (Path(env["VOICED_CONFIG"]) if env.get("VOICED_CONFIG") else None)
    explicit = path is not None
    path = path or default_path(env)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if explicit:
            raise ConfigInvalid(f"no configuration file {path}") from error
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"can't read the configuration {path}: {error}") from error
    values, problems = _from_tree(_parsed(text, path), str(path))
    env_values, env_problems = _from_env(env)
    if problems or env_problems:
        raise ConfigInvalid("\n".join([*problems, *env_problems]))
    return Config({**values, **env_values}, str(path) if text else "defaults")


def _parsed(text: str, path: Path) -> dict[str, Any]:
    if not text:
        return {}
    import tomllib  # 13 ms, for those who have a file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{path} is not TOML: {error}") from error


def _from_tree(tree: dict[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []

    def walk(branch: dict[str, Any], prefix: str) -> None:
        for part, value in branch.items():
            name = f"{prefix}{part}"
            if name in KEYS:
                _take(KEYS[name], value, where, values, problems)
            elif isinstance(value, dict) and any(known.startswith(name + ".") for known in KEYS):
                walk(value, name + ".")
            else:
                problems.append(f"{where}: no setting `{name}`{_did_you_mean(name)}")

    walk(tree, "")
    return values, problems


def _from_env(env: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for variable, text in env.items():
        if not variable.startswith("VOICED_") or "__" not in variable:
            continue
        name = variable.removeprefix("VOICED_").lower().replace("__", ".")
        key = KEYS.get(name)
        if key is None:
            problems.append(f"{variable}: no setting `{name}`{_did_you_mean(name)}")
            continue
        value: Any = text
        if key.type in (int, float):
            with contextlib.suppress(ValueError):  # left a string, _take names the problem
                value = key.type(text)
        _take(key, value, variable, values, problems)
    return values, problems


def _take(key: Key, value: Any, where: str, values: dict[str, Any], problems: list[str]) -> None:
    if key.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    complaint = _complaint(key, value)
    if complaint:
        problems.append(f"{where}: {key.name} {complaint}, not {_shown(value)} ({key.doc})")
    elif key.name == "realtime.api_key_env" and value and not _VARIABLE.fullmatch(value):
        # Most likely the key itself: it must not be printed.
        problems.append(f"{where}: realtime.api_key_env is the name of a variable, as OPENAI_API_KEY; what is there is none")
    else:
        values[key.name] = value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _complaint(key: Key, value: Any) -> str | None:
    if type(value) is not key.type:
        return f"must be of type {key.type.__name__}"
    if key.choices and value not in key.choices:
        return "must be one of " + ", ".join(str(choice) for choice in key.choices)
    size: Any = len(value) if isinstance(value, str) else value
    if key.least is not None and not size >= key.least:
        return f"must be at least {key.least:g}"
    if key.most is not None and not size <= key.most:
        return f"must be at most {key.most:g}" + (" characters" if isinstance(value, str) else "")
    return None


def _did_you_mean(name: str) -> str:
    import difflib  # 10 ms that only a mistake is worth

    if name.endswith(("api_key", ".key", ".token")):
        return "; a key never sits in the settings: realtime.api_key_env or realtime.api_key_file says where it is"
    close = difflib.get_close_matches(name, KEYS, 1)
    return f"; did you mean `{close[0]}`?" if close else ""
