"""Messages and log entries: the vocabulary that the core, the log and the wire format share.

Field names are those of Ongaro's thesis, figure 3.1, and of the wire format's table in ``docs/wire.md``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from hosts.raft.frozen import frozen_dataclass

NOBODY = 0
"""Member id that stands for "no member": an unknown leader, a vote not given, a client as source."""

EVERYBODY = 255
"""``target`` of an AppendEntries that the network copies to every member."""

NO_VOTE = 255
"""``voted_for`` of a member that holds nothing and has not voted since its folder was made: as long as that is so it
must not vote for who holds something, for it may have voted out of a folder that was lost. Nor later in that term."""

MAX_TERM = 2**63 - 1
"""Terms and indexes of 2^63 and above are malformed."""


class MessageType(IntEnum):
    """Wire numbers. Peer messages stay below 16; from 16 up are client messages."""

    PRE_VOTE = 1
    PRE_VOTE_REPLY = 2
    REQUEST_VOTE = 3
    REQUEST_VOTE_REPLY = 4
    APPEND_ENTRIES = 5
    APPEND_ENTRIES_REPLY = 6
    INSTALL_SNAPSHOT = 7
    INSTALL_SNAPSHOT_REPLY = 8
    TIMEOUT_NOW = 9
    CONFIGURATION = 10
    CAMPAIGN_HINT = 11
    FRAGMENT_STATUS = 12
    """A receiver of peer fragments names what is missing."""
    READ_INDEX = 13
    """A follower asks, for all reads that wait at it, from which index on it may serve them."""
    READ_INDEX_REPLY = 14
    CLIENT_REQUEST = 16
    CLIENT_REPLY = 17
    CLIENT_FRAGMENT_STATUS = 18
    """A FRAGMENT_STATUS between a client and a node, either way."""


REPLIES_TO_LEADERS = frozenset({MessageType.APPEND_ENTRIES_REPLY, MessageType.INSTALL_SNAPSHOT_REPLY})


class EntryKind(IntEnum):
    """What a log entry holds."""

    NOOP = 0
    """The entry by which a new leader commits what came before (thesis, section 3.6.2)."""
    COMMAND = 1
    """A command of the replicated state machine."""
    CONFIGURATION = 2
    """A change of the cluster's members (thesis, chapter 4)."""


@frozen_dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the replicated log. ``index`` counts from 1."""

    term: int
    index: int
    kind: EntryKind
    data: bytes = b""


@frozen_dataclass(frozen=True, slots=True)
class HardState:
    """What must be on disk before a message that depends on it leaves (thesis, figure 3.1)."""

    current_term: int = 0
    voted_for: int = NOBODY


class Question(NamedTuple):
    """What a ReadIndex asks, on an answer to an AppendEntries: its number, and the two by which its sender's log is
    known, as a ReadIndex has them in ``index`` and ``commit``."""

    number: int
    held: int = 0
    log: int = 0


class Quoted(NamedTuple):
    """What a host says that it has refused, of a reply to a leader: the leader's term, and its round."""

    term: int
    round: int


NOTHING_QUOTED = Quoted(0, 0)


class Answers(NamedTuple):
    """What ReadIndexReplies say, on an AppendEntries without entries."""

    commit: int
    """The commit index when a quorum had confirmed it."""
    questions: tuple[tuple[int, int], ...]
    """(member, number) of the questions that are answered, ascending."""


@frozen_dataclass(frozen=True, slots=True)
class Message:
    """One message between members. The meaning of ``index``, ``log_term`` and ``commit`` depends on ``type``:

    RequestVote, PreVote: last_log_index, last_log_term, 0. Their replies: 0, term asked, 0.
    AppendEntries: prev_log_index, prev_log_term, leader_commit; a heartbeat: 0, 0, leader_commit, and no entries.
    Its reply: match_index, 0, 0; with ``reject``: the rejected prev_log_index, hint term, hint index. A hint of
    term 0 is an acknowledgement.
    InstallSnapshot and its reply: last_included_index, last_included_term, offset in bytes.
    ReadIndex: one more than the index up to which its sender holds what its leader does, 0, and the low 63 bits of
    its log's id, if the group knows it by that (else 0, 0, 0); and as ``round`` the question's number. Its reply: the
    commit index when a quorum had confirmed it, 0, 0. Either may ride on a message that leaves anyway.
    """

    type: MessageType
    source: int
    target: int
    term: int
    index: int = 0
    log_term: int = 0
    commit: int = 0
    reject: bool = False
    more: bool = False
    """InstallSnapshot: another chunk follows. ReadIndex and its reply: its sender takes those that ride, too."""
    round: int = 0
    """A request's round, echoed in its reply: check-quorum and reads count only replies to a round of theirs. Of a
    ReadIndex and its reply the question's number."""
    entries: tuple[Entry, ...] = ()
    data: bytes = b""
    """InstallSnapshot: the chunk."""
    log_id: int = 0
    """A reply: the id of the log that its sender answers out of; 0 if it does not say."""
    lazy: bool = False
    """AppendEntries with entries: who was told that it may answer later may. Without them, to one: it is told so."""
    copied: bool = False
    """AppendEntries: a copy that the network has made for its receiver."""
    receivers: tuple[int, ...] = ()
    """Of an AppendEntries to EVERYBODY: the members who are to get it by the network's copies, ascending; not on the
    wire."""
    needed: int = 0
    """Likewise: so many others make a quorum with the sender; not on the wire."""
    lease: bool = False
    """AppendEntries, InstallSnapshot: the leader relies on leases, so who hears it refuses its vote to others."""
    gather: bool = False
    """AppendEntries with entries, and the reply that acknowledges them: the network may gather that reply."""
    question: Question | None = None
    """Of an AppendEntriesReply: its sender's ReadIndex, which rides on it."""
    answers: Answers | None = None
    """Of an AppendEntries without entries: the leader's ReadIndexReplies, which ride on it."""
