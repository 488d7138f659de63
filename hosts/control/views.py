"""What a node shows of its groups' contents, as the control socket's lines.

Each answer is a generator over what there was when it was asked; the state machine goes on meanwhile, so that a value
may be another by the time it is shown, and a key may be gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hosts.control import member_commands
from hosts.group import Group
from hosts.raft.message import Entry, EntryKind
from hosts.service import values
from hosts.service.requests import Command, Encoded, Operation, RequestFault

Json = dict[str, Any]

LONGEST_SHOWN = 2 << 20
"""Bytes of an encoded key or value that is shown."""

LONGEST_DECODED = 512
"""Bytes of one that the node decodes; whoever asks decodes longer ones."""


def answer(groups: Mapping[int, Group], request: Json) -> Iterator[Json]:
    """The lines that answer a request about a group's contents, or one that says why not."""
    views = {"log": applied_values, "raw": raw_log, "kv": pairs}
    command = request.get("cmd")
    view = views.get(command) if isinstance(command, str) else None
    if view is None:
        known = ", ".join(("status", *views, *member_commands.COMMANDS))
        return iter([_error(f"unknown command {command!r}; there are {known}")])
    group = group_of(groups, request)
    if not isinstance(group, Group):
        return iter([group])
    first = request.get("from", 0)
    if view is raw_log and isinstance(first, int):
        return raw_log(group, first, brief=request.get("brief") is True)
    return view(group)


def group_of(groups: Mapping[int, Group], request: Json) -> Group | Json:
    """The group that a request is about, or an answer that says why there is none."""
    number = request.get("group")
    if number is None and len(groups) == 1:
        (number,) = groups
    group = groups.get(number) if isinstance(number, int) else None
    if group is None:
        return _error(f"there is no group {number!r} here; there are {', '.join(map(str, groups))}")
    return group


def applied_values(group: Group) -> Iterator[Json]:
    """The list of values that this node has applied, in order."""
    items = group.machine.items
    count = len(items)
    for position in range(count):
        item = items[position]
        yield {"position": position, "index": item.index, "term": item.term, **_shown(item.value)}
    yield {"ok": True, "group": group.number, "count": count, "applied": group.machine.applied_index}


def pairs(group: Group) -> Iterator[Json]:
    """The keys and values that this node holds."""
    held, count = group.machine.pairs, 0
    for key in list(held):
        value = held.get(key)
        if value is not None:
            count += 1
            yield {**_shown_key(key), **_shown(value)}
    yield {"ok": True, "group": group.number, "count": count, "applied": group.machine.applied_index}


def raw_log(group: Group, first: int = 0, *, brief: bool = False) -> Iterator[Json]:
    """The Raft log in memory from index ``first`` on, also what is not committed. ``brief``: of long keys and values
    only the size."""
    log = group.core.log
    last = log.last_index
    index, count = max(first, log.base_index + 1), 0
    while index <= min(last, log.last_index):
        index = max(index, log.base_index + 1)  # the log may have been compacted since the last line was asked for
        for entry in log.between(index, min(last, log.last_index), 64, 1 << 16)[0]:
            durable, committed = entry.index <= log.durable_index, entry.index <= log.commit_index
            yield {**_shown_entry(entry, brief), "durable": durable, "committed": committed}
            index, count = entry.index + 1, count + 1
    yield {"ok": True, "group": group.number, "count": count, "commit": log.commit_index}


def _shown_entry(entry: Entry, brief: bool) -> Json:
    shown: Json = {
        "index": entry.index,
        "term": entry.term,
        "kind": entry.kind.name.lower(),
        "bytes": len(entry.data),
    }
    if entry.kind is not EntryKind.COMMAND:
        return shown
    try:
        command = Command.unpack(entry.data)
    except RequestFault as fault:
        return {**shown, "error": str(fault)}
    request = command.request
    shown["operation"] = request.operation.name.lower()
    shown["session"], shown["sequence"] = command.session, command.sequence
    if request.key:
        shown.update(_size_of("key", request.key) if brief and _is_long(request.key) else _shown_key(request.key))
    if request.operation in (Operation.APPEND, Operation.PUT):
        shown.update(_size_of("value", request.value) if brief and _is_long(request.value) else _shown(request.value))
    return shown


def _is_long(encoded: Encoded) -> bool:
    return len(encoded) > LONGEST_DECODED


def _size_of(name: str, encoded: Encoded) -> Json:
    return {name: f"{len(encoded)} bytes"}


def _shown_key(encoded: bytes) -> Json:
    if len(encoded) > LONGEST_SHOWN:
        return {"key": f"{len(encoded)} bytes, too many to show"}
    if len(encoded) > LONGEST_DECODED:
        return {"key_encoded": encoded}
    return {"key": values.shown(encoded)[1]}


def _shown(encoded: Encoded) -> Json:
    if len(encoded) > LONGEST_SHOWN:
        return {"type": "large", "value": f"{len(encoded)} bytes, too many to show; a client can read them"}
    if len(encoded) > LONGEST_DECODED:
        return {"value_encoded": encoded}
    kind, value = values.shown(encoded)
    return {"type": kind, "value": value}


def _error(text: str) -> Json:
    return {"ok": False, "error": text}
