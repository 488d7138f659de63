"""Nodes to C: an expression of uint64_t or int64_t where the value fits, else arrays of limbs.

Where only the low bits count, because the result is masked or stored, +, -, *, <<, &, |, ^, ~ are done modulo 2^64
whatever the range. What does not fit a word is computed by statements that come before the expression.
"""

from __future__ import annotations

from p4switch.codegen.layout import Place
from p4switch.codegen.nodes import (
    Choice,
    Code,
    Const,
    Load,
    Node,
    Operation,
    cast_width,
    fits_word,
    literal,
    operands,
    wide_limbs,
    words_literal,
)
from p4switch.errors import ProgramError

_RING = {"+": "+", "-": "-", "*": "*", "&": "&", "|": "|", "^": "^"}


class Emitter:
    """Writes the C of one function's expressions and collects the statements that they need first."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._count = 0

    def take(self) -> list[str]:
        """The statements collected since the last call."""
        statements, self.statements = self.statements, []
        return statements

    def name(self) -> str:
        """For one more local variable."""
        self._count += 1
        return f"t{self._count}"

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
        if fits_word(node):
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
        if fits_word(node):
            return self.u64(node)
        n = wide_limbs(node.low, node.high)
        return f"p4w_amount({self.wide(node, n)}, {n})"

    def _word(self, node: Operation) -> tuple[str, bool]:
        """(C expression, is it an int64_t) of an operation that needs exact operands and whose value fits a word."""
        op, (a, *rest) = node.operator, node.operands
        b = rest[0] if rest else Const(0)
        if op == ">>":
            return self._word_shift(node, a, b)
        if op in ("/", "%"):
            if not (fits_word(a) and fits_word(b)):
                return f"{self._exact_wide(node)}[0]", False
            return f"p4_{'div' if op == '/' else 'mod'}({self.u64(a)}, {self.u64(b)})", False
        width = cast_width(node)
        if op == "two_comp_mod":
            return f"p4_sext({self.u64(a)}, {width})", True
        if not fits_word(a):
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

    def _word_shift(self, node: Operation, a: Node, b: Node) -> tuple[str, bool]:
        """a >> b, whose value fits a word."""
        if not fits_word(a):
            return f"{self._exact_wide(node)}[0]", False
        if isinstance(b, Const) and 0 <= b.value < 64 and a.low >= 0:
            return f"({self.u64(a)} >> {b.value})", False
        if a.low >= 0:
            return f"p4_shr({self.u64(a)}, {self.amount(b)})", False
        return f"p4_sar({self.i64(a)}, {self.amount(b)})", True

    def _exact_wide(self, node: Node) -> str:
        low, high = node.low, node.high
        if isinstance(node, Operation):
            low, high = min(low, *(x.low for x in node.operands)), max(high, *(x.high for x in node.operands))
        return self.wide(node, wide_limbs(low, high))

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
        if fits_word(node) and all(fits_word(x) for x in operands(node)):
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
        need = max(n, wide_limbs(low, high))
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
                f"{declare}p4w_copy({name}, {need}, {a}, {need}); p4w_sext({name}, {need}, {cast_width(node)});"
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
