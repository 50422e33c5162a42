"""A session that can be recorded, played by hand."""

import json
from pathlib import Path
from typing import Any, cast

from tests import replay
from tests.network.script import SETTINGS, Script
from voiced.errors import VoicedError
from voiced.messages import Epoch, Order
from voiced.network.interface import Conversing
from voiced.network.outputs import Record
from voiced.network.quote import Quote
from voiced.network.recording.recorder import Recorder
from voiced.network.session import Session

KEY = SETTINGS["token"]


class Heard:
    """The supervisor's end, as far as a recording speaks to it."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.refusals: list[VoicedError] = []
        self.errors: list[dict[str, Any]] = []

    def answer(self, order: Order, **result: Any) -> None:
        self.answers.append(result)

    def refuse(self, order: Order, error: VoicedError) -> None:
        self.refusals.append(error)

    def publish(self, topic: str, **data: Any) -> None:
        assert topic == "error"
        self.errors.append(data)

    def log(self, level: int, text: str) -> None:
        pass


class Recorded(Script):
    """A script whose session can be recorded, with settings of its own."""

    def __init__(self, directory: Path | str, *, ready: bool = True, **settings: Any) -> None:
        super().__init__(ready=False)
        self.heard = Heard()
        self.settings = {**SETTINGS, "record_dir": str(directory), **settings}
        self.quote = Quote(self.settings["token"])
        self.recorder = Recorder(cast(Any, self.heard), self.quote, self._use)
        self.session = Session(self.settings, Epoch(1000), self.recorder.new_id, quote=self.quote)
        if ready:
            self.do(self.session.connected(self.now, 1e9))
            self.event("session.created", session={"type": "realtime", "id": "sess_1", "expires_at": 1_000_003_600})
            self.event("session.updated", session={"type": "realtime", "id": "sess_1"})
            self.out.clear()

    def _use(self, session: Conversing) -> None:
        self.session = cast(Session, session)

    def record(self, on: bool) -> dict[str, Any]:
        """What is answered."""
        for output in self.order("record", on=on):
            if isinstance(output, Record):
                self.recorder.obey(output.order, output.on, self.session, self.now)
        return self.heard.answers[-1]

    def lines(self) -> list[dict[str, Any]]:
        """Ends the recording; its lines."""
        return [json.loads(line) for line in Path(self.record(False)["path"]).read_text("ascii").splitlines()]

    def steps(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("in") == name]


def differences(lines: list[dict[str, Any]], make: replay.Make = Session) -> list[replay.Step]:
    header, steps = replay.load([json.dumps(line) for line in lines])
    return [step for step in replay.replay(header, steps, make) if step.differs]


def tool(*command: str) -> dict[str, Any]:
    return {"name": "lamp", "description": "", "parameters": {}, "command": list(command), "timeout_s": 5.0}
