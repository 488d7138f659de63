"""Switches side by side: round-trip time, rates, start-up, memory, and how the rate falls with the table's size.

All in one network namespace of this process, over two veth pairs, one device at a time, in alternating runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import record
from bench.arguments import count
from bench.arguments import seconds as in_seconds
from bench.switch import devices, measure, updates, workload
from bench.switch.devices import BenchError, Running
from bench.switch.measure import USUAL, Lengths, Traffic
from bench.switch.results import Figures, Results
from hosts.config import LEAST_MTU
from topo import topology

SIZES = (64, 1400)
"""Bytes of UDP payload; the frames are 42 bytes longer."""
IPV4_AND_UDP = 28
TABLES = (
    ("exact", 1),
    ("exact", 1_000),
    ("exact", 100_000),
    ("lpm", 1),
    ("lpm", 1_000),
    ("lpm", 100_000),
    ("ternary", 1),
    ("ternary", 1_000),
    ("ternary", 10_000),
)
UPDATES = (100, 1)
"""Updates in one WriteRequest."""
SWITCHES = ("embedded", "bmv2")


@dataclass(frozen=True)
class Device:
    """One row of the bench: a device, and for a P4 switch the program that it runs."""

    name: str
    program: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.program}".strip()


class Bench:
    """The tools, the programs and a folder for them."""

    def __init__(self, folder: Path, say: Callable[[str], None], lengths: Lengths = USUAL) -> None:
        self.folder = folder
        self.lengths = lengths
        self.say = say
        self.traffic_tool = devices.build_tool("traffic", folder)
        self.forwarder_tool = devices.build_tool("forwarder", folder)
        self.raft = workload.compile_raft(folder / "raft")
        self.l3 = workload.compile_l3(folder / "l3")

    def traffic(self, program: str, size: int) -> Traffic:
        make = workload.raft_frame if program == "raft.p4" else workload.plain_frame
        name = f"{program or 'plain'}-{size}"
        there = workload.write_frames(self.folder / f"{name}.there", [make(size)])
        back = workload.write_frames(self.folder / f"{name}.back", [make(size, back=True)])
        return Traffic(self.traffic_tool, there, back, self.lengths)

    def open(self, device: Device) -> AbstractContextManager[Running]:
        if device.name == "bridge":
            return devices.bridge()
        if device.name == "forwarder":
            return devices.forwarder(self.forwarder_tool)
        return self._programmed(device)

    @contextmanager
    def _programmed(self, device: Device) -> Iterator[Running]:
        compiled = self.raft if device.program == "raft.p4" else self.l3
        rules = workload.raft_rules() if device.program == "raft.p4" else workload.l3_rules()
        with devices.switch(device.name, compiled, self.folder, self.folder / "cache") as running:
            assert running.runtime is not None
            running.runtime.push(compiled.program)
            running.runtime.insert(rules)
            yield running

    # Runs --------------------------------------------------------------------------------------

    def measure(self, device: Device, sizes: tuple[int, ...]) -> dict[int, Figures]:
        """One run of one device."""
        found = {}
        with self.open(device) as running:
            for size in sizes:
                traffic = self.traffic(device.program, size)
                if not traffic.first_ns():
                    raise BenchError(f"{device} forwards nothing; see {self.folder}/*.log with --keep")
                found[size] = {**measure.round_trip(traffic), **measure.rates(traffic, running)}
                memory = running.memory_mb()
                if memory is not None:
                    found[size]["memory_mb"] = memory
        return found

    def start(self, kind: str) -> Figures:
        """Seconds from the push of raft.p4 to the first packet forwarded; cold, then with the build in the cache."""
        figures = {}
        traffic = self.traffic("raft.p4", 64)
        with tempfile.TemporaryDirectory(dir=self.folder) as cache:
            for name in ("cold_s", "cached_s") if kind == "embedded" else ("cold_s",):
                with devices.switch(kind, self.raft, self.folder, Path(cache)) as running:
                    assert running.runtime is not None
                    start = time.monotonic_ns()
                    running.runtime.push(self.raft.program)
                    running.runtime.insert(workload.raft_rules())
                    first = traffic.first_ns()
                    if not first:
                        raise BenchError(f"{kind} forwards nothing")
                    figures[name] = (first - start) / 1e9
        return figures

    def tables(self, match: str, count: int) -> Figures:
        """The embedded switch with many entries, all of them met."""
        size = max(1024, 1 << (count + count // 8).bit_length())
        compiled = workload.compile_l3(self.folder / f"l3-{match}-{size}", match, size)
        rules, addresses = workload.many_rules(match, count)
        there = workload.write_frames(self.folder / f"{match}-{count}.there", workload.table_frames(addresses))
        with devices.switch("embedded", compiled, self.folder, self.folder / "cache") as running:
            assert running.runtime is not None
            running.runtime.push(compiled.program)
            start = time.monotonic()
            running.runtime.insert(rules)
            seconds = time.monotonic() - start
            traffic = Traffic(self.traffic_tool, there, there, self.lengths)
            figures = {**measure.saturated(traffic, running), **measure.rates(traffic, running)}
            memory = running.memory_mb()
            return {**figures, "insert_per_s": count / seconds, "memory_mb": memory or 0.0}


def chosen_devices(names: list[str] | None) -> list[Device]:
    """In the order of running. Raises BenchError for a switch that is not there."""
    known = ("embedded", "bmv2", "bridge", "forwarder")
    there = shutil.which("simple_switch_grpc") is not None
    if names and "bmv2" in names and not there:
        raise BenchError("simple_switch_grpc is not on the PATH: leave bmv2 out, or install it")
    chosen = names or [name for name in known if name != "bmv2" or there]
    found = []
    for name in chosen:
        programs = ("raft.p4", "l3.p4") if name in SWITCHES else ("",)
        found += [Device(name, program) for program in programs]
    return found


def run(options: argparse.Namespace, say: Callable[[str], None]) -> Results:
    """Everything that the options ask for, bounded by their number of seconds. Raises BenchError."""
    chosen = chosen_devices(options.device)
    devices.enter_namespace(options.mtu)
    deadline = time.monotonic() + options.at_most
    results = Results()
    with devices.first_in_line(), _folder(options.keep) as folder:
        bench = Bench(folder, say, Lengths.of_trial(options.trial))
        for number in range(options.rounds):
            for device in chosen:
                if time.monotonic() > deadline:
                    say(f"the {options.at_most:.0f} s are over; {device} has {number} runs")
                    continue
                found = bench.measure(device, tuple(options.size))
                for size, figures in found.items():
                    results.rates.setdefault(str(device), {}).setdefault(size, []).append(figures)
                    say(f"round {number + 1}: {device}, {size} B: {_line(figures)}")
            for kind in dict.fromkeys(d.name for d in chosen if d.name in SWITCHES):
                if time.monotonic() < deadline:
                    results.starts.setdefault(kind, []).append(bench.start(kind))
                    say(f"round {number + 1}: {kind} start: {_line(results.starts[kind][-1])}")
            embedded = "embedded" in {d.name for d in chosen} and not options.no_tables
            for in_one in UPDATES if embedded else ():
                if time.monotonic() < deadline:
                    figures = updates.measure(folder, bench.traffic_tool, in_one)
                    results.updates.setdefault(in_one, []).append(figures)
                    say(f"round {number + 1}: writes of {in_one}: {_line(figures)}")
            for match, count in TABLES if embedded else ():
                if time.monotonic() < deadline:
                    figures = bench.tables(match, count)
                    results.tables.setdefault(match, {}).setdefault(count, []).append(figures)
                    say(f"round {number + 1}: {count} {match} entries: {_line(figures)}")
    return results


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    build = workload.REPOSITORY / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-switch-", dir=build) as folder:
        yield Path(folder)


def _line(figures: Figures) -> str:
    return ", ".join(
        f"{name} {value:,.2f}" if value < 100 else f"{name} {value:,.0f}" for name, value in figures.items()
    )


def as_json(results: Results) -> str:
    return json.dumps(asdict(results), indent=2)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=count, default=5, help="alternating runs, of which the median is shown")
    parser.add_argument(
        "--device",
        action="append",
        choices=("embedded", "bmv2", "bridge", "forwarder"),
        help="only these; may be repeated",
    )
    parser.add_argument(
        "--size", type=count, action="append", help="bytes of UDP payload, 64 or more (default: 64 and 1400)"
    )
    parser.add_argument("--mtu", type=count, default=1500, help="of all interfaces (default: %(default)s)")
    parser.add_argument("--no-tables", action="store_true", help="leave out table sizes and table updates")
    parser.add_argument(
        "--trial",
        type=in_seconds,
        default=USUAL.trial,
        metavar="SECONDS",
        help="length of one trial; the usual one is %(default)s",
    )
    parser.add_argument(
        "--at-most", type=in_seconds, default=2400.0, metavar="SECONDS", help="start no run after these"
    )
    parser.add_argument("--json", action="store_true", help="every run's figures, for programs")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the rates")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave programs, frames and logs here")


def main(options: argparse.Namespace) -> int:
    options.size = options.size or list(SIZES)
    if not LEAST_MTU <= options.mtu <= topology.MAX_MTU:
        print(f"bench: --mtu is {LEAST_MTU} to {topology.MAX_MTU} bytes", file=sys.stderr)
        return 2
    largest = options.mtu - IPV4_AND_UDP
    if min(options.size) < 64 or max(options.size) > largest:
        print(f"bench: --size is 64 to {largest} bytes where --mtu is {options.mtu}", file=sys.stderr)
        return 2
    from rich.console import Console

    progress = Console(stderr=True)
    try:
        results = run(options, lambda text: progress.print(text, highlight=False, soft_wrap=True))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"bench: {error.cmd[0]} failed (exit code {error.returncode}); its words are above", file=sys.stderr)
        return 1
    from bench.switch.report import drawn, series

    about = [f"trials of {options.trial:g} s; interfaces of {options.mtu} bytes"]
    record.keep(options.words, about, series(results))
    if options.plot:
        record.leave(options.plot, drawn(results))
    if options.json:
        print(as_json(results))
    else:
        from bench.switch.report import tables

        console = Console(width=130)
        for one in tables(results):
            console.print(one)
    return 0
