"""A child that does what it should, on no device. Orders steer it, so that a test can make it misbehave."""

import os
import signal
import time

from voiced.child import Child, now_ns, run
from voiced.errors import DeviceUnknown, KeyRefused, NotNow


def _steady(child: Child) -> None:
    settings = child.settings
    if settings.get("fail"):
        raise DeviceUnknown(settings["fail"])
    muted = bool(settings.get("muted"))
    child.ready(device="test", rate=24000, url="ws://127.0.0.1:1/v1/realtime", token=settings.get("token", ""))
    child.publish("state", state="idle")
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
                case "transcript":
                    child.answer(order, turns=[{"limit": order.args["limit"]}])
                case "ask":
                    child.refuse(order, NotNow("the server is away"))
                case "say":
                    _obey(child, order.args["text"])
                    child.answer(order, queued=True)
        stats = {"muted": muted, "level_dbfs": -40.0}
        child.beat(stats.copy, now_ns())


def _obey(child: Child, text: str) -> None:
    match text:
        case "hang":
            time.sleep(3600)
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
        case "be speaking" | "be idle":
            child.publish("state", state=text.removeprefix("be "))
        case "print":
            print("printed by a library", flush=True)


def main(name: str) -> int:
    return run(name, _steady)
