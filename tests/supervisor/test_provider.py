import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.config import Config
from voiced.errors import ConfigInvalid, KeyRefused, UrlInvalid
from voiced.secret import Secret
from voiced.supervisor.provider import Provider, checked_url, resolve, with_model

KEY = Secret("sk-test")


def chosen(key: Secret | None = None, **values: str) -> Provider:
    return resolve(Config({f"realtime.{name}": value for name, value in values.items()}, "test"), key)


def test_auto_is_openai_with_a_key_and_embedded_without() -> None:
    openai = chosen(KEY)
    url = "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"
    assert openai == ("openai", url, "gpt-realtime-2.1", "marin", "gpt-4o-mini-transcribe", KEY)
    assert chosen()[:2] == ("embedded", "")


def test_the_embedded_server_never_gets_the_key() -> None:
    assert chosen(KEY, provider="embedded").key is None


def test_settings_win_over_defaults() -> None:
    provider = chosen(KEY, model="m/1 beta", voice="cedar", transcription_model="whisper-1")
    assert provider.url.endswith("?model=m/1%20beta")
    assert (provider.voice, provider.transcription_model) == ("cedar", "whisper-1")


def test_openai_without_a_key_says_where_to_put_one() -> None:
    with pytest.raises(KeyRefused, match="OPENAI_API_KEY"):
        chosen(provider="openai")


def test_a_url_that_would_not_be_used_is_a_mistake() -> None:
    with pytest.raises(ConfigInvalid, match='make that "compatible"'):
        chosen(url="wss://host/v1")


@pytest.mark.parametrize(
    ("url", "model", "expected"),
    [
        ("ws://localhost:8080/v1/realtime", "", "ws://localhost:8080/v1/realtime"),
        ("ws://127.0.0.1:8080/v1/realtime", "m", "ws://127.0.0.1:8080/v1/realtime?model=m"),
        ("ws://[::1]/rt?a=b", "m", "ws://[::1]/rt?a=b&model=m"),
        ("wss://host/rt?model=theirs", "m", "wss://host/rt?model=theirs"),
    ],
)
def test_a_compatible_server_by_its_url(url: str, model: str, expected: str) -> None:
    assert chosen(KEY, provider="compatible", url=url, model=model).url == expected


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "is empty"),
        ("https://host/v1", "must begin with ws:// or wss://"),
        ("host/v1", "must begin with ws:// or wss://"),
        ("wss:///v1", "names no host"),
        ("wss://host:port/v1", "is no URL"),
        ("wss://host:99999/v1", "is no URL"),
        ("wss://[::1/v1", "is no URL"),
        ("wss://user:hunter2@host/v1", "must not contain a user or password"),
        ("wss://host/v1#x", "fragment"),
        ("wss://host/v 1", "spaces"),
        ("ws://example.org/v1", "unencrypted"),
        ("ws://127.0.0.1.example.org/v1", "unencrypted"),
        ("ws://127.evil/v1", "unencrypted"),
    ],
)
def test_a_wrong_url_is_one_clear_line(url: str, complaint: str) -> None:
    with pytest.raises(UrlInvalid, match=complaint) as caught:
        chosen(KEY, provider="compatible", url=url)
    assert "hunter2" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("start", ["https://host/v1", "wss:///v1", "wss://host:port/v1", "ws://example.org/v1"])
def test_a_wrong_url_is_shown_without_its_query(start: str) -> None:
    with pytest.raises(UrlInvalid) as caught:
        chosen(KEY, provider="compatible", url=f"{start}?api-key=hunter2")
    assert "hunter2" not in caught.value.message


def test_without_a_key_nothing_is_given_away_by_plain_ws() -> None:
    assert checked_url("ws://example.org/v1", None)


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    with contextlib.suppress(UrlInvalid):
        assert checked_url(text, KEY) == text


@given(st.text(min_size=1))
def test_a_model_in_a_url_stays_one_word_of_ascii(model: str) -> None:
    url = with_model("ws://h/rt", model)
    assert url.isascii()
    assert url.isprintable()
    assert not set(url.partition("?model=")[2]) & set("?#& ")
