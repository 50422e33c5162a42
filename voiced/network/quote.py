"""Words of others, the server's above all, as they may stand in a log, an event or `status`. Pure."""

import threading
from typing import Final

#: The server's own words, within a message of ours.
_WORDS: Final = 200
MESSAGE: Final = 400
#: Of a longer text only the beginning is looked at: each character costs 60 ns.
_LOOKED_AT: Final = 4096
#: Keys that a command told are good for an hour or so; older ones are worth nothing.
_PASSING: Final = 8


class Quote:
    """Makes one line of bounded length, without control characters, that UTF-8 can hold, and without our keys: servers have
    been seen to repeat the key that they refuse."""

    def __init__(self, token: str | None) -> None:
        self._kept: tuple[str, ...] = ()
        self._passing: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self.hide(token)

    def hide(self, secret: str | None, *, passing: bool = False) -> None:
        """From now on this is not to be seen either; also from another thread. Of those that pass, the last few."""
        if not secret:
            return
        with self._lock:
            if secret in self._kept:
                return
            if passing:
                self._passing = (secret, *(known for known in self._passing if known != secret))[:_PASSING]
            else:
                self._kept = (*self._kept, secret)

    def __call__(self, text: str, longest: int = _WORDS) -> str:
        if len(text) > _LOOKED_AT:
            text = self.conceal(text[: 2 * _LOOKED_AT])[:_LOOKED_AT]  # half a key may stand at the first cut, none at the second
        text = text.encode("utf-8", "replace").decode()  # JSON can name lone surrogates, which msgpack refuses
        text = "".join(char if char.isprintable() else " " for char in text)
        return " ".join(self.conceal(text).split())[:longest]  # cut last: half a key is a secret too

    def conceal(self, text: str) -> str:
        """The text as it is, but for our keys."""
        for secret in sorted((*self._kept, *self._passing), key=len, reverse=True):  # one may be a part of another
            text = text.replace(secret, "***")
        return text
