"""A child that logs, as itself and as a library, and then fails as it is told to."""

import logging
import sys

from voiced.child import Child, run
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
        case "wait":
            child.ready(device="x")
            while not child.stopping:
                child.wait(10_000)
                for order in child.orders():
                    child.answer(order, echo=order.args)


if __name__ == "__main__":
    sys.exit(run("talker", _talk))
