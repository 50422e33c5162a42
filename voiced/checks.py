"""What the value of a setting must be, one by one: type, choices, limits, and a rule of its own for a few. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from voiced.keys import Key
from voiced.shown import public

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: A name that goes over the wire: the server refuses a whole session.update for one that it does not like.
_WIRE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PROFILE_NAME = re.compile(r"[\w.-]{1,64}")
_AS_LIST = 'a list of texts, as ["pass", "openai"]'
#: Keys of servers are longer, mostly by far; what people mean to choose from is not.
LONGEST_SHOWN = 20
_URLS = ("url", "chat_url")
#: With a port that is one: of a text that is no URL nobody knows which part of it is secret.
_SHOWN_URL = re.compile(r"[a-z]{2,6}://(\[[0-9a-fA-F:.]+\]|[^/:\s]+)(:\d{1,5})?(/\S*)?")
#: Where people type a choice that is not in the table.
_CHOSEN = ("realtime.tool_choice",)
_MOST_LEVELS = 32
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: _AS_LIST, dict: "a table"}


def complaint(key: Key, value: Any, rule: str) -> str | None:
    """What is wrong with `value`, None where nothing is. `rule` is the name without a row's: `tools.command`."""
    return _of_type(key, value) or _within(key, value) or (_RULES[rule](value) if rule in _RULES and value else None)


def name_complaint(table: str, row: str) -> str | None:
    """What is wrong with the name that somebody gave to a row."""
    if table in ("tools", "mcp") and not _WIRE_NAME.fullmatch(row):
        return "must have a name of 1 to 64 letters, digits, - and _"
    if table == "profiles" and (not _PROFILE_NAME.fullmatch(row) or row == "none"):
        return "must have a name of 1 to 64 letters, digits, - _ and ., and not `none`"
    return None if row else "must have a name"


def shown(key: Key, value: object) -> str:
    """`, not VALUE` for a message, but only what can hardly be a key that somebody put into the wrong place: numbers, truths, a
    short text where there is a choice, and a URL without what may be secret in it."""
    last = key.name.rpartition(".")[2]
    chosen = bool(key.choices) or key.name in _CHOSEN
    text = ""
    match value:
        case _ if last.startswith(("api_key", "auth")):
            pass
        case str() if last in _URLS:
            text = repr(shown_url(value)) if shown_url(value) else ""
        case str() if chosen and len(value) <= LONGEST_SHOWN:
            text = repr(value)
        case bool() | float():
            text = repr(value)
        case int() if value.bit_length() < 10_000:  # Python writes no longer ones
            text = repr(value)
    return f", not {text if len(text) <= 60 else text[:57] + '...'}" if text else ""


def shown_url(url: str) -> str:
    """The URL without what may be secret in it; "" for what is none: it may be a key."""
    without = public(url)
    return without if _SHOWN_URL.fullmatch(without) else ""


def named(name: str) -> str:
    """The name of a setting that there is not, for a message: somebody may have put a key in its place."""
    return ".".join(part if len(part) <= LONGEST_SHOWN else "***" for part in name.split("."))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    import difflib  # 10 ms that only a mistake is worth

    section, _, last = name.rpartition(".")
    if section.startswith("mcp.") and last in ("authorization", "headers", "token", "key", "api_key", "password"):
        return "; a token never sits in the settings: authorization_env or authorization_file says where it is"
    if last.endswith("api_key") or last in ("key", "token"):
        return "; a key never sits in the settings: realtime.api_key_env, _file or _command says where it is"
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean `{close[0]}`?" if close else ""


def is_loopback(host: str) -> bool:
    octets = host.split(".")
    return host in ("localhost", "::1") or (len(octets) == 4 and octets[0] == "127" and all(octet.isdecimal() for octet in octets))


def _of_type(key: Key, value: Any) -> str | None:
    right = type(value) is (tuple if key.type is list else key.type)
    if right and key.type is list:
        right = all(isinstance(item, str) and "\0" not in item for item in value)
    if right and key.type is float:
        right = abs(value) != float("inf") and value == value
    return None if right else f"must be {_TYPES[key.type]}"


def _within(key: Key, value: Any) -> str | None:
    if key.choices and value not in key.choices:
        return "must be one of " + ", ".join(str(choice) or "''" for choice in key.choices)
    size: Any = len(value) if isinstance(value, str) else value
    if key.least is not None and not size >= key.least:
        return f"must be at least {key.least:g}"
    if key.most is not None and not size <= key.most:
        return f"must be at most {key.most:g}" + (" characters" if isinstance(value, str) else "")
    return None


# rules of single keys ----------------------------------------------------------------------------------------------------


def _variable(value: str) -> str | None:
    return None if _VARIABLE.fullmatch(value) else "is the name of a variable, as OPENAI_API_KEY; what is there is none"


def _program(value: tuple[str, ...]) -> str | None:
    return None if value[0] else "must begin with a program"


def _idle_timeout(value: int) -> str | None:
    return None if value >= 5000 else "must be 0 or 5000 to 30000"


def _of_this_machine(value: str) -> str | None:
    host, _, port = value.rpartition(":")
    if value.startswith("unix:"):
        right = value.removeprefix("unix:").startswith(("/", "~/")) and value.isprintable()
    else:
        right = is_loopback(host.removeprefix("[").removesuffix("]")) and port.isdecimal() and 0 < int(port) < 1 << 16
    return None if right else "must be 127.0.0.1:PORT or unix:/PATH: metrics tell when you talk, and stay on this machine"


def _mcp_url(value: str) -> str | None:
    from urllib.parse import urlsplit  # 10 ms, for those who have such a server

    try:
        parts = urlsplit(value)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL: its host or port is none"
    if any(char.isspace() or not char.isprintable() for char in value) or not host:
        return "must be a URL, as https://host/mcp"
    if parts.username is not None or parts.password is not None:
        return "must not contain a user or password; authorization_file is for secrets"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return None
    return "must begin with https:// (http:// only on this machine)"


def _listen(value: str) -> str | None:
    from voiced.keyring import split_address

    try:
        split_address(value)
    except ValueError as error:
        return str(error)
    return None


def _schema(value: Mapping[str, Any]) -> str | None:
    if not _is_json(value, _MOST_LEVELS):
        return f"must hold what JSON can: texts, numbers, true, false, lists and tables, {_MOST_LEVELS} deep at most"
    return None if value.get("type") == "object" else 'must be a JSON schema with type = "object"'


def _is_json(value: object, levels: int) -> bool:
    match value:
        case dict():
            return levels > 0 and all(_is_json(inner, levels - 1) for inner in value.values())
        case list():
            return levels > 0 and all(_is_json(inner, levels - 1) for inner in value)
        case float():
            return abs(value) < float("inf")  # false for NaN, too
        case bool() | str():
            return True
        case int():
            return -(2**63) <= value < 2**63
    return False  # a TOML date


_RULES: dict[str, Callable[[Any], str | None]] = {
    "realtime.api_key_env": _variable,
    "realtime.api_key_command": _program,
    "turn.idle_timeout_ms": _idle_timeout,
    "tools.command": _program,
    "tools.parameters": _schema,
    "mcp.authorization_env": _variable,
    "mcp.url": _mcp_url,
    "remote.listen": _listen,
    "metrics.listen": _of_this_machine,
}
