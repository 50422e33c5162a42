"""What may stand in a recording of the wire: values of ours and of the server's as JSON, without secrets and without sound. Pure.

A secret is replaced by a number, `***1`: the same secret has the same one, so that a reader (and a replay) sees when a key has
changed. Sound is replaced by its length.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from voiced.errors import VoicedError
from voiced.messages import Order
from voiced.network import events
from voiced.network.outputs import RunTool
from voiced.network.quote import Quote
from voiced.shown import password_in, public

AUDIO_BYTES = "audio_bytes"
#: Server events whose `delta` is sound; the second is the beta's name.
SOUND = ("response.output_audio.delta", "response.audio.delta")
#: Settings that are secret, or may hold a secret: arguments of a program, a password in a URL.
_SECRET_SETTINGS = ("token", "token_command", "proxy")
_NUMBERED = re.compile(r"\*\*\*\d+")
#: Of a longer event, sound apart, only type and length are kept: walking through it takes 10 ms.
_LONGEST_EVENT = 256 << 10
#: A word of a header that is shorter is "Bearer" or the like.
_SHORTEST_SECRET = 8


class _Envelope(msgspec.Struct):
    type: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)


class Redaction:
    """For one recording. `quote` knows the keys of the moment; secrets of the settings are learnt on the way."""

    def __init__(self, quote: Quote) -> None:
        self._quote = quote
        self._numbers: dict[str, int] = {}
        self._hidden: list[str] = []  # longest first: one may be a part of another

    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the process, as a replay needs them."""
        for secret in (settings.get("token") or "", password_in(settings.get("proxy") or ""), *(settings.get("secrets") or ())):
            self._hide(secret)
        left_out = (*_SECRET_SETTINGS, "secrets", "record_dir", "history", "tools")
        kept = {name: value for name, value in settings.items() if name not in left_out}
        kept["url"] = self._url(settings.get("url") or "")
        kept["history"] = len(settings.get("history") or ())
        kept["tools"] = [{**tool, "command": tool["command"][:1]} for tool in settings.get("tools") or ()]
        numbered = {name: self._number(settings[name]) for name in _SECRET_SETTINGS if settings.get(name)}
        return {**self._map(kept), **numbered}

    def order(self, order: Order) -> dict[str, Any]:
        """An order of the supervisor's."""
        args = order.args
        if isinstance(args.get("settings"), dict):
            args = {**args, "settings": self.settings(args["settings"])}
        return {"order_id": order.order_id, "command": order.command, "args": self.plain(args)}

    def event(self, text: bytes) -> dict[str, Any]:
        """A message of the server's: {"event": its JSON}, {"malformed": its text}, or {"left_out": {type, bytes}}."""
        try:
            if len(text) > _LONGEST_EVENT and (kind := _envelope.decode(text).type) not in SOUND:
                return {"left_out": {"type": self.plain(kind), "bytes": len(text)}}
            event = msgspec.json.decode(text)
            if isinstance(event, dict) and event.get("type") in SOUND and "delta" in event:
                event["delta"] = _sound(event["delta"])
            return {"event": self.plain(event)}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._malformed(text)

    def plain(self, value: object) -> Any:
        """`value` as JSON has it: a named tuple as {its name: its fields}. Raises TypeError for what no output holds."""
        match value:
            case str():
                return self._conceal(value)
            case bytes():
                return {AUDIO_BYTES: len(value)}
            case None | bool() | int() | float():
                return value
            case dict():
                return self._map(value)
            case Order():
                return value.order_id  # it is told where it comes in
            case RunTool():
                return self._named(value._replace(argv=value.argv[:1]))  # as `settings` has it
            case tuple() if hasattr(value, "_asdict"):
                return self._named(value)
            case list() | tuple():
                return [self.plain(inner) for inner in value]
            case msgspec.Struct():
                return self.plain(msgspec.to_builtins(value, builtin_types=(bytes,)))
            case VoicedError():
                return {"code": value.code, "message": self._conceal(value.message)}
        raise TypeError(f"a recording can't hold a {type(value).__name__}")

    def _named(self, value: Any) -> dict[str, Any]:
        return {type(value).__name__: self._map(value._asdict())}

    def _map(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {self._conceal(name): self._member(name, inner) for name, inner in value.items()}

    def _member(self, name: str, value: Any) -> Any:
        """MCP's authorization goes over the wire in session.update, and may come back."""
        if isinstance(value, str):
            if name == "authorization":
                return self._number(value)
            if name == "server_url":
                return self._url(value)
            if name == "audio":
                return _sound(value)
        elif name == "headers" and isinstance(value, dict):
            return {key: self._number(inner) for key, inner in value.items()}
        return self.plain(value)

    def _url(self, url: str) -> str:
        query = url.partition("?")[2]
        return self._conceal(public(url)) + (f"?{self._number(query)}" if query else "")

    def _malformed(self, text: bytes) -> dict[str, Any]:
        """An escape could hide a key in what can't be parsed; then, as where it is no text, its length alone is told."""
        try:
            words = text[:_LONGEST_EVENT].decode()
        except UnicodeDecodeError:
            words = ""
        if not words or "\\" in words or len(text) > _LONGEST_EVENT:
            return {"left_out": {"type": None, "bytes": len(text), "code": _complaint(text)}}
        return {"malformed": self._conceal(words)}

    # secrets -------------------------------------------------------------------------------------------------------------

    def _number(self, secret: object) -> str:
        text = secret if isinstance(secret, str) else json.dumps(secret)
        if not text or _NUMBERED.fullmatch(text):  # so that a recording of a replay equals the recording
            return text
        for word in text.split() if isinstance(secret, str) else ():
            self._hide(word)
        return f"***{self._numbers.setdefault(text, len(self._numbers) + 1)}"

    def _hide(self, secret: str) -> None:
        if len(secret) >= _SHORTEST_SECRET and secret not in self._hidden:
            self._hidden = sorted([*self._hidden, secret], key=len, reverse=True)

    def _conceal(self, text: str) -> str:
        text = self._quote.conceal(text)
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text


def _sound(base64: Any) -> Any:
    """Its length, where it is sound by the same rules as in `events`."""
    try:
        return {AUDIO_BYTES: len(msgspec.convert(base64, bytes))}  # binascii takes four times as long
    except msgspec.ValidationError:
        return base64


def _complaint(text: bytes) -> str | None:
    """What the session finds wrong with a message; it tells each kind once, and so must a replay."""
    try:
        events.decode_server(text)
    except events.WireMalformed as error:
        return error.code
    return None
