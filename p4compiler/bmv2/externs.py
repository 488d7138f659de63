"""v1model's extern functions and objects as simple_switch's primitives and arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4compiler import types as t
from p4compiler.bmv2.expressions import Json, convert, data, hexstr, inner, operation, read, width_of, wrapped
from p4compiler.bmv2.output import Output, source_info
from p4compiler.elaborate.storage import STANDARD_METADATA, struct_type_name
from p4compiler.ir import nodes as ir
from p4compiler.ir.parts import leaves
from p4compiler.source import Diagnostics, Fault

DEFAULT_SIZE = 1024
MOST_CELLS = (1 << 31) - 2
"""The largest array: BMv2 counts cells in a signed number of 32 bits."""

ALGORITHMS = frozenset({"crc32", "crc32_custom", "crc16", "crc16_custom", "random", "identity", "csum16", "xor16"})
INGRESS, EGRESS = "ingress", "egress"


class Externs:
    """Collects the objects that externs need while the program's statements are lowered."""

    def __init__(self, output: Output, diagnostics: Diagnostics) -> None:
        self.output = output
        self.diagnostics = diagnostics
        # Where each direct meter's color goes, and the table that owns each direct object.
        self.meter_results: dict[ir.ExternObject, Json] = {}
        self.owners: dict[ir.ExternObject, ir.TableObject] = {}
        self._calculations = 0
        self._field_lists: dict[int, int] = {}

    def leaves(self, value: ir.Value) -> list[ir.Value]:
        """The scalars of a value."""
        return leaves(value, self.output.program.storage.field_types)

    # Calls

    def primitives(self, call: ir.Call, block: str) -> list[Json]:
        """The primitives of one call."""
        if call.object is not None:
            return self._method(call, call.object)
        if call.name in _FUNCTIONS:
            return _FUNCTIONS[call.name](self, call)
        if call.name in _OF_A_BLOCK:
            return _OF_A_BLOCK[call.name](self, call, block)
        if call.name in _ELSEWHERE:
            raise Fault(f"'{call.name}' cannot be called here", call.loc)
        return self._primitive(call, call.name, *[self._own_argument(a) for a in call.arguments])

    def _primitive(self, call: ir.Call, op: str, *parameters: Json) -> list[Json]:
        return [{"op": op, "parameters": list(parameters), **source_info(call.loc)}]

    def _method(self, call: ir.Call, made: ir.ExternObject) -> list[Json]:
        arguments = call.arguments
        kind, name = made.kind, call.name
        if kind == "register":
            array = {"type": "register_array", "value": made.name}
            if name == "read":
                return self._primitive(call, "register_read", target(arguments[0]), array, number(arguments[1]))
            return self._primitive(call, "register_write", array, number(arguments[0]), number(arguments[1]))
        if kind == "counter":
            array = {"type": "counter_array", "value": made.name}
            return self._primitive(call, "count", array, number(arguments[0]))
        if kind == "meter":
            array = {"type": "meter_array", "value": made.name}
            return self._primitive(call, "execute_meter", array, number(arguments[0]), target(arguments[1]))
        if kind == "direct_counter":
            return []
        if kind == "direct_meter":
            result = target(arguments[0])
            if self.meter_results.setdefault(made, result) != result:
                raise Fault(f"direct meter '{made.name}' is read into two different fields", call.loc)
            return []
        if kind in _OBJECTS or kind in ("packet_in", "packet_out", "action_profile", "action_selector"):
            raise Fault(f"'{kind}.{name}' cannot be called here", call.loc)
        reference = {"type": "extern", "value": made.name}
        return self._primitive(call, f"_{kind}_{name}", reference, *[self._own_argument(a) for a in arguments])

    def _own_argument(self, value: ir.Value) -> Json:
        """An argument of an extern that simple_switch does not know: somebody has built it in."""
        if isinstance(value, ir.Expr):
            return data(value)
        if isinstance(value, ir.Header):
            return {"type": "header", "value": value.name}
        if isinstance(value, ir.StackPlace):
            return {"type": "header_stack", "value": value.name}
        raise Fault("this argument is not supported for an extern of the target", None)

    def _mark_to_drop(self, call: ir.Call) -> list[Json]:
        return self._primitive(call, "mark_to_drop", {"type": "header", "value": STANDARD_METADATA})

    def _random(self, call: ir.Call) -> list[Json]:
        result, low, high = call.arguments
        return self._primitive(call, "modify_field_rng_uniform", target(result), number(low), number(high))

    def _truncate(self, call: ir.Call) -> list[Json]:
        return self._primitive(call, "truncate", number(call.arguments[0]))

    def _assert(self, call: ir.Call) -> list[Json]:
        condition = call.arguments[0]
        assert isinstance(condition, ir.Expr)
        return self._primitive(call, call.name, wrapped(operation("b2d", None, inner(convert(condition)))))

    def _log(self, call: ir.Call) -> list[Json]:
        text = call.arguments[0]
        assert isinstance(text, ir.Text)
        values: list[Json] = []
        for value in call.arguments[1:]:
            values += [number(leaf) for leaf in self.leaves(value)]
        vector = {"type": "parameters_vector", "value": values}
        return self._primitive(call, "log_msg", {"type": "string", "value": text.value}, vector)

    def _hash(self, call: ir.Call) -> list[Json]:
        result, algorithm, base, values, limit = call.arguments
        calculation = self.calculation(algorithm, values, False, call)
        reference = {"type": "calculation", "value": calculation}
        return self._primitive(
            call, "modify_field_with_hash_based_offset", target(result), number(base), reference, number(limit)
        )

    def calculation(self, algorithm: ir.Value, values: ir.Value, payload: bool, call: ir.Call) -> str:
        """Adds a calculation over the fields of the value; returns its name."""
        if not isinstance(algorithm, ir.Const) or algorithm.label not in ALGORITHMS:
            raise Fault("the algorithm must be known at compile time", call.loc)
        name = f"calc_{self._calculations}" if self._calculations else "calc"
        self._calculations += 1
        inputs = [self._input(leaf) for leaf in self.leaves(values)]
        if payload:
            inputs.append({"type": "payload", "value": None})
        entry: Json = {"name": name, "id": 0, **source_info(call.loc)}
        self.output.add("calculations", {**entry, "algo": algorithm.label, "input": inputs})
        return name

    def _input(self, leaf: ir.Value) -> Json:
        if isinstance(leaf, ir.Const):
            width = width_of(leaf.type)
            return {**hexstr(leaf.value, width), "bitwidth": width}
        if isinstance(leaf, ir.Scalar) and isinstance(leaf.owner, ir.Header):
            return read(leaf)
        raise Fault("only fields and constants can go into a checksum or hash", None)

    # Digests and field lists

    def _digest(self, call: ir.Call) -> list[Json]:
        receiver, values = call.arguments
        type_ = call.type_arguments[0]
        name = struct_type_name(type_) if isinstance(type_, t.Struct) else "digest"
        elements = [self._element(leaf) for leaf in self.leaves(values)]
        entry: Json = {"name": name, "id": 0, **source_info(call.loc), "elements": elements}
        number_ = self.output.add("learn_lists", entry)
        return self._primitive(call, "generate_digest", number(receiver), hexstr(number_, 32))

    def _element(self, leaf: ir.Value) -> Json:
        if isinstance(leaf, ir.Const):
            width = leaf.type.width if isinstance(leaf.type, t.Bits) else 8
            return hexstr(leaf.value, width)
        assert isinstance(leaf, ir.Scalar)
        return read(leaf)

    def _new_field_list(self, name: str, elements: list[Json]) -> int:
        return self.output.add("field_lists", {"name": name, "id": 0, "elements": elements})

    def preserved(self, index: ir.Value, call: ir.Call) -> int:
        """The id of the field list of the user metadata annotated with @field_list(index)."""
        if not isinstance(index, ir.Const):
            raise Fault("the index of a field list must be known at compile time", call.loc)
        found = self._field_lists.get(index.value)
        if found is None:
            elements = self._annotated(self.output.program.user_metadata, index.value)
            if not elements:
                text = f"no field of the user metadata has @field_list({index.value}): nothing is kept"
                self.diagnostics.warning(text, call.loc)
            found = self._field_lists[index.value] = self._new_field_list(f"field_list{index.value}", elements)
        return found

    def _annotated(self, place: ir.StructPlace, index: int) -> list[Json]:
        """The fields of a struct, and of those inside of it, that are in the field list."""
        assert isinstance(place.type, t.Struct)
        elements: list[Json] = []
        for field in place.type.declaration.fields:
            inner = place.fields[field.name]
            if index in self.output.program.facts.field_lists.get(field, ()):
                elements += [read(leaf) for leaf in self.leaves(inner) if isinstance(leaf, ir.Scalar)]
            elif isinstance(inner, ir.StructPlace) and isinstance(inner.type, t.Struct):
                elements += self._annotated(inner, index)
        return elements

    def _listed(self, value: ir.Value) -> int:
        """The id of a field list of the fields of a value."""
        elements = [read(leaf) for leaf in self.leaves(value) if isinstance(leaf, ir.Scalar)]
        return self._new_field_list(f"fl_{len(self.output.root['field_lists'])}", elements)

    def _clone(self, call: ir.Call, block: str) -> list[Json]:
        kind, session, *rest = call.arguments
        if not isinstance(kind, ir.Const) or kind.label is None:
            raise Fault("the kind of clone must be known at compile time", call.loc)
        wanted = INGRESS if kind.label == "I2E" else EGRESS
        if block != wanted:
            raise Fault(f"clone with CloneType.{kind.label} belongs to the {wanted} control", call.loc)
        if call.name == "clone_preserving_field_list":
            fields = self.preserved(rest[0], call)
        else:
            fields = self._listed(rest[0]) if rest else self._new_field_list("fl", [])
        op = "clone_ingress_pkt_to_egress" if kind.label == "I2E" else "clone_egress_pkt_to_egress"
        return self._primitive(call, op, number(session), hexstr(fields, 32))

    def _again(self, call: ir.Call, block: str) -> list[Json]:
        op = call.name.split("_", 1)[0]
        wanted = INGRESS if op == "resubmit" else EGRESS
        if block != wanted:
            raise Fault(f"{op} belongs to the {wanted} control", call.loc)
        argument = call.arguments[0]
        fields = self.preserved(argument, call) if call.name.endswith("field_list") else self._listed(argument)
        return self._primitive(call, op, hexstr(fields, 32))

    # Objects

    def check_objects(self, objects: list[ir.ExternObject]) -> None:
        """Reports arrays that the target cannot have, before a statement that uses one is."""
        for made in objects:
            if made.kind == "register" and not _cell_width(made.type_arguments[0]):
                self.diagnostics.error(
                    f"a register of {made.type_arguments[0]} is not supported: a cell is bit<N>, int<N> or bool; "
                    "of a struct, each field needs a register of its own",
                    made.loc,
                )
            elif made.kind in ("register", "counter", "meter"):
                least = 1 if made.kind == "register" else 0
                if not least <= self._size(made) <= MOST_CELLS:
                    self.diagnostics.error(
                        f"a {made.kind} array of {self._size(made)} cells is not supported: it has {least} to "
                        f"{MOST_CELLS}",
                        made.loc,
                    )

    def write_objects(self, objects: list[ir.ExternObject]) -> None:
        """Counter, meter and register arrays."""
        for made in objects:
            handler = _OBJECTS.get(made.kind)
            if handler is not None:
                handler(self, made)
            elif made.kind not in ("action_profile", "action_selector", "packet_in", "packet_out"):
                self._own_object(made)

    def _own_object(self, made: ir.ExternObject) -> None:
        constructor = next((m for m in made.declaration.methods if m.result is None), None)
        names = [p.name for p in constructor.parameters] if constructor is not None else []
        attributes: list[Json] = []
        for name, value in zip(names, made.arguments, strict=False):
            if isinstance(value, ir.Text):
                attributes.append({"name": name, "type": "string", "value": value.value})
            elif isinstance(value, ir.Const):
                attributes.append({"name": name, **hexstr(value.value)})
        entry: Json = {"name": made.name, "id": 0, "type": made.kind, **source_info(made.loc)}
        self.output.add("extern_instances", {**entry, "attribute_values": attributes})

    def _size(self, made: ir.ExternObject) -> int:
        size = made.arguments[0]
        assert isinstance(size, ir.Const)
        return size.value

    def _counter(self, made: ir.ExternObject) -> None:
        entry: Json = {"name": made.name, "id": 0, **source_info(made.loc), "size": self._size(made)}
        self.output.add("counter_arrays", {**entry, "is_direct": False})

    def _direct_counter(self, made: ir.ExternObject) -> None:
        owner = self.owners.get(made)
        if owner is not None:
            entry: Json = {"name": made.name, "id": 0, "is_direct": True, "binding": owner.name}
            self.output.add("counter_arrays", {**entry, **source_info(made.loc)})

    def _meter(self, made: ir.ExternObject) -> None:
        kind = made.arguments[1]
        assert isinstance(kind, ir.Const)
        entry: Json = {"name": made.name, "id": 0, **source_info(made.loc), "is_direct": False}
        self.output.add("meter_arrays", {**entry, "size": self._size(made), "rate_count": 2, "type": kind.label})

    def _direct_meter(self, made: ir.ExternObject) -> None:
        owner, kind = self.owners.get(made), made.arguments[0]
        if owner is None:
            return
        assert isinstance(kind, ir.Const)
        entry: Json = {"name": made.name, "id": 0, **source_info(made.loc), "is_direct": True, "rate_count": 2}
        # BMv2 ends at a table whose size is not its meter's.
        entry.update(type=kind.label, size=table_size(owner), binding=owner.name)
        result = self.meter_results.get(made)
        if result is None:
            raise Fault(f"direct meter '{made.name}' is never read", made.loc)
        entry["result_target"] = result["value"]
        self.output.add("meter_arrays", entry)

    def _register(self, made: ir.ExternObject) -> None:
        entry: Json = {"name": made.name, "id": 0, **source_info(made.loc)}
        width = _cell_width(made.type_arguments[0])
        self.output.add("register_arrays", {**entry, "size": self._size(made), "bitwidth": width})


def _cell_width(cell: t.Type) -> int:
    """The width of a register's cell, in bits; 0 for a type that the target has no cells for."""
    type_ = t.value_type(cell)
    return type_.width if isinstance(type_, t.Bits) else 1 if type_ == t.BOOL else 0


def table_size(table: ir.TableObject) -> int:
    """How many entries it holds: those that the program gives, or the size that it names, or v1model's default."""
    return len(table.entries) or table.size or DEFAULT_SIZE


def number(value: ir.Value) -> Json:
    """A numeric argument of a primitive."""
    if not isinstance(value, ir.Expr):
        raise Fault("this extern takes a bit<N>, int<N> or bool here, not what is made of several", None)
    return data(value)


def target(value: ir.Value) -> Json:
    """The field that a primitive writes."""
    if not isinstance(value, ir.Scalar):
        raise Fault("the result of this extern goes into one bit<N>, int<N> or bool: a field or a variable", None)
    return read(value)


_FUNCTIONS: dict[str, Callable[[Externs, ir.Call], list[Json]]] = {
    "mark_to_drop": Externs._mark_to_drop,
    "random": Externs._random,
    "truncate": Externs._truncate,
    "assert": Externs._assert,
    "assume": Externs._assert,
    "log_msg": Externs._log,
    "hash": Externs._hash,
    "digest": Externs._digest,
}

_OF_A_BLOCK: dict[str, Callable[[Externs, ir.Call, str], list[Json]]] = {
    "clone": Externs._clone,
    "clone3": Externs._clone,
    "clone_preserving_field_list": Externs._clone,
    "resubmit": Externs._again,
    "resubmit_preserving_field_list": Externs._again,
    "recirculate": Externs._again,
    "recirculate_preserving_field_list": Externs._again,
}

_ELSEWHERE = frozenset({
    "verify", "verify_checksum", "update_checksum", "verify_checksum_with_payload", "update_checksum_with_payload",
})  # fmt: skip

_OBJECTS: dict[str, Callable[[Externs, ir.ExternObject], Any]] = {
    "counter": Externs._counter,
    "direct_counter": Externs._direct_counter,
    "meter": Externs._meter,
    "direct_meter": Externs._direct_meter,
    "register": Externs._register,
}
