import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.config import Config
from voiced.errors import ConfigInvalid, KeyRefused, UrlInvalid
from voiced.secret import Credential, Secret
from voiced.supervisor.provider import Provider, checked_url, resolve, with_model

SECRET = Secret("sk-test")
KEY = Credential(SECRET, source="a test")
COMMAND = Credential(command=("pass", "openai"))
AZURE = {"provider": "azure", "url": "https://mine.openai.azure.com", "model": "deployed"}


def chosen(found: Credential = Credential(), *, env: dict[str, str] | None = None, unencrypted: bool = False, **values: Any) -> Provider:  # noqa: B008 (it has no state)
    settings = {f"realtime.{name}": value for name, value in values.items()} | {"allow.unencrypted": unencrypted}
    return resolve(Config(settings, "test"), found, env or {})


def test_auto_is_openai_with_a_key_and_embedded_without() -> None:
    openai = chosen(KEY)
    url = "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"
    assert openai == ("openai", url, "gpt-realtime-2.1", "marin", "gpt-4o-mini-transcribe", SECRET, "bearer", (), "", "")
    assert chosen()[:2] == ("embedded", "")
    assert chosen(COMMAND)[:2] == ("openai", url)


def test_the_embedded_server_never_gets_the_key() -> None:
    for found in (KEY, COMMAND):
        provider = chosen(found, provider="embedded", auth="x-api-key")
        assert (provider.key, provider.token_command, provider.auth) == (None, (), "bearer")


def test_settings_win_over_defaults() -> None:
    provider = chosen(KEY, model="m/1 beta", voice="cedar", transcription_model="whisper-1")
    assert provider.url.endswith("?model=m/1%20beta")
    assert (provider.voice, provider.transcription_model) == ("cedar", "whisper-1")


def test_openai_without_a_key_says_where_to_put_one() -> None:
    with pytest.raises(KeyRefused, match="OPENAI_API_KEY"):
        chosen(provider="openai")
    with pytest.raises(KeyRefused, match="azure, but there is no key: set AZURE_OPENAI_API_KEY"):
        chosen(**AZURE)


def test_a_variable_that_may_be_the_key_is_not_named() -> None:
    with pytest.raises(KeyRefused, match=r"there is no key: set the variable of realtime\.api_key_env or") as caught:
        chosen(provider="openai", api_key_env="hunter2")
    assert "hunter2" not in caught.value.message


def test_a_url_that_would_not_be_used_is_a_mistake() -> None:
    with pytest.raises(ConfigInvalid, match='make that "compatible"'):
        chosen(url="wss://host/v1")


@pytest.mark.parametrize(
    ("found", "values", "sent"),
    [
        (KEY, {}, ("bearer", SECRET, ())),
        (COMMAND, {}, ("bearer", None, ("pass", "openai"))),
        (KEY, AZURE, ("api-key", SECRET, ())),
        (COMMAND, AZURE, ("bearer", None, ("pass", "openai"))),
        (COMMAND, AZURE | {"auth": "api-key"}, ("api-key", None, ("pass", "openai"))),
        (KEY, AZURE | {"auth": "bearer"}, ("bearer", SECRET, ())),
        (KEY, {"provider": "compatible", "url": "wss://h/v1"}, ("bearer", SECRET, ())),
        (KEY, {"provider": "compatible", "url": "wss://h/v1", "auth": "x-api-key"}, ("x-api-key", SECRET, ())),
        (KEY, {"provider": "compatible", "url": "wss://h/v1", "auth": "none"}, ("none", None, ())),
        (COMMAND, {"provider": "compatible", "url": "wss://h/v1", "auth": "none"}, ("none", None, ())),
        (Credential(), {"provider": "compatible", "url": "wss://h/v1", "auth": "bearer"}, ("none", None, ())),
    ],
)
def test_how_the_key_is_sent(found: Credential, values: dict[str, str], sent: tuple[object, ...]) -> None:
    provider = chosen(found, **values)
    assert (provider.auth, provider.key, provider.token_command) == sent


@pytest.mark.parametrize(
    "given",
    [
        "https://mine.openai.azure.com",
        "https://mine.openai.azure.com/",
        "https://mine.openai.azure.com/openai/v1/",
        "wss://mine.openai.azure.com/openai/v1/realtime",
        "mine.openai.azure.com",
        "mine.openai.azure.com/openai/v1/realtime",
    ],
)
def test_an_azure_resource_in_all_its_forms(given: str) -> None:
    provider = chosen(KEY, provider="azure", url=given, model="my deployment")
    assert provider.url == "wss://mine.openai.azure.com/openai/v1/realtime?model=my%20deployment"
    assert (provider.name, provider.model, provider.voice, provider.transcription_model) == ("azure", "my deployment", "", "")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"model": ""}, "realtime.model must name the deployment"),
        ({"url": ""}, "azure, but realtime.url is empty; set it, as to https://NAME.openai.azure.com"),
        ({"url": "https://h/openai/realtime?api-version=2024-10-01-preview&deployment=x"}, "must be the resource alone"),
        ({"url": "https://h/voice-live/realtime"}, "must be the resource alone"),
        ({"url": "http://h"}, "unencrypted"),
        ({"url": "ftp://h"}, "must begin with"),
        ({"url": "https://user:hunter2@h"}, "must not contain a user or password"),
        ({"url": "https://"}, "names no host"),
    ],
)
def test_an_azure_resource_that_is_none(values: dict[str, str], complaint: str) -> None:
    with pytest.raises((UrlInvalid, ConfigInvalid), match=complaint) as caught:
        chosen(KEY, **AZURE | values)
    assert "hunter2" not in caught.value.message


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


@pytest.mark.parametrize("url", ["hunter2", "wss://h:hunter2/x", "wss:/hunter2", "h/x?key=hunter2"])
def test_what_may_be_a_key_in_the_place_of_a_url_is_not_shown(url: str) -> None:
    with pytest.raises(UrlInvalid) as caught:
        chosen(KEY, provider="compatible", url=url)
    assert "hunter2" not in caught.value.message


def test_plain_ws_leaves_this_machine_only_where_the_settings_say_so() -> None:
    """With a key or without: what is said would be heard on the way."""
    for found in (KEY, Credential()):
        with pytest.raises(UrlInvalid, match=r"use wss://, or set allow.unencrypted = true"):
            chosen(found, provider="compatible", url="ws://example.org/v1")
        assert chosen(found, provider="compatible", url="ws://example.org/v1", unencrypted=True).url == "ws://example.org/v1"
        assert chosen(found, provider="compatible", url="ws://127.0.0.1/v1").url == "ws://127.0.0.1/v1"


def test_a_file_of_certificates(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    for content, complaint in (
        (b"", "holds no certificates in PEM"),
        (b"\x30\x82\x01", "holds no certificates in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nMII", "holds no certificates in PEM"),
    ):
        file.write_bytes(content)
        with pytest.raises(ConfigInvalid, match=complaint):
            chosen(KEY, ca_file=str(file))
    file.write_text("mine\n-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n")
    assert chosen(KEY, ca_file=str(file)).ca_file == str(file)
    os.mkfifo(tmp_path / "pipe")
    for missing in (tmp_path / "none", tmp_path, tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ConfigInvalid, match=r"can't read realtime.ca_file"):
            chosen(KEY, ca_file=str(missing))


def test_the_proxy_on_the_way() -> None:
    env = {"https_proxy": "http://user:hunter2@proxy:3128"}
    provider = chosen(KEY, env=env)
    assert provider.proxy == "http://user:hunter2@proxy:3128"
    assert chosen(env=env).proxy == ""  # embedded: on this machine
    assert "hunter2" not in provider.describe()


@given(st.text())
def test_any_text_is_a_url_or_refused(text: str) -> None:
    with contextlib.suppress(UrlInvalid):
        assert checked_url(text) == text


@given(st.text(min_size=1))
def test_a_model_in_a_url_stays_one_word_of_ascii(model: str) -> None:
    url = with_model("ws://h/rt", model)
    assert url.isascii()
    assert url.isprintable()
    assert not set(url.partition("?model=")[2]) & set("?#& ")
