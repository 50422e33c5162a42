"""The way to a server: a socket that is connected to it, through a proxy where one is set, TLS, and what to tell where it
ends on the way.

The socket is opened here and not by websocket-client, which would read proxies from the environment by itself, leave
Nagle's algorithm on behind a SOCKS proxy, and give nobody the socket before the handshake is over.
"""

import json
import os
import socket
import ssl
import sys
from base64 import b64encode
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from voiced.errors import ConfigInvalid, ServerUnreachable, UrlInvalid, VoicedError
from voiced.network.link import reconnect
from voiced.network.quote import Quote
from voiced.shown import public

# websocket-client takes python-socks in wherever it is installed, 10 ms and 0.5 MiB, and `_socks` alone needs it.
sys.modules["python_socks"] = None  # type: ignore[assignment]  # what makes an import fail
import websocket  # noqa: E402

del sys.modules["python_socks"]

#: For each step: a name server's answers, TCP, a proxy's answer, TLS, the upgrade.
STEP_TIMEOUT_S = 10.0
#: Of TCP by itself, at each address: the network of a minute ago may be back since, and a new try finds that sooner than one that was
#: begun before, whose packets are repeated ever more rarely. Round trips of over a second are not heard of.
_CONNECT_TIMEOUT_S = 3.0
#: OpenSSL's words for an answer that is no TLS at all.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})
_PROXIES: Final = ("http", "socks5", "socks5h")


class Target(NamedTuple):
    """Where to connect to, and as whom."""

    url: str
    auth: str = "bearer"  # bearer | api-key | x-api-key | none
    token: str = ""
    token_command: tuple[str, ...] = ()  # instead of the token: what prints it
    ca_file: str = ""  # certificates to trust instead of the system's
    proxy: str = ""  # http://, socks5:// or socks5h:// [user:password@]host:port
    where: str = ""  # the URL as it may be shown
    model: str = ""


def target(settings: dict[str, Any]) -> Target:
    """The target that the settings of the process name."""
    url = settings.get("url") or ""
    texts = {name: settings.get(name) or "" for name in ("token", "ca_file", "proxy", "model")}
    command = tuple(settings.get("token_command") or ())
    return Target(url, settings.get("auth") or "bearer", token_command=command, where=public(url), **texts)


class ProxyFailed(Exception):
    """The proxy is not there, or makes no way to the server."""


def tcp(wanted: Target) -> socket.socket:
    """A socket connected to the server. Raises OSError, ValueError for a URL that is none, ProxyFailed, VoicedError."""
    host, port, _ = _address(wanted.url)
    opened = _by_proxy(wanted.proxy, host, port) if wanted.proxy else socket.create_connection((host, port), _CONNECT_TIMEOUT_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.settimeout(STEP_TIMEOUT_S)
    return opened


def tls(plain: socket.socket, wanted: Target) -> socket.socket:
    """TLS upon `plain`, its handshake still to be done; `plain` itself for a ws:// URL. Raises ConfigInvalid for a CA file
    that can't be used. Certificate and host name are always checked."""
    host, _, secure = _address(wanted.url)
    if not secure:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if wanted.ca_file:
        try:
            context.load_verify_locations(os.path.expanduser(wanted.ca_file))
        except (OSError, ValueError) as error:
            why = "it holds no certificates in PEM" if isinstance(error, ssl.SSLError | ValueError) else error.strerror
            raise ConfigInvalid(f"realtime.ca_file {wanted.ca_file} can't be used: {why}; name a PEM file, or leave it empty") from error
    else:
        context.load_default_certs()
    return context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)


def _address(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether it is TLS."""
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("it has no ws:// or wss:// and a host")
    secure = parts.scheme == "wss"
    return parts.hostname, parts.port or (443 if secure else 80), secure


def _by_proxy(url: str, host: str, port: int) -> socket.socket:
    try:
        proxy = urlsplit(url)
        proxy_port = proxy.port
    except ValueError:
        proxy, proxy_port = urlsplit(""), None
    if not proxy.hostname or not proxy_port or proxy.scheme not in _PROXIES:
        raise UrlInvalid(
            f"the proxy {public(url)!r} can't be used; it looks like http://host:port, socks5://host:port or socks5h://host:port"
        )
    tunnel = _http if proxy.scheme == "http" else _socks
    return tunnel(proxy, proxy.hostname, proxy_port, host, port)


def _http(proxy: SplitResult, proxy_host: str, proxy_port: int, host: str, port: int) -> socket.socket:
    from http.client import HTTPConnection, HTTPException  # 15 ms, which those without a proxy need not spend

    known = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}".encode()
    connection = HTTPConnection(proxy_host, proxy_port, timeout=STEP_TIMEOUT_S)
    connection.set_tunnel(host, port, {"Proxy-Authorization": f"Basic {b64encode(known).decode()}"} if proxy.username else {})
    try:
        connection.connect()
    except (OSError, HTTPException) as error:
        connection.close()
        raise ProxyFailed(_why(error)) from error
    opened: socket.socket = connection.sock
    return opened


def _socks(proxy: SplitResult, proxy_host: str, proxy_port: int, host: str, port: int) -> socket.socket:
    from python_socks import ProxyError, ProxyType
    from python_socks.sync import Proxy

    user, password = unquote(proxy.username or "") or None, unquote(proxy.password or "") or None
    way = Proxy(ProxyType.SOCKS5, proxy_host, proxy_port, user, password, rdns=proxy.scheme == "socks5h")
    try:
        return way.connect(host, port, STEP_TIMEOUT_S)
    except (OSError, ProxyError) as error:
        raise ProxyFailed(_why(error)) from error


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def refusal(error: Exception, wanted: Target, quote: Quote) -> VoicedError:
    """The error of ours behind a failed handshake. Never quotes the request: it holds the key."""
    where = wanted.where
    if isinstance(error, VoicedError):
        return error
    if isinstance(error, ProxyFailed):
        shown = public(wanted.proxy)
        return ServerUnreachable(
            f"the proxy {shown} makes no way to {where}: {quote(str(error))}; check the proxy's URL, its user and password"
        )
    if isinstance(error, websocket.WebSocketBadStatusException):
        return reconnect.from_status(where, wanted.model, error.status_code, quote(_told(error.resp_body)))
    if isinstance(error, ssl.SSLError):
        return _tls_refusal(error, where)
    if isinstance(error, websocket.WebSocketAddressException | socket.gaierror):
        return ServerUnreachable(f"the host of {where} is not known; check realtime.url and the network", nobody=True)
    if isinstance(error, websocket.WebSocketTimeoutException | TimeoutError):
        return ServerUnreachable(f"{where} does not answer", nobody=True)
    if isinstance(error, websocket.WebSocketConnectionClosedException):
        return ServerUnreachable(f"{where} closed the connection at once")
    if isinstance(error, websocket.WebSocketException):
        return UrlInvalid(f"{where} is no WebSocket server ({error}); check realtime.url")
    if isinstance(error, ValueError):
        return UrlInvalid(f"realtime.url {where!r} can't be used ({error}); it looks like wss://host/v1/realtime")
    if isinstance(error, OSError):
        return ServerUnreachable(f"can't reach {where}: {error.strerror or error}", nobody=True)
    return ServerUnreachable(f"can't connect to {where}: {type(error).__name__}")


def _tls_refusal(error: ssl.SSLError, where: str) -> VoicedError:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        advice = "check the URL and the clock; a certificate of your own needs realtime.ca_file"
        return ServerUnreachable(f"the certificate of {where} can't be verified ({why}); {advice}")
    if error.reason in _NO_TLS:
        return UrlInvalid(f"{where} does not speak TLS ({error.reason}); a server without TLS has a ws:// URL")
    return ServerUnreachable(f"{where} broke off the TLS handshake ({error.reason or error}); a server without TLS has a ws:// URL")


def _told(body: bytes | None) -> str:
    """What an HTTP error's body says: code, or else type, and message of the API's error object, or nothing."""
    try:
        error = json.loads(body or b"{}")["error"]
        return f"{error.get('code') or error.get('type') or ''} {error.get('message') or ''}".strip()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
