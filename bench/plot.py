"""Figures as an SVG: panels of bars, and on each bar a line from the least to the greatest value."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, ROW, LEFT, RIGHT, TOP = 960, 26, 330, 90, 56
COLOURS = {
    "embedded": "#1b9e77",
    "bmv2": "#d95f02",
    "bridge": "#7570b3",
    "forwarder": "#66666a",
    "switchraft": "#1b9e77",
    "etcd": "#d95f02",
    "pysyncobj": "#7570b3",
}


@dataclass(frozen=True)
class Bar:
    """``kind`` gives the colour."""

    label: str
    kind: str
    middle: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Panel:
    """Bars of one scale."""

    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Series:
    """What one bar is drawn of: the value of each run. ``kind`` is the system or device."""

    panel: str
    """What is measured, with its unit: bars of one panel share a scale."""
    label: str
    kind: str
    values: tuple[float, ...]


def panels_of(series: Iterable[Series]) -> list[Panel]:
    """Medians with their spread, by panel, as they come."""
    bars: dict[str, list[Bar]] = {}
    for one in series:
        middle = statistics.median(one.values)
        bars.setdefault(one.panel, []).append(Bar(one.label, one.kind, middle, min(one.values), max(one.values)))
    return [Panel(title, found) for title, found in bars.items()]


def picture(panels: Sequence[Panel]) -> str:
    """The picture's text."""
    parts, y = [], TOP
    for panel in panels:
        most = max((bar.greatest for bar in panel.bars), default=1.0)
        parts.append(_text(10, y - 14, panel.title, "font-weight='bold'"))
        for bar in panel.bars:
            parts.append(_bar(y, bar, most))
            y += ROW
        y += TOP
    size = f"width='{WIDTH}' height='{y}' font-family='sans-serif' font-size='13'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size}>"
    return "\n".join([head, "<rect width='100%' height='100%' fill='white'/>", *parts, "</svg>", ""])


def _bar(y: int, bar: Bar, most: float) -> str:
    scale = (WIDTH - LEFT - RIGHT) / (most or 1.0)
    middle, least, greatest = bar.middle * scale, bar.least * scale, bar.greatest * scale
    at = y + ROW / 2 - 2
    colour = COLOURS.get(bar.kind, "#888888")
    return "\n".join(
        [
            _text(LEFT - 8, y + 15, bar.label, "text-anchor='end'"),
            f"<rect x='{LEFT}' y='{y + 2}' width='{middle:.1f}' height='{ROW - 8}' fill='{colour}'/>",
            f"<path d='M{LEFT + least:.1f} {at}H{LEFT + greatest:.1f}' stroke='black'/>",
            _text(LEFT + greatest + 6, y + 15, f"{bar.middle:,.0f}" if bar.middle >= 100 else f"{bar.middle:.2f}"),
        ]
    )


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y}' {more}>{escape(text)}</text>"
