"""What a check has found: a verdict, a figure, what it means and what to change. Pure."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple


class Verdict(Enum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    name: str
    verdict: Verdict
    #: One sentence.
    meaning: str
    figure: float | None = None
    unit: str = ""
    #: What to do, for what no setting can mend.
    remedy: str = ""
    #: The settings that would mend it.
    settings: Mapping[str, Any] = {}
    #: Other figures, for programs; units in their names.
    details: Mapping[str, Any] = {}

    def as_map(self) -> dict[str, Any]:
        return {**self._asdict(), "verdict": self.verdict.value, "settings": dict(self.settings), "details": dict(self.details)}


def overall(findings: Iterable[Finding]) -> Verdict:
    """The worst of them."""
    verdicts = {finding.verdict for finding in findings}
    return next((verdict for verdict in (Verdict.FAILED, Verdict.WARNING) if verdict in verdicts), Verdict.OK)


def recommended(findings: Iterable[Finding]) -> dict[str, Any]:
    """All settings to change; of two for one key the first, which stands for what comes first on sound's way."""
    settings: dict[str, Any] = {}
    for finding in findings:
        settings = {**finding.settings, **settings}
    return settings
