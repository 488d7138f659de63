"""Packets through compiled programs and through the interpreter: both must give the same packet."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.fuzz.language import tree as g
from conformance.fuzz.language.interpret import Endless, Interpreter, Result
from conformance.fuzz.language.show import source
from conformance.fuzz.language.values import Undefined
from p4compiler.compile import compile_text
from p4compiler.source import CompileFailed, Diagnostics
from p4switch.errors import PipelineError
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline

PORT_IN, PORT_OUT = 3, 1


@dataclass(frozen=True)
class Difference:
    """What a program does and must not. `frame`: the packet, None where the program does not compile."""

    frame: bytes | None
    text: str


def expected(program: g.Program, frame: bytes) -> Result | None:
    """The packet that must come out; None where the specification leaves open what happens."""
    try:
        return Interpreter(frame).program(program)
    except (Undefined, Endless):
        return None


def differences(programs: Sequence[g.Program], cache: Path) -> list[Difference | None]:
    """For each program the first difference, or None. The programs are compiled together."""
    diagnostics = Diagnostics()
    try:
        compiled = compile_text(source(programs), diagnostics)
    except CompileFailed:
        return _alone(programs, cache, "\n".join(one.render() for one in diagnostics))
    except Exception as error:
        return _alone(programs, cache, f"{type(error).__name__}: {error}")
    try:
        with Pipeline.load(compiled.json, cache=cache, flags=QUICK) as pipeline:
            return [_first(program, number, pipeline) for number, program in enumerate(programs)]
    except PipelineError as error:
        return _alone(programs, cache, f"the switch refuses it: {error}")


def _alone(programs: Sequence[g.Program], cache: Path, fault: str) -> list[Difference | None]:
    if len(programs) == 1:
        return [Difference(None, fault)]
    return [difference for program in programs for difference in differences([program], cache)]


def _first(program: g.Program, number: int, pipeline: Pipeline) -> Difference | None:
    for frame in program.packets:
        wanted = expected(program, frame)
        if wanted is None:
            continue
        out = pipeline.step(PORT_IN, bytes([number]) + frame, 1_000_000).packets
        if [port for port, _ in out] != [PORT_OUT] or out[0][1][0] != number or not wanted.allows(out[0][1][1:]):
            got = ", ".join(f"port {port}: {data[1:].hex()}" for port, data in out) or "nothing"
            wish = f"port {PORT_OUT}: {wanted}"
            return Difference(frame, f"packet   {frame.hex()}\nexpected {wish}\nreceived {got}")
    return None


def compared(program: g.Program) -> int:
    """How many of the program's packets have a defined result."""
    return sum(expected(program, frame) is not None for frame in program.packets)


def difference(program: g.Program) -> Difference | None:
    """What differs for one program, built in a folder of its own; None if nothing does."""
    with tempfile.TemporaryDirectory(prefix="p4-language-") as folder:
        return differences([program], Path(folder))[0]
