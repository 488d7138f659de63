"""What a run's parts have shown last, so that a recorder writes changes only: members, switches, controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.desired import Entry as TableEntry
from hosts.raft.configuration import Configuration
from hosts.raft.core import Raft, Role
from hosts.raft.message import Entry, EntryKind, MessageType
from hosts.service import values
from hosts.service.requests import Command, Request, RequestFault
from web.remembered import exact

if TYPE_CHECKING:
    from sim.control import SimController
    from sim.fabric import SimSwitch
    from sim.node import Node

LONGEST_TEXT = 40
"""Characters of a key or value that are shown."""

Json = dict[str, Any]


class SeenMember:
    """What a member of a group has shown last."""

    def __init__(self, node: Node, number: int) -> None:
        self.node = node
        self.number = number
        self.seen: tuple[Any, ...] | None = None
        self._told: Json = {}
        self._core: Raft | None = None
        self._terms: list[int] = []
        """Of its log, from the entry after ``_base`` on."""
        self._base = 0

    def signature(self) -> tuple[Any, ...]:
        """Another one whenever something may have changed; quick."""
        process = self.node.process
        if process is None:
            return ()
        group = process.groups[self.number]
        core = group.core
        log = core.log
        leads = core.role is Role.LEADER
        return (
            id(core),
            core.role,
            core.current_term,
            core.voted_for,
            core.leader,
            log.commit_index,
            log.last_index,
            log.durable_index,
            log.base_index,
            log.truncations,
            id(log.snapshot),
            id(core.configuration),
            group.machine.applied_index,
            process._paused,
            None if leads else _timer(process, core),
            _progress(core) if leads else None,
        )

    def changes(self) -> Json:
        """What to tell, by the names of recordings."""
        now = self._state()
        changed = {name: value for name, value in now.items() if name not in self._told or self._told[name] != value}
        self._told.update(changed)
        return changed

    def _state(self) -> Json:
        process = self.node.process
        if process is None:
            return {"up": False, "paused": False, "progress": None, "timer": None}
        group = process.groups[self.number]
        core, log = group.core, group.core.log
        membership = core.membership
        leads = core.role is Role.LEADER
        return {
            "up": True,
            "paused": process._paused,
            "role": core.role.value,
            "term": exact(core.current_term),
            "vote": max(0, core.voted_for) if core.voted_for < 256 else 0,
            "leader": core.leader,
            "commit": log.commit_index,
            "applied": group.machine.applied_index,
            "last": log.last_index,
            "durable": log.durable_index,
            "base": log.base_index,
            "snapshot": None if log.snapshot is None else {"index": log.snapshot.index, "term": log.snapshot.term},
            "voters": sorted(membership.voters),
            "outgoing": sorted(membership.outgoing),
            "learners": sorted(membership.learners),
            "progress": {str(one): {"match": m, "next": n, "mode": mode} for one, m, n, mode in _progress(core)}
            if leads
            else None,
            "timer": None if leads else list(_timer(process, core)),
        }

    def log_changes(self) -> tuple[int, list[Any]] | None:
        """From where on the log is another one, and what it holds from there; None if it is the same."""
        process = self.node.process
        if process is None:
            return None
        core = process.groups[self.number].core
        log = core.log
        last = self._base + len(self._terms)
        if core is self._core and log.truncations == self._told_truncations:
            start = last + 1
        else:
            start = max(log.base_index, self._base) + 1
            while start <= min(last, log.last_index) and self._terms[start - self._base - 1] == log.term_at(start):
                start += 1
            start = max(start, log.base_index + 1)
        self._core, self._told_truncations = core, log.truncations
        if log.base_index > self._base:
            del self._terms[: log.base_index - self._base]
            self._base = log.base_index
        elif log.base_index < self._base:
            self._base, self._terms, start = log.base_index, [], log.base_index + 1
        if start > log.last_index and last <= log.last_index:
            return None
        entries = log.between(start, log.last_index, 1 << 60, 1 << 60)[0] if start <= log.last_index else ()
        del self._terms[start - self._base - 1 :]
        self._terms += [entry.term for entry in entries]
        return start, [shown(entry) for entry in entries]

    _told_truncations = 0


def _timer(process: Any, core: Raft) -> tuple[int, int]:
    """When the election timer began to run, and how long it runs."""
    since = process._epoch + (process._ticks - core._elapsed) * process._tick_us
    return max(0, since), core._timeout * process._tick_us


def _progress(core: Raft) -> tuple[tuple[int, int, int, str], ...]:
    """What a leader knows of each: id, match, next, mode."""
    leadership = core._leadership
    if leadership is None:
        return ()
    return tuple(
        (member, one.match_index, one.next_index, one.mode.value)
        for member, one in leadership._replication.progress.items()
    )


_ELECTION = {Role.PRE_CANDIDATE.value, Role.CANDIDATE.value}
_NEWS_OF_A_LEADER = {MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT}


def explains(kind: int, changed: Json) -> bool:
    """Whether a message of a type can be what has led to a change."""
    role = changed.get("role")
    if "up" in changed or "paused" in changed:
        return False
    if role == Role.LEADER.value:
        return kind in (MessageType.REQUEST_VOTE_REPLY, MessageType.APPEND_ENTRIES_REPLY)
    if role == Role.CANDIDATE.value:
        return kind in (MessageType.PRE_VOTE_REPLY, MessageType.TIMEOUT_NOW)
    if role == Role.PRE_CANDIDATE.value:
        return False
    if changed.keys() == {"timer"}:
        return kind in _NEWS_OF_A_LEADER
    return True


class SeenSwitch:
    """What a switch has shown last."""

    def __init__(self, switch: SimSwitch, slots: list[int]) -> None:
        self.switch = switch
        self.touched = False
        self._slots = slots
        self._names = list(switch.pipeline.program.registers)
        self._counters = [name for name, one in switch.pipeline.program.counters.items() if one.size]
        self._life = 0
        self._up = False
        self._version = -1
        self._held: dict[object, Any] = {}
        self._cells: dict[str, list[int]] = {}
        """Each register's, from the first slot to the last."""
        self._counts: dict[tuple[str, int], tuple[int, int]] = {}
        self._told_registers: dict[int, str] = {}

    def entry_changes(self) -> list[Json]:
        """Starts and ends, and changes of the tables."""
        one = self.switch
        if (one.life, one.up, one.changes) == (self._life, self._up, self._version):
            return []
        events: list[Json] = []
        if (one.life, one.up) != (self._life, self._up):
            if self._up and one.life != self._life:
                events.append({"k": "switch", "up": False})
            events.append({"k": "switch", "up": one.up})
            self._held, self._cells, self._counts, self._told_registers = {}, {}, {}, {}
        self._life, self._up, self._version = one.life, one.up, one.changes
        # A recording tells of tables only: where copies go shows on their way.
        now = {key: entry for key, (entry, _) in one.held.items() if isinstance(entry, TableEntry)}
        for key, entry in self._held.items():
            if key not in now:
                events.append(entry_event("delete", entry))
        for key, entry in now.items():
            before = self._held.get(key)
            if before != entry:
                events.append(entry_event("insert" if before is None else "modify", entry))
        self._held = now
        return events

    def told_registers(self) -> dict[int, str]:
        """Names of the cells that hold something, by what they hold as last told."""
        return self._told_registers

    def register_changes(self, now_us: int) -> list[list[Any]]:
        """Cells of the groups' slots."""
        clock = now_us - self.switch.started_us
        found: list[list[Any]] = []
        if not self.switch.up:
            return found
        first, last = min(self._slots), max(self._slots)
        nothing = [0] * (last + 1 - first)
        for name in self._names:
            cells, before = self.switch.pipeline.registers(name, first, len(nothing)), self._cells.get(name, nothing)
            if cells == before:
                continue
            self._cells[name] = cells
            for slot in self._slots:
                value = cells[slot - first]
                if value != before[slot - first]:
                    found.append([name, slot, "now" if value == clock else exact(value)])
        if found:
            self._told_registers = {
                cells[slot - first]: f"{name}[{slot}]"
                for name, cells in reversed(self._cells.items())
                for slot in reversed(self._slots)
                if cells[slot - first]
            }
        return found

    def counter_changes(self) -> list[list[Any]]:
        """Counters that are no entry's."""
        found: list[list[Any]] = []
        for name in self._counters:
            for index, value in enumerate(self.switch.pipeline.counters(name)):
                if self._counts.get((name, index), (0, 0)) != value:
                    self._counts[name, index] = value
                    found.append([name, index, *value])
        return found


def entry_event(do: str, entry: TableEntry) -> Json:
    match = [list(map(exact, value)) if isinstance(value, tuple) else exact(value) for _, value in entry.match]
    event = {"k": "table", "table": entry.table, "do": do, "match": match}
    if do != "delete":
        event |= {"action": entry.action, "values": [exact(value) for _, value in entry.params]}
    return event


class SeenController:
    """What a controller has shown last."""

    def __init__(self) -> None:
        self._told: Json = {}
        self._seen: tuple[Any, ...] = ()

    def changes(self, controller: SimController | None) -> Json:
        """What it knows now and did not before. Nothing is known where there is none."""
        if controller is None:
            seen: tuple[Any, ...] = ()
        else:
            decisions = controller.decisions
            standings = tuple(session.standing for session in controller.sessions.values())
            seen = (
                controller,
                standings,
                decisions.features,
                decisions.view.links,
                tuple(decisions.leaders.values()),
                decisions.network,
            )
        if seen == self._seen:
            return {}
        self._seen = seen
        now = _known(controller)
        changed = {name: value for name, value in now.items() if self._told.get(name) != value}
        self._told = now
        return changed


def _known(controller: SimController | None) -> Json:
    if controller is None:
        return {"leaders": {}, "links": [], "features": [], "standing": {}, "members": {}}
    decisions = controller.decisions
    return {
        "leaders": {
            str(group): {"leader": one.leader, "term": exact(one.term), "standin": one.standin}
            for group, one in decisions.leaders.items()
        },
        "links": sorted(map(str, decisions.view.links)),
        "features": sorted(decisions.features),
        "standing": {name: session.standing.value for name, session in controller.sessions.items()},
        "members": {str(group.id): [member.id for member in group.members] for group in decisions.network.groups},
    }


def cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def text_of(encoded: Any) -> str:
    if not encoded:
        return ""
    if len(encoded) > 1024:
        return f"{len(encoded)} bytes"
    return cut(str(values.shown(encoded)[1]))


def operands(request: Request) -> tuple[str, str]:
    """Key and value, for people."""
    return text_of(request.key), text_of(request.value)


def shown(entry: Entry) -> list[Any]:
    """An entry as recordings write it."""
    return [exact(entry.term), entry.kind.name.lower(), what_of(entry)]


def what_of(entry: Entry) -> str:
    if entry.kind is EntryKind.CONFIGURATION:
        membership = Configuration.unpack(entry.index, entry.data).membership
        text = f"voters {sorted(membership.voters)}"
        if membership.outgoing:
            text += f", joint with {sorted(membership.outgoing)}"
        return text + (f", learners {sorted(membership.learners)}" if membership.learners else "")
    if entry.kind is not EntryKind.COMMAND:
        return ""
    try:
        request = Command.unpack(entry.data).request
    except RequestFault as fault:
        return str(fault)
    return " ".join(filter(None, (request.operation.name.lower(), *operands(request))))
