"""Statements, local declarations and tables: the middle of the recursive-descent parser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from p4compiler.syntax import tree as s
from p4compiler.syntax.expressions import ExpressionParser, SyntaxFault
from p4compiler.syntax.lexer import SOFT_KEYWORDS, Kind, Token

_T = TypeVar("_T")

ASSIGNMENTS = {
    "=": None, "+=": "+", "-=": "-", "*=": "*", "/=": "/", "%=": "%", "&=": "&", "|=": "|", "^=": "^",
    "<<=": "<<", ">>=": ">>", "|+|=": "|+|", "|-|=": "|-|",
}  # fmt: skip


class StatementParser(ExpressionParser, ABC):
    @abstractmethod
    def function_or_instance(self, annotations: s.Annotations) -> s.Declaration:
        """Either, as both begin with a type."""

    # Recovery: go on after the declaration or statement that could not be read

    def report(self, fault: SyntaxFault) -> None:
        self.diagnostics.error(str(fault), fault.loc)

    def skip_statement(self, start: int) -> None:
        """To the end of the statement that began at `start`; never past the '}' of its block."""
        stop, depth = self.index, 0
        self.index = start
        while self.token.kind is not Kind.END:
            text = self.token.text
            if self.token.kind is Kind.SYMBOL:
                if text == "{":
                    depth += 1
                elif text == "}":
                    if depth == 0:
                        return
                    depth -= 1
                    if depth == 0 and self.index >= stop:
                        self.index += 1
                        return
                elif text == ";" and depth == 0 and self.index >= stop:
                    self.index += 1
                    return
            self.index += 1

    def sequence(self, item: Callable[[], _T], end: str = "}") -> tuple[_T, ...]:
        """Items up to `end` (not taken), going on after those with errors."""
        items: list[_T] = []
        while self.token.text != end or self.token.kind is not Kind.SYMBOL:
            if self.token.kind is Kind.END:
                raise self.fault(f"expected '{end}', found end of file")
            start, depth = self.index, len(self.scopes)
            try:
                items.append(item())
            except SyntaxFault as fault:
                self.report(fault)
                del self.scopes[depth:]
                self.skip_statement(start)
                if self.index == start:
                    self.index += 1
        return tuple(items)

    # Local declarations

    def constant(self, annotations: s.Annotations) -> s.Constant:
        start = self.expect("const")
        type_ = self.type()
        name = self.name("the constant")
        self.expect("=", "after the name of the constant")
        value = self.initializer()
        end = self.expect(";", "after the constant")
        self.declare(name.text)
        return s.Constant(start.loc.to(end.loc), name.text, annotations, type_, value)

    def instance(self, annotations: s.Annotations, start: Token, type_: s.TypeSyntax) -> s.Instance:
        arguments = self.arguments()
        name = self.name("the instance")
        size: s.Expression | None = None
        if self.accept("["):
            size = self.expression()
            self.expect("]", "after the number of instances")
        methods: tuple[s.Declaration, ...] | None = None
        if self.accept("="):
            self.expect("{")
            self.push()
            methods = self.sequence(self._instance_member)
            self.pop()
            self.expect("}")
        self.expect(";", "after the instance")
        self.declare(name.text)
        return s.Instance(start.loc.to(name.loc), name.text, annotations, type_, arguments, methods, size)

    def _instance_member(self) -> s.Declaration:
        annotations = self.annotations()
        return self.function_or_instance(annotations)

    def local(self, annotations: s.Annotations) -> s.Declaration:
        """A constant, variable or instance inside a parser, control or block."""
        if self.token.text == "const":
            return self.constant(annotations)
        start = self.token
        type_ = self.type()
        if self.token.text == "(":
            return self.instance(annotations, start, type_)
        return self.variable(annotations, start, type_)

    def variable(self, annotations: s.Annotations, start: Token, type_: s.TypeSyntax) -> s.Variable:
        made = self._variable_named(annotations, start, type_, self.name("the variable"))
        self.expect(";", "after the variable")
        return made

    def _variable_named(
        self, annotations: s.Annotations, start: Token, type_: s.TypeSyntax, name: Token
    ) -> s.Variable:
        """The rest of a variable's declaration, without its ';'."""
        type_ = self.array_suffix(type_)
        value = self.initializer() if self.accept("=") else None
        self.declare(name.text)
        return s.Variable(start.loc.to(name.loc), name.text, annotations, type_, value)

    def array_suffix(self, element: s.TypeSyntax) -> s.TypeSyntax:
        """`T name[4]` means `T[4] name`."""
        if not self.accept("["):
            return element
        size = self.expression()
        end = self.expect("]", "after the size")
        return s.StackTypeSyntax(element.loc.to(end.loc), self.array_suffix(element), size)

    # Statements

    def block(self, annotations: s.Annotations = ()) -> s.Block:
        start = self.expect("{", "to open a block")
        marks = self.annotations()
        self.push()
        # Annotations after '{' belong to the first statement, not the block.
        self.held_annotations = marks
        statements = self.sequence(self.statement_or_declaration)
        end = self.expect("}", "to close the block")
        self.pop()
        return s.Block(start.loc.to(end.loc), statements, annotations)

    def statement_or_declaration(self) -> s.Statement | s.Declaration:
        annotations = self.held_annotations + self.annotations()
        self.held_annotations = ()
        token = self.token
        if token.kind is Kind.KEYWORD and token.text == "const":
            return self.constant(annotations)
        if token.text == "{":
            return self.block(annotations)
        if token.kind is Kind.KEYWORD and token.text in _STATEMENTS:
            return self.statement()
        if self.starts_declaration():
            return self.local(annotations)
        return self.statement()

    def starts_declaration(self) -> bool:
        """Whether a variable or instance is declared here, rather than a call made or an assignment."""
        if not self.starts_type():
            return False
        mark = self.index
        try:
            self.type()
            if self.token.kind is Kind.NAME:
                return True
            if self.token.text in SOFT_KEYWORDS:
                return self.peek().text in ("=", ";", ",", ")", "in")
            if self.token.text == "(":
                self.arguments()
                return self.peek(0).kind is Kind.NAME
        except SyntaxFault:
            return self.tokens[mark].kind is Kind.KEYWORD
        finally:
            self.index = mark
        return False

    def statement(self) -> s.Statement:
        token = self.token
        text = token.text
        if text == "{":
            return self.block()
        if text == ";":
            return s.Empty(self.advance().loc)
        if token.kind is Kind.KEYWORD:
            if text == "if":
                return self.if_statement()
            if text == "switch":
                return self.switch_statement()
            if text == "for":
                return self.for_statement()
            if text == "return":
                self.advance()
                value = None if self.token.text == ";" else self.initializer()
                end = self.expect(";", "after return")
                return s.Return(token.loc.to(end.loc), value)
            if text in ("exit", "break", "continue"):
                self.advance()
                end = self.expect(";", f"after {text}")
                loc = token.loc.to(end.loc)
                return s.Exit(loc) if text == "exit" else s.Break(loc) if text == "break" else s.Continue(loc)
        result = self.simple_statement()
        self.expect(";", "after this statement")
        return result

    def simple_statement(self) -> s.Statement:
        """An assignment or call, without its ';'."""
        if self.token.text == "const":
            raise self.fault("expected a statement")
        target = self.postfix_expression()
        if self.token.text in ASSIGNMENTS and self.token.kind is Kind.SYMBOL:
            operator = ASSIGNMENTS[self.advance().text]
            value = self.initializer()
            return s.Assignment(target.loc.to(value.loc), target, value, operator)
        if isinstance(target, s.Call):
            return s.CallStatement(target.loc, target)
        raise self.fault("expected '=' or a call in this statement")

    def if_statement(self) -> s.If:
        start = self.expect("if")
        self.expect("(", "after if")
        condition = self.expression()
        end = self.expect(")", "after the condition")
        then = self.branch()
        otherwise = self.branch() if self.accept("else") else None
        return s.If(start.loc.to(end.loc), condition, then, otherwise)

    def branch(self) -> s.Statement:
        annotations = self.annotations()
        if self.token.text == "{":
            return self.block(annotations)
        return self.statement()

    def switch_statement(self) -> s.Switch:
        start = self.expect("switch")
        self.expect("(", "after switch")
        value = self.expression()
        end = self.expect(")", "after the switch expression")
        self.expect("{", "to open the cases of switch")
        cases = self.sequence(self._switch_case)
        self.expect("}")
        return s.Switch(start.loc.to(end.loc), value, cases)

    def _switch_case(self) -> s.SwitchCase:
        if self.token.text in ("default", "_"):
            token = self.advance()
            label: s.Expression = s.Anything(token.loc, token.text)
        else:
            label = self.expression()
        self.expect(":", "after this label")
        body = self.block() if self.token.text == "{" else None
        return s.SwitchCase(label.loc, label, body)

    def for_statement(self) -> s.Statement:
        start = self.expect("for")
        self.expect("(", "after for")
        self.push()
        try:
            annotations = self.annotations()
            if self.starts_declaration():
                first, type_ = self.token, self.type()
                name = self.name("the loop variable")
                if self.accept("in"):
                    self.declare(name.text)
                    loc = first.loc.to(name.loc)
                    return self._for_in(start, s.Variable(loc, name.text, annotations, type_, None), None)
                return self._for_c(start, [self._variable_named(annotations, first, type_, name)])
            if self.token.text == ";":
                return self._for_c(start, [])
            target = self.postfix_expression()
            if self.accept("in"):
                return self._for_in(start, None, target)
            operator = ASSIGNMENTS.get(self.token.text, "?")
            if operator == "?":
                if not isinstance(target, s.Call):
                    raise self.fault("expected '=' or 'in'")
                return self._for_c(start, [s.CallStatement(target.loc, target)])
            self.advance()
            value = self.initializer()
            return self._for_c(start, [s.Assignment(target.loc, target, value, operator)])
        finally:
            self.pop()

    def _for_in(self, start: Token, variable: s.Variable | None, target: s.Expression | None) -> s.ForIn:
        collection = self.keyset_element()
        self.expect(")")
        body = self.branch()
        return s.ForIn(start.loc.to(collection.loc), variable, target, collection, body)

    def _for_c(self, start: Token, init: list[s.Statement | s.Declaration]) -> s.For:
        while self.accept(","):
            annotations = self.annotations()
            if self.starts_declaration():
                first, type_ = self.token, self.type()
                init.append(self._variable_named(annotations, first, type_, self.name("the loop variable")))
            else:
                init.append(self.simple_statement())
        self.expect(";", "after the initialization")
        condition = self.expression()
        self.expect(";", "after the condition")
        updates: list[s.Statement] = []
        while self.token.text != ")":
            updates.append(self.simple_statement())
            if not self.accept(","):
                break
        self.expect(")")
        body = self.branch()
        return s.For(start.loc.to(condition.loc), tuple(init), condition, tuple(updates), body)


_STATEMENTS = frozenset({"if", "switch", "for", "return", "exit", "break", "continue"})
