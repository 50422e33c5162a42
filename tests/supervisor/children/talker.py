"""A child that logs, as itself and as a library, and then fails as it is told to."""

import logging
import sys
import threading

from voiced.child import Child, now_ns, run
from voiced.errors import DeviceUnknown
from voiced.logs import forward


def _talk(child: Child) -> None:
    forward(child)
    for name in ("voiced.capture", "websockets.client"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "%s from %s", logging.getLevelName(level), name)
    match child.settings["end"]:
        case "error":
            raise DeviceUnknown("no such device")
        case "bug":
            raise KeyError("oops")
        case "threads":
            _log_elsewhere(child)
            child.wait(0)
            child.beat(dict, now_ns())
        case "wait":
            child.ready(device="x")
            while not child.stopping:
                child.wait(10_000)
                for order in child.orders():
                    logging.getLogger("voiced").debug("obeyed")
                    child.answer(order, echo=order.args)


def _log_elsewhere(child: Child) -> None:
    thread = threading.Thread(target=lambda: logging.getLogger("other").warning("WARNING from a thread"))
    thread.start()
    thread.join()
    child.log(logging.INFO, "none sent by its own thread")  # else that would be before this
    child.ready()


if __name__ == "__main__":
    sys.exit(run("talker", _talk))
