"""Datagrams between hosts: at once through the switches, then late, twice, elsewhere or not at all."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from random import Random

from hosts.config import Address
from hosts.net.path import BASE
from hosts.net.udp import QUOTED_BYTES, Refusal
from hosts.wire import FIRST_CLIENT_TYPE, Flag
from sim import frames
from sim.events import SECOND
from sim.frames import Sender
from sim.gathered import may_be_gathered
from sim.scene import Scene

KEPT = 64
"""Frames that a late duplicate may be of."""

CLIENT_LATE_US = 150_000
"""Less than a client's patience: a copy comes while it waits for the answer to its first try."""

REFUSALS, REFUSAL_EVERY_US = 6, SECOND
"""A kernel tells a host so often at once that a port is closed, and then once in so long (Linux's icmp_ratelimit)."""

REFUSAL_LATE_US = 2 * SECOND

_FLAGS_AT = 2
"""Of the Raft header."""
_FANOUT = int(Flag.FANOUT)

_STAMP = struct.Struct(">QHH")


Deliver = Callable[[str, int, bytes, Address], None]
DeliverRefusal = Callable[[str, int, Refusal], None]
IntoSwitches = Callable[[str, bytes, bool], None]
IsUp = Callable[[str], bool]


def is_for_clients(datagram: bytes) -> bool:
    """Whether a client has sent this, or is to get it."""
    return len(datagram) > 1 and datagram[1] >= FIRST_CLIENT_TYPE


def is_fanout(datagram: bytes) -> bool:
    """Whether this is an AppendEntries to everybody, or a switch's copy of one."""
    return len(datagram) > _FLAGS_AT and datagram[_FLAGS_AT] & _FANOUT != 0


class Conditions:
    """How bad the network is at the moment: probabilities per datagram, and pairs of hosts that are cut apart."""

    def __init__(self, trouble: float, client_trouble: float) -> None:
        self.clients = client_trouble
        """The share of clients' datagrams, alone, that is lost, or doubled; the copy is late then."""
        self.loss = self.duplicate = self.late = trouble
        self.misdeliver = trouble / 4
        self.late_us = 20_000
        self.cut: dict[tuple[str, str], int] = {}
        self.cut_after_switches = False
        self.slow: dict[tuple[str, str], int] = {}
        """From host to host: how much later all of it arrives, in microseconds."""
        self.takes: dict[tuple[str, str], int] = {}
        """From host to host: bytes of the largest datagram that arrives, where that is less than links take."""

    @property
    def any(self) -> float:
        return self.loss + self.duplicate + self.late + self.misdeliver

    def end(self) -> None:
        """From now on all goes well."""
        self.loss = self.duplicate = self.late = self.misdeliver = self.clients = 0.0
        self.cut.clear()
        self.slow.clear()
        self.takes.clear()


class Network:
    """From host to host. With switches, frames pass them at the moment they are sent, and arrive later."""

    def __init__(self, scene: Scene, deliver: Deliver, deliver_refusal: DeliverRefusal, is_up: IsUp) -> None:
        """``deliver`` takes what arrives: host, port, datagram, and from whom. ``deliver_refusal`` takes what ICMP
        says of a datagram that a host and port has sent. ``is_up``: whether a host's kernel runs."""
        self._is_up = is_up
        self._switches_see_icmp = scene.plan.switches and "leader_gone" in scene.plan.features
        self._echo_random = Random(f"echoes/{scene.plan.seed}")
        self.into_switches: IntoSwitches | None = None
        """Takes a frame at a host's port of a switch, and whether it is hostile; None: there are no switches."""
        self._deliver = deliver
        self._deliver_refusal = deliver_refusal
        self._refusals_left: dict[tuple[str, str], tuple[int, float]] = {}
        """From host to host: when that was looked at last, and how many answers a kernel would have given then."""
        self._refusal_random = Random(f"refusals/{scene.plan.seed}")
        self._scene = scene
        self._trace = scene.trace
        self._counts = scene.counts
        self.conditions = Conditions(scene.plan.trouble, scene.plan.client_trouble)
        self.unhappy = self.conditions.any
        self._random = Random(f"network/{scene.plan.seed}")
        self._events = scene.events
        topology = scene.plan.topology
        self._senders = {h.name: Sender(str(h.ip), h.mac, h.gateway_mac) for h in topology.hosts}
        self._hosts = {str(host.ip): host.name for host in topology.hosts}
        self._numbers = {host.name: number for number, host in enumerate(topology.hosts)}
        self._names = [host.name for host in topology.hosts]
        self.sent: deque[tuple[str, int, Address, bytes]] = deque(maxlen=KEPT)
        """The latest datagrams, for those that turn up once more."""
        self._kept = 0

    def changed(self) -> None:
        """The conditions are others now."""
        self.unhappy = self.conditions.any

    # -- from a host ----------------------------------------------------------------------------------------------

    def send(self, host: str, port: int, target: Address, datagram: bytes) -> None:
        """A host sends a datagram."""
        self._kept += 1
        if self._kept % 37 == 0:
            self.sent.append((host, port, target, datagram))
        self.enter(host, port, target, datagram)

    def enter(self, host: str, port: int, target: Address, datagram: bytes) -> None:
        """A datagram leaves a host's interface, perhaps not for the first time."""
        conditions = self.conditions
        if self._scene.observer is not None:
            self._scene.observer.sent(host, port, target, datagram)
        if (
            conditions.cut
            and not (conditions.cut_after_switches and self.into_switches is not None)
            and (host, self._hosts.get(target[0])) in conditions.cut
        ):
            self._counts["cut off"] += 1
            self._lose(host, "cut off")
            return
        if len(datagram) > BASE and not self._passes(host, target[0], len(datagram)):
            self._counts["datagrams too large for their path"] += 1
            self._lose(host, "too large")
            return
        if self.into_switches is None:
            there = self._hosts.get(target[0])
            if there is not None:
                self._leave(host, there, (self._senders[host].ip, port), target[1], datagram)
            return
        # Of what a switch may readdress the UDP checksum shows whether the switch kept it right.
        checksum = is_for_clients(datagram) or is_fanout(datagram) or may_be_gathered(datagram)
        frame = frames.pack(self._senders[host], port, target, datagram, checksum=checksum)
        self.into_switches(host, frame, False)

    def _passes(self, host: str, target: str, size: int) -> bool:
        there = self._hosts.get(target, "")
        return size <= min(self._scene.plan.takes, self.conditions.takes.get((host, there), size))

    def from_switch(self, host: str, frame: bytes) -> None:
        """A frame leaves the last switch for a host."""
        icmp = frames.unpack_icmp(frame)
        if icmp is not None:
            self._icmp_arrives(host, icmp)
            return
        found = frames.unpack(frame)
        if found is None:
            self._counts["bad UDP checksums"] += 1
            self._lose(host, "bad UDP checksum")
            return
        source, target, datagram = found
        sender = self._hosts.get(source[0])
        if sender is None and self._is_cut_off(host, hears=True):
            self._counts["hints lost"] += 1
            self._lose(host, "cut off")
            return
        conditions = self.conditions
        # Whom a copy is for shows here only.
        copy = is_fanout(datagram)
        if conditions.cut and (conditions.cut_after_switches or copy) and (sender, host) in conditions.cut:
            self._counts["cut off"] += 1
            self._lose(host, "cut off")
            return
        if copy and len(datagram) > BASE and not self._passes(sender or "", target[0], len(datagram)):
            self._counts["datagrams too large for their path"] += 1
            self._lose(host, "too large")
            return
        if self._hosts.get(target[0]) != host:
            self._counts["not for this host"] += 1
            self._lose(host, "not for this host")
            return
        self._leave(sender or "", host, source, target[1], datagram)

    def raw(self, host: str, frame: bytes) -> None:
        """A host sends bytes that need not be a datagram."""
        if self._scene.observer is not None:
            self._scene.observer.sent_raw(host, frame)
        if self.into_switches is not None:
            self.into_switches(host, frame, True)

    def _lose(self, where: str, why: str) -> None:
        if self._scene.observer is not None:
            self._scene.observer.lost(where, why)

    # -- to a host ------------------------------------------------------------------------------------------------

    def _leave(self, sender: str, host: str, source: Address, port: int, datagram: bytes) -> None:
        if self._scene.observer is not None:
            self._scene.observer.leaving(source, datagram)
        random = self._random.random
        delay = 60 + int(random() * 200)
        if self.conditions.slow:
            delay += self.conditions.slow.get((sender, host), 0)
        if self.unhappy and random() < self.unhappy:
            self._trouble(host, source, port, datagram, delay)
            return
        if self.conditions.clients and is_for_clients(datagram) and random() < self.conditions.clients:
            if random() < 0.5:
                self._counts["lost for clients"] += 1
                self._lose("network", "lost")
                return
            self._counts["doubled for clients"] += 1
            copy = delay + int(random() * CLIENT_LATE_US)
            self._events.after(copy, self._arrive, host, source, port, datagram)
        self._events.after(delay, self._arrive, host, source, port, datagram)

    def _trouble(self, host: str, source: Address, port: int, datagram: bytes, delay: int) -> None:
        conditions, random, counts = self.conditions, self._random, self._counts
        which = random.random() * self.unhappy
        if which < conditions.loss:
            counts["lost"] += 1
            self._lose("network", "lost")
            return
        which -= conditions.loss
        if which < conditions.duplicate:
            counts["duplicated"] += 1
            copy = delay + random.randrange(conditions.late_us)
            self._events.after(copy, self._arrive, host, source, port, datagram)
        elif which < conditions.duplicate + conditions.late:
            counts["late"] += 1
            delay += random.randrange(conditions.late_us)
        else:
            counts["misdelivered"] += 1
            other = random.choice(self._names)
            self._events.after(delay, self._arrive, other, source, port, datagram)
        self._events.after(delay, self._arrive, host, source, port, datagram)

    # -- ICMP -----------------------------------------------------------------------------------------------------

    def refuse(self, host: str, port: int, source: Address, datagram: bytes) -> None:
        """A host's kernel answers to a datagram that nobody listens at that port, unless it has answered often. Some
        answers are lost, and some are late. They go round the switches, unless those have a use for them."""
        there = self._hosts.get(source[0])
        if there is None:
            return
        now = self._events.now
        since, left = self._refusals_left.get((host, there), (now, float(REFUSALS)))
        left = min(REFUSALS, left + (now - since) / REFUSAL_EVERY_US)
        self._refusals_left[host, there] = now, left - (left >= 1)
        random = self._refusal_random
        if left < 1 or (host, there) in self.conditions.cut or random.random() < max(0.1, self.unhappy):
            self._counts["port unreachable untold"] += 1
            return
        self._counts["port unreachable"] += 1
        late = random.randrange(REFUSAL_LATE_US) if random.random() < 0.05 else 0
        destination = self._senders[host].ip, port
        if self._switches_see_icmp and self.into_switches is not None:
            frame = frames.pack_refusal(self._senders[host], source, destination, datagram)
            self._events.after(late, self.into_switches, host, frame, False)
            return
        refusal = Refusal(destination, True, datagram[:QUOTED_BYTES])
        self.tell_refusal(there, source[1], refusal, 60 + random.randrange(200) + late)

    def _icmp_arrives(self, host: str, icmp: frames.Icmp) -> None:
        """A host's kernel gets an ICMP message from the last switch: it tells a socket of a port unreachable, and
        answers an echo request."""
        sender, random = self._hosts.get(icmp.source), self._echo_random
        is_lost = self._hosts.get(icmp.target) != host or (sender, host) in self.conditions.cut
        if is_lost or random.random() < self.unhappy or not self._is_up(host):
            self._lose(host, "lost")
        elif icmp.kind == frames.PORT_UNREACHABLE:
            source, destination = icmp.about
            refusal = Refusal(destination, destination[0] == icmp.source, icmp.quoted)
            self.tell_refusal(host, source[1], refusal, 60 + random.randrange(200))
        elif icmp.kind == frames.ECHO_REQUEST and sender is None:
            self._counts["echo requests"] += 1
            if self.into_switches is None or any(self._is_cut_off(host, hears=hears) for hears in (True, False)):
                self._counts["echo requests unanswered"] += 1
                return
            reply = frames.pack_icmp(self._senders[host], icmp.source, frames.ECHO_REPLY, icmp.content[4:])
            self._events.after(60 + random.randrange(200), self.into_switches, host, reply, False)

    def _is_cut_off(self, host: str, *, hears: bool) -> bool:
        """Whether a host hears, or is heard by, no other member: then its own link is cut in that direction."""
        cut = self.conditions.cut
        others = [one for one in self._scene.plan.topology.members if one != host]
        return bool(others) and all(((one, host) if hears else (host, one)) in cut for one in others)

    def forge_hint(self, host: str, port: int, source: Address, hint: bytes) -> None:
        """Somebody on a link between the last switch and a host writes a hint."""
        self._events.after(1, self._arrive, host, source, port, hint)

    def arrives_behind(self, host: str, source: Address, datagram: bytes) -> None:
        """Somebody on a link between the last switch and a member's host writes a datagram."""
        self._events.after(1, self._arrive, host, source, self._scene.plan.topology.port, datagram)

    def tell_refusal(self, host: str, port: int, refusal: Refusal, delay_us: int) -> None:
        """An ICMP message, true or forged, reaches a host's socket after that time."""
        self._events.after(delay_us, self._arrive_refusal, host, port, refusal)

    def _arrive_refusal(self, host: str, port: int, refusal: Refusal) -> None:
        self._trace.add(_STAMP.pack(self._events.now, self._numbers[host], port), repr(refusal).encode())
        self._deliver_refusal(host, port, refusal)

    def _arrive(self, host: str, source: Address, port: int, datagram: bytes) -> None:
        self._trace.add(_STAMP.pack(self._events.now, self._numbers[host], port), datagram)
        if self._trace.wanted:
            self._trace.datagram(self._events.now, self._hosts.get(source[0], source[0]), host, datagram)
        if self._scene.observer is not None:
            self._scene.observer.received(host, port, source, datagram)
        self._deliver(host, port, datagram, source)
