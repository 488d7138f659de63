"""Tables with their actions, entries and action profiles as BMv2 JSON."""

from __future__ import annotations

from typing import Any

from p4compiler.bmv2.expressions import Json, hexstr, read, width_of
from p4compiler.bmv2.externs import Externs, table_size
from p4compiler.bmv2.output import Output, source_info
from p4compiler.bmv2.primitives import action_primitives
from p4compiler.ir import nodes as ir
from p4compiler.source import Fault, at


class TableWriter:
    def __init__(self, output: Output, externs: Externs, block: str) -> None:
        self.output = output
        self.externs = externs
        self.block = block

    def table(self, table: ir.TableObject, successors: Json, profiles: list[Json]) -> Json:
        """The table's object; its actions are added to the document."""
        entry: Json = {"name": table.name, "id": self.output.number("tables"), **source_info(table.loc)}
        matched = [key for key in table.keys if key.match_kind != "selector"]
        entry["key"] = [self._key(key) for key in matched]
        entry["match_type"] = match_type(table)
        simple = self._implementation(table, entry, profiles)
        entry["max_size"] = table_size(table)
        self._direct_objects(table, entry)
        ids = {action: self._action(action) for action in table.actions}
        entry["action_ids"] = list(ids.values())
        entry["actions"] = [action.name for action in table.actions]
        entry.update(successors)
        if simple and table.default_action is not None:
            entry["default_entry"] = {
                "action_id": ids[table.default_action],
                "action_const": table.default_const,
                "action_data": [hexstr(v)["value"] for v in table.default_arguments],
                "action_entry_const": table.default_const,
            }
        if table.entries or table.declaration.entries is not None:
            if table.entries and not simple:
                text = "a table with an action profile gets its entries at run time, from the control plane"
                raise Fault(text, table.entries[0].loc)
            entry["entries"] = [self._entry(table, e, n, ids) for n, e in enumerate(table.entries)]
            _different(table, entry["entries"])
        return entry

    def _key(self, key: ir.Key) -> Json:
        kind = "ternary" if key.match_kind == "optional" else key.match_kind
        return {"match_type": kind, "name": key.name, "target": key_target(key), "mask": None}

    def _action(self, action: ir.ActionObject) -> int:
        data = [{"name": p.name, "bitwidth": width_of(p.type)} for p in action.data]
        for parameter, written in zip(action.data, data, strict=True):
            if not written["bitwidth"]:
                loc = next(p.loc for p in action.declaration.parameters if p.name == parameter.name)
                raise Fault("a parameter that the control plane sets has at least one bit", loc)
        primitives = action_primitives(action.body, self.externs, self.block)
        entry: Json = {"name": action.name, "id": 0, "runtime_data": data, "primitives": primitives}
        return self.output.add("actions", entry)

    def _direct_objects(self, table: ir.TableObject, entry: Json) -> None:
        counters, meters = table.properties.get("counters"), table.properties.get("meters")
        for made in (counters, meters):
            if isinstance(made, ir.ExternObject):
                other = self.externs.owners.setdefault(made, table)
                if other is not table:
                    raise Fault(f"'{made.name}' belongs to two tables, {other.name} and {table.name}", table.loc)
        timeout = table.properties.get("support_timeout")
        entry["with_counters"] = counters is not None
        entry["support_timeout"] = isinstance(timeout, ir.Const) and bool(timeout.value)
        entry["direct_meters"] = meters.name if isinstance(meters, ir.ExternObject) else None

    # Action profiles

    def _implementation(self, table: ir.TableObject, entry: Json, profiles: list[Json]) -> bool:
        """Whether the table holds its actions itself."""
        made = table.properties.get("implementation")
        if not isinstance(made, ir.ExternObject):
            entry["type"] = "simple"
            return True
        selector = made.kind == "action_selector"
        entry["type"] = "indirect_ws" if selector else "indirect"
        entry["action_profile"] = made.name
        profile = self._profile(table, made, selector)
        other = next((p for p in profiles if p["name"] == made.name), None)
        if other is None:
            profiles.append({**profile, "id": self.output.number("action_profiles")})
        elif other.get("selector") != profile.get("selector"):
            raise Fault(f"'{made.name}' is the selector of another table, which chooses by other keys", table.loc)
        return False

    def _profile(self, table: ir.TableObject, made: ir.ExternObject, selector: bool) -> Json:
        size = made.arguments[1 if selector else 0]
        assert isinstance(size, ir.Const)
        profile: Json = {"name": made.name, "id": 0, **source_info(made.loc)}
        profile["max_size"] = size.value
        if selector:
            algorithm = made.arguments[0]
            assert isinstance(algorithm, ir.Const)
            chosen = [key for key in table.keys if key.match_kind == "selector"]
            if not chosen:
                raise Fault(
                    f"table '{table.declaration.name}' has an action selector, but no key that it chooses by; "
                    "add one like 'hdr.f.x: selector;'",
                    table.loc,
                )
            inputs = [{"type": "field", "value": key_target(key)} for key in chosen]
            profile["selector"] = {"algo": algorithm.label, "input": inputs}
        return profile

    # Entries

    def _entry(
        self, table: ir.TableObject, entry: ir.EntryObject, number: int, ids: dict[ir.ActionObject, int]
    ) -> Json:
        keys = [self._match(key, value, entry) for key, value in zip(table.keys, entry.keyset, strict=True)]
        action = {
            "action_id": ids[entry.action],
            "action_data": [hexstr(v)["value"] for v in entry.arguments],
        }
        rank = entry.rank if entry.rank is not None else number + 1
        made: Json = {**source_info(entry.loc), "match_key": keys, "action_entry": action, "priority": rank}
        if not table.entries_const:
            # BMv2 reads none of this: to it all entries are const, and it counts them.
            made["p4runtime"] = {"priority": self._runtime_priority(table, entry), "is_const": entry.const}
        return made

    def _runtime_priority(self, table: ir.TableObject, entry: ir.EntryObject) -> int | None:
        """What P4Runtime reads; None where it follows from BMv2's numbers."""
        return entry.priority if all(e.rank is None for e in table.entries) else None

    def _match(self, key: ir.Key, value: ir.KeyValue, entry: ir.EntryObject) -> Json:
        width = width_of(key.expression.type)
        full = (1 << width) - 1
        kind = key.match_kind
        if kind in ("ternary", "optional"):
            mask = {"exact": full, "any": 0}.get(value.kind, value.other)
            if value.kind == "range":
                raise Fault("a ternary key takes a value and mask, not a range", entry.loc)
            return {"match_type": "ternary", "key": text(value.value & mask, width), "mask": text(mask, width)}
        if kind == "lpm":
            length = {"exact": width, "any": 0}.get(value.kind)
            if length is None:
                length = bin(value.other).count("1")
                if value.kind != "mask" or value.other != full ^ ((1 << (width - length)) - 1):
                    raise Fault("the mask of an lpm key is a row of ones, then zeroes", entry.loc)
            prefix = value.value & (full ^ (full >> length))
            return {"match_type": "lpm", "key": text(prefix, width), "prefix_length": length}
        if kind == "range":
            if value.kind == "mask":
                raise Fault("a range key takes a value or range, not a mask", entry.loc)
            low = 0 if value.kind == "any" else value.value
            high = {"any": full, "exact": value.value}.get(value.kind, value.other)
            return {"match_type": "range", "start": text(low, width), "end": text(high, width)}
        if value.kind != "exact":
            raise Fault("an exact key takes one value", entry.loc)
        return {"match_type": "exact", "key": text(value.value, width)}


def _different(table: ir.TableObject, entries: list[Json]) -> None:
    """See that the target can tell all entries apart, by their keys or, where there are any, their priorities."""
    seen: dict[tuple[Any, ...], ir.EntryObject] = {}
    for one, json in zip(table.entries, entries, strict=True):
        ranked = match_type(table) in ("ternary", "range")
        rank = (one.priority or json["priority"]) if ranked else 0
        key = (rank, *(value for match in json["match_key"] for value in match.values()))
        other = seen.setdefault(key, one)
        if other is not one:
            same = "keys and priority" if ranked else "keys"
            raise Fault(f"an entry with these {same} is there already, in line {other.loc.line}", one.loc)


def text(value: int, width: int) -> str:
    return str(hexstr(value, width)["value"])


def key_target(key: ir.Key) -> list[str]:
    """The header and the field that a key is looked up by."""
    expression = key.expression
    if isinstance(expression, ir.Valid):
        assert isinstance(expression.header, (ir.Header, ir.UnionPlace))
        return [expression.header.name, "$valid$"]
    assert isinstance(expression, ir.Scalar)
    with at(key.loc):
        target: list[str] = read(expression)["value"]
    return target


def match_type(table: ir.TableObject) -> str:
    """The table's own match type, from those of its keys."""
    kinds = {key.match_kind for key in table.keys}
    if "range" in kinds:
        return "range"
    if kinds & {"ternary", "optional"}:
        return "ternary"
    if "lpm" in kinds:
        if sum(key.match_kind == "lpm" for key in table.keys) > 1:
            raise Fault(f"table '{table.name}' has more than one lpm key", table.loc)
        return "lpm"
    return "exact"
