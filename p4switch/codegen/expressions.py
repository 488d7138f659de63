"""Expressions of the BMv2 JSON to nodes, headers and places.

BMv2 computes with integers of any size and truncates when it stores; `nodes` follows the ranges, `emission` writes C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from p4switch.codegen.emission import Emitter
from p4switch.codegen.layout import HeaderPlace, Layout, Place, StackPlace, UnionPlace
from p4switch.codegen.nodes import (
    MOST_BITS,
    U64,
    Bool,
    Choice,
    Code,
    Const,
    Load,
    Node,
    Operation,
    fits_signed,
    fits_word,
    signed_bits,
    value_range,
    wide_limbs,
)
from p4switch.codegen.text import opposite
from p4switch.errors import ProgramError

Json = Mapping[str, Any]
Value = Node | Bool | HeaderPlace | UnionPlace | StackPlace

_COMPARE = ("==", "!=", "<", "<=", ">", ">=")


class Translator(Emitter):
    """Translates the expressions of one C function, whose parameters it knows."""

    def __init__(self, layout: Layout, params: Sequence[Place] = ()) -> None:
        super().__init__()
        self.layout = layout
        self.params = params

    def node(self, item: Json | None) -> Node:
        """A number. Raises ProgramError where the JSON has something else."""
        value = self.value(item)
        if isinstance(value, Bool):
            return Code(f"(uint64_t)({value.code})", 0, 1)
        if isinstance(value, HeaderPlace | UnionPlace | StackPlace):
            raise ProgramError(f"a number is expected, not a header: {item}")
        return value

    def condition(self, item: Json | None) -> str:
        value = self.value(item)
        if isinstance(value, Bool):
            return value.code
        if isinstance(value, HeaderPlace | UnionPlace | StackPlace):
            raise ProgramError(f"a condition is expected, not a header: {item}")
        return self._not_zero(value)

    def header(self, item: Json) -> HeaderPlace:
        value = self.value(item)
        if not isinstance(value, HeaderPlace):
            raise ProgramError(f"a header is expected: {item}")
        return value

    def union(self, item: Json) -> UnionPlace:
        value = self.value(item)
        if not isinstance(value, UnionPlace):
            raise ProgramError(f"a header union is expected: {item}")
        return value

    def stack(self, item: Json) -> StackPlace:
        value = self.value(item)
        if not isinstance(value, StackPlace):
            raise ProgramError(f"a header stack is expected: {item}")
        return value

    def place(self, item: Json) -> Place:
        """Something that can be assigned to."""
        value = self.value(item)
        if not isinstance(value, Load):
            raise ProgramError(f"a field is expected: {item}")
        return value.place

    def value(self, item: Json | None) -> Value:
        if item is None:
            raise ProgramError("an operand is missing")
        if "op" in item:
            return self._operator(item)
        kind, value = item["type"], item["value"]
        make = _VALUES.get(kind)
        if make is None:
            raise ProgramError(f"a value of type {kind} is not supported here")
        return make(self, value)

    def _stack_field(self, value: Any) -> Node:
        return Load(self._last_field(self.layout.stack(value[0]), None, value[1]))

    def _union_stack_field(self, value: Any) -> Node:
        return Load(self._last_field(self.layout.stack(value[0]), value[1], value[2]))

    def _last_field(self, stack: StackPlace, member: str | None, field: str) -> Place:
        """In the last valid element; of an empty stack, in the spare one."""
        element = f"{stack.code}[p4_index((uint64_t){stack.next} - 1, {stack.size})]"
        if member is None:
            header = HeaderPlace(element, stack.type)
        else:
            names = [m[0] for m in self.layout.union_types[stack.type]]
            header = self.layout.union_member(UnionPlace(element, stack.type), names.index(member))
        return self.layout.member(header, self.layout.type(header.type).field(field))

    def _operator(self, item: Json) -> Value:
        op, left, right = item["op"], item.get("left"), item.get("right")
        if op in _COMPARE:
            return self._comparison(op, self.value(left), self.value(right))
        if op == "?":
            return self._choice(item)
        make = _OPERATORS.get(op)
        if make is not None:
            return make(self, op, left, right)
        return self._binary(op, self.node(left), self.node(right))

    def _joint(self, op: str, left: Json | None, right: Json | None) -> Bool:
        joint = "&&" if op == "and" else "||"
        return Bool(f"({self.condition(left)} {joint} {self.condition(right)})")

    def _not(self, _: str, __: Json | None, right: Json | None) -> Bool:
        return Bool(opposite(self.condition(right)))

    def _to_bool(self, _: str, __: Json | None, right: Json | None) -> Bool:
        return Bool(self._not_zero(self.node(right)))

    def _to_data(self, _: str, __: Json | None, right: Json | None) -> Node:
        return Code(f"(uint64_t)({self.condition(right)})", 0, 1)

    def _valid(self, _: str, __: Json | None, right: Json | None) -> Bool:
        return Bool(f"{self.header(right or {}).code}.valid")

    def _valid_union(self, _: str, __: Json | None, right: Json | None) -> Bool:
        return Bool(self._union_valid(self.union(right or {})))

    def _dereference(self, _: str, left: Json | None, right: Json | None) -> HeaderPlace | UnionPlace:
        stack = self.stack(left or {})
        element = f"{stack.code}[p4_index({self.amount(self.node(right))}, {stack.size})]"
        return UnionPlace(element, stack.type) if stack.union else HeaderPlace(element, stack.type)

    def _access_field(self, _: str, left: Json | None, right: object) -> Node:
        if not isinstance(right, int):
            raise ProgramError("access_field needs a constant offset")
        return Load(self.layout.field_at(self.header(left or {}), right))

    def _access_union_header(self, _: str, left: Json | None, right: object) -> HeaderPlace:
        if not isinstance(right, int):
            raise ProgramError("access_union_header needs a constant offset")
        return self.layout.union_member(self.union(left or {}), right)

    def _last_stack_index(self, _: str, left: Json | None, right: Json | None) -> Node:
        stack = self.stack(right or left or {})
        return Code(f"((int64_t){stack.next} - 1)", -1, stack.size - 1)

    def _size_stack(self, _: str, left: Json | None, right: Json | None) -> Node:
        stack = self.stack(right or left or {})
        return Code(f"(uint64_t){stack.next}", 0, stack.size)

    def _complement(self, _: str, __: Json | None, right: Json | None) -> Node:
        inner = self.node(right)
        return self._fold(Operation("~", (inner,), ~inner.high, ~inner.low))

    def _union_valid(self, union: UnionPlace) -> str:
        members = self.layout.union_types[union.type]
        return "(" + " || ".join(f"{union.code}.{m[1]}.valid" for m in members) + ")"

    def _choice(self, item: Json) -> Node | Bool:
        condition = self.condition(item["cond"])
        left, right = self.value(item["left"]), self.value(item["right"])
        if isinstance(left, Bool) and isinstance(right, Bool):
            return Bool(f"({condition} ? {left.code} : {right.code})")
        a, b = self.node(item["left"]), self.node(item["right"])
        return Choice(condition, a, b, min(a.low, b.low), max(a.high, b.high))

    def _binary(self, op: str, a: Node, b: Node) -> Node:
        low, high = value_range(op, a, b)
        if max(signed_bits(low), signed_bits(high)) > MOST_BITS:
            low, high = -(1 << (MOST_BITS - 1)), (1 << (MOST_BITS - 1)) - 1
        return self._fold(Operation(op, (a, b), low, high))

    def _fold(self, node: Operation) -> Node:
        values = [x.value for x in node.operands if isinstance(x, Const)]
        if len(values) == len(node.operands) and node.operator in ("+", "-", "*", "&", "|", "^", "~"):
            if node.operator == "~":
                return Const(~values[0])
            a, b = values
            return Const({"+": a + b, "-": a - b, "*": a * b, "&": a & b, "|": a | b, "^": a ^ b}[node.operator])
        return node

    def _comparison(
        self,
        op: str,
        a: Value,
        b: Value,
    ) -> Bool:
        if isinstance(a, Bool) and isinstance(b, Bool):
            return Bool(f"(({a.code}) {op} ({b.code}))")
        if isinstance(a, HeaderPlace | UnionPlace) and isinstance(b, HeaderPlace | UnionPlace):
            equal = f"equal_{self.layout.packet_type(a)}(&{a.code}, &{b.code})"
            return Bool(equal if op == "==" else f"!{equal}")
        if isinstance(a, Load) and isinstance(b, Load) and a.place.varbit and b.place.varbit:
            equal = (
                f"p4_same_bits({a.place.code}.bytes, {a.place.code}.bits, {b.place.code}.bytes, {b.place.code}.bits)"
            )
            return Bool(equal if op == "==" else f"!{equal}")
        if isinstance(a, StackPlace | HeaderPlace | UnionPlace) or isinstance(
            b, StackPlace | HeaderPlace | UnionPlace
        ):
            raise ProgramError(f"{op} of a header and something else")
        left = Code(f"(uint64_t)({a.code})", 0, 1) if isinstance(a, Bool) else a
        right = Code(f"(uint64_t)({b.code})", 0, 1) if isinstance(b, Bool) else b
        low, high = min(left.low, right.low), max(left.high, right.high)
        if low >= 0 and high <= U64:
            return Bool(f"({self.u64(left)} {op} {self.u64(right)})")
        if fits_signed(low, high):
            return Bool(f"({self.i64(left)} {op} {self.i64(right)})")
        n = wide_limbs(low, high)
        return Bool(f"(p4w_compare({self.wide(left, n)}, {self.wide(right, n)}, {n}) {op} 0)")

    def _not_zero(self, node: Node) -> str:
        if isinstance(node, Code | Load) and node.low >= 0 and node.high == 1:
            return self.u64(node)
        if fits_word(node):
            return f"({self.u64(node)} != 0)"
        n = wide_limbs(node.low, node.high)
        return f"!p4w_zero({self.wide(node, n)}, {n})"


_VALUES: dict[str, Callable[[Translator, Any], Value]] = {
    "expression": Translator.value,
    "field": lambda self, value: Load(self.layout.field(value[0], value[1])),
    "hexstr": lambda _, value: Const(int(value, 16)),
    "bool": lambda _, value: Bool("true" if value else "false"),
    "runtime_data": lambda self, value: Load(self.params[value]),
    "local": lambda self, value: Load(self.params[value]),
    "header": lambda self, value: self.layout.header(value),
    "header_union": lambda self, value: self.layout.union(value),
    "header_stack": lambda self, value: self.layout.stack(value),
    "header_union_stack": lambda self, value: self.layout.stack(value),
    "stack": lambda self, value: self.layout.stack(value),
    "union_stack": lambda self, value: self.layout.stack(value),
    "stack_field": Translator._stack_field,
    "union_stack_field": Translator._union_stack_field,
}

_OPERATORS: dict[str, Callable[[Translator, str, Any, Any], Value]] = {
    "and": Translator._joint,
    "or": Translator._joint,
    "not": Translator._not,
    "d2b": Translator._to_bool,
    "b2d": Translator._to_data,
    "valid": Translator._valid,
    "valid_union": Translator._valid_union,
    "dereference_stack": Translator._dereference,
    "dereference_header_stack": Translator._dereference,
    "dereference_union_stack": Translator._dereference,
    "access_field": Translator._access_field,
    "access_union_header": Translator._access_union_header,
    "last_stack_index": Translator._last_stack_index,
    "size_stack": Translator._size_stack,
    "~": Translator._complement,
}
