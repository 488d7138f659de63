"""Which packets are waited for: words ``name=value``, all of which must hold; of values with commas one must.

    type=AppendEntries from=h1 to=h3
    type=ClientRequest,ClientReply group=1
    drop=stale_term

docs/follow.md says what the names mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from controller.names import DropReason, message_name, reason_name
from hosts.config import Address
from hosts.raft.message import MessageType
from hosts.wire import HEADER_BYTES, Flag, Header, WireError
from topo.errors import UsageError
from topo.topology import Topology
from topo.views.capture import Packet
from web.recording import PAYLOAD_AT

MALFORMED = "malformed"
ANY = "any"
NUMBERS = ("source", "target", "group", "term", "index", "log_term", "commit", "session", "sequence")
"""Fields of the header; ``session`` and ``sequence`` are those of client messages (docs/wire.md)."""
WORDS = ("type", "from", "to", "host", "flag", "drop", *NUMBERS)

Test = Callable[["Sent"], bool]


@dataclass(frozen=True)
class Sent:
    """A frame that comes in at a host's port. ``host``: whose port; ``header``: None where it is no Raft header, and
    ``fault`` says why not."""

    time_ns: int
    host: str
    frame: bytes
    source: Address
    destination: Address
    header: Header | None
    fault: str = ""

    @property
    def payload(self) -> bytes:
        """What follows the header."""
        return self.frame[PAYLOAD_AT + HEADER_BYTES :]


def sent(time_ns: int, host: str, frame: bytes, raft_port: int) -> Sent:
    """What a frame says of itself."""
    packet = Packet(time_ns / 1e9, False, frame)
    source, source_port, destination, destination_port = packet.ends or ("", 0, "", 0)
    try:
        header, fault = packet.raft(raft_port), ""
    except WireError as error:
        header, fault = None, str(error)
    return Sent(time_ns, host, frame, (source, source_port), (destination, destination_port), header, fault)


@dataclass(frozen=True)
class Filter:
    """What was asked for. ``drops``: reasons, one of which must have dropped the packet; without any, its end does
    not matter."""

    text: str
    tests: tuple[Test, ...] = ()
    drops: frozenset[str] = frozenset()

    def matches(self, one: Sent) -> bool:
        """Whether a packet fits as it leaves its host."""
        return all(test(one) for test in self.tests)

    def ends(self, reasons: Iterable[str]) -> bool:
        """Whether it fits as well by the reasons for which it, or a copy of it, was dropped."""
        found = set(reasons)
        return not self.drops or bool(found & self.drops) or (ANY in self.drops and bool(found))


def parse(text: str, topology: Topology) -> Filter:
    """A filter as people write it. Raises UsageError."""
    tests: list[Test] = []
    drops: set[str] = set()
    words = text.split()
    if not words:
        raise UsageError("--wait: name what to wait for, as in: --wait 'type=AppendEntries from=h1 to=h3'")
    for word in words:
        name, equals, value = word.partition("=")
        values = value.split(",")
        if name not in WORDS or not equals or not all(values):
            raise UsageError(f"--wait {word}: a word is NAME=VALUE or NAME=VALUE,VALUE; names: {', '.join(WORDS)}")
        if name == "drop":
            drops |= {_reason(word, one) for one in values}
        else:
            tests.append(_any([_test(word, name, one, topology) for one in values]))
    return Filter(text, tuple(tests), frozenset(drops))


def _any(tests: list[Test]) -> Test:
    return lambda one: any(test(one) for test in tests)


def _test(word: str, name: str, value: str, topology: Topology) -> Test:
    if name == "type":
        return _type(word, value)
    if name == "flag":
        return _flag(word, value)
    if name in ("from", "to", "host"):
        return _end(word, name, value, topology)
    return _number(word, name, value)


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


_TYPES = {_plain(kind.name): kind for kind in MessageType}


def _type(word: str, value: str) -> Test:
    if _plain(value) == MALFORMED:
        return lambda one: one.header is None
    kind = _TYPES.get(_plain(value))
    if kind is None:
        known = ", ".join(map(message_name, MessageType))
        raise UsageError(f"--wait {word}: no message is of this type; there are {known}, and {MALFORMED}")
    return lambda one: one.header is not None and one.header.type == kind


def _flag(word: str, value: str) -> Test:
    flag = next((name for name in Flag.__members__ if _plain(name) == _plain(value)), None)
    if flag is None:
        raise UsageError(f"--wait {word}: there is no such flag; there are {', '.join(Flag.__members__)}")
    return lambda one: one.header is not None and flag in one.header.flag_names


def _end(word: str, name: str, value: str, topology: Topology) -> Test:
    addresses = _addresses(word, value, topology)

    def leaves(one: Sent) -> bool:
        return one.host == value or one.source[0] in addresses

    def comes(one: Sent) -> bool:
        return one.destination[0] in addresses

    if name == "from":
        return leaves
    return comes if name == "to" else lambda one: leaves(one) or comes(one)


def _addresses(word: str, value: str, topology: Topology) -> frozenset[str]:
    if value == "service":
        return frozenset(str(group.service) for group in topology.groups if group.service is not None)
    host = next((host for host in topology.hosts if host.name == value), None)
    if host is not None:
        return frozenset({str(host.ip)})
    try:
        return frozenset({str(IPv4Address(value))})
    except (AddressValueError, ValueError):
        known = ", ".join(host.name for host in topology.hosts)
        raise UsageError(f"--wait {word}: an end is {known}, service, or an IPv4 address") from None


_SMALL = {"source": 8, "target": 8, "group": 16}
_BITS = 64
"""Of a field of the header, unless it is one of the small ones."""
_FIELDS = {"session": "log_term", "sequence": "index"}


def _number(word: str, name: str, value: str) -> Test:
    try:
        wanted = int(value, 16 if name == "session" else 10)
    except ValueError:
        kind = "a hexadecimal number, as `switchraft capture` prints it" if name == "session" else "a number"
        raise UsageError(f"--wait {word}: {name} is {kind}") from None
    most = (1 << _SMALL.get(name, _BITS)) - 1
    if not 0 <= wanted <= most:
        shown = f"{most:x}" if name == "session" else f"{most}"
        raise UsageError(f"--wait {word}: no packet has that {name}: it is from 0 to {shown}")
    field = _FIELDS.get(name, name)
    return lambda one: one.header is not None and getattr(one.header, field) == wanted


def _reason(word: str, value: str) -> str:
    known = [reason_name(reason) for reason in DropReason if reason is not DropReason.NONE]
    if value not in (ANY, *known):
        raise UsageError(f"--wait {word}: switches drop for {', '.join(known)}; or {ANY}")
    return value
