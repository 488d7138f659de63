"""Parser states and select (P4_16 specification, section "Packet parsing")."""

from __future__ import annotations

from p4compiler import types as t
from p4compiler.check import type_rules
from p4compiler.check.compile_time import may_be_known, runtime_part
from p4compiler.check.places import Place
from p4compiler.check.tables import TableChecks
from p4compiler.syntax import tree as s


class ParserChecks(TableChecks):
    def states(self, parser: s.Parser, states: tuple[s.State, ...]) -> None:
        names = {"accept", "reject"}
        for state in states:
            if state.name in ("accept", "reject"):
                self.error(f"the state '{state.name}' is built in", state)
            elif state.name in names:
                self.error(f"state '{state.name}' is declared twice", state)
            names.add(state.name)
        if "start" not in names:
            self.error(f"parser '{parser.name}' has no state 'start'", parser)
        self.place = Place.STATE
        for state in states:
            self.state(state, names)
        self._ends(parser, states)

    def _ends(self, parser: s.Parser, states: tuple[s.State, ...]) -> None:
        """Some way leads from start to accept or reject; no transition, and a select that fits nothing, reject."""
        by_name = {state.name: state for state in states}
        todo, seen = ["start"], set[str]()
        while todo:
            name = todo.pop()
            state = by_name.get(name)
            if state is None or state.transition is None:
                return
            if name in seen:
                continue
            seen.add(name)
            if isinstance(state.transition, s.Name):
                todo.append(state.transition.name)
                continue
            cases = state.transition.cases
            if not any(isinstance(case.keyset, s.Anything) for case in cases):
                return
            todo += [case.state for case in cases]
        self.error(f"parser '{parser.name}' never reaches accept or reject", parser)

    def state(self, state: s.State, names: set[str]) -> None:
        self.push()
        self.statements(state.statements)
        transition = state.transition
        if isinstance(transition, s.Name):
            self._state_name(transition.name, transition, names)
        elif transition is None:
            if not s.is_quiet(state.annotations, "parser_transition"):
                text = f"state '{state.name}' has no transition, so it rejects; write 'transition reject;' or another"
                self.diagnostics.warning(text, state.loc)
        else:
            keys = [self._select_key(k) for k in transition.keys]
            for case in transition.cases:
                self._state_name(case.state, case, names)
                self._select_case(case, keys)
        self.pop()

    def _select_key(self, expression: s.Expression) -> t.Type:
        type_ = self.value(expression)
        if not type_rules.selectable(type_):
            self.error(f"select takes numbers, enums, bools and errors, not a {type_}; name its fields", expression)
            return t.UNKNOWN
        return type_

    def _select_case(self, case: s.SelectCase, keys: list[t.Type]) -> None:
        self._select_types(case, keys)
        if isinstance(case.keyset, s.Name) and isinstance(self.facts.types.get(case.keyset), t.Set):
            return
        varies = runtime_part(case.keyset, self.facts)
        if varies is not None and not may_be_known(varies, self.facts):
            self.error("the values of a case must be known at compile time", varies)

    def _select_types(self, case: s.SelectCase, keys: list[t.Type]) -> None:
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
        parts = self._parts(actual.element)
        fits = len(parts) == len(keys) and all(
            self.fits(p, k) or self.fits(k, p) for p, k in zip(parts, keys, strict=True)
        )
        if not fits:
            self.error(f"a value set of {actual.element} does not fit the keys of this select", keyset)
        return True

    def _parts(self, element: t.Type) -> list[t.Type]:
        """The values that an element of a value set is compared with, nested structs in place."""
        plain = t.strip(element)
        if isinstance(plain, t.Struct):
            return [part for field in self.field_types(plain).values() for part in self._parts(field)]
        if isinstance(plain, t.Tuple):
            return [part for item in plain.items for part in self._parts(item)]
        return [element]

    def _state_name(self, name: str, node: s.Node, names: set[str]) -> None:
        if name not in names:
            self.error(f"there is no state '{name}' in this parser", node)

    def value_set(self, declaration: s.ValueSet) -> None:
        type_ = self.resolve(declaration.type)
        for part in self._parts(type_):
            if type_rules.kind(part) not in (*type_rules.PLAIN, "open"):
                self.error(f"a value set cannot have elements of type {type_}", declaration)
                break
        self.constant_int(declaration.size, "the size of a value set")
        self.facts.declared[declaration] = t.Set(type_)
        self.declare(declaration)
