"""What it costs: every spending counted, written down, and held against the daily cap.

A file a local day has a row for each spending, and one for each warning of the cap, so that a restart knows both. Money is never added
up, only tokens: it is computed from their sums, so that a price that is corrected is so for the whole day.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from voiced.supervisor.prices import PRICES_AS_OF, Row
from voiced.supervisor.spending import RESPONSE, TRANSCRIPTION, Tally, counted, model_name, row_of, spendings
from voiced.supervisor.state import DayFiles, day_of

Emissions = list[tuple[str, dict[str, Any]]]

#: A row has some 150 bytes: 400 days of 500 spendings are 30 MB.
KEPT_DAYS: Final = 400
_MOST_BYTES: Final = 1 << 24
#: Days that are remembered, for a clock that jumps back and forth over midnight while the disk is no help.
_REMEMBERED_DAYS: Final = 3
_NEAR, _REACHED = "cost_cap_near", "cost_cap_reached"
_NEAR_PART: Final = 0.8
_LOSS: Final = "what is spent now is forgotten at the next start, by the daily cap as well; make room there or put that right"


class _Day:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.tally = Tally()
        for spending in spendings(rows):
            self.tally.add(*spending)
        #: The warnings that were given, each with the cap that it was about.
        self.told = {(str(row["told"]), float(row["cap_usd"])) for row in rows if _is_warning(row)}


class Ledger:
    """Spendings of this run ("session") and of the local day. Without a directory they are only remembered."""

    def __init__(self, directory: Path | None, prices: Mapping[str, Row], cap_usd: float, wall_s: float) -> None:
        """`prices` are the rows of [prices]; `cap_usd` is for a day, 0 = none."""
        self._prices = prices
        self._cap_usd = float(cap_usd)
        self._session = Tally()
        self._today = day_of(wall_s)
        self._files = DayFiles(directory, "usage", KEPT_DAYS, self._today, _LOSS)
        self._days: dict[str, _Day] = {}
        self._named: set[str] = set()
        self._complaints: list[str] = []

    def spend(self, kind: str, model: str, usage: object, wall_s: float) -> Emissions:
        """Counts a "response" or "transcription"; `usage` as on the wire."""
        self._today = day_of(wall_s)
        kind = kind if kind == TRANSCRIPTION else RESPONSE
        model, counts = model_name(model), counted(kind, usage)
        day = self._day(self._today)
        day.tally.add(kind, model, counts)
        self._session.add(kind, model, counts)
        self._files.append(self._today, row_of(kind, model, counts, self._prices, wall_s))
        return [("usage", self.snapshot(wall_s)), *self._warnings()]

    def roll(self, wall_s: float) -> Emissions:
        """What there is to say where a new local day began, and of a cap that earlier runs reached and nobody was told about."""
        today = day_of(wall_s)
        began = today != self._today
        self._today = today
        return [*([("usage", self.snapshot(wall_s))] if began else []), *self._warnings()]

    def configure(self, prices: Mapping[str, Row], cap_usd: float) -> Emissions:
        """New settings, which hold for all of this day."""
        self._prices, self._cap_usd = prices, float(cap_usd)
        return [("usage", self._shown(self._today)), *self._warnings()]

    @property
    def today(self) -> str:
        """The day that `exhausted` is about. A clock leaps: whether it is over is seen by looking, not by waiting for midnight."""
        return self._today

    @property
    def exhausted(self) -> str:
        """Why no session may be opened today, and the way out; "" where one may."""
        spent = self._spent_usd()
        if not self._cap_usd or spent < self._cap_usd:
            return ""
        return f"{_usd(spent)} spent today, the daily cap is {_usd(self._cap_usd)}: raise cost.daily_cap_usd, or wait until midnight"

    @property
    def trouble(self) -> str:
        """Why nothing can be written down; "" = it can."""
        return self._files.trouble

    @property
    def complaint(self) -> str | None:
        """What is to be logged, handed over once."""
        of_disk = self._files.complaint
        complaints, self._complaints = [*([of_disk] if of_disk else []), *self._complaints], []
        return "; ".join(complaints) or None

    def snapshot(self, wall_s: float) -> dict[str, Any]:
        """What the `usage` command answers."""
        return self._shown(day_of(wall_s))

    def _shown(self, day: str) -> dict[str, Any]:
        return {
            "session": self._session.shown(self._prices),
            "today": self._day(day).tally.shown(self._prices),
            "cap_usd": self._cap_usd or None,
            "currency": "USD",
            "prices_as_of": PRICES_AS_OF,
        }

    def _day(self, day: str) -> _Day:
        if day not in self._days:
            self._days[day] = _Day(self._files.rows(day, _MOST_BYTES))
            for old in list(self._days)[:-_REMEMBERED_DAYS]:
                del self._days[old]
        return self._days[day]

    def _spent_usd(self) -> float:
        return self._day(self._today).tally.usd(self._prices)

    def _warnings(self) -> Emissions:
        """The warning that is due, once a day for each cap; reaching it says all that nearing it would have said."""
        if not self._cap_usd:
            return []
        self._name_unpriced()
        spent, day = self._spent_usd(), self._day(self._today)
        due = [code for code, part in ((_NEAR, _NEAR_PART), (_REACHED, 1.0)) if spent >= part * self._cap_usd]
        new = [code for code in due if (code, self._cap_usd) not in day.told]
        for code in new:
            day.told.add((code, self._cap_usd))
            self._files.append(self._today, {"told": code, "cap_usd": self._cap_usd})
        if not new:
            return []
        near = f"{_usd(spent)} spent today, the daily cap is {_usd(self._cap_usd)}: beyond it no session is opened until midnight"
        message = self.exhausted or f"{near}; cost.daily_cap_usd raises it"
        return [("error", {"code": new[-1], "message": message, "fatal": False})]

    def _name_unpriced(self) -> None:
        for model in self._day(self._today).tally.unpriced(self._prices):
            if model not in self._named:
                self._named.add(model)
                self._complaints.append(f'the daily cap can\'t see what {model} costs; set [prices."{model}"]')


def _is_warning(row: Mapping[str, Any]) -> bool:
    return row.get("told") in (_NEAR, _REACHED) and isinstance(row.get("cap_usd"), float)


def _usd(amount: float) -> str:
    return f"{round(amount, 4):g} USD"
