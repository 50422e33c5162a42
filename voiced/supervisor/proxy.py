"""Which proxy is on the way to a server, by the variables that curl and others go by. Pure."""

import re
from collections.abc import Mapping

from voiced.checks import is_loopback
from voiced.errors import ConfigInvalid

#: http_proxy in small letters alone: a web server's HTTP_PROXY is what a client's header `Proxy:` says (CVE-2016-5385).
_VARIABLES = {"wss": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), "ws": ("http_proxy", "all_proxy", "ALL_PROXY")}
_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
_TAKEN = "http://, socks5:// or socks5h://"


def proxy_for(url: str, env: Mapping[str, str]) -> str:
    """The proxy on the way to a ws:// or wss:// URL, as scheme://[user:password@]host:port; "" for none.

    Raises ConfigInvalid for one that can't be used, naming its variable, without its password.
    """
    from urllib.parse import urlsplit  # 10 ms, for those who have a proxy

    variable = next((name for name in _VARIABLES[url.partition(":")[0]] if env.get(name, "").strip()), "")
    if not variable:
        return ""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or _exempted(host, parts.port or (443 if parts.scheme == "wss" else 80), env):
        return ""
    return _usable(env[variable].strip(), variable)


def _usable(value: str, variable: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError as error:  # whose text may quote the password
        raise ConfigInvalid(f"{variable} is no URL of a proxy: its host or port is none") from error
    if parts.scheme not in _PORTS:
        scheme = f" {parts.scheme}://" if re.fullmatch(r"[a-z0-9.+-]{1,16}", parts.scheme) else ""
        raise ConfigInvalid(f"{variable} names a{scheme} proxy, which can't be used here: it must begin with {_TAKEN}")
    if not host or any(char.isspace() or not char.isprintable() for char in value):
        raise ConfigInvalid(f"{variable} is no URL of a proxy: as http://host:port")
    user, at, _ = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user}{at}{_bracketed(host)}:{port or _PORTS[parts.scheme]}"


def _exempted(host: str, port: int, env: Mapping[str, str]) -> bool:
    """Whether no_proxy has the host: by name, by a domain that it is in, by address or network, or by `*`."""
    entries = (env.get("no_proxy") or env.get("NO_PROXY", "")).lower().replace(",", " ").split()
    return any(_covers(entry, host, port) for entry in entries)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(host, entry)
    name, colon, its_port = entry.rpartition(":")
    if colon and its_port.isdecimal() and (name.endswith("]") or ":" not in name):
        if its_port != str(port):
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").removeprefix(".").rstrip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def _in_network(host: str, network: str) -> bool:
    import ipaddress  # 10 ms, for those who exempt networks

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:  # a host by name, or a typing error that exempts nothing
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
