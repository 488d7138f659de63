"""Records a simulated run: looks on, and writes what has changed after each simulated event.

The simulator's parts tell a recorder where datagrams enter and leave, and of calls and faults; all else it sees for
itself. A run that is recorded is the same run, with the same hash. docs/recordings.md says what is written.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from controller.names import reason_name
from hosts.client.calls import Call
from hosts.config import Address
from hosts.wire import FIRST_CLIENT_TYPE
from p4switch.pipeline.entities import Output
from p4switch.program_json import load_json
from sim import frames
from sim.events import SECOND
from sim.frames import PAYLOAD_AT, Sender
from sim.last_seen import Json, SeenController, SeenMember, SeenSwitch, cut, explains, operands
from topo.lab.configs import CPU_PORT
from web import network
from web.program import describe
from web.recording import hop_text, patch_of
from web.ways import Ways

if TYPE_CHECKING:
    from sim.client import Client
    from sim.control import SimController
    from sim.fabric import SimSwitch
    from sim.node import Node
    from sim.plan import Fault
    from sim.world import Options, World

COUNTED_EVERY_US = 2 * SECOND
"""Between two looks at the counters, which nearly every packet changes."""

REMEMBERED = 4096
"""Datagrams on their way, or delivered a while ago, that may still arrive."""


class Sink(Protocol):
    """Where events go, such as a ``web.recording.Writer``."""

    def write(self, event: Mapping[str, Any]) -> None: ...


class Recorder:
    """Observes one run. It is attached to a world before that runs."""

    def __init__(self, world: World, options: Options) -> None:
        """Raises what loading the program's traced build raises."""
        self.world = world
        self._events = world.events
        topology = world.plan.topology
        self._senders = {h.name: Sender(str(h.ip), h.mac, h.gateway_mac) for h in topology.hosts}
        self._hosts = {str(host.ip): host.name for host in topology.hosts}
        self._messages = _Messages()
        self._hops: list[str] = []
        self._hop_of = 0
        self._last_heard: dict[str, tuple[int, int]] = {}
        """Of each host the latest message that has reached it, and its type."""
        self._members = {
            (node.host, number): SeenMember(node, number) for node in world.nodes.values() for number in node.disks
        }
        self._controllers = {"controller": SeenController(), "another controller": SeenController()}
        self._calls: dict[Call, int] = {}
        self._faults = 0
        self._written: list[Json] = []
        self._sink: Sink | None = None
        self._ways: Ways | None = None
        self._switches: dict[str, SeenSwitch] = {}
        self._counted_at = 0
        if world.fabric is not None:
            one = next(iter(world.fabric.switches.values()))
            self._ways = Ways(one.pipeline, load_json(options.program), self._tell_way)
            slots = [group.slot for group in topology.groups]
            self._switches = {name: SeenSwitch(switch, slots) for name, switch in world.fabric.switches.items()}

    def header(self) -> Json:
        """The recording's first line."""
        plan, topology = self.world.plan, self.world.plan.topology
        return {
            "title": f"Seed {plan.seed}: {len(topology.members)} members, "
            + (f"{topology.name}, {len(topology.switches)} switches" if plan.switches else "a plain network"),
            "source": "simulator",
            "seed": plan.seed,
            "plan": plan.describe(),
            "network": network.describe(topology, switches=plan.switches),
            "program": None if self._ways is None else describe(self._ways.program, self._ways.tracer.places),
        }

    def attach(self, sink: Sink) -> None:
        """Begin to observe, and write to ``sink``."""
        self._sink = sink
        world = self.world
        world.events.watch = self.look
        world.scene.observer = self
        self.look()

    def end(self, failure: str, rule: str, digest: str) -> None:
        """The run is over."""
        self.look()
        if failure:
            self._write("broken", rule=rule or "no exception", text=failure.removeprefix(f"{rule}: "))
        self._write("end", text=f"broken: {rule}" if failure else "every promise was kept", hash=digest)

    def _write(self, kind: str, **fields: Any) -> None:
        if self._hops:
            self._flush()
        self._put({"t": self._events.now, "k": kind, **fields})

    def _put(self, event: Json) -> None:
        assert self._sink is not None
        self._sink.write(event)

    def _tell_way(self, way: int, steps: list[Any]) -> None:
        self._put({"t": self._events.now, "k": "way", "id": way, "steps": steps})

    # -- messages ---------------------------------------------------------------------------------------------------

    def sent(self, host: str, port: int, target: Address, datagram: bytes) -> None:
        """A datagram leaves a host's interface."""
        checksum = len(datagram) > 1 and datagram[1] >= FIRST_CLIENT_TYPE
        frame = frames.pack(self._senders[host], port, target, datagram, checksum=checksum)
        self._begin(host, frame, hostile=False)

    def sent_raw(self, host: str, frame: bytes) -> None:
        """A host sends bytes that need not be a datagram."""
        self._begin(host, frame, hostile=True)

    def _begin(self, host: str, frame: bytes, *, hostile: bool) -> None:
        m, again = self._messages.begin(frame)
        to = self._hosts.get(".".join(map(str, frame[30:34]))) if len(frame) >= PAYLOAD_AT else None
        self._messages.meant[m] = to
        flags: Json = {}
        if to is not None:
            flags["to"] = to
        if again:
            flags["again"] = True
        if hostile:
            flags["hostile"] = True
        self._write("sent", m=m, who=host, **flags, frame=frame.hex())

    def step(self, one: SimSwitch, port: int, frame: bytes, now_us: int) -> Output:
        """A frame goes through a switch."""
        assert self._ways is not None
        self._switches[one.name].touched = True
        if port == CPU_PORT:
            return one.pipeline.step(port, frame, now_us)
        m = self._messages.at_link.pop((one.name, port, frame), self._messages.current)
        version = one.name, one.life, one.changes
        registers = self._switches[one.name].told_registers()
        output, way, numbers, reason = self._ways.step(one.pipeline, version, port, frame, now_us, registers)
        sent = self._messages.frame(m)
        if sent is None:
            return output  # the controller's own probe
        if self._hop_of != m and self._hops:
            self._flush()
        self._hop_of = m
        self._messages.current = m
        self._hops.append(hop_text(one.name, port, way, patch_of(sent, frame), numbers))
        if not output.packets:
            self._write("dropped", m=m, who=one.name, why=reason_name(reason))
        return output

    def _flush(self) -> None:
        hops, self._hops = self._hops, []
        self._put({"t": self._events.now, "k": "passed", "m": self._hop_of, "hops": hops})

    def late_on_link(self, switch: str, port: int, frame: bytes) -> None:
        """A frame will enter a switch later."""
        if self._messages.current:
            self._messages.at_link[switch, port, frame] = self._messages.current

    def lost(self, where: str, why: str) -> None:
        """The present datagram, or a copy of it, ends."""
        if self._messages.current:
            self._write("dropped", m=self._messages.current, who=where, why=why)

    def leaving(self, source: Address, datagram: bytes) -> None:
        """The present datagram will arrive at a host, or not."""
        self._messages.leaves(source, datagram)

    def received(self, host: str, port: int, source: Address, datagram: bytes) -> None:
        """A datagram arrives at a host."""
        m = self._messages.arrives(source, datagram)
        if not m:
            return
        meant = self._messages.meant.get(m)
        node = self._members_by_host.get(host)
        if node is not None and port == self.world.plan.topology.port and node.process is None:
            self._write("dropped", m=m, who=host, why="its process is down")
            return
        flags: Json = {}
        if host in self._messages.received[m]:
            flags["copy"] = True
        if meant is not None and meant != host:
            flags["astray"] = True
        self._messages.received[m].add(host)
        self._last_heard[host] = m, datagram[1] if len(datagram) > 1 else 0
        self._write("received", m=m, who=host, **flags)

    @property
    def _members_by_host(self) -> dict[str, Node]:
        return {one.node.host: one.node for one in self._members.values()}

    # -- what is told -----------------------------------------------------------------------------------------------

    def note(self, who: str, text: str) -> None:
        """Somebody has written a line."""
        if who == "controller":
            self._write("controller", who=who, text=text)
        elif text:
            self._write("note", who=who, text=text)

    def called(self, client: Client, call: Call) -> None:
        """A client asks for something."""
        self._calls[call] = number = len(self._calls) + 1
        request = call.request
        key, value = operands(request)
        self._write(
            "call",
            who=client.name,
            call=number,
            host=client.host,
            port=client.port,
            group=client.group,
            operation=request.operation.name.lower(),
            key=key,
            value=value,
        )

    def answered(self, client: Client, call: Call) -> None:
        """A call has a reply, or is given up."""
        number = self._calls.get(call)
        if number is None:
            return
        if call.reply is None:
            outcome = str(call.failure) or type(call.failure).__name__
        else:
            outcome = call.reply.outcome.name.lower()
        self._write(
            "answer",
            who=client.name,
            call=number,
            outcome=outcome,
            value="" if call.value is None else cut(str(call.value)),
            session=call.session,
            sequence=call.sequence,
        )

    def strikes(self, fault: Fault) -> int:
        """A fault begins; its number."""
        self._faults += 1
        self._write("fault", fault=self._faults, what=fault.kind.value, us=fault.lasts_us)
        return self._faults

    def healed(self, fault: int) -> None:
        """A fault is over."""
        self._write("healed", fault=fault)

    # -- what is seen -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Write what has changed since the last look."""
        if self._hops:
            self._flush()
        self._messages.current = 0
        for (host, number), member in self._members.items():
            now = member.signature()
            if now != member.seen:
                member.seen = now
                self._member_changed(host, number, member)
        if self.world.fabric is not None:
            self._look_at_switches()
            self._look_at("controller", self.world.control.controller)
            self._look_at("another controller", self.world.control.rival)

    def _member_changed(self, host: str, number: int, member: SeenMember) -> None:
        log = member.log_changes()
        if log is not None:
            self._write("log", who=host, group=number, at=log[0], entries=log[1])
        changed = member.changes()
        if changed.get("timer"):
            since, length = changed["timer"]
            changed["timer"] = [max(0, self._events.now - since), length]
        if changed:
            cause: Json = {}
            heard = self._last_heard.get(host)
            if heard is not None and explains(heard[1], changed):
                cause["heard"] = True
                if changed.keys() - {"timer"}:
                    del self._last_heard[host]
            self._write("member", **cause, who=host, group=number, set=changed)

    def _look_at_switches(self) -> None:
        counting = self._events.now >= self._counted_at
        if counting:
            self._counted_at = self._events.now + COUNTED_EVERY_US
        for name, switch in self._switches.items():
            for event in switch.entry_changes():
                self._write(event.pop("k"), who=name, **event)
            if switch.touched:
                switch.touched = False
                cells = switch.register_changes(self._events.now)
                if cells:
                    self._write("registers", who=name, set=cells)
            if counting and switch.switch.up:
                cells = switch.counter_changes()
                if cells:
                    self._write("counters", who=name, set=cells)

    def _look_at(self, name: str, controller: SimController | None) -> None:
        changed = self._controllers[name].changes(controller)
        if changed:
            self._write("controller", who=name, set=changed)


class _Messages:
    """Which message a datagram is."""

    def __init__(self) -> None:
        self.current = 0
        """The message that is on its way just now, 0 for none."""
        self.at_link: dict[tuple[str, int, bytes], int] = {}
        self.meant: dict[int, str | None] = {}
        self.received: defaultdict[int, set[str]] = defaultdict(set)
        """By message, the hosts that have it."""
        self._count = 0
        self._frames: dict[int, bytes] = {}
        self._by_bytes: dict[tuple[Address, bytes], deque[int]] = {}
        self._order: deque[tuple[Address, bytes]] = deque()
        self._seen: dict[bytes, None] = {}

    def begin(self, frame: bytes) -> tuple[int, bool]:
        """A new message; its number, and whether one like it was sent before."""
        self._count += 1
        self.current = self._count
        self._frames[self._count] = frame
        again = frame in self._seen
        self._seen[frame] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if len(self._frames) > 4 * REMEMBERED:
            oldest = next(iter(self._frames))
            del self._frames[oldest]
            self.meant.pop(oldest, None)
            self.received.pop(oldest, None)
        return self._count, again

    def frame(self, m: int) -> bytes | None:
        """What was sent."""
        return self._frames.get(m)

    def leaves(self, source: Address, datagram: bytes) -> None:
        """The present message is on its way to a host."""
        key = source, datagram
        known = self._by_bytes.get(key)
        if known is None:
            known = self._by_bytes[key] = deque()
            self._order.append(key)
            if len(self._order) > 4 * REMEMBERED:
                self._by_bytes.pop(self._order.popleft(), None)
        known.append(self.current)

    def arrives(self, source: Address, datagram: bytes) -> int:
        """Which message arrives; 0 if it is not known. The first one of equal messages that has not arrived."""
        known = self._by_bytes.get((source, datagram))
        if not known:
            return 0
        return known.popleft() if len(known) > 1 else known[0]
