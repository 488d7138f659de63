"""What each exercise of p4lang/tutorials promises in its README, checked with the packets that its scripts send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scapy.compat import raw
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from conformance.exercises.network import Failed, Network
from p4switch.pipeline.entities import Exact, Lpm, Replica

BROADCAST = "ff:ff:ff:ff:ff:ff"
MESSAGE = b"P4 is cool"


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise Failed(what)


def one(net: Network, sender: str, frame: Packet, receiver: str) -> Packet:
    """The frame as `receiver` gets it; nobody else may."""
    arrived = net.send(sender, raw(frame))
    expect(
        [name for name, _ in arrived] == [receiver],
        f"from {sender}: arrives at {[n for n, _ in arrived]}, not {receiver}",
    )
    packet: Packet = Ether(arrived[0][1])
    return packet


def ip_frame(net: Network, sender: str, target: str, tos: int = 0, payload: Packet | None = None) -> Packet:
    """A packet as the exercises' send.py makes it; `target`: a host or an address."""
    address = net.hosts[target].ip if target in net.hosts else target
    header = Ether(src=net.hosts[sender].mac, dst=BROADCAST) / IP(src=net.hosts[sender].ip, dst=address, tos=tos)
    return header / (payload or UDP(dport=4321, sport=1234)) / Raw(MESSAGE)


def sound(packet: Packet) -> None:
    """The IPv4 checksum is right and the message whole."""
    given = packet[IP].chksum
    del packet[IP].chksum
    expect(IP(raw(packet[IP])).chksum == given, "the IPv4 checksum is wrong")
    expect(raw(packet).endswith(MESSAGE), "the message is damaged")


def forwards(net: Network) -> None:
    """Each host reaches each other host, through switches that count the TTL down."""
    for sender in net.hosts:
        for target in net.hosts:
            if sender != target:
                got = one(net, sender, ip_frame(net, sender, target), target)
                sound(got)
                expect(got[IP].ttl < 64, f"{sender} to {target}: the TTL is {got[IP].ttl}")
                expect(got.dst == net.hosts[target].mac, f"{sender} to {target}: sent to {got.dst}")


def basic_tunnel(net: Network) -> None:
    forwards(net)
    for address in ("10.0.2.2", "10.0.3.3"):
        tunnelled = bytes.fromhex("ffffffffffff080000000111 1212 0800 0002".replace(" ", ""))
        frame = tunnelled + raw(ip_frame(net, "h1", address)[IP])
        got = net.send("h1", frame)
        expect(got == [("h2", frame)], f"tunnel to 2 with {address}: arrives as {got}")


def calc(net: Network) -> None:
    values = {"+": 7 + 5, "-": 7 - 5, "&": 7 & 5, "|": 7 | 5, "^": 7 ^ 5}
    for operator, result in values.items():
        head = bytes.fromhex("000400000000 080000000101 1234".replace(" ", ""))
        body = b"P4\x01" + operator.encode() + (7).to_bytes(4, "big") + (5).to_bytes(4, "big")
        arrived = net.send("h1", head + body + bytes.fromhex("deadbabe") + b"  ")
        expect([n for n, _ in arrived] == ["h1"], f"7 {operator} 5: no answer")
        answer = int.from_bytes(arrived[0][1][26:30], "big")
        expect(answer == result, f"7 {operator} 5 = {answer}")
        expect(arrived[0][1][:12] == head[6:12] + head[:6], "the MAC addresses are not swapped")
    expect(not net.send("h1", head + b"P4\x01?" + body[4:] + bytes(6)), "an unknown operator is answered")


def ecn(net: Network) -> None:
    forwards(net)
    expect(one(net, "h1", ip_frame(net, "h1", "h2", tos=1), "h2")[IP].tos == 1, "marked although no queue is there")
    congest(net)
    got = one(net, "h1", ip_frame(net, "h1", "h2", tos=1), "h2")
    expect(got[IP].tos == 3, f"a long queue: tos is {got[IP].tos}, not 3")
    sound(got)
    got = one(net, "h1", ip_frame(net, "h1", "h2", tos=0), "h2")
    expect(got[IP].tos == 0, "marked although the host does not know ECN")


def congest(net: Network) -> None:
    """Make packets wait before s1's port to s2, as iperf does over the slow link."""
    net.switches["s1"].set_queue_depth(3, 40)


def mri(net: Network) -> None:
    congest(net)
    option = bytes.fromhex("1f040000")
    header = IP(src=net.hosts["h1"].ip, dst=net.hosts["h2"].ip, ihl=6) / UDP(dport=4321, sport=1234) / Raw(MESSAGE)
    plain = raw(header)
    frame = Ether(src=net.hosts["h1"].mac, dst=BROADCAST, type=0x0800) / Raw(plain[:20] + option + plain[20:])
    length = (len(plain) + 4).to_bytes(2, "big")
    data = bytearray(raw(frame))
    data[16:18], data[24:26] = length, b"\0\0"
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(14, 38, 2))
    data[24:26] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
    arrived = net.send("h1", bytes(data))
    expect([n for n, _ in arrived] == ["h2"], f"arrives at {[n for n, _ in arrived]}")
    got = arrived[0][1]
    expect(got[34] == 31 and got[35] == 20, f"the option is {got[34:38].hex()}")
    expect(int.from_bytes(got[36:38], "big") == 2, f"count is {int.from_bytes(got[36:38], 'big')}, not 2")
    swids = [int.from_bytes(got[at : at + 4], "big") for at in (38, 46)]
    depths = [int.from_bytes(got[at : at + 4], "big") for at in (42, 50)]
    expect(swids == [2, 1], f"the way is {swids}, not 2, 1")
    expect(depths == [0, 40], f"the queues are {depths}, not 0, 40")
    expect(got.endswith(MESSAGE), "the message is damaged")


def firewall(net: Network) -> None:
    def tcp(sender: str, target: str, sport: int, dport: int, flags: str) -> Packet:
        return ip_frame(net, sender, target, payload=TCP(sport=sport, dport=dport, flags=flags))

    for inside, outside in (("h1", "h3"), ("h2", "h4")):
        expect(
            not net.send(outside, raw(tcp(outside, inside, 5001, 4000, "S"))), f"{outside} opens a flow to {inside}"
        )
        one(net, inside, tcp(inside, outside, 4000, 5001, "S"), outside)
        one(net, outside, tcp(outside, inside, 5001, 4000, "SA"), inside)
        expect(not net.send(outside, raw(tcp(outside, inside, 5001, 4001, "S"))), "another flow from outside passes")
    one(net, "h1", tcp("h1", "h2", 1, 2, "S"), "h2")
    one(net, "h3", tcp("h3", "h4", 1, 2, "S"), "h4")


def link_monitor(net: Network) -> None:
    forwards(net)
    probe = bytes.fromhex("ffffffffffff080000000111 0812 00".replace(" ", ""))
    ports = bytes((4, 1, 4, 1, 3, 2, 3, 2, 1))
    net.send("h1", probe + ports)
    traffic = raw(ip_frame(net, "h1", "h4"))
    for _ in range(10):
        net.send("h1", traffic)
    arrived = net.send("h1", probe + ports)
    expect([n for n, _ in arrived] == ["h1"], f"the probe comes back to {[n for n, _ in arrived]}")
    frame = arrived[0][1]
    expect(frame[14] == 9, f"hop_cnt is {frame[14]}, not 9")
    hops = [frame[15 + 18 * i : 33 + 18 * i] for i in range(9)]
    expect([h[0] & 0x7F for h in hops] == [1, 4, 2, 3, 1, 3, 2, 4, 1], f"switches {[h[0] & 0x7F for h in hops]}")
    expect([h[1] for h in hops] == list(ports[::-1]), f"ports {[h[1] for h in hops]}")
    counts = [int.from_bytes(h[2:6], "big") for h in hops]
    busy = 10 * len(traffic)
    expect(sum(busy <= c < busy + 400 for c in counts) >= 1, f"no link carried the {busy} bytes: {counts}")
    times = [(int.from_bytes(h[6:12], "big"), int.from_bytes(h[12:18], "big")) for h in hops]
    expect(all(last < now for last, now in times), f"times {times}")


def load_balance(net: Network) -> None:
    reached = set()
    for port in range(49152, 49152 + 40):
        frame = ip_frame(net, "h1", "10.0.0.1", payload=TCP(dport=1234, sport=port))
        arrived = net.send("h1", raw(frame))
        expect(len(arrived) == 1, f"port {port}: arrives at {[n for n, _ in arrived]}")
        sound(Ether(arrived[0][1]))
        reached.add(arrived[0][0])
    expect(reached == {"h2", "h3"}, f"the messages reach {sorted(reached)}")


def multicast(net: Network) -> None:
    for sender in net.hosts:
        others = sorted(set(net.hosts) - {sender})
        asked = Ether(src=net.hosts[sender].mac, dst=BROADCAST) / ARP(pdst="10.0.0.9")
        reached = sorted(name for name, _ in net.send(sender, raw(asked)))
        expect(reached == others, f"{sender}'s broadcast reaches {reached}")
        for target in others:
            frame = ip_frame(net, sender, target)
            frame.dst = net.hosts[target].mac
            one(net, sender, frame, target)


def advanced_tunnel(net: Network) -> None:
    """With the entries that its controller writes: tunnels 100 and 200 between h1 and h2."""
    for tunnel, (a, b, target) in {100: ("s1", "s2", "h2"), 200: ("s2", "s1", "h1")}.items():
        near, far, host = net.switches[a], net.switches[b], net.hosts[target]
        address = int.from_bytes(bytes(int(x) for x in host.ip.split(".")), "big")
        near.insert("MyIngress.ipv4_lpm", [Lpm(address, 32)], "MyIngress.myTunnel_ingress", [tunnel])
        near.insert("MyIngress.myTunnel_exact", [Exact(tunnel)], "MyIngress.myTunnel_forward", [2])
        mac = int(host.mac.replace(":", ""), 16)
        far.insert("MyIngress.myTunnel_exact", [Exact(tunnel)], "MyIngress.myTunnel_egress", [mac, 1])
    for source, target in (("h1", "h2"), ("h2", "h1")):
        got = one(net, source, ip_frame(net, source, target), target)
        sound(got)
        expect(got.dst == net.hosts[target].mac, f"sent to {got.dst}")
    for tunnel, a, b in ((100, "s1", "s2"), (200, "s2", "s1")):
        sent = net.switches[a].counter("MyIngress.ingressTunnelCounter", tunnel)[0]
        left = net.switches[b].counter("MyIngress.egressTunnelCounter", tunnel)[0]
        expect((sent, left) == (1, 1), f"tunnel {tunnel}: {sent} entered, {left} left")


def qos(net: Network) -> None:
    forwards(net)
    for payload, service in ((UDP(dport=4321, sport=1234), 46), (TCP(), 44)):
        got = one(net, "h1", ip_frame(net, "h1", "h2", tos=1, payload=payload), "h2")
        sound(got)
        expect(got[IP].tos == service << 2 | 1, f"{payload.name}: tos is {got[IP].tos:#x}, not {service << 2 | 1:#x}")


def source_routing(net: Network) -> None:
    for ports in ((2, 3, 2, 2, 1), (2, 1)):
        route = b"".join(
            ((0x8000 if at == len(ports) - 1 else 0) | p).to_bytes(2, "big") for at, p in enumerate(ports)
        )
        plain = ip_frame(net, "h1", "h2")
        head = bytes.fromhex("ffffffffffff0800000001111234")
        arrived = net.send("h1", head + route + raw(plain[IP]))
        expect([n for n, _ in arrived] == ["h2"], f"{ports}: arrives at {[n for n, _ in arrived]}")
        got = Ether(arrived[0][1])
        expect(got.type == 0x0800 and got[IP].ttl == 64 - len(ports), f"{ports}: TTL {got[IP].ttl}")
        expect(raw(got).endswith(MESSAGE), "the message is damaged")


def flowcache(net: Network) -> None:
    """With what its controller does: an unknown flow is told, its entry written, and the packet sent on."""
    for switch in net.switches.values():
        switch.set_clone_session(57, [Replica(510, 1)])
    frame = ip_frame(net, "h1", "h2")
    expect(not net.send("h1", raw(frame)), "a packet of an unknown flow is forwarded")
    expect([n for n, _ in net.cpu] == ["s1"], f"the controller hears from {[n for n, _ in net.cpu]}")
    told = net.cpu.pop()[1]
    expect(told.endswith(raw(frame)), "the controller does not get the packet")
    header = told[: len(told) - len(raw(frame))]
    expect(int.from_bytes(header[:2], "big") == 1, f"the packet_in header is {header.hex()}")
    # packet_out: opcode 1 (send to the port in operand0), reserved, operand0
    out = bytes((1, 0)) + (2).to_bytes(4, "big")
    hosts = [net.hosts[n].ip for n in ("h1", "h2")]
    source, target = (int.from_bytes(bytes(int(x) for x in ip.split(".")), "big") for ip in hosts)
    mac = int(net.hosts["h2"].mac.replace(":", ""), 16)
    for name, port in (("s1", 2), ("s2", 1)):
        match = [Exact(17), Exact(source), Exact(target)]
        net.switches[name].insert("MyIngress.flow_cache", match, "MyIngress.cached_action", [port, 1, 5, mac])
    arrived = net.packet_out("s1", out + raw(frame))
    expect([n for n, _ in arrived] == ["h2"], f"the packet-out arrives at {[n for n, _ in arrived]}")
    got = one(net, "h1", frame, "h2")
    expect(got[IP].ttl == 62 and got[IP].tos >> 2 == 5, f"TTL {got[IP].ttl}, DSCP {got[IP].tos >> 2}")


@dataclass(frozen=True)
class Exercise:
    """`program` and `topology` below the exercise's folder. `entries`: the folder of its runtime JSONs, None: its
    controller writes the entries."""

    name: str
    program: str
    topology: str
    check: Callable[[Network], None]
    entries: str | None = "."

    def run(self, exercises: Path, cache: Path) -> None:
        """Raises Failed, PipelineError, OSError."""
        folder = exercises / self.name
        entries = folder / self.entries if self.entries is not None else None
        with Network(folder / self.topology, folder / self.program, cache, entries) as net:
            self.check(net)


def exercises() -> Iterator[Exercise]:
    yield Exercise("basic", "solution/basic.p4", "pod-topo/topology.json", forwards, "pod-topo")
    yield Exercise("basic", "solution/basic.p4", "triangle-topo/topology.json", forwards, "triangle-topo")
    yield Exercise("basic_tunnel", "solution/basic_tunnel.p4", "topology.json", basic_tunnel)
    yield Exercise("p4runtime", "advanced_tunnel.p4", "topology.json", advanced_tunnel, entries=None)
    yield Exercise("flowcache", "solution/flowcache.p4", "topology.json", flowcache, entries=None)
    yield Exercise("ecn", "solution/ecn.p4", "topology.json", ecn)
    yield Exercise("mri", "solution/mri.p4", "topology.json", mri)
    yield Exercise("source_routing", "solution/source_routing.p4", "topology.json", source_routing)
    yield Exercise("calc", "solution/calc.p4", "topology.json", calc)
    yield Exercise("load_balance", "solution/load_balance.p4", "topology.json", load_balance)
    yield Exercise("qos", "solution/qos.p4", "topology.json", qos)
    yield Exercise("firewall", "solution/firewall.p4", "pod-topo/topology.json", firewall, "pod-topo")
    yield Exercise("link_monitor", "solution/link_monitor.p4", "pod-topo/topology.json", link_monitor, "pod-topo")
    yield Exercise("multicast", "solution/multicast.p4", "sig-topo/topology.json", multicast, "solution")
