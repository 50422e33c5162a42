"""What outlives a process and a run: what was said, and what it cost. Puts the journal and the ledger to work."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voiced.config import Config
from voiced.supervisor.journal import Journal
from voiced.supervisor.ledger import Ledger
from voiced.supervisor.status import Emission

_S_PER_MIN = 60.0


class Books:
    """Times are unix seconds, since days are kept apart. `complain` takes what people should know: of a
    disk that refuses, or of what can't be priced."""

    def __init__(self, config: Config, directory: Path | None, wall_s: float, complain: Callable[[str | None], None]) -> None:
        self._directory, self._began_s, self._complain = directory, wall_s, complain
        self._config = config
        self._journal = self._opened(wall_s)
        self._ledger = Ledger(directory, config.table("prices"), config["cost.daily_cap_usd"], wall_s)
        self.next_day_s = wall_s + self._ledger.next_day_s(wall_s)

    def configure(self, config: Config, wall_s: float) -> list[Emission]:
        """Takes other settings."""
        before, self._config = self._config, config
        if before.section("memory") != config.section("memory"):
            self._journal = self._opened(wall_s)
        return self._accounted(self._ledger.configure(config.table("prices"), config["cost.daily_cap_usd"]))

    def _opened(self, wall_s: float) -> Journal:
        return Journal(self._directory if self._config["memory.keep"] else None, self._config["memory.days"], wall_s)

    # what was said ---------------------------------------------------------------------------------------------------

    def said(self, turn: Mapping[str, Any], wall_s: float) -> None:
        self._complain(self._journal.add(dict(turn), wall_s))

    def history(self, wall_s: float) -> list[dict[str, Any]]:
        """What a process of the network that starts now should know: all of this run, and what an earlier one left lately."""
        within_s = max(wall_s - self._began_s, self._config["memory.resume_min"] * _S_PER_MIN)
        return self._journal.recent(within_s, wall_s)

    # what it cost ----------------------------------------------------------------------------------------------------

    @property
    def record_dir(self) -> str:
        """Where the wire may be written down; "" = nowhere."""
        allowed = self._directory if self._config["allow.recording"] else None
        return str(allowed / "recordings") if allowed else ""

    @property
    def exhausted(self) -> str:
        """Why nothing more may be spent today; "" = it may."""
        return self._ledger.exhausted

    def spent(self, data: Mapping[str, Any], wall_s: float) -> list[Emission]:
        return self._accounted(self._ledger.spend(data["kind"], data["model"], data["usage"], wall_s))

    def turn_page(self, wall_s: float) -> list[Emission]:
        """A day is over."""
        self.next_day_s = wall_s + self._ledger.next_day_s(wall_s)
        return self._accounted(self._ledger.roll(wall_s))

    def _accounted(self, emissions: list[Emission]) -> list[Emission]:
        self._complain(self._ledger.complaint)
        return emissions

    def usage(self, wall_s: float) -> dict[str, Any]:
        return self._ledger.snapshot(wall_s)
