"""The settings: one table of keys, from which defaults, checks, environment names and documentation derive.

Read once by the supervisor: `--config FILE`, `VOICED_CONFIG` or `$XDG_CONFIG_HOME/voiced/config.toml`, then
`VOICED_SECTION__KEY` from the environment. All problems are reported at once. A secret never sits here: only where it
is to be found, and what was found is a `Secret`, which prints as `***`.
"""

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from voiced.errors import ConfigInvalid


class Key(NamedTuple):
    name: str
    type: type
    default: Any
    doc: str
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None


_PROVIDERS = ("auto", "openai", "compatible", "embedded")
_DEVICE = "name, part of a name, or index; `file:PATH` or `null`; empty = system default"
_RATE = "rate to ask of the device; where it refuses, the device's own is used"
_INSTRUCTIONS = (
    "You are the voice of this computer. You are talked to aloud and answer aloud: briefly, in plain sentences, without lists or markup. "
    "You may be interrupted at any time; when you are, answer what was said last."
)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("realtime.provider", str, "auto", "who answers; auto = openai when a key is found, else embedded", _PROVIDERS),
        Key("realtime.url", str, "", "ws:// or wss:// URL of a compatible server; the model is added as a query"),
        Key("realtime.model", str, "", "the model; empty = the provider's default"),
        Key("realtime.voice", str, "", "the voice; empty = the provider's default"),
        Key("realtime.instructions", str, _INSTRUCTIONS, "what the assistant is told about itself", most=16_000),
        Key("realtime.language", str, "", "language of the transcription, as in `en`; empty = found out by the server"),
        Key("realtime.transcription_model", str, "", "model that writes down what you say; empty = the provider's default"),
        Key("realtime.api_key_env", str, "OPENAI_API_KEY", "environment variable that holds the key"),
        Key("realtime.api_key_file", str, "", "file that holds the key; refused where others may read it"),
        Key("turn.mode", str, "vad", "how a turn of yours begins and ends: the server hears it", ("vad",)),
        Key("turn.threshold", float, 0.5, "how sure the server must be that it hears speech", least=0.0, most=1.0),
        Key("turn.prefix_padding_ms", int, 300, "sound kept from before the speech", least=0, most=5000),
        Key("turn.silence_ms", int, 500, "silence that ends your turn", least=50, most=10_000),
        Key("audio.frame_ms", int, 20, "length of a frame of the microphone", (10, 20)),
        Key("audio.capture.device", str, "", _DEVICE),
        Key("audio.capture.channels", int, 1, "channels asked of the device; averaged to one", (1, 2)),
        Key("audio.capture.rate", int, 24_000, _RATE, least=8000, most=192_000),
        Key("audio.playback.device", str, "", _DEVICE),
        Key("audio.playback.channels", int, 1, "channels asked of the device; all get the same sound", (1, 2)),
        Key("audio.playback.rate", int, 24_000, _RATE, least=8000, most=192_000),
        Key("audio.playback.buffer_ms", int, 100, "sound that the device may hold; an abort makes its length harmless", least=20, most=500),
        Key("embedded.chat_url", str, "", "OpenAI-compatible chat URL that thinks for the embedded server, as http://localhost:11434/v1"),
        Key("embedded.chat_model", str, "", "the model to ask for there"),
        Key("log.level", str, "info", "how much is logged", ("debug", "info", "warning", "error")),
    )
}


class Secret:
    """A key that must not be seen: every way of printing it shows `***`; `reveal()` is for the wire."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)


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
    elif key.name == "realtime.api_key_env" and not _VARIABLE.fullmatch(value):
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


# the key -----------------------------------------------------------------------------------------------------------------


def find_api_key(config: Config, env: Mapping[str, str] = os.environ, stat: Callable[[Path], os.stat_result] = os.stat) -> Secret | None:
    """The API key from file, systemd credential or environment, in that order; None where there is none.

    Raises ConfigInvalid for a key file that can't be read, is empty, or that others may read.
    """
    if config["realtime.api_key_file"]:
        return _key_from_file(config["realtime.api_key_file"], stat)
    credential = Path(env.get("CREDENTIALS_DIRECTORY", "")) / "openai_api_key"
    if env.get("CREDENTIALS_DIRECTORY") and credential.exists():
        return _key(_read(credential, "the systemd credential"), f"the systemd credential {credential.name}")
    variable = config["realtime.api_key_env"]
    value = env.get(variable, "").strip()
    return _key(value, variable) if value else None


def _key_from_file(named: str, stat: Callable[[Path], os.stat_result]) -> Secret:
    path = Path(named).expanduser()
    try:
        mode = stat(path).st_mode
    except (OSError, ValueError) as error:
        if not named.startswith(("/", "~", ".")) or not isinstance(error, OSError):  # most likely the key itself: it must not be printed
            raise ConfigInvalid("realtime.api_key_file is the name of a file, as /home/me/.key; there is none of that name") from error
        raise ConfigInvalid(f"can't read realtime.api_key_file {path}: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigInvalid(f"others may read the key file {path}; run: chmod 600 {path}")
    return _key(_read(path, "realtime.api_key_file"), f"the key file {path}")


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigInvalid(f"can't read {what} {path}: {reason}") from error


def _key(text: str, where: str) -> Secret:
    value = text.strip()
    if not value:
        raise ConfigInvalid(f"{where} is empty; put the API key there")
    if not all("!" <= char <= "~" for char in value):  # it becomes an HTTP header
        raise ConfigInvalid(f"{where} holds more than a key: a key is one word of ASCII letters, digits and signs")
    return Secret(value)
