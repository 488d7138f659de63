"""Action profiles and selectors over P4Runtime: specification, "ActionProfileMember & ActionProfileGroup".

Clients choose member and group ids; the pipeline gives handles. A one-shot action set becomes members and a group
that no client sees, and that go with their table entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from finsy.proto import p4r

from p4switch.errors import PipelineError
from p4switch.p4runtime.errors import Code, RequestError, invalid
from p4switch.p4runtime.matches import decode_action, encode_action
from p4switch.p4runtime.p4info import Action, Profile, Schema
from p4switch.pipeline.entities import EntryAction, Group, Member
from p4switch.pipeline.pipeline import Pipeline

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
MAX_WEIGHT = 4096
"""Copies of one member in a group: weights are kept as repetition."""


class ProfileStore:
    """One action profile."""

    def __init__(self, profile: Profile, schema: Schema, pipeline: Pipeline) -> None:
        self.profile = profile
        self._pipeline = pipeline
        tables = [schema.tables[id] for id in profile.tables if id in schema.tables]
        self._actions: Mapping[int, Action] = {
            id: ref.action for table in tables for id, ref in table.actions.items()
        }
        self._by_name = {action.name: action for action in self._actions.values()}
        self._members: dict[int, int] = {}
        self._member_ids: dict[int, int] = {}
        self._groups: dict[int, int] = {}
        self._group_ids: dict[int, int] = {}
        self._group_messages: dict[int, p4r.ActionProfileGroup] = {}
        self._one_shots: dict[int, tuple[p4r.ActionProfileActionSet, list[int]]] = {}

    # Entries of the tables ---------------------------------------------------------------------

    def resolve(self, given: p4r.TableAction) -> Member | Group:
        """What an entry's action refers to; makes the group of a one-shot action set."""
        kind = given.WhichOneof("type")
        if kind == "action_profile_member_id":
            return Member(self._member(given.action_profile_member_id))
        if kind not in ("action_profile_group_id", "action_profile_action_set"):
            raise invalid(
                f"the table has the action profile {self.profile.name}: name a member, not {kind or 'nothing'}"
            )
        if not self.profile.selector:
            raise invalid(f"the action profile {self.profile.name} has no selector, so no groups: name a member")
        if kind == "action_profile_group_id":
            return Group(self._group(given.action_profile_group_id))
        return self._one_shot(given.action_profile_action_set)

    def describe(self, action: EntryAction, out: p4r.TableAction) -> None:
        """The inverse of `resolve`."""
        if isinstance(action, Member):
            out.action_profile_member_id = self._member_ids[action.id]
        elif isinstance(action, Group):
            if action.id in self._one_shots:
                out.action_profile_action_set.CopyFrom(self._one_shots[action.id][0])
            else:
                out.action_profile_group_id = self._group_ids[action.id]

    def release(self, group: Group) -> None:
        """Take away the group of a one-shot action set, now that its entry has gone."""
        found = self._one_shots.pop(group.id, None)
        if found is not None:
            self._pipeline.delete_group(self.profile.name, group.id)
            for member in found[1]:
                self._pipeline.delete_member(self.profile.name, member)

    def _one_shot(self, given: p4r.ActionProfileActionSet) -> Group:
        if self._members or self._groups:
            raise invalid(
                f"{self.profile.name} has {len(self._members)} members and {len(self._groups)} groups: one-shot "
                "action sets cannot stand beside them; name a member or group, or delete all of these first"
            )
        actions = [(self._decode(one.action), _weight(one.weight)) for one in given.action_profile_actions]
        self._check_size(sum(weight for _, weight in actions))
        made: list[int] = []
        try:
            for (name, params), _ in actions:
                made.append(self._pipeline.add_member(self.profile.name, name, params))
            weighted = [member for member, (_, weight) in zip(made, actions, strict=True) for _ in range(weight)]
            group = self._pipeline.add_group(self.profile.name, weighted)
        except PipelineError:
            for member in made:
                self._pipeline.delete_member(self.profile.name, member)
            raise
        canonical = p4r.ActionProfileActionSet()
        canonical.CopyFrom(given)
        for one, ((name, params), _) in zip(canonical.action_profile_actions, actions, strict=True):
            one.action.ClearField("params")
            encode_action(self._by_name[name], params, one.action)
        self._one_shots[group] = (canonical, made)
        return Group(group)

    # Members -----------------------------------------------------------------------------------

    def write_member(self, kind: int, given: p4r.ActionProfileMember) -> None:
        """Carry out one update of a member."""
        name = self.profile.name
        if kind == INSERT:
            self._check_no_one_shots()
            if given.member_id in self._members:
                raise RequestError(Code.ALREADY_EXISTS, f"{name} has a member {given.member_id} already")
            action, params = self._decode(given.action)
            handle = self._pipeline.add_member(name, action, params)
            self._members[given.member_id] = handle
            self._member_ids[handle] = given.member_id
        elif kind == MODIFY:
            handle = self._member(given.member_id)
            action, params = self._decode(given.action)
            self._pipeline.modify_member(name, handle, action, params)
        else:
            handle = self._member(given.member_id)
            self._in_use(lambda: self._pipeline.delete_member(name, handle), f"member {given.member_id}")
            del self._members[given.member_id], self._member_ids[handle]

    def read_members(self, query: p4r.ActionProfileMember) -> Iterator[p4r.ActionProfileMember]:
        """The members that a query selects; member_id 0 selects all."""
        held = self._pipeline.members(self.profile.name)
        for member_id, handle in list(self._members.items()):
            if query.member_id in (0, member_id):
                name, params = held[handle]
                answer = p4r.ActionProfileMember(action_profile_id=self.profile.id, member_id=member_id)
                encode_action(self._by_name[name], params, answer.action)
                yield answer

    # Groups ------------------------------------------------------------------------------------

    def write_group(self, kind: int, given: p4r.ActionProfileGroup) -> None:
        """Carry out one update of a group."""
        name = self.profile.name
        if not self.profile.selector:
            raise invalid(f"the action profile {name} has no selector, so no groups")
        if kind == INSERT:
            self._check_no_one_shots()
            if given.group_id in self._groups:
                raise RequestError(Code.ALREADY_EXISTS, f"{name} has a group {given.group_id} already")
            if given.max_size < 0 or (self.profile.max_group_size and given.max_size > self.profile.max_group_size):
                raise invalid(f"max_size {given.max_size}: a group of {name} holds {self.profile.max_group_size}")
            handle = self._pipeline.add_group(name, self._weighted(given.members, given.max_size))
            self._groups[given.group_id] = handle
            self._group_ids[handle] = given.group_id
        elif kind == MODIFY:
            handle = self._group(given.group_id)
            old = self._group_messages[given.group_id]
            if given.max_size not in (0, old.max_size):
                raise invalid("the max_size of a group cannot be changed")
            self._pipeline.set_group(name, handle, self._weighted(given.members, old.max_size))
        else:
            handle = self._group(given.group_id)
            self._in_use(lambda: self._pipeline.delete_group(name, handle), f"group {given.group_id}")
            del self._groups[given.group_id], self._group_ids[handle], self._group_messages[given.group_id]
            return
        kept = p4r.ActionProfileGroup()
        kept.CopyFrom(given)
        if kind == MODIFY:
            kept.max_size = self._group_messages[given.group_id].max_size
        self._group_messages[given.group_id] = kept

    def read_groups(self, query: p4r.ActionProfileGroup) -> Iterator[p4r.ActionProfileGroup]:
        """The groups that a query selects; group_id 0 selects all."""
        for group_id, message in list(self._group_messages.items()):
            if query.group_id in (0, group_id):
                yield message

    # Parts -------------------------------------------------------------------------------------

    def _decode(self, given: p4r.Action) -> tuple[str, list[int]]:
        action = self._actions.get(given.action_id)
        if action is None:
            raise invalid(f"no table of {self.profile.name} has an action with the id {given.action_id:#010x}")
        return action.name, decode_action(action, given)

    def _member(self, member_id: int) -> int:
        handle = self._members.get(member_id)
        if handle is None:
            raise RequestError(Code.NOT_FOUND, f"{self.profile.name} has no member {member_id}")
        return handle

    def _group(self, group_id: int) -> int:
        handle = self._groups.get(group_id)
        if handle is None:
            raise RequestError(Code.NOT_FOUND, f"{self.profile.name} has no group {group_id}")
        return handle

    def _weighted(self, members: Iterable[p4r.ActionProfileGroup.Member], max_size: int) -> list[int]:
        seen: set[int] = set()
        weighted: list[int] = []
        for member in members:
            if member.member_id in seen:
                raise invalid(f"member {member.member_id} stands twice in the group: give it a weight")
            seen.add(member.member_id)
            weighted += [self._member(member.member_id)] * _weight(member.weight)
        self._check_size(len(weighted), max_size)
        return weighted

    def _check_size(self, size: int, max_size: int = 0) -> None:
        limit = max_size or self.profile.max_group_size
        if limit and size > limit:
            raise RequestError(
                Code.RESOURCE_EXHAUSTED, f"a group of {self.profile.name} holds {limit} (weights counted), not {size}"
            )

    def _check_no_one_shots(self) -> None:
        """A selector's tables are programmed in one way (specification, "One Shot Action Selector Programming")."""
        if self._one_shots:
            raise invalid(
                f"{len(self._one_shots)} entries with one-shot action sets use {self.profile.name}: members and "
                "groups cannot stand beside them; delete those entries first"
            )

    def _in_use(self, delete: Callable[[], None], what: str) -> None:
        """The specification asks for FAILED_PRECONDITION if an entry or group still refers to it."""
        try:
            delete()
        except PipelineError as error:
            raise RequestError(Code.FAILED_PRECONDITION, f"{what} of {self.profile.name}: {error}") from None


def _weight(weight: int) -> int:
    if not 0 < weight <= MAX_WEIGHT:
        raise invalid(f"a weight of {weight}: it must be 1..{MAX_WEIGHT}")
    return weight
