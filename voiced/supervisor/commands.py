"""What the supervisor does by control commands: one case each. Those of the processes are handed on by `server`."""

import os
import time
from collections.abc import Callable
from typing import Any

from voiced import __version__, control
from voiced.errors import InternalControlError, NotNow
from voiced.supervisor.books import Books
from voiced.supervisor.household import Household
from voiced.supervisor.settings import Settings
from voiced.supervisor.status import Status


class Commands:
    """`apply` goes by the settings of now, of which these keys changed; `stop` ends the daemon and says why in the log."""

    def __init__(
        self,
        settings: Settings,
        household: Household,
        books: Books,
        status: Status,
        snapshot: Callable[[], dict[str, Any]],
        apply: Callable[[list[str]], None],
        stop: Callable[[str], None],
    ) -> None:
        self._settings, self._household, self._books, self._status = settings, household, books, status
        self._snapshot, self._apply, self._stop = snapshot, apply, stop

    def serve(self, command: str, args: dict[str, Any]) -> dict[str, Any]:
        match command:
            case "ping":
                return {"version": __version__, "pid": os.getpid(), "protocol": control.PROTOCOL}
            case "status":
                return self._snapshot()
            case "usage":
                return self._books.usage(time.time())
            case "describe":
                return control.describe()
            case "shutdown":
                if not self._household.stopping:
                    self._stop("voicectl shutdown")
                return {"stopping": True}
        if self._household.stopping:
            raise NotNow("voiced is stopping")
        match command:
            case "reload":
                changed = self._settings.reload()
                self._apply(changed)
                return {"changed": changed, "restart": self._household.outdated()}
            case "profile":
                if args["name"] is not None:
                    self._apply(self._settings.switch(args["name"]))
                return {"profile": self._settings.now.profile, "profiles": self._settings.profiles, "restart": self._household.outdated()}
            case "restart":
                self._household.replace(args["process"])
                return {"process": args["process"]}
        raise InternalControlError(f"voiced does not know its own command {command}; please report this")

    def finish(self, command: str, result: dict[str, Any]) -> dict[str, Any]:
        """Completes a process's answer: capture lists the devices; which are open, playback knows for the other half."""
        if command == "devices":
            for direction in ("input", "output"):
                in_use = self._status.devices_in_use(direction)
                for device in result.get(direction, []):
                    device["in_use"] = device.get("name") in in_use
        return result
