"""The wire format's header as a Scapy layer, for crafting and looking at packets.

    from hosts.scapy_layer import Raft
    IP(dst="10.0.1.1") / UDP(sport=26410, dport=26410) / Raft(type="AppendEntries", source=1, target=2, term=5)

``hosts.wire`` says what the fields mean. What follows the header stays raw.
"""

from __future__ import annotations

from typing import Any

from scapy.fields import ByteEnumField, ByteField, FlagsField, LongField, ShortField
from scapy.layers.inet import UDP
from scapy.packet import Packet, bind_layers

from hosts.raft.message import MessageType
from hosts.wire import DEFAULT_PORT, VERSION, Flag, flag_names

TYPE_NAMES = {int(kind): kind.name.title().replace("_", "") for kind in MessageType}
"""AppendEntries for APPEND_ENTRIES, and so on: the names of the wire format's table."""

_NAMES = {int(flag): flag.name or "" for flag in Flag}
FLAG_NAMES = [_NAMES.get(1 << bit, f"FLAG_{1 << bit:#x}") for bit in range(8)]
"""By bit."""


class _Flags(FlagsField):
    """One of the bits has another name in an AppendEntries."""

    def i2repr(self, pkt: Packet | None, x: Any) -> str:
        return "+".join(flag_names(pkt.type, int(x))) if pkt is not None else str(super().i2repr(pkt, x))


class Raft(Packet):
    """The 40 bytes of header."""

    name = "Raft"
    fields_desc = [  # noqa: RUF012  Scapy's way
        ByteField("version", VERSION),
        ByteEnumField("type", int(MessageType.APPEND_ENTRIES), TYPE_NAMES),
        _Flags("flags", 0, 8, FLAG_NAMES),
        ByteField("source", 0),
        ByteField("target", 0),
        ByteField("reserved", 0),
        ShortField("group", 1),
        LongField("term", 0),
        LongField("index", 0),
        LongField("log_term", 0),
        LongField("commit", 0),
    ]

    def answers(self, other: Packet) -> int:
        """Whether this is a reply to ``other``, for Scapy's sr()."""
        if not isinstance(other, Raft) or other.group != self.group or self.type != other.type + 1:
            return 0
        if self.type == MessageType.CLIENT_REPLY:
            return int((self.index, self.log_term) == (other.index, other.log_term))
        return int((self.source, self.target) == (other.target, other.source))


def bind_port(port: int) -> None:
    """Take UDP datagrams from and to ``port`` for Raft; DEFAULT_PORT is taken already."""
    bind_layers(UDP, Raft, sport=port)
    bind_layers(UDP, Raft, dport=port)
    bind_layers(UDP, Raft, sport=port, dport=port)


bind_port(DEFAULT_PORT)
