"""Packet tests (NAME.p4 with NAME.stf) through both compilers and both switches: four ways that must agree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2s
from json import dumps
from pathlib import Path

from conformance.bmv2.device import Device
from conformance.bmv2.process import Bmv2, ReferenceError, compile_with_p4c
from p4compiler.compile import compile_file
from p4compiler.source import CompileFailed, Diagnostics
from p4switch.errors import PipelineError
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf.runner import Run, Target
from p4switch.stf.script import Statement, StfError, parse

ONLY_HERE = re.compile(r"^\s*(register_|meter_array)", re.M)
"""Statements that BMv2 cannot be asked for over P4Runtime."""

P4C_DIFFERS = {
    "for_loop": "p4c 1.2.5 writes nothing for a loop with break or continue that it does not unroll",
    "gauntlet_side_effects_in_mux-bmv2": "an out parameter that is never set holds anything",
}
"""Packet tests for which p4c's JSON is not what the language asks for. Both switches must still agree on each JSON,
and a test whose two JSONs no longer differ must leave this list."""

RACES = {
    "issue1097-2-bmv2": "BMv2's egress, a thread of its own, writes a register that its ingress writes meanwhile"
}

SWITCHES_DIFFER = RACES | {
    "issue1062-1-bmv2": "a key of type error has no width in P4Info, so that only p4switch's own calls can write it",
}
"""Programs that the two switches treat differently under random entries."""

ENTRIES_DIFFER = (
    P4C_DIFFERS
    | RACES
    | {
        "gauntlet_short_circuit-bmv2": "an out parameter that is never set holds anything",
        "table_key_expression": "BMv2 masks an entry's key by p4c's static mask, so an impossible key may match",
    }
)
"""Differences like those in P4C_DIFFERS, under random entries."""


@dataclass(frozen=True)
class Built:
    """A compiled program."""

    json: Path
    info: Path


def stem(program: Path, folder: Path, ending: str) -> Path:
    """A file of its own for each program: many folders have a basic.p4."""
    which = blake2s(str(program.resolve()).encode(), digest_size=4).hexdigest()
    return folder / f"{program.stem}.{which}{ending}"


def build_ours(program: Path, folder: Path, include: Sequence[Path] = ()) -> Built:
    """Raises ReferenceError with the first error."""
    diagnostics = Diagnostics()
    try:
        compiled = compile_file(program, diagnostics, include)
    except CompileFailed:
        raise ReferenceError(f"p4compiler refuses {program}: {first_error(diagnostics)}") from None
    json, info = stem(program, folder, ".ours.json"), stem(program, folder, ".ours.p4info.txtpb")
    json.write_text(dumps(compiled.json))
    info.write_text(compiled.p4info_text())
    return Built(json, info)


def first_error(diagnostics: Diagnostics) -> str:
    return next((one.message for one in diagnostics if one.severity == "error"), "")


def build_theirs(program: Path, folder: Path, tools: Path | None, include: Sequence[Path] = ()) -> Built:
    """p4c's, unless it is there already and the program is not newer."""
    json, info = stem(program, folder, ".json"), stem(program, folder, ".p4info.txtpb")
    if not (info.exists() and json.exists() and json.stat().st_mtime > program.stat().st_mtime):
        made = compile_with_p4c(program, folder, tools, [f"-I{one}" for one in include])
        for one, wanted in zip(made, (json, info), strict=True):
            one.rename(wanted)
    return Built(json, info)


Received = dict[int, list[str]]


@dataclass
class Outcome:
    """What one way gave. `failed`: it could not be carried out."""

    received: Received = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    failed: str = ""

    def text(self) -> str:
        if self.failed:
            return self.failed
        return "; ".join(f"port {p}: {' '.join(f)}" for p, f in sorted(self.received.items())) or "nothing"


def differ(one: Outcome, other: Outcome) -> bool:
    return one.received != other.received or bool(one.failed) != bool(other.failed)


def carry_out(target: Target, statements: list[Statement]) -> Outcome:
    run = Run(target)
    try:
        differences = run.run(statements)
    except StfError as error:
        return Outcome(failed=str(error))
    received = {port: sorted(f.hex() for f in frames) for port, frames in run.received.items()}
    return Outcome(received, differences)


def on_bmv2(switch: Bmv2, built: Built, statements: list[Statement]) -> Outcome:
    try:
        with Device(switch, built.json, built.info) as device:
            return carry_out(device, statements)
    except PipelineError as error:
        return Outcome(failed=str(error))


def embedded(built: Built, statements: list[Statement], cache: Path) -> Outcome:
    try:
        with Pipeline.load(built.json, cache=cache, flags=QUICK) as pipeline:
            return carry_out(pipeline, statements)
    except PipelineError as error:
        return Outcome(failed=str(error))


@dataclass(frozen=True)
class Verdict:
    """`faults`: what differs. `passed`: BMv2 with p4c's JSON also did what the test expects."""

    name: str
    faults: tuple[str, ...]
    passed: bool


class Pairs:
    """Runs pairs on one BMv2 process, and again on a fresh one where something differs."""

    def __init__(self, folder: Path, tools: Path | None) -> None:
        self.folder, self.tools = folder, tools
        self._switch: Bmv2 | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Pairs:
        return self

    def __exit__(self, *_: object) -> None:
        self._fresh()

    def _fresh(self) -> None:
        if self._switch is not None:
            self._switch.close()
            self._switch = None

    def _bmv2(self, built: Built, statements: list[Statement]) -> Outcome:
        if self._switch is None:
            self._switch = Bmv2(self.tools)
        try:
            return on_bmv2(self._switch, built, statements)
        except ReferenceError as error:
            self._fresh()
            return Outcome(failed=str(error))

    def run(self, program: Path, script: Path) -> Verdict:
        name = f"{program.parent.name}/{program.stem}"
        text = script.read_text()
        try:
            theirs = build_theirs(program, self.folder, self.tools)
            ours = build_ours(program, self.folder)
            statements = parse(text)
        except (ReferenceError, StfError) as error:
            return Verdict(name, (str(error),), False)
        verdict = self._compare(name, ours, theirs, statements)
        if verdict.faults:
            self._fresh()
            verdict = self._compare(name, ours, theirs, statements)
        return verdict

    def _compare(self, name: str, ours: Built, theirs: Built, statements: list[Statement]) -> Verdict:
        reference, mine = self._bmv2(theirs, statements), self._bmv2(ours, statements)
        listed = ours.json.name.split(".")[0] in P4C_DIFFERS
        expected = mine if listed else reference
        ways = (
            ("BMv2 with p4c's JSON", reference, reference),
            ("BMv2 with p4compiler's JSON", mine, expected),
            ("p4switch with p4c's JSON", embedded(theirs, statements, self.folder / "cache"), reference),
            ("p4switch with p4compiler's JSON", embedded(ours, statements, self.folder / "cache"), expected),
        )
        faults = [f"{way}: {outcome.text()}" for way, outcome, wanted in ways if differ(outcome, wanted)]
        if faults:
            faults = [f"{way}: {outcome.text()}" for way, outcome, _ in ways]
        elif listed and not differ(mine, reference):
            faults = ["p4c's JSON and p4compiler's do the same: take it out of P4C_DIFFERS"]
        return Verdict(name, tuple(faults), not reference.failed and not reference.differences)


def pairs_of(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Every NAME.p4 with NAME.stf."""
    for script in sorted(folder.glob("*.stf")):
        yield script.with_suffix(".p4"), script


def asks_bmv2_too_much(script: Path) -> bool:
    """Registers cannot be written over P4Runtime there."""
    return bool(ONLY_HERE.search(script.read_text()))
