"""What random inputs need to know of a program: its parser's ways, its tables' keys and actions, its constants.

Plain values that JSON can hold, so that a recording keeps them beside the program: inputs made from a shape stay the
same when a compiler comes to name or order things otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from p4switch.program import Program, Table, inner_parts

Shape = dict[str, Any]
MOST_CONSTANTS = 64
DEFAULT_ONLY, TABLE_ONLY = 2, 1
"""Scopes of an action, as P4Info numbers them."""

OPTIONAL = 6
"""The match type, as P4Info numbers it: the JSON has it as ternary."""


def shape_of(program: Program, info: Any) -> Shape:
    """`info`: the P4Info message."""
    known = {table.preamble.name: table for table in info.tables}
    ids = {action.preamble.name: action.preamble.id for action in info.actions}
    tables = [_table(program, t, known[t.name], ids) for t in program.tables.values() if t.name in known]
    constants = sorted(set(_constants(program)))
    return {
        "init": program.parser.init_state,
        "states": {state.name: _state(program, state) for state in program.parser.states},
        "tables": tables,
        "constants": constants[:: max(1, len(constants) // MOST_CONSTANTS)],
        "sums": sorted({c.target for c in program.checksums if program.field(*c.target).width == 16}),
        "sequential": _repeats(program),
        "time": _reads_time(program),
    }


def _state(program: Program, state: Any) -> dict[str, Any]:
    extracted = []
    for op in state.ops:
        if op["op"] in ("extract", "extract_VL"):
            extracted.append(_extracted(program, op["parameters"][0]))
    key: list[Any] = []
    for part in state.key:
        value = part["value"]
        if part["type"] == "lookahead":
            key.append(["lookahead", int(value[0]), int(value[1])])
        else:
            key.append(["field", ".".join(value[:-1]), value[-1], _width(program, value)])
    ways = [[t.value, t.mask, t.next_state] for t in state.transitions if t.kind == "value"]
    ways += [[None, None, t.next_state] for t in state.transitions if t.kind != "value"]
    return {"extract": extracted, "key": key, "ways": ways}


def _extracted(program: Program, what: Mapping[str, Any]) -> list[Any]:
    """[name, [[field, width]…]]; of a varbit field the width is negative."""
    kind, value = what["type"], what["value"]
    if kind == "regular":
        name, type_ = value, program.headers[value].type
    elif kind == "stack":
        name = value if isinstance(value, str) else value[0]
        type_ = program.stacks[name].type
    else:
        stack, member = value
        union = program.unions[program.union_stacks[stack].unions[0]]
        name = f"{stack}.{member}"
        type_ = program.headers[union.headers[union.members.index(member)]].type
    fields = program.header_types[type_].fields
    return [name, [[f.name, -f.width if f.varbit else f.width] for f in fields]]


def _width(program: Program, value: Sequence[str]) -> int:
    name, field = value[0], value[-1]
    if name in program.headers:
        type_ = program.headers[name].type
    elif name in program.stacks:
        type_ = program.stacks[name].type
    else:
        return 0
    return next((f.width for f in program.header_types[type_].fields if f.name == field), 0)


def _table(program: Program, table: Table, info: Any, ids: Mapping[str, int]) -> dict[str, Any]:
    given = {action.id: action.scope for action in info.action_refs}
    scopes = {name: given.get(ids.get(name, 0), 0) for name in table.actions}
    actions = {
        name: [[p.name, p.width] for p in program.actions[number].params]
        for name, number in zip(table.actions, table.action_ids, strict=True)
    }
    return {
        "name": table.name,
        "key": [
            ["optional" if field.match_type == OPTIONAL else key.kind, field.bitwidth or key.width, key.name]
            for key, field in zip(table.key, info.match_fields, strict=True)
        ],
        "ordered": table.ordered,
        "size": 0 if table.entries else table.max_size,
        "profile": table.profile,
        "members": program.profiles[table.profile].max_size if table.profile else 0,
        "selector": bool(table.profile and program.profiles[table.profile].selector_algorithm),
        "actions": [[name, actions[name]] for name in table.actions if scopes[name] != DEFAULT_ONLY],
        "defaults": []
        if table.default_const or table.profile
        else [[name, actions[name]] for name in table.actions if scopes[name] != TABLE_ONLY],
    }


def _constants(program: Program) -> Iterator[int]:
    """Numbers in the program's expressions."""
    parts: list[Any] = [action.primitives for action in program.actions.values()]
    for control in (program.ingress, program.egress):
        parts += [one.expression for one in control.conditionals]
        parts += [entry.match for table in control.tables for entry in table.entries]
    for one in inner_parts(parts):
        if isinstance(one, Mapping) and one.get("type") == "hexstr" and isinstance(one.get("value"), str):
            yield abs(int(one["value"], 16))


def _repeats(program: Program) -> bool:
    """Whether packets may go through more than once, and so meet the state of others in the wrong order."""
    names = {primitive["op"] for action in program.actions.values() for primitive in action.primitives}
    return bool(names & {"resubmit", "recirculate"})


def _reads_time(program: Program) -> bool:
    """Whether anything that it computes with is a time, which no two switches have in common."""
    return any(
        isinstance(one, str) and ("timestamp" in one or one == "deq_timedelta")
        for one in inner_parts(action.primitives for action in program.actions.values())
    )
