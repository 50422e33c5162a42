"""What outlives a process and a run: what was said, and what it cost. Puts the journal and the ledger to work."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voiced.config import Config
from voiced.supervisor.journal import Journal
from voiced.supervisor.ledger import Ledger
from voiced.supervisor.state import day_of
from voiced.supervisor.status import Emission

_S_PER_MIN = 60.0


class Books:
    """Times are unix seconds, since days are kept apart. `complain` takes what people should know: of a
    disk that refuses, or of what can't be priced."""

    def __init__(self, config: Config, directory: Path | None, wall_s: float, complain: Callable[[str | None], None]) -> None:
        #: Of voiced's state; None where nothing can be kept.
        self.directory, self._complain = directory, complain
        self._config = config
        self._journal = Journal(*self._kept, config["memory.resume_min"] * _S_PER_MIN, wall_s)
        self._ledger = Ledger(directory, config.table("prices"), config["cost.daily_cap_usd"], wall_s)

    def heed(self, complain: Callable[[str | None], None]) -> None:
        """Another one takes complaints from here on."""
        self._complain = complain

    @property
    def troubles(self) -> list[str]:
        """What of the disk is wrong now."""
        return [trouble for trouble in (self._journal.trouble, self._ledger.trouble) if trouble]

    def configure(self, config: Config, wall_s: float) -> list[Emission]:
        """Takes other settings."""
        before, self._config = self._kept, config
        if self._kept != before:
            self._journal.keep(*self._kept, wall_s)
        return self._accounted(self._ledger.configure(config.table("prices"), config["cost.daily_cap_usd"]))

    @property
    def _kept(self) -> tuple[Path | None, int]:
        """Where what is said is written down, and for how many days it stays there."""
        return self.directory if self._config["memory.keep"] else None, self._config["memory.days"]

    # what was said ---------------------------------------------------------------------------------------------------

    def said(self, turn: Mapping[str, Any], wall_s: float) -> None:
        self._complain(self._journal.add(dict(turn), wall_s))

    def saying(self, words: Mapping[str, Any]) -> None:
        """The assistant's words as they come, of a `transcript.assistant` event."""
        self._journal.begun(words["item_id"], words["text"], final=words["final"])

    @property
    def history(self) -> list[dict[str, Any]]:
        """What a process of the network that starts now should know."""
        return self._journal.turns

    # what it cost ----------------------------------------------------------------------------------------------------

    @property
    def record_dir(self) -> str:
        """Where the wire may be written down; "" = nowhere."""
        allowed = self.directory if self._config["allow.recording"] else None
        return str(allowed / "recordings") if allowed else ""

    @property
    def exhausted(self) -> str:
        """Why nothing more may be spent today; "" = it may."""
        return self._ledger.exhausted

    def spent(self, data: Mapping[str, Any], wall_s: float) -> list[Emission]:
        return self._accounted(self._ledger.spend(data["kind"], data["model"], data["usage"], wall_s))

    def day_is_over(self, wall_s: float) -> bool:
        return day_of(wall_s) != self._ledger.today

    def turn_page(self, wall_s: float) -> list[Emission]:
        """What there is to say at the start and when a day is over."""
        return self._accounted(self._ledger.roll(wall_s))

    def _accounted(self, emissions: list[Emission]) -> list[Emission]:
        self._complain(self._ledger.complaint)
        return emissions

    def usage(self, wall_s: float) -> dict[str, Any]:
        return self._ledger.snapshot(wall_s)
