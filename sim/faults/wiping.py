"""A member's folder is deleted and the member started again under its old id, as nobody should do. An operator who
reads what a leader says of it mends that: removes the member, and adds it again as one that begins with nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random

from hosts.addresses import pack_address
from hosts.raft.core import Busy, InvalidChange, NotLeader, Raft, Role, Unreachable
from hosts.raft.quorum import majority
from sim.events import MS
from sim.invariants import Watch
from sim.node import Node, Process
from sim.scene import Scene

LOOK_US = 150 * MS
"""Between two looks of the operator at what the leaders say."""


class Wiping:
    """One member at a time: what is lost with two of them nobody can know."""

    def __init__(self, scene: Scene, nodes: Mapping[int, Node]) -> None:
        self._scene = scene
        self._nodes = nodes
        self.victim: Node | None = None
        """Whose folder was deleted, and who is not mended yet."""
        self._named: set[int] = set()
        """The groups in which a leader has named it."""
        self._began_anew = False

    def mends(self, number: int) -> bool:
        """Whether a member of a group is to be mended: until then nobody else changes its members, or it
        would be gone before a leader has named it."""
        return self.victim is not None and number in self.victim.watches

    def strike(self, random: Random) -> Callable[[], None] | None:
        """Delete the folder of a member that the others of its groups can spare. Returns what starts it again; None
        if there is no such member now."""
        nodes = [node for node in self._nodes.values() if self._can_be_spared(node)]
        if self.victim is not None or not nodes:
            return None
        self.victim = node = random.choice(nodes)
        self._named.clear()
        self._began_anew = False
        self._scene.counts["members wiped"] += 1
        for watch in node.watches.values():
            watch.wiped(node.member)
        node.wipe(random)
        if random.random() < 0.7:
            node.start()
        self._scene.events.after(LOOK_US, self._look, random)
        return node.start

    def _can_be_spared(self, node: Node) -> bool:
        return all(self._group_can_spare(watch, node.member) for watch in node.watches.values())

    def _group_can_spare(self, watch: Watch, member: int) -> bool:
        """Whether the others are a quorum, hold something each, and the logs are known; and nothing changes now."""
        found = self._leader(watch.group)
        if found is None or found[1].changing_members:
            return False
        configuration = found[1].committed_configuration
        voters = configuration.membership.voters
        others = voters - {member}
        return (
            member in voters
            and member in configuration.log_ids
            and configuration.is_identified
            and len(others) >= majority(len(voters))
            and all(watch.disks[other].entries for other in others)
        )

    def _leader(self, number: int) -> tuple[Process, Raft] | None:
        """A group's leader of the highest term, if it knows what is committed."""
        processes = [node.process for node in self._nodes.values() if node.process is not None]
        cores = [(one, one.groups[number].core) for one in processes if number in one.groups]
        leaders = [(process, core) for process, core in cores if core.role is Role.LEADER]
        if not leaders:
            return None
        process, core = max(leaders, key=lambda found: found[1].current_term)
        return (process, core) if core.log.term_at(core.commit_index) == core.current_term else None

    # -- the operator -------------------------------------------------------------------------------------------

    def _look(self, random: Random) -> None:
        node = self.victim
        if node is None:
            return
        leaders = {number: self._leader(number) for number in node.watches}
        if all(leaders.values()):
            self._act(node, {number: found for number, found in leaders.items() if found is not None}, random)
        if self.victim is not None:
            self._scene.events.after(LOOK_US, self._look, random)

    def _act(self, node: Node, leaders: Mapping[int, tuple[Process, Raft]], random: Random) -> None:
        for number, (_, core) in leaders.items():
            if node.member in core.lost and number not in self._named:
                self._named.add(number)
                self._scene.counts["wiped members named"] += 1
        if self._began_anew:
            self._add(node, leaders)
        elif self._named == leaders.keys() and random.random() < 0.3:
            self._remove(node, leaders, random)

    def _remove(self, node: Node, leaders: Mapping[int, tuple[Process, Raft]], random: Random) -> None:
        one = node.member
        present = [n for n, (_, core) in leaders.items() if core.configuration.membership.includes(one)]
        for number in present:
            self._ask(leaders[number][0], number, lambda core: core.change_membership(remove=(one,)))
        if present or any(core.changing_members for _, core in leaders.values()):
            return
        self._scene.note("operator", f"{node.host} begins with nothing")
        node.wipe(random, keep=random.random() < 0.3)
        node.joins = self._began_anew = True
        node.start()

    def _add(self, node: Node, leaders: Mapping[int, tuple[Process, Raft]]) -> None:
        one, done = node.member, True
        place = pack_address(self._scene.member_addresses[one])
        for number, (process, core) in leaders.items():
            configuration = core.committed_configuration
            back = configuration.log_ids.get(one) == node.watches[number].log_ids[one]
            if not back or one not in configuration.membership.voters:
                done = False
                self._ask(process, number, lambda core: core.change_membership(add={one: place}))
        if done:
            for watch in node.watches.values():
                watch.mended(one)
            self._scene.counts["wiped members mended"] += 1
            self.victim = None
            node.joins = False

    def _ask(self, process: Process, number: int, change: Callable[[Raft], None]) -> None:
        def ask(core: Raft) -> None:
            with suppress(NotLeader, Busy, InvalidChange, Unreachable):
                change(core)

        process.asked(number, ask)
