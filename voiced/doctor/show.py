"""Findings as lines for people. Pure."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from voiced.doctor.finding import Finding, Verdict
from voiced.shown import harmless

_MARKS = {Verdict.OK: ("✓", "+"), Verdict.WARNING: ("!", "!"), Verdict.FAILED: ("✗", "x")}
_NAME, _FIGURE = 12, 11
_NARROWEST = 30


def lines(findings: Iterable[Finding], *, width: int, encoding: str) -> Iterator[str]:
    plain = not can_show("✓✗→", encoding)
    for finding in findings:
        start = f"{_MARKS[finding.verdict][plain]} {finding.name:<{_NAME}}{_figure(finding):>{_FIGURE}}  "
        room = max(_NARROWEST, width - len(start))
        told = textwrap.wrap(harmless(finding.meaning), room, break_on_hyphens=False)
        if finding.remedy:
            arrow = "-> " if plain else "→ "
            told += textwrap.wrap(
                harmless(finding.remedy), room, initial_indent=arrow, subsequent_indent=" " * len(arrow), break_on_hyphens=False
            )
        for number, line in enumerate(told):
            yield ((start if number == 0 else " " * len(start)) + line).rstrip()


def can_show(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _figure(finding: Finding) -> str:
    if finding.figure is None:
        return ""
    return f"{finding.figure:g}" + (f" {finding.unit}" if finding.unit else "")


def summary(findings: Iterable[Finding]) -> str:
    verdicts = [finding.verdict for finding in findings]
    failed, warnings = verdicts.count(Verdict.FAILED), verdicts.count(Verdict.WARNING)
    parts = [f"{failed} failed"] if failed else []
    parts += [f"{warnings} warning{'s' if warnings > 1 else ''}"] if warnings else []
    return ", ".join(parts) or "All is well."


def as_toml(settings: Mapping[str, Any]) -> Iterator[str]:
    """Settings as lines of the configuration."""
    sections: dict[str, list[str]] = {}
    for name, value in settings.items():
        section, _, key = name.rpartition(".")
        sections.setdefault(section, []).append(f"{key} = {literal(value)}")
    for section, keys in sections.items():
        yield f"[{section}]"
        yield from keys


def literal(value: Any) -> str:
    """A value of a setting that we recommend, as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else str(value)
