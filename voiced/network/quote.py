"""Words of others, the server's above all, as they may stand in a log, an event or `status`. Pure."""

from typing import Final

#: The server's own words, within a message of ours.
_WORDS: Final = 200
MESSAGE: Final = 400


class Quote:
    """Makes one line of bounded length, without control characters, that UTF-8 can hold, and without our key: servers have
    been seen to repeat the key that they refuse."""

    def __init__(self, token: str | None) -> None:
        self._token = token or ""

    def __call__(self, text: str, longest: int = _WORDS) -> str:
        text = text.encode("utf-8", "replace").decode()  # JSON can name lone surrogates, which msgpack refuses
        text = "".join(char if char.isprintable() else " " for char in text)
        if self._token:
            text = text.replace(self._token, "***")  # before it is cut: half a key is a secret too
        return " ".join(text.split())[:longest]
