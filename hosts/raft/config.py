"""What a member of a group is told once, at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hosts.raft.message import EVERYBODY

MAX_ID = EVERYBODY - 1


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one member. Raises ValueError, which names the field, for values that cannot work.

    Times are in ticks; the caller decides how long a tick is (10 ms in the node). An AppendEntries holds at least one
    entry, however large; the limits in bytes count an entry's data and ``log.ENTRY_OVERHEAD``.
    """

    id: int
    """This member, 1..254."""
    members: frozenset[int]
    """All voting members at the group's birth; empty for a member that joins later, and learns them from the log."""
    election_timeout_ticks: int = 30
    """The minimum election timeout."""
    heartbeat_ticks: int = 5
    election_spread_ticks: int = 0
    """Each timeout is drawn from this many values from the minimum on, and voters who follow a leader share them out:
    each has a part of its own, so that they do not stand in each other's way when it falls silent. 0: each draws from
    as many values as the minimum has ticks."""
    probe_ticks: int = 0
    """After so much silence of its leader a follower asks after it. Once word has come that nobody is there, it waits
    no longer than this either; no longer at all if that is proven. 0: it always waits for the election timeout."""
    max_entries_per_append: int = 1024
    max_bytes_per_append: int = 1 << 20
    max_inflight: int = 64
    """AppendEntries messages sent to one follower and not yet acknowledged."""
    max_inflight_bytes: int = 4 << 20
    max_uncommitted_bytes: int = 64 << 20
    """Beyond this a leader answers proposals with Busy; one proposal of any size is always taken."""
    max_apply_bytes: int = 4 << 20
    """Committed entries in one Ready; the next Ready brings the rest."""
    bytes_per_tick: int = 16 << 10
    """The slowest path that is not taken for a lossy one: entries are sent again when the answers to two rounds that
    began after them do not acknowledge them; a heartbeat interval lies between those rounds, and one tick more for
    each this many bytes in flight."""
    snapshot_chunk_bytes: int = 256 << 10
    """Data of one InstallSnapshot."""
    snapshot_pace_ticks: int = 0
    """Between two chunks to one member while proposals are committed: they have the right of way."""
    lease_ticks: int = 0
    """Reads need no round while a quorum answered one that began less than this many ticks ago; 0: every read has a
    round. Whoever leads with leases says so to its followers. Clocks must have almost one speed: while any counts
    ``lease_ticks + 1``, no other may count ``election_timeout_ticks - 1``. A caller that drops ticks must say so
    (``Raft.clock_slipped``)."""
    log_id: int = 0
    """The id of this member's log, drawn at random when its folder was made: another folder under one member id is
    another log, and has forgotten what the first has promised. 0: the caller vouches that no folder is ever lost."""
    fanout: bool = False
    """Whether a leader tries to have the network copy what goes to everybody. All members must have the same setting:
    who gets copies that it cannot place says so once a round."""
    fanout_trial_ticks: int = 100
    """Between two trials whether copies arrive, while some member is served alone."""
    lazy_acknowledgements: bool = False
    """Whether a leader lets all but the fastest whom a quorum needs hold their acknowledgements back for a while."""
    gather: bool = False
    """Whether a leader lets the network gather acknowledgements, while it needs nobody's in particular."""
    gather_pause_ticks: int = 100
    """For so long it does not, at first, after a commit that came by answers to heartbeats alone."""
    addresses: Mapping[int, bytes] = field(default_factory=dict, hash=False)
    """Where the members of the group's birth are reached; opaque to the core."""

    def __post_init__(self) -> None:
        for name in ("id", *sorted(self.members)):
            value = self.id if name == "id" else name
            if not isinstance(value, int) or not 1 <= value <= MAX_ID:
                raise ValueError(f"members: {value!r} is not a member id of 1..{MAX_ID}")
        if self.members and self.id not in self.members:
            raise ValueError(f"members: {sorted(self.members)} lack this member's own id {self.id}")
        for name in (
            "heartbeat_ticks",
            "max_entries_per_append",
            "max_bytes_per_append",
            "max_inflight",
            "max_inflight_bytes",
            "max_uncommitted_bytes",
            "max_apply_bytes",
            "bytes_per_tick",
            "snapshot_chunk_bytes",
            "fanout_trial_ticks",
            "gather_pause_ticks",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is less than 1")
        if self.election_timeout_ticks <= 2 * self.heartbeat_ticks:
            raise ValueError(
                f"election_timeout_ticks: {self.election_timeout_ticks} leaves no room for two heartbeats "
                f"of {self.heartbeat_ticks} ticks"
            )
        if self.probe_ticks and not self.heartbeat_ticks < self.probe_ticks < self.election_timeout_ticks:
            raise ValueError(
                f"probe_ticks: {self.probe_ticks} does not lie between the heartbeat of {self.heartbeat_ticks} ticks "
                f"and the election timeout of {self.election_timeout_ticks} ticks"
            )
        if self.election_spread_ticks < 0:
            raise ValueError(f"election_spread_ticks: {self.election_spread_ticks} is less than 0")
        if not 0 <= self.lease_ticks <= self.election_timeout_ticks - 3:
            raise ValueError(
                f"lease_ticks: {self.lease_ticks} is not at least three ticks shorter than the election timeout "
                f"of {self.election_timeout_ticks} ticks"
            )
