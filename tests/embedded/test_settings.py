"""session.update: what is present changes, what is absent stays, one error changes nothing."""

from typing import Any

import pytest

from tests.embedded.driver import Driver, error, one, types


def update(driver: Driver, **session: Any) -> list[dict[str, Any]]:
    return driver.send("session.update", session={"type": "realtime", **session}, event_id="u")


def test_present_fields_change_and_absent_ones_stay() -> None:
    driver = Driver(tool_choice="none", audio={"output": {"voice": "cedar"}, "input": {"noise_reduction": {"type": "far_field"}}})
    before = driver.engine.settings.as_sent()
    after = one(update(driver, instructions="Sing.", audio={"output": {"speed": 1.2}}), "session.updated")["session"]
    assert after["instructions"] == "Sing."
    assert after["audio"]["output"]["speed"] == 1.2
    after["instructions"], after["audio"]["output"]["speed"] = before["instructions"], before["audio"]["output"]["speed"]
    assert after == before


def test_null_and_empty_values_clear() -> None:
    driver = Driver(tools=[{"type": "function", "name": "f"}], audio={"input": {"transcription": {"model": "whisper-1"}}})
    cleared = one(
        update(driver, instructions="", tools=[], audio={"input": {"transcription": None, "turn_detection": None}}), "session.updated"
    )
    session = cleared["session"]
    assert (session["instructions"], session["tools"]) == ("", [])
    assert session["audio"]["input"]["transcription"] is None
    assert session["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"modalities": ["audio"]}, "unknown_parameter", "session.modalities"),
        ({"audio": {"input": {"gain": 2}}}, "unknown_parameter", "session.audio.input.gain"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        ({"audio": {"input": {"turn_detection": {"type": "magic"}}}}, "invalid_value", "session.audio.input.turn_detection"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "invalid_value", "session.audio.input.format.rate"),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, "invalid_value", "session.audio.output.format"),
        ({"audio": {"output": {"speed": 2}}}, "invalid_value", "session.audio.output.speed"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"max_output_tokens": 5000}, "invalid_value", "session.max_output_tokens"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"model": "gpt-realtime"}, "invalid_value", "session.model"),
        ({"instructions": 7}, "invalid_value", "session.instructions"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
    ],
)
def test_one_error_rejects_the_whole_update(session: dict[str, Any], code: str, param: str) -> None:
    driver = Driver()
    before = driver.engine.settings.as_sent()
    refused = error(update(driver, **{"instructions": "changed", **session}))
    assert (refused["code"], refused["param"].split("[")[0].startswith(param.split("[")[0])) == (code, True)
    assert refused["event_id"] == "u"
    assert driver.engine.settings.as_sent() == before


def test_the_type_is_required() -> None:
    refused = error(Driver().send("session.update", session={"instructions": "x"}))
    assert (refused["code"], refused["param"]) == ("missing_required_parameter", "session.type")


def test_the_voice_is_fixed_once_it_was_heard() -> None:
    driver = Driver()
    assert types(update(driver, audio={"output": {"voice": "marin"}})) == ["session.updated"]
    driver.turn()
    driver.reply()
    refused = error(update(driver, audio={"output": {"voice": "cedar"}}, instructions="changed"))
    assert refused["code"] == "cannot_update_voice"
    assert driver.engine.settings.instructions != "changed"
    assert types(update(driver, audio={"output": {"voice": "marin"}})) == ["session.updated"]


def test_an_update_that_leaves_turn_detection_alone_keeps_the_turn_in_progress() -> None:
    driver = Driver()
    started = driver.hear((0.0, 320), (0.9, 320))[0]
    update(driver, instructions="meanwhile")
    stopped = driver.hear((0.0, 320))[0]
    assert (stopped["type"], stopped["item_id"]) == ("input_audio_buffer.speech_stopped", started["item_id"])


def test_a_client_may_send_the_whole_session_back() -> None:
    driver = Driver()
    whole = driver.engine.settings.as_sent()
    assert types(driver.send("session.update", session=whole)) == ["session.updated"]
    assert driver.engine.settings.as_sent() == whole
