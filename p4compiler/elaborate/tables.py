"""Tables: keys, actions with their bodies, default action, entries and properties."""

from __future__ import annotations

from itertools import product

from p4compiler import types as t
from p4compiler.elaborate.statements import Statements
from p4compiler.elaborate.storage import control_plane_name
from p4compiler.ir import fold
from p4compiler.ir import nodes as ir
from p4compiler.p4info.names import annotation_number, key_name
from p4compiler.source import Fault, Location
from p4compiler.syntax import tree as s

# Properties whose values mean something to v1model.
_KINDS = {
    "implementation": ("action_profile", "action_selector"),
    "counters": ("direct_counter",),
    "meters": ("direct_meter",),
}
OBJECT_PROPERTIES = (*_KINDS, "support_timeout")
EMPTY_RANGE = "this range holds no number: it ends before it begins"

# What these say is in the entries' priorities already.
_OF_ENTRIES = ("largest_priority_wins", "priority_delta")


class Tables(Statements):
    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.tables: list[ir.TableObject] = []
        # Keys that are no plain fields, with the variables that hold them while the table is looked up.
        self._computed: dict[ir.TableObject, list[tuple[s.Expression, ir.Scalar]]] = {}

    def apply_table(self, table: s.Table, loc: Location) -> ir.Apply:
        """An Apply of the table, after what computes its keys."""
        found = self.frame.find(table)
        if found is None:
            found = self._new_table(table)
        assert isinstance(found, ir.TableObject)
        for expression, place in self._computed[found]:
            self.assign(place, self.scalar(expression))
        return ir.Apply(loc, found, [], [])

    def _owner(self) -> ir.Frame:
        frame: ir.Frame | None = self.frame
        while frame is not None and not frame.prefix:
            frame = frame.parent
        return frame if frame is not None else self.globals

    def _new_table(self, declaration: s.Table) -> ir.TableObject:
        name = self.full_name(control_plane_name(declaration))
        table = ir.TableObject(name, declaration, declaration.annotations, loc=declaration.loc)
        self._owner().values[declaration] = table
        self.tables.append(table)
        self._computed[table] = []
        for key in declaration.keys or ():
            self._key(table, key)
        by_declaration = self._actions(table, declaration)
        for property_ in declaration.properties:
            self._property(table, property_, by_declaration)
        if table.default_action is None:
            self._no_action(table, by_declaration)
        for entry in declaration.entries or ():
            self._entry(table, entry, by_declaration)
        # The first wins; of entries with one priority that which stands first in the program.
        table.entries.sort(key=lambda entry: -(entry.priority or 0))
        table.entries_const = declaration.entries_const
        return table

    # Keys

    def _key(self, table: ir.TableObject, key: s.KeyElement) -> None:
        with self.collected() as needs:
            value = self.scalar(key.expression)
        plain = isinstance(value, (ir.Scalar, ir.Valid)) and not needs and not fold.children(value)
        annotation = s.find_annotation(key.annotations, "name")
        name = s.string_body(annotation) if annotation is not None else key_name(key.expression, self.facts)
        if name is None:
            self.diagnostics.error('this key needs a name: add @name("...")', key.loc)
            name = "key"
        if not plain:
            place = self.temporary("key", self.type_of(key.expression))
            assert isinstance(place, ir.Scalar)
            self._computed[table].append((key.expression, place))
            value = place
        declared = self.type_of(key.expression)
        table.keys.append(ir.Key(value, key.match_kind.name, name, declared, key.annotations, key.loc))

    # Actions

    def _actions(self, table: ir.TableObject, declaration: s.Table) -> dict[s.Declaration, ir.ActionObject]:
        found: dict[s.Declaration, ir.ActionObject] = {}
        for ref in declaration.actions or ():
            name = ref.action.function if isinstance(ref.action, s.Call) else ref.action
            action = self.facts.uses.get(name)
            assert isinstance(action, s.Action)
            arguments = ref.action.arguments if isinstance(ref.action, s.Call) else ()
            made = self._action_object(action, arguments, ref.loc)
            found[action] = made
            table.actions.append(made)
            table.action_annotations[made] = ref.annotations
        return found

    def _action_object(
        self, declaration: s.Action, arguments: tuple[s.Argument, ...], loc: Location
    ) -> ir.ActionObject:
        owner = self.action_frame(declaration)
        frame = ir.Frame(owner)
        data: list[ir.ActionParameter] = []
        for parameter in declaration.parameters:
            if parameter.direction:
                continue
            declared = t.substitute(self.facts.declared[parameter], owner.types)
            erased = fold.erase(declared)
            shown = control_plane_name(parameter)
            data.append(ir.ActionParameter(shown, erased, declared, parameter.annotations))
            frame.values[parameter] = ir.Runtime(erased, len(data) - 1, shown)
        directed = [p for p in declaration.parameters if p.direction]
        with self.collected() as body, self.action_body():
            given = self.evaluated(directed, [a.value for a in arguments], owner.types, arguments, declaration.name)
            back = self.bound(frame, given, declaration.name, by_name=True)
            self.out += self.inline(declaration.body, frame, None, loc, back)
            self.copy_back(back)
        name = control_plane_name(declaration)
        full = f"{owner.prefix}.{name}" if owner.prefix and not name.startswith(".") else name.lstrip(".")
        return ir.ActionObject(full, declaration, tuple(data), body, declaration.annotations)

    def _no_action(self, table: ir.TableObject, found: dict[s.Declaration, ir.ActionObject]) -> None:
        """A table without default action does nothing on a miss."""
        declaration = next((d for d in self.facts.globals.get("NoAction", ()) if isinstance(d, s.Action)), None)
        if declaration is None:
            return
        action = found.get(declaration)
        if action is None:
            action = self._action_object(declaration, (), declaration.loc)
            table.actions.append(action)
            table.action_annotations[action] = (s.Annotation(declaration.loc, "defaultonly"),)
        table.default_action = action

    # Properties

    def _property(
        self, table: ir.TableObject, property_: s.Property, actions: dict[s.Declaration, ir.ActionObject]
    ) -> None:
        value = property_.value
        if value is None:
            return
        if property_.name == "default_action":
            table.default_action, table.default_arguments = self._action_value(value, actions)
            table.default_const = property_.const
        elif property_.name == "size":
            size = self.scalar(value)
            if not isinstance(size, ir.Const):
                raise Fault("the size of a table must be known at compile time", value.loc)
            table.size = size.value
        elif property_.name in OBJECT_PROPERTIES:
            made = self.value(value)
            if isinstance(made, ir.ExternObject) and made.anonymous and not made.name:
                annotation = s.find_annotation(property_.annotations, "name")
                made.name = s.string_body(annotation) or "" if annotation is not None else ""
                made.name = made.name or f"{table.name}.{property_.name}"
                made.annotations = property_.annotations
            self._fits_property(property_.name, made, value.loc)
            table.properties[property_.name] = made
        elif property_.name not in _OF_ENTRIES:
            self.diagnostics.warning(f"unknown table property '{property_.name}' is ignored", property_.loc)

    def _fits_property(self, name: str, made: ir.Value, loc: Location) -> None:
        kinds = _KINDS.get(name)
        if kinds is None:
            if not isinstance(made, ir.Const) or made.type != t.BOOL:
                raise Fault(f"{name} is true or false", loc)
        elif not isinstance(made, ir.ExternObject) or made.kind not in kinds:
            raise Fault(f"'{name}' of a table is an object of type {' or '.join(kinds)}", loc)

    def _action_value(
        self, value: s.Expression, actions: dict[s.Declaration, ir.ActionObject]
    ) -> tuple[ir.ActionObject, tuple[int, ...]]:
        """The action and its control-plane arguments in `a(1, 2)`."""
        name = value.function if isinstance(value, s.Call) else value
        declaration = self.facts.uses.get(name)
        assert isinstance(declaration, s.Action)
        action = actions[declaration]
        if not isinstance(value, s.Call):
            return action, ()
        fact = self.facts.calls[value]
        arguments: list[int] = []
        for parameter, argument in zip(fact.parameters, fact.arguments, strict=True):
            if parameter.direction or argument is None:
                continue
            number = self.typed(argument, self.concrete(self.facts.declared[parameter]))
            if not isinstance(number, ir.Const):
                raise Fault("arguments of actions must be known at compile time", argument.loc)
            arguments.append(number.value)
        return action, tuple(arguments)

    # Entries

    def _entry(self, table: ir.TableObject, entry: s.Entry, actions: dict[s.Declaration, ir.ActionObject]) -> None:
        items = entry.keyset.items if isinstance(entry.keyset, s.ListExpression) else (entry.keyset,)
        if len(items) == 1 and isinstance(items[0], s.Anything):
            items = (items[0],) * len(table.keys)
        choices: list[list[ir.KeyValue]] = []
        for item, key in zip(items, table.keys, strict=True):
            choices.append(self.key_values(item, key.expression.type))
            if not choices[-1]:
                raise Fault(EMPTY_RANGE, item.loc)
        action, arguments = self._action_value(entry.action, actions)
        priority = self.facts.priorities.get(entry)
        rank = annotation_number(entry.annotations, "priority")
        for keyset in product(*choices):
            table.entries.append(ir.EntryObject(keyset, action, arguments, priority, rank, entry.const, entry.loc))

    def key_values(self, item: s.Expression, type_: t.Type) -> list[ir.KeyValue]:
        """One value, mask, range or anything, as of a key of the type: as unsigned numbers, which targets compare.

        A range from below zero to above it becomes two, one that ends before it begins none.
        """
        if isinstance(item, s.Anything):
            return [ir.KeyValue("any")]
        full = (1 << type_.width) - 1 if isinstance(type_, t.Bits) else -1
        if isinstance(item, s.Masked):
            value, mask = self._constant_key(item.value, type_), self._constant_key(item.mask, type_)
            return [ir.KeyValue("mask", value & full, mask & full)]
        if not isinstance(item, s.Range):
            return [ir.KeyValue("exact", self._constant_key(item, type_) & full)]
        low, high = self._constant_key(item.low, type_), self._constant_key(item.high, type_)
        if low > high:
            return []
        if low < 0 <= high:
            return [ir.KeyValue("range", low & full, full), ir.KeyValue("range", 0, high)]
        return [ir.KeyValue("range", low & full, high & full)]

    def _constant_key(self, item: s.Expression, type_: t.Type) -> int:
        value = self.typed(item, type_)
        if not isinstance(value, ir.Const):
            raise Fault("this value must be known at compile time", item.loc)
        return value.value
