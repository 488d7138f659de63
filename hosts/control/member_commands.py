"""Who the members are, and changes of that: what the control socket answers about it.

    {"cmd": "members"}                                          who votes, who learns, and whether that changes now
    {"cmd": "member_add", "member": 4, "address": "10.0.2.22:26410"}    "address" may stand in the cluster file
    {"cmd": "member_remove", "member": 1}
    {"cmd": "transfer", "member": 2}                            hand leadership over
    {"cmd": "snapshot"}                                         have this node take one, whether or not it is due

Changes are begun, not waited for: ``members`` shows how they go. Only the leader begins them; others answer with
"leader", its id, or 0 if they know none. The socket is for whoever may write to the node's folder: clients over the
network cannot change the members.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hosts.addresses import pack_address
from hosts.files.fields import Address, parse_member_address
from hosts.group import Group
from hosts.raft.core import Busy, NotLeader

Json = dict[str, Any]

COMMANDS = ("members", "member_add", "member_remove", "transfer", "snapshot")


def answer(group: Group, request: Json, spares: Mapping[int, Address], port: int) -> Json:
    """The answer to one of COMMANDS. ``spares`` are members to come that the cluster file knows; an address without a
    port has ``port``."""
    command, member = request["cmd"], request.get("member")
    if command == "members":
        return members(group)
    if command == "snapshot":
        index = group.begin_snapshot()
        return {"ok": True, "group": group.number, "index": index} if index else _error("not now: one is being made")
    if not isinstance(member, int) or isinstance(member, bool):
        return _error("'member' must be a member's id")
    try:
        if command == "member_add":
            address = request.get("address")
            place = spares.get(member) if address is None else parse_member_address(str(address), port)
            if place is None:
                return _error(f"where is member {member}? Give its 'address', or write it under 'spares'")
            group.core.change_membership(add={member: pack_address(place)})
        elif command == "member_remove":
            if not group.core.configuration.membership.includes(member):
                return _error(f"there is no member {member}: the members are {_ids(group)}")
            group.core.change_membership(remove=(member,))
        else:
            group.core.transfer(member)
    except NotLeader as error:
        return {**_error(str(error)), "leader": error.leader}
    except Busy as error:
        return {**_error(f"not now: {error}"), "busy": True}
    except ValueError as error:
        return _error(str(error))
    return {"ok": True, "group": group.number, "member": member}


def members(group: Group) -> Json:
    """The configuration in force here."""
    core = group.core
    configuration = core.configuration
    membership = configuration.membership
    shown = {}
    for member in sorted(membership.everyone()):
        place = group.addresses.get(member)
        shown[str(member)] = {
            "address": f"{place[0]}:{place[1]}" if place else "",
            "votes": member in membership.voters,
            "leaves": member in membership.outgoing and member not in membership.voters,
            "lost": core.lost.get(member, ""),
        }
    return {
        "ok": True,
        "group": group.number,
        "id": core.id,
        "leader": core.leader,
        "leads": core.leader == core.id,
        "index": configuration.index,
        "committed": configuration.index <= core.commit_index,
        "changing": core.changing_members,
        "change": core.status().get("change", ""),
        "members": shown,
    }


def _ids(group: Group) -> str:
    return ", ".join(map(str, sorted(group.core.configuration.membership.everyone())))


def _error(text: str) -> Json:
    return {"ok": False, "error": text}
