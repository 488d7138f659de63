"""Ways as text for people and as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.names import message_name
from hosts.config import Address
from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import FIRST_CLIENT_TYPE, Header, WireError
from p4switch.trace.journey import Lookup
from topo.follow import story
from topo.follow.disks import Disk
from topo.follow.journeys import Hop, Journey, Place
from topo.lab.configs import CPU_PORT
from topo.topology import Topology
from topo.views.capture import Packet, describe

Json = dict[str, Any]
NextOf = Callable[[str, int], Place | None]

_HEADINGS = {
    story.REQUEST: "the request",
    story.APPEND: "the leader has {target} append the entry",
    story.ACKNOWLEDGEMENT: "{source} acknowledges: its disk holds the log up to entry {index}",
    story.COMMIT: "the leader tells {target} that everything up to entry {commit} is committed",
    story.QUESTION: "{source} asks its leader from which index on it may read",
    story.INDEX: "the leader tells {target} the index",
    story.ROUND: "the leader asks {target} whether it still leads",
    story.ROUND_REPLY: "{source} answers the leader",
    story.ANSWER: "the answer",
}


@dataclass(frozen=True)
class Teller:
    """Tells ways. ``origin_ns``: time 0; ``next_of``: where a frame goes that leaves a switch's port; ``troubles``:
    what is not known of a switch, by name; ``tables``: tell the look-ups; ``full``: all that `switchraft trace`
    prints."""

    topology: Topology
    next_of: NextOf
    origin_ns: int
    troubles: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    """Of each switch and node that does not run its state, such as paused."""
    cut: frozenset[str] = frozenset()
    """Interfaces whose packets vanish as they leave."""
    tables: bool = True
    full: bool = False

    def ms(self, time_ns: int) -> float:
        """Milliseconds since time 0."""
        return round((time_ns - self.origin_ns) / 1e6, 3)

    def clock(self, time_ns: int, about: str = "") -> str:
        """The time as text, in ten columns; ``about`` stands before it."""
        return f"{about}{self.ms(time_ns):+.3f}".rjust(10)

    # -- text -------------------------------------------------------------------------------------------------------

    def train(self, journeys: Sequence[Journey]) -> Iterator[str]:
        """A way; of fragments of one message the first one's, and how many of the others have arrived."""
        first, *others = journeys
        yield from self.journey(first)
        if others:
            late = max(one.last_ns for one in others)
            whole = sum(1 for one in others if not one.missing and not one.reasons)
            yield f"{self.clock(late)} ms  {len(others)} more fragments of this message; {whole} have arrived"

    def journey(self, journey: Journey) -> Iterator[str]:
        """One way."""
        heading = self.heading(journey)
        if heading:
            yield heading
        packet = Packet(journey.sent.time_ns / 1e9, False, journey.sent.frame)
        what = describe(packet, self.topology) or f"{len(packet.frame)} bytes"
        yield f"{self.clock(journey.sent.time_ns)} ms  {what}"
        claims = self.host_of(journey.sent.source)
        if claims != journey.sent.host:
            yield f"{'':14}sent by {journey.sent.host}, in the name of {claims}"
        for hop in journey.hops:
            yield from self.hop(hop)
        for time_ns, host in journey.arrivals:
            state = self.stopped.get(host)
            told = f"{host} has it" if state is None else f"it comes to {host}, whose node is {state}"
            yield f"{self.clock(time_ns)}     {told}"
        yield from self.loose_ends(journey)

    def heading(self, journey: Journey) -> str:
        """What the packet is for; "" if nothing is known."""
        header = journey.sent.header
        pattern = _HEADINGS.get(journey.role)
        if pattern is None or header is None:
            return pattern or ""
        if header.type == MessageType.CLIENT_FRAGMENT_STATUS:
            return f"{journey.sent.host} says which fragments it has"
        return pattern.format(
            source=self.member(header, header.source),
            target=self.member(header, header.target),
            index=header.index,
            commit=header.commit,
        )

    def member(self, header: Header, number: int) -> str:
        """The host of a member of a message's group."""
        if number == EVERYBODY:
            return "everybody"
        for group in self.topology.groups:
            if group.id == header.group:
                return self.topology.hosts_of(group).get(number, f"member {number}")
        return f"member {number}"

    def hop(self, hop: Hop) -> Iterator[str]:
        """A switch on the way."""
        yield f"{self.clock(hop.time_ns)}     {hop.switch}, in at port {hop.port}"
        if self.full:
            yield from (f"{'':18}{line}" for line in hop.traced.text)
        elif self.tables:
            width = max((len(_short(lookup.table)) for lookup in hop.traced.lookups), default=0)
            yield from (f"{'':18}{lookup_text(lookup, width)}" for lookup in hop.traced.lookups)
        trouble = self.troubles.get(hop.switch)
        if trouble:
            yield f"{'':16}not sure: {trouble}"
        yield from (f"{'':16}{text}" for text in self.decisions(hop))

    def _copy_for(self, hop: Hop, frame: bytes) -> str:
        """The member for whom a frame that a packet has become is the copy; "" if it is none, or nobody's yet."""
        try:
            came, left = (Packet(0.0, False, one).raft(self.topology.port) for one in (hop.frame, frame))
        except WireError:  # not Raft, though on its port: a switch without the tables that drop it passes it on
            return ""
        if came is None or left is None or came.target == left.target:
            return ""
        return self.member(left, left.target)

    def decisions(self, hop: Hop) -> Iterator[str]:
        """What became of a frame at a switch."""
        traced = hop.traced
        copies = [(port, self._copy_for(hop, frame)) for port, frame in traced.outputs]
        if hop.steered is not None and not any(member for _, member in copies):
            came, left = hop.steered
            yield f"steered from {self.address(came)} to {self.address(left)}"
        for name, values in traced.digests:
            yield f"digest to the controller: {name}{values}"
        for port, member in copies:
            if port == CPU_PORT:
                yield "handed to the controller"
            else:
                what = f"a copy for {member} " if member else ""
                yield f"{what}out of port {port}, to {self.next_of(hop.switch, port) or 'nobody'}"
        if traced.reason:
            yield f"dropped: {traced.reason}"

    def loose_ends(self, journey: Journey) -> Iterator[str]:
        """Where it ought to have been seen and was not, or the other way round."""
        for place in journey.missing:
            yield f"{'':14}never seen at {place}{self._why(journey, place)}"
        for place in journey.surprising:
            yield f"{'':14}seen at {place}, which the entries and registers as they were read do not explain"

    def _why(self, journey: Journey, place: Place) -> str:
        for hop in journey.hops:
            for port, _ in hop.traced.outputs:
                if self.next_of(hop.switch, port) == place:
                    if hop.switch in self.stopped:
                        return f": {hop.switch} is {self.stopped[hop.switch]}"
                    if self.topology.ports(hop.switch).get(port) in self.cut:
                        return ": the link is down, by hand"
        return ""

    def address(self, address: Address) -> str:
        """An address, with the name of whom it is."""
        name = self.host_of(address)
        text = f"{address[0]}:{address[1]}"
        return text if name == address[0] else f"{name} ({text})"

    def host_of(self, address: Address) -> str:
        """The host of an address, "service" for a service address, or the address itself."""
        names = {str(host.ip): host.name for host in self.topology.hosts}
        names |= {str(group.service): "service" for group in self.topology.groups if group.service}
        return names.get(address[0], address[0])

    # -- JSON -------------------------------------------------------------------------------------------------------

    def json(self, journey: Journey) -> Json:
        """One way, for programs. Times are milliseconds since time 0."""
        one = journey.sent
        return {
            "role": journey.role,
            "type": "malformed" if one.header is None else message_name(one.header.type),
            "header": None if one.header is None else _header_json(one.header),
            "fault": one.fault,
            "host": one.host,
            "from": f"{one.source[0]}:{one.source[1]}",
            "to": f"{one.destination[0]}:{one.destination[1]}",
            "frame": one.frame.hex(),
            "sent_ns": one.time_ns,
            "ms": self.ms(one.time_ns),
            "hops": [self._hop_json(hop) for hop in journey.hops],
            "arrivals": [
                {"host": host, "ms": self.ms(time_ns), "node": self.stopped.get(host, "")}
                for time_ns, host in journey.arrivals
            ],
            "dropped": [
                {"switch": hop.switch, "reason": hop.traced.reason} for hop in journey.hops if hop.traced.reason
            ],
            "not_seen_at": [str(place) for place in journey.missing],
            "unexplained_at": [str(place) for place in journey.surprising],
        }

    def _hop_json(self, hop: Hop) -> Json:
        traced, steered = hop.traced, hop.steered
        copies = [(port, self._copy_for(hop, frame)) for port, frame in traced.outputs]
        if any(member for _, member in copies):
            steered = None
        return {
            "switch": hop.switch,
            "port": hop.port,
            "ms": self.ms(hop.time_ns),
            "tables": [lookup_json(lookup) for lookup in traced.lookups],
            "steered": None if steered is None else {"from": list(steered[0]), "to": list(steered[1])},
            "outputs": [
                {"port": port, "to": str(self.next_of(hop.switch, port) or ""), "copy_for": member}
                for port, member in copies
                if port != CPU_PORT
            ],
            "to_controller": hop.to_controller,
            "digests": [{"name": name, "values": list(values)} for name, values in traced.digests],
            "dropped": traced.reason,
            "not_sure": self.troubles.get(hop.switch, ""),
        }


def lookup_text(lookup: Lookup, width: int) -> str:
    """A look-up in one line: table, key, entry, action."""
    key = ", ".join(f"{name} = {value}" for name, value in lookup.key)
    call = lookup.call.replace(lookup.action, _short(lookup.action), 1)
    if not lookup.key:
        return f"{_short(lookup.table):{width}}  {call}"
    found = f"entry {lookup.entry or 'that is gone'}" if lookup.hit else "no entry"
    return f"{_short(lookup.table):{width}}  {key}: {found}, {call}"


def lookup_json(lookup: Lookup) -> Json:
    """A look-up for programs."""
    return {
        "table": lookup.table,
        "place": lookup.place,
        "key": dict(lookup.key),
        "hit": lookup.hit,
        "entry": lookup.entry if lookup.hit else None,
        "action": lookup.action,
        "params": dict(lookup.params),
    }


def disk_lines(
    teller: Teller, index: int, leader: str, left_ns: int, stages: dict[str, float]
) -> Iterator[tuple[int, str]]:
    """About when an entry was on the leader's disk and committed: nanoseconds and text. ``left_ns``: when it was seen
    to leave for the followers; ``stages``: how long the leader says it took from about then on."""
    if not stages:
        return
    durable_ns, committed_ns = (left_ns + int(stages[name] * 1e9) for name in ("disk", "network"))
    took = f"{leader} says {stages['disk'] * 1000:.3f} ms for it"
    yield durable_ns, f"{teller.clock(durable_ns, '~')} ms  {leader}'s disk holds entry {index} ({took})"
    took = f"{leader} says {stages['network'] * 1000:.3f} ms until a quorum's disks held it"
    yield committed_ns, f"{teller.clock(committed_ns, '~')} ms  entry {index} is committed ({took})"


def disk_text(disk: Disk) -> str:
    """What a member said of an entry afterwards."""
    if disk.error:
        return f"{disk.member}: {disk.error}"
    known = "committed" if disk.committed else "not known to be committed yet"
    return f"{disk.member}: {'on disk' if disk.durable else 'in memory only'}, {known}"


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def fragments_of(journey: Journey) -> object:
    """What fragments of a message have in common; any other packet is alone."""
    header = journey.sent.header
    if header is None or not header.is_fragment:
        return journey.m
    return journey.role, journey.sent.source, journey.sent.destination, header


def _header_json(header: Header) -> Json:
    shown: Json = {"flags": list(header.flag_names), "group": header.group}
    if header.type >= FIRST_CLIENT_TYPE:
        return {**shown, "session": f"{header.log_term:016x}", "sequence": header.index}
    return {
        **shown,
        "source": header.source,
        "target": header.target,
        "term": header.term,
        "index": header.index,
        "log_term": header.log_term,
        "commit": header.commit,
    }
