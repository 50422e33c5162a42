"""Who answers: the provider, its URL and its defaults, from the settings and the key. Pure."""

from typing import NamedTuple

from voiced.config import Config
from voiced.errors import ConfigInvalid, KeyRefused, UrlInvalid
from voiced.secret import Secret
from voiced.shown import public

_OPENAI_URL = "wss://api.openai.com/v1/realtime"
#: name -> (model, voice, transcription model); "" leaves it to the server.
_DEFAULTS = {
    "openai": ("gpt-realtime-2.1", "marin", "gpt-4o-mini-transcribe"),
    "compatible": ("", "", ""),
    "embedded": ("voiced-embedded", "", "voiced-embedded"),
}


class Provider(NamedTuple):
    name: str  # openai | compatible | embedded
    url: str  # with its ?model=; the embedded server's is known only when that is ready
    model: str
    voice: str
    transcription_model: str
    key: Secret | None

    def describe(self) -> str:
        """For people: who answers, and how to change that."""
        if self.name == "embedded":
            return "answering: the embedded server, offline and free (for OpenAI's voices set OPENAI_API_KEY, or realtime.api_key_file)"
        where = public(self.url).removeprefix("wss://").removeprefix("ws://")
        return f"answering: {self.model or 'the default model'} at {where}" + (f", voice {self.voice}" if self.voice else "")


def resolve(config: Config, key: Secret | None) -> Provider:
    """The provider of these settings.

    Raises KeyRefused where a key is needed and there is none, UrlInvalid, and ConfigInvalid for a URL that would not be used.
    """
    name = config["realtime.provider"]
    if config["realtime.url"] and name != "compatible":
        raise ConfigInvalid(f'realtime.url is set, but realtime.provider is {name}: make that "compatible", or remove the URL')
    if name == "auto":
        name = "openai" if key else "embedded"
    if name == "openai" and not key:
        variable = config["realtime.api_key_env"]
        raise KeyRefused(f'realtime.provider is openai, but there is no key: set {variable} or realtime.api_key_file, or use "embedded"')
    model, voice, transcription_model = _DEFAULTS[name]
    model = config["realtime.model"] or model
    url = ""
    if name == "openai":
        url = with_model(_OPENAI_URL, model)
    elif name == "compatible":
        url = with_model(checked_url(config["realtime.url"], key), model)
    return Provider(
        name,
        url,
        model,
        config["realtime.voice"] or voice,
        config["realtime.transcription_model"] or transcription_model,
        None if name == "embedded" else key,
    )


def checked_url(url: str, key: Secret | None) -> str:
    """`url` itself. Raises UrlInvalid where it is none, or would send the key in the clear."""
    from urllib.parse import urlsplit  # 10 ms, for those who have a URL of their own

    if not url:
        raise UrlInvalid("realtime.provider is compatible, but realtime.url is empty; set it, as to wss://host/v1/realtime")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise UrlInvalid("realtime.url must not contain spaces or control characters")
    shown = public(url)
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:  # whose text may quote what public() hides
        raise UrlInvalid(f"realtime.url {shown} is no URL: its host or port is none") from error
    if parts.username is not None or parts.password is not None:
        raise UrlInvalid("realtime.url must not contain a user or password; realtime.api_key_file is for secrets")
    if parts.scheme not in ("ws", "wss"):
        raise UrlInvalid(f"realtime.url {shown} must begin with ws:// or wss://")
    if not host:
        raise UrlInvalid(f"realtime.url {shown} names no host")
    if parts.fragment:
        raise UrlInvalid(f"realtime.url {shown} must not have a fragment (#)")
    if parts.scheme == "ws" and key and not is_loopback(host):
        raise UrlInvalid(f"realtime.url {shown} would send your key unencrypted over the network; use wss://")
    return url


def is_loopback(host: str) -> bool:
    octets = host.split(".")
    return host in ("localhost", "::1") or (len(octets) == 4 and octets[0] == "127" and all(octet.isdecimal() for octet in octets))


def with_model(url: str, model: str) -> str:
    """`url` with the query that names the model, unless it has one."""
    base, _, query = url.partition("?")
    if not model or any(pair.split("=")[0] == "model" for pair in query.split("&")):
        return url
    quoted = "".join(char if (char.isalnum() and char.isascii()) or char in "-._~/:" else _percent(char) for char in model)
    return f"{base}?{query + '&' if query else ''}model={quoted}"


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode())
