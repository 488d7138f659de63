"""Where the dissector hangs: the first branches, on a way from the start, that lead to what Wireshark does not know.

Wireshark's layers are told here by their shapes, as the names are the program's own: an Ethernet header has fields
of 48, 48 and 16 bits; what follows EtherType 0x0800 is IPv4; and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from p4compiler.wireshark.expressions import NotSupported
from p4compiler.wireshark.layout import Header
from p4compiler.wireshark.lua import Json
from p4compiler.wireshark.states import States, split

IPV4, IPV6, VLANS, ARP = 0x0800, 0x86DD, (0x8100, 0x88A8), 0x0806
TCP, UDP = 6, 17
OTHER_PROTOCOLS = frozenset({1, 2, 58})
"""ICMP, IGMP and ICMPv6: Wireshark has them."""
MOST_STATES = 10_000
MOST_FREE_BITS = 8


@dataclass(frozen=True)
class Layer:
    """A header that Wireshark knows. `table`: its table of what follows; `bits`: its least size; `keys`: where it
    says what follows, as (bit, width)."""

    table: str
    bits: int
    keys: frozenset[tuple[int, int]]


_ETHERNET = Layer("ethertype", 112, frozenset({(96, 16)}))
_VLAN = Layer("ethertype", 32, frozenset({(16, 16)}))
_IPV4 = Layer("ip.proto", 160, frozenset({(72, 8)}))
_IPV6 = Layer("ip.proto", 320, frozenset({(48, 8)}))
_UDP = Layer("udp.port", 64, frozenset({(0, 16), (16, 16)}))
_TCP = Layer("tcp.port", 160, frozenset({(0, 16), (16, 16)}))
_UNKNOWN = Layer("", 0, frozenset())
_ETHERNET_SHAPE = (48, 48, 16)
_ADDRESSES = {
    (_ETHERNET, (0, 48)): "ether",
    (_ETHERNET, (48, 48)): "ether",
    (_IPV4, (96, 32)): "ipv4",
    (_IPV4, (128, 32)): "ipv4",
}
_AFTER: Mapping[tuple[str, int], Layer] = {
    ("ethertype", IPV4): _IPV4,
    ("ethertype", IPV6): _IPV6,
    **{("ethertype", vlan): _VLAN for vlan in VLANS},
    ("ip.proto", UDP): _UDP,
    ("ip.proto", TCP): _TCP,
}


@dataclass(frozen=True)
class Hook:
    """An entry of one of Wireshark's tables: with this value, the parser is in this state."""

    table: str
    value: int
    state: str


@dataclass(frozen=True)
class _At:
    """On a way through the states, with what was learnt of the packet: `header` is of `layer`; without a header, the
    one that is extracted next will be."""

    state: str
    layer: Layer | None = None
    header: str | None = None


class Ways:
    """The ways through a parser from its start, as far as Wireshark's layers can be told."""

    def __init__(self, parser: Json, headers: Mapping[str, Header], states: States) -> None:
        self.headers = headers
        self.states = states
        self.by_name = {one["name"]: one for one in parser["parse_states"]}
        self.hooks: dict[Hook, None] = {}
        self.layers: dict[str, Layer] = {}
        waiting, seen = [_At(parser["init_state"])], set[_At]()
        while waiting and len(seen) < MOST_STATES:
            at = waiting.pop(0)
            if at in seen or at.state not in self.by_name:
                continue
            seen.add(at)
            waiting += self._leave(self._enter(at))

    def shown(self) -> dict[tuple[str, str], str]:
        """Fields that Wireshark shows as addresses, by header and field."""
        found = {}
        for name, layer in self.layers.items():
            header = self.headers[name]
            for one in header.fields:
                kind = _ADDRESSES.get((layer, header.place(one.name) or (0, 0)))
                if kind is not None:
                    found[name, one.name] = kind
        return found

    def _enter(self, at: _At) -> _At:
        """After the state's first header, if that is what was expected."""
        regular = (one["parameters"][0] for one in self.by_name[at.state]["parser_ops"] if one["op"] == "extract")
        name = next((one["value"] for one in regular if one["type"] == "regular"), None)
        if name is None or at.header is not None:
            return at
        header, layer = self.headers[name], at.layer
        if layer is None:
            shape = tuple(one.width for one in header.fields[:3])
            layer = _ETHERNET if shape == _ETHERNET_SHAPE else _UNKNOWN
        elif header.bits < layer.bits:
            layer = _UNKNOWN
        if layer is not _UNKNOWN:
            self.layers[name] = layer
        return _At(at.state, layer, name)

    def _leave(self, at: _At) -> Iterator[_At]:
        """Where it goes on. What Wireshark does not know becomes a hook, and is followed no further."""
        state = self.by_name[at.state]
        for one in state["transitions"]:
            target = one["next_state"]
            if target is None:
                continue
            values = self._values(at, state["transition_key"], one)
            if at.layer is None or not values:
                yield replace(at, state=target)
                continue
            for value in values:
                after = _AFTER.get((at.layer.table, value))
                if after is not None:
                    yield _At(target, after)
                elif not _known(at.layer, value):
                    self.hooks[Hook(at.layer.table, value, target)] = None

    def _values(self, at: _At, keys: Sequence[Json], transition: Json) -> list[int]:
        """What a transition wants of the layer's keys; nothing if it does not look at them."""
        if at.header is None or at.layer is None or transition["type"] != "hexstr":
            return []
        try:
            widths = [self.states.width(key) for key in keys]
        except NotSupported:
            return []
        places = [
            self.headers[at.header].place(key["value"][1])
            if key["type"] == "field" and key["value"][0] == at.header else None
            for key in keys
        ]  # fmt: skip
        parts = zip(places, split(transition["value"], transition["mask"], widths), strict=True)
        return [value for place, part in parts if place in at.layer.keys for value in _values_of(*part)]


def _values_of(value: int, mask: int, width: int) -> list[int]:
    """All values that a masked one stands for, if they are not too many to be listed."""
    free = [1 << bit for bit in range(width) if not mask >> bit & 1]
    if len(free) > MOST_FREE_BITS:
        return []
    found = [value & mask]
    for bit in free:
        found += [one | bit for one in found]
    return sorted(found)


def _known(layer: Layer, value: int) -> bool:
    """Whether Wireshark is left to dissect what follows. EtherTypes below 0x600 are lengths."""
    if layer.table == "ethertype":
        return value == ARP or value < 0x600
    return layer.table == "ip.proto" and value in OTHER_PROTOCOLS
