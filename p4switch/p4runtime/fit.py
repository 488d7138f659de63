"""A P4Info and a program that belong together: what the one names the other has, and the widths that only the program
knows.

A type with ``@p4runtime_translation`` has in the P4Info the width that clients use, whatever the program's is
(specification, "User-defined types"). No mapping is configured in this switch, so the numbers are the same on both
sides; types that clients exchange as strings would need one, and are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from finsy.proto import p4t

from p4switch.p4runtime.errors import Code, RequestError, invalid
from p4switch.p4runtime.p4info import Action, ActionRef, Field, Register, Schema, Table, ValueSet
from p4switch.p4runtime.values import data_width
from p4switch.program import HeaderType, Program

PADDING = "_padding"
"""How p4c's names of fields begin that only fill a header up to whole bytes."""


def fit(schema: Schema, program: Program) -> Schema:
    """The schema with the program's widths.

    Raises:
        RequestError: names the first thing that one of the two lacks, or has in another form. UNIMPLEMENTED for types
            that are exchanged as strings.
    """
    _check_types(schema.types)
    _check_names(schema, program)
    params = {action.name: [param.width for param in action.params] for action in program.actions.values()}
    actions = {id: _fit_action(action, params.get(action.name)) for id, action in schema.actions.items()}
    return replace(
        schema,
        actions=actions,
        tables={id: _fit_table(table, actions, program) for id, table in schema.tables.items()},
        registers={id: _fit_register(register, schema.types, program) for id, register in schema.registers.items()},
        value_sets={id: _fit_value_set(value_set, program) for id, value_set in schema.value_sets.items()},
        packet_in=_fit_header("packet_in", schema.packet_in, program),
        packet_out=_fit_header("packet_out", schema.packet_out, program),
    )


def _check_types(types: p4t.P4TypeInfo) -> None:
    for name, new_type in sorted(types.new_types.items()):
        if new_type.translated_type.HasField("sdn_string"):
            uri = new_type.translated_type.uri
            raise RequestError(
                Code.UNIMPLEMENTED,
                f"P4Info: values of the type {name} are exchanged as strings, by the translation {uri!r}, and "
                "nothing tells this switch which numbers they stand for: give its @p4runtime_translation a bit<W>",
            )


def _check_names(schema: Schema, program: Program) -> None:
    action_names = {action.name for action in program.actions.values()}
    for table in schema.tables.values():
        if table.name not in program.tables:
            raise invalid(f"the P4Info has a table {table.name} that the p4_device_config lacks")
        if table.profile and table.profile not in schema.profiles:
            raise invalid(f"the P4Info has no action profile {table.profile:#010x}, which {table.name} refers to")
        for ref in table.actions.values():
            if ref.action.name not in action_names:
                raise invalid(f"the P4Info has an action {ref.action.name} that the p4_device_config lacks")
    for kind, names, built_names in (
        ("counter", schema.counters, program.counters),
        ("meter", schema.meters, program.meters),
        ("register", schema.registers, program.registers),
        ("action profile", schema.profiles, program.profiles),
        ("value set", schema.value_sets, program.value_sets),
    ):
        for wanted in names.values():
            if wanted.name not in built_names:
                raise invalid(f"the P4Info has a {kind} {wanted.name} that the p4_device_config lacks")


def _fit_action(action: Action, widths: Sequence[int] | None) -> Action:
    """An action that no table has may have gone from the program."""
    if widths is None:
        return action
    if len(widths) != len(action.params):
        raise invalid(
            f"the action {action.name} has {len(widths)} parameters in the p4_device_config, {len(action.params)} in "
            "the P4Info"
        )
    return replace(action, params=_with_widths(action.params, widths))


def _fit_table(table: Table, actions: dict[int, Action], program: Program) -> Table:
    widths, wanted = [key.width for key in program.tables[table.name].key], [f.bitwidth for f in table.fields]
    fits = len(widths) == len(wanted) and all(
        field.translated or not field.bitwidth or field.bitwidth >= width
        for field, width in zip(table.fields, widths, strict=True)
    )
    if not fits:
        raise invalid(f"the key of {table.name} is {widths} bits in the p4_device_config, {wanted} in the P4Info")
    refs = {id: ActionRef(actions[id], ref.in_entries, ref.as_default) for id, ref in table.actions.items()}
    return replace(table, fields=_with_widths(table.fields, widths), actions=refs)


def _fit_register(register: Register, types: p4t.P4TypeInfo, program: Program) -> Register:
    width = program.registers[register.name].width
    widths = _filled(data_width(register.spec, types), width)
    if widths is None:
        raise invalid(
            f"the register {register.name} has another width in the p4_device_config than in the P4Info: {width} bits"
        )
    return replace(register, widths=tuple(widths))


def _fit_value_set(value_set: ValueSet, program: Program) -> ValueSet:
    known = [0 if field.translated else field.bitwidth for field in value_set.fields]
    widths = _filled(known, program.value_sets[value_set.name].width)
    return value_set if widths is None else replace(value_set, fields=_with_widths(value_set.fields, widths))


def _filled(widths: Sequence[int], total: int) -> list[int] | None:
    """The widths with what is missing of ``total`` for the one that is unknown, 0; None if that does not come out."""
    missing = total - sum(widths)
    if widths.count(0) == 1 and missing > 0:
        return [width or missing for width in widths]
    return list(widths) if not missing and 0 not in widths else None


def _fit_header(name: str, fields: tuple[Field, ...], program: Program) -> tuple[Field, ...]:
    """The fields of a controller header as the program lays them out; also those that clients do not see, with the id
    0. Which header it is, its fields tell: the program's JSON does not say."""
    layouts = {
        layout
        for header_type in program.header_types.values()
        if (layout := _layout(fields, header_type)) is not None
    }
    exact = {layout for layout in layouts if len(layout) == len(fields)}
    if len(exact or layouts) == 1:
        return next(iter(exact or layouts))
    if any(field.translated or not field.bitwidth for field in fields):
        found = "several headers that differ in width" if layouts else "no header"
        names = ", ".join(field.name for field in fields)
        raise invalid(
            f"the p4_device_config has {found} with the fields of {name}, {names}: how wide those of translated "
            "types are cannot be told"
        )
    return fields


def _layout(fields: tuple[Field, ...], header_type: HeaderType) -> tuple[Field, ...] | None:
    """The fields of a header type, if it has the given ones in their order."""
    wanted = list(fields)
    layout: list[Field] = []
    for built in header_type.fields:
        known = bool(wanted) and wanted[0].name == built.name
        if known and not wanted[0].translated and wanted[0].bitwidth not in (0, built.width):
            return None
        hidden = Field(0, built.name, built.width, padding=True)
        layout.append(replace(wanted.pop(0), data_bitwidth=built.width) if known else hidden)
    while layout and layout[-1].id == 0 and layout[-1].name.startswith(PADDING):
        layout.pop()
    return None if wanted or header_type.varbit or not fields else tuple(layout)


def _with_widths(fields: Sequence[Field], widths: Sequence[int]) -> tuple[Field, ...]:
    return tuple(replace(field, data_bitwidth=width) for field, width in zip(fields, widths, strict=True))
