"""What options take that are numbers: click's own ranges let nan through, and let infinity be a time."""

from __future__ import annotations

from collections.abc import Callable

from topo.errors import UsageError

MOST_SECONDS = 1_000_000.0
"""More than a week; what waits for an answer can be told to wait no longer than some."""


def amount(option: str, unit: str, least: float = 0.0, most: float = MOST_SECONDS) -> Callable[[str | float], float]:
    """For typer's ``parser``: a number from ``least`` to ``most``. UsageError for others, nan among them."""

    def read(text: str | float) -> float:
        try:
            found = float(text)
        except ValueError:
            found = least - 1
        if not least <= found <= most:
            raise UsageError(f"{option} {text}: choose {unit} from {least:g} to {most:.0f}")
        return found

    return read


def seconds(option: str) -> Callable[[str | float], float]:
    """For typer's ``parser``: seconds, 0 among them."""
    return amount(option, "seconds")
