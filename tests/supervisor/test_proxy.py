import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.errors import ConfigInvalid
from voiced.supervisor.proxy import proxy_for

URL = "wss://api.openai.com/v1/realtime?model=m"


@pytest.mark.parametrize(
    ("env", "url", "expected"),
    [
        ({}, URL, ""),
        ({"https_proxy": ""}, URL, ""),
        ({"https_proxy": "http://p:3128"}, URL, "http://p:3128"),
        ({"https_proxy": "http://p:3128/"}, URL, "http://p:3128"),
        ({"HTTPS_PROXY": "p:3128"}, URL, "http://p:3128"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2", "all_proxy": "http://c:3"}, URL, "http://a:1"),
        ({"https_proxy": "", "ALL_PROXY": "socks5h://c"}, URL, "socks5h://c:1080"),
        ({"all_proxy": "socks5://user:p%40ss@[2001:db8::1]:9050"}, URL, "socks5://user:p%40ss@[2001:db8::1]:9050"),
        ({"https_proxy": "http://p"}, URL, "http://p:80"),
        ({"http_proxy": "http://p:1"}, URL, ""),
        ({"https_proxy": "http://p:1"}, "ws://example.org/v1", ""),
        ({"http_proxy": "http://p:1"}, "ws://example.org/v1", "http://p:1"),
        # what a web server makes of a header of its client
        ({"HTTP_PROXY": "http://evil:1"}, "ws://example.org/v1", ""),
        ({"all_proxy": "http://p:1", "https_proxy": "http://p:1"}, "wss://localhost:8443/v1", ""),
        ({"all_proxy": "http://p:1", "http_proxy": "http://p:1"}, "ws://127.0.0.1:80/v1", ""),
        ({"all_proxy": "ftp://not-even-looked-at"}, "ws://[::1]/v1", ""),
    ],
)
def test_which_variable_counts(env: dict[str, str], url: str, expected: str) -> None:
    assert proxy_for(url, env) == expected


@pytest.mark.parametrize(
    ("exempted", "host", "direct"),
    [
        ("*", "api.openai.com", True),
        ("api.openai.com", "api.openai.com", True),
        ("openai.com", "api.openai.com", True),
        (".openai.com", "api.openai.com", True),
        ("*.openai.com", "api.openai.com", True),
        (".openai.com", "notopenai.com", False),
        ("penai.com", "api.openai.com", False),
        ("a, b ,API.OpenAI.com", "api.openai.com", True),
        ("a b api.openai.com", "api.openai.com", True),
        ("api.openai.com:443", "api.openai.com", True),
        ("api.openai.com:8443", "api.openai.com", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "api.openai.com", False),
        ("nonsense/8", "10.1.2.3", False),
        ("2001:db8::1", "[2001:db8::1]", True),
        ("[2001:db8::1]:443", "[2001:db8::1]", True),
        ("2001:db8::2", "[2001:db8::1]", False),
        (",, .", "api.openai.com", False),
    ],
)
def test_what_no_proxy_exempts(exempted: str, host: str, direct: bool) -> None:
    env = {"https_proxy": "http://p:1", "NO_PROXY": exempted}
    assert proxy_for(f"wss://{host}/v1", env) == ("" if direct else "http://p:1")
    assert proxy_for(f"wss://{host}/v1", env | {"no_proxy": "elsewhere"}) == "http://p:1"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("https://user:hunter2@p:1", "all_proxy names a https:// proxy, which can't be used here: it must begin with http://, socks5://"),
        ("socks://user:hunter2@p:1", "names a socks:// proxy"),
        ("socks4://user:hunter2@p:1", "names a socks4:// proxy"),
        ("hunter2 hunter2://p", "names a proxy, which can't"),
        ("http://user:hunter2@p:port", "is no URL"),
        ("http://user:hunter2@", "is no URL"),
        ("http://user:hunter2@p q:1", "is no URL"),
        ("http://user:hunter2@[::1", "is no URL"),
    ],
)
def test_a_proxy_that_can_t_be_used_is_named_by_its_variable(value: str, complaint: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        proxy_for(URL, {"all_proxy": value})
    assert "all_proxy" in caught.value.message
    assert complaint in caught.value.message
    assert "hunter2" not in caught.value.message


@given(st.text(), st.text())
def test_any_text_is_a_proxy_or_refused(proxy: str, exempted: str) -> None:
    with contextlib.suppress(ConfigInvalid):
        assert proxy_for(URL, {"https_proxy": proxy, "no_proxy": exempted}).partition("://")[0] in ("", "http", "socks5", "socks5h")
