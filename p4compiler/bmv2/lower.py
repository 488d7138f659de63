"""The whole BMv2 JSON document of a program."""

from __future__ import annotations

from typing import Any

from p4compiler import types as t
from p4compiler.bmv2.checksums import ChecksumWriter, DeparserWriter
from p4compiler.bmv2.controls import ControlWriter
from p4compiler.bmv2.expressions import register_fields
from p4compiler.bmv2.externs import Externs
from p4compiler.bmv2.loops import close_loops
from p4compiler.bmv2.output import Output
from p4compiler.bmv2.parsers import ParserWriter
from p4compiler.elaborate import program as elaborate
from p4compiler.elaborate.values import Fault, Values
from p4compiler.ir.tidy import tidy
from p4compiler.source import CompileFailed, Diagnostics


def lower(program: elaborate.Program, name: str, diagnostics: Diagnostics) -> dict[str, Any]:
    """The JSON document; `name` is the program's file. CompileFailed after errors."""
    values = Values(program.facts, diagnostics)
    values.storage = program.storage
    output = Output(program, name)
    externs = Externs(output, values.leaves, diagnostics)
    try:
        _write(program, output, externs, diagnostics)
    except Fault as fault:
        diagnostics.error(str(fault), fault.loc or program.facts.program.end)
        raise CompileFailed from None
    diagnostics.stop_if_errors()
    return output.root


def _write(program: elaborate.Program, output: Output, externs: Externs, diagnostics: Diagnostics) -> None:
    for stack in program.storage.stacks:
        element = t.strip(stack.type.element)
        if isinstance(element, t.Struct) and element.kind == "header":
            register_fields(element, [name for name, _ in output.flat_fields(element)])
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
