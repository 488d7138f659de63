"""Between what the control plane says and the 64-bit words that the C side compares and hands to actions."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence

from p4switch.codegen.layout import limbs
from p4switch.errors import BadValue
from p4switch.pipeline.entities import Exact, Lpm, Match, Range, Ternary
from p4switch.program import Action, ConstEntry, KeyField, Table

WORD = (1 << 64) - 1
GREATEST_PRIORITY = (1 << 31) - 1


def words(value: int, width: int) -> list[int]:
    """Least significant word first."""
    return [value >> (64 * i) & WORD for i in range(limbs(width))]


def number(parts: Sequence[int]) -> int:
    return sum(word << (64 * i) for i, word in enumerate(parts))


def array(values: Iterable[int]) -> ctypes.Array[ctypes.c_uint64]:
    items = list(values)
    return (ctypes.c_uint64 * (len(items) or 1))(*items)


def check(value: int, width: int, what: str) -> int:
    if not 0 <= value < 1 << width:
        raise BadValue(f"{what}: {value:#x} does not fit {width} bits")
    return value


def normal(match: Match, key: KeyField, where: str) -> Match:
    """The match with its don't-care bits zero, checked against the key field."""
    what, full = f"{where}, key {key.name}", (1 << key.width) - 1
    if key.kind in ("exact", "valid") and isinstance(match, Exact):
        return Exact(check(match.value, key.width, what))
    if key.kind == "lpm" and isinstance(match, Lpm):
        if not 0 <= match.prefix_len <= key.width:
            raise BadValue(f"{what}: a prefix of {match.prefix_len} bits in a field of {key.width}")
        check(match.value, key.width, what)
        return Lpm(match.value & prefix_mask(match.prefix_len, key.width), match.prefix_len)
    if key.kind in ("ternary", "optional"):
        if isinstance(match, Exact):
            match = Ternary(match.value, full)
        if isinstance(match, Ternary):
            check(match.value, key.width, what)
            check(match.mask, key.width, what)
            if key.kind == "optional" and match.mask not in (0, full):
                raise BadValue(f"{what}: an optional match takes the whole value or nothing")
            return Ternary(match.value & match.mask, match.mask)
    if key.kind == "range" and isinstance(match, Range):
        check(match.low, key.width, what)
        check(match.high, key.width, what)
        if match.low > match.high:
            raise BadValue(f"{what}: the range {match.low}..{match.high} is empty")
        return match
    raise BadValue(f"{what} is matched {key.kind}, not {type(match).__name__.lower()}")


def prefix_mask(prefix_len: int, width: int) -> int:
    return ((1 << prefix_len) - 1) << (width - prefix_len)


def encode_key(match: Sequence[Match], table: Table) -> tuple[list[int], list[int]]:
    """(value words, mask words); for a range (low words, high words)."""
    values: list[int] = []
    masks: list[int] = []
    for one, key in zip(match, table.key, strict=True):
        if isinstance(one, Exact):
            value, mask = one.value, (1 << key.width) - 1
        elif isinstance(one, Lpm):
            value, mask = one.value, prefix_mask(one.prefix_len, key.width)
        elif isinstance(one, Ternary):
            value, mask = one.value, one.mask
        else:
            value, mask = one.low, one.high
        values += words(value, key.width)
        masks += words(mask, key.width)
    return values, masks


def rank(match: Sequence[Match], priority: int, table: Table) -> int:
    """What the C side sorts by, the smaller first: priority, or prefix length, or nothing."""
    if table.ordered:
        return GREATEST_PRIORITY - priority
    for one, key in zip(match, table.key, strict=True):
        if isinstance(one, Lpm):
            return key.width - one.prefix_len
    return 0


def encode_params(params: Sequence[int], action: Action) -> list[int]:
    if len(params) != len(action.params):
        raise BadValue(f"action {action.name} takes {len(action.params)} parameters, not {len(params)}")
    out: list[int] = []
    for value, param in zip(params, action.params, strict=True):
        out += words(check(value, param.width, f"action {action.name}, parameter {param.name}"), param.width)
    return out


def const_match(entry: ConstEntry, table: Table) -> tuple[Match, ...]:
    """A const entry's match. A ternary key in the JSON may stand on an LPM or optional field."""
    out: list[Match] = []
    for item, key in zip(entry.match, table.key, strict=True):
        kind = item["match_type"]
        if kind == "valid":
            out.append(Exact(int(bool(item["key"]))))
        elif kind == "exact":
            out.append(Exact(_hex(item["key"])))
        elif kind == "lpm":
            out.append(Lpm(_hex(item["key"]), int(item["prefix_length"])))
        elif kind in ("ternary", "optional"):
            value, mask = _hex(item["key"]), _hex(item["mask"]) if "mask" in item else (1 << key.width) - 1
            out.append(Ternary(value & mask, mask))
        else:
            out.append(Range(_hex(item["start"]), _hex(item["end"])))
    return tuple(out)


def _hex(text: object) -> int:
    return text if isinstance(text, int) else int(str(text), 16)
