from typing import Any

import pytest
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter

from tests.network.script import SETTINGS
from voiced.network import configure, events


def test_the_key_goes_into_a_header() -> None:
    assert configure.headers({"token": "sk-1"}) == ["Authorization: Bearer sk-1"]
    assert configure.headers({"token": ""}) == []
    assert configure.headers({"token": None}) == []


@pytest.mark.parametrize("settings", [SETTINGS, {}, {**SETTINGS, "language": "", "voice": ""}])
def test_openai_accepts_our_settings(settings: dict[str, Any]) -> None:
    update = configure.session_update(settings, "e1")
    adapter: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
    model = adapter.validate_json(events.encode(update))
    assert model.type == "session.update"
    assert model.session.audio.input.turn_detection.interrupt_response is True


def test_nothing_empty_is_sent() -> None:
    session = configure.session_update({"voice": "", "instructions": "", "transcription_model": "", "language": "en"}, "e1").session
    assert "instructions" not in session
    assert "voice" not in session["audio"]["output"]
    assert "transcription" not in session["audio"]["input"]
