"""Indexed counters, meters, registers, and parser value sets over P4Runtime: cells that are only ever modified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from finsy.proto import p4r

from p4switch.p4runtime.errors import Code, RequestError, invalid
from p4switch.p4runtime.matches import decode_key
from p4switch.p4runtime.p4info import Array, MatchType, Register, Schema, find
from p4switch.p4runtime.resources import decode_counts, decode_rates, encode_counts, encode_rates
from p4switch.p4runtime.values import decode_data, encode, encode_data
from p4switch.pipeline.entities import MeterRates
from p4switch.pipeline.pipeline import Pipeline

MODIFY = p4r.Update.MODIFY
A = TypeVar("A", bound=Array)


def write_counter(schema: Schema, pipeline: Pipeline, entry: p4r.CounterEntry) -> None:
    """Set one cell, or all if no index is given; without data nothing changes."""
    array = find(schema.counters, entry.counter_id, "counter")
    packets, byte_count = decode_counts(entry.data)
    for index in _indexes(array, entry):
        if entry.HasField("data"):
            pipeline.set_counter(array.name, index, packets, byte_count)


def read_counters(schema: Schema, pipeline: Pipeline, query: p4r.CounterEntry) -> Iterator[p4r.CounterEntry]:
    """One cell, all of a counter, or all of all counters."""
    for array in _selected(schema.counters, query.counter_id, "counter"):
        if query.HasField("index") and query.counter_id:
            index = _indexes(array, query)[0]
            cells = [(index, pipeline.counter(array.name, index))]
        else:
            cells = list(enumerate(pipeline.counters(array.name)))
        for index, counts in cells:
            answer = p4r.CounterEntry(counter_id=array.id)
            answer.index.index = index
            encode_counts(counts, answer.data)
            yield answer


def write_meter(schema: Schema, pipeline: Pipeline, entry: p4r.MeterEntry) -> None:
    """Set one cell, or all if no index is given; without a config the limit goes."""
    array = find(schema.meters, entry.meter_id, "meter")
    _no_colour_counts(entry)
    rates = decode_rates(entry.config) if entry.HasField("config") else None
    for index in _indexes(array, entry):
        pipeline.set_meter(array.name, index, rates)


def read_meters(schema: Schema, pipeline: Pipeline, query: p4r.MeterEntry) -> Iterator[p4r.MeterEntry]:
    """One cell, all of a meter, or all of all meters; a cell without a limit has no config."""
    _no_colour_counts(query)
    for array in _selected(schema.meters, query.meter_id, "meter"):
        for index in _indexes(array, query) if query.meter_id else range(array.size):
            yield _meter_entry(array, index, pipeline.meter(array.name, index))


def write_register(schema: Schema, pipeline: Pipeline, entry: p4r.RegisterEntry) -> None:
    """Set one cell, or all if no index is given."""
    register = find(schema.registers, entry.register_id, "register")
    if not entry.HasField("data"):
        raise invalid(f"a write to the register {register.name} needs data")
    value = 0
    fields = decode_data(register.spec, schema.types, entry.data, register.name)
    for width, bits in zip(register.widths, fields, strict=True):
        value = value << width | bits
    for index in _indexes(register, entry):
        pipeline.set_register(register.name, index, value)


def read_registers(schema: Schema, pipeline: Pipeline, query: p4r.RegisterEntry) -> Iterator[p4r.RegisterEntry]:
    """One cell, all of a register, or all of all registers."""
    for register in _selected(schema.registers, query.register_id, "register"):
        if query.HasField("index") and query.register_id:
            index = _indexes(register, query)[0]
            cells = [(index, pipeline.register(register.name, index))]
        else:
            cells = list(enumerate(pipeline.registers(register.name)))
        for index, value in cells:
            yield _register_entry(schema, register, index, value)


def write_value_set(schema: Schema, pipeline: Pipeline, entry: p4r.ValueSetEntry) -> None:
    """Replace the members of a parser value set; exact values only, as v1model's have."""
    value_set = find(schema.value_sets, entry.value_set_id, "value set")
    if value_set.size and len(entry.members) > value_set.size:
        raise RequestError(Code.RESOURCE_EXHAUSTED, f"{value_set.name} holds {value_set.size} members")
    if any(field.match_type != MatchType.EXACT for field in value_set.fields):
        raise RequestError(Code.UNIMPLEMENTED, f"{value_set.name} has keys that are not exact")
    positions = {field.id: position for position, field in enumerate(value_set.fields)}
    members: list[tuple[int, ...]] = []
    for member in entry.members:
        key = decode_key(value_set.fields, positions, member.match)
        values = tuple(getattr(match, "value", 0) for match in key)
        if values in members:
            raise RequestError(Code.ALREADY_EXISTS, f"{value_set.name} is given one member twice")
        members.append(values)
    pipeline.set_value_set(value_set.name, members)


def read_value_sets(schema: Schema, pipeline: Pipeline, query: p4r.ValueSetEntry) -> Iterator[p4r.ValueSetEntry]:
    """One value set, or all."""
    chosen = (
        [find(schema.value_sets, query.value_set_id, "value set")]
        if query.value_set_id
        else list(schema.value_sets.values())
    )
    for value_set in chosen:
        answer = p4r.ValueSetEntry(value_set_id=value_set.id)
        for values in pipeline.value_set(value_set.name):
            member = answer.members.add()
            for field, value in zip(value_set.fields, values, strict=True):
                member.match.add(field_id=field.id).exact.value = encode(value)
        yield answer


def _meter_entry(array: Array, index: int, rates: MeterRates | None) -> p4r.MeterEntry:
    answer = p4r.MeterEntry(meter_id=array.id)
    answer.index.index = index
    if rates is not None:
        encode_rates(rates, answer.config)
    return answer


def _register_entry(schema: Schema, register: Register, index: int, value: int) -> p4r.RegisterEntry:
    """A struct's cell is one number whose first member stands highest."""
    fields: list[int] = []
    for width in reversed(register.widths):
        fields.append(value & ((1 << width) - 1))
        value >>= width
    answer = p4r.RegisterEntry(register_id=register.id)
    answer.index.index = index
    answer.data.CopyFrom(encode_data(register.spec, schema.types, reversed(fields)))
    return answer


def _selected(arrays: Mapping[int, A], id: int, kind: str) -> list[A]:
    return [find(arrays, id, kind)] if id else list(arrays.values())


def _indexes(array: Array, entry: p4r.CounterEntry | p4r.MeterEntry | p4r.RegisterEntry) -> range:
    """The cells that a message names."""
    if not entry.HasField("index"):
        return range(array.size)
    index = entry.index.index
    if index < 0:
        raise invalid(f"the index {index} of {array.name} is negative")
    if index >= array.size:
        raise RequestError(Code.OUT_OF_RANGE, f"the index {index} is beyond the {array.size} cells of {array.name}")
    return range(index, index + 1)


def _no_colour_counts(entry: p4r.MeterEntry) -> None:
    if entry.HasField("counter_data"):
        raise RequestError(Code.UNIMPLEMENTED, "meters have no counters per colour here")
