"""A parser's states, from BMv2 JSON to Lua: each a function that works on a parse and returns the next state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from p4compiler.wireshark.expressions import Expressions, NotSupported
from p4compiler.wireshark.lua import Json, quoted

_WITHOUT_EFFECT = {"log_msg", "assert", "assume", "exit"}
"""Primitives that change nothing of a parse."""


class States:
    """`widths`: by header and field; `errors`: names by number."""

    def __init__(
        self, expressions: Expressions, widths: Mapping[str, Mapping[str, int]], errors: Mapping[int, str]
    ) -> None:
        self.expressions = expressions
        self.widths = widths
        self.errors = errors

    def lua(self, state: Json) -> str:
        lines = [f"states[{quoted(state['name'])}] = function(p)"]
        body: list[str] = []
        try:
            for operation in state["parser_ops"]:
                body += self._operation(operation["op"], operation["parameters"])
            body += self._transition(state)
        except NotSupported as error:
            body.append(f"p:unknown({quoted(str(error))})")
        return "\n".join([*lines, *(f"  {line}" for line in body), "end"])

    # Operations

    def _operation(self, op: str, given: Sequence[Json]) -> Iterator[str]:
        e = self.expressions
        if op in ("extract", "extract_VL"):
            length = ", " + e.lua(given[1]) if op == "extract_VL" else ""
            kind, value = given[0]["type"], given[0]["value"]
            if kind == "regular":
                yield f"p:extract({quoted(value)}{length})"
            elif kind == "stack":
                yield f"p:extract_next({quoted(value)}, nil{length})"
            elif kind == "union_stack":
                yield f"p:extract_next({quoted(value[0])}, {quoted(value[1])}{length})"
            else:
                raise NotSupported(f"extracting into {kind}")
        elif op == "set":
            yield f"p:set({e.name(given[0])}, {self._number(given[1])})"
        elif op in ("advance", "shift"):
            amount = e.lua(given[0]) if op == "advance" else f'n"{8 * int(given[0]["value"]):#x}"'
            yield f"p:advance({amount})"
        elif op == "verify":
            yield f"p:verify({e.lua(given[0])}, {self._error(given[1])})"
        elif op == "primitive":
            yield from self._primitive(given[0]["op"], given[0]["parameters"])
        else:
            raise NotSupported(f"the operation {op}")

    def _number(self, json: Json) -> str:
        """A field's new value: a field holds a number where an expression may have a truth value."""
        return f"as_number({self.expressions.lua(json)})"

    def _error(self, json: Json) -> str:
        return (
            quoted(self.errors.get(int(json["value"], 0), "an error"))
            if json["type"] == "hexstr"
            else quoted("an error")
        )

    def _primitive(self, op: str, given: Sequence[Json]) -> Iterator[str]:
        if op in _WITHOUT_EFFECT:
            return
        if op in ("add_header", "remove_header"):
            yield f"p:set_valid({quoted(given[0]['value'])}, {'true' if op == 'add_header' else 'false'})"
        elif op == "assign_header":
            yield f"p:copy({quoted(given[0]['value'])}, {quoted(given[1]['value'])})"
        elif op in ("assign", "assign_VL"):
            yield f"p:set({self.expressions.name(given[0])}, {self._number(given[1])})"
        else:
            raise NotSupported(op)

    # Select

    def _transition(self, state: Json) -> Iterator[str]:
        keys = state["transition_key"]
        cases: list[str] = []
        default = "accept"
        for one in state["transitions"]:
            target = "accept" if one["next_state"] is None else quoted(one["next_state"])
            if one["type"] == "default":
                default = target
                break
            if one["type"] == "hexstr":
                parts = split(one["value"], one["mask"], [self.width(key) for key in keys])
                cases.append(f"{{ {', '.join([target, *map(_value, parts)])} }},")
            # What a value set holds is the control plane's; the program begins with nothing in it.
        if not cases:
            yield f"return {default}"
            return
        yield f"return p:select({{ {', '.join(map(self.expressions.lua, keys))} }}, {{"
        yield from (f"  {case}" for case in cases)
        yield f"  {{ {', '.join([default, *['any'] * len(keys)])} }},"
        yield "})"

    def width(self, key: Json) -> int:
        kind, value = key["type"], key["value"]
        if kind == "lookahead":
            return int(value[1])
        if kind == "field":
            header, field = value
        elif kind in ("stack_field", "union_stack_field"):
            header = ".".join([self.expressions.stacks[value[0]][0], *value[1:-1]])
            field = value[-1]
        else:
            raise NotSupported(f"a select's key of kind {kind}")
        return 1 if field == "$valid$" else self.widths[header][field]


def split(value: str, mask: str | None, widths: Sequence[int]) -> list[tuple[int, int, int]]:
    """A case's keys: (value, mask, width) each. In the JSON they stand behind each other, each in whole bytes."""
    found = []
    values, masks = int(value, 0), -1 if mask is None else int(mask, 0)
    for width in reversed(widths):
        full = (1 << width) - 1
        found.append((values & full, masks & full, width))
        padded = 8 * ((width + 7) // 8)
        values, masks = values >> padded, masks >> padded
    return found[::-1]


def _value(part: tuple[int, int, int]) -> str:
    value, mask, width = part
    if mask == 0:
        return "any"
    return f'n"{value:#x}"' if mask == (1 << width) - 1 else f'masked("{value & mask:#x}", "{mask:#x}")'
