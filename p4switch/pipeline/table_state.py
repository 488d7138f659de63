"""Tables and action profiles as Python keeps them beside the C side's: what can be listed, found and checked."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from p4switch.codegen.layout import limbs
from p4switch.errors import (
    BadValue,
    EntryExists,
    Immutable,
    NoSuchEntry,
    PipelineError,
    ProgramError,
    TableFull,
    UnknownName,
)
from p4switch.pipeline.encoding import GREATEST_PRIORITY, array, const_match, encode_key, encode_params, normal, rank
from p4switch.pipeline.entities import Entry, EntryAction, Group, Match, Member
from p4switch.program import Action, ActionProfile, ConstEntry, Program, Table
from p4switch.program_json import malformed


@dataclass(frozen=True)
class Native:
    """A loaded library and one open switch in it."""

    library: ctypes.CDLL
    switch: int
    action_numbers: dict[int, int]


def room(program: Program, actions: Iterable[int]) -> int:
    """Words that hold the parameters of any of the actions."""
    return max((sum(limbs(p.width) for p in program.actions[id].params) for id in actions), default=0)


@dataclass
class ProfileState:
    """Members and groups of an action profile; the pointers are the C side's."""

    profile: ActionProfile
    native: Native
    program: Program
    actions: dict[str, int]
    members: dict[int, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    groups: dict[int, tuple[int, ...]] = field(default_factory=dict)
    pointers: dict[int, int] = field(default_factory=dict)
    group_pointers: dict[int, int] = field(default_factory=dict)
    uses: dict[Member | Group, int] = field(default_factory=dict)
    last: int = 0

    def _action(self, name: str) -> Action:
        if name not in self.actions:
            raise UnknownName(f"action profile {self.profile.name} has no action {name}")
        return self.program.actions[self.actions[name]]

    def _full(self) -> None:
        most = self.profile.max_size
        if most and len(self.members) >= most:
            raise TableFull(f"action profile {self.profile.name} holds {most} members already")

    def add_member(self, action: str, params: Sequence[int]) -> int:
        self._full()
        words = encode_params(params, self._action(action))
        pointer = self.native.library.p4_new_member(room(self.program, self.actions.values()))
        if not pointer:
            raise MemoryError
        self.last += 1
        self.pointers[self.last] = pointer
        self._write(self.last, action, params, words)
        return self.last

    def _write(self, member: int, action: str, params: Sequence[int], words: list[int]) -> None:
        number = self.native.action_numbers[self.actions[action]]
        pointer = self.pointers[member]
        self.native.library.p4_edit_member(self.native.switch, pointer, number, len(words), array(words))
        self.members[member] = (action, tuple(params))

    def modify_member(self, member: int, action: str, params: Sequence[int]) -> None:
        self.need(Member(member))
        self._write(member, action, params, encode_params(params, self._action(action)))

    def delete_member(self, member: int) -> None:
        self.need(Member(member))
        if self.uses.get(Member(member)) or any(member in ids for ids in self.groups.values()):
            raise BadValue(f"member {member} of {self.profile.name} is in use")
        del self.members[member]
        self.native.library.p4_free_member(self.pointers.pop(member))

    def add_group(self, members: Sequence[int]) -> int:
        if not self.profile.selector_algorithm:
            raise BadValue(f"action profile {self.profile.name} has no selector, so no groups")
        for member in members:
            self.need(Member(member))
        pointer = self.native.library.p4_new_group()
        if not pointer:
            raise MemoryError
        self.last += 1
        self.group_pointers[self.last] = pointer
        self.groups[self.last] = ()
        self.set_group(self.last, members)
        return self.last

    def set_group(self, group: int, members: Sequence[int]) -> None:
        """BMv2 picks from the members in the order of their handles."""
        self.need(Group(group))
        for member in members:
            self.need(Member(member))
        pointers = array(self.pointers[m] for m in sorted(members))
        library = self.native.library
        if not library.p4_edit_group(self.native.switch, self.group_pointers[group], len(members), pointers):
            raise MemoryError
        self.groups[group] = tuple(members)

    def delete_group(self, group: int) -> None:
        self.need(Group(group))
        if self.uses.get(Group(group)):
            raise BadValue(f"group {group} of {self.profile.name} is in use")
        del self.groups[group]
        self.native.library.p4_free_group(self.group_pointers.pop(group))

    def need(self, target: Member | Group) -> int:
        """The C pointer of a member or group that must exist."""
        known = self.pointers if isinstance(target, Member) else self.group_pointers
        if target.id not in known:
            kind = "member" if isinstance(target, Member) else "group"
            raise NoSuchEntry(f"action profile {self.profile.name} has no {kind} {target.id}")
        return known[target.id]

    def use(self, target: EntryAction | None, change: int) -> None:
        if isinstance(target, Member | Group):
            self.uses[target] = self.uses.get(target, 0) + change

    def free(self) -> None:
        for pointer in self.pointers.values():
            self.native.library.p4_free_member(pointer)
        for pointer in self.group_pointers.values():
            self.native.library.p4_free_group(pointer)


@dataclass(frozen=True)
class _Call:
    """What C is told to run: an action's number and words, or a member or group."""

    number: int
    words: list[int]
    member: int | None = None
    group: int | None = None


class TableState:
    """One table. Its methods are called under the pipeline's lock."""

    def __init__(
        self,
        table: Table,
        number: int,
        param_words: int,
        program: Program,
        native: Native,
        profile: ProfileState | None,
    ) -> None:
        self.table = table
        self.number = number
        self.program = program
        self.native = native
        self.profile = profile
        self.param_words = param_words
        self.actions = dict(zip(table.actions, table.action_ids, strict=True))
        self.entries: dict[int, Entry] = {}
        self.pointers: dict[int, int] = {}
        self._by_key: dict[tuple[tuple[Match, ...], int], int] = {}
        self._last = 0
        # Handles of the program's entries that are const only as long as the whole table is.
        self._changeable: list[int] = []
        self._own: tuple[str | None, tuple[int, ...]] = (None, ())
        self.current: tuple[EntryAction | None, tuple[int, ...]] = (None, ())
        self.fixed, self.max_size = bool(table.entries), table.max_size
        self._load()

    def _load(self) -> None:
        """The default action and the const entries that the program gives."""
        table = self.table
        if table.default_action_id is not None:
            names = {i: n for n, i in self.actions.items()}
            name = names.get(table.default_action_id) or self.program.actions[table.default_action_id].name
            self.actions.setdefault(name, table.default_action_id)
            self._own = (name, table.default_params)
        self.restore_default()
        first = max((e.priority for e in table.entries), default=0) + 1
        for number, one in enumerate(table.entries):
            where = f"entries[{number}]{f' ({one.source})' if one.source.line else ''}"
            try:
                with malformed(self.where):
                    handle = self._add_own(one, first)
            except PipelineError as error:
                raise ProgramError(f"{where}: {error}") from error
            if not one.const:
                self._changeable.append(handle)

    def _add_own(self, one: ConstEntry, first: int) -> int:
        """Add an entry that the program gives. `first`: above all of BMv2's priorities, where the smallest wins."""
        table = self.table
        name = next(n for n, i in self.actions.items() if i == one.action_id)
        match = tuple(normal(m, k, self.where) for m, k in zip(const_match(one, table), table.key, strict=True))
        priority = first - one.priority if one.runtime_priority is None else one.runtime_priority
        return self._add(match, name, one.params, priority if table.ordered else 0, const=True)

    def release(self, size: int) -> None:
        """Let the program's entries be changed, but for those that are const; the table may hold `size` of them."""
        self.fixed, self.max_size = False, max(size, self.max_size)
        for handle in self._changeable:
            self.entries[handle] = replace(self.entries[handle], const=False)

    @property
    def where(self) -> str:
        return f"table {self.table.name}"

    def _call(self, action: EntryAction, params: Sequence[int]) -> _Call:
        if isinstance(action, Member | Group):
            if self.profile is None:
                raise BadValue(f"{self.where} has no action profile")
            pointer = self.profile.need(action)
            member = pointer if isinstance(action, Member) else None
            return _Call(0, [], member, None if member else pointer)
        if action not in self.actions:
            raise UnknownName(f"{self.where} has no action {action}")
        if self.profile is not None and params:
            raise BadValue(f"{self.where} takes members and groups of its action profile, not actions")
        words = encode_params(params, self.program.actions[self.actions[action]])
        return _Call(self.native.action_numbers[self.actions[action]], words)

    def _params(self, call: _Call) -> ctypes.Array[ctypes.c_uint64]:
        return array(call.words + [0] * (self.param_words - len(call.words)))

    def match(self, match: Sequence[Match], priority: int) -> tuple[Match, ...]:
        if len(match) != len(self.table.key):
            raise BadValue(f"{self.where} has {len(self.table.key)} key fields, not {len(match)}")
        if self.table.ordered and not 0 <= priority <= GREATEST_PRIORITY:
            raise BadValue(f"{self.where}: priority {priority} is not within 0..{GREATEST_PRIORITY}")
        if not self.table.ordered and priority:
            raise BadValue(f"{self.where} has no priorities: leave it 0")
        return tuple(normal(m, k, self.where) for m, k in zip(match, self.table.key, strict=True))

    def insert(self, match: Sequence[Match], action: EntryAction, params: Sequence[int], priority: int) -> int:
        if self.fixed:
            raise Immutable(f"{self.where} has const entries")
        if not self.table.key:
            raise BadValue(f"{self.where} has no key: it takes a default action only")
        return self._add(self.match(match, priority), action, params, priority, const=False)

    def _add(
        self,
        match: tuple[Match, ...],
        action: EntryAction,
        params: Sequence[int],
        priority: int,
        const: bool,
    ) -> int:
        if (match, priority) in self._by_key:
            raise EntryExists(f"{self.where} has an entry with this match{' and priority' if priority else ''}")
        if not const and len(self.entries) >= self.max_size:
            raise TableFull(f"{self.where} holds {self.max_size} entries already")
        call = self._call(action, params)
        values, masks = encode_key(match, self.table)
        pointer = self.native.library.p4_edit_insert(
            self.native.switch,
            self.number,
            array(values),
            array(masks),
            rank(match, priority, self.table),
            call.number,
            self._params(call),
            call.member,
            call.group,
        )
        if not pointer:
            raise MemoryError
        self._last += 1
        self.entries[self._last] = Entry(self._last, match, priority, action, tuple(params), const)
        self.pointers[self._last] = pointer
        self._by_key[match, priority] = self._last
        if self.profile:
            self.profile.use(action, 1)
        return self._last

    def entry(self, handle: int) -> Entry:
        if handle not in self.entries:
            raise NoSuchEntry(f"{self.where} has no entry {handle}")
        return self.entries[handle]

    def pointer(self, handle: int | None) -> int | None:
        """None for the default entry."""
        if handle is None:
            return None
        self.entry(handle)
        return self.pointers[handle]

    def find(self, match: Sequence[Match], priority: int) -> int | None:
        return self._by_key.get((self.match(match, priority), priority))

    def modify(self, handle: int, action: EntryAction, params: Sequence[int]) -> None:
        old = self.entry(handle)
        if old.const:
            raise Immutable(f"{self.where} has const entries")
        call = self._call(action, params)
        self._write(self.pointers[handle], call)
        self.entries[handle] = Entry(handle, old.match, old.priority, action, tuple(params))
        if self.profile:
            self.profile.use(old.action, -1)
            self.profile.use(action, 1)

    def _write(self, pointer: int | None, call: _Call) -> None:
        self.native.library.p4_edit_modify(
            self.native.switch, self.number, pointer, call.number, self._params(call), call.member, call.group
        )

    def delete(self, handle: int) -> None:
        entry = self.entry(handle)
        if entry.const:
            raise Immutable(f"{self.where} has const entries")
        self.native.library.p4_edit_delete(self.native.switch, self.number, self.pointers.pop(handle))
        del self.entries[handle], self._by_key[entry.match, entry.priority]
        if self.profile:
            self.profile.use(entry.action, -1)

    def set_default(self, action: EntryAction, params: Sequence[int]) -> None:
        if self.table.default_const and (action, tuple(params)) != self._own:
            raise Immutable(f"{self.where} has a const default action")
        self._write(None, self._call(action, params))
        self._switch_default(action, params)

    def restore_default(self) -> None:
        name, params = self._own
        self._write(None, self._call(name, params) if name else _Call(0, []))
        self._switch_default(name, params)

    def _switch_default(self, action: EntryAction | None, params: Sequence[int]) -> None:
        if self.profile:
            self.profile.use(self.current[0], -1)
            self.profile.use(action, 1)
        self.current = (action, tuple(params))
