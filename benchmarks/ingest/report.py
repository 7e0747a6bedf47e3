"""Rows of a result: name, value, unit and, where there is one, the bar it must meet."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        value: the figure.
        unit: its unit.
        bar: what it must reach; None for a figure without a bar.
        better: which direction is better.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None
    better: Literal["higher", "lower"] = "lower"

    @property
    def met(self) -> bool | None:
        """Whether the bar is met, None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.better == "higher" else self.value <= self.bar


def table(rows: list[Row]) -> str:
    """Return the rows as text in columns."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}}  {'value':>14}  {'unit':12}  bar"]
    for row in rows:
        bar = "" if row.bar is None else f"{'>=' if row.better == 'higher' else '<='} {row.bar:,g}"
        verdict = {True: "  met", False: "  MISSED", None: ""}[row.met]
        lines.append(f"{row.name:{width}}  {row.value:>14,.6g}  {row.unit:12}  {bar}{verdict}")
    return "\n".join(lines)


def write(rows: list[Row], path: Path) -> None:
    """Write the rows as a JSON list, one row a line."""
    path.write_text("[\n" + ",\n".join(json.dumps(asdict(row)) for row in rows) + "\n]\n", encoding="utf-8")
