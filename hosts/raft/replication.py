"""How a leader brings its log to the others: windows of entries, heartbeats, and snapshots for those far behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hosts.raft.config import Config
from hosts.raft.configuration import Configuration
from hosts.raft.log import MemoryLog
from hosts.raft.message import Message, MessageType
from hosts.raft.progress import NEVER, Mode, Progress
from hosts.raft.snapshot import Outgoing


class Replication:
    """Everyone's progress in one term. ``send`` takes each message that may leave at once; ``now`` (ticks) and
    ``round`` are the leader's. Who is in ``progress`` and not in ``served`` gets nothing but empty heartbeats."""

    __slots__ = ("_config", "_log", "_send", "_term", "now", "progress", "round", "served")

    def __init__(self, config: Config, log: MemoryLog, term: int, send: Callable[[Message], None]) -> None:
        self._config = config
        self._log = log
        self._term = term
        self._send = send
        self.now = 0
        self.round = 0
        self.progress: dict[int, Progress] = {}
        self.served = self.progress
        self.adopt(log.configurations.latest, log.last_index + 1)

    def adopt(self, configuration: Configuration, next_index: int) -> None:
        """Take over who the members are now. Newcomers get entries, from ``next_index`` on or what turns out to be
        missing; those who left get nothing more."""
        others = configuration.membership.everyone() - {self._config.id}
        for member in self.progress.keys() - others:
            del self.progress[member]
        for member in sorted(others - self.progress.keys()):
            self.progress[member] = Progress(next_index, self.now, self.round)

    def begin_anew(self, member: int) -> None:
        """Nothing is known any more of what a member holds."""
        self.progress[member] = Progress(self._log.last_index + 1, self.now, self.round)

    def replicate(self) -> None:
        """Send everyone what is new, as far as the windows allow."""
        last = self._log.last_index
        for member, progress in self.served.items():
            if progress.next_index <= last:
                self.fill_window(member, progress)

    def fill_window(self, member: int, progress: Progress) -> None:
        """Send one member what its window allows, or the snapshot if it needs what the log holds no more."""
        config, log = self._config, self._log
        if progress.next_index <= progress.floor:
            return
        if progress.mode is not Mode.SNAPSHOT and progress.next_index <= log.base_index:
            assert log.snapshot is not None
            progress.begin_snapshot(Outgoing(log.snapshot))
        if progress.snapshot is not None:
            if progress.sent_tick == NEVER:
                if (
                    progress.offset == 0
                    and log.snapshot is not None
                    and log.snapshot is not progress.snapshot.snapshot
                ):
                    progress.begin_snapshot(Outgoing(log.snapshot))
                if self.now >= progress.chunk_after or log.commit_index == log.last_index:
                    self._send_chunk(member, progress, progress.snapshot)
            return
        while progress.next_index <= log.last_index and progress.has_room(
            config.max_inflight, config.max_inflight_bytes
        ):
            first = progress.next_index
            entries, size = log.between(
                first, log.last_index, config.max_entries_per_append, config.max_bytes_per_append
            )
            self.send_append(member, progress, first - 1, log.commit_index, entries)
            progress.sent(entries[-1].index, size, self.round)

    def send_append(
        self, member: int, progress: Progress, prev_index: int, commit: int, entries: tuple[Any, ...] = ()
    ) -> None:
        """One AppendEntries. LookupError if the log does not hold ``prev_index``. Its receiver commits what agrees:
        up to the end of ``entries``, and what it has acknowledged."""
        prev_term = self._log.term_at(prev_index) if prev_index else 0
        if prev_term is None or (entries and entries[0].index != prev_index + 1):
            raise LookupError(f"entry {prev_index} for member {member} is not in the log")
        agrees = max(prev_index + len(entries), progress.match_index)
        progress.commit_sent = max(progress.commit_sent, min(commit, agrees))
        self._send(
            Message(
                MessageType.APPEND_ENTRIES,
                self._config.id,
                member,
                self._term,
                prev_index,
                prev_term,
                commit,
                round=self.round,
                entries=entries,
            )
        )

    def _send_chunk(self, member: int, progress: Progress, stream: Outgoing) -> None:
        chunk = stream.chunk(progress.offset, self._config.snapshot_chunk_bytes)
        progress.sent_tick = self.now
        progress.chunk_after = self.now + self._config.snapshot_pace_ticks
        progress.chunk_bytes = len(chunk)
        self._send(
            Message(
                MessageType.INSTALL_SNAPSHOT,
                self._config.id,
                member,
                self._term,
                stream.snapshot.index,
                stream.snapshot.term,
                progress.offset,
                more=progress.offset + len(chunk) < stream.size,
                round=self.round,
                data=chunk,
            )
        )

    def send_heartbeats(self) -> None:
        for member, progress in self.progress.items():
            self._send_heartbeat(member, progress)

    def _send_heartbeat(self, member: int, progress: Progress) -> None:
        """An empty AppendEntries at the log's beginning, where all agree: it is the same for everyone, and is never
        rejected because it overtook entries. Its receiver knows up to where the logs agree: it commits that far, and
        its answer acknowledges that, whatever answer has been lost before."""
        self.send_append(member, progress, 0, self._log.commit_index)

    def _show_match(self, member: int, progress: Progress) -> None:
        """Show a member that has restarted that it agrees up to ``match_index``, once a round: it knows that no more,
        and would commit nothing by heartbeats. If it rejects that, it has lost data."""
        if progress.shown_round < self.round and progress.match_index >= self._log.base_index:
            progress.shown_round = self.round
            self.send_append(member, progress, progress.match_index, self._log.commit_index)

    def owes_commit(self) -> bool:
        """Whether ``announce_commit`` has someone to tell."""
        commit = self._log.commit_index
        for progress in self.served.values():
            if progress.commit_sent < progress.match_index and progress.commit_sent < commit:
                return True
        return False

    def send_up_to(self, stranger: int, match_index: int, index: int) -> None:
        """Send entry ``index`` to somebody whose progress is not followed: with those before it from ``match_index``
        on, if they fit into one message."""
        config, log = self._config, self._log
        for prev in (match_index, index - 1):
            if not log.base_index <= prev < index:
                continue
            entries, _ = log.between(prev + 1, index, config.max_entries_per_append, config.max_bytes_per_append)
            if entries[-1].index == index:
                self.send_append(stranger, Progress(index, self.now), prev, log.commit_index, entries)
                return

    def announce_commit(self) -> None:
        """Tell those whom no AppendEntries has told since: at most once a tick, so mostly it rides along."""
        commit = self._log.commit_index
        for member, progress in self.served.items():
            if progress.commit_sent < progress.match_index and progress.commit_sent < commit:
                self._send_heartbeat(member, progress)

    # -- answers ------------------------------------------------------------------------------------------------

    def on_append_reply(self, progress: Progress, reply: Message) -> bool:
        """Whether ``match_index`` grew."""
        if reply.reject:
            return self._on_reject(progress, reply)
        news = self._acknowledged(progress, reply.index)
        if progress.has_restarted(reply.index, reply.round):
            self._show_match(reply.source, progress)
        config = self._config
        if not news and progress.give_up_waiting(
            self.now, reply.round, config.heartbeat_ticks, config.bytes_per_tick
        ):
            self.fill_window(reply.source, progress)
        return news

    def _on_reject(self, progress: Progress, reply: Message) -> bool:
        """A hint with a term is a guess. One without is what agrees, and durable: an acknowledgement."""
        news, retry_after = False, reply.commit
        if not reply.log_term and 0 < reply.commit < reply.index:
            news = self._acknowledged(progress, reply.commit)
        else:
            retry_after = self._log.last_with_term_at_most(reply.log_term, reply.commit)
        if progress.rejected(reply.index, retry_after):
            self.fill_window(reply.source, progress)
        return news

    def _acknowledged(self, progress: Progress, index: int) -> bool:
        news = progress.acknowledged(index, self.round)
        self._leave_snapshot(progress)
        return news

    def on_snapshot_reply(self, progress: Progress, reply: Message) -> bool:
        """How far a member is with the snapshot; ``reject``: a chunk was not the one it wanted. Whether
        ``match_index`` grew."""
        stream = progress.snapshot
        if stream is None or (reply.index, reply.log_term) != (stream.snapshot.index, stream.snapshot.term):
            return False
        if reply.commit >= stream.size and not reply.reject:
            news = progress.acknowledged(stream.snapshot.index, self.round)
            self._leave_snapshot(progress)
            return news
        if reply.reject and reply.commit == progress.offset == 0:
            progress.refused_beginning()
            return False
        if reply.reject and reply.commit != progress.offset and reply.commit < stream.size:
            progress.wants(reply.commit)
        elif not progress.took_chunk(reply.commit):
            return False
        self.fill_window(reply.source, progress)
        return False

    def _leave_snapshot(self, progress: Progress) -> None:
        """Send a member no more of its snapshot if it does not need it any more. The end of the snapshot shows that,
        or an acknowledgement of entries. It may need a newer one, where the log has been compacted since."""
        stream = progress.snapshot
        if stream is not None and progress.match_index >= min(stream.snapshot.index, self._log.base_index):
            progress.has_snapshot()

    def oldest_transfer(self, silent_ticks: int) -> int | None:
        """The least index of a snapshot that is on its way to a member heard of within ``silent_ticks``."""
        return min(
            (
                one.snapshot.snapshot.index
                for one in self.served.values()
                if one.snapshot is not None and self.now - one.contact_tick < silent_ticks
            ),
            default=None,
        )

    def status(self) -> dict[str, Any]:
        """For people: everyone's progress."""
        shown: dict[str, dict[str, Any]] = {}
        for member, progress in self.progress.items():
            shown[str(member)] = {
                "match_index": progress.match_index,
                "next_index": progress.next_index,
                "mode": progress.mode.value,
                "inflight": progress.inflight,
                "silent_ticks": self.now - progress.contact_tick,
            }
            if progress.snapshot is not None:
                shown[str(member)]["snapshot"] = {"offset": progress.offset, "size": progress.snapshot.size}
        return shown
