"""Match keys and actions between P4Runtime messages and a pipeline's values: specification, "Match Format"."""

from __future__ import annotations

from collections.abc import Sequence

from finsy.proto import p4r

from p4switch.p4runtime.errors import invalid
from p4switch.p4runtime.p4info import Action, Field, MatchType, Table
from p4switch.p4runtime.values import decode, encode
from p4switch.pipeline.entities import Exact, Lpm, Match, Range, Ternary

KINDS: dict[int, str] = {
    MatchType.EXACT: "exact",
    MatchType.LPM: "lpm",
    MatchType.TERNARY: "ternary",
    MatchType.RANGE: "range",
    MatchType.OPTIONAL: "optional",
}


def decode_key(fields: Sequence[Field], positions: dict[int, int], given: Sequence[p4r.FieldMatch]) -> list[Match]:
    """One match per key field, in the program's order; a field that is left out matches everything.

    Raises:
        RequestError: OUT_OF_RANGE for a value that does not fit, else INVALID_ARGUMENT, saying which field is wrong
            and how.
    """
    key: list[Match | None] = [None] * len(fields)
    for match in given:
        position = positions.get(match.field_id)
        if position is None:
            raise invalid(f"the table has no match field with the id {match.field_id}")
        if key[position] is not None:
            raise invalid(f"match field {fields[position].name} is given twice")
        key[position] = _decode_match(fields[position], match)
    return [one if one is not None else _anything(field) for one, field in zip(key, fields, strict=True)]


def encode_key(fields: Sequence[Field], key: Sequence[Match], out: p4r.TableEntry | p4r.ValueSetMember) -> None:
    """Append the canonical match messages: shortest byte strings, nothing for a field that matches everything."""
    for field, match in zip(fields, key, strict=True):
        kind = field.match_type
        if isinstance(match, Exact):
            value = encode(match.value)
            if kind == MatchType.OPTIONAL:
                out.match.add(field_id=field.id).optional.value = value
            else:
                out.match.add(field_id=field.id).exact.value = value
        elif isinstance(match, Lpm):
            if match.prefix_len:
                lpm = out.match.add(field_id=field.id).lpm
                lpm.value, lpm.prefix_len = encode(match.value), match.prefix_len
                if match.prefix_len == field.data_width:
                    lpm.prefix_len = field.width
        elif isinstance(match, Range):
            if match.low != 0 or match.high != field.data_limit:
                bounds = out.match.add(field_id=field.id).range
                bounds.low, bounds.high = encode(match.low), encode(match.high)
        elif match.mask:
            if kind == MatchType.OPTIONAL:
                out.match.add(field_id=field.id).optional.value = encode(match.value)
            else:
                ternary = out.match.add(field_id=field.id).ternary
                mask = field.limit if match.mask == field.data_limit else match.mask
                ternary.value, ternary.mask = encode(match.value), encode(mask)


def decode_action(action: Action, given: p4r.Action) -> list[int]:
    """The parameters' values in the program's order.

    Raises:
        RequestError: OUT_OF_RANGE for a value that does not fit, else INVALID_ARGUMENT.
    """
    params = action.params
    values: list[int | None] = [None] * len(params)
    for param in given.params:
        position = action.param_positions.get(param.param_id)
        if position is None:
            raise invalid(f"the action {action.name} has no parameter with the id {param.param_id}")
        if values[position] is not None:
            raise invalid(f"parameter {params[position].name} of {action.name} is given twice")
        values[position] = decode(param.value, params[position].width, params[position].name)
    for param_field, value in zip(params, values, strict=True):
        if value is None:
            raise invalid(f"parameter {param_field.name} of {action.name} is missing")
    return [value for value in values if value is not None]


def encode_action(action: Action, values: Sequence[int], out: p4r.Action) -> None:
    """Fill in an action message."""
    out.action_id = action.id
    for param, value in zip(action.params, values, strict=True):
        out.params.add(param_id=param.id, value=encode(value))


def check_priority(table: Table, priority: int) -> None:
    """A priority above 0 exactly where the key leaves a choice.

    Raises:
        RequestError: INVALID_ARGUMENT.
    """
    if table.has_priority and priority <= 0:
        raise invalid(
            f"an entry of {table.name} needs a priority above 0: the key has a ternary, range or optional field"
        )
    if not table.has_priority and priority != 0:
        raise invalid(f"an entry of {table.name} has no priority: the key has only exact and lpm fields")


def _anything(field: Field) -> Match:
    kind = field.match_type
    if kind == MatchType.LPM:
        return Lpm(0, 0)
    if kind == MatchType.TERNARY or kind == MatchType.OPTIONAL:
        return Ternary(0, 0)
    if kind == MatchType.RANGE:
        return Range(0, field.data_limit)
    raise invalid(f"match field {field.name} is missing: an exact field has no wildcard")


def _decode_match(field: Field, given: p4r.FieldMatch) -> Match:
    kind = given.WhichOneof("field_match_type")
    wanted = KINDS.get(field.match_type)
    if kind != wanted or kind is None:
        raise invalid(f"match field {field.name} is {wanted}, not {kind or 'of no kind'}")
    width, name = field.width, field.name
    if kind == "exact":
        return Exact(decode(given.exact.value, width, name))
    if kind == "optional":
        return Ternary(decode(given.optional.value, width, name), field.data_limit)
    if kind == "lpm":
        return _decode_lpm(field, given.lpm)
    return _decode_ternary(field, given.ternary) if kind == "ternary" else _decode_range(field, given.range)


def _decode_ternary(field: Field, given: p4r.FieldMatch.Ternary) -> Match:
    name = field.name
    value, mask = decode(given.value, field.width, name), decode(given.mask, field.width, name)
    if mask == 0:
        raise invalid(f"match field {name}: leave it out to match everything (its mask is 0)")
    if value & ~mask:
        raise invalid(f"match field {name}: the value {value:#x} has bits outside its mask {mask:#x}")
    _check_whole(field, mask == field.limit, f"a mask of {field.limit:#x}")
    return Ternary(value, field.data_limit if field.translated else mask)


def _decode_range(field: Field, given: p4r.FieldMatch.Range) -> Match:
    name = field.name
    low, high = decode(given.low, field.width, name), decode(given.high, field.width, name)
    if low > high:
        raise invalid(f"match field {name}: the range {low}..{high} is upside down")
    if low == 0 and high == field.limit:
        raise invalid(f"match field {name}: leave it out to match everything (its range holds all values)")
    _check_whole(field, low == high, "a range of one value")
    return Range(low, high)


def _decode_lpm(field: Field, given: p4r.FieldMatch.LPM) -> Match:
    name, length = field.name, given.prefix_len
    value = decode(given.value, field.width, name)
    if length == 0:
        raise invalid(f"match field {name}: leave it out to match everything (its prefix length is 0)")
    if not 0 < length <= field.width:
        raise invalid(f"match field {name}: a prefix length of {length} in a field of {field.width} bits")
    if value & ((1 << (field.width - length)) - 1):
        raise invalid(f"match field {name}: the value {value:#x} has bits after its prefix of {length}")
    _check_whole(field, length == field.width, f"a prefix length of {field.width}")
    return Lpm(value, field.data_width if field.translated else length)


def _check_whole(field: Field, whole: bool, how: str) -> None:
    """Parts of a translated value mean nothing in the data plane (specification, "Translation of Match Fields")."""
    if field.translated and not whole:
        raise invalid(
            f"match field {field.name} is of a translated type: match one value, with {how}, or leave it out"
        )
