"""Who answers: the provider, its URL and its defaults, from the settings and the key."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from voiced.checks import is_loopback, shown_url
from voiced.config import Config
from voiced.errors import ConfigInvalid, KeyRefused, UrlInvalid
from voiced.files import read_file
from voiced.secret import Credential, Secret, key_variable
from voiced.shown import public
from voiced.supervisor.proxy import proxy_for

_OPENAI_URL = "wss://api.openai.com/v1/realtime"
_AZURE_PATH = "/openai/v1/realtime"
_LARGEST_CA_FILE = 1 << 22


class Provider(NamedTuple):
    name: str  # openai | azure | compatible | embedded
    url: str  # with its ?model=; the embedded server's is known only when that is ready
    model: str
    voice: str
    transcription_model: str
    key: Secret | None
    auth: str = "bearer"  # how the key or token is sent: bearer | api-key | x-api-key | none
    token_command: tuple[str, ...] = ()  # prints the token, for each connection anew
    ca_file: str = ""
    proxy: str = ""  # scheme://[user:password@]host:port

    def describe(self) -> str:
        """For people: who answers, and how to change that."""
        if self.name == "embedded":
            return "answering: the embedded server, offline and free (for OpenAI's voices set OPENAI_API_KEY, or realtime.api_key_file)"
        where = public(self.url).removeprefix("wss://").removeprefix("ws://")
        return f"answering: {self.model or 'the default model'} at {where}" + (f", voice {self.voice}" if self.voice else "")


class _Row(NamedTuple):
    """What is particular about a provider. Empty names leave it to the server."""

    url: Callable[[Config], str]
    model: str = ""
    voice: str = ""
    transcription_model: str = ""
    needs_key: bool = False
    auth: str = "bearer"
    #: With a program that prints a token: on Azure that is one of Entra's.
    auth_of_command: str = "bearer"


def _openai_url(config: Config) -> str:
    return _OPENAI_URL


def _azure_url(config: Config) -> str:
    """The GA form (realtime-protocol 1.4) of what people have of their resource: the portal's https URL, ours, or the host."""
    if not config["realtime.model"]:
        raise ConfigInvalid("realtime.provider is azure, so realtime.model must name the deployment")
    given = config["realtime.url"]
    scheme, separator, rest = given.partition("://")
    scheme = {"https": "wss", "http": "ws"}.get(scheme, scheme) if separator else "wss"
    host, _, path = (rest if separator else given).partition("/")
    if "?" in given or f"/{path}".rstrip("/") not in ("", "/openai", "/openai/v1", _AZURE_PATH):
        raise UrlInvalid("realtime.url must be the resource alone, as https://NAME.openai.azure.com; realtime.model names the deployment")
    return _checked(f"{scheme}://{host}{_AZURE_PATH}" if given else "", config)


def _compatible_url(config: Config) -> str:
    return _checked(config["realtime.url"], config)


_PROVIDERS = {
    "openai": _Row(_openai_url, "gpt-realtime-2.1", "marin", "gpt-4o-mini-transcribe", needs_key=True),
    # A deployment may be called anything, so there is no default; nor for transcription, which wants one of its own.
    "azure": _Row(_azure_url, needs_key=True, auth="api-key"),
    "compatible": _Row(_compatible_url),
    "embedded": _Row(lambda config: "", "voiced-embedded", "", "voiced-embedded"),
}


def resolve(config: Config, found: Credential, env: Mapping[str, str] = os.environ) -> Provider:
    """The provider of these settings. Reads the file of certificates, nothing else.

    Raises KeyRefused where a key is needed and there is none, UrlInvalid, and ConfigInvalid for a URL, a file of
    certificates or a proxy that can't be used.
    """
    name = config["realtime.provider"]
    if config["realtime.url"] and name not in ("azure", "compatible"):
        raise ConfigInvalid(f'realtime.url is set, but realtime.provider is {name}: make that "compatible" or "azure", or remove the URL')
    if name == "auto":
        name = "openai" if found else "embedded"
    row = _PROVIDERS[name]
    if row.needs_key and not found:
        # One of their own is not named: it may be the key.
        variable = "the variable of realtime.api_key_env" if config["realtime.api_key_env"] else key_variable(config)
        raise KeyRefused(f'realtime.provider is {name}, but there is no key: set {variable} or realtime.api_key_file, or use "embedded"')
    model = config["realtime.model"] or row.model
    url = with_model(row.url(config), model)
    auth = config["realtime.auth"] or (row.auth_of_command if found.command else row.auth)
    if name == "embedded":  # it has a key of its own, and is given no other
        found, auth = Credential(), "bearer"
    elif not found or auth == "none":
        found, auth = Credential(), "none"
    return Provider(
        name,
        url,
        model,
        config["realtime.voice"] or row.voice,
        config["realtime.transcription_model"] or row.transcription_model,
        found.key,
        auth,
        found.command,
        _certificates(config["realtime.ca_file"]) if url else "",
        proxy_for(url, env) if url else "",
    )


def _checked(url: str, config: Config) -> str:
    return checked_url(url, config["realtime.provider"], unencrypted=config["allow.unencrypted"])


def checked_url(url: str, provider: str = "compatible", *, unencrypted: bool = False) -> str:
    """`url` itself. Raises UrlInvalid where it is none, or is not encrypted and leaves this machine."""
    from urllib.parse import urlsplit  # 10 ms, for those who have a URL of their own

    if not url:
        example = "https://NAME.openai.azure.com" if provider == "azure" else "wss://host/v1/realtime"
        raise UrlInvalid(f"realtime.provider is {provider}, but realtime.url is empty; set it, as to {example}")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise UrlInvalid("realtime.url must not contain spaces or control characters")
    name = f"realtime.url {shown_url(url)}".strip()
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:  # whose text may quote what is hidden
        raise UrlInvalid("realtime.url is no URL: its host or port is none") from error
    if parts.username is not None or parts.password is not None:
        raise UrlInvalid("realtime.url must not contain a user or password; realtime.api_key_file is for secrets")
    if parts.scheme not in ("ws", "wss"):
        raise UrlInvalid(f"{name} must begin with ws:// or wss://")
    if not host:
        raise UrlInvalid(f"{name} names no host")
    if parts.fragment:
        raise UrlInvalid(f"{name} must not have a fragment (#)")
    if parts.scheme == "ws" and not unencrypted and not is_loopback(host):
        raise UrlInvalid(f"{name} would go over the network unencrypted; use wss://, or set allow.unencrypted = true")
    return url


def _certificates(named: str) -> str:
    """The path of a file of certificates, "" for none. Whether each is one, the TLS library says when it connects."""
    if not named:
        return ""
    path = Path(named).expanduser()
    try:
        content = read_file(path, _LARGEST_CA_FILE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise ConfigInvalid(f"can't read realtime.ca_file {path}: {reason}") from error
    begins, ends = (content.count(b"-----%s CERTIFICATE-----" % edge) for edge in (b"BEGIN", b"END"))
    if not begins or begins != ends:
        raise ConfigInvalid(f"realtime.ca_file {path} holds no certificates in PEM, which begin with -----BEGIN CERTIFICATE-----")
    return str(path)


def with_model(url: str, model: str) -> str:
    """`url` with the query that names the model, unless it has one."""
    base, _, query = url.partition("?")
    if not url or not model or any(pair.split("=")[0] == "model" for pair in query.split("&")):
        return url
    quoted = "".join(char if (char.isalnum() and char.isascii()) or char in "-._~/:" else _percent(char) for char in model)
    return f"{base}?{query + '&' if query else ''}model={quoted}"


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())
