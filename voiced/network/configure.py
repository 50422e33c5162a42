"""What the settings mean on the wire: the headers and the `session.update`. Pure.

Settings of the process (made by the supervisor from the configuration): provider, url, model, voice, instructions,
language, transcription_model, threshold, prefix_padding_ms, silence_ms, token. Empty means the server's default.
"""

from typing import Any

from voiced.messages import SAMPLE_RATE_HZ
from voiced.network.events import SessionUpdate

_PCM = {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ}


def headers(settings: dict[str, Any]) -> list[str]:
    """The headers of the upgrade."""
    token = settings.get("token")
    return [f"Authorization: Bearer {token}"] if token else []


def session_update(settings: dict[str, Any], event_id: str) -> SessionUpdate:
    """Our whole configuration. Every field of turn_detection is sent: partial objects fall back to other defaults, and the
    documented ones are not the real ones (realtime-protocol 2.1, 2.3)."""
    listening: dict[str, Any] = {
        "format": _PCM,
        "turn_detection": {
            "type": "server_vad",
            "threshold": settings.get("threshold", 0.5),
            "prefix_padding_ms": settings.get("prefix_padding_ms", 300),
            "silence_duration_ms": settings.get("silence_ms", 500),
            "create_response": True,
            "interrupt_response": True,
        },
    }
    if settings.get("transcription_model"):
        listening["transcription"] = {"model": settings["transcription_model"]}
        if settings.get("language"):
            listening["transcription"]["language"] = settings["language"]
    speaking: dict[str, Any] = {"format": _PCM}
    if settings.get("voice"):
        speaking["voice"] = settings["voice"]
    session: dict[str, Any] = {"type": "realtime", "output_modalities": ["audio"], "audio": {"input": listening, "output": speaking}}
    if settings.get("instructions"):
        session["instructions"] = settings["instructions"]
    return SessionUpdate(event_id=event_id, session=session)
