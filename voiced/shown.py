"""What may be shown to people: text that a terminal does not obey, URLs without secrets. Pure, and imports nothing."""


def public(url: str) -> str:
    """The URL without user, password, query and fragment, which may hold keys. Takes any text; urllib would cost 10 ms."""
    shown = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = shown.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]


def harmless(line: str) -> str:
    """A terminal obeys control characters, and what a model, a server or a device says is not ours to trust."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}" for char in line)
