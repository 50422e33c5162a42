import pytest

from voiced.shown import harmless, password_in, public, secrets_in


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


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("wss://host/v1/realtime?model=gpt-realtime-2.1", []),
        ("wss://host/v1?key=secret-12&v=2&x&model=gpt-realtime-2.1#part", ["secret-12"]),
        ("wss://host/v1?key=secret%2F12", ["secret%2F12", "secret/12"]),
        ("http://user:p%40ss:word@proxy:3128", ["p%40ss:word", "p@ss:word"]),
        ("http://user@proxy:3128", []),
        ("", []),
    ],
)
def test_what_must_not_be_seen_of_a_url(url: str, secrets: list[str]) -> None:
    assert secrets_in(url) == secrets


def test_a_password_is_what_was_quoted() -> None:
    assert [password_in(url) for url in ("http://user:p%40ss@h:1", "socks5://h:1", "")] == ["p@ss", "", ""]
