"""What a run found: rows, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One subject at one case. Times are microseconds a call."""

    case: str
    subject: str
    bytes: int
    limit: float  # time that only reading, or only copying, the bytes takes
    median: float
    low: float
    high: float
    eager: float
    host: float

    @property
    def gigabytes_per_second(self) -> float:
        """Of the bytes that have to be moved."""
        return self.bytes / self.median / 1e3

    @property
    def percent_of_limit(self) -> float:
        """100 is as fast as the bytes can be moved."""
        return 100 * self.limit / self.median


@dataclass(frozen=True)
class Run:
    """Rows of one run on one machine."""

    machine: dict[str, str]
    rows: list[Row]

    def to_json(self) -> str:
        """For other programs. Times are microseconds, as `unit` says."""
        rows = [
            {**asdict(row), "gb_per_s": row.gigabytes_per_second, "percent": row.percent_of_limit}
            for row in self.rows
        ]
        return json.dumps({"machine": self.machine, "unit": "us", "rows": rows}, indent=1) + "\n"

    def to_markdown(self) -> str:
        """For readers."""
        lines = [f"* {name}: {value}" for name, value in self.machine.items()]
        lines += ["", "| " + " | ".join(HEADINGS) + " |", "| --- | --- |" + " ---: |" * 7]
        lines += ["| " + " | ".join(cells(row)) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"


HEADINGS = tuple("case,subject,us,10-90 %,eager us,host us,GB/s,limit us,% of limit".split(","))


def cells(row: Row) -> list[str]:
    """A row of the table, in the order of HEADINGS."""
    return [
        row.case,
        row.subject,
        f"{row.median:.1f}",
        f"{row.low:.1f}-{row.high:.1f}",
        f"{row.eager:.1f}",
        f"{row.host:.1f}",
        f"{row.gigabytes_per_second:.0f}",
        f"{row.limit:.1f}",
        f"{row.percent_of_limit:.0f}",
    ]
