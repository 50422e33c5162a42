"""What shows from outside how voiced does, beside status and log: metrics for Prometheus, and flight recordings."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from voiced.bus import Poller
from voiced.config import Config
from voiced.flight import Ring
from voiced.supervisor import log
from voiced.supervisor.flights import Flights
from voiced.supervisor.member import Member
from voiced.supervisor.metrics import Tally, exposition
from voiced.supervisor.policy import State
from voiced.supervisor.scrapes import Scrapes


class Instruments:
    """`snapshot` is the status map; `flights` has by name what the processes said on the bus lately."""

    def __init__(
        self,
        poller: Poller,
        directory: Path | None,
        snapshot: Callable[[], Mapping[str, Any]],
        flights: Callable[[], Mapping[str, Ring]],
        say: log.Log,
    ) -> None:
        def complain(line: str) -> None:
            say(log.WARNING, log.SELF, line)

        self._say, self._rings = say, flights
        self._tally = Tally()
        self._flights = Flights(directory, complain)
        self._scrapes = Scrapes(poller, lambda: exposition(snapshot(), self._tally), complain)

    def configure(self, config: Config) -> None:
        self._scrapes.listen(config["metrics.listen"])

    def count(self, topic: str, data: Mapping[str, Any]) -> None:
        """An event was published."""
        self._tally.count(topic, data)

    def died(self, member: Member, reason: str, now_s: float) -> None:
        """Records the flight of one that nobody asked to end, and that lacked no device."""
        given_up = member.state is State.GIVEN_UP
        if given_up or (member.state is State.BACKOFF and not member.life.blameless and not member.lacks_something):
            self._record(member.name, f"the {member.name} process died: {reason}", now_s, always=given_up)

    def asked(self, now_s: float) -> None:
        """Records a flight because somebody wants it."""
        self._record(log.SELF, "asked for by SIGUSR1", now_s, always=True)

    def _record(self, name: str, why: str, now_s: float, *, always: bool) -> None:
        file = self._flights.write(name, why, self._rings(), now_s, always=always)
        if file is not None:
            self._say(log.INFO, log.SELF, f"what went over the bus in the 30 s before: {file}", event="flight", file=str(file))

    # the loop --------------------------------------------------------------------------------------------------------

    def see(self, woken: set[object], now_s: float) -> None:
        self._scrapes.see(woken, now_s)

    @property
    def deadlines(self) -> Iterator[float]:
        return self._scrapes.deadlines

    def keep_time(self, now_s: float) -> None:
        self._scrapes.keep_time(now_s)

    def close(self) -> None:
        self._scrapes.close()
        self._flights.wait()
