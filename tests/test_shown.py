import pytest

from voiced.shown import harmless, public


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://host/v1/realtime?model=m&api-key=secret", "wss://host/v1/realtime"),
        ("wss://user:secret@host:8443/v1", "wss://host:8443/v1"),
        ("wss://user:sec/ret@[::1]:8443/v1#secret", "wss://[::1]:8443/v1"),
        ("user:secret@host", "host"),
        ("host?api-key=secret", "host"),
        ("wss://[host?key=secret", "wss://[host"),
        ("", ""),
    ],
)
def test_nothing_that_may_be_a_key_is_shown(url: str, shown: str) -> None:
    assert public(url) == shown


def test_a_terminal_is_given_no_orders() -> None:
    assert harmless("a\x1b[2Jb\tc\x9bd\u202ee äß") == "a\ufffd[2Jb c\ufffdd\ufffde äß"
