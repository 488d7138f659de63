"""Declarations and statements: the upper half of the recursive-descent parser."""

from __future__ import annotations

from typing import TypeVar

from p4compiler.source import Diagnostics, deep_recursion
from p4compiler.syntax import tree as s
from p4compiler.syntax.expressions import SyntaxFault
from p4compiler.syntax.lexer import Kind, Token
from p4compiler.syntax.statements import StatementParser

_T = TypeVar("_T")


def parse(tokens: list[Token], diagnostics: Diagnostics) -> s.Program:
    """The program's tree. Errors go to `diagnostics`; what could be read is returned."""
    with deep_recursion():
        return Parser(tokens, diagnostics).program()


class Parser(StatementParser):
    def __init__(self, tokens: list[Token], diagnostics: Diagnostics) -> None:
        super().__init__(tokens, diagnostics)
        # Types declared inside the declaration being read: `typedef struct S { ... } T;`.
        self.nested: list[s.Declaration] = []

    def program(self) -> s.Program:
        declarations: list[s.Declaration] = []
        while self.token.kind is not Kind.END:
            if self.accept(";"):
                continue
            start = self.index
            try:
                declaration = self.declaration()
                declarations += [*self.nested, declaration]
                self.nested = []
            except SyntaxFault as fault:
                self.report(fault)
                self.scopes = self.scopes[:1]
                self.skip_declaration(start)
        return s.Program(tuple(declarations), self.token.loc)

    def skip_declaration(self, start: int) -> None:
        """To the end of the declaration that began at `start`: its closing brace, or ';' outside braces."""
        stop, depth = self.index, 0
        self.index = start
        while self.token.kind is not Kind.END:
            text = self.token.text
            if self.token.kind is Kind.SYMBOL:
                depth += (text == "{") - (text == "}")
                if self.index >= stop and depth <= 0 and text in ("}", ";"):
                    self.index += 1
                    return
            elif self.index > stop and depth <= 0 and text in _STARTERS and self._at_line_start():
                return
            self.index += 1

    def _at_line_start(self) -> bool:
        return self.token.loc.column == 1

    # Declarations

    def declaration(self) -> s.Declaration:
        annotations = self.annotations()
        text = self.token.text if self.token.kind is Kind.KEYWORD else ""
        if text == "const":
            return self.constant(annotations)
        if text == "extern":
            return self.extern(annotations)
        if text == "action":
            return self.action(annotations)
        if text in ("struct", "header", "header_union"):
            return self.struct_like(annotations)
        if text == "enum":
            return self.enum(annotations)
        if text in ("typedef", "type"):
            return self.typedef(annotations)
        if text in ("error", "match_kind") and self.peek().text == "{":
            return self.names(annotations)
        if text == "parser":
            return self.parser(annotations)
        if text == "control":
            return self.control(annotations)
        if text == "package":
            return self.package(annotations)
        return self.function_or_instance(annotations)

    def function_or_instance(self, annotations: s.Annotations) -> s.Declaration:
        start = self.token
        self.push()
        if not self.starts_type():
            # A result type may be one of the function's own type parameters, which come after it.
            for parameter in self._scan_type_parameters():
                self.declare(parameter, is_type=True)
        if not self.starts_type():
            raise self.fault("expected a declaration")
        type_ = self.type(allow_void=True)
        self.pop()
        if self.token.text == "(":
            return self.instance(annotations, start, type_)
        name = self.name("the function")
        if self.token.text not in ("(", "<"):
            if self.token.text in ("=", ";"):
                raise SyntaxFault("variables cannot be declared at the top level; use 'const'", name.loc)
            raise self.fault("expected '(' after the name of the function")
        self.declare(name.text, generic=self.token.text == "<")
        return self.function(annotations, start, type_, name)

    def function(
        self,
        annotations: s.Annotations,
        start: Token,
        result: s.TypeSyntax | None,
        name: Token,
        abstract: bool = False,
    ) -> s.Function:
        self.push()
        type_parameters = self.type_parameters()
        parameters = self.parameters()
        body = None
        if self.token.text == "{":
            body = self.block()
        else:
            self.expect(";", "after this declaration")
        self.pop()
        loc = start.loc.to(name.loc)
        return s.Function(loc, name.text, annotations, result, type_parameters, parameters, body, abstract)

    def extern(self, annotations: s.Annotations) -> s.Declaration:
        self.expect("extern")
        start = self.token
        # `extern name {`, `extern name<T> {` or an extern function `extern type name(`.
        following = self.peek().text
        if self.token.kind is not Kind.KEYWORD and following in ("{", "<", ";"):
            mark = self.index
            name = self.name("the extern")
            self.declare(name.text, is_type=True)
            self.push()
            try:
                parameters = self.type_parameters()
            except SyntaxFault:
                parameters = ()
            if self.token.text == "{":
                self.advance()
                methods = self.sequence(lambda: self._method(name.text))
                self.expect("}")
                self.pop()
                return s.Extern(start.loc, name.text, annotations, parameters, methods)
            if self.accept(";"):
                self.pop()
                return s.Extern(start.loc, name.text, annotations, parameters, ())
            self.pop()
            self.index = mark
        # A result type may be one of the function's own type parameters, which come after it.
        mark = self.index
        self.push()
        for parameter in self._scan_type_parameters():
            self.declare(parameter, is_type=True)
        result = self.type(allow_void=True)
        self.pop()
        name = self.name("the extern function")
        self.declare(name.text, generic=self.token.text == "<")
        function = self.function(annotations, start, result, name)
        if function.body is not None:
            raise SyntaxFault("an extern function has no body", function.body.loc)
        return function

    def _scan_type_parameters(self) -> list[str]:
        """Names between '<' and '>' before the next '(': the type parameters of the function being declared."""
        index, names = self.index, []
        while self.tokens[index].text not in ("(", ";", "{", "}", ""):
            index += 1
        if self.tokens[index].text == "(" and self.tokens[index - 1].text == ">":
            index -= 2
            while index > self.index and self.tokens[index].text != "<":
                if self.tokens[index].kind is Kind.NAME:
                    names.append(self.tokens[index].text)
                index -= 1
        return names

    def _method(self, extern: str) -> s.Function:
        annotations = self.annotations()
        start = self.token
        abstract = self.accept("abstract") is not None
        if self.token.text == extern and self.peek().text == "(":
            return self.function(annotations, start, None, self.advance())
        self.push()
        for parameter in self._scan_type_parameters():
            self.declare(parameter, is_type=True)
        result = self.type(allow_void=True)
        self.pop()
        return self.function(annotations, start, result, self.name("the method"), abstract)

    def action(self, annotations: s.Annotations) -> s.Action:
        self.expect("action")
        name = self.name("the action")
        self.declare(name.text)
        self.push()
        parameters = self.parameters()
        body = self.block()
        self.pop()
        return s.Action(name.loc, name.text, annotations, parameters, body)

    def struct_like(self, annotations: s.Annotations) -> s.StructLike:
        kind = self.advance().text
        name = self.name(f"the {kind}")
        self.declare(name.text, is_type=True)
        self.push()
        parameters = self.type_parameters()
        self.expect("{", f"to open the {kind}")
        fields = self.sequence(self._field)
        self.expect("}")
        self.pop()
        return s.StructLike(name.loc, name.text, annotations, kind, parameters, fields)

    def _field(self) -> s.Field:
        annotations = self.annotations()
        type_ = self.type()
        name = self.name("the field")
        type_ = self.array_suffix(type_)
        self.expect(";", "after the field")
        return s.Field(name.loc, name.text, annotations, type_)

    def enum(self, annotations: s.Annotations) -> s.Enum:
        self.expect("enum")
        underlying = self.type() if self.token.kind is Kind.KEYWORD or self.peek().kind is Kind.NAME else None
        name = self.name("the enum")
        self.declare(name.text, is_type=True)
        members = self._members(values=True)
        return s.Enum(name.loc, name.text, annotations, underlying, members)

    def names(self, annotations: s.Annotations) -> s.Names:
        start = self.advance()
        members = self._members(values=False)
        if start.text == "match_kind":
            for member in members:
                self.declare(member.name)
        return s.Names(start.loc, start.text, annotations, members)

    def _members(self, values: bool) -> tuple[s.EnumMember, ...]:
        self.expect("{", "to open the list of names")
        members: list[s.EnumMember] = []
        while self.token.text != "}":
            annotations = self.annotations()
            name = self.name("a member")
            value = self.expression() if values and self.accept("=") else None
            members.append(s.EnumMember(name.loc, name.text, annotations, value))
            if not self.accept(","):
                break
        self.expect("}", "or ',' after this member")
        return tuple(members)

    def typedef(self, annotations: s.Annotations) -> s.Typedef:
        distinct = self.advance().text == "type"
        type_ = self._declared_type() if self.token.text in _DERIVED else self.type()
        name = self.name("the type")
        self.expect(";", "after the type")
        self.declare(name.text, is_type=True)
        return s.Typedef(name.loc, name.text, annotations, type_, distinct)

    def _declared_type(self) -> s.TypeSyntax:
        """The type of `typedef struct S { ... } T;`, which is declared on the way."""
        inner = self.enum(()) if self.token.text == "enum" else self.struct_like(())
        self.nested.append(inner)
        return s.NamedTypeSyntax(inner.loc, inner.name)

    def package(self, annotations: s.Annotations) -> s.Package:
        self.expect("package")
        name = self.name("the package")
        self.declare(name.text, is_type=True)
        self.push()
        type_parameters = self.type_parameters()
        parameters = self.parameters()
        self.pop()
        self.expect(";", "after the package")
        return s.Package(name.loc, name.text, annotations, type_parameters, parameters)

    def parser(self, annotations: s.Annotations) -> s.Parser:
        self.expect("parser")
        name = self.name("the parser")
        self.declare(name.text, is_type=True)
        self.push()
        type_parameters = self.type_parameters()
        parameters = self.parameters()
        constructor = self.parameters() if self.token.text == "(" else ()
        if self.accept(";"):
            self.pop()
            return s.Parser(name.loc, name.text, annotations, type_parameters, parameters, constructor, (), None)
        self.expect("{", "to open the parser")
        members = self.sequence(self._parser_member)
        self.expect("}")
        self.pop()
        states = tuple(m for m in members if isinstance(m, s.State))
        others = tuple(m for m in members if not isinstance(m, s.State))
        return s.Parser(name.loc, name.text, annotations, type_parameters, parameters, constructor, others, states)

    def _parser_member(self) -> s.Declaration:
        annotations = self.annotations()
        text = self.token.text
        if text == "state" and self.peek().text != "(":
            return self.state(annotations)
        if text == "value_set":
            return self.value_set(annotations)
        return self.local(annotations)

    def state(self, annotations: s.Annotations) -> s.State:
        self.expect("state")
        name = self.name("the state")
        self.expect("{", "to open the state")
        self.push()
        statements: list[s.Statement | s.Declaration] = []
        transition: s.Select | s.Name | None = None
        while self.token.text not in ("}", "transition") and self.token.kind is not Kind.END:
            start, depth = self.index, len(self.scopes)
            try:
                statements.append(self.statement_or_declaration())
            except SyntaxFault as fault:
                self.report(fault)
                del self.scopes[depth:]
                self.skip_statement(start)
                if self.index == start:
                    self.index += 1
        if self.accept("transition"):
            transition = self.transition()
        self.expect("}", "to close the state")
        self.pop()
        return s.State(name.loc, name.text, annotations, tuple(statements), transition)

    def transition(self) -> s.Select | s.Name:
        if self.token.text != "select":
            name = self.name("the next state")
            self.expect(";", "after the transition")
            return s.Name(name.loc, name.text)
        start = self.advance()
        self.expect("(")
        keys = self.expressions(")")
        end = self.expect(")", "after the keys of select")
        self.expect("{", "to open the cases of select")
        cases = self.sequence(self._select_case)
        self.expect("}")
        self.accept(";")
        return s.Select(start.loc.to(end.loc), keys, cases)

    def _select_case(self) -> s.SelectCase:
        keyset = self.keyset()
        self.expect(":", "after the values of this case")
        name = self.name("the next state")
        self.expect(";", "after this case")
        return s.SelectCase(keyset.loc.to(name.loc), keyset, name.text)

    def value_set(self, annotations: s.Annotations) -> s.ValueSet:
        self.expect("value_set")
        self.expect("<")
        type_ = self.type()
        self.expect_close_angle()
        self.expect("(")
        size = self.expression()
        self.expect(")")
        name = self.name("the value set")
        self.expect(";")
        self.declare(name.text)
        return s.ValueSet(name.loc, name.text, annotations, type_, size)

    def control(self, annotations: s.Annotations) -> s.Control:
        self.expect("control")
        name = self.name("the control")
        self.declare(name.text, is_type=True)
        self.push()
        type_parameters = self.type_parameters()
        parameters = self.parameters()
        constructor = self.parameters() if self.token.text == "(" else ()
        if self.accept(";"):
            self.pop()
            return s.Control(name.loc, name.text, annotations, type_parameters, parameters, constructor, (), None)
        self.expect("{", "to open the control")
        body: s.Block | None = None

        def member() -> s.Declaration | None:
            nonlocal body
            marks = self.annotations()
            text = self.token.text
            if text == "action":
                return self.action(marks)
            if text == "table":
                return self.table(marks)
            if text == "apply" and self.peek().text in ("{", "@"):
                apply = self.advance()
                marks += self.annotations()
                if body is not None:
                    raise SyntaxFault("a control has one apply block", apply.loc)
                body = self.block(marks)
                return None
            return self.local(marks)

        members = self.sequence(member)
        if body is None:
            self.diagnostics.error(f"control '{name.text}' has no apply block", name.loc)
            body = s.Block(name.loc, ())
        self.expect("}")
        self.pop()
        kept = tuple(m for m in members if m is not None)
        return s.Control(name.loc, name.text, annotations, type_parameters, parameters, constructor, kept, body)

    # Tables

    def table(self, annotations: s.Annotations) -> s.Table:
        self.expect("table")
        name = self.name("the table")
        self.expect("{", "to open the table")
        self.declare(name.text)
        keys: tuple[s.KeyElement, ...] | None = None
        actions: tuple[s.ActionRef, ...] | None = None
        entries: tuple[s.Entry, ...] | None = None
        entries_const = False
        entries_annotations: s.Annotations = ()

        def item() -> s.Property | None:
            nonlocal keys, actions, entries, entries_const, entries_annotations
            marks = self.annotations()
            const = self.accept("const") is not None
            label = self.name("a table property")
            self.expect("=", f"after '{label.text}'")
            if label.text in ("key", "actions", "entries") and self.token.text == "{":
                self.advance()
                if label.text == "key":
                    keys = self._once(keys, label, self.sequence(self._key))
                elif label.text == "actions":
                    actions = self._once(actions, label, self.sequence(self._action_ref))
                else:
                    entries = self._once(entries, label, self.sequence(lambda: self._entry(const)))
                    entries_const, entries_annotations = const, marks
                self.expect("}")
                self.accept(";")
                return None
            value = self.initializer()
            self.expect(";", f"after the value of '{label.text}'")
            return s.Property(label.loc, label.text, value, const, marks)

        properties = self.sequence(item)
        self.expect("}")
        kept = tuple(p for p in properties if p is not None)
        return s.Table(
            name.loc, name.text, annotations, keys, actions, entries, entries_const, kept, entries_annotations
        )

    def _once(self, old: tuple[_T, ...] | None, label: Token, new: tuple[_T, ...]) -> tuple[_T, ...]:
        if old is not None:
            self.diagnostics.error(f"a table has one '{label.text}' property", label.loc)
        return new

    def _key(self) -> s.KeyElement:
        expression = self.expression()
        self.expect(":", "and a match kind after the key")
        kind = self.name("the match kind")
        annotations = self.annotations()
        self.expect(";", "after the key")
        return s.KeyElement(expression.loc, expression, s.Name(kind.loc, kind.text), annotations)

    def _action_ref(self) -> s.ActionRef:
        annotations = self.annotations()
        action = self.expression()
        self.expect(";", "after the action")
        return s.ActionRef(action.loc, action, annotations)

    def _entry(self, const: bool) -> s.Entry:
        const = (self.accept("const") is not None) or const
        priority: s.Expression | None = None
        if self.token.text == "priority" and self.peek().text == "=":
            self.advance()
            self.advance()
            priority = self.expression()
            self.expect(":", "after the priority")
        elif self.token.text == "priority" and self.peek().text == "(":
            self.advance()
            self.advance()
            priority = self.expression()
            self.expect(")")
            self.expect(":")
        keyset = self.keyset()
        self.expect(":", "after the keys of this entry")
        action = self.expression()
        annotations = self.annotations()
        self.expect(";", "after this entry")
        return s.Entry(keyset.loc.to(action.loc), keyset, action, annotations, const, priority)


_DERIVED = frozenset({"struct", "header", "header_union", "enum"})

_STARTERS = frozenset({
    "action", "const", "control", "enum", "extern", "header", "header_union", "match_kind", "package", "parser",
    "struct", "type", "typedef", "error", "@",
})  # fmt: skip
