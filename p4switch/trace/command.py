"""What happens to a packet: ``python -m p4switch.trace PROG.p4 --port 1 --hex 0011…``.

Compiles the program with p4compiler (or takes a BMv2 JSON), fills its tables from an STF file, sends the frame
through in process, and prints its way: parser states, conditions, tables with key, entry and action, changes, and
its end. Without --hex the packets of the STF file are traced.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from p4switch.errors import PipelineError
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program_json import load_json
from p4switch.stf.runner import PACKET_INTERVAL_US, Run, compile_p4
from p4switch.stf.script import Expect, NoPacket, Packet, Statement, StfError, port_number, read
from p4switch.trace.events import MOST_EVENTS, Tracer, packets
from p4switch.trace.journey import Narrator


@dataclass(frozen=True)
class Given:
    """What to trace. `packets`: (port, frame); none: those of the entries file."""

    program: Path
    json_file: Path | None
    entries: Path | None
    packets: tuple[tuple[int, bytes], ...]
    options: tuple[str, ...] = ()
    cache: Path | None = None
    most_events: int = MOST_EVENTS


def trace(given: Given) -> Iterator[list[str]]:
    """The lines of each packet. Raises StfError, PipelineError, OSError."""
    with _of(given.entries):
        statements = read(given.entries) if given.entries else []
    with tempfile.TemporaryDirectory(prefix="p4switch-trace-") as folder:
        source = given.json_file or given.program
        if source.suffix == ".p4":
            source = compile_p4(source, Path(folder), given.options)
        data = load_json(source)
    with Pipeline.load(data, cache=given.cache) as pipeline:
        tracer = Tracer(pipeline, data, given.cache)
        tracer.choose(most=given.most_events)
        narrator = Narrator(pipeline, tracer.places)
        for at, one in enumerate(_packets(Run(pipeline), statements, given.packets, given.entries), 1):
            for events in packets(tracer.step(*one, at * PACKET_INTERVAL_US, at)):
                yield narrator.tell(events)


def _packets(
    run: Run, statements: Sequence[Statement], chosen: Sequence[tuple[int, bytes]], entries: Path | None
) -> Iterator[tuple[int, bytes]]:
    """Carries out the statements; yields the file's packets in their place, or else the chosen ones at the end."""
    for one in statements:
        if isinstance(one, Packet):
            if not chosen:
                yield one.port, one.frame
        elif not isinstance(one, Expect | NoPacket):
            with _of(entries):
                run.run([one])
    yield from chosen


@contextmanager
def _of(entries: Path | None) -> Iterator[None]:
    """Errors in a file name it."""
    try:
        yield
    except StfError as error:
        raise StfError(f"{entries}: {error}") from None


def _port(text: str) -> int:
    try:
        return port_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(arguments: Sequence[str] | None = None, prog: str = "python -m p4switch.trace") -> int:
    parser = argparse.ArgumentParser(prog=prog, description="Show a packet's way through a program.")
    parser.add_argument("program", type=Path, metavar="PROG.p4", help="a P4 program, or its BMv2 JSON")
    parser.add_argument("--port", type=_port, default=1, help="where the frame comes in (default: 1)")
    parser.add_argument("--hex", action="append", default=[], metavar="BYTES", help="the frame; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the compiled program")
    parser.add_argument("--entries", type=Path, metavar="FILE.stf", help="add, setdefault, mc_mgrp_create… lines")
    parser.add_argument("--full", action="store_true", help=f"tell also what comes after {MOST_EVENTS} steps")
    parser.add_argument("--cache", type=Path, help="folder of built programs")
    parser.add_argument("-I", dest="include", action="append", default=[], help="include folder for the compiler")
    parser.add_argument("-D", dest="define", action="append", default=[], help="NAME=VALUE for the compiler")
    options = parser.parse_args(arguments)
    if options.json is None and not options.program.is_file():
        print(f"trace: there is no file {options.program}", file=sys.stderr)
        return 1
    if not options.hex and options.entries is None:
        parser.error("name a frame (--hex), or an STF file with packets (--entries)")
    try:
        frames = [bytes.fromhex("".join(text.split()).removeprefix("0x")) for text in options.hex]
    except ValueError:
        parser.error("--hex takes pairs of hex digits, as in --hex '0800 0000 0102'")
    for_compiler = [x for i in options.include for x in ("-I", i)] + [x for d in options.define for x in ("-D", d)]
    given = Given(
        options.program,
        options.json,
        options.entries,
        tuple((options.port, frame) for frame in frames),
        tuple(for_compiler),
        options.cache,
        0 if options.full else MOST_EVENTS,
    )
    try:
        shown = 0
        for lines in trace(given):
            print(("\n" if shown else "") + "\n".join(lines))
            shown += 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader, such as `head`, has seen enough
        return 1
    except (StfError, PipelineError) as error:
        print(f"trace: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"trace: {error.filename or given.program}: {error.strerror}", file=sys.stderr)
        return 1
    if not shown:
        print(f"trace: {given.entries} has no packets: name one with --hex", file=sys.stderr)
        return 1
    return 0


def p4trace() -> int:
    """The installed command."""
    return main(prog="p4trace")


if __name__ == "__main__":
    sys.exit(main())
