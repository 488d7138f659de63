"""What operators do at the worst moment: leadership is handed over, and members come, go and learn."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from itertools import cycle
from random import Random

from hosts.addresses import pack_address
from hosts.raft.core import Busy, InvalidChange, NotLeader, Raft, Role, Unreachable
from sim.events import MS
from sim.faults.targets import Begin, Targets, Undo
from sim.faults.wiping import Wiping
from sim.node import Node
from sim.plan import Kind
from sim.scene import Scene

LOOK_US = 20 * MS


class Changes:
    """``kinds``: how each begins. No members are changed while ``wiping`` mends a group."""

    def __init__(self, scene: Scene, nodes: Mapping[int, Node], targets: Targets, wiping: Wiping) -> None:
        self._scene = scene
        self._nodes = nodes
        self._targets = targets
        self._wiping = wiping
        self.kinds: dict[Kind, Begin] = {
            Kind.TRANSFER: self._transfer,
            Kind.MEMBERS: self._members,
            Kind.HASTY_CHANGE: self._hasty_change,
            Kind.ALONE: self._alone,
            Kind.ABSENT_LEARNER: self._absent_learner,
            Kind.ABSENT_SUCCESSORS: self._absent_successors,
        }

    def _transfer(self, random: Random) -> None:
        process = self._targets.one(random).process
        if process is None:
            return
        for number in process.groups:
            process.asked(number, partial(self.hand_over, number, random))

    def hand_over(self, number: int, random: Random, core: Raft) -> None:
        """Have a group's leader hand over to one of those who were its first members."""
        successor = random.choice(self._scene.watches[number].members)
        self._offer(number, successor, core)

    def _offer(self, number: int, successor: int, core: Raft) -> None:
        try:
            core.transfer(successor)
        except Unreachable:
            self._scene.counts["refused for silence"] += 1
        except (NotLeader, ValueError):
            return
        else:
            self._scene.counts["transfers"] += 1
            self._targets.note(f"group {number}: member {core.id} hands over to member {successor}")

    def _absent_successors(self, random: Random) -> Undo | None:
        """As many members as a quorum can do without fall silent, and the leader is told to hand over to one after
        the other, faster than an election timeout."""
        number = self._targets.some_group(random, 3)
        leader = self._targets.leader_of(number)
        if leader is None:
            return None
        core = leader.groups[number].core
        others = sorted(core.membership.voters - {core.id})
        absent = [self._nodes[one] for one in random.sample(others, len(others) // 2)]
        if not absent:
            return None
        undo = self._targets.silence(absent)
        self._targets.note(f"group {number}: leadership is offered to {[node.member for node in absent]} in turn")
        turn = cycle([node.member for node in absent])

        def offer() -> None:
            leader.asked(number, partial(self._offer, number, next(turn)))

        end = self._targets.again_and_again(random.choice((3, 8)) * 10 * MS, offer)

        def recover() -> None:
            end()
            undo()

        return recover

    def _absent_learner(self, random: Random) -> Undo | None:
        """A member becomes a learner; as soon as it holds everything it falls silent, and just then it is to vote."""
        number = self._targets.some_group(random, 2)
        node = self._nodes[random.choice(self._scene.watches[number].members)]
        place = {node.member: pack_address(node.address)}
        silenced: list[Undo] = []

        def ask(core: Raft) -> None:
            membership = core.membership
            if self._wiping.mends(number):
                return
            if core.role is not Role.LEADER or core.id == node.member or core.changing_members or silenced:
                return
            with suppress(Busy, ValueError):
                if node.member not in membership.learners:
                    core.change_membership(learners=place)
                elif core.status()["progress"][str(node.member)]["match_index"] == core.last_index:
                    silenced.append(self._targets.silence([node]))
                    self._targets.note(f"group {number}: learner {node.member} falls silent, and is to vote")
                    core.change_membership(add=place)
                    self._scene.counts["absent learners"] += 1

        def look() -> None:
            leader = self._targets.leader_of(number)
            if leader is not None:
                leader.asked(number, ask)

        end = self._targets.again_and_again(LOOK_US, look)

        def recover() -> None:
            end()
            for undo in silenced:
                undo()

        return recover

    def _alone(self, random: Random) -> Undo:
        """A group shrinks to one voter, whether or not that leads, and when the fault ends it grows again."""
        number = self._targets.some_group(random, 2)
        everyone = self._scene.watches[number].members
        wanted = {random.choice(everyone)}

        def ask(core: Raft) -> None:
            if core.membership.voters == wanted and not core.membership.outgoing:
                self._scene.watches[number].ask_to_read(core)
            elif not core.changing_members:
                self._ask_for_voters(number, wanted, core)

        def look() -> None:
            leader = self._targets.leader_of(number)
            if leader is not None:
                leader.asked(number, ask)

        end = self._targets.again_and_again(LOOK_US, look)

        def grow() -> None:
            end()
            leader = self._targets.leader_of(number)
            if leader is not None:
                leader.asked(number, partial(self._ask_for_voters, number, set(everyone)))

        return grow

    def _ask_for_voters(self, number: int, voters: set[int], core: Raft) -> None:
        if self._wiping.mends(number):
            return
        places = {one: pack_address(self._scene.member_addresses[one]) for one in voters}
        others = set(self._scene.watches[number].members) - voters
        with suppress(NotLeader, Busy, ValueError):
            core.change_membership(places, others)
            self._targets.note(f"group {number}: member {core.id} is to make {sorted(voters)} the voters")

    def _members(self, random: Random) -> None:
        """Whoever leads is told to change the members: one goes, comes back, or learns only; several at once, too."""
        for node in self._nodes.values():
            process = node.process
            if process is None:
                continue
            for number, group in process.groups.items():
                if group.core.role is Role.LEADER:
                    process.asked(number, partial(self._change_members, number, random))

    def _hasty_change(self, random: Random) -> Undo:
        """Whoever is elected meanwhile is told to change the members before it has committed anything."""

        def elected(core: Raft) -> None:
            process = self._nodes[core.id].process
            if process is not None:
                number = next(n for n, group in process.groups.items() if group.core is core)
                change = partial(self._change_members, number, random)
                self._scene.events.after(random.randrange(300), process.asked, number, change)

        watches = self._scene.watches.values()
        for watch in watches:
            watch.elected = elected
        self._transfer(random)

        def calm() -> None:
            for watch in watches:
                watch.elected = None

        return calm

    def _change_members(self, number: int, random: Random, core: Raft) -> None:
        if self._wiping.mends(number):
            return
        everyone = self._scene.watches[number].members
        least = min(random.choice((1, 2, 2)), len(everyone))
        voters = random.sample(everyone, random.randint(least, len(everyone)))
        others = [one for one in everyone if one not in voters]
        learners = [one for one in others if random.random() < 0.4]
        places = {one: pack_address(self._scene.member_addresses[one]) for one in everyone}
        try:
            core.change_membership(
                {one: places[one] for one in voters},
                [one for one in others if one not in learners],
                {one: places[one] for one in learners},
            )
        except (NotLeader, InvalidChange):
            return
        except Unreachable:
            self._scene.counts["refused for silence"] += 1
            return
        except Busy:
            if random.random() < 0.3:
                core.abandon_change()
            return
        self._targets.note(
            f"group {number}: member {core.id} is to make {sorted(voters)} voters, {learners} learners"
        )
