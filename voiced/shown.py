"""What may be shown to people, and what of a URL may not: text that a terminal does not obey, URLs without secrets. Pure, and
imports nothing that takes time.
"""

#: Of a query's values: `?model=` is to be seen, and what is shorter than a key would blot out harmless words.
_SHORTEST_IN_A_QUERY = 8
_NOT_SECRET = ("model",)


def public(url: str) -> str:
    """The URL without user, password, query and fragment, which may hold keys. Takes any text; urllib would cost 10 ms."""
    shown = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = shown.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]


def password_in(url: str) -> str:
    """The password in a URL, as it is without the URL's quotation."""
    return _unquoted(_password(url))


def secrets_in(url: str) -> list[str]:
    """What in a URL must not be seen, in the URL's quotation and without: its password, and values of its query."""
    pairs = [pair.partition("=") for pair in url.partition("?")[2].partition("#")[0].split("&")]
    values = [value for name, _, value in pairs if name not in _NOT_SECRET and len(value) >= _SHORTEST_IN_A_QUERY]
    return list(dict.fromkeys(form for secret in (_password(url), *values) for form in (secret, _unquoted(secret)) if form))


def harmless(line: str) -> str:
    """A terminal obeys control characters, and what a model, a server or a device says is not ours to trust."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}" for char in line)


def _password(url: str) -> str:
    return url.rpartition("@")[0].partition("://")[2].partition(":")[2]


def _unquoted(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote  # 10 ms

    return unquote(text)
