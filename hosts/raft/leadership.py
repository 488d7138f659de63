"""What a member holds only while it leads: everyone's progress, the rounds, the bytes not yet committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hosts.raft.config import Config
from hosts.raft.log import ENTRY_OVERHEAD, MemoryLog
from hosts.raft.message import NOBODY, Entry, EntryKind, Message, MessageType
from hosts.raft.progress import Progress
from hosts.raft.quorum import Membership
from hosts.raft.reads import Reads


class Leadership:
    """One term's leader. ``send`` takes each message that may leave at once.

    Every heartbeat begins a round. A member that answers a message of round r was reachable, and in this term, at
    some moment after r began; so contact counts from the beginning of the round, not from the answer's arrival.
    """

    __slots__ = (
        "_config",
        "_last_beat",
        "_log",
        "_membership",
        "_now",
        "_own_match",
        "_progress",
        "_round_began",
        "_send",
        "_served",
        "_transfer_began",
        "reads",
        "round",
        "successor",
        "term",
        "uncommitted_bytes",
    )

    def __init__(
        self, config: Config, membership: Membership, log: MemoryLog, term: int, send: Callable[[Message], None]
    ) -> None:
        self._config = config
        self._membership = membership
        self._log = log
        self._send = send
        self.term = term
        self.uncommitted_bytes = 0
        self.round = 0
        self._round_began: dict[int, int] = {}
        self._now = 0
        self._last_beat = 0
        self._own_match = log.durable_index
        self.reads = Reads()
        self._served: list[tuple[int, int]] = []
        self.successor = NOBODY
        self._transfer_began = 0
        self._progress = {
            member: Progress(log.last_index + 1, self._now) for member in sorted(membership.everyone() - {config.id})
        }

    # -- entries ------------------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether another proposal may be taken (Busy otherwise)."""
        return self.uncommitted_bytes < self._config.max_uncommitted_bytes

    def append(self, kind: EntryKind, data: bytes) -> Entry:
        """Add an entry of this term to the own log."""
        entry = Entry(self.term, self._log.last_index + 1, kind, data)
        self._log.append(entry)
        self.uncommitted_bytes += len(data) + ENTRY_OVERHEAD
        return entry

    def replicate(self) -> None:
        """Send everyone what is new, as far as the windows allow."""
        last = self._log.last_index
        for member, progress in self._progress.items():
            if progress.next_index <= last:
                self._fill_window(member, progress)

    def _fill_window(self, member: int, progress: Progress) -> None:
        config, log = self._config, self._log
        while progress.next_index <= log.last_index and progress.has_room(
            config.max_inflight, config.max_inflight_bytes
        ):
            first = progress.next_index
            entries, size = log.between(
                first, log.last_index, config.max_entries_per_append, config.max_bytes_per_append
            )
            self._send_append(member, progress, first - 1, log.commit_index, entries)
            progress.sent(entries[-1].index, size, self._now)

    def _send_append(
        self, member: int, progress: Progress, prev_index: int, commit: int, entries: tuple[Entry, ...] = ()
    ) -> None:
        prev_term = self._log.term_at(prev_index)
        if prev_term is None:
            raise LookupError(f"entry {prev_index} for member {member} is not in the log")
        progress.commit_sent = max(progress.commit_sent, min(commit, prev_index + len(entries)))
        self._send(
            Message(
                MessageType.APPEND_ENTRIES,
                self._config.id,
                member,
                self.term,
                prev_index,
                prev_term,
                commit,
                round=self.round,
                entries=entries,
            )
        )

    # -- time ---------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """One tick. False if no quorum has answered a round that began within an election timeout: step down."""
        self._now += 1
        if self.successor != NOBODY and self._now - self._transfer_began >= self._config.election_timeout_ticks:
            self.successor = NOBODY
        contact = {member: progress.contact_tick for member, progress in self._progress.items()}
        contact[self._config.id] = self._now
        if self._now - self._membership.reached(contact) >= self._config.election_timeout_ticks:
            return False
        if self._now - self._last_beat >= self._config.heartbeat_ticks:
            self.begin_round()
        else:
            self._announce_commit()
        return True

    def begin_round(self) -> None:
        """Send everyone a heartbeat of a new round."""
        self.round += 1
        self._last_beat = self._now
        began = self._round_began
        began[self.round] = self._now
        while True:
            oldest = next(iter(began))
            if self._now - began[oldest] < self._config.election_timeout_ticks:
                break
            del began[oldest]
        if self._may_read():
            self.reads.begin(self.round, self._log.commit_index)
        for member, progress in self._progress.items():
            self._send_heartbeat(member, progress)

    def _send_heartbeat(self, member: int, progress: Progress) -> None:
        """An empty AppendEntries at ``match_index``, where the logs surely agree: it is never rejected because it
        overtook entries, and so its commit index must not lie beyond that point."""
        match = progress.match_index
        self._send_append(member, progress, match, min(match, self._log.commit_index))

    def _announce_commit(self) -> None:
        """Tell those whom no AppendEntries has told since: at most once a tick, so mostly it rides along."""
        commit = self._log.commit_index
        for member, progress in self._progress.items():
            if progress.commit_sent < min(commit, progress.match_index):
                self._send_heartbeat(member, progress)

    # -- answers ------------------------------------------------------------------------------------------------

    def own_disk_holds(self, index: int) -> bool:
        """The own log is durable up to ``index``. True if the commit index moved."""
        self._own_match = max(self._own_match, index)
        return self._advance_commit()

    def on_append_reply(self, reply: Message) -> bool:
        """An answer of this term. True if the commit index moved."""
        progress = self._progress.get(reply.source)
        if progress is None or reply.index > self._log.last_index:
            return False
        began = self._round_began.get(reply.round)
        if began is not None and began > progress.contact_tick:
            progress.contact_tick = began
        if progress.answered_round < reply.round <= self.round:
            progress.answered_round = reply.round
            if self.reads.waiting:
                self._release_reads()
        if reply.reject:
            retry_after = self._log.last_with_term_at_most(reply.log_term, reply.commit)
            if progress.rejected(reply.index, retry_after):
                self._fill_window(reply.source, progress)
            return False
        news = progress.acknowledged(reply.index)
        if reply.source == self.successor:
            self._complete_transfer()
        if news:
            return self._advance_commit()
        if progress.give_up_waiting(self._now, self._config.heartbeat_ticks, self._config.bytes_per_tick):
            self._fill_window(reply.source, progress)
        return False

    def _advance_commit(self) -> bool:
        """Only an entry of the own term commits by counting; older ones commit with it (thesis, section 3.6.2)."""
        log = self._log
        match = {member: progress.match_index for member, progress in self._progress.items()}
        match[self._config.id] = self._own_match
        index = self._membership.reached(match)
        if index <= log.commit_index or log.term_at(index) != self.term:
            return False
        log.commit_index = index
        return True

    def committed(self, entries: tuple[Entry, ...]) -> None:
        """These were given out to be applied; those of this term no longer count against proposals."""
        for entry in entries:
            if entry.term == self.term:
                self.uncommitted_bytes -= len(entry.data) + ENTRY_OVERHEAD

    # -- reads --------------------------------------------------------------------------------------------------

    def _may_read(self) -> bool:
        """Only with an entry of the own term does a leader know all that is committed (thesis, section 6.4)."""
        return self._log.term_at(self._log.commit_index) == self.term

    def take_reads(self) -> tuple[tuple[int, int], ...]:
        """Begin a round for reads that wait for one; the reads that are safe since the last call."""
        if self.reads.want_round and self._may_read():
            self.begin_round()
            self._release_reads()  # a single member's quorum is itself
        if not self._served:
            return ()
        served, self._served = tuple(self._served), []
        return served

    def _release_reads(self) -> None:
        rounds = {member: progress.answered_round for member, progress in self._progress.items()}
        rounds[self._config.id] = self.round
        self._served += self.reads.answered(self._membership.reached(rounds))

    # -- handing over -------------------------------------------------------------------------------------------

    def hand_over(self, successor: int) -> None:
        """Take no proposals until ``successor`` leads, or an election timeout has passed."""
        if successor != self.successor:
            self.successor = successor
            self._transfer_began = self._now
        self._complete_transfer()

    def _complete_transfer(self) -> None:
        progress = self._progress[self.successor]
        if progress.match_index == self._log.last_index:
            self._send(Message(MessageType.TIMEOUT_NOW, self._config.id, self.successor, self.term))

    # -- people -------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """For people: the round and everyone's progress."""
        return {
            "round": self.round,
            "uncommitted_bytes": self.uncommitted_bytes,
            "successor": self.successor,
            "progress": {
                str(member): {
                    "match_index": progress.match_index,
                    "next_index": progress.next_index,
                    "mode": progress.mode.value,
                    "inflight": progress.inflight,
                    "silent_ticks": self._now - progress.contact_tick,
                }
                for member, progress in self._progress.items()
            },
        }
