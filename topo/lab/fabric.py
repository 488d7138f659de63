"""The network as Mininet builds it: hosts in namespaces, switches in the root namespace. No ARP, no IPv6."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Host as MininetHost
from mininet.node import Switch as MininetSwitch

from topo.errors import LabError
from topo.lab import namespace
from topo.lab.links import Links
from topo.lab.process import Child, Process
from topo.topology import PREFIX_LENGTH, Host, Topology

OFFLOADS = ("rx", "tx", "sg", "tso", "gso", "gro")


class P4Switch(MininetSwitch):  # type: ignore[misc]
    """A switch as Mininet sees it: a Child that runs in the root namespace."""

    def __init__(self, name: str, child: Child, **params: Any) -> None:
        self.child = child
        super().__init__(name, **{**params, "inNamespace": False})

    def start(self, _controllers: object) -> None:
        """Called by Mininet once all interfaces are there."""
        for interface in self.intfNames():
            if interface != "lo":
                _prepare(interface)
        self.child.start()

    def stop(self, deleteIntfs: bool = True) -> None:
        """Called by Mininet at the lab's end."""
        self.child.kill()
        super().stop(deleteIntfs)


class Fabric(Mininet):  # type: ignore[misc]
    """A Mininet whose own commands treat links as the lab does."""

    links_of_lab: Links

    def configLinkStatus(self, src: str, dst: str, status: str) -> None:
        """Mininet's `link` command: by blackhole, never by the interface."""
        try:
            self.links_of_lab.set(src, dst, up=status == "up")
        except LabError as error:
            print(f"*** {error}")


def build(topology: Topology, switches: Mapping[str, Child], mark: Callable[[str], None]) -> Fabric:
    """Make namespaces, interfaces and addresses; start nothing yet. ``mark`` is called with each interface of the
    root namespace. On an error what was made is for the record's owner to remove."""
    setLogLevel("warning")
    net = Fabric(controller=None, build=False, autoSetMacs=False, autoStaticArp=False)
    for host in topology.hosts:
        made = net.addHost(host.name, cls=MininetHost, ip=f"{host.ip}/{PREFIX_LENGTH}", mac=host.mac)
        # Before the first interface comes up, so that it never says a word of IPv6.
        script = (
            "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"
        )
        namespace.run(holder(made), ["sh", "-c", f"[ ! -d /proc/sys/net/ipv6 ] || {{ {script}; }}"])
    for switch in topology.switches:
        net.addSwitch(switch.name, cls=P4Switch, child=switches[switch.name])
    for host in topology.hosts:
        made = net.addLink(net[host.name], net[host.switch], port1=0, port2=host.port)
        mark(made.intf2.name)
    for link in topology.links:
        made = net.addLink(net[link.a], net[link.b], port1=link.a_port, port2=link.b_port)
        mark(made.intf1.name)
        mark(made.intf2.name)
    net.build()
    for host in topology.hosts:
        _route_by_gateway(host, holder(net[host.name]))
        set_mtu(holder(net[host.name]), [host.interface], topology.mtu)
    # Before the switches start: what they find then decides how much room they have for a frame.
    set_mtu(None, [name for one in topology.switches for name in topology.ports(one.name).values()], topology.mtu)
    net.links_of_lab = Links(topology, {host.name: holder(net[host.name]) for host in topology.hosts})
    return net


def set_mtu(process: Process | None, interfaces: Iterable[str], mtu: int) -> None:
    """Let interfaces of a host (None: of the root namespace) carry packets of so many bytes. Raises LabError if one
    has another size then."""
    wanted = list(interfaces)
    for interface in wanted:
        namespace.run(process, ["ip", "link", "set", "dev", interface, "mtu", str(mtu)])
    told = {one["ifname"]: one["mtu"] for one in json.loads(namespace.run(process, ["ip", "-json", "link"]))}
    for interface in wanted:
        if told.get(interface) != mtu:
            raise LabError(f"interface {interface} has an MTU of {told.get(interface)}, and not {mtu}")


def holder(node: Any) -> Process:
    """The shell that holds a Mininet host's namespace."""
    process = Process.of(node.pid)
    if process is None:
        raise LabError(f"{node.name}'s shell has ended")
    return process


def _route_by_gateway(host: Host, process: Process) -> None:
    """All that leaves goes to the gateway, whose address nobody asks for: also what stays in the host's own /24, as
    switches forward by IP and answer no ARP."""
    interface = host.interface
    # rp_filter: what a partition keeps from being sent is not received either. accept_local: a client on the leader's
    # own host gets its request back from the switch, with that host's address as source.
    script = f"""
        set -e
        ip route del {host.network} dev {interface}
        ip neighbour replace {host.gateway} lladdr {host.gateway_mac} nud permanent dev {interface}
        ip route replace default via {host.gateway} dev {interface} onlink
        echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter
        echo 1 >/proc/sys/net/ipv4/conf/all/accept_local
        ethtool -K {interface} {" ".join(f"{feature} off" for feature in OFFLOADS)} >/dev/null
    """
    namespace.run(process, ["sh", "-c", script])


def _prepare(interface: str) -> None:
    """Make an interface a switch's: no IPv6, no offloads. Before the switch starts, as what BMv2 finds then decides
    how many packets it can take at once."""
    ipv6 = Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")
    if ipv6.exists():
        ipv6.write_text("1\n")
    namespace.run(None, ["ethtool", "-K", interface, *(word for name in OFFLOADS for word in (name, "off"))])
