"""Statements, tables and parser states."""

from __future__ import annotations

from p4compiler import syntax as s
from p4compiler import types as t
from p4compiler.check_calls import CallChecks
from p4compiler.facts import CallKind


class StatementChecks(CallChecks):
    # What `return` may give back in the body being checked; None: no value.
    result_type: t.Type | None = None
    loop_depth = 0

    def declaration(self, declaration: s.Declaration) -> None:
        raise NotImplementedError

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
            value = result
        self.require_fit(value, target, statement.value, "assigned to")

    def require_fit(self, value: t.Type, target: t.Type, node: s.Node, how: str) -> None:
        if not self.fits(value, target):
            self.error(f"a value of type {value} cannot be {how} {target}", node)

    def return_(self, statement: s.Return) -> None:
        wanted = self.result_type
        if statement.value is None:
            if wanted is not None and wanted != t.VOID:
                self.error(f"this function returns {wanted}", statement)
            return
        value = self.value(statement.value)
        if wanted is None or wanted == t.VOID:
            self.error("nothing can be returned here", statement)
        else:
            self.require_fit(value, wanted, statement.value, "returned as")

    def switch(self, statement: s.Switch) -> None:
        type_ = self.value(statement.value)
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

    # Tables

    def table(self, table: s.Table) -> None:
        key_types: list[t.Type] = []
        for key in table.keys or ():
            type_ = self.value(key.expression)
            key_types.append(type_)
            plain = t.value_type(type_)
            allowed = isinstance(plain, (t.Bits, t.Enum)) or plain in (t.BOOL, t.ERROR, t.UNKNOWN)
            if not allowed and plain is not t.INT:
                self.error(f"a table cannot match on {type_}", key.expression)
            if key.match_kind.name not in self.facts.match_kinds:
                known = ", ".join(self.facts.match_kinds)
                self.error(f"unknown match kind '{key.match_kind.name}'; there are {known}", key.match_kind)
        if table.actions is None:
            self.error(f"table '{table.name}' has no list of actions", table)
        actions: dict[str, s.Action] = {}
        for ref in table.actions or ():
            self._action_ref(ref, actions)
        for property_ in table.properties:
            self._property(property_, table, actions)
        if table.entries and not table.keys:
            self.error(f"table '{table.name}' has entries but no key", table)
        for entry in table.entries or ():
            self._entry(entry, key_types, actions, table)

    def _action_ref(self, ref: s.ActionRef, actions: dict[str, s.Action]) -> None:
        expression = ref.action
        name = expression.function if isinstance(expression, s.Call) else expression
        if not isinstance(name, s.Name):
            self.error("expected the name of an action", ref)
            return
        type_ = self.expression(name)
        declaration = self.facts.uses.get(name)
        if not isinstance(declaration, s.Action):
            if type_ is not t.UNKNOWN:
                self.error(f"'{name.name}' is not an action", name)
            return
        if name.name in actions:
            self.error(f"action '{name.name}' is listed twice", ref)
        actions[name.name] = declaration
        directed = [p for p in declaration.parameters if p.direction]
        arguments = expression.arguments if isinstance(expression, s.Call) else ()
        if len(arguments) != len(directed):
            wanted = ", ".join(p.name for p in directed)
            self.error(
                f"action '{name.name}' needs its parameters with a direction bound here ({wanted})"
                if directed
                else f"action '{name.name}' has no parameters with a direction to bind here",
                ref,
            )
            return
        for parameter, argument in zip(directed, arguments, strict=True):
            if argument.value is None:
                continue
            actual = self.value(argument.value)
            self.require_fit(actual, self.facts.declared.get(parameter, t.UNKNOWN), argument, "passed as")
            if parameter.direction != "in":
                self.require_writable(argument.value)

    def _property(self, property_: s.Property, table: s.Table, actions: dict[str, s.Action]) -> None:
        value = property_.value
        if value is None:
            return
        if property_.name == "default_action":
            self._action_value(value, actions, table, "default_action")
        elif property_.name == "size":
            used = self.facts.uses.get(value) if self.value(value) is not t.UNKNOWN else None
            if isinstance(used, s.Parameter) and not used.direction:
                # A constructor parameter: known once the control is instantiated.
                return
            size = self.constant_int(value, "the size of a table")
            if size is not None and size < 0:
                self.error("the size of a table is not negative", value)
        else:
            self.expression(value)

    def _action_value(self, value: s.Expression, actions: dict[str, s.Action], table: s.Table, where: str) -> None:
        """The action, with arguments, of a default_action or an entry."""
        name = value.function if isinstance(value, s.Call) else value
        if not isinstance(name, s.Name):
            self.error(f"expected an action for {where}", value)
            return
        if self.expression(name) is t.UNKNOWN:
            return
        declaration = self.facts.uses.get(name)
        if not isinstance(declaration, s.Action):
            self.error(f"'{name.name}' is not an action", name)
            return
        if actions.get(name.name) is not declaration:
            self.error(f"action '{name.name}' is not among the actions of table '{table.name}'", name)
            return
        if isinstance(value, s.Call):
            self.facts.types[value] = self.finish_call(value, CallKind.ACTION, [declaration], {}, t.VOID)
        elif declaration.parameters:
            wanted = ", ".join(p.name for p in declaration.parameters)
            self.error(f"action '{name.name}' needs arguments here ({wanted})", value)

    def _entry(self, entry: s.Entry, key_types: list[t.Type], actions: dict[str, s.Action], table: s.Table) -> None:
        items = entry.keyset.items if isinstance(entry.keyset, s.ListExpression) else (entry.keyset,)
        if len(items) != len(key_types) and not (len(items) == 1 and isinstance(items[0], s.Anything)):
            self.error(f"table '{table.name}' has {len(key_types)} keys, this entry {len(items)}", entry)
        for item, type_ in zip(items, key_types, strict=False):
            self.keyset_item(item, type_)
        if entry.priority is not None:
            self.constant_int(entry.priority, "a priority")
        self._action_value(entry.action, actions, table, "this entry")

    def keyset_item(self, item: s.Expression, wanted: t.Type) -> None:
        """Checks one value of a select case or table entry against its key's type."""
        actual = self.value(item)
        if isinstance(actual, t.Set):
            actual = actual.element
        if isinstance(wanted, t.Enum) and wanted.underlying is not None and isinstance(item, (s.Masked, s.Range)):
            wanted = wanted.underlying
        if not self.fits(actual, wanted):
            self.error(f"a value of type {actual} cannot be compared with a key of type {wanted}", item)

    # Parser states

    def state(self, state: s.State, names: set[str]) -> None:
        self.push()
        self.statements(state.statements)
        transition = state.transition
        if isinstance(transition, s.Name):
            self._state_name(transition.name, transition, names)
        elif transition is not None:
            keys = [self.value(k) for k in transition.keys]
            for case in transition.cases:
                self._state_name(case.state, case, names)
                self._select_case(case, keys)
        self.pop()

    def _select_case(self, case: s.SelectCase, keys: list[t.Type]) -> None:
        keyset = case.keyset
        if isinstance(keyset, s.Anything):
            return
        if isinstance(keyset, s.ListExpression):
            self.facts.types[keyset] = t.UNKNOWN
            if len(keyset.items) != len(keys):
                self.error(f"this case has {len(keyset.items)} values for {len(keys)} keys", keyset)
                return
            for item, key in zip(keyset.items, keys, strict=True):
                self.keyset_item(item, key)
            return
        if isinstance(keyset, s.Name) and self._is_value_set(keyset, keys):
            return
        if len(keys) == 1:
            self.keyset_item(keyset, keys[0])
            return
        actual = self.value(keyset)
        if not isinstance(actual, t.Set):
            self.error(f"this case has 1 value for {len(keys)} keys", keyset)

    def _is_value_set(self, keyset: s.Name, keys: list[t.Type]) -> bool:
        """Whether a case names a value set; then checks that its elements fit the keys."""
        actual = self.value(keyset)
        if not isinstance(actual, t.Set):
            return False
        element = t.strip(actual.element)
        parts = [element]
        if isinstance(element, t.Struct):
            parts = list(self.field_types(element).values())
        elif isinstance(element, t.Tuple):
            parts = list(element.items)
        fits = len(parts) == len(keys) and all(
            self.fits(p, k) or self.fits(k, p) for p, k in zip(parts, keys, strict=True)
        )
        if not fits:
            self.error(f"a value set of {actual.element} does not fit the keys of this select", keyset)
        return True

    def _state_name(self, name: str, node: s.Node, names: set[str]) -> None:
        if name not in names:
            self.error(f"there is no state '{name}' in this parser", node)


def action_name(expression: s.Expression) -> str | None:
    """The name in `a` or `a(x)`."""
    name = expression.function if isinstance(expression, s.Call) else expression
    return name.name if isinstance(name, s.Name) else None
