"""Calls of tools, from the brain's wish to its answer."""

import json
from typing import Any

import pytest

from tests.embedded.driver import Driver, error, one, types
from voiced.embedded.work import Call, Said, Think

WEATHER = {"type": "function", "name": "weather", "description": "of today", "parameters": {"type": "object"}}
MCP = {"type": "mcp", "server_label": "docs", "server_url": "https://example.org"}
CALLED = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
]


def output(call_id: str, text: str = "sunny") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def test_a_call_alone_is_the_whole_output() -> None:
    driver = Driver(tools=[WEATHER])
    before = driver.turn("weather?")[-2]["item"]["id"]
    assert (driver.last(Think).tools, driver.last(Think).tool_choice) == ((WEATHER,), "auto")
    called = driver.think(Call("weather", '{"city": "Bern"}'), "")
    assert types(called) == [*CALLED, "response.done"]
    added, item_added, delta, done, item_done, output_done, response_done = called
    assert (added["item"]["status"], added["item"]["arguments"], added["output_index"]) == ("in_progress", "", 0)
    assert {item_added["previous_item_id"], item_done["previous_item_id"]} == {before}
    assert delta["delta"] == done["arguments"] == output_done["item"]["arguments"] == '{"city": "Bern"}'
    assert done["name"] == "weather"
    assert {event["call_id"] for event in (delta, done)} == {added["item"]["call_id"]}
    assert {event["item_id"] for event in (delta, done)} == {added["item"]["id"]}
    response = response_done["response"]
    assert (response["status"], response["output"]) == ("completed", [output_done["item"]])
    assert output_done["item"]["status"] == "completed"
    assert response["usage"]["output_token_details"] == {"text_tokens": 4, "audio_tokens": 0}


def test_what_a_tool_tells_is_answered() -> None:
    driver = Driver(tools=[WEATHER])
    driver.turn("weather?")
    first = one(driver.think(Call("weather", "{}"), ""), "response.done")["response"]
    call_id = first["output"][0]["call_id"]
    created = driver.send("conversation.item.create", item=output(call_id))
    assert types(created) == ["conversation.item.added", "conversation.item.done"]
    driver.send("response.create")
    assert driver.last(Think).said == (
        Said("user", "weather?"),
        Said("call", "{}", call_id=call_id, name="weather"),
        Said("tool", "sunny", call_id=call_id),
    )
    done = one(driver.reply("It is sunny."), "response.done")["response"]
    assert [item["type"] for item in done["output"]] == ["message"]
    of_the_tool = done["usage"]["input_token_details"]["text_tokens"] - first["usage"]["input_token_details"]["text_tokens"]
    assert of_the_tool == 1 + 2  # "{}" and "sunny"


def test_words_first_then_calls() -> None:
    driver = Driver(tools=[WEATHER])
    driver.turn()
    news = driver.think("Let me see.", Call("weather", "{}"), Call("weather", '{"tomorrow": true}'), "")
    assert types(news) == []  # the words are still to be spoken
    driver.speak(500)
    said = driver.drain()
    assert types(said)[-13:] == [*CALLED, *CALLED, "response.done"]
    done = said[-1]["response"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call", "function_call"]
    indexes = [event["output_index"] for event in said if event["type"] == "response.output_item.added"]
    assert indexes == [0, 1, 2]
    ids = [item["call_id"] for item in done["output"][1:]]
    assert len(set(ids)) == 2
    items = [entry.id for entry in driver.engine._conversation.entries()]
    assert items[-3:] == [item["id"] for item in done["output"]]


def test_a_written_response_that_only_calls_has_no_empty_message() -> None:
    driver = Driver(tools=[WEATHER], output_modalities=["text"])
    driver.send("response.create")
    assert types(driver.think(Call("weather", "{}"), "")) == [*CALLED, "response.done"]


def test_whoever_is_interrupted_calls_nothing() -> None:
    driver = Driver(tools=[WEATHER])
    driver.turn()
    driver.think("Let me see. That takes a while.", Call("weather", "{}"), "")
    driver.speak(5000)
    driver.drain(limit=2)
    after = driver.hear((0.9, 96))
    assert "response.function_call_arguments.done" not in types(after)
    done = one(after, "response.done")["response"]
    assert (done["status"], [item["type"] for item in done["output"]]) == ("cancelled", ["message"])


def test_calls_out_of_band_enter_no_history() -> None:
    driver = Driver(tools=[WEATHER])
    driver.send("response.create", response={"conversation": "none"})
    called = driver.think(Call("weather", "{}"), "")
    assert types(called) == [kind for kind in CALLED if not kind.startswith("conversation")] + ["response.done"]
    assert driver.engine._conversation.entries() == []


def test_who_must_not_call_does_not_know_of_tools_and_is_not_obeyed() -> None:
    driver = Driver(tools=[WEATHER], tool_choice="none")
    driver.send("response.create")
    assert driver.last(Think).tools == ()
    assert types(driver.think(Call("weather", "{}"), "")) == ["response.done"]
    driver.send("response.create", response={"tool_choice": "required"})
    assert (driver.last(Think).tools, driver.last(Think).tool_choice) == ((WEATHER,), "required")


def test_the_tools_of_mcp_servers_are_not_called() -> None:
    driver = Driver(tools=[MCP, WEATHER])
    driver.send("response.create")
    assert driver.last(Think).tools == (WEATHER,)


def test_a_choice_that_is_none() -> None:
    refused = error(Driver().send("session.update", session={"type": "realtime", "tool_choice": "sometimes"}))
    assert (refused["code"], refused["param"]) == ("invalid_value", "session.tool_choice")


def test_a_brain_that_calls_and_calls() -> None:
    driver = Driver(tools=[WEATHER])
    driver.send("response.create")
    called = driver.think(*[Call("weather", "{}")] * 100, "")
    assert types(called).count("response.output_item.done") == 16


def test_what_tools_tell_may_be_long() -> None:
    driver = Driver()
    assert types(driver.send("conversation.item.create", item=output("c", "x" * 200_000)))[0] == "conversation.item.added"
    assert error(driver.send("conversation.item.create", item=output("c", "x" * 300_000)))["code"] == "string_above_max_length"


def test_a_call_of_another_session_is_taken_over() -> None:
    driver = Driver()
    call = {"type": "function_call", "call_id": "c9", "name": "weather", "arguments": json.dumps({"city": "Bern"})}
    driver.send("conversation.item.create", item=call)
    driver.send("conversation.item.create", item=output("c9"))
    driver.send("response.create")
    assert [turn.role for turn in driver.last(Think).said] == ["call", "tool"]


@pytest.mark.parametrize("missing", ["call_id", "name"])
def test_a_call_without(missing: str) -> None:
    call = {"type": "function_call", "call_id": "c9", "name": "weather", "arguments": "{}"}
    del call[missing]
    assert error(Driver().send("conversation.item.create", item=call))["param"] == f"item.{missing}"
