"""The results of ``bench switch`` as tables for people: medians, and in brackets the least and the greatest."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from bench.plot import Series, panels_of, picture
from bench.switch.results import Figures, Results, spread

PACKETS = "packets/s with less than 1 % lost"
RATES = (
    ("RTT p50 us", "rtt_p50_us"),
    ("p99 us", "rtt_p99_us"),
    ("no loss", "no_loss_pps"),
    ("loss < 1 %", "little_loss_pps"),
    ("under overload", "overload_pps"),
    ("CPU us", "cpu_us"),
    ("MB", "memory_mb"),
)


def tables(results: Results) -> list[Table]:
    made = []
    if results.rates:
        made.append(_rates(results))
    if results.starts:
        made.append(_starts(results))
    if results.updates:
        made.append(_updates(results))
    if results.tables:
        made.append(_sizes(results))
    return made


def _rates(results: Results) -> Table:
    shown = Table("device", "payload", *(title for title, _ in RATES), title="UDP, one way; packets per second")
    sizes = sorted({size for by_size in results.rates.values() for size in by_size})
    for size in sizes:
        for device, by_size in results.rates.items():
            if size in by_size:
                shown.add_row(device, f"{size} B", *(cell(by_size[size], name) for _, name in RATES))
    return shown


def _starts(results: Results) -> Table:
    shown = Table("switch", "cold s", "with a cached build s", title="raft.p4: push to first packet forwarded")
    for kind, runs in results.starts.items():
        shown.add_row(kind, cell(runs, "cold_s"), cell(runs, "cached_s"))
    return shown


def _updates(results: Results) -> Table:
    shown = Table("updates in a request", "updates/s", "packets/s", "packets", "lost", "by no entry ever written")
    shown.title = "embedded switch: table updates while packets flow"
    for in_one, runs in results.updates.items():
        names = ("updates_per_s", "offered_pps", "sent", "lost", "foreign")
        shown.add_row(f"{in_one}", *(cell(runs, name) for name in names))
    return shown


def _sizes(results: Results) -> Table:
    shown = Table("match", "entries", "loss < 1 %", "busy: CPU us", "of 1 entry's rate", "inserts/s", "MB")
    shown.title = "embedded switch, one table of l3.p4, 64 B; packets per second"
    for match, by_count in results.tables.items():
        base = spread(by_count[min(by_count)], "busy_us")
        for count, runs in by_count.items():
            here = spread(runs, "busy_us")
            share = f"{base[0] / here[0]:.0%}" if here and base else "-"
            names = ("little_loss_pps", "busy_us", "insert_per_s", "memory_mb")
            cells = [cell(runs, name) for name in names]
            shown.add_row(match, f"{count:,}", *cells[:2], share, *cells[2:])
    return shown


def cell(runs: list[Figures], name: str) -> str:
    found = spread(runs, name)
    if found is None:
        return "-"
    texts = [_number(value) for value in found]
    return texts[0] if len(runs) == 1 else f"{texts[0]} ({texts[1]} - {texts[2]})"


def _number(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f}k"
    if value >= 1_000:
        return f"{value / 1000:.1f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def label(device: str, size: int) -> str:
    """A device with the bytes of its packets' payload."""
    return f"{device}, {size} B"


def series(results: Results) -> Iterator[Series]:
    """The rates and round trips, a bar for each device and size."""
    for figure, title in (
        ("little_loss_pps", PACKETS),
        ("rtt_p50_us", "round trip, median, us"),
    ):
        for size in sorted({size for by_size in results.rates.values() for size in by_size}):
            for device, by_size in results.rates.items():
                values = tuple(run[figure] for run in by_size.get(size, []) if figure in run)
                if values:
                    yield Series(title, label(device, size), device.split()[0], values)


def drawn(results: Results) -> str:
    """The same as an SVG."""
    return picture(panels_of(series(results)))
