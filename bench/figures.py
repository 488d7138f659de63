"""``python -m bench figures``: all that benchmarks have recorded as one page, and the README's table.

The page has every record, the table is of records of one commit alone: figures of different commits side by side
would say nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from bench import record
from bench.consensus import failover
from bench.consensus.commit import RATE, Case
from bench.consensus.grounds import Timing
from bench.plot import panels_of, picture
from bench.record import Record, RecordError, shown
from bench.switch import report
from topo import paths

README = paths.ROOT / "README.md"
BEGIN, END = "<!-- figures: python -m bench figures --readme -->\n", "<!-- end of figures -->\n"

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
code { background: #eee; padding: 0 .2em } h2 { margin-top: 3rem } svg { max-width: 100%; height: auto }
td, th { text-align: left; padding: 0 1em 0 0; vertical-align: top } p.of { color: #555 }
"""


@dataclass(frozen=True)
class Row:
    """A row of the README's table: what stands there, and the bars that it is of."""

    what: str
    words: str
    """The command that is to be run for it, after ``python -m bench``."""
    panel: str
    ours: str
    """The label of switchraft's bar."""
    beside: tuple[tuple[str, str], ...]
    """Names and labels of what is measured beside it."""
    form: str = "{:,.0f}"


_COMMIT = "commit --nodes 3 --size 64 --outstanding 1,64 --with etcd --rounds 5"
_ONE, _MANY = (Case("switchraft", 3, 1, 64, outstanding) for outstanding in (1, 64))
ROWS = (
    *(
        Row(
            f"commits/s, {case.outstanding} outstanding", _COMMIT, RATE,
            str(case), (("etcd", str(replace(case, system="etcd"))),),
        )
        for case in (_ONE, _MANY)
    ),
    Row(
        "leader killed, until a put is answered (50 / 300 ms)", "failover", failover.SILENCE,
        failover.label("switchraft", Timing()), (("etcd", failover.label("etcd", Timing())),), "{:.3f} s",
    ),
    Row(
        "packets of 64 bytes a second through raft.p4", "switch", report.PACKETS,
        report.label("embedded raft.p4", 64), (("BMv2", report.label("bmv2 raft.p4", 64)),),
    ),
)  # fmt: skip
"""Labels and panels are those of the benchmarks themselves."""


def page(records: Sequence[Record]) -> str:
    """All records, as HTML that needs nothing else."""
    parts = ["<!doctype html><html lang='en'><meta charset='utf-8'>"]
    parts.append("<meta name='viewport' content='width=device-width'>")
    parts.append(f"<title>switchraft: figures</title><style>{STYLE}</style><h1>What was measured</h1>")
    parts.append("<p>A bar is the median of the runs, the line on it goes from the least to the greatest.</p>")
    for one in records:
        parts += _section(one)
    return "\n".join([*parts, "</html>", ""])


def _section(one: Record) -> Iterator[str]:
    yield f"<h2>{escape(one.bench)}</h2><p><code>{escape(one.command)}</code></p>"
    where = f"{one.when}, commit {one.commit}; {one.machine}"
    yield f"<p class='of'>{'<br>'.join(map(escape, (where, *one.conditions)))}</p>"
    if one.series:
        yield picture(panels_of(one.series))
    if one.facts:
        cells = (
            f"<tr><td>{escape(name)}</td><td>{escape(shown(value))}</td></tr>" for name, value in one.facts.items()
        )
        yield f"<table>{''.join(cells)}</table>"


def readme_table(records: Sequence[Record]) -> str:
    """The README's table with the sentence before it. Raises RecordError if a command has not been recorded, or not
    at the same commit and on the same machine as the others."""
    by_bench = {row.words: _record_of(row, records) for row in ROWS}
    of = {(one.commit, one.machine) for one in by_bench.values()}
    if len(of) > 1:
        told = "; ".join(f"{words.split()[0]}: {one.commit}" for words, one in by_bench.items())
        raise RecordError(f"the records are of different commits or machines ({told}): run them all again")
    ((commit, machine),) = of
    lines = [
        f"At commit {commit}, on {machine}: medians of alternating runs, everything on the disks of a quorum",
        "before it is acknowledged, one Python client. [All figures, and how far to trust them](docs/benchmarks.md).",
        "",
        "| `sudo .venv/bin/python -m bench …` | | switchraft | beside it |",
        "|---|---|---|---|",
    ]
    before = ""
    for row in ROWS:
        command = "" if row.words == before else f"`{row.words}`"
        before = row.words
        lines.append(f"| {command} | {row.what} | {' | '.join(_cells(row, by_bench[row.words]))} |")
    return "\n".join([*lines, ""])


def _record_of(row: Row, records: Sequence[Record]) -> Record:
    for one in records:
        if list(one.words) == row.words.split():
            return one
    raise RecordError(f"nothing is recorded of: sudo .venv/bin/python -m bench {row.words}")


def _cells(row: Row, one: Record) -> Iterator[str]:
    found = {
        series.label: row.form.format(statistics.median(series.values))
        for series in one.series
        if series.panel == row.panel
    }
    if row.ours not in found:
        raise RecordError(f"{one.command}: its record has no {row.ours!r}")
    yield found[row.ours]
    yield ", ".join(f"{name}: {found.get(label, 'not there')}" for name, label in row.beside)


def put_into(text: str, table: str) -> str:
    """A README's text with another table. Raises RecordError if it has no place for one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RecordError(f"{README.name} has no lines {BEGIN.strip()!r} and {END.strip()!r}: put them back")
    return before + begin + table + end + after


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, help="where the records are (default: build/bench/records)")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md, too")


def main(options: argparse.Namespace) -> int:
    try:
        records = record.read_all(options.folder or record.folder())
        if not records:
            place = paths.shown(options.folder or record.folder())
            raise RecordError(f"nothing is recorded in {place}: run benchmarks first, with: make bench")
        table = put_into(README.read_text(encoding="utf-8"), readme_table(records)) if options.readme else ""
        file = record.write(paths.build() / "bench" / "index.html", page(records))
        print(f"{paths.shown(file)}: {len(records)} {'record' if len(records) == 1 else 'records'}")
        if table:
            record.write(README, table)
            print(f"{README.name}: its table")
    except RecordError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0
