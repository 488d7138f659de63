"""What befalls the cluster, as the plan has drawn it, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import cycle
from random import Random

from controller.desired import Entry, Operation, Write
from hosts.addresses import pack_address
from hosts.net.path import BASE
from hosts.raft.core import Busy, InvalidChange, NotLeader, Raft, Role, Unreachable
from sim.control_plane import ControlPlane
from sim.events import MS, SECOND
from sim.fabric import Fabric, SimSwitch
from sim.faults.false_word import FalseWord
from sim.faults.wiping import Wiping
from sim.network import Network
from sim.node import Node, Process
from sim.plan import DRAWN_APART, SENT_BY_LEADERS, Fault, Kind
from sim.scene import Scene

Undo = Callable[[], None]

LOOK_US = 20 * MS
READ_EVERY = 64


class Nemesis:
    """Begins faults and ends them. Several may last at the same time; ``heal`` ends all that is left."""

    def __init__(
        self,
        scene: Scene,
        nodes: Mapping[int, Node],
        network: Network,
        fabric: Fabric | None,
        control: ControlPlane,
    ) -> None:
        self._scene = scene
        self._nodes = nodes
        self._network = network
        self._fabric = fabric
        self._control = control
        self.wiping = Wiping(scene, nodes)
        self._open: list[Undo] = []
        self._healed = False
        self._looks = 0
        self._begin = {
            Kind.POWER_LOSS: self._power_loss,
            Kind.KILL: self._kill,
            Kind.PAUSE: self._pause,
            Kind.DISK_ERROR: self._disk_error,
            Kind.FULL_DISK: self._full_disk,
            Kind.SLOW_DISK: self._slow_disk,
            Kind.ISOLATE: self._isolate,
            Kind.ONE_WAY: self._one_way,
            Kind.HEARS_LATE: self._hears_late,
            Kind.HALVES: self._halves,
            Kind.LOSS: self._loss,
            Kind.DUPLICATION: self._duplication,
            Kind.DELAY: self._delay,
            Kind.MISDELIVERY: self._misdelivery,
            Kind.REPLAY: self._replay,
            Kind.TRANSFER: self._transfer,
            Kind.MEMBERS: self._members,
            Kind.HASTY_CHANGE: self._hasty_change,
            Kind.ALONE: self._alone,
            Kind.ABSENT_LEARNER: self._absent_learner,
            Kind.ABSENT_SUCCESSORS: self._absent_successors,
            Kind.WIPE: self.wiping.strike,
            Kind.LINK: self._link,
            Kind.SWITCH: self._switch,
            Kind.CONTROLLER: self._controller,
            Kind.TAKEOVER: self._takeover,
            Kind.FOREIGN_WRITE: self._foreign_write,
            Kind.SLOW_CONTROLLER: self._slow_controller,
            Kind.LOST_DIGESTS: self._lost_digests,
            Kind.FEATURE: self._feature,
            Kind.PATH: self._path,
            Kind.FALSE_WORD: self._false_word,
        }

    def plan_all(self) -> None:
        """Put the plan's faults among the events."""
        for fault in self._scene.plan.faults:
            self._scene.events.at(fault.at_us, self._strike, fault)
        self._scene.events.after(SECOND, self._read)

    def _strike(self, fault: Fault) -> None:
        if self._healed:
            return
        self._scene.counts["faults"] += 1
        self._scene.counts[f"fault: {fault.kind.value}"] += 1
        random = Random(fault.draw)
        undo = self._begin[fault.kind](random)
        observer = self._scene.observer
        number = observer.strikes(fault) if observer is not None else 0
        if undo is None:
            return

        def end() -> None:
            if undo in self._open:
                self._open.remove(undo)
                undo()
                if observer is not None:
                    observer.healed(number)

        self._open.append(undo)
        self._scene.events.after(fault.lasts_us, end)

    def heal(self) -> None:
        """All faults end, everything that is down starts, and nothing happens any more."""
        self._healed = True
        self._scene.note("faults", "all end")
        while self._open:
            self._open.pop()()
        self._network.conditions.end()
        self._network.changed()
        for node in self._nodes.values():
            node.disk_us = self._scene.plan.disk_us
            node.start()
        for switch in self._switches():
            if not switch.up:
                switch.start(self._scene.events.now)
        if self._fabric is not None:
            self._fabric.cut.clear()
            self._fabric.late_links = 0.0
        self._control.start_controller()

    def _switches(self) -> list[SimSwitch]:
        return list(self._fabric.switches.values()) if self._fabric is not None else []

    def _note(self, text: str) -> None:
        self._scene.note("faults", text)

    # -- whom -----------------------------------------------------------------------------------------------------

    def _victim(self, random: Random) -> Node:
        """Often a leader: there it hurts."""
        nodes = list(self._nodes.values())
        leaders = [
            node
            for node in nodes
            if node.process and any(group.core.role is Role.LEADER for group in node.process.groups.values())
        ]
        return random.choice(leaders if leaders and random.random() < 0.5 else nodes)

    # -- members --------------------------------------------------------------------------------------------------

    def _crash(self, random: Random, *, power: bool) -> Undo:
        nodes = list(self._nodes.values())
        chosen = nodes if random.random() < 0.1 else [self._victim(random)]
        while_writing = random.random() < 0.6

        def strike(node: Node) -> None:
            node.crash(power=power, random=random)

        for node in chosen:
            if while_writing and node.process is not None and not node.process.writing:
                node.doom = partial(strike, node)
            else:
                strike(node)

        def restart() -> None:
            for node in chosen:
                node.doom = None
                node.start()

        return restart

    def _power_loss(self, random: Random) -> Undo:
        return self._crash(random, power=True)

    def _kill(self, random: Random) -> Undo:
        return self._crash(random, power=False)

    def _pause(self, random: Random) -> Undo | None:
        process = self._victim(random).process
        if process is None:
            return None
        self._note(f"{process.node.host} is paused")
        process.pause()
        return process.resume

    def _disk_error(self, random: Random) -> Undo:
        node = self._victim(random)
        self._note(f"{node.host}'s disk fails")
        for disk in node.disks.values():
            disk.broken = True

        def repair() -> None:
            for disk in node.disks.values():
                disk.broken = False
            node.start()

        return repair

    def _full_disk(self, random: Random) -> Undo:
        """No room any more, or a little. What segments have taken already is theirs."""
        node = self._victim(random)
        left = random.choice((0, 300, 3_000))
        self._note(f"{node.host}'s disk has {left} bytes left")
        for disk in node.disks.values():
            disk.capacity = disk.used + left

        def make_room() -> None:
            for disk in node.disks.values():
                disk.capacity = None
            node.start()

        return make_room

    def _slow_disk(self, random: Random) -> Undo:
        node = self._victim(random)
        before, node.disk_us = node.disk_us, random.choice((5, 30, 200, 1000)) * MS
        self._note(f"{node.host}'s disk takes {node.disk_us // MS} ms")

        def recover() -> None:
            node.disk_us = before

        return recover

    def _transfer(self, random: Random) -> None:
        process = self._victim(random).process
        if process is None:
            return
        for number in process.groups:
            process.asked(number, partial(self._hand_over, number, random))

    def _hand_over(self, number: int, random: Random, core: Raft) -> None:
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
            self._note(f"group {number}: member {core.id} hands over to member {successor}")

    def _while(self, every_us: int, look: Callable[[], None]) -> Undo:
        """Have something looked at again and again, at once at first, until the fault ends."""
        going = True

        def again() -> None:
            if going:
                look()
                self._scene.events.after(every_us, again)

        def end() -> None:
            nonlocal going
            going = False

        again()
        return end

    def _leader_of(self, number: int) -> Process | None:
        """The process that leads the group in its highest term."""
        leading = [
            (node.process.groups[number].core.current_term, node.member, node.process)
            for node in self._nodes.values()
            if node.process is not None
            and number in node.process.groups
            and node.process.groups[number].core.role is Role.LEADER
        ]
        return max(leading, key=lambda one: one[:2])[2] if leading else None

    def _some_group(self, random: Random, least: int) -> int:
        """A group that was born with so many members at least: the first one was."""
        return random.choice([n for n, watch in self._scene.watches.items() if len(watch.members) >= least])

    def _absent_successors(self, random: Random) -> Undo | None:
        """As many members as a quorum can do without fall silent, and the leader is told to hand over to one after
        the other, faster than an election timeout."""
        number = self._some_group(random, 3)
        leader = self._leader_of(number)
        if leader is None:
            return None
        core = leader.groups[number].core
        others = sorted(core.membership.voters - {core.id})
        absent = [self._nodes[one] for one in random.sample(others, len(others) // 2)]
        if not absent:
            return None
        undo = self._silence(absent)
        self._note(f"group {number}: leadership is offered to {[node.member for node in absent]} in turn")
        turn = cycle([node.member for node in absent])

        def offer() -> None:
            leader.asked(number, partial(self._offer, number, next(turn)))

        end = self._while(random.choice((3, 8)) * 10 * MS, offer)

        def recover() -> None:
            end()
            undo()

        return recover

    def _silence(self, nodes: list[Node]) -> Undo:
        """Pause these."""
        paused = [node.process for node in nodes if node.process is not None]
        for process in paused:
            process.pause()

        def resume() -> None:
            for process in paused:
                process.resume()

        return resume

    def _absent_learner(self, random: Random) -> Undo | None:
        """A member becomes a learner; as soon as it holds everything it falls silent, and just then it is to vote."""
        number = self._some_group(random, 2)
        node = self._nodes[random.choice(self._scene.watches[number].members)]
        place = {node.member: pack_address(node.address)}
        silenced: list[Undo] = []

        def ask(core: Raft) -> None:
            membership = core.membership
            if self.wiping.mends(number):
                return
            if core.role is not Role.LEADER or core.id == node.member or core.changing_members or silenced:
                return
            with suppress(Busy, ValueError):
                if node.member not in membership.learners:
                    core.change_membership(learners=place)
                elif core.status()["progress"][str(node.member)]["match_index"] == core.last_index:
                    silenced.append(self._silence([node]))
                    self._note(f"group {number}: learner {node.member} falls silent, and is to vote")
                    core.change_membership(add=place)
                    self._scene.counts["absent learners"] += 1

        def look() -> None:
            leader = self._leader_of(number)
            if leader is not None:
                leader.asked(number, ask)

        end = self._while(LOOK_US, look)

        def recover() -> None:
            end()
            for undo in silenced:
                undo()

        return recover

    def _alone(self, random: Random) -> Undo:
        """A group shrinks to one voter, whether or not that leads, and when the fault ends it grows again."""
        number = self._some_group(random, 2)
        everyone = self._scene.watches[number].members
        wanted = {random.choice(everyone)}

        def ask(core: Raft) -> None:
            if core.membership.voters == wanted and not core.membership.outgoing:
                self._scene.watches[number].ask_to_read(core)
            elif not core.changing_members:
                self._ask_for_voters(number, wanted, core)

        def look() -> None:
            leader = self._leader_of(number)
            if leader is not None:
                leader.asked(number, ask)

        end = self._while(LOOK_US, look)

        def grow() -> None:
            end()
            leader = self._leader_of(number)
            if leader is not None:
                leader.asked(number, partial(self._ask_for_voters, number, set(everyone)))

        return grow

    def _ask_for_voters(self, number: int, voters: set[int], core: Raft) -> None:
        if self.wiping.mends(number):
            return
        places = {one: pack_address(self._scene.member_addresses[one]) for one in voters}
        others = set(self._scene.watches[number].members) - voters
        with suppress(NotLeader, Busy, ValueError):
            core.change_membership(places, others)
            self._note(f"group {number}: member {core.id} is to make {sorted(voters)} the voters")

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
        if self.wiping.mends(number):
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
        self._note(f"group {number}: member {core.id} is to make {sorted(voters)} voters, {learners} learners")

    # -- the network ----------------------------------------------------------------------------------------------

    def _cut(self, pairs: list[tuple[str, str]], random: Random, text: str) -> Undo:
        conditions = self._network.conditions
        conditions.cut_after_switches = random.random() < 0.5
        for pair in pairs:
            conditions.cut[pair] = conditions.cut.get(pair, 0) + 1
        self._note(text)

        def mend() -> None:
            for pair in pairs:
                left = conditions.cut.get(pair, 0) - 1
                if left > 0:
                    conditions.cut[pair] = left
                else:
                    conditions.cut.pop(pair, None)

        return mend

    def _isolate(self, random: Random) -> Undo:
        alone = self._victim(random).host
        # From everyone, or only from the other members: then clients still ask it.
        hosts = [host.name for host in self._scene.plan.topology.hosts]
        others = [one for one in random.choice((hosts, [node.host for node in self._nodes.values()])) if one != alone]
        pairs = [(alone, other) for other in others] + [(other, alone) for other in others]
        look = self._leads_no_more(alone)
        mend = self._cut(pairs, random, f"{alone} is cut off from {', '.join(others)}")

        def look_and_mend() -> None:
            look()
            mend()

        return look_and_mend

    def _leads_no_more(self, host: str) -> Undo:
        """A check for the end of a cut: whoever hears no quorum for an election timeout of its clock steps down."""
        process = next(node.process for node in self._nodes.values() if node.host == host)
        if process is None:
            return lambda: None
        began = process.ticks
        terms = {
            number: group.core.current_term
            for number, group in process.groups.items()
            if group.core.role is Role.LEADER
        }

        def look() -> None:
            passed = process.ticks - began
            for number, term in terms.items() if process.alive else ():
                core = process.groups[number].core
                leads = core.role is Role.LEADER and core.current_term == term
                if leads and not core.membership.is_quorum({core.id}) and passed > core.config.election_timeout_ticks:
                    self._scene.watches[number].fail(
                        "check-quorum", f"member {core.id} leads on in term {term}, cut off for {passed} ticks"
                    )

        return look

    def _hears_late(self, random: Random) -> Undo:
        """A leader hears the others late: answers of long ago arrive while others elect, or have been told to take
        over. Perhaps they do not hear it at all."""
        alone = self._victim(random)
        others = [node.host for node in self._nodes.values() if node is not alone]
        slow = self._network.conditions.slow
        if any(host == alone.host for _, host in slow):
            return lambda: None
        late_us = round(self._scene.plan.election_us * random.uniform(0.3, 1.1))
        for other in others:
            slow[other, alone.host] = late_us
        self._note(f"{alone.host} hears the others {late_us // MS} ms late")
        mend: Undo | None = None
        if random.random() < 0.5:
            process = alone.process
            if process is not None:
                for number in process.groups:
                    process.asked(number, partial(self._hand_over, number, random))
        else:
            mend = self._cut([(alone.host, other) for other in others], random, f"{alone.host} is not heard")

        def recover() -> None:
            for other in others:
                slow.pop((other, alone.host), None)
            if mend is not None:
                mend()

        return recover

    def _one_way(self, random: Random) -> Undo:
        alone = self._victim(random).host
        others = [node.host for node in self._nodes.values() if node.host != alone]
        others = random.sample(others, random.randint(1, len(others)))
        out = random.random() < 0.5
        pairs = [(alone, other) if out else (other, alone) for other in others]
        return self._cut(
            pairs, random, f"{alone} {'is not heard by' if out else 'does not hear'} {', '.join(others)}"
        )

    def _halves(self, random: Random) -> Undo:
        hosts = [host.name for host in self._scene.plan.topology.hosts]
        side = set(random.sample(hosts, len(hosts) // 2))
        pairs = [(a, b) for a in hosts for b in hosts if (a in side) != (b in side)]
        return self._cut(pairs, random, f"{', '.join(sorted(side))} are parted from the rest")

    def _worse(self, name: str, most: float, random: Random, late_us: int = 0) -> Undo:
        network = self._network
        conditions = network.conditions
        more = random.uniform(0.05, most)
        setattr(conditions, name, getattr(conditions, name) + more)
        if late_us:
            conditions.late_us = late_us
        network.changed()
        self._note(f"{name} at {getattr(conditions, name):.2f}")

        def improve() -> None:
            setattr(conditions, name, max(0.0, getattr(conditions, name) - more))
            network.changed()

        return improve

    def _loss(self, random: Random) -> Undo:
        return self._worse("loss", 0.4, random)

    def _duplication(self, random: Random) -> Undo:
        return self._worse("duplicate", 0.5, random)

    def _misdelivery(self, random: Random) -> Undo:
        return self._worse("misdeliver", 0.2, random)

    def _delay(self, random: Random) -> Undo:
        if self._fabric is not None:
            self._fabric.late_links = random.choice((0.0, 0.1, 0.4))
        return self._worse("late", 0.5, random, late_us=random.choice((5, 50, 400, 2000)) * MS)

    def _replay(self, random: Random) -> None:
        """Datagrams of a while ago turn up once more, at their first switch or at their end."""
        network = self._network
        kept = list(network.sent)
        for host, port, target, datagram in random.sample(kept, min(len(kept), 30)):
            self._scene.events.after(random.randrange(200 * MS), network.enter, host, port, target, datagram)
            self._scene.counts["replayed"] += 1

    # -- the switches ---------------------------------------------------------------------------------------------

    def _link(self, random: Random) -> Undo | None:
        fabric = self._fabric
        links = self._scene.plan.topology.links
        if fabric is None or not links:
            return None
        link = random.choice(links)
        ends = [(link.a, link.a_port), (link.b, link.b_port)]
        if random.random() < 0.3:
            ends = [random.choice(ends)]
        fabric.cut.update(ends)
        self._note(f"link {link.a}-{link.b} {'is down' if len(ends) == 2 else f'is deaf from {ends[0][0]}'}")

        def mend() -> None:
            fabric.cut.subtract(ends)

        return mend

    def _switch(self, random: Random) -> Undo:
        switch = random.choice(self._switches())
        down_us = 0 if random.random() < 0.5 else 1
        self._note(f"switch {switch.name} {'goes down' if down_us else 'restarts'}")
        if switch.up:
            switch.stop()
            self._scene.counts["switch restarts"] += 1

        def up() -> None:
            if not switch.up:
                switch.start(self._scene.events.now)

        if not down_us:
            self._scene.events.after(random.randrange(20 * MS, 200 * MS), up)
        return up

    def _controller(self, random: Random) -> Undo:
        """Killed at once, or in the middle of the next update."""
        controller = self._control.controller
        if controller is not None and random.random() < 0.5:
            controller.doomed = True
        else:
            self._control.stop_controller()

        def restart() -> None:
            if controller is not None:
                controller.doomed = False
            self._control.start_controller()

        return restart

    def _takeover(self, _random: Random) -> Undo:
        """The first controller stands by until the second has gone."""
        self._control.start_rival()
        return self._control.stop_rival

    def _foreign_write(self, random: Random) -> Undo | None:
        """Another client of P4Runtime writes a leader of an earlier term into a switch: no controller is told."""
        group = random.choice(self._scene.plan.topology.groups)
        assert self._fabric is not None
        switch = self._fabric.switches[random.choice(sorted(self._fabric.switches))]
        for entry in switch.entries():
            if not isinstance(entry, Entry) or entry.table != "groups":
                continue
            params = dict(entry.params)
            if dict(entry.match)["group"] != group.id or not params["term"]:
                continue
            params.update(leader=random.choice(sorted(group.members)), term=params["term"] - 1)
            switch.write(Write(Operation.MODIFY, replace(entry, params=tuple(params.items()))))
            self._note(f"{switch.name}'s entry of group {group.id} is changed")
        return None

    def _path(self, random: Random) -> Undo:
        """On two ways from a host to another, or on all: larger datagrams than so many bytes are lost from now on."""
        names = [host.name for host in self._scene.plan.topology.hosts]
        takes = self._network.conditions.takes
        pairs = [(one, other) for one in names for other in names if one != other]
        if random.random() < 0.5:
            pairs = random.sample(pairs, 2)
        size = random.choice((BASE, BASE, 1500, 4068))
        takes.update(dict.fromkeys(pairs, size))
        self._note(f"datagrams of more than {size} bytes are lost between {len(pairs)} pairs of hosts")

        def recover() -> None:
            for pair in pairs:
                takes.pop(pair, None)

        return recover

    def _false_word(self, random: Random) -> Undo:
        self._note("somebody forges ICMP from leaders' hosts, and hints")
        forger = FalseWord(self._scene, self._nodes, self._network, random)
        forger.begin()
        return forger.end

    def _slow_controller(self, random: Random) -> Undo:
        self._control.slowness = random.choice((5.0, 30.0, 100.0))
        self._note(f"the controller is {self._control.slowness:.0f} times slower")

        def recover() -> None:
            self._control.slowness = 1.0

        return recover

    def _lost_digests(self, random: Random) -> Undo:
        self._control.digest_loss = random.choice((0.5, 1.0))
        self._note("digests are lost")

        def recover() -> None:
            self._control.digest_loss = 0.0

        return recover

    def _feature(self, random: Random) -> Undo | None:
        """Taken out of all switches at run time, and put back. A controller that starts later has it on."""
        controller = self._control.controller
        names = [name for name in SENT_BY_LEADERS if name != "member_guard"]
        names += [one for one in DRAWN_APART if one in self._scene.plan.features]
        name = random.choice(names)
        if controller is None or name not in controller.decisions.features:
            return None
        self._note(f"{name} is taken away")
        controller.set_feature(name, False)

        def put_back() -> None:
            if controller.alive:
                controller.set_feature(name, True)

        return put_back

    # -- not a fault, but asked at random moments -------------------------------------------------------------------

    def _read(self) -> None:
        """Linearizable reads of the core, now and then; more often while several believe to lead."""
        self._looks += 1
        for number, watch in self._scene.watches.items():
            leaders = []
            for node in self._nodes.values():
                process = node.process
                group = process.groups.get(number) if process is not None else None
                if process is not None and group is not None and group.core.role is Role.LEADER:
                    leaders.append(process)
            if len(leaders) > 1 or self._looks % READ_EVERY == 0:
                for process in leaders:
                    process.asked(number, watch.ask_to_read)
        self._scene.events.after(LOOK_US, self._read)
