"""Secrets: what must not be seen, and where a key is found."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from voiced.config import Config
from voiced.errors import ConfigInvalid


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
    variable = config["realtime.api_key_env"] or "OPENAI_API_KEY"
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
