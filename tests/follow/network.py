"""The triangle with the compiled raft.p4 in each switch, in this process: what would be seen at its ports."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from functools import cache

from controller.desired import FEATURES, Leadership, Operation, View, Write, desired_entries
from controller.network import Network, parse
from hosts.config import Address
from hosts.wire import Header
from p4switch.pipeline.pipeline import Pipeline
from sim import frames
from sim.fabric import SimSwitch
from sim.run import compile_program
from topo.follow.journeys import Follower, Role
from topo.follow.shadow import Shadows
from topo.lab import configs
from topo.topology import Topology, find
from topo.views.taps import Frame

TRIANGLE = find("triangle")
BEGAN_NS = 1_700_000_000_000_000_000
LEADER, TERM = 1, 3
HOP_NS = 20_000
GROUP = 1


@cache
def controllers_network() -> Network:
    return parse(configs.network(TRIANGLE))


@cache
def template() -> Pipeline:
    return Pipeline.load(compile_program())


class Lab:
    """Switches that hold what a controller gives them while h1 leads; ``features``: all but these are on."""

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self.topology: Topology = TRIANGLE
        self.now_ns = BEGAN_NS + 10**9
        self.cut: set[str] = set()
        """Interfaces whose packets vanish as they leave."""
        network = controllers_network()
        features = frozenset(one.name for one in FEATURES) - without
        self.view = View(frozenset(network.links), {GROUP: Leadership(LEADER, TERM)}, features)
        self.ways: list[tuple[int, int]] = []
        self.shadows = Shadows(
            TRIANGLE, compile_program(), BEGAN_NS, lambda at, way, _steps: self.ways.append((at, way))
        )
        self.switches: dict[str, SimSwitch] = {}
        for number, one in enumerate(TRIANGLE.switches):
            switch = self.switches[one.name] = SimSwitch(one.name, number, template(), Counter())
            for entry in desired_entries(network, one.name, self.view):
                switch.write(Write(Operation.INSERT, entry))
            self.shadows.hold(one.name, switch.entries())

    def close(self) -> None:
        self.shadows.close()
        for switch in self.switches.values():
            switch.pipeline.close()

    def follower(self, role: Role) -> Follower:
        return Follower(TRIANGLE, self.shadows, role)

    def frame(self, host: str, to: Address, datagram: bytes, port: int = 0, claiming: str | None = None) -> bytes:
        """A datagram as it leaves a host, from the Raft port if no other is named."""
        one, named = TRIANGLE.host(host), TRIANGLE.host(claiming or host)
        sender = frames.Sender(str(named.ip), one.mac, one.gateway_mac)
        return frames.pack(sender, port or TRIANGLE.port, to, datagram, checksum=True)

    def peer(self, host: str, to: str, header: Header, payload: bytes = bytes(16), **more: str) -> bytes:
        """A message between members."""
        return self.frame(host, (str(TRIANGLE.host(to).ip), TRIANGLE.port), header.pack() + payload, **more)

    def send(self, host: str, frame: bytes) -> list[Frame]:
        """What the ports see of a frame that a host sends now, in the order of time."""
        one = TRIANGLE.host(host)
        self.now_ns += 1_000_000
        return list(self._seen(one.switch, one.port, frame))

    def _seen(self, switch: str, port: int, frame: bytes) -> Iterator[Frame]:
        todo = deque([(self.now_ns, switch, port, frame)])
        while todo:
            at_ns, switch, port, frame = todo.popleft()
            yield Frame(at_ns, TRIANGLE.ports(switch)[port], False, frame)
            now_us = (at_ns - BEGAN_NS) // 1000
            for out, left in self.switches[switch].pipeline.step(port, frame, now_us).packets:
                interface = TRIANGLE.ports(switch).get(out)
                if interface is None or interface in self.cut:
                    continue
                there = self._over_link(switch, out)
                if there is None:
                    yield Frame(at_ns + HOP_NS, interface, True, left)
                else:
                    todo.append((at_ns + 2 * HOP_NS, *there, left))

    @staticmethod
    def _over_link(switch: str, port: int) -> tuple[str, int] | None:
        for link in TRIANGLE.links:
            if (link.a, link.a_port) == (switch, port):
                return link.b, link.b_port
            if (link.b, link.b_port) == (switch, port):
                return link.a, link.a_port
        return None
