"""Items: the chain of neighbours, and what truncate, delete and create refuse."""

import base64
from typing import Any

import pytest

from tests.embedded.driver import Driver, error, one, types


def text_item(item_id: str, role: str = "user", **more: Any) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "id": item_id, "role": role, "content": [{"type": kind, "text": item_id}], **more}


def create(driver: Driver, item_id: str, **more: Any) -> str | None:
    previous: str | None = driver.send("conversation.item.create", item=text_item(item_id), **more)[0].get("previous_item_id")
    return previous


def test_items_know_their_neighbours() -> None:
    driver = Driver()
    assert create(driver, "a") is None
    assert create(driver, "c") == "a"
    assert create(driver, "b", previous_item_id="a") == "a"
    assert create(driver, "front", previous_item_id="root") is None
    assert [entry.id for entry in driver.engine._conversation.entries()] == ["front", "a", "b", "c"]


def test_the_chain_is_mended_after_a_delete() -> None:
    driver = Driver()
    for item_id in "abc":
        create(driver, item_id)
    deleted = driver.send("conversation.item.delete", item_id="c")
    assert (types(deleted), deleted[0]["item_id"]) == (["conversation.item.deleted"], "c")
    assert create(driver, "d") == "b"
    driver.hear((0.0, 320), (0.9, 320), (0.0, 320))
    assert one(driver.sent_since(), "input_audio_buffer.committed")["previous_item_id"] == "d"


@pytest.mark.parametrize("command", ["delete", "retrieve"])
def test_an_unknown_item_is_not_found(command: str) -> None:
    refused = error(Driver().send(f"conversation.item.{command}", item_id="item_x", event_id="e"))
    assert (refused["code"], refused["event_id"]) == ("item_not_found", "e")


def test_nothing_is_put_behind_an_unknown_item_and_no_id_is_used_twice() -> None:
    driver = Driver()
    create(driver, "a")
    assert error(driver.send("conversation.item.create", item=text_item("b"), previous_item_id="x"))["param"] == "previous_item_id"
    assert error(driver.send("conversation.item.create", item=text_item("a")))["code"] == "invalid_value"
    assert [entry.id for entry in driver.engine._conversation.entries()] == ["a"]


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({"type": "message"}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "role": "king", "content": []}, "invalid_value", "item.role"),
        ({"type": "message", "role": "user", "content": [{"type": "input_text"}]}, "missing_required_parameter", "item.content[0].text"),
        ({"type": "message", "role": "user", "content": [{"type": "text", "text": "x"}]}, "invalid_value", "item.content[0].type"),
        ({"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]}, "invalid_value", "item.content[0].type"),
        ({"type": "function_call_output", "output": "1"}, "missing_required_parameter", "item.call_id"),
        ({"type": "song"}, "invalid_value", "item.type"),
    ],
)
def test_items_that_can_not_be(item: dict[str, Any], code: str, param: str) -> None:
    driver = Driver()
    refused = error(driver.send("conversation.item.create", item=item))
    assert (refused["code"], refused["param"]) == (code, param)
    assert driver.engine._conversation.entries() == []


def test_sound_in_a_created_item_is_recognised_and_comes_back_on_retrieve_only() -> None:
    driver = Driver()
    sound = base64.b64encode(b"\x07\x00" * 4800).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}
    created = driver.send("conversation.item.create", item=item)
    assert all("audio" not in event["item"]["content"][0] for event in created)
    driver.recognise("seven")
    retrieved = driver.send("conversation.item.retrieve", item_id=created[0]["item"]["id"])
    assert retrieved[0]["item"]["content"][0]["audio"] == sound


def answered() -> tuple[Driver, str]:
    """A driver whose assistant said 2 s in an item."""
    driver = Driver()
    driver.turn()
    item_id: str = one(driver.reply("It is noon. Time for lunch.", 1000), "response.done")["response"]["output"][0]["id"]
    return driver, item_id


def truncate(driver: Driver, item_id: str, ms: int, index: int = 0) -> list[dict[str, Any]]:
    return driver.send("conversation.item.truncate", item_id=item_id, content_index=index, audio_end_ms=ms, event_id="t")


def test_truncate_cuts_the_sound_and_drops_the_transcript() -> None:
    driver, item_id = answered()
    truncated = truncate(driver, item_id, 1500)
    assert [(event["type"], event["audio_end_ms"], event["content_index"]) for event in truncated] == [
        ("conversation.item.truncated", 1500, 0)
    ]
    content = driver.send("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]
    assert len(base64.b64decode(content["audio"])) == 1500 * 48
    assert "transcript" not in content


def test_truncate_to_the_very_end_is_allowed_and_past_it_refused() -> None:
    driver, item_id = answered()
    refused = error(truncate(driver, item_id, 2001))
    assert refused["type"] == "invalid_request_error"
    assert refused["message"] == "Audio content of 2000ms is already shorter than 2001ms"
    assert refused["event_id"] == "t"
    assert types(truncate(driver, item_id, 2000)) == ["conversation.item.truncated"]
    assert types(truncate(driver, item_id, 700)) == ["conversation.item.truncated"]
    assert "700ms is already shorter than 701ms" in error(truncate(driver, item_id, 701))["message"]


@pytest.mark.parametrize(("ms", "index"), [(-1, 0), (100, 1), (100, -1)])
def test_truncate_at_no_place(ms: int, index: int) -> None:
    driver, item_id = answered()
    assert error(truncate(driver, item_id, ms, index))["code"] == "invalid_value"


def test_truncate_of_what_holds_no_model_audio() -> None:
    driver, _ = answered()
    assert error(truncate(driver, "item_x", 0))["code"] == "item_truncate_invalid_item_id"
    user_item = driver.engine._conversation.entries()[0].id
    assert error(truncate(driver, user_item, 0))["code"] == "unsupported_content_type"
    driver.send("conversation.item.create", item=text_item("said", "assistant"))
    assert error(truncate(driver, "said", 0))["code"] == "unsupported_content_type"


def test_what_was_said_is_divided_where_it_was_cut() -> None:
    driver, item_id = answered()
    truncate(driver, item_id, 1500)
    turn = driver.engine._conversation.said()[-1]
    assert (turn.text, turn.unheard) == ("It is noon. Time", "for lunch.")


def test_a_message_of_text_and_sound_keeps_both_and_each_sound_apart() -> None:
    driver = Driver()
    sounds = [base64.b64encode(sample * 4800).decode() for sample in (b"\x07\x00", b"\x08\x00")]
    parts = [{"type": "input_text", "text": "Translate this:"}, *({"type": "input_audio", "audio": sound} for sound in sounds)]
    item = {"type": "message", "id": "both", "role": "user", "content": parts}
    driver.send("conversation.item.create", item=item)
    driver.recognise("good morning")
    assert driver.engine._conversation.said()[-1].text == "Translate this: good morning"
    retrieved = driver.send("conversation.item.retrieve", item_id="both")[0]["item"]["content"]
    assert [part.get("audio") for part in retrieved] == [None, *sounds]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"status": "gone"}, "invalid_value", "item.status"),
        ({"content": [{"type": "input_text", "text": "x" * 70_000}]}, "string_above_max_length", "item.content[0].text"),
    ],
)
def test_items_that_are_too_much(fields: dict[str, Any], code: str, param: str) -> None:
    refused = error(Driver().send("conversation.item.create", item=text_item("a") | fields))
    assert (refused["code"], refused["param"]) == (code, param)
