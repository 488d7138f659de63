"""A parser's expressions, from BMv2 JSON to Lua: calls of what numbers.lua and parse.lua define."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from p4compiler.wireshark.lua import Json, quoted

_FUNCTIONS = {
    "+": "add", "-": "sub", "*": "mul", "&": "band", "|": "bor", "^": "bxor", "<<": "shl", ">>": "shr",
    "==": "eq", "<": "lt", "<=": "le", "two_comp_mod": "two_comp_mod", "usat_cast": "usat_cast",
    "sat_cast": "sat_cast",
}  # fmt: skip
_SWAPPED = {">": "lt", ">=": "le"}
_UNARY = {"~": "bnot({})", "not": "not {}", "d2b": "d2b({})", "b2d": "b2d({})"}


class NotSupported(Exception):
    """The parser asks for something that cannot be told from a packet; the text says what."""


class Expressions:
    """`fields`: by header, its fields' names in order; `stacks`: by stack, its headers' names."""

    def __init__(self, fields: Mapping[str, Sequence[str]], stacks: Mapping[str, Sequence[str]]) -> None:
        self.fields = fields
        self.stacks = stacks

    def lua(self, json: Json) -> str:
        """The value as Lua. NotSupported."""
        kind, value = json["type"], json["value"]
        if kind == "hexstr":
            return f"n{quoted(value)}"
        if kind == "bool":
            return "true" if value else "false"
        if kind == "field":
            return self._field(quoted(value[0]), value[1])
        if kind == "stack_field":
            return self._field(f"p:last({quoted(value[0])})", value[1])
        if kind == "union_stack_field":
            return self._field(f"p:last({quoted(value[0])}) .. {quoted('.' + value[1])}", value[2])
        if kind == "lookahead":
            return f"p:lookahead({value[0]}, {value[1]})"
        if kind == "expression":
            return self.lua(value) if "type" in value else self._operation(value)
        raise NotSupported(f"a value of kind {kind}")

    def name(self, json: Json) -> str:
        """A field as a place to write to: its name in Lua."""
        kind, value = json["type"], json["value"]
        if kind == "field":
            return quoted(f"{value[0]}.{value[1]}")
        if kind == "stack_field":
            return f"p:last({quoted(value[0])}) .. {quoted('.' + value[1])}"
        raise NotSupported(f"an assignment to a value of kind {kind}")

    def _field(self, header: str, field: str) -> str:
        if field == "$valid$":
            return f"p:is_valid({header})"
        if header.startswith('"') and ".." not in header:
            return f"p:get({header[:-1]}.{quoted(field)[1:]})"
        return f"p:get({header} .. {quoted('.' + field)})"

    def _operation(self, value: Json) -> str:
        op, left, right = value["op"], value.get("left"), value.get("right")
        if op == "?":
            return f"choose({self.lua(value['cond'])}, {self.lua(left or {})}, {self.lua(right or {})})"
        if op == "last_stack_index":
            return f"p:last_index({quoted(_of(right)['value'])})"
        if op == "size_stack":
            return f"p:filled({quoted(_of(right)['value'])})"
        if op == "access_field":
            return self._of_element(_of(left), value["right"])
        if op in _UNARY:
            return _UNARY[op].format(f"({self.lua(_of(right))})" if op == "not" else self.lua(_of(right)))
        if op in ("+", "-") and left is None:
            return self.lua(_of(right)) if op == "+" else f'sub(n"0x0", {self.lua(_of(right))})'
        if op == "valid":
            return f"d2b(p:is_valid({quoted(_of(right)['value'])}))"
        if op in ("and", "or"):
            return f"({self.lua(_of(left))} {op} {self.lua(_of(right))})"
        if op == "!=":
            return f"not eq({self.lua(_of(left))}, {self.lua(_of(right))})"
        if op in _SWAPPED:
            return f"{_SWAPPED[op]}({self.lua(_of(right))}, {self.lua(_of(left))})"
        if op in _FUNCTIONS:
            return f"{_FUNCTIONS[op]}({self.lua(_of(left))}, {self.lua(_of(right))})"
        raise NotSupported(f"the operation {op}")

    def _of_element(self, element: Json, number: object) -> str:
        """A field, by its number, of an element of a stack that is chosen at run time."""
        inner = element["value"] if element["type"] == "expression" else element
        if inner.get("op") != "dereference_header_stack" or not isinstance(number, int):
            raise NotSupported("an element chosen at run time")
        stack = inner["left"]["value"]
        field = self.fields[self.stacks[stack][0]][number]
        return f"p:get(p:element({quoted(stack)}, {self.lua(inner['right'])}) .. {quoted('.' + field)})"


def _of(json: Json | None) -> Json:
    if json is None:
        raise NotSupported("an operation without an operand")
    return json
