"""Expressions of the BMv2 JSON in C.

BMv2 computes with integers of any size and truncates when it stores. Here every node knows the range its value can
have. Where the range fits a machine word the C is one expression of uint64_t (or int64_t); and where only the low
bits count, because the result is masked or stored, +, -, *, <<, &, |, ^, ~ are done modulo 2^64 whatever the range.
Anything wider is computed in arrays of limbs by statements that come before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p4switch.codegen.layout import HeaderPlace, Layout, Place, StackPlace, UnionPlace, limbs
from p4switch.entities import ProgramError

Json = Mapping[str, Any]

U64 = (1 << 64) - 1
MOST_BITS = 8192
"""Intermediate values beyond this many bits keep their low bits only."""

_RING = {"+": "+", "-": "-", "*": "*", "&": "&", "|": "|", "^": "^"}
_COMPARE = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Const:
    value: int

    @property
    def low(self) -> int:
        return self.value

    @property
    def high(self) -> int:
        return self.value


@dataclass(frozen=True)
class Load:
    """The value of a field or parameter."""

    place: Place

    @property
    def low(self) -> int:
        return -(1 << (self.place.width - 1)) if self.place.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.place.width - (1 if self.place.signed else 0))) - 1


@dataclass(frozen=True)
class Operation:
    """`operator` with its operands, and the range of its value."""

    operator: str
    operands: tuple[Node, ...]
    low: int
    high: int


@dataclass(frozen=True)
class Choice:
    condition: str
    left: Node
    right: Node
    low: int
    high: int


@dataclass(frozen=True)
class Code:
    """A C expression of type uint64_t (or int64_t where `low` < 0)."""

    code: str
    low: int
    high: int


Node = Const | Load | Operation | Choice | Code


@dataclass(frozen=True)
class Bool:
    code: str


def literal(value: int) -> str:
    value &= U64
    if value < 10:
        return str(value)
    return hex(value) + ("ULL" if value > 0x7FFFFFFF else "")


def _bits(value: int) -> int:
    """Bits of a two's complement number."""
    return (value if value >= 0 else ~value).bit_length() + 1


def _fill(value: int) -> int:
    return (1 << value.bit_length()) - 1


def words_literal(value: int, count: int) -> str:
    return "{" + ", ".join(literal(value >> (64 * i)) for i in range(count)) + "}"


class Translator:
    """Translates for one C function: knows its parameters, collects the statements that expressions need first."""

    def __init__(self, layout: Layout, params: Sequence[Place] = ()) -> None:
        self.layout = layout
        self.params = params
        self.statements: list[str] = []
        self._count = 0

    def take(self) -> list[str]:
        """The statements collected since the last call."""
        statements, self.statements = self.statements, []
        return statements

    def name(self) -> str:
        self._count += 1
        return f"t{self._count}"

    # From JSON ---------------------------------------------------------------------------------

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

    def value(self, item: Json | None) -> Node | Bool | HeaderPlace | UnionPlace | StackPlace:
        if item is None:
            raise ProgramError("an operand is missing")
        if "op" in item:
            return self._operator(item)
        kind, value = item["type"], item["value"]
        if kind == "expression":
            return self.value(value)
        if kind == "field":
            return Load(self.layout.field(value[0], value[1]))
        if kind == "hexstr":
            return Const(int(value, 16))
        if kind == "bool":
            return Bool("true" if value else "false")
        if kind in ("runtime_data", "local"):
            return Load(self.params[value])
        if kind == "header":
            return self.layout.header(value)
        if kind == "header_union":
            return self.layout.union(value)
        if kind in ("header_stack", "header_union_stack", "stack", "union_stack"):
            return self.layout.stack(value)
        if kind == "stack_field":
            return Load(self._last_field(self.layout.stack(value[0]), None, value[1]))
        if kind == "union_stack_field":
            return Load(self._last_field(self.layout.stack(value[0]), value[1], value[2]))
        raise ProgramError(f"a value of type {kind} is not supported here")

    def _last_field(self, stack: StackPlace, member: str | None, field: str) -> Place:
        """In the last valid element; of an empty stack, in the spare one."""
        element = f"{stack.code}[p4_index((uint64_t){stack.next} - 1, {stack.size})]"
        if member is None:
            header = HeaderPlace(element, stack.type)
        else:
            names = [m[0] for m in self.layout.union_types[stack.type]]
            header = self.layout.union_member(UnionPlace(element, stack.type), names.index(member))
        return self.layout.member(header, self.layout.type(header.type).field(field))

    def _operator(self, item: Json) -> Node | Bool | HeaderPlace | UnionPlace:
        op, left, right = item["op"], item.get("left"), item.get("right")
        if op in ("and", "or"):
            joint = "&&" if op == "and" else "||"
            return Bool(f"({self.condition(left)} {joint} {self.condition(right)})")
        if op == "not":
            return Bool(f"!({self.condition(right)})")
        if op == "d2b":
            return Bool(self._not_zero(self.node(right)))
        if op == "b2d":
            return Code(f"(uint64_t)({self.condition(right)})", 0, 1)
        if op == "valid":
            return Bool(f"{self.header(right or {}).code}.valid")
        if op == "valid_union":
            return Bool(self._union_valid(self.union(right or {})))
        if op in _COMPARE:
            return self._comparison(op, self.value(left), self.value(right))
        if op == "?":
            return self._choice(item)
        if op in ("dereference_stack", "dereference_header_stack", "dereference_union_stack"):
            stack = self.stack(left or {})
            element = f"{stack.code}[p4_index({self.amount(self.node(right))}, {stack.size})]"
            return UnionPlace(element, stack.type) if stack.union else HeaderPlace(element, stack.type)
        if op == "access_field":
            if not isinstance(right, int):
                raise ProgramError("access_field needs a constant offset")
            return Load(self.layout.field_at(self.header(left or {}), right))
        if op == "access_union_header":
            if not isinstance(right, int):
                raise ProgramError("access_union_header needs a constant offset")
            return self.layout.union_member(self.union(left or {}), right)
        if op == "last_stack_index":
            stack = self.stack(right or left or {})
            return Code(f"((int64_t){stack.next} - 1)", -1, stack.size - 1)
        if op == "size_stack":
            stack = self.stack(right or left or {})
            return Code(f"(uint64_t){stack.next}", 0, stack.size)
        if op == "~":
            inner = self.node(right)
            return self._fold(Operation("~", (inner,), ~inner.high, ~inner.low))
        return self._binary(op, self.node(left), self.node(right))

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
        low, high = _range(op, a, b)
        if max(_bits(low), _bits(high)) > MOST_BITS:
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
        a: Node | Bool | HeaderPlace | UnionPlace | StackPlace,
        b: Node | Bool | HeaderPlace | UnionPlace | StackPlace,
    ) -> Bool:
        if isinstance(a, Bool) and isinstance(b, Bool):
            return Bool(f"(({a.code}) {op} ({b.code}))")
        if isinstance(a, HeaderPlace | UnionPlace) and isinstance(b, HeaderPlace | UnionPlace):
            equal = f"equal_{self.layout.types[a.type]}(&{a.code}, &{b.code})"
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
        if _fits_signed(low, high):
            return Bool(f"({self.i64(left)} {op} {self.i64(right)})")
        n = _wide_limbs(low, high)
        return Bool(f"(p4w_compare({self.wide(left, n)}, {self.wide(right, n)}, {n}) {op} 0)")

    def _not_zero(self, node: Node) -> str:
        if isinstance(node, Code | Load) and node.low >= 0 and node.high == 1:
            return self.u64(node)
        if _fits_word(node):
            return f"({self.u64(node)} != 0)"
        n = _wide_limbs(node.low, node.high)
        return f"!p4w_zero({self.wide(node, n)}, {n})"

    # To C --------------------------------------------------------------------------------------

    def u64(self, node: Node) -> str:
        """A uint64_t expression equal to the value modulo 2^64."""
        if isinstance(node, Const):
            return literal(node.value)
        if isinstance(node, Load):
            place = node.place
            if place.varbit:
                raise ProgramError("a varbit field is not a number")
            if place.wide:
                return f"{place.code}[0]"
            return f"(uint64_t)p4_sext({place.code}, {place.width})" if place.signed else place.code
        if isinstance(node, Code):
            return f"(uint64_t){node.code}" if node.low < 0 else node.code
        if isinstance(node, Choice):
            # The cast keeps two small literals from making an int.
            return f"(uint64_t)({node.condition} ? {self.u64(node.left)} : {self.u64(node.right)})"
        op = node.operator
        if op in _RING:
            return f"({self.u64(node.operands[0])} {op} {self.u64(node.operands[1])})"
        if op == "~":
            return f"~{self.u64(node.operands[0])}"
        if op == "<<":
            a, b = node.operands
            if isinstance(b, Const) and 0 <= b.value < 64:
                left = f"(uint64_t){self.u64(a)}" if isinstance(a, Const) else self.u64(a)
                return f"({left} << {b.value})"
            return f"p4_shl({self.u64(a)}, {self.amount(b)})"
        if _fits_word(node):
            code, signed = self._word(node)
            return f"(uint64_t){code}" if signed else code
        return f"{self._exact_wide(node)}[0]"

    def i64(self, node: Node) -> str:
        """An int64_t expression equal to a value that fits one."""
        if isinstance(node, Const):
            return f"({node.value}LL)" if node.value > -(1 << 63) else "INT64_MIN"
        if isinstance(node, Load) and node.place.signed:
            return f"p4_sext({node.place.code}, {node.place.width})"
        if isinstance(node, Code) and node.low < 0:
            return node.code
        if isinstance(node, Operation) and node.operator not in _RING and node.operator not in ("~", "<<"):
            code, signed = self._word(node)
            return code if signed else f"(int64_t){code}"
        return f"(int64_t){self.u64(node)}"

    def amount(self, node: Node) -> str:
        """A shift amount or index; what is too great for 64 bits, or negative, becomes very great."""
        if _fits_word(node):
            return self.u64(node)
        n = _wide_limbs(node.low, node.high)
        return f"p4w_amount({self.wide(node, n)}, {n})"

    def _word(self, node: Operation) -> tuple[str, bool]:
        """(C expression, is it an int64_t) of an operation that needs exact operands and whose value fits a word."""
        op, (a, *rest) = node.operator, node.operands
        b = rest[0] if rest else Const(0)
        if op == ">>":
            if not _fits_word(a):
                return f"{self._exact_wide(node)}[0]", False
            if isinstance(b, Const) and 0 <= b.value < 64 and a.low >= 0:
                return f"({self.u64(a)} >> {b.value})", False
            if a.low >= 0:
                return f"p4_shr({self.u64(a)}, {self.amount(b)})", False
            return f"p4_sar({self.i64(a)}, {self.amount(b)})", True
        if op in ("/", "%"):
            if not (_fits_word(a) and _fits_word(b)):
                return f"{self._exact_wide(node)}[0]", False
            return f"p4_{'div' if op == '/' else 'mod'}({self.u64(a)}, {self.u64(b)})", False
        width = _width(node)
        if op == "two_comp_mod":
            return f"p4_sext({self.u64(a)}, {width})", True
        if not _fits_word(a):
            code = f"{self._exact_wide(node)}[0]"
            return (f"(int64_t){code}", True) if node.low < 0 else (code, False)
        if op == "usat_cast":
            if a.low >= 0:
                return f"p4_umin({self.u64(a)}, {literal(node.high)})", False
            return f"(uint64_t)p4_clamp({self.i64(a)}, 0, {min(node.high, (1 << 63) - 1)}LL)", False
        if op == "sat_cast":
            if a.low >= 0:
                return f"(int64_t)p4_umin({self.u64(a)}, {literal(max(node.high, 0))})", True
            low, high = f"(-{-node.low - 1}LL - 1)", f"{node.high}LL"
            return f"p4_clamp({self.i64(a)}, {low}, {high})", True
        raise ProgramError(f"operator {op} is not supported")

    def _exact_wide(self, node: Node) -> str:
        low, high = node.low, node.high
        if isinstance(node, Operation):
            low, high = min(low, *(x.low for x in node.operands)), max(high, *(x.high for x in node.operands))
        return self.wide(node, _wide_limbs(low, high))

    def wide(self, node: Node, n: int) -> str:
        """An array of n limbs equal to the value modulo 2^(64 n), signs extended."""
        if isinstance(node, Const):
            return f"(const uint64_t[]){words_literal(node.value, n)}"
        if isinstance(node, Load) and node.place.wide:
            return self._wide_load(node.place, n)
        if isinstance(node, Choice):
            a, b = self.wide(node.left, n), self.wide(node.right, n)
            name = self.name()
            self.statements.append(f"const uint64_t *{name} = {node.condition} ? {a} : {b};")
            return name
        if isinstance(node, Operation) and (node.operator in _RING or node.operator in ("~", "<<")):
            return self._wide_ring(node, n)
        if _fits_word(node) and all(_fits_word(x) for x in _operands(node)):
            name = self.name()
            if node.low < 0:
                self.statements.append(f"uint64_t {name}[{n}]; p4w_set_signed({name}, {n}, {self.i64(node)});")
            else:
                self.statements.append(f"uint64_t {name}[{n}]; p4w_set({name}, {n}, {self.u64(node)});")
            return name
        if isinstance(node, Operation):
            return self._wide_exact_operation(node, n)
        raise ProgramError("this expression is too wide")

    def _wide_load(self, place: Place, n: int) -> str:
        if place.limbs == n and not place.signed:
            return place.code
        name = self.name()
        copy = f"uint64_t {name}[{n}]; p4w_copy({name}, {n}, {place.code}, {place.limbs});"
        if place.signed:
            copy += f" p4w_sext({name}, {n}, {place.width});"
        self.statements.append(copy)
        return name

    def _wide_ring(self, node: Operation, n: int) -> str:
        functions = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor"}
        a = self.wide(node.operands[0], n)
        name = ""
        if node.operator == "~":
            call = f"p4w_not(@, {n}, {a});"
        elif node.operator == "<<":
            call = f"p4w_shl(@, {n}, {a}, {self.amount(node.operands[1])});"
        else:
            call = f"p4w_{functions[node.operator]}(@, {n}, {a}, {self.wide(node.operands[1], n)});"
        name = self.name()
        self.statements.append(f"uint64_t {name}[{n}]; " + call.replace("@", name))
        return name

    def _wide_exact_operation(self, node: Operation, n: int) -> str:
        """Operations whose operands must be exact: computed in as many limbs as those need, then taken to n."""
        low = min(node.low, *(x.low for x in node.operands))
        high = max(node.high, *(x.high for x in node.operands))
        need = max(n, _wide_limbs(low, high))
        op, a = node.operator, self.wide(node.operands[0], need)
        name = self.name()
        declare = f"uint64_t {name}[{need}]; "
        if op == ">>":
            self.statements.append(f"{declare}p4w_shr({name}, {need}, {a}, {self.amount(node.operands[1])});")
        elif op in ("/", "%"):
            b = self.wide(node.operands[1], need)
            wanted = f"{name}, NULL" if op == "/" else f"NULL, {name}"
            self.statements.append(f"{declare}p4w_divide({wanted}, {need}, {a}, {b});")
        elif op == "two_comp_mod":
            self.statements.append(
                f"{declare}p4w_copy({name}, {need}, {a}, {need}); p4w_sext({name}, {need}, {_width(node)});"
            )
        elif op in ("usat_cast", "sat_cast"):
            low_words, high_words = words_literal(node.low, need), words_literal(node.high, need)
            bounds = f"(const uint64_t[]){low_words}, (const uint64_t[]){high_words}"
            self.statements.append(
                f"{declare}p4w_copy({name}, {need}, {a}, {need}); p4w_clamp({name}, {need}, {bounds});"
            )
        else:
            raise ProgramError(f"operator {op} is not supported")
        return name

    # Statements --------------------------------------------------------------------------------

    def store(self, place: Place, node: Node) -> list[str]:
        """Assign, cut to the place's width."""
        if place.varbit:
            raise ProgramError("a varbit field takes only another varbit field")
        fits = node.low >= 0 and node.high < 1 << place.width
        if place.wide:
            source = self.wide(node, place.limbs)
            lines = [*self.take(), f"p4w_copy({place.code}, {place.limbs}, {source}, {place.limbs});"]
            if not fits:
                lines.append(f"p4w_trim({place.code}, {place.limbs}, {place.width});")
            return lines
        code = self.u64(node)
        if not fits and place.width < 64:
            code = f"{code} & {literal((1 << place.width) - 1)}"
        elif code.startswith("(") and _closes_at_end(code):
            code = code[1:-1]
        return [*self.take(), f"{place.code} = {code};"]


def _closes_at_end(code: str) -> bool:
    depth = 0
    for i, char in enumerate(code):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return i == len(code) - 1
    return False


def _operands(node: Node) -> tuple[Node, ...]:
    return node.operands if isinstance(node, Operation) else ()


def _fits_signed(low: int, high: int) -> bool:
    return low >= -(1 << 63) and high < 1 << 63


def _fits_word(node: Node) -> bool:
    return (node.low >= 0 and node.high <= U64) or _fits_signed(node.low, node.high)


def _wide_limbs(low: int, high: int) -> int:
    return limbs(max(_bits(low), _bits(high)))


def _width(node: Operation) -> int:
    width = node.operands[1]
    if not isinstance(width, Const) or not 1 <= width.value <= MOST_BITS:
        raise ProgramError(f"{node.operator} needs a constant width")
    return width.value


def _range(op: str, a: Node, b: Node) -> tuple[int, int]:
    if op == "+":
        return a.low + b.low, a.high + b.high
    if op == "-":
        return a.low - b.high, a.high - b.low
    if op == "*":
        corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        return min(corners), max(corners)
    if op == "<<":
        most = min(max(b.high, 0), MOST_BITS)
        corners = [a.low << most, a.high << most, a.low, a.high, 0]
        return min(corners), max(corners)
    if op == ">>":
        least = min(max(b.low, 0), MOST_BITS)
        return (0, a.high >> least) if a.low >= 0 else (min(a.low, 0), max(a.high, 0))
    if op == "/":
        return min(0, a.low), max(a.high, 0)
    if op == "%":
        return 0, max(min(a.high, b.high), 0)
    if op == "&":
        if a.low >= 0 and b.low >= 0:
            return 0, min(a.high, b.high)
        if a.low >= 0 or b.low >= 0:
            return 0, a.high if a.low >= 0 else b.high
    if op in ("&", "|", "^"):
        if a.low >= 0 and b.low >= 0:
            return 0, _fill(max(a.high, b.high))
        most = max(_bits(v) for v in (a.low, a.high, b.low, b.high))
        return -(1 << (most - 1)), (1 << (most - 1)) - 1
    if op in ("two_comp_mod", "sat_cast", "usat_cast"):
        if not isinstance(b, Const) or not 1 <= b.value <= MOST_BITS:
            raise ProgramError(f"{op} needs a constant width")
        if op == "usat_cast":
            return 0, (1 << b.value) - 1
        return -(1 << (b.value - 1)), (1 << (b.value - 1)) - 1
    raise ProgramError(f"operator {op} is not supported")
