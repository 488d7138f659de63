"""The figures of ``bench switch`` as an SVG: a bar per device and payload size, a line from least to greatest."""

from __future__ import annotations

from html import escape

from bench.switch import Results, spread

WIDTH, ROW, LEFT, RIGHT, TOP = 860, 26, 190, 90, 56
COLOURS = {"embedded": "#1b9e77", "bmv2": "#d95f02", "bridge": "#7570b3", "forwarder": "#66666a"}
FIGURES = (("little_loss_pps", "packets/s with less than 1 % lost"), ("rtt_p50_us", "round trip, median, us"))


def draw(results: Results) -> str:
    """The picture's text."""
    panels, y = [], TOP
    for figure, title in FIGURES:
        rows = [
            (f"{device}, {size} B", device.split()[0], values)
            for size in sorted({size for by_size in results.rates.values() for size in by_size})
            for device, by_size in results.rates.items()
            if (values := spread(by_size.get(size, []), figure))
        ]
        most = max((values[2] for _, _, values in rows), default=1.0)
        panels.append(_text(10, y - 14, title, "font-weight='bold'"))
        for label, device, values in rows:
            panels.append(_bar(y, label, COLOURS.get(device, "#888888"), values, most))
            y += ROW
        y += TOP
    size = f"width='{WIDTH}' height='{y}' font-family='sans-serif' font-size='13'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size}>"
    return "\n".join([head, "<rect width='100%' height='100%' fill='white'/>", *panels, "</svg>", ""])


def _bar(y: int, label: str, colour: str, values: tuple[float, float, float], most: float) -> str:
    scale = (WIDTH - LEFT - RIGHT) / most
    middle, least, greatest = (value * scale for value in values)
    at = y + ROW / 2 - 2
    return "\n".join(
        [
            _text(LEFT - 8, y + 15, label, "text-anchor='end'"),
            f"<rect x='{LEFT}' y='{y + 2}' width='{middle:.1f}' height='{ROW - 8}' fill='{colour}'/>",
            f"<path d='M{LEFT + least:.1f} {at}H{LEFT + greatest:.1f}' stroke='black'/>",
            _text(LEFT + greatest + 6, y + 15, f"{values[0]:,.0f}"),
        ]
    )


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y}' {more}>{escape(text)}</text>"
