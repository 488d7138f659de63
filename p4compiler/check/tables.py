"""Tables: keys, actions, default actions, entries (P4_16 specification, section "Tables")."""

from __future__ import annotations

from p4compiler import types as t
from p4compiler.check import type_rules
from p4compiler.check.compile_time import runtime_part
from p4compiler.check.entries import EntryChecks
from p4compiler.check.facts import CallKind
from p4compiler.check.statements import action_name
from p4compiler.p4info.names import key_name
from p4compiler.syntax import tree as s


class TableChecks(EntryChecks):
    def table(self, table: s.Table) -> None:
        # Its own name is no key: what it hides cannot be reached in here.
        self.declare(table)
        key_types = [self._key(key, table) for key in table.keys or ()]
        if table.actions is None:
            self.error(f"table '{table.name}' has no list of actions", table)
        actions: dict[str, s.Action] = {}
        for ref in table.actions or ():
            self._action_ref(ref, actions)
        self._default_exists(table)
        for property_ in table.properties:
            self._property(property_, table, actions)
        if table.entries and not table.keys:
            self.error(f"table '{table.name}' has entries but no key", table)
        for entry in table.entries or ():
            self.entry(entry, key_types, table)
            self._action_value(entry.action, actions, table, "this entry")
        self.priorities(table)
        self.same_keys(table)

    def _key(self, key: s.KeyElement, table: s.Table) -> t.Type:
        type_ = self.value(key.expression)
        if isinstance(type_, t.Table):
            self.error(f"'{table.name}' means the table itself here; rename the table or the field", key.expression)
            return t.UNKNOWN
        match = key.match_kind.name
        if type_rules.kind(type_) not in (*type_rules.PLAIN, "open", "int"):
            self.error(f"a table cannot match on {type_}", key.expression)
        if match not in self.facts.match_kinds:
            known = ", ".join(self.facts.match_kinds)
            self.error(f"unknown match kind '{match}'; there are {known or 'none: include core.p4'}", key.match_kind)
        named = s.find_annotation(key.annotations, "name") is not None
        if type_ is not t.UNKNOWN and not named and key_name(key.expression, self.facts) is None:
            self.error('this key has no name for the control plane; write @name("...") after it', key.expression)
        return type_

    # Actions

    def _default_exists(self, table: s.Table) -> None:
        """A table without default_action does NoAction on a miss, which core.p4 declares."""
        if any(p.name == "default_action" for p in table.properties):
            return
        found = self.globals.find("NoAction")
        if not any(isinstance(d, s.Action) and not d.parameters for d in found):
            self.error(
                f"table '{table.name}' has no default_action, so it needs the action NoAction() of core.p4; "
                "write #include <core.p4> at the top",
                table,
            )

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
        ref = next(r for r in table.actions or () if action_name(r.action) == name.name)
        forbidden = "tableonly" if where == "default_action" else "defaultonly"
        if s.find_annotation(ref.annotations, forbidden) is not None:
            self.error(f"action '{name.name}' is marked @{forbidden}: it cannot be used for {where}", name)
        if isinstance(value, s.Call):
            self.facts.types[value] = self.finish_call(value, CallKind.ACTION, [declaration], {}, t.VOID)
            self._bound(value, ref, declaration)
        elif declaration.parameters:
            wanted = ", ".join(p.name for p in declaration.parameters)
            self.error(f"action '{name.name}' needs arguments here ({wanted})", value)

    def _bound(self, call: s.Call, ref: s.ActionRef, action: s.Action) -> None:
        """Parameters with a direction have the arguments of the action list again; the others are constants."""
        fact = self.facts.calls.get(call)
        if fact is None:
            return
        listed = iter(ref.action.arguments if isinstance(ref.action, s.Call) else ())
        for parameter, argument in zip(fact.parameters, fact.arguments, strict=True):
            if parameter.direction:
                bound = next(listed, None)
                if bound is None or bound.value is None or argument is None:
                    continue
                if not self._same(bound.value, argument):
                    here = ("it is bound here", bound.loc)
                    self.error(
                        f"'{parameter.name}' of '{action.name}' is bound in the list of actions", argument, here
                    )
            elif argument is not None and (varies := runtime_part(argument, self.facts)) is not None:
                self.error(f"'{parameter.name}' of '{action.name}' must be known at compile time here", varies)

    def _same(self, first: s.Expression, second: s.Expression) -> bool:
        if isinstance(first, s.RecordExpression) and isinstance(second, s.RecordExpression):
            named = {f.name: f.value for f in second.fields}
            return all(f.name in named and self._same(f.value, named[f.name]) for f in first.fields)
        values = [self.constant_or_none(e) for e in (first, second)]
        if None not in values:
            return values[0] == values[1]
        texts = ["".join(e.loc.source.text[e.loc.start : e.loc.end].split()) for e in (first, second)]
        return texts[0] == texts[1]

    # Properties

    def _property(self, property_: s.Property, table: s.Table, actions: dict[str, s.Action]) -> None:
        value = property_.value
        if value is None:
            return
        if property_.name == "default_action":
            if table.actions and property_.loc.start < table.actions[0].loc.start:
                self.error("default_action comes after the list of actions", property_)
            self._action_value(value, actions, table, "default_action")
        elif property_.name == "size":
            used = self.facts.uses.get(value) if self.value(value) is not t.UNKNOWN else None
            if isinstance(used, s.Parameter) and not used.direction:
                # A constructor parameter: known once the control is instantiated.
                return
            size = self.constant_int(value, "the size of a table")
            if size is not None and size < 0:
                self.error("the size of a table is not negative", value)
        elif property_.name == "largest_priority_wins":
            if self.value(value) not in (t.BOOL, t.UNKNOWN):
                self.error("largest_priority_wins is true or false", value)
        elif property_.name == "priority_delta":
            delta = self.constant_int(value, "priority_delta")
            if delta is not None and delta < 1:
                self.error("priority_delta is a positive number", value)
        else:
            self.expression(value)
