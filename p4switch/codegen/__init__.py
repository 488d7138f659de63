"""BMv2 JSON to C: one generator per emitted file. step.c includes all others, so that all is one C unit.

layout, headers         where headers and fields live; extract and emit
checksums, parser, actions, tables, controls, deparser, trace
                        a C file each
step                    step.c: the list of parts, and what runtime/p4_v1model.h, a packet's way, needs of the program
expressions, nodes, emission
                        expressions to nodes, and nodes to C
offsets, text           where headers most likely start; P4 names in comments and strings
"""

from __future__ import annotations

from dataclasses import dataclass

from p4switch.codegen.actions import Actions, log_support
from p4switch.codegen.checksums import Checksums
from p4switch.codegen.controls import Controls
from p4switch.codegen.deparser import generate_deparser
from p4switch.codegen.headers import generate_headers
from p4switch.codegen.layout import Layout, struct_definitions
from p4switch.codegen.parser import ParserGenerator, value_set_widths
from p4switch.codegen.step import Step, digest_width
from p4switch.codegen.tables import Tables, key_offsets, mode
from p4switch.codegen.trace import generate_trace
from p4switch.errors import ProgramError
from p4switch.program import Program
from p4switch.program_json import malformed


@dataclass(frozen=True)
class Generated:
    """`files`: name to C text; step.c is the one to compile.

    `actions`: number of each action id in C. `messages`: texts of log records by number. `value_sets`: widths of the
    components of each. `digests`: by number, its name and its elements' widths.
    """

    files: dict[str, str]
    actions: dict[int, int]
    messages: tuple[str, ...]
    value_sets: dict[str, tuple[int, ...]]
    digests: dict[int, tuple[str, tuple[int, ...]]]


def generate(program: Program) -> Generated:
    """The C of a program. The same program gives the same text. Raises ProgramError."""
    with malformed():
        return _generate(program)


def _generate(program: Program) -> Generated:
    layout = Layout(program)
    actions = Actions(layout)
    _name_selectors(program)
    tables = Tables(layout, actions)
    parser = ParserGenerator(layout, actions).generate()
    files = {
        "types.h": struct_definitions(layout),
        "headers.c": generate_headers(layout) + "\n" + log_support(),
        "checksums.c": Checksums(layout, actions).generate(),
        "parser.c": parser,
        "actions.c": actions.generate(),
        "tables.c": tables.generate(),
        "controls.c": Controls(layout, actions, tables).generate(),
        "deparser.c": generate_deparser(layout, actions),
        "trace.c": generate_trace(layout),
        "step.c": Step(layout).generate(),
    }
    return Generated(
        files,
        tables.action_numbers,
        tuple(actions.messages),
        value_set_widths(layout),
        {d.id: (d.name, tuple(digest_width(layout, d, e) for e in d.elements)) for d in program.digests.values()},
    )


def _name_selectors(program: Program) -> None:
    for profile in program.profiles.values():
        if profile.selector_algorithm and not profile.selector_input:
            raise ProgramError(f"action selector {profile.name} has no input")


__all__ = ["Generated", "generate", "key_offsets", "mode"]
