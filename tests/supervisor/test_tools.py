from typing import Any

from voiced.config import Config
from voiced.supervisor import tools


def config(rows: dict[str, dict[str, dict[str, Any]]], **values: Any) -> Config:
    return Config({name.replace("__", "."): value for name, value in values.items()}, "test", rows)


def test_a_tool_of_scripts_is_a_function_with_a_time_of_its_own_or_everybodys() -> None:
    made = config({"tools": {"a": {"description": "A"}, "b": {"timeout_s": 3.0, "parameters": {"type": "object"}}}}, tool__timeout_s=7.0)
    assert tools.tools(made) == [
        {"name": "a", "description": "A", "parameters": {"type": "object", "properties": {}}, "command": [], "timeout_s": 7.0},
        {"name": "b", "description": "", "parameters": {"type": "object"}, "command": [], "timeout_s": 3.0},
    ]
    assert tools.warnings(made) == []


def test_programs_are_told_of_only_where_they_may_run() -> None:
    rows = {"tools": {"lamp": {"command": ["lamp", "--on"]}, "door": {"command": ["door"]}, "ask": {}}}
    refused = config(rows)
    assert [tool["name"] for tool in tools.tools(refused)] == ["ask"]
    assert tools.warnings(refused) == ["left out, for they run programs: lamp, door; allow.executables = true allows them"]
    allowed = config(rows, allow__executables=True)
    assert [tool["command"] for tool in tools.tools(allowed)] == [["lamp", "--on"], ["door"], []]
    assert tools.warnings(allowed) == []


def test_a_tool_that_is_left_out_is_not_the_one_to_use() -> None:
    rows = {"tools": {"lamp": {"command": ["lamp"]}, "ask": {}}}
    refused = config(rows, realtime__tool_choice="lamp")
    assert tools.choice(refused) == "auto"
    assert tools.warnings(refused)[0].endswith("allows them, and realtime.tool_choice is auto in place of lamp")
    assert tools.choice(config(rows, realtime__tool_choice="lamp", allow__executables=True)) == "lamp"
    assert [tools.choice(config(rows, realtime__tool_choice=name)) for name in ("ask", "none", "required")] == ["ask", "none", "required"]


def test_an_mcp_server_is_in_the_form_of_the_wire_without_what_is_empty() -> None:
    made = config(
        {"mcp": {"home": {"url": "https://h", "authorization_env": "T", "allowed_tools": ["light"]}, "open": {"url": "https://o"}}}
    )
    assert tools.mcp(made, lambda name, row: f"{name}'s secret" if row["authorization_env"] else "") == [
        {
            "type": "mcp",
            "server_label": "home",
            "server_url": "https://h",
            "authorization": "home's secret",
            "allowed_tools": ["light"],
            "require_approval": "always",
        },
        {"type": "mcp", "server_label": "open", "server_url": "https://o", "require_approval": "always"},
    ]
