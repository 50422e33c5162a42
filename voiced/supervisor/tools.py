"""What the model may call, from the rows that people name in [tools] and [mcp]. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from voiced.config import Config

#: A function without arguments, as the wire has it.
_NO_ARGUMENTS = {"type": "object", "properties": {}}


def tools(config: Config) -> list[dict[str, Any]]:
    """The functions that scripts or programs answer, as the network process takes them. Programs only where they are allowed:
    a model that is told of a tool nobody runs calls it nonetheless."""
    return [
        {
            "name": name,
            "description": row["description"],
            "parameters": row["parameters"] or _NO_ARGUMENTS,
            "command": list(row["command"]),
            "timeout_s": row["timeout_s"] or config["tool.timeout_s"],
        }
        for name, row in config.table("tools").items()
        if name not in _forbidden(config)
    ]


def _forbidden(config: Config) -> list[str]:
    return [] if config["allow.executables"] else [name for name, row in config.table("tools").items() if row["command"]]


def choice(config: Config) -> str:
    """`realtime.tool_choice`, but `auto` in place of a tool that is left out: a server refuses a session that must use it."""
    chosen = str(config["realtime.tool_choice"])
    return "auto" if chosen in _forbidden(config) else chosen


def warnings(config: Config) -> list[str]:
    """What people should know about tools that are left out."""
    forbidden, chosen = ", ".join(_forbidden(config)), config["realtime.tool_choice"]
    if not forbidden:
        return []
    without = "" if choice(config) == chosen else f", and realtime.tool_choice is auto in place of {chosen}"
    return [f"left out, for they run programs: {forbidden}; allow.executables = true allows them{without}"]


def mcp(config: Config, token: Callable[[str, Mapping[str, Any]], str]) -> list[dict[str, Any]]:
    """The MCP servers in the form of the wire (realtime-protocol 2.5). `token` finds the one of a row, by name, "" for none."""
    return [_server(name, row, token(name, row)) for name, row in config.table("mcp").items()]


def _server(name: str, row: Mapping[str, Any], token: str) -> dict[str, Any]:
    server = {
        "type": "mcp",
        "server_label": name,
        "server_url": row["url"],
        "server_description": row["description"],
        "authorization": token,
        "allowed_tools": list(row["allowed_tools"]),
        "require_approval": row["require_approval"],
    }
    return {field: value for field, value in server.items() if value}
