"""Samples, figures and the table they make."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Stats(NamedTuple):
    n: int
    median: float
    p95: float
    max: float


def stats(samples: Sequence[float]) -> Stats:
    """Of at least one sample. The percentiles are samples that were really measured (nearest rank)."""
    ordered = sorted(samples)

    def rank(part: float) -> float:
        return ordered[max(0, math.ceil(part * len(ordered)) - 1)]

    return Stats(len(ordered), rank(0.5), rank(0.95), ordered[-1])


class Figure(NamedTuple):
    """One line of the table: what was measured, what was wanted of it, and how others did.

    `median_limit` and `p95_limit` are in `unit`; None where nothing was promised. `baseline` maps what others do to
    the same measurement of that, in the same run.
    """

    name: str
    unit: str
    samples: Sequence[float]
    median_limit: float | None = None
    p95_limit: float | None = None
    baseline: Mapping[str, Sequence[float]] = {}
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None where nothing was promised or nothing measured."""
        if not self.samples or (self.median_limit is None and self.p95_limit is None):
            return None
        measured = stats(self.samples)
        limits = ((measured.median, self.median_limit), (measured.p95, self.p95_limit))
        return all(value <= limit for value, limit in limits if limit is not None)


_HEADS = ("figure", "target", "median", "p95", "max", "n", "peers")
_WIDTHS = (40, 13, 8, 8, 8, 4, 12)


def rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    """The cells of the table, headings apart."""
    return [_row(figure) for figure in figures]


def text_table(figures: Sequence[Figure]) -> str:
    """The table for a terminal of 100 columns."""
    lines = [_line(_HEADS), "-" * (sum(_WIDTHS) + len(_WIDTHS) - 1)]
    for figure in figures:
        lines.append(_line(_row(figure)))
        if figure.note:
            lines.append(f"    {figure.note}")
    return "\n".join(lines)


def markdown_table(figures: Sequence[Figure]) -> str:
    """The table for the README."""
    lines = ["| " + " | ".join(_HEADS) + " |", "|---|---|" + "--:|" * (len(_HEADS) - 2)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(figures)]
    return "\n".join(lines)


def as_json(figures: Sequence[Figure], about: Mapping[str, Any]) -> str:
    return json.dumps({"about": about, "figures": [figure._asdict() | {"met": figure.met} for figure in figures]}, indent=1)


def _row(figure: Figure) -> tuple[str, ...]:
    verdict = {True: "", False: " !", None: ""}[figure.met]
    name = f"{figure.name}, {figure.unit}"
    baseline = " / ".join(_number(stats(samples).median) for samples in figure.baseline.values() if samples)
    if not figure.samples:
        return name, _target(figure), "-", "-", "-", "0", baseline
    measured = stats(figure.samples)
    cells = (_number(measured.median) + verdict, _number(measured.p95), _number(measured.max))
    return name, _target(figure), *cells, str(measured.n), baseline


def _target(figure: Figure) -> str:
    limits = [_number(limit) for limit in (figure.median_limit, figure.p95_limit) if limit is not None]
    return f"≤ {' / '.join(limits)}" if limits else ""


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"


def _line(cells: Sequence[str]) -> str:
    first, *rest = cells
    padded = [cell.rjust(width) for cell, width in zip(rest, _WIDTHS[1:], strict=True)]
    return " ".join([first.ljust(_WIDTHS[0]), *padded]).rstrip()
