"""The settings that a run goes by: read, read anew, and under another profile. Reads files; never runs the key's command,
which may take its time.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from voiced.config import Config, load
from voiced.errors import BadArgument, ConfigInvalid, NotNow, VoicedError
from voiced.keys import KEYS, TABLES
from voiced.secret import find_api_key, find_token
from voiced.shown import secrets_in
from voiced.supervisor import log, tools
from voiced.supervisor.provider import Provider, resolve

LEVELS = {"debug": log.DEBUG, "info": log.INFO, "warning": log.WARNING, "error": log.ERROR}
NO_PROFILE = "none"


class Choice(NamedTuple):
    """What the settings come to."""

    config: Config
    provider: Provider
    #: MCP servers in the form of the wire, tokens included.
    mcp: list[dict[str, Any]]

    @property
    def profile(self) -> str | None:
        return self.config["realtime.profile"] or None

    @property
    def secrets(self) -> list[str]:
        """What must not be shown."""
        key = [self.provider.key.reveal()] if self.provider.key else []
        urls = [self.provider.url, self.provider.proxy, self.config["embedded.chat_url"], *(server["server_url"] for server in self.mcp)]
        tokens = [server["authorization"] for server in self.mcp if "authorization" in server]
        return list(dict.fromkeys([*key, *tokens, *(secret for url in urls for secret in secrets_in(url))]))


class Settings:
    """The settings of `file`, or of where they are looked for without one. Raises what config, secret and provider raise."""

    def __init__(self, file: Path | None, env: Mapping[str, str] = os.environ, *, verbose: bool = False) -> None:
        self._file, self._env, self._verbose = file, env, verbose
        self._switched: str | None = None  # by `voicectl profile`
        self._lost = ""
        self.now = self._choice(load(file, env))

    @property
    def level(self) -> int:
        return log.DEBUG if self._verbose else LEVELS[self.now.config["log.level"]]

    @property
    def profiles(self) -> list[str]:
        return list(self.now.config.base.table("profiles"))

    def reload(self) -> list[str]:
        """Reads everything anew and returns what changed. Raises NotNow with all problems, a line each; then nothing did.

        Where the profile that was switched to is there no more, the one that the file begins with is gone by.
        """
        try:
            config, switched = load(self._file, self._env), self._switched
            lost = switched if switched not in (None, NO_PROFILE, "", *config.table("profiles")) else None
            changed = self._go_by(config if switched is None or lost else config.with_profile(switched))
        except VoicedError as error:
            raise NotNow(error.message) from error
        if lost:
            self._switched, self._lost = None, lost
        return changed

    def warnings(self) -> list[str]:
        """What people should know of the settings of now; that a profile is lost, once."""
        lost, self._lost = self._lost, ""
        going_by = f"the profile {self.now.profile}" if self.now.profile else "none"
        told = [f"there is no profile {lost} any more; going by {going_by}, as the settings say"] if lost else []
        return told + tools.warnings(self.now.config)

    def switch(self, name: str) -> list[str]:
        """Goes over to the profile of that name, or to none, and returns what changed. Raises BadArgument and NotNow."""
        try:
            config = self.now.config.with_profile(name)
        except ConfigInvalid as error:
            raise BadArgument(error.message, "name") from error
        try:
            changed = self._go_by(config)
        except VoicedError as error:
            raise NotNow(error.message) from error
        self._switched = name
        return changed

    def _go_by(self, config: Config) -> list[str]:
        before, self.now = self.now, self._choice(config)
        return changes(before, self.now)

    def _choice(self, config: Config) -> Choice:
        provider = resolve(config, find_api_key(config, self._env), self._env)
        return Choice(config, provider, tools.mcp(config, self._token))

    def _token(self, name: str, row: Mapping[str, Any]) -> str:
        found = find_token(name, row, self._env)
        return found.reveal() if found else ""


def changes(before: Choice, after: Choice) -> list[str]:
    """The settings that differ, by name; `key` where a key or token does that is found where it was."""
    old, new = before.config, after.config
    names = [name for name in KEYS if old[name] != new[name]]
    for table in TABLES:
        had, has = old.table(table), new.table(table)
        names += [f"{table}.{row}" for row in {**had, **has} if had.get(row) != has.get(row)]
    return names + (["key"] if before.secrets != after.secrets else [])
