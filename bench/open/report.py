"""What is told of an open loop: the knee, the recovery, tables and bars.

**The knee** is the greatest share of the closed loop's rate whose p99 is below KNEE times the p99 at 25 %, by medians
of the rounds. **The recovery** is the time from the moment when the rate falls from the highest share to 50 % until
the end of the first of IN_A_ROW windows of 100 ms, one after the other, whose p99 is below TWICE times that of the
round's stretch at 50 %. A window's p99 is of all that was due in it, answered or not.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from bench.open.samples import WINDOW_S, Measured, Window, packed, plain
from bench.plot import Series

LOWEST, HALF = 25, 50
"""Percent of the closed loop's rate: what the knee and the recovery are compared with."""
KNEE = 5.0
TWICE = 2.0
IN_A_ROW = 3
LATE = 0.5
"""Where the client's lag is more of the latency, the client is the limit, or the machine has no time for it."""


@dataclass(frozen=True)
class Case:
    """What is measured in every round."""

    nodes: int
    size: int
    operation: str

    def __str__(self) -> str:
        return f"{self.nodes} members, {self.size} B, {self.operation}"


@dataclass
class Round:
    """Each share's stretch, by percent, what followed the highest, and what the client library counted in each."""

    shares: dict[int, Measured] = field(default_factory=dict)
    after: Measured | None = None
    counters: dict[int, dict[str, int]] = field(default_factory=dict)

    def recovery_s(self) -> float:
        """Infinity if the recovery was not seen."""
        return math.inf if self.after is None else recovery_s(self.after.windows, TWICE * self.shares[HALF].p99_ms)


@dataclass
class Curve:
    """All rounds of a case, at shares of the rate that a closed loop reached."""

    closed_per_s: float
    rounds: list[Round] = field(default_factory=list)

    def values(self, share: int, figure: str) -> list[float]:
        """Of each round."""
        return [float(getattr(one.shares[share], figure)) for one in self.rounds]

    @property
    def shares(self) -> list[int]:
        """In percent, from the lowest on."""
        return sorted(self.rounds[0].shares)

    def knee(self) -> int | None:
        """In percent; None if not even the lowest share counts."""
        return knee({share: statistics.median(self.values(share, "p99_ms")) for share in self.shares})


def knee(p99_ms: dict[int, float]) -> int | None:
    """The knee of a curve, p99 by share in percent; None where there is none."""
    most = KNEE * p99_ms[LOWEST]
    if most == math.inf:
        return None
    return max((share for share, p99 in p99_ms.items() if p99 < most), default=None)


def recovery_s(windows: Sequence[Window], most_ms: float) -> float:
    """The recovery in seconds, where p99 is to be below ``most_ms``; infinity if it was not seen."""
    if most_ms == math.inf:
        return math.inf
    good = 0
    for number, window in enumerate(windows):
        good = good + 1 if window.p99_ms < most_ms else 0
        if good == IN_A_ROW:
            return round(windows[number + 1 - IN_A_ROW].begin_s + WINDOW_S, 3)
    return math.inf


# -- for people -----------------------------------------------------------------------------------------------------

COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "offered_per_s": ("offered/s", "{:,.0f}".format),
    "achieved_per_s": ("achieved/s", "{:,.0f}".format),
    "p50_ms": ("p50 ms", "{:,.2f}".format),
    "p99_ms": ("p99 ms", "{:,.2f}".format),
    "p999_ms": ("p99.9 ms", "{:,.2f}".format),
    "max_ms": ("max ms", "{:,.1f}".format),
    "not_begun": ("not begun", "{:,.0f}".format),
    "errors": ("errors", "{:,.0f}".format),
    "lag_p99_ms": ("client's lag, p99 ms", "{:,.2f}".format),
    "client_share": ("client's CPU", "{:.0%}".format),
}
PANELS = ("p50_ms", "p99_ms", "p999_ms", "achieved_per_s")
"""Those that are drawn."""


def table(case: Case, curve: Curve, title: str) -> Table:
    """A row for each share: medians, and least to greatest in brackets."""
    shown = Table("share", title=title)
    for heading, _ in COLUMNS.values():
        shown.add_column(heading, justify="right")
    for share in curve.shares:
        cells = [_spread(curve.values(share, name), form) for name, (_, form) in COLUMNS.items()]
        shown.add_row(f"{share} %", *cells)
    shown.caption = f"{case}: 100 % is {curve.closed_per_s:,.0f}/s, which a closed loop of 64 outstanding reached"
    return shown


def _spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    least, middle, most = (
        form(one) if math.isfinite(one) else "none" for one in (min(values), statistics.median(values), max(values))
    )
    return middle if least == most else f"{middle} ({least}-{most})"


def told(curve: Curve, seconds: float) -> dict[str, str]:
    """Knee and recovery, in words. ``seconds``: for how long the recovery was looked for."""
    found = curve.knee()
    at = "none: not even the lowest share" if found is None else f"{found} %"
    if found is not None:
        at += f" of {curve.closed_per_s:,.0f}/s, p99 {shown_ms(statistics.median(curve.values(found, 'p99_ms')))}"
    took = [one.recovery_s() for one in curve.rounds]
    middle, least, most = (shown_recovery(one, seconds) for one in (statistics.median(took), min(took), max(took)))
    spread = f" ({least} to {most})" if least != most else ""
    words = {"knee": at, f"recovery after {curve.shares[-1]} %": middle + spread}
    late = [share for share in curve.shares if is_client_late(curve, share)]
    lost = [share for share in curve.shares if math.inf in curve.values(share, "p99_ms")]
    for text, shares in (("the client itself was late at", late), ("more than 1 % got no answer at", lost)):
        if shares:
            words[text] = ", ".join(f"{share} %" for share in shares)
    return words


def is_client_late(curve: Curve, share: int) -> bool:
    """Whether, by medians, the p99 of the client's lag is more than LATE times that of the latency."""
    lag, p99 = (statistics.median(curve.values(share, name)) for name in ("lag_p99_ms", "p99_ms"))
    return lag > LATE * p99


def shown_recovery(took_s: float, seconds: float) -> str:
    """A recovery that was looked for during so many seconds."""
    return f"{took_s:.1f} s" if math.isfinite(took_s) else f"not within {seconds:g} s"


def shown_ms(one: float) -> str:
    """A latency in milliseconds, where it is one."""
    return f"{one:,.2f} ms" if math.isfinite(one) else "none"


# -- for programs ---------------------------------------------------------------------------------------------------


def series(curves: dict[Case, Curve]) -> Iterator[Series]:
    """For the picture: a panel for each case and figure, a bar for each share. Where a round has no value there is no
    bar: one of the other rounds alone would look too good."""
    for case, curve in curves.items():
        for name in PANELS:
            for share in curve.shares:
                values = tuple(curve.values(share, name))
                if all(map(math.isfinite, values)):
                    label = f"{share} %: {curve.closed_per_s * share / 100:,.0f}/s offered"
                    yield Series(f"{COLUMNS[name][0]}: {case}", label, "switchraft", values)


def samples(curves: dict[Case, Curve], seconds: float) -> list[dict[str, Any]]:
    """All that was measured, as JSON has it. What is infinite is null."""
    cases = [
        {
            "nodes": case.nodes,
            "size": case.size,
            "operation": case.operation,
            "closed_per_s": curve.closed_per_s,
            "knee_percent": curve.knee(),
            "recovery_s": [one.recovery_s() for one in curve.rounds],
            "recovery_looked_for_s": seconds,
            "rounds": [
                {
                    "shares": [
                        {"percent": share, **packed(found), "counters": one.counters.get(share, {})}
                        for share, found in sorted(one.shares.items())
                    ],
                    "after": None if one.after is None else packed(one.after),
                }
                for one in curve.rounds
            ],
        }
        for case, curve in curves.items()
    ]
    plained: list[dict[str, Any]] = plain(cases)
    return plained
