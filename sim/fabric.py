"""The switches and the links between them. Every packet passes the compiled raft.p4.

A frame goes from switch to switch in no time, unless a link makes it late; delays lie at its end. After each step the
safety rule is checked: what leaves a switch is what entered it.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Protocol

from controller.desired import Entry, Held, MulticastGroup, Operation, Write
from controller.names import AckFate, ControllerKind, DropReason, EndFate
from controller.program import GONE_DIGEST
from controller.selectors import PROFILE_GROUPS, PROFILE_MEMBERS, PROFILES, SELECT, ProfileGroup, ProfileMember
from hosts.config import Address
from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import Flag
from p4switch.pipeline.entities import EntryAction, Replica
from p4switch.pipeline.entities import Group as Selection
from p4switch.pipeline.native import FLAGS
from p4switch.pipeline.pipeline import Exact, Lpm, Match, MeterRates, Pipeline
from sim.checks.limits import LimitWatch
from sim.frames import PAYLOAD_AT, fold, unpack, unpack_icmp, word_sum
from sim.gathered import Kept, is_gathered
from sim.scene import Scene
from sim.violation import Violation
from topo.lab.configs import CPU_PORT

_STAMP = struct.Struct(">QHH")
_FANOUT, _NO_STEER = int(Flag.FANOUT), int(Flag.NO_STEER)
_ADDRESSES_AT = 26
"""Of IPv4 in a frame."""
_REDIRECTABLE = bytes([MessageType.CLIENT_REQUEST])


@lru_cache(maxsize=4)
def _load(program: Path, optimize: str) -> Pipeline:
    flags = tuple(optimize if flag.startswith("-O") else flag for flag in FLAGS)
    return Pipeline.load(program, flags=flags)


class SimSwitch:
    """One switch. A restart loses tables, registers and counters."""

    def __init__(self, name: str, number: int, template: Pipeline, counts: Counter[str]) -> None:
        self.name = name
        self.number = number
        self.life = 0
        self.up = False
        self.started_us = 0
        self.held: dict[object, tuple[Held, int]] = {}
        """What the tables hold: key -> entry and handle. A multicast group has no handle, but its own number."""
        self.left = 0
        """Packets that have left it so far, in all its lives."""
        self.changes = 0
        """Updates of its tables so far, in all its lives."""
        self.metered = 0
        """How often a meter was set: it is full then."""
        self.refused = 0
        """Packets that the guard has dropped in this life, as last looked at."""
        self.kept = Kept()
        self._template = template
        self._counts = counts
        self._tables = {one.rsplit(".", 1)[-1]: one for one in template.program.tables}
        self._actions = {one.name.rsplit(".", 1)[-1]: one.name for one in template.program.actions.values()}
        self.pipeline = self._new()
        self._drops = self._counter("drops")

    def _new(self) -> Pipeline:
        return Pipeline(self._template.program, self._template.built)

    def start(self, now_us: int) -> None:
        """Come up with nothing in the tables."""
        self.up, self.started_us = True, now_us
        self.life += 1

    def stop(self) -> None:
        """Forget everything."""
        self.up = False
        self.collect()
        self.pipeline.close()
        self.pipeline = self._new()
        self.held = {}
        self.refused = 0
        self.kept = Kept()

    def refused_members(self) -> int:
        """Packets that the guard has dropped."""
        return self.pipeline.counter(self._drops, DropReason.NOT_MEMBER)[0]

    def over_limits(self) -> int:
        """Packets that were dropped for a limit, in this life."""
        return self.pipeline.counter(self._drops, DropReason.OVER_LIMIT)[0]

    def collect(self) -> None:
        """Add the program's counters to the run's."""
        for reason, (packets, _) in enumerate(self.pipeline.counters(self._drops)):
            if packets:
                text = DropReason(reason).name.lower() if reason < len(DropReason) else f"reason {reason}"
                self._counts[f"dropped: {text}"] += packets
        for fate, (packets, _) in enumerate(self.pipeline.counters(self._counter("ends"))):
            if packets:
                self._counts[f"ends: {EndFate(fate).name.lower()}"] += packets
        for fate, (packets, _) in enumerate(self.pipeline.counters(self._counter("acknowledgements"))):
            if packets:
                self._counts[f"acknowledgements at switches: {AckFate(fate).name.lower()}"] += packets
        for counter in ("redirects", "copies"):
            self._counts[counter] += sum(packets for packets, _ in self.pipeline.counters(self._counter(counter)))

    def _counter(self, alias: str) -> str:
        return next(name for name in self.pipeline.program.counters if name.rsplit(".", 1)[-1] == alias)

    def entries(self) -> tuple[Held, ...]:
        """What a controller reads back."""
        return tuple(entry for entry, _ in self.held.values())

    def write(self, write: Write) -> None:
        """Carry out one update. KeyError where an entry is not as the controller believes."""
        self.changes += 1
        entry = write.entry
        if isinstance(entry, MulticastGroup):
            self._write_group(write.operation, entry)
            return
        if isinstance(entry, ProfileMember | ProfileGroup):
            self._write_profile(write.operation, entry)
            return
        table = self._tables[entry.table]
        action: EntryAction = f"{table.rsplit('.', 1)[0]}.{entry.action}"
        params = [value for _, value in entry.params]
        if entry.action == SELECT:
            action = Selection(self._handle_of(PROFILE_GROUPS, PROFILES[entry.table], params.pop()))
        if write.operation is Operation.INSERT:
            if entry.key in self.held:
                raise KeyError(entry)
            handle = self.pipeline.insert(table, [_match(value) for _, value in entry.match], action, params)
            self.held[entry.key] = entry, handle
            self._write_meter(table, handle, entry)
            return
        _, handle = self.held[entry.key]
        if write.operation is Operation.MODIFY:
            self.pipeline.modify(table, handle, action, params)
            self.held[entry.key] = entry, handle
        else:
            self.pipeline.delete(table, handle)
            del self.held[entry.key]
            return
        self._write_meter(table, handle, entry)

    def _write_meter(self, table: str, handle: int, entry: Entry) -> None:
        """An update without a meter takes the entry's away, as P4Runtime has it."""
        if self.pipeline.program.tables[table].direct_meter:
            held = entry.meter
            rates = None if held is None else MeterRates(held.per_second, held.burst, held.per_second, held.burst)
            self.pipeline.set_entry_meter(table, handle, rates)
            self.metered += 1

    def _write_group(self, operation: Operation, group: MulticastGroup) -> None:
        if (group.key in self.held) is (operation is Operation.INSERT):
            raise KeyError(group)
        if operation is Operation.DELETE:
            self.pipeline.delete_multicast_group(group.id)
            del self.held[group.key]
        else:
            self.pipeline.set_multicast_group(group.id, [Replica(port, at) for port, at in group.replicas])
            self.held[group.key] = group, group.id

    def _write_profile(self, operation: Operation, held: ProfileMember | ProfileGroup) -> None:
        if (held.key in self.held) is (operation is Operation.INSERT):
            raise KeyError(held)
        pipeline, profile = self.pipeline, held.profile
        handle = self.held[held.key][1] if held.key in self.held else 0
        is_group = isinstance(held, ProfileGroup)
        if operation is Operation.DELETE:
            (pipeline.delete_group if is_group else pipeline.delete_member)(profile, handle)
            del self.held[held.key]
            return
        if isinstance(held, ProfileGroup):
            members = [self._handle_of(PROFILE_MEMBERS, profile, member) for member in held.members]
            if operation is Operation.INSERT:
                handle = pipeline.add_group(profile, members)
            else:
                pipeline.set_group(profile, handle, members)
        else:
            action, params = self._actions[held.action], [value for _, value in held.params]
            if operation is Operation.INSERT:
                handle = pipeline.add_member(profile, action, params)
            else:
                pipeline.modify_member(profile, handle, action, params)
        self.held[held.key] = held, handle

    def _handle_of(self, kind: str, profile: str, number: int) -> int:
        return self.held[f"{kind}.{profile}", (("id", number),)][1]

    def packets_of(self, entry: Entry) -> int:
        """How many packets have hit an entry."""
        return self.pipeline.entry_counter(self._tables[entry.table], self.held[entry.key][1])[0]


def _match(value: int | tuple[int, int]) -> Match:
    return Exact(value) if isinstance(value, int) else Lpm(*value)


class Listener(Protocol):
    """Who hears what switches tell their controller."""

    def packet_in(self, switch: SimSwitch, frame: bytes) -> None:
        """A frame for the CPU port."""

    def digest(self, switch: SimSwitch, name: str, fields: tuple[int, ...]) -> None:
        """A digest, by the name of its struct."""


class Fabric:
    """All switches and links of the topology."""

    def __init__(self, scene: Scene, program: Path, optimize: str, to_host: Callable[[str, bytes], None]) -> None:
        """``to_host`` takes a frame that leaves the last switch for a host."""
        self.listener: Listener | None = None
        self._to_host = to_host
        self._scene = scene
        self._events = scene.events
        topology = scene.plan.topology
        template = _load(program, optimize)
        self.switches = {
            switch.name: SimSwitch(switch.name, number, template, scene.counts)
            for number, switch in enumerate(topology.switches)
        }
        self._ports: dict[tuple[str, int], tuple[str, int]] = {}
        for link in topology.links:
            self._ports[link.a, link.a_port] = link.b, link.b_port
            self._ports[link.b, link.b_port] = link.a, link.a_port
        self._hosts = {(host.switch, host.port): host.name for host in topology.hosts}
        self._edges = {host.name: (host.switch, host.port) for host in topology.hosts}
        self.cut: Counter[tuple[str, int]] = Counter()
        """Directions of links that lose everything, by sending end."""
        self.gathered: deque[tuple[str, Address, bytes]] = deque(maxlen=50)
        """The latest packets with several members' acknowledgements: the leader's host, their carrier's address, and
        the datagram."""
        self.late_links = 0.0
        self.limits: LimitWatch | None = None
        """Who looks at what limits drop."""
        self._random = Random(f"fabric/{scene.plan.seed}")

    def from_host(self, host: str, frame: bytes, hostile: bool) -> None:
        """A frame enters at a host's port. The guard must let pass what members themselves send."""
        switch, port = self._edges[host]
        one = self.switches[switch]
        before, over = one.left, one.over_limits() if one.up and self.limits is not None else 0
        self.enter(switch, port, frame)
        if self.limits is not None and one.up:
            dropped = one.over_limits() > over
            if dropped or one.left > before:
                self.limits.look(host, frame, self._events.now, (one.life, one.metered), dropped=dropped)
        if one.left == before and one.up:
            refused = one.refused_members()
            if refused != one.refused and not hostile and self._never_changed(frame):
                raise Violation("the guard knows members", f"{switch} drops {host}'s own: {frame.hex()}")
            one.refused = refused

    def _never_changed(self, frame: bytes) -> bool:
        """Whether a message's group still has the members of its birth."""
        watch = self._scene.watches.get(int.from_bytes(frame[PAYLOAD_AT + 6 : PAYLOAD_AT + 8], "big"))
        return watch is not None and watch.configuration is None

    def enter(self, switch: str, port: int, frame: bytes) -> None:
        """A frame enters a switch, and goes on from there."""
        todo = [(switch, port, frame)]
        now = self._events.now
        observer = self._scene.observer
        while todo:
            name, port, frame = todo.pop()
            one = self.switches[name]
            if not one.up:
                self._scene.counts["met a dead switch"] += 1
                self._lose(name, "the switch is down")
                continue
            if observer is None:
                output = one.pipeline.step(port, frame, now - one.started_us)
            else:
                output = observer.step(one, port, frame, now - one.started_us)
            one.left += len(output.packets)
            if not output.packets:
                one.kept.came_and_stayed(frame)
            elif port != CPU_PORT and is_gathered(frame[PAYLOAD_AT:]):
                self._fail(one, "let GATHERED in", frame, output.packets[0][1])
            for egress, left in output.packets:
                if egress == CPU_PORT:
                    if self.listener is not None:
                        self.listener.packet_in(one, left)
                    continue
                host = self._hosts.get((name, egress))
                if port != CPU_PORT and left[_ADDRESSES_AT:] != frame[_ADDRESSES_AT:]:
                    if is_gathered(left[PAYLOAD_AT:]):
                        self._check_gathered(one, host, frame, left)
                    else:
                        self._check_unforged(one, port, frame, left)
                if host is not None:
                    self._to_host(host, left)
                else:
                    end = self._over_link(name, egress, left)
                    if end is not None:
                        todo.append((*end, left))
            for digest, fields in output.digests:
                self._scene.trace.add(_STAMP.pack(now, one.number, 0), repr(fields).encode())
                if digest == GONE_DIGEST:
                    self._check_own_word(one, port, frame, *fields)
                else:
                    self._check_learned(one, *fields)
                if self.listener is not None:
                    self.listener.digest(one, digest, fields)

    def _over_link(self, switch: str, port: int, frame: bytes) -> tuple[str, int] | None:
        """A frame leaves for another switch: where it enters now, if it does."""
        end = self._ports.get((switch, port))
        if end is None or self.cut.get((switch, port)):
            self._scene.counts["lost on a cut link"] += 1
            self._lose(switch, "the link is cut" if end else "no such port")
            return None
        if self.late_links and self._random.random() < self.late_links:
            if self._scene.observer is not None:
                self._scene.observer.late_on_link(*end, frame)
            self._events.after(self._random.randrange(30_000), self.enter, *end, frame)
            return None
        return end

    def _lose(self, where: str, why: str) -> None:
        if self._scene.observer is not None:
            self._scene.observer.lost(where, why)

    def _check_learned(self, one: SimSwitch, group: int, slot: int, leader: int, term: int) -> None:
        """Only who leads is learned: what a candidate or a stranger says must not mute the live leader."""
        watch = self._scene.watches.get(group)
        led = watch is not None and watch.leaders.get(term) == leader
        if self._scene.guarded and not led and term != self._scene.plan.earlier_term:
            raise Violation("only leaders are learned", f"{one.name} slot {slot}: {leader} in term {term} of {group}")

    def _check_own_word(self, one: SimSwitch, port: int, frame: bytes, address: int) -> None:
        """Only a host itself says, at its own port, that nobody listens there to Raft's port."""
        host = self._hosts.get((one.name, port))
        icmp = unpack_icmp(frame)
        plan = self._scene.plan
        own = None if host is None else str(plan.topology.host(host).ip)
        told = str(IPv4Address(address))
        if icmp is None or own != told or (icmp.source, icmp.about[1]) != (told, (told, plan.topology.port)):
            raise Violation("only a host says that it is deserted", f"{one.name} port {port}: {frame.hex()}")

    def tick(self, one: SimSwitch, slot: int) -> None:
        """The controller's question for a slot's registers."""
        self.enter(one.name, CPU_PORT, _packet_out(0, ControllerKind.REGISTERS, slot))

    def send_frame(self, one: SimSwitch, port: int, frame: bytes) -> None:
        """The controller sends a frame out of a port."""
        self.enter(one.name, CPU_PORT, _packet_out(port, ControllerKind.FRAME, 0) + frame)

    def _check_unforged(self, one: SimSwitch, port: int, entered: bytes, left: bytes) -> None:
        """Header and payload of Raft as they came; addresses too, but for client requests that may be steered, and
        copies for one member. What has changed in neither need not be looked at."""
        copied = _is_copy(entered, left)
        if left[PAYLOAD_AT:] != entered[PAYLOAD_AT:] and not copied:
            self._fail(one, "changed a Raft header or payload", entered, left)
        if left[_ADDRESSES_AT:PAYLOAD_AT] == entered[_ADDRESSES_AT:PAYLOAD_AT]:
            return
        redirectable = entered[PAYLOAD_AT + 1 : PAYLOAD_AT + 2] == _REDIRECTABLE
        if not copied and (not redirectable or entered[PAYLOAD_AT + 2] & _NO_STEER):
            self._fail(one, "redirected what it may not", entered, left)
        if not copied and (one.name, port) in self._ports:
            self._fail(one, "redirected what had entered elsewhere", entered, left)
        if left[26:30] != entered[26:30] or left[34:36] != entered[34:36]:
            self._fail(one, "changed the sender's address", entered, left)
        if left[40:42] != b"\0\0":
            length = len(left) - 34
            if fold(word_sum(left[26:34]) + 17 + length + word_sum(left[34:])) != 0xFFFF:
                self._fail(one, "spoiled the UDP checksum", entered, left)

    def _check_gathered(self, one: SimSwitch, host: str | None, entered: bytes, left: bytes) -> None:
        """Each acknowledgement that a packet carries is as its member has sent it, and is carried once, to the leader
        whom it is for. Addresses are as they came."""
        fault = one.kept.fault(entered, left)
        if fault:
            self._fail(one, fault, entered, left)
        found = unpack(left)
        if left[_ADDRESSES_AT : PAYLOAD_AT - 4] != entered[_ADDRESSES_AT : PAYLOAD_AT - 4] or found is None:
            self._fail(one, "changed an address or spoiled the UDP checksum", entered, left)
            return
        source, target, datagram = found
        if host is None or str(self._scene.plan.topology.host(host).ip) != target[0]:
            self._fail(one, "carries what is not for a host of its own", entered, left)
            return
        self.gathered.append((host, source, datagram))

    def _fail(self, one: SimSwitch, text: str, entered: bytes, left: bytes) -> None:
        raise Violation("nothing is forged", f"{one.name} {text}: {entered.hex()} became {left.hex()}")


def _is_copy(entered: bytes, left: bytes) -> bool:
    """Whether an AppendEntries with FANOUT to everybody has become one member's, other than the sender's, and differs
    in nothing but its target."""
    was, now = entered[PAYLOAD_AT:], left[PAYLOAD_AT:]
    fanout = len(was) > 4 and was[1] == MessageType.APPEND_ENTRIES and was[2] & _FANOUT and was[4] == EVERYBODY
    if not fanout or len(was) != len(now) or now[4] in (0, was[3], EVERYBODY):
        return False
    return now[:4] == was[:4] and now[5:] == was[5:]


def _packet_out(egress_port: int, kind: int, slot: int) -> bytes:
    return (egress_port << 7 | kind).to_bytes(2, "big") + bytes([slot])
