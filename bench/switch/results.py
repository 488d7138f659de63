"""What ``bench switch`` has measured, run by run."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

Figures = dict[str, float]
"""One run's, by name."""


@dataclass
class Results:
    """Every run's figures: of a device by payload size, of its start, and of a table by match kind and size."""

    rates: dict[str, dict[int, list[Figures]]] = field(default_factory=dict)
    starts: dict[str, list[Figures]] = field(default_factory=dict)
    tables: dict[str, dict[int, list[Figures]]] = field(default_factory=dict)
    updates: dict[int, list[Figures]] = field(default_factory=dict)
    """By the number of updates in one WriteRequest."""


def spread(runs: list[dict[str, Any]], name: str) -> tuple[float, float, float] | None:
    """(median, least, greatest) of a figure that the runs have."""
    values = [run[name] for run in runs if name in run]
    return (statistics.median(values), min(values), max(values)) if values else None
