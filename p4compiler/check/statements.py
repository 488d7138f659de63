"""Statements (P4_16 specification, section "Statements")."""

from __future__ import annotations

from p4compiler import types as t
from p4compiler.check import type_rules
from p4compiler.check.compile_time import runtime_part
from p4compiler.check.instances import InstanceChecks
from p4compiler.check.places import Place
from p4compiler.syntax import tree as s


class StatementChecks(InstanceChecks):
    # What `return` may give back in the body being checked; None: no value.
    result_type: t.Type | None = None
    loop_depth = 0

    def statements(self, statements: tuple[s.Statement | s.Declaration, ...]) -> None:
        for statement in statements:
            if isinstance(statement, s.Declaration):
                self.declaration(statement)
            else:
                self.statement(statement)

    def block(self, block: s.Block) -> None:
        self.push()
        self.statements(block.statements)
        self.pop()

    def statement(self, statement: s.Statement) -> None:
        if isinstance(statement, s.Block):
            self.block(statement)
        elif isinstance(statement, s.Assignment):
            self.assignment(statement)
        elif isinstance(statement, s.CallStatement):
            self.expression(statement.call)
        elif isinstance(statement, s.If):
            self.condition(statement.condition)
            self.branch(statement.then)
            if statement.otherwise is not None:
                self.branch(statement.otherwise)
        elif isinstance(statement, s.Switch):
            self.switch(statement)
        elif isinstance(statement, s.Return):
            self.return_(statement)
        elif isinstance(statement, s.Exit):
            self.exit(statement)
        elif isinstance(statement, (s.For, s.ForIn)):
            self.loop(statement)
        elif isinstance(statement, (s.Break, s.Continue)) and not self.loop_depth:
            word = "break" if isinstance(statement, s.Break) else "continue"
            self.error(f"'{word}' stands outside of a loop", statement)

    def branch(self, statement: s.Statement) -> None:
        self.push()
        self.statement(statement)
        self.pop()

    def assignment(self, statement: s.Assignment) -> None:
        target = self.value(statement.target)
        value = self.value(statement.value)
        self.require_writable(statement.target)
        if t.UNKNOWN in (target, value):
            return
        if statement.operator is not None:
            result = self.binary_type(
                statement.operator,
                target,
                value,
                s.Binary(statement.loc, statement.operator, statement.target, statement.value),
            )
            if result is None:
                self.error(f"'{statement.operator}=' does not apply to {target} and {value}", statement)
                return
            if statement.operator not in ("<<", ">>"):
                self.warn_of_overflow(statement.value, target)
            self.require_fit(result, target, statement, "assigned to")
            return
        self.require_assignable(value, target, statement.value)

    def require_fit(self, value: t.Type, target: t.Type, node: s.Node, how: str) -> None:
        if not self.fits(value, target):
            self.error(f"a value of type {value} cannot be {how} {target}", node)
            return
        expression = node.value if isinstance(node, s.Argument) else node
        if isinstance(expression, s.Expression):
            self.warn_of_overflow(expression, target)

    def require_assignable(self, value: t.Type, target: t.Type, node: s.Node, how: str = "assigned to") -> None:
        """As p4c does: an int becomes a type made of bit<N> or int<N> here, but not as argument, operand or field."""
        if not (value is t.INT and isinstance(target, t.NewType) and isinstance(target.base, t.Bits)):
            self.require_fit(value, target, node, how)
        elif isinstance(node, s.Expression):
            self.warn_of_overflow(node, target)

    def return_(self, statement: s.Return) -> None:
        if self.place is Place.STATE:
            self.error("a parser's state does not return; write 'transition accept;'", statement)
        wanted = self.result_type
        if statement.value is None:
            if wanted is not None and wanted != t.VOID:
                self.error(f"this function returns {wanted}", statement)
            return
        value = self.value(statement.value)
        if wanted is None or wanted == t.VOID:
            self.error("nothing can be returned here", statement)
        else:
            self.require_assignable(value, wanted, statement.value, "returned as")

    def exit(self, statement: s.Exit) -> None:
        """Section "Exit statement": in controls and actions only."""
        if self.place is Place.STATE:
            self.error("a parser's state does not exit; write 'transition reject;'", statement)
        elif self.place in (Place.FUNCTION, Place.METHOD):
            self.error("a function does not exit; write 'return', and 'exit' where it is called", statement)

    def switch(self, statement: s.Switch) -> None:
        self.in_switch = True
        type_ = self.value(statement.value)
        self.in_switch = False
        if type_rules.kind(type_) not in (*type_rules.PLAIN, "int", "open", "none"):
            self.error(f"a switch cannot be on a {type_}; it takes a number, an enum, a bool or an error", statement)
        seen: dict[object, s.SwitchCase] = {}
        for number, case in enumerate(statement.cases):
            key: object = None
            if isinstance(case.label, s.Anything):
                key = "default"
                if number != len(statement.cases) - 1:
                    self.error("'default' comes last", case.label)
            elif isinstance(type_, t.ActionRun):
                key = self._action_label(type_, case.label)
            elif type_ is not t.UNKNOWN:
                label = self.value(case.label)
                self.require_fit(label, type_, case.label, "compared with")
                key = self.constant_or_none(case.label)
                varies = runtime_part(case.label, self.facts)
                if varies is not None:
                    self.error("a label must be known at compile time; compare with 'if' instead", varies)
            if key is not None and key in seen:
                self.error("this label appears twice", case.label, ("here first", seen[key].loc))
            elif key is not None:
                seen[key] = case
            if case.body is not None:
                self.block(case.body)

    def _action_label(self, type_: t.ActionRun, label: s.Expression) -> str | None:
        if not isinstance(label, s.Name):
            self.error("expected the name of an action of the table", label)
            return None
        names = {action_name(ref.action) for ref in type_.declaration.actions or ()}
        if label.name not in names:
            self.error(f"table '{type_.declaration.name}' has no action '{label.name}'", label)
            return None
        return label.name

    def loop(self, statement: s.For | s.ForIn) -> None:
        self.push()
        if isinstance(statement, s.For):
            self.statements(statement.init)
            self.condition(statement.condition)
            for update in statement.updates:
                self.statement(update)
        else:
            collection = self.value(statement.collection)
            element: t.Type = t.UNKNOWN
            if isinstance(collection, (t.Set, t.Stack)):
                element = collection.element
            elif isinstance(collection, t.List):
                element = collection.item
            elif isinstance(collection, t.Tuple) and collection.items:
                element = collection.items[0]
            elif collection is not t.UNKNOWN:
                self.error(f"a loop cannot go over {collection}", statement.collection)
            if statement.variable is not None:
                self.declaration(statement.variable)
                target = self.facts.declared.get(statement.variable, t.UNKNOWN)
            else:
                assert statement.target is not None
                target = self.value(statement.target)
                self.require_writable(statement.target)
            if element is not t.UNKNOWN and not self.fits(element, target):
                self.error(f"a {element} cannot be assigned to the loop's {target}", statement)
        self.loop_depth += 1
        self.branch(statement.body)
        self.loop_depth -= 1
        self.pop()


def action_name(expression: s.Expression) -> str | None:
    """The name in `a` or `a(x)`."""
    name = expression.function if isinstance(expression, s.Call) else expression
    return name.name if isinstance(name, s.Name) else None
