"""Who would answer, by which key, and how soon a session is there: a real connection, by the network room's own link."""

import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from secrets import token_urlsafe
from typing import IO

from voiced.config import Config
from voiced.doctor.finding import Finding, Verdict
from voiced.errors import ProtocolViolated, ServerUnreachable, VoicedError
from voiced.network.events import ErrorEvent, SessionCreated, WireMalformed, decode_server
from voiced.network.link import reconnect
from voiced.network.link.connecting import Connecting
from voiced.network.link.reach import Target
from voiced.network.link.wire import Wire
from voiced.network.quote import Quote
from voiced.secret import Credential, secret_variables
from voiced.shown import public, secrets_in
from voiced.supervisor.provider import Provider, with_model

_NS_PER_MS = 1_000_000
#: A handshake has time-outs of its own, which end sooner (voiced.network.link.connecting), but for the key's program before it.
_HANDSHAKE_S = 40.0
#: As the daemon waits for the first word (voiced.network.hello).
_HELLO_S = 10.0
_LISTENING_S = 30.0
_ENDING_S = 3.0
#: A turn feels prompt where a round trip through the handshake took less.
_SLOW_MS = 2500


def answers(provider: Provider, found: Credential, running: str | None) -> Finding:
    """Who answers, and where the key is; never the key itself. `running` is the provider that a running daemon goes by."""
    url, proxy = public(provider.url), public(provider.proxy)
    details = {"provider": provider.name, "url": url, "model": provider.model, "key": found.source, "proxy": proxy}
    if provider.name == "embedded":
        meaning = "The embedded server answers, offline and free; with a key in OPENAI_API_KEY, OpenAI's models would."
    else:
        by_proxy = f", by way of the proxy {proxy}" if proxy else ""
        key = "no key is sent" if provider.auth == "none" else f"the key is from {found.source}"
        meaning = f"{provider.name} answers at {url}{by_proxy}; {key}."
    if running in (None, provider.name):
        return Finding("key", Verdict.OK, meaning, details=details)
    remedy = f"The running voiced goes by {running}: as a service it has a key and variables of its own, or it began with other settings."
    return Finding("key", Verdict.WARNING, meaning, remedy=remedy, details=details)


def tried(provider: Provider, config: Config, env: Mapping[str, str]) -> Finding:
    """Opens a session and closes it again: no sound is sent, nothing is answered, and so nothing is paid for."""
    try:
        if provider.name == "embedded":
            with _embedded(provider, config, env) as target:
                return _opened(target, "embedded")
        return _opened(_target(provider), provider.name)
    except VoicedError as error:
        details = {"code": error.code}
        return Finding("connection", Verdict.FAILED, f"No session: {error.message}.", details=details)


def _target(provider: Provider) -> Target:
    token = provider.key.reveal() if provider.key else ""
    where = public(provider.url)
    return Target(provider.url, provider.auth, token, provider.token_command, provider.ca_file, provider.proxy, where, provider.model)


def _opened(target: Target, provider: str) -> Finding:
    began_ns = time.monotonic_ns()
    wire, quote = _connected(target)
    try:
        handshake_ms = (time.monotonic_ns() - began_ns) / _NS_PER_MS
        greeted = _greeted(wire, target, quote)
        created_ms = (time.monotonic_ns() - began_ns) / _NS_PER_MS
    finally:
        wire.close()
    details = {"handshake_ms": round(handshake_ms), "created_ms": round(created_ms) if greeted else None}
    if not greeted:
        meaning = f"{provider} opened the connection and said nothing within {_HELLO_S:g} s: few servers do without session.created."
        return Finding("connection", Verdict.WARNING, meaning, round(handshake_ms), "ms", details=details)
    if created_ms > _SLOW_MS and provider != "embedded":
        meaning = f"Slow: this long until {provider} had a session ready, {handshake_ms:.0f} ms of it for names, TLS and the handshake."
        remedy = "See whether the network, a VPN or a proxy is slow; answers will be late, too."
        return Finding("connection", Verdict.WARNING, meaning, round(created_ms), "ms", remedy, details=details)
    meaning = f"After this {provider} had a session ready, {handshake_ms:.0f} ms of it for names, TLS and the handshake."
    return Finding("connection", Verdict.OK, meaning, round(created_ms), "ms", details=details)


def _connected(target: Target) -> tuple[Wire, Quote]:
    """Raises the VoicedError that says why there is none."""
    quote = Quote(target.token)
    for secret in secrets_in(target.url):
        quote.hide(secret)
    connecting = Connecting(target, quote)
    if not _readable(connecting.fd, _HANDSHAKE_S):
        connecting.abandon()
        raise ServerUnreachable(f"{target.where} does not answer")
    return connecting.result(time.monotonic_ns()), quote


def _greeted(wire: Wire, target: Target, quote: Quote) -> bool:
    """Waits for session.created; False where nothing comes. Raises the VoicedError behind whatever else does."""
    deadline_s = time.monotonic() + _HELLO_S
    while (left_s := deadline_s - time.monotonic()) > 0:
        if not wire.more and not _readable(wire.fd, left_s):
            return False
        for text in wire.receive(time.monotonic_ns()):
            if _is_created(text, target, quote):
                return True
        if (ended := wire.ended) is not None:
            said = quote(ended.said)
            raise reconnect.from_close(target.where, target.model, ended.code, said) or reconnect.broken(ended.code, quote(ended.reason))
    return False


def _is_created(text: bytes, target: Target, quote: Quote) -> bool:
    try:
        event = decode_server(text)
    except WireMalformed as error:
        raise ProtocolViolated(f"{target.where} speaks no Realtime protocol: {quote(str(error))}") from error
    if isinstance(event, ErrorEvent):
        detail = event.error
        code, said = detail.code or detail.type or "", quote(detail.message)
        raise reconnect.from_code(target.where, target.model, code, said) or ServerUnreachable(f"{target.where} says: {said or code}")
    return isinstance(event, SessionCreated)


def _readable(fd: int, within_s: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        return bool(selector.select(within_s))


# the embedded server -----------------------------------------------------------------------------------------------------


@contextmanager
def _embedded(provider: Provider, config: Config, env: Mapping[str, str]) -> Iterator[Target]:
    """The server, run for this one session. Raises ServerUnreachable where it does not start."""
    token = token_urlsafe(32)
    command = module("voiced.embedded")
    for option, value in (
        ("--chat-url", config["embedded.chat_url"]),
        ("--chat-model", config["embedded.chat_model"]),
        ("--voice", provider.voice),
    ):
        command += [option, value] if value else []
    secret = secret_variables(config)
    inherited = {name: value for name, value in env.items() if name not in secret}
    env = inherited | {"VOICED_EMBEDDED_TOKEN": token}
    # What it complains of goes to a file: a pipe that nobody reads would fill and stop it.
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints) as server,
    ):
        try:
            url = with_model(_listening(server, complaints), provider.model)
            yield Target(url, "bearer", token, where=public(url), model=provider.model)
        finally:
            _end(server)


def _listening(server: "subprocess.Popen[bytes]", complaints: IO[bytes]) -> str:
    """The URL that it prints as the last word of its first line."""
    assert server.stdout is not None
    words = _first_line(server.stdout.fileno(), _LISTENING_S).decode("utf-8", "replace").split()
    if words:
        return words[-1]
    _end(server)
    complaints.seek(0)
    complaint = complaints.read().decode("utf-8", "replace").strip().splitlines()
    raise ServerUnreachable(f"the embedded server does not start: {complaint[-1] if complaint else 'it says nothing'}")


def _first_line(fd: int, within_s: float) -> bytes:
    """Empty where it does not come, whole, within that time."""
    deadline_s = time.monotonic() + within_s
    printed = b""
    while b"\n" not in printed:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not _readable(fd, left_s) or not (piece := os.read(fd, 4096)):
            return b""
        printed += piece
    return printed.partition(b"\n")[0]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def module(name: str) -> list[str]:
    """The command that runs a module of this package; as safe from files of the working directory as we are ourselves."""
    return [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", name]
