"""A child that does what it should, on no device. Orders steer it, so that a test can make it misbehave."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from voiced.child import Child, now_ns, run
from voiced.errors import DeviceUnknown, KeyRefused, NotNow


def _steady(child: Child) -> None:
    settings = child.settings
    while "loads_until" in settings and not Path(settings["loads_until"]).exists():  # a device that takes its time
        time.sleep(0.01)
    if settings.get("fail"):
        raise DeviceUnknown(settings["fail"])
    muted = bool(settings.get("muted"))
    volume = settings.get("volume")
    orders: list[Any] = []  # those that only a network process gets from its supervisor
    child.level_changed = lambda level: orders.append(["log_level", level])
    match settings.get("begins"):
        case "offline":  # gets through when it is configured
            child.publish("session", connected=False, reason="no route", attempt=1, retry_in_s=60.0)
            child.publish("state", state="offline")
        case "late":  # waits, and is refused when it is configured
            pass
        case _:
            _open(child)
    while not child.stopping:
        child.wait(100)
        for order in child.orders():
            match order.command:
                case "mute" | "unmute" | "toggle_mute":
                    muted = order.command == "mute" or (order.command == "toggle_mute" and not muted)
                    child.answer(order, muted=muted)
                case "interrupt":
                    child.publish("flush", epoch=1, reason="interrupt", item_id="item_1", played_ms=40, dropped_ms=2, latency_ms=1.5)
                    child.answer(order, interrupted=True, item_id="item_1", played_ms=40)
                case "devices":
                    child.answer(order, input=[{"name": "test"}, {"name": "other"}], output=[{"name": "test"}])
                case "configure":
                    before, child.settings = child.settings, order.args["settings"] | {"exhausted": child.settings["exhausted"]}
                    if child.settings.get("begins") == "late":
                        child.failed(KeyRefused("the server refused the key"))
                    elif child.settings != before or "begins" in before:
                        _open(child)
                case "budget" | "tool_result":
                    orders.append([order.command, order.args | {"provider": child.settings["provider"]}])
                    if order.command == "budget":
                        child.settings["exhausted"] = order.args["exhausted"]
                        _open(child)
                    child.answer(order, accepted=True)
                case "approve":
                    child.answer(order, accepted=order.args["approved"])
                case "talk":
                    child.answer(order, pressed=order.args["pressed"])
                case "volume":
                    volume = volume if order.args["level"] is None else order.args["level"]
                    child.answer(order, volume=volume)
                case "ears" | "earcon" | "push_to_talk" | "raise":
                    child.log(20, f"{order.command} {order.args}")
                case "record":
                    child.answer(order, recording=order.args["on"], path="/x")
                case "wake":  # tells what it was told
                    child.answer(order, connected=True, settings=child.settings, orders=orders)
                case "transcript":
                    child.answer(order, turns=[{"limit": order.args["limit"]}])
                case "ask":
                    child.refuse(order, NotNow("the server is away"))
                case "say":
                    _obey(child, order.args["text"])
                    child.answer(order, queued=True)
        stats = {"muted": muted, "level_dbfs": -40.0, "frames": time.monotonic_ns()}
        child.beat(stats.copy, now_ns())


def _open(child: Child) -> None:
    """A device, a session, or an embedded server, whose address is another in each process."""
    name, settings = child.name, child.settings
    url = f"ws://127.0.0.1:{os.getpid()}/v1/realtime" if name == "embedded" else settings.get("url", "").partition("?")[0]
    if name == "network":
        exhausted = settings["exhausted"]
        child.publish("session", connected=not exhausted, reason=exhausted or None, attempt=0, retry_in_s=None)
        child.publish("state", state="asleep" if exhausted else "idle")
        if exhausted:
            return
    child.ready(device="test", rate=24000, url=url, **{key: settings[key] for key in ("provider", "model") if key in settings})


def _obey(child: Child, text: str) -> None:
    match text:
        case "call":
            child.publish("tool.call", call_id="call_1", name="weather", arguments={"city": "Bremen"})
        case "approval":
            child.publish("tool.approval", approval_id="a1;b", server="home", name="open_door", arguments={})
        case "spend":
            details = {"audio_tokens": 1_000_000}
            child.publish("spent", kind="response", model="test", usage={"input_tokens": 1_000_000, "input_token_details": details})
        case _ if text.startswith("turn "):
            turn = {"item_id": "i", "role": "user", "text": text, "heard": text, "interrupted": False, "played_ms": None}
            child.publish("turn", **turn)
        case "spin":
            while True:
                pass
        case "deaf":  # gives no answer, and no other sign of trouble
            while not child.stopping:
                child.wait(100)
                list(child.orders())
                child.beat(dict, now_ns())
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise RuntimeError("on purpose")
        case "refused":
            child.failed(KeyRefused("the server refused the key"))
            child.settings["refused"] = True
        case "ears open" | "ears shut":
            child.publish("ears", open=text == "ears open")
        case "complain":
            child.publish("error", code="some_error", message="it went wrong", fatal=False)
        case _ if text.startswith("be "):
            child.publish("state", state=text.removeprefix("be "))
        case "print":
            print("printed by a library", flush=True)


def main(name: str) -> int:
    return run(name, _steady)
