"""Secrets: what must not be seen, and where a key is found."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from voiced.config import Config
from voiced.errors import ConfigInvalid
from voiced.files import read_file, shown_path, shown_program

#: The variable that a provider's users put the key into; in small letters it is the systemd credential's name. Whoever
#: else answers is somebody whom that key was not made for.
_VARIABLES = {"auto": "OPENAI_API_KEY", "openai": "OPENAI_API_KEY", "azure": "AZURE_OPENAI_API_KEY"}
#: A key or a token is a line; what is longer is another file.
_LONGEST_BYTES = 1 << 16


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


class Credential(NamedTuple):
    """What proves to the server who we are: a key, or the program that prints one; or neither, and then it is false."""

    key: Secret | None = None
    #: Run by the network process for each connection, so that a token of an hour is fresh.
    command: tuple[str, ...] = ()
    #: For people: where it is from.
    source: str = "none"

    def __bool__(self) -> bool:
        return bool(self.key or self.command)


def find_api_key(config: Config, env: Mapping[str, str] = os.environ) -> Credential:
    """The key from the file or the program that the settings name, else from the systemd credential or the environment:
    from the variable that they name, or OpenAI's for OpenAI and Azure's for Azure.

    Raises ConfigInvalid for a key file that can't be read, is empty, belongs to somebody else or is readable for others.
    """
    if config["realtime.api_key_file"]:
        path = _path_of(config["realtime.api_key_file"], "realtime.api_key_file")
        return Credential(_key_from_file(path, "realtime.api_key_file"), source=f"the file {path}")
    if config["realtime.api_key_command"]:
        command = tuple(config["realtime.api_key_command"])
        return Credential(command=command, source=f"the program{shown_program(command[0])}, for each connection anew")
    variable = key_variable(config)
    if not variable:
        return Credential()
    credential = Path(env.get("CREDENTIALS_DIRECTORY", "")) / variable.lower()
    if env.get("CREDENTIALS_DIRECTORY") and credential.exists():
        where = f"the systemd credential {credential.name}"
        return Credential(_key(_read(credential, where), where), source=where)
    value = env.get(variable, "").strip()
    return Credential(_key(value, variable), source=f"the environment variable {variable}") if value else Credential()


def key_variable(config: Config) -> str:
    """The environment variable that may hold the key, "" for none."""
    return str(config["realtime.api_key_env"] or _VARIABLES.get(config["realtime.provider"], ""))


def find_token(name: str, row: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> Secret | None:
    """The token of the row [mcp.NAME], None where it names none. Raises ConfigInvalid where it names one that there is not."""
    if row["authorization_file"]:
        setting = f"mcp.{name}.authorization_file"
        return _key_from_file(_path_of(row["authorization_file"], setting), setting)
    variable = row["authorization_env"]
    if not variable:
        return None
    setting = f"mcp.{name}.authorization_env"
    if not env.get(variable, "").strip():  # its name is not told: it may be the token
        raise ConfigInvalid(f"{setting} names a variable that is not set; set it, or name another")
    return _key(env[variable], f"the variable of {setting}")


def secret_variables(config: Config) -> set[str]:
    """The environment variables that hold or may hold a secret under any profile: none of our children's business."""
    whole = config.base
    named = {whole["realtime.api_key_env"], *(row["api_key_env"] for row in whole.table("profiles").values())}
    named |= {row["authorization_env"] for row in whole.table("mcp").values()}
    return {*_VARIABLES.values(), *(name for name in named if name)}


# key files ---------------------------------------------------------------------------------------------------------------


def objection(found: os.stat_result, our_uid: int) -> str | None:
    """Why a file with this status is not trusted with a key; None where it is."""
    if found.st_uid not in (our_uid, 0):
        return "it belongs to somebody else"
    return "others may read it; chmod 600 helps" if found.st_mode & 0o077 else None


def _path_of(named: str, setting: str) -> Path:
    try:
        path = Path(named).expanduser()
        if path.exists() or named.startswith(("/", "~", ".")):
            return path
    except (OSError, ValueError, RuntimeError):  # too long a name, a NUL in it, no such ~user
        pass
    # Most likely the key itself: it must not be printed.
    raise ConfigInvalid(f"{setting} is the name of a file, as /home/me/.key; there is none of that name")


def _key_from_file(path: Path, setting: str) -> Secret:
    return _key(_read(path, setting, trusted=False), f"the key file {path}")


def _read(path: Path, what: str, *, trusted: bool = True) -> str:
    our_uid = os.geteuid()
    try:
        return read_file(path, _LONGEST_BYTES, lambda found: None if trusted else objection(found, our_uid)).decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigInvalid(f"{what}{shown_path(path)} can't be used: {reason}") from error


def _key(text: str, where: str) -> Secret:
    value = text.strip()
    if not value:
        raise ConfigInvalid(f"{where} is empty; put the key there")
    if not all("!" <= char <= "~" for char in value):  # it becomes an HTTP header
        raise ConfigInvalid(f"{where} holds more than a key: a key is one word of ASCII letters, digits and signs")
    return Secret(value)
