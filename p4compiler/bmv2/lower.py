"""The whole BMv2 JSON document of a program."""

from __future__ import annotations

from typing import Any

from p4compiler.bmv2.checksums import ChecksumWriter, DeparserWriter
from p4compiler.bmv2.controls import ControlWriter
from p4compiler.bmv2.externs import Externs
from p4compiler.bmv2.loops import close_loops
from p4compiler.bmv2.output import Output
from p4compiler.bmv2.parsers import ParserWriter
from p4compiler.elaborate import program as elaborate
from p4compiler.ir.tidy import tidy
from p4compiler.source import CompileFailed, Diagnostics, Fault


def lower(program: elaborate.Program, name: str, diagnostics: Diagnostics) -> dict[str, Any]:
    """The JSON document; `name` is the program's file. CompileFailed after errors."""
    output = Output(program, name)
    externs = Externs(output, diagnostics)
    try:
        _write(program, output, externs, diagnostics)
    except Fault as fault:
        diagnostics.error(str(fault), fault.loc or program.facts.program.end)
        raise CompileFailed from None
    diagnostics.stop_if_errors()
    return output.root


def _write(program: elaborate.Program, output: Output, externs: Externs, diagnostics: Diagnostics) -> None:
    output.root["errors"] = [[n, v] for n, v in program.facts.errors.items()]
    externs.check_objects(program.externs)
    diagnostics.stop_if_errors()
    ParserWriter(output, externs, diagnostics).write(program.parser_start, program.parser_states)
    controls = ControlWriter(output, externs, diagnostics)
    for role in (elaborate.INGRESS, elaborate.EGRESS):
        body = tidy(close_loops(program.controls[role], program.storage))
        controls.write(role, body, program.control_locs[role])
    DeparserWriter(output, diagnostics).write(
        program.controls[elaborate.DEPARSER], program.control_locs[elaborate.DEPARSER]
    )
    checksums = ChecksumWriter(output, externs, diagnostics)
    checksums.write(program.controls[elaborate.COMPUTE], verify=False)
    checksums.write(program.controls[elaborate.VERIFY], verify=True)
    externs.write_objects(program.externs)
    output.write_headers()
