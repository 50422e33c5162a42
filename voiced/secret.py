"""Secrets: what must not be seen, and where a key is found."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from voiced.config import Config
from voiced.errors import ConfigInvalid

#: The variable that a provider's users put the key into; in small letters it is the systemd credential's name.
_VARIABLES = {"azure": "AZURE_OPENAI_API_KEY"}
_OTHERS_VARIABLE = "OPENAI_API_KEY"
#: A key or a token is a line; what is longer is another file.
_LONGEST = 1 << 16


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
    """The key from the file or the program that the settings name, else from the systemd credential or the environment.

    Raises ConfigInvalid for a key file that can't be read, is empty, belongs to somebody else or is readable for others.
    """
    if config["realtime.api_key_file"]:
        path = _path_of(config["realtime.api_key_file"], "realtime.api_key_file")
        return Credential(_key_from_file(path, "realtime.api_key_file"), source=f"the file {path}")
    if config["realtime.api_key_command"]:
        command = tuple(config["realtime.api_key_command"])
        return Credential(command=command, source=f"the program {command[0]}, for each connection anew")
    variable = key_variable(config)
    credential = Path(env.get("CREDENTIALS_DIRECTORY", "")) / variable.lower()
    if env.get("CREDENTIALS_DIRECTORY") and credential.exists():
        where = f"the systemd credential {credential.name}"
        return Credential(_key(_read(credential, where), where), source=where)
    value = env.get(variable, "").strip()
    return Credential(_key(value, variable), source=f"the environment variable {variable}") if value else Credential()


def key_variable(config: Config) -> str:
    """The environment variable that may hold the key."""
    return str(config["realtime.api_key_env"] or _VARIABLES.get(config["realtime.provider"], _OTHERS_VARIABLE))


def find_token(row: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> Secret | None:
    """The token of a row of [mcp], None where it names none. Raises ConfigInvalid where it names one that there is not."""
    if row["authorization_file"]:
        path = _path_of(row["authorization_file"], "authorization_file in [mcp]")
        return _key_from_file(path, "authorization_file in [mcp]")
    variable = row["authorization_env"]
    if not variable:
        return None
    if not env.get(variable, "").strip():
        raise ConfigInvalid(f"[mcp] names the variable {variable} in authorization_env, but it is not set")
    return _key(env[variable], variable)


def secret_variables(config: Config) -> set[str]:
    """The environment variables that hold or may hold a secret under any profile: none of our children's business."""
    whole = config.base
    named = {whole["realtime.api_key_env"], *(row["api_key_env"] for row in whole.table("profiles").values())}
    named |= {row["authorization_env"] for row in whole.table("mcp").values()}
    return {_OTHERS_VARIABLE, *_VARIABLES.values(), *(name for name in named if name)}


# key files ---------------------------------------------------------------------------------------------------------------


def objection(found: os.stat_result, our_uid: int) -> str | None:
    """Why a file with this status is not trusted with a key; None where it is."""
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
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
    try:
        # Not blocking: a pipe in the place of the file would make us wait for ever.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            wrong = None if trusted else objection(os.fstat(file), os.geteuid())
            if wrong:
                raise ConfigInvalid(f"{what} {path} is not used: {wrong}")
            return os.read(file, _LONGEST).decode()
        finally:
            os.close(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigInvalid(f"can't read {what} {path}: {reason}") from error


def _key(text: str, where: str) -> Secret:
    value = text.strip()
    if not value:
        raise ConfigInvalid(f"{where} is empty; put the key there")
    if not all("!" <= char <= "~" for char in value):  # it becomes an HTTP header
        raise ConfigInvalid(f"{where} holds more than a key: a key is one word of ASCII letters, digits and signs")
    return Secret(value)
