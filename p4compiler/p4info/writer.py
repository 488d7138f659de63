"""P4Info of a program (P4Runtime specification, section 6), equal to what p4c writes."""

from __future__ import annotations

from typing import Any

from finsy.proto import p4i
from google.protobuf import json_format, text_format

from p4compiler import types as t
from p4compiler.elaborate import program as elaborate
from p4compiler.elaborate.storage import control_plane_name, struct_type_name
from p4compiler.ir import nodes as ir
from p4compiler.ir.effects import bodies
from p4compiler.p4info.annotations import annotate, document, field_ids, is_hidden
from p4compiler.p4info.names import aliases, annotation_number, assign_ids
from p4compiler.p4info.types import TypeDescriptions, type_name, type_width
from p4compiler.syntax import tree as s

ACTION, TABLE, VALUE_SET, CONTROLLER_HEADER = 0x01, 0x02, 0x03, 0x04
PROFILE, COUNTER, DIRECT_COUNTER, METER, DIRECT_METER = 0x11, 0x12, 0x13, 0x14, 0x15
REGISTER, DIGEST = 0x16, 0x17
_EXTERN_PREFIXES = {
    "action_profile": PROFILE,
    "action_selector": PROFILE,
    "counter": COUNTER,
    "direct_counter": DIRECT_COUNTER,
    "meter": METER,
    "direct_meter": DIRECT_METER,
    "register": REGISTER,
}
DEFAULT_TABLE_SIZE = 1024
# P4Info has fields of its own for what these say.
SELECTOR_ANNOTATIONS = ("max_group_size", "selector_size_semantics", "max_member_weight")
_HEADER = "# proto-file: p4/config/v1/p4info.proto\n# proto-message: p4.config.v1.P4Info\n\n"


def p4info_text(program: elaborate.Program) -> str:
    return _HEADER + text_format.MessageToString(p4info(program), as_utf8=True)


def p4info_bytes(program: elaborate.Program, form: str) -> bytes:
    """`form`: text, json or binary, as p4c's --p4runtime-format names them."""
    if form == "binary":
        return bytes(p4info(program).SerializeToString(deterministic=True))
    text = json_format.MessageToJson(p4info(program)) + "\n" if form == "json" else p4info_text(program)
    return text.encode()


def p4info(program: elaborate.Program) -> Any:
    """The P4Info message."""
    return _Writer(program).write()


def _as_declared(program: elaborate.Program) -> list[ir.TableObject]:
    """Tables in the order of their controls' locals; those of an instance stand where the instance is declared.

    Instances that are applied without a declaration come after all that is declared.
    """
    by_name = {instance.name: instance for instance in program.instances}
    found: dict[ir.TableObject, None] = {}
    seen: set[int] = set()

    def walk(instance: ir.Instantiated) -> None:
        seen.add(id(instance))
        frame = instance.frame
        assert isinstance(instance.declaration, s.Control)
        for local in instance.declaration.locals:
            value = frame.values.get(local)
            if isinstance(value, ir.TableObject):
                found[value] = None
            elif isinstance(value, ir.Instantiated) and isinstance(value.declaration, s.Control):
                walk(value)
        for other in program.instances:
            if id(other) not in seen and other.name.rpartition(".")[0] == instance.name:
                walk(other)

    for name in program.control_names.values():
        walk(by_name[name])
    return [*found, *(table for table in program.tables if table not in found)]


class _Writer:
    def __init__(self, program: elaborate.Program) -> None:
        self.program = program
        self.info = p4i.P4Info()
        self.types = TypeDescriptions(program, self.info)
        self.actions = self._actions()
        self.tables = [table for table in _as_declared(program) if not is_hidden(table.annotations)]
        self.externs = [e for e in program.externs if e.kind in _EXTERN_PREFIXES]
        self.digests = self._digests()
        self.headers = self._controller_headers()
        self.ids: dict[tuple[int, str], int] = {}
        self._assign()

    # Collecting

    def _actions(self) -> list[ir.ActionObject]:
        """Actions of tables and those called from controls, in the order of their declarations."""
        used: dict[tuple[str, s.Action], ir.ActionObject] = {}
        for table in self.program.tables:
            for action in table.actions:
                used.setdefault((action.name, action.declaration), action)
        for statements in self.program.controls.values():
            for called in direct_actions(statements):
                used.setdefault((called.name, called.declaration), called)
        order = self._action_order()
        unique = {action.name: action for action in reversed(used.values())}
        return sorted(unique.values(), key=lambda a: order.get(a.name, -1))

    def _action_order(self) -> dict[str, int]:
        """Names of actions as their controls declare them."""
        order: dict[str, int] = {}
        for instance in self.program.instances:
            if not isinstance(instance.declaration, s.Control):
                continue
            # Actions of the top level stand with the first control that lists them, before its own.
            for table in self.program.tables:
                if table.declaration in instance.declaration.locals and not is_hidden(table.annotations):
                    for action in table.actions:
                        if action.declaration in self.program.facts.program.declarations:
                            order.setdefault(action.name, len(order))
            for local in instance.declaration.locals:
                if isinstance(local, s.Action):
                    name = control_plane_name(local)
                    full = name[1:] if name.startswith(".") else f"{instance.name}.{name}"
                    order.setdefault(full, len(order))
        return order

    def _digests(self) -> dict[str, t.Type]:
        found: dict[str, t.Type] = {}
        automatic = 0
        for role in (elaborate.INGRESS, elaborate.EGRESS):
            for call in extern_calls(self.program.controls[role]):
                if call.name == "digest" and call.object is None:
                    type_ = call.type_arguments[0]
                    if isinstance(type_, t.Struct):
                        found.setdefault(struct_type_name(type_), type_)
                    else:
                        found[f"digest_{automatic}"] = type_
                        automatic += 1
        return found

    def _controller_headers(self) -> list[s.StructLike]:
        declarations = self.program.facts.program.declarations
        return [
            d
            for d in declarations
            if isinstance(d, s.StructLike)
            and d.kind == "header"
            and s.find_annotation(d.annotations, "controller_header")
            and not is_hidden(d.annotations)
        ]

    def _assign(self) -> None:
        """Ids by (prefix, name) and aliases by name."""
        symbols: dict[int, dict[str, int | None]] = {}

        def add(prefix: int, name: str, annotations: s.Annotations) -> None:
            given = annotation_number(annotations, "id")
            symbols.setdefault(prefix, {}).setdefault(name, given & 0xFFFFFF if given is not None else None)

        for action in self.actions:
            add(ACTION, action.name, action.annotations)
        for table in self.program.tables:
            add(TABLE, table.name, table.annotations)
        for value_set in self.program.value_sets:
            add(VALUE_SET, value_set.name, value_set.annotations)
        for header in self.headers:
            add(CONTROLLER_HEADER, control_plane_name(header), header.annotations)
        for made in self.externs:
            add(_EXTERN_PREFIXES[made.kind], made.name, made.annotations)
        for name in self.digests:
            add(DIGEST, name, ())
        taken: set[int] = set()
        for prefix, names in symbols.items():
            for name, number in assign_ids(prefix, names, taken).items():
                self.ids[(prefix, name)] = number
        self.aliases = aliases(name for _, name in self.ids)

    # Writing

    def write(self) -> Any:
        self.info.pkg_info.arch = "v1model"
        self._package()
        if self._mentions_types():
            self.info.type_info.SetInParent()
        for table in self.tables:
            self._table(table)
        for action in self.actions:
            if not is_hidden(action.annotations):
                self._action(action)
        for made in self.externs:
            self._extern(made)
        for header in self.headers:
            self._controller_header(header)
        for value_set in self.program.value_sets:
            self._value_set(value_set)
        for name, type_ in self.digests.items():
            digest = self.info.digests.add()
            self._preamble(digest.preamble, DIGEST, name, ())
            self.types.describe(type_, digest.type_spec)
        return self.info

    def _mentions_types(self) -> bool:
        """Whether anything has a type that P4Info could describe: then type_info is there, if only empty."""
        if self.tables or self.headers or any(action.data for action in self.actions):
            return True
        if any(not made.kind.startswith("direct_") for made in self.program.externs):
            return True
        calls = [c for body in self.program.controls.values() for c in extern_calls(body)]
        return any(call.object is None for call in calls)

    def _preamble(
        self, preamble: Any, prefix: int, name: str, annotations: s.Annotations, skip: tuple[str, ...] = ()
    ) -> None:
        preamble.id = self.ids[(prefix, name)]
        preamble.name = name
        preamble.alias = self.aliases[name]
        annotate(preamble, annotations, skip)
        document(preamble, annotations)

    def _package(self) -> None:
        main = next(d for d in self.program.facts.globals["main"] if isinstance(d, s.Instance))
        package = self.info.pkg_info
        for annotation in main.annotations:
            if annotation.name in ("pkginfo", "platform_property"):
                tokens = list(annotation.body or ())
                for index, token in enumerate(tokens):
                    if token.text == "=" and 0 < index < len(tokens) - 1:
                        self._package_field(package, annotation.name, tokens[index - 1].text, tokens[index + 1].text)
        annotate(package, main.annotations, ("pkginfo", "platform_property"))
        document(package, main.annotations)

    def _package_field(self, package: Any, annotation: str, key: str, value: str) -> None:
        if annotation == "pkginfo" and key in ("name", "version", "organization", "contact", "url", "arch"):
            setattr(package, key, s.unquote(value))
        elif annotation == "platform_property" and hasattr(package, "platform_properties"):
            setattr(package.platform_properties, key, int(value, 0))

    def _table(self, table: ir.TableObject) -> None:
        message = self.info.tables.add()
        self._preamble(message.preamble, TABLE, table.name, table.annotations)
        message.size = table.size or DEFAULT_TABLE_SIZE
        self._match_fields(message, table)
        for action in table.actions:
            ref = message.action_refs.add()
            ref.id = self.ids[(ACTION, action.name)]
            marks = table.action_annotations[action]
            annotate(ref, marks)
            if s.find_annotation(marks, "tableonly"):
                ref.scope = p4i.ActionRef.TABLE_ONLY
            elif s.find_annotation(marks, "defaultonly"):
                ref.scope = p4i.ActionRef.DEFAULT_ONLY
        if table.default_action is not None:
            self._default_action(message, table, table.default_action)
        message.is_const_table = table.entries_const and table.declaration.entries is not None
        message.has_initial_entries = bool(table.entries)
        implementation = table.properties.get("implementation")
        if isinstance(implementation, ir.ExternObject):
            message.implementation_id = self.ids[(PROFILE, implementation.name)]
        for name in ("counters", "meters"):
            made = table.properties.get(name)
            if isinstance(made, ir.ExternObject) and made.kind.startswith("direct_"):
                message.direct_resource_ids.append(self.ids[(_EXTERN_PREFIXES[made.kind], made.name)])
        timeout = table.properties.get("support_timeout")
        if isinstance(timeout, ir.Const) and timeout.value:
            message.idle_timeout_behavior = p4i.Table.NOTIFY_CONTROL

    def _match_fields(self, message: Any, table: ir.TableObject) -> None:
        numbers = field_ids([key.annotations for key in table.keys])
        kinds = dict(p4i.MatchField.MatchType.items())
        for number, key in zip(numbers, table.keys, strict=True):
            if key.match_kind == "selector":
                continue
            field = message.match_fields.add()
            field.id = number
            field.name = key.name
            annotate(field, key.annotations)
            document(field, key.annotations)
            field.bitwidth = type_width(key.declared)
            if key.match_kind.upper() in kinds:
                field.match_type = kinds[key.match_kind.upper()]
            else:
                field.other_match_type = key.match_kind
            self.types.describe(key.declared)
            named = type_name(key.declared)
            if named is not None:
                field.type_name.name = named

    def _default_action(self, message: Any, table: ir.TableObject, action: ir.ActionObject) -> None:
        number = self.ids[(ACTION, action.name)]
        if table.default_const:
            message.const_default_action_id = number
        message.initial_default_action.action_id = number
        numbers = field_ids([p.annotations for p in action.data])
        for parameter, id_, value in zip(action.data, numbers, table.default_arguments, strict=False):
            argument = message.initial_default_action.arguments.add()
            argument.param_id = id_
            width = type_width(parameter.declared) or 1
            argument.value = (value & ((1 << width) - 1)).to_bytes((width + 7) // 8, "big")

    def _action(self, action: ir.ActionObject) -> None:
        message = self.info.actions.add()
        self._preamble(message.preamble, ACTION, action.name, action.annotations)
        numbers = field_ids([p.annotations for p in action.data])
        for number, parameter in zip(numbers, action.data, strict=True):
            param = message.params.add()
            param.id = number
            param.name = parameter.name
            annotate(param, parameter.annotations)
            document(param, parameter.annotations)
            plain = t.strip(parameter.declared)
            if isinstance(plain, t.Enum) and plain.underlying is None:
                param.type_name.name = control_plane_name(plain.declaration)
            else:
                param.bitwidth = type_width(parameter.declared)
            self.types.describe(parameter.declared)
            named = type_name(parameter.declared)
            if named is not None:
                param.type_name.name = named

    def _controller_header(self, declaration: s.StructLike) -> None:
        message = self.info.controller_packet_metadata.add()
        name = control_plane_name(declaration)
        annotation = s.find_annotation(declaration.annotations, "controller_header")
        shown = (s.string_body(annotation) if annotation is not None else None) or name
        message.preamble.id = self.ids[(CONTROLLER_HEADER, name)]
        message.preamble.name = message.preamble.alias = shown
        annotate(message.preamble, declaration.annotations)
        document(message.preamble, declaration.annotations)
        fields = self.types.flat_fields(t.Struct(declaration))
        numbers = field_ids([a for _, _, a in fields])
        for number, (field_name, type_, marks) in zip(numbers, fields, strict=True):
            if is_hidden(marks):
                continue
            metadata = message.metadata.add()
            metadata.id = number
            metadata.name = field_name
            annotate(metadata, marks)
            metadata.bitwidth = type_width(type_)
            self.types.describe(type_)
            named = type_name(type_)
            if named is not None:
                metadata.type_name.name = named

    def _value_set(self, made: ir.ValueSetObject) -> None:
        message = self.info.value_sets.add()
        self._preamble(message.preamble, VALUE_SET, made.name, made.annotations)
        message.size = made.size
        plain = t.value_type(made.element)
        if isinstance(t.strip(made.element), t.Enum):
            element = t.strip(made.element)
            assert isinstance(element, t.Enum)
            for number, member in enumerate(element.declaration.members, 1):
                match = message.match.add(id=number, name=member.name, bitwidth=type_width(plain))
                match.match_type = p4i.MatchField.EXACT
            return
        if not isinstance(plain, t.Struct):
            message.match.add(id=1, bitwidth=type_width(plain), match_type=p4i.MatchField.EXACT)
            return
        fields = plain.declaration.fields
        types = self.program.storage.field_types(plain)
        for number, field in zip(field_ids([f.annotations for f in fields]), fields, strict=True):
            match = message.match.add(id=number, name=control_plane_name(field))
            match.bitwidth = type_width(types[field.name])
            annotation = s.find_annotation(field.annotations, "match")
            kind = annotation.body[0].text.upper() if annotation is not None and annotation.body else "EXACT"
            match.match_type = p4i.MatchField.MatchType.Value(kind)
            annotate(match, field.annotations, ("match",))
            document(match, field.annotations)

    # Externs

    def _extern(self, made: ir.ExternObject) -> None:
        if is_hidden(made.annotations):
            return
        prefix = _EXTERN_PREFIXES[made.kind]
        owner = self._owner(made)
        if made.kind.startswith("direct_") and owner is None:
            return
        kinds: dict[int, Any] = {
            PROFILE: self.info.action_profiles,
            COUNTER: self.info.counters,
            DIRECT_COUNTER: self.info.direct_counters,
            METER: self.info.meters,
            DIRECT_METER: self.info.direct_meters,
            REGISTER: self.info.registers,
        }
        message = kinds[prefix].add()
        skip = SELECTOR_ANNOTATIONS if prefix == PROFILE else ()
        self._preamble(message.preamble, prefix, made.name, made.annotations, skip)
        numbers = [a.value for a in made.arguments if isinstance(a, ir.Const) and a.label is None]
        units = next((a.label for a in made.arguments[::-1] if isinstance(a, ir.Const) and a.label is not None), None)
        if prefix == PROFILE:
            self._profile(message, made, numbers[0])
        elif prefix == REGISTER:
            self.types.describe(made.type_arguments[0], message.type_spec)
            message.size = numbers[0]
            self._index(message, made.type_arguments[1:])
        else:
            assert units is not None
            unit = {"packets_and_bytes": "BOTH"}.get(units, units.upper())
            spec = p4i.CounterSpec if "counter" in made.kind else p4i.MeterSpec
            message.spec.unit = spec.Unit.Value(unit)
            if owner is not None and made.kind.startswith("direct_"):
                message.direct_table_id = self.ids[(TABLE, owner.name)]
            else:
                size = made.arguments[0]
                assert isinstance(size, ir.Const)
                message.size = size.value
                self._index(message, made.type_arguments[:1])

    def _index(self, message: Any, types: tuple[t.Type, ...]) -> None:
        for type_ in types:
            self.types.describe(type_)
            named = type_name(type_)
            if named is not None:
                message.index_type_name.name = named

    def _profile(self, message: Any, made: ir.ExternObject, size: int) -> None:
        selector = made.kind == "action_selector"
        message.with_selector = selector
        message.size = size
        for table in self.program.tables:
            if table.properties.get("implementation") is made:
                message.table_ids.append(self.ids[(TABLE, table.name)])
        if not selector:
            return
        maximum = annotation_number(made.annotations, "max_group_size")
        if maximum is not None:
            message.max_group_size = maximum
        semantics = s.find_annotation(made.annotations, "selector_size_semantics")
        text = (s.string_body(semantics) or "").lower() if semantics is not None else ""
        if text == "sum_of_weights":
            message.sum_of_weights.SetInParent()
        elif text == "sum_of_members":
            message.sum_of_members.SetInParent()
            weight = annotation_number(made.annotations, "max_member_weight")
            if weight is not None:
                message.sum_of_members.max_member_weight = weight

    def _owner(self, made: ir.ExternObject) -> ir.TableObject | None:
        for table in self.program.tables:
            if made in table.properties.values():
                return table
        return None


def walk_statements(statements: list[ir.Stmt], into_actions: bool) -> list[ir.Stmt]:
    """All statements in order, inner ones too."""
    found: list[ir.Stmt] = []
    for statement in statements:
        found.append(statement)
        for body in bodies(statement, into_actions):
            found += walk_statements(body, into_actions)
    return found


def direct_actions(statements: list[ir.Stmt]) -> list[ir.ActionObject]:
    return [x.action for x in walk_statements(statements, False) if isinstance(x, ir.DirectAction)]


def extern_calls(statements: list[ir.Stmt]) -> list[ir.Call]:
    return [x for x in walk_statements(statements, True) if isinstance(x, ir.Call)]
