"""The table of processes: one row each, from which everything about starting them derives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from voiced.config import Config
from voiced.keyring import keys_dir
from voiced.shown import secrets_in
from voiced.supervisor.policy import Limits
from voiced.supervisor.provider import Provider, with_model
from voiced.supervisor.tools import choice, tools

#: Orders, and the settings that they change.
PUSH_TO_TALK, VOLUME = "push_to_talk", "volume"
#: Settings that change by themselves while a process runs, and reach it in other ways.
OF_THE_MOMENT = ("log_level", "muted", VOLUME, PUSH_TO_TALK, "history", "exhausted", "patient")


#: A process that the daemon's state does not depend on.
REMOTE = "remote"


class World(NamedTuple):
    """What the settings of a process are made of."""

    config: Config
    provider: Provider
    log_level: int
    #: The embedded server's own, new in each run, so that nobody else on this machine can talk through it.
    embedded_token: str
    #: The microphone stays muted over a restart of its process.
    muted: bool
    #: name -> detail of its Ready, of the processes that are ready.
    details: Mapping[str, Mapping[str, Any]]
    #: MCP servers in the form of the wire, tokens included.
    mcp: Sequence[Mapping[str, Any]] = ()
    #: What was said lately, as the `turn` event has it, with `time`.
    history: Sequence[Mapping[str, Any]] = ()
    #: Why nothing more may be spent; "" = it may.
    exhausted: str = ""
    #: Where recordings of the wire go; "" = none are made.
    record_dir: str = ""
    #: The daemon was ready once, so that what is missing now was there and may come back; or nobody looks on who could mend it.
    was_ready: bool = False
    #: Percent that somebody chose while it runs, and that outlives playback's process; None = as the settings have it.
    volume: int | None = None


class Row(NamedTuple):
    name: str
    module: str
    #: The settings, or None as long as something else must be ready first. Its program is loaded in the meantime.
    settings: Callable[[World], dict[str, Any] | None]
    limits: Limits = Limits()
    #: It takes new settings while it runs, by the order `configure`.
    live: bool = False
    #: It, or a program of its, reaches servers, so that proxies are its business.
    online: bool = True


def table(provider: Provider) -> tuple[Row, ...]:
    """The processes of a run, in order of start: what the others wait for first."""
    rows = (
        Row("network", "voiced.network", _network, live=True),
        Row("capture", "voiced.capture", _capture, online=False),
        Row("playback", "voiced.playback", _playback, online=False),
    )
    if provider.name != "embedded":
        return rows
    # It loads models when it has begun to serve, in imports that keep the interpreter's lock: 2 s alone on a small
    # machine, more on a busy one. It carries no sound, so it may be silent for longer.
    return (Row("embedded", "voiced.embedded", _embedded, Limits(silent_start_s=60.0, silent_s=20.0)), *rows)


def apart(config: Config) -> tuple[Row, ...]:
    """What runs beside the conversation, which does without it."""
    return (Row(REMOTE, "voiced.remote", _remote, online=False),) if config["remote.listen"] else ()


def _remote(world: World) -> dict[str, Any]:
    return {
        "log_level": world.log_level,
        "listen": world.config["remote.listen"],
        "admin": world.config["allow.remote_admin"],
        "keys": keys_dir(),
    }


def _capture(world: World) -> dict[str, Any]:
    return {
        "log_level": world.log_level,
        **world.config.section("audio.capture"),
        **{name: world.config[f"audio.{name}"] for name in ("frame_ms", "echo_cancellation", "noise_suppression", "gain_control")},
        "barge_in": world.config.section("barge_in"),
        "wake_word": world.config["wake.word"],
        "push_to_talk": world.config["turn.mode"] == "push_to_talk",
        "muted": world.muted,
        "patient": world.was_ready,
    }


def _playback(world: World) -> dict[str, Any]:
    return {
        "log_level": world.log_level,
        **world.config.section("audio.playback"),
        **({} if world.volume is None else {"volume": world.volume}),
        "duck_db": world.config["barge_in.duck_db"],
        "earcons": world.config["audio.earcons"],
        "patient": world.was_ready,
    }


def barred(provider: str, exhausted: str) -> str:
    """Why the network may open no session with this provider; "" = it may. The embedded server is free."""
    return "" if provider == "embedded" else exhausted


_NO_STATE = "recordings need the directory of voiced's state, which can't be used: the log says why, at the start of voiced"

#: Of [realtime], what the network process takes as it stands.
_OF_THE_SESSION = (
    "speed",
    "instructions",
    "language",
    "noise_reduction",
    "reasoning_effort",
    "max_output_tokens",
    "truncation",
    "retention_ratio",
    "context_chars",
    "rollover_s",
    "idle_disconnect_s",
    "report_aloud",
)


def _network(world: World) -> dict[str, Any] | None:
    provider, config = world.provider, world.config
    if provider.name == "embedded":
        if "embedded" not in world.details:
            return None
        url, token = with_model(world.details["embedded"]["url"], provider.model), world.embedded_token
    else:
        url, token = provider.url, provider.key.reveal() if provider.key else ""
    return {
        "log_level": world.log_level,
        "provider": provider.name,
        "url": url,
        "model": provider.model,
        "voice": provider.voice,
        "transcription_model": provider.transcription_model,
        "token": token,
        "token_command": list(provider.token_command),
        "auth": provider.auth,
        "ca_file": provider.ca_file,
        "proxy": provider.proxy,
        **{name: config[f"realtime.{name}"] for name in _OF_THE_SESSION},
        **config.section("turn"),
        "wake_word": config["wake.word"],
        "listen_s": config["wake.listen_s"],
        "tool_choice": choice(config),
        "tools": tools(config),
        "mcp": [dict(server) for server in world.mcp],
        "history": [dict(turn) for turn in world.history],
        "exhausted": barred(provider.name, world.exhausted),
        "patient": world.was_ready,
        "record_dir": world.record_dir,
        "record_refused": _NO_STATE if config["allow.recording"] and not world.record_dir else "",
        # What a server may repeat of its own URL or an MCP server's.
        "secrets": [secret for of in (url, *(server["server_url"] for server in world.mcp)) for secret in secrets_in(of)],
    }


def _embedded(world: World) -> dict[str, Any]:
    return {
        "log_level": world.log_level,
        "token": world.embedded_token,
        "voice": world.provider.voice,
        **world.config.section("embedded"),
    }
