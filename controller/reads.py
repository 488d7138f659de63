"""What a switch holds, read straight from it for people: counters and tables. Works without a controller.

``read_counters`` and ``read_tables`` return dictionaries that JSON can carry; ``format_counters`` and
``format_tables`` turn them into text. ``controller.readers`` reads a switch again and again, for programs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar

from finsy import MACAddress, P4ClientError, P4CounterData, P4CounterEntry, P4Schema, P4TableAction, P4TableEntry
from finsy.p4schema import P4MatchType
from finsy.proto import p4i

from controller.client import P4RuntimeClient
from controller.desired import TABLES
from controller.names import ack_name, end_name, fate_name, message_name, reason_name

Count = dict[str, int]
"""``packets`` and ``bytes``."""
_T = TypeVar("_T")


class ReadError(Exception):
    """A switch that cannot be read; the text says why."""


def read_counters(address: str, device_id: int, p4info: str | Path | p4i.P4Info | None = None) -> dict[str, Any]:
    """``messages`` by type, ``drops`` by reason, ``redirects`` by register slot, ``copies`` of messages to everybody
    by their fate, ``ends`` of members by what became of that word, ``over_limits`` by port, ``reads`` that were taken
    to a member by group and member, ``ports`` with ``rx`` and ``tx``. What is zero is left out. Without ``p4info``
    the switch's own is used. Raises ReadError."""
    return _read(address, device_id, p4info, _counters)


def read_tables(address: str, device_id: int, p4info: str | Path | p4i.P4Info | None = None) -> dict[str, Any]:
    """Every table's entries: ``match``, ``action``, ``params``, and ``packets`` and ``bytes`` where the table counts.
    Raises ReadError."""
    return _read(address, device_id, p4info, _tables)


def _read(
    address: str,
    device_id: int,
    p4info: str | Path | p4i.P4Info | None,
    job: Callable[[P4RuntimeClient], Coroutine[Any, Any, _T]],
) -> _T:
    async def run() -> _T:
        schema = None if p4info is None else P4Schema(Path(p4info) if isinstance(p4info, str) else p4info)
        async with P4RuntimeClient(address, device_id, schema) as client:
            if schema is None:
                await client.fetch_schema()
            return await job(client)

    try:
        return asyncio.run(run())
    except P4ClientError as error:
        if error.is_pipeline_missing:
            raise ReadError(f"{address}: the switch has no program yet; is the controller running?") from None
        if error.code.name in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            raise ReadError(f"{address}: no switch answers there") from None
        raise ReadError(f"{address}: {error.message}") from None
    except (OSError, ValueError, KeyError) as error:
        raise ReadError(f"{address}: {error}") from None


def counter_cells(schema: P4Schema, cells: Mapping[str, Collection[int]]) -> list[P4CounterEntry]:
    """What to read: of a counter in ``cells`` those cells only, of others all."""
    wanted: list[P4CounterEntry] = []
    for counter in schema.counters:
        if counter.alias in cells:
            wanted += [P4CounterEntry(counter.alias, index=index) for index in cells[counter.alias]]
        else:
            wanted.append(P4CounterEntry(counter.alias))
    return wanted


async def _counters(client: P4RuntimeClient) -> dict[str, Any]:
    wanted: list[Any] = list(counter_cells(client.schema, {}))
    if any(table.alias == READS_TABLE for table in client.schema.tables):
        wanted.append(P4TableEntry(READS_TABLE, counter_data=P4CounterData()))
    return shown_counters(await client.read(*wanted))


READS_TABLE = "reads_by_member"


def _reads(entries: Iterable[Any]) -> Iterator[tuple[tuple[int, int], Count]]:
    """((group, member), count) of each of ``reads_by_member``'s entries that were read."""
    for entry in entries:
        if isinstance(entry, P4TableEntry) and entry.table_id == READS_TABLE and entry.counter_data and entry.match:
            counted = {"packets": entry.counter_data.packet_count, "bytes": entry.counter_data.byte_count}
            if any(counted.values()):
                yield (int(entry.match["group"]), int(entry.match["member"])), counted


def shown_counters(entries: Iterable[Any]) -> dict[str, Any]:
    """Counters' cells, as read, in the form of ``read_counters``. Other entries are passed over."""
    held: dict[str, dict[int, Count]] = {}
    entries = list(entries)
    for entry in entries:
        if not isinstance(entry, P4CounterEntry) or entry.index is None:
            continue
        if entry.packet_count or entry.byte_count:
            held.setdefault(entry.counter_id, {})[entry.index] = {
                "packets": entry.packet_count,
                "bytes": entry.byte_count,
            }
    received, sent = held.get("port_rx", {}), held.get("port_tx", {})
    none = {"packets": 0, "bytes": 0}
    return {
        "messages": {message_name(index): count for index, count in sorted(held.get("messages", {}).items())},
        "drops": {reason_name(index): count for index, count in sorted(held.get("drops", {}).items())},
        "redirects": {str(index): count for index, count in sorted(held.get("redirects", {}).items())},
        "copies": {fate_name(index): count for index, count in sorted(held.get("copies", {}).items())},
        "acknowledgements": {
            ack_name(index): count for index, count in sorted(held.get("acknowledgements", {}).items())
        },
        "ends": {end_name(index): count for index, count in sorted(held.get("ends", {}).items())},
        "over_limits": {str(port): count for port, count in sorted(held.get("over_limits", {}).items())},
        "reads": {f"{group}/{member}": count for (group, member), count in sorted(_reads(entries))},
        "ports": {
            str(port): {"rx": received.get(port, none), "tx": sent.get(port, none)}
            for port in sorted(received.keys() | sent.keys())
        },
    }


async def _tables(client: P4RuntimeClient) -> dict[str, Any]:
    known = {table.alias for table in client.schema.tables}
    names = [name for name in TABLES if name in known]
    names += sorted(known - set(names))
    found: dict[str, Any] = {name: [] for name in names}
    for name in names:
        counts = client.schema.tables[name].direct_counter is not None
        query = P4TableEntry(name, counter_data=P4CounterData() if counts else None)
        for entry in await client.read(query):
            if not entry.is_default_action:
                found[name].append(_entry(client.schema, entry, counts))
        found[name].sort(key=lambda entry: [str(value).zfill(20) for value in entry["match"].values()])
    return found


def _entry(schema: P4Schema, entry: P4TableEntry, counts: bool) -> dict[str, Any]:
    match: dict[str, Any] = {}
    for field in schema.tables[entry.table_id].match_fields:
        held = entry.match.get(field.alias) if entry.match else None
        match[field.alias] = _match_text(field.alias, field.bitwidth, field.match_type, held)
    shown: dict[str, Any] = {"match": match, "action": "", "params": {}}
    if isinstance(entry.action, P4TableAction):
        reference = schema.tables[entry.table_id].actions[entry.action.name]
        shown["action"] = reference.alias.rpartition(".")[2]
        for param in reference.params:
            shown["params"][param.name] = _value(param.name, param.bitwidth, entry.action.args[param.name])
    if entry.priority:
        shown["priority"] = entry.priority
    if counts and entry.counter_data is not None:
        shown["packets"] = entry.counter_data.packet_count
        shown["bytes"] = entry.counter_data.byte_count
    return shown


def _match_text(name: str, width: int, kind: object, held: Any) -> Any:
    if held is None:
        return "*"
    if kind is P4MatchType.EXACT or not isinstance(held, tuple):
        return _value(name, width, held)
    value, other = held
    if kind is P4MatchType.LPM:
        return f"{_value(name, width, value)}/{other}"
    if kind is P4MatchType.RANGE:
        return f"{_value(name, width, value)}-{_value(name, width, other)}"
    return f"{_value(name, width, value)} mask {other:#x}"


def _value(name: str, width: int, value: Any) -> Any:
    """IPv4 and MAC addresses as people write them."""
    if width == 32 and "addr" in name:
        return str(IPv4Address(int(value)))
    if width == 48 and "mac" in name:
        return str(MACAddress(int(value))).replace("-", ":")
    return int(value)


_SECTIONS = (
    ("messages", "messages"),
    ("drops", "drops"),
    ("redirects", "redirects, by slot"),
    ("copies", "copies of messages to everybody"),
    ("acknowledgements", "acknowledgements at their leader's switch"),
    ("ends", "hosts' word that nobody is there"),
    ("over_limits", "requests over the limit, by port"),
    ("reads", "reads that were spread, by group/member"),
)


def format_counters(switches: Mapping[str, Mapping[str, Any]]) -> str:
    """One table for all switches, a column each: a line per message type, drop reason, redirect slot, fate of copies,
    of acknowledgements and of hosts' words, port with requests over its limit, member with spread reads, and port."""
    lines = [f"{'':28}" + "".join(f"{name:>14}" for name in switches)]
    for section, title in _SECTIONS:
        keys = list(dict.fromkeys(key for counters in switches.values() for key in counters[section]))
        lines.append(title)
        for key in keys:
            counts = [counters[section].get(key, {}).get("packets", 0) for counters in switches.values()]
            lines.append(f"  {key:26}" + "".join(f"{count:>14}" for count in counts))
        if not keys:
            lines.append("  none")
    lines.append("ports, packets in/out")
    ports = sorted({int(port) for counters in switches.values() for port in counters["ports"]})
    for port in ports:
        cells = []
        for counters in switches.values():
            held = counters["ports"].get(str(port))
            cells.append(f"{held['rx']['packets']}/{held['tx']['packets']}" if held else "-")
        lines.append(f"  {port:<26}" + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def format_tables(tables: Mapping[str, Any]) -> str:
    """A switch's tables, one entry per line."""
    lines = []
    for name, entries in tables.items():
        lines.append(f"{name} ({len(entries)})")
        for entry in entries:
            match = "  ".join(f"{field}={value}" for field, value in entry["match"].items())
            params = ", ".join(f"{param}={value}" for param, value in entry["params"].items())
            count = f"   {entry['packets']} packets" if "packets" in entry else ""
            lines.append(f"  {match}  ->  {entry['action']}({params}){count}")
    return "\n".join(lines)
