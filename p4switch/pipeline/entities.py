"""What a control plane puts into a pipeline and what comes out of one.

Plain frozen values, shared by the pipeline, the packet loop, the P4Runtime server and the STF runner.
All numbers are Python ints of any width; names are the BMv2 JSON's full names (``ingress.ipv4_lpm``).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Exact:
    """The key field equals `value`. For the match kind ``valid``: 1 or 0."""

    value: int


@dataclass(frozen=True)
class Lpm:
    """The first `prefix_len` bits of the key field equal those of `value`; 0 matches all."""

    value: int
    prefix_len: int


@dataclass(frozen=True)
class Ternary:
    """The key field equals `value` where `mask` has ones. For ``optional``: mask is all ones, or 0."""

    value: int
    mask: int


@dataclass(frozen=True)
class Range:
    """The key field lies in `low`..`high`, both included."""

    low: int
    high: int


Match = Exact | Lpm | Ternary | Range


@dataclass(frozen=True)
class Member:
    """In the place of an action name: a member of the table's action profile."""

    id: int


@dataclass(frozen=True)
class Group:
    """In the place of an action name: a group of the table's action profile (with a selector)."""

    id: int


EntryAction = str | Member | Group
"""What an entry leads to: an action's name, or a member or group where the table has an action profile."""


@dataclass(frozen=True)
class Replica:
    """One copy of a multicast group or clone session: the egress port and what egress sees as egress_rid."""

    port: int
    instance: int


@dataclass(frozen=True)
class Entry:
    """A table entry as the pipeline holds it.

    `priority`: the larger wins, as in P4Runtime; 0 where the match kinds leave no choice (exact, LPM).
    """

    handle: int
    match: tuple[Match, ...]
    priority: int
    action: EntryAction
    params: tuple[int, ...]
    const: bool = False


@dataclass(frozen=True)
class MeterRates:
    """A two-rate three-colour marker (RFC 2698): rates per second, in bytes or packets as the meter counts."""

    cir: int
    cburst: int
    pir: int
    pburst: int


@dataclass(frozen=True)
class Output:
    """What one packet, or one drain of the loop, gave.

    `packets`: (egress port, frame); frames to the CPU port still carry the packet_in header.
    `digests`: (digest name, field values in order).
    `log`: the texts of log_msg calls, in order.
    """

    packets: tuple[tuple[int, bytes], ...] = ()
    digests: tuple[tuple[str, tuple[int, ...]], ...] = ()
    log: tuple[str, ...] = field(default=(), compare=False)
