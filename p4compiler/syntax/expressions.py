"""Expressions, types and annotations: the lower half of the recursive-descent parser.

P4's `<` and `(` mean different things after a type's name and after a value's, so the parser keeps the names in
scope and whether each is a type, a generic function or a plain value.
"""

from __future__ import annotations

from p4compiler.source import Diagnostics, Location
from p4compiler.syntax import tree as s
from p4compiler.syntax.lexer import SOFT_KEYWORDS, Kind, Token, describe, parse_number

BASE_TYPES = frozenset({"bool", "error", "bit", "int", "varbit", "string", "void", "match_kind", "tuple", "list"})

# Binary operators, loosest first (P4_16 specification, appendix on the grammar).
PRECEDENCE: dict[str, int] = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, ">": 4, "<=": 4, ">=": 4, "|": 5, "^": 6, "&": 7,
    "<<": 8, ">>": 8, "++": 9, "+": 9, "-": 9, "|+|": 9, "|-|": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip

MAX_DEPTH = 200

# Annotations whose bodies are expressions, with names that must be declared.
_OF_EXPRESSIONS = frozenset({"field_list"})

TYPE, GENERIC, VALUE = "type", "generic", "value"


class SyntaxFault(Exception):
    """What was read is no P4; the message says what was expected."""

    def __init__(self, message: str, loc: Location) -> None:
        super().__init__(message)
        self.loc = loc


class ExpressionParser:
    def __init__(self, tokens: list[Token], diagnostics: Diagnostics) -> None:
        self.tokens = tokens
        self.diagnostics = diagnostics
        self.index = 0
        self.depth = 0
        self.scopes: list[dict[str, str]] = [{}]
        self.held_annotations: s.Annotations = ()
        # Inside `bit<...>` a '>' ends the width and compares nothing.
        self.angle_closes = False

    # Tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def peek(self, distance: int = 1) -> Token:
        return self.tokens[min(self.index + distance, len(self.tokens) - 1)]

    def advance(self) -> Token:
        token = self.tokens[self.index]
        if self.index < len(self.tokens) - 1:
            self.index += 1
        return token

    def accept(self, text: str) -> Token | None:
        token = self.tokens[self.index]
        if token.text == text and token.kind is not Kind.STRING:
            return self.advance()
        return None

    def expect(self, text: str, context: str = "") -> Token:
        token = self.tokens[self.index]
        if token.text == text and token.kind is not Kind.STRING:
            return self.advance()
        raise self.fault(f"expected '{text}'" + (f" {context}" if context else ""), after=text in (";", ")", ","))

    def fault(self, message: str, after: bool = False) -> SyntaxFault:
        """A fault at the current token; with `after`, just behind the one before it if that ends another line."""
        token = self.token
        if ", found" not in message:
            message += f", found {describe(token)}"
        before = self.tokens[self.index - 1]
        if before.kind is Kind.STRING and "\n" in before.text:
            message += f"; the string before it begins in line {before.loc.line}: is a quote missing there?"
        if after and self.index:
            previous = self.tokens[self.index - 1].loc
            if previous.source is token.loc.source and previous.line < token.loc.line:
                return SyntaxFault(message, Location(previous.source, previous.end, previous.end + 1))
        return SyntaxFault(message, token.loc)

    def name(self, what: str) -> Token:
        token = self.token
        if token.kind is Kind.NAME or (token.kind is Kind.KEYWORD and token.text in SOFT_KEYWORDS):
            return self.advance()
        raise self.fault(f"expected a name for {what}" if what.startswith("the") else f"expected {what}")

    def expect_close_angle(self) -> None:
        """Takes '>', which may be the first half of a '>>'."""
        token = self.token
        if token.text in (">>", ">=", ">>="):
            loc = token.loc
            rest = Token(Kind.SYMBOL, token.text[1:], Location(loc.source, loc.start + 1, loc.end))
            self.tokens[self.index : self.index + 1] = [
                Token(Kind.SYMBOL, ">", Location(loc.source, loc.start, loc.start + 1)),
                rest,
            ]
        self.expect(">", "to close the type arguments")

    # Scopes

    def push(self) -> None:
        self.scopes.append({})

    def pop(self) -> None:
        self.scopes.pop()

    def declare(self, name: str, is_type: bool = False, generic: bool = False) -> None:
        self.scopes[-1][name] = TYPE if is_type else GENERIC if generic else VALUE

    def kind_of(self, name: str) -> str | None:
        for scope in reversed(self.scopes):
            kind = scope.get(name)
            if kind is not None:
                return kind
        return None

    def at_type_name(self) -> bool:
        token = self.token
        if token.text == ".":
            token = self.peek()
            return self.scopes[0].get(token.text) == TYPE
        if token.kind is not Kind.NAME and token.text not in SOFT_KEYWORDS:
            return False
        return self.kind_of(token.text) == TYPE

    def starts_type(self) -> bool:
        token = self.token
        if token.kind is Kind.KEYWORD and token.text in BASE_TYPES:
            return not (token.text == "error" and self.peek().text == ".") and not (
                token.text == "list" and self.peek().text != "<"
            )
        return self.at_type_name()

    # Types

    def type(self, allow_void: bool = False) -> s.TypeSyntax:
        token = self.token
        result: s.TypeSyntax
        if token.kind is Kind.KEYWORD and token.text in BASE_TYPES:
            if token.text == "void" and not allow_void:
                raise self.fault("expected a type other than void")
            result = self._base_type()
        elif token.text == "." or token.kind is Kind.NAME or token.text in SOFT_KEYWORDS:
            absolute = self.accept(".") is not None
            known = self.at_type_name() if not absolute else self.scopes[0].get(self.token.text) == TYPE
            name = self.token
            if not known:
                if name.kind is not Kind.NAME:
                    raise self.fault("expected a type")
                what = "is not a type" if self.kind_of(name.text) else "is not declared"
                raise SyntaxFault(f"expected a type, but '{name.text}' {what}", name.loc)
            self.advance()
            arguments = self.type_arguments() if self.token.text == "<" else None
            result = s.NamedTypeSyntax(name.loc, name.text, absolute, arguments)
        else:
            raise self.fault("expected a type")
        while self.token.text == "[":
            self.advance()
            size = self.expression()
            end = self.expect("]", "after the size of the stack")
            result = s.StackTypeSyntax(token.loc.to(end.loc), result, size)
        return result

    def _base_type(self) -> s.TypeSyntax:
        token = self.advance()
        kind = token.text
        if kind == "tuple":
            return s.TupleTypeSyntax(token.loc, self.type_arguments())
        if kind == "list":
            arguments = self.type_arguments()
            if len(arguments) != 1:
                raise SyntaxFault("list takes one type argument", token.loc)
            return s.ListTypeSyntax(token.loc, arguments[0])
        if kind not in ("bit", "int", "varbit") or self.token.text != "<":
            if kind == "varbit":
                raise self.fault("expected '<' and a width after varbit")
            width = s.IntLiteral(token.loc, 1) if kind == "bit" else None
            return s.BaseTypeSyntax(token.loc, kind, width)
        self.advance()
        outer, self.angle_closes = self.angle_closes, True
        width_expression = self.expression()
        self.angle_closes = outer
        self.expect_close_angle()
        return s.BaseTypeSyntax(token.loc, kind, width_expression)

    def type_arguments(self) -> tuple[s.TypeSyntax, ...]:
        self.expect("<")
        arguments: list[s.TypeSyntax] = []
        while self.token.text not in (">", ">>"):
            if self.token.text == "_":
                arguments.append(s.AnyTypeSyntax(self.advance().loc))
            else:
                arguments.append(self.type(allow_void=True))
            if not self.accept(","):
                break
        self.expect_close_angle()
        return tuple(arguments)

    def type_parameters(self) -> tuple[s.TypeParameter, ...]:
        if not self.accept("<"):
            return ()
        parameters: list[s.TypeParameter] = []
        while True:
            name = self.name("a type parameter")
            self.declare(name.text, is_type=True)
            parameters.append(s.TypeParameter(name.loc, name.text, ()))
            if not self.accept(","):
                break
        self.expect_close_angle()
        return tuple(parameters)

    def parameters(self) -> tuple[s.Parameter, ...]:
        self.expect("(", "to open the parameters")
        parameters: list[s.Parameter] = []
        while self.token.text != ")":
            annotations = self.annotations()
            direction = self.advance().text if self.token.text in ("in", "out", "inout") else ""
            type_ = self.type()
            name = self.name("the parameter")
            default = self.expression() if self.accept("=") else None
            self.declare(name.text)
            parameters.append(s.Parameter(name.loc, name.text, annotations, direction, type_, default))
            if not self.accept(","):
                break
        self.expect(")", "or ',' after this parameter")
        return tuple(parameters)

    # Annotations

    def annotations(self) -> s.Annotations:
        found: list[s.Annotation] = []
        while self.token.text == "@" and self.token.kind is Kind.SYMBOL:
            start = self.advance()
            if self.token.kind not in (Kind.NAME, Kind.KEYWORD):
                raise self.fault("expected the name of the annotation after '@'")
            name = self.advance()
            body: tuple[Token, ...] | None = None
            expressions: tuple[s.Expression, ...] = ()
            structured = self.token.text == "["
            if name.text in _OF_EXPRESSIONS and self.token.text == "(":
                first = self.index + 1
                self.advance()
                expressions = self.expressions(")")
                self.expect(")", f"or ',' in @{name.text}")
                body = tuple(self.tokens[first : self.index - 1])
            elif structured or self.token.text == "(":
                body = self._annotation_body()
            found.append(s.Annotation(start.loc.to(name.loc), name.text, body, structured, expressions))
        return tuple(found)

    def _annotation_body(self) -> tuple[Token, ...]:
        opening = self.advance()
        start, depth = self.index, 1
        while depth:
            token = self.token
            if token.kind is Kind.END:
                raise SyntaxFault("this annotation is never closed", opening.loc)
            if token.kind is Kind.SYMBOL:
                depth += (token.text in "([{") - (token.text in ")]}")
            self.advance()
        return tuple(self.tokens[start : self.index - 1])

    # Expressions

    def expression(self) -> s.Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.depth = 0
            raise self.fault("this expression is nested too deeply")
        try:
            condition = self.binary(1)
            if not self.accept("?"):
                return condition
            yes = self.expression()
            self.expect(":", "between the branches of '?'")
            no = self.expression()
            return s.Ternary(condition.loc.to(no.loc), condition, yes, no)
        finally:
            self.depth = max(0, self.depth - 1)

    def expressions(self, end: str) -> tuple[s.Expression, ...]:
        items: list[s.Expression] = []
        while self.token.text != end:
            items.append(self.expression())
            if not self.accept(","):
                break
        return tuple(items)

    def initializer(self) -> s.Expression:
        """An expression, or `...`."""
        if self.token.text == "...":
            return s.DefaultValue(self.advance().loc)
        return self.expression()

    def since(self, start: Location) -> Location:
        """From there to the end of what was read: parentheses around the last part are in it."""
        return start.to(self.tokens[self.index - 1].loc)

    def binary(self, level: int) -> s.Expression:
        start = self.token.loc
        left = self.unary()
        while True:
            token = self.token
            operator = token.text
            own = PRECEDENCE.get(operator, 0) if token.kind is Kind.SYMBOL else 0
            if own < level or (self.angle_closes and operator in (">", ">=", ">>")):
                return left
            if operator == ">" and self.peek().text == ">" and self.peek().loc.start == token.loc.end:
                # A '>>' that was split while type arguments were tried.
                operator, own = ">>", PRECEDENCE[">>"]
                if own < level:
                    return left
                self.advance()
            self.advance()
            right = self.binary(own + 1)
            left = s.Binary(self.since(start), operator, left, right)

    def unary(self) -> s.Expression:
        token = self.token
        if token.kind is Kind.SYMBOL:
            if token.text in ("!", "~", "-", "+"):
                self.depth += 1
                if self.depth > MAX_DEPTH:
                    self.depth = 0
                    raise self.fault("this expression is nested too deeply")
                self.advance()
                operand = self.unary()
                self.depth -= 1
                return s.Unary(token.loc.to(operand.loc), token.text, operand)
            if token.text == "(":
                cast = self._cast()
                if cast is not None:
                    return cast
        return self.postfix_expression()

    def _cast(self) -> s.Expression | None:
        """`(T) e`, if a type in parentheses stands here and something that it can apply to follows."""
        self_index = self.index
        self.advance()
        if not self.starts_type():
            self.index = self_index
            return None
        start = self.tokens[self_index]
        explicit = self.token.kind is Kind.KEYWORD
        try:
            type_ = self.type()
            closed = self.accept(")") is not None
        except SyntaxFault:
            if explicit:
                raise
            closed = False
        if not closed:
            self.index = self_index
            return None
        operand = self.unary()
        return s.Cast(start.loc.to(operand.loc), type_, operand)

    def postfix_expression(self) -> s.Expression:
        expression = self.primary()
        while True:
            token = self.token
            if token.kind is not Kind.SYMBOL:
                return expression
            if token.text == ".":
                self.advance()
                member = self._member_name()
                expression = s.Member(expression.loc.to(member.loc), expression, member.text)
            elif token.text == "[":
                expression = self._index(expression)
            elif token.text == "(":
                arguments = self.arguments()
                loc = expression.loc.to(self.tokens[self.index - 1].loc)
                expression = s.Call(loc, expression, None, arguments)
            elif token.text == "<":
                call = self._generic_call(expression)
                if call is None:
                    return expression
                expression = call
            else:
                return expression

    def _member_name(self) -> Token:
        token = self.token
        if token.kind is Kind.NAME or (token.kind is Kind.KEYWORD and token.text in SOFT_KEYWORDS):
            return self.advance()
        raise self.fault("expected the name of a member after '.'")

    def _index(self, base: s.Expression) -> s.Expression:
        self.advance()
        first = self.expression()
        if self.token.text in (":", "+:"):
            plus = self.advance().text == "+:"
            low = self.expression()
            end = self.expect("]", "after the bounds of the slice")
            return s.Slice(base.loc.to(end.loc), base, first, low, plus)
        end = self.expect("]", "after the index")
        return s.Index(base.loc.to(end.loc), base, first)

    def _generic_call(self, function: s.Expression) -> s.Expression | None:
        """`f<T>(x)`; None if '<' compares."""
        if isinstance(function, s.Name) and self.kind_of(function.name) == VALUE:
            return None
        if not isinstance(function, (s.Name, s.Member)):
            return None
        mark = self.index
        before = list(self.tokens[mark : mark + 64])
        try:
            types = self.type_arguments()
        except SyntaxFault:
            types = None
        if types is None or self.token.text != "(":
            self.index = mark
            if self.tokens[mark : mark + 64] != before:
                # Undo the splitting of '>>'.
                extra = next(i for i, t in enumerate(before) if self.tokens[mark + i] is not t)
                self.tokens[mark + extra : mark + extra + 2] = [before[extra]]
            return None
        arguments = self.arguments()
        return s.Call(function.loc.to(self.tokens[self.index - 1].loc), function, types, arguments)

    def arguments(self) -> tuple[s.Argument, ...]:
        self.expect("(", "to open the arguments")
        arguments: list[s.Argument] = []
        while self.token.text != ")":
            token = self.token
            name: str | None = None
            if self.peek().text == "=" and (token.kind is Kind.NAME or token.text in SOFT_KEYWORDS):
                name = self.advance().text
                self.advance()
            value = None
            if self.token.text == "_" and self.peek().text in (",", ")"):
                self.advance()
            else:
                value = self.initializer()
            arguments.append(s.Argument(token.loc, name, value))
            if not self.accept(","):
                break
        self.expect(")", "or ',' after this argument")
        return tuple(arguments)

    def primary(self) -> s.Expression:
        kind = self.token.kind
        if kind is Kind.INT:
            return self._number(self.advance())
        if kind is Kind.STRING:
            return self._string()
        if kind is Kind.KEYWORD:
            found = self._keyword()
            if found is not None:
                return found
        elif kind is Kind.SYMBOL and self.token.text == "(":
            return self._parenthesized()
        elif kind is Kind.SYMBOL and self.token.text == "{":
            return self._braces()
        elif kind is not Kind.NAME and not (kind is Kind.SYMBOL and self.token.text == "."):
            raise self.fault("expected an expression")
        if self.at_type_name():
            return self._type_expression()
        absolute = self.accept(".") is not None
        name = self.name("an expression")
        return s.Name(name.loc, name.text, absolute)

    def _string(self) -> s.Expression:
        """A string literal, or several one after the other, which are one."""
        token = self.advance()
        text = s.unquote(token.text)
        while self.token.kind is Kind.STRING:
            text += s.unquote(self.advance().text)
        return s.StringLiteral(token.loc, text)

    def _keyword(self) -> s.Expression | None:
        """An expression that begins with a keyword; None for one that is a name here."""
        token = self.token
        if token.text in ("true", "false"):
            self.advance()
            return s.BoolLiteral(token.loc, token.text == "true")
        if token.text == "this":
            self.advance()
            return s.Name(token.loc, "this")
        if token.text == "error":
            self.advance()
            return s.TypeExpression(token.loc, s.BaseTypeSyntax(token.loc, "error"))
        if token.text in BASE_TYPES and self.starts_type():
            return s.TypeExpression(token.loc, self.type())
        if token.text not in SOFT_KEYWORDS:
            raise self.fault("expected an expression")
        return None

    def _parenthesized(self) -> s.Expression:
        self.advance()
        outer, self.angle_closes = self.angle_closes, False
        inner = self.expression()
        self.angle_closes = outer
        self.expect(")", "to close the parenthesis")
        return inner

    def _type_expression(self) -> s.Expression:
        """A type before '.' or '('; its type arguments only if they are closed and followed by '('."""
        start = self.token
        type_ = self.type()
        return s.TypeExpression(start.loc, type_)

    def _number(self, token: Token) -> s.IntLiteral:
        value, width, signed = parse_number(token.text)
        if width == 0 and not signed:
            value = 0
        if width is not None:
            if width == 0 and signed:
                raise SyntaxFault("a signed number has at least 1 bit", token.loc)
            limit = (1 << (width - 1)) if signed else (1 << width)
            if width > 0 and value >= limit:
                kind, written = f"{'int' if signed else 'bit'}<{width}>", value
                value &= (1 << width) - 1
                if signed and value >= limit:
                    value -= 1 << width
                self.diagnostics.warning(f"{written} does not fit in {kind}: it becomes {value}", token.loc)
        return s.IntLiteral(token.loc, value, width, signed)

    def _braces(self) -> s.Expression:
        """`{a, b}`, `{a = 1}` or `{#}`."""
        start = self.expect("{")
        if self.accept("#"):
            end = self.expect("}")
            if end.loc.source is start.loc.source and end.loc.end - start.loc.start != 3:
                raise SyntaxFault("the invalid header is written {#}, without blanks", start.loc)
            return s.InvalidHeader(start.loc.to(end.loc))
        self.depth += 1
        items: list[s.Expression] = []
        fields: list[s.FieldValue] = []
        rest = False
        while self.token.text != "}":
            token = self.token
            if token.text == "...":
                self.advance()
                rest = True
                self.accept(",")
                break
            if self.peek().text == "=" and (token.kind is Kind.NAME or token.text in SOFT_KEYWORDS):
                self.advance()
                self.advance()
                fields.append(s.FieldValue(token.loc, token.text, self.initializer()))
            else:
                items.append(self.expression())
            if not self.accept(","):
                break
        end = self.expect("}", "or ',' in this list")
        self.depth = max(0, self.depth - 1)
        loc = start.loc.to(end.loc)
        if fields and items:
            raise SyntaxFault("either all or none of these values have names", loc)
        if fields:
            return s.RecordExpression(loc, tuple(fields), rest)
        return s.ListExpression(loc, tuple(items), rest)

    # Keysets

    def keyset(self) -> s.Expression:
        """The left side of a select case or of a table entry."""
        if self.token.text == "(":
            # A parenthesis may open a tuple of keysets or just an expression.
            mark = self.index
            start = self.advance()
            try:
                items = [self.keyset_element()]
                while self.accept(","):
                    if self.token.text == ")":
                        break
                    items.append(self.keyset_element())
                end = self.expect(")", "to close the values of this case")
                if self.token.text == ":":
                    return s.ListExpression(start.loc.to(end.loc), tuple(items))
            except SyntaxFault:
                if not self._is_cast_at(mark):
                    raise
            self.index = mark
        return self.keyset_element()

    def _is_cast_at(self, index: int) -> bool:
        current, self.index = self.index, index + 1
        result = self.starts_type()
        self.index = current
        return result

    def keyset_element(self) -> s.Expression:
        token = self.token
        if token.text in ("default", "_") and token.kind is Kind.KEYWORD:
            self.advance()
            return s.Anything(token.loc, token.text)
        value = self.expression()
        if self.accept("&&&"):
            mask = self.expression()
            return s.Masked(value.loc.to(mask.loc), value, mask)
        if self.accept(".."):
            high = self.expression()
            return s.Range(value.loc.to(high.loc), value, high)
        return value
