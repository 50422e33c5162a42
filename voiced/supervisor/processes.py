"""The table of processes: one row each, from which everything about starting them derives."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from voiced.config import Config
from voiced.supervisor.policy import Limits
from voiced.supervisor.provider import Provider, with_model

#: logging's numbers, without its import.
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


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


class Row(NamedTuple):
    name: str
    module: str
    #: The settings, or None as long as something else must be ready first. Its program is loaded in the meantime.
    settings: Callable[[World], dict[str, Any] | None]
    limits: Limits = Limits()
    #: The process whose address this one was given: when that one restarts, so must this one.
    depends_on: str | None = None


def table(provider: Provider) -> tuple[Row, ...]:
    """The processes of a run, in order of start: what the others wait for first."""
    sound = (Row("capture", "voiced.capture", _capture), Row("playback", "voiced.playback", _playback))
    if provider.name != "embedded":
        return (Row("network", "voiced.network", _network), *sound)
    return (
        # It loads models when it has begun to serve, in imports that keep the interpreter's lock: 2 s alone on a small
        # machine, more on a busy one. It carries no sound, so it may be silent for longer.
        Row("embedded", "voiced.embedded", _embedded, Limits(silent_start_s=60.0, silent_s=20.0)),
        Row("network", "voiced.network", _network, depends_on="embedded"),
        *sound,
    )


def _capture(world: World) -> dict[str, Any]:
    return {
        "log_level": world.log_level,
        **world.config.section("audio.capture"),
        "frame_ms": world.config["audio.frame_ms"],
        "muted": world.muted,
    }


def _playback(world: World) -> dict[str, Any]:
    return {"log_level": world.log_level, **world.config.section("audio.playback")}


def _network(world: World) -> dict[str, Any] | None:
    provider = world.provider
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
        "token": token,
        "model": provider.model,
        "voice": provider.voice,
        "transcription_model": provider.transcription_model,
        "instructions": world.config["realtime.instructions"],
        "language": world.config["realtime.language"],
        **world.config.section("turn"),
    }


def _embedded(world: World) -> dict[str, Any]:
    return {
        "log_level": world.log_level,
        "token": world.embedded_token,
        "voice": world.provider.voice,
        **world.config.section("embedded"),
    }
