"""How a leader brings its log to the others: windows of entries, heartbeats, and snapshots for those far behind."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from hosts.raft.config import Config
from hosts.raft.configuration import Configuration
from hosts.raft.fanout import Fanout, FanoutCounts
from hosts.raft.fastest import AcknowledgementCounts, Fastest
from hosts.raft.gathering import Gathering
from hosts.raft.log import MemoryLog
from hosts.raft.message import EVERYBODY, Answers, Message, MessageType
from hosts.raft.progress import NEVER, Mode, Progress
from hosts.raft.reads import Answering
from hosts.raft.snapshot import Outgoing

TELL_HEARTBEATS = 20
"""Who gets heartbeats by copies is told after so many again whether it may hold acknowledgements back."""


ROUNDS_APART = 1 << 40
"""In each term a leader's rounds begin at a random number below this: who begins with empty logs anew, under the same
cluster id and key, does not take for answers what was recorded before, and who does not see what members send cannot
quote it (``following.has_answered``). Numbers stay exact in JSON."""


class Replication:
    """Everyone's progress in one term. ``send`` takes each message that may leave at once; ``now`` (ticks) and
    ``round`` are the leader's. Who is in ``progress`` and not in ``served`` gets nothing but empty heartbeats: copies
    of entries are of no use to who holds nothing, since none begin at index 0."""

    __slots__ = (
        "_config",
        "_counts",
        "_fanout",
        "_fastest",
        "_gathering",
        "_log",
        "_may_wait",
        "_send",
        "_term",
        "committed_tick",
        "now",
        "progress",
        "round",
        "served",
    )

    def __init__(
        self,
        config: Config,
        log: MemoryLog,
        term: int,
        first_round: int,
        send: Callable[[Message], None],
        counts: FanoutCounts,
        acknowledgement_counts: AcknowledgementCounts,
        gathering: Gathering | None = None,
    ) -> None:
        self._config = config
        self._counts = counts
        self._gathering = gathering
        self._fanout = Fanout(config, counts) if config.fanout else None
        self._fastest = Fastest(config, acknowledgement_counts) if config.lazy_acknowledgements else None
        self._may_wait = False
        """Whether entries that are sent now may be acknowledged later by those who are not among the fastest."""
        self._log = log
        self._term = term
        self._send = send
        self.now = 0
        self.committed_tick = 0
        """When something was committed last."""
        self.round = first_round
        self.progress: dict[int, Progress] = {}
        self.served = self.progress
        self.adopt(log.configurations.latest, log.last_index + 1)

    def adopt(self, configuration: Configuration, next_index: int) -> None:
        """Take over who the members are now. Newcomers get entries, from ``next_index`` on or what turns out to be
        missing; those who left get nothing more."""
        others = configuration.membership.everyone() - {self._config.id}
        for member in self.progress.keys() - others:
            del self.progress[member]
            self._know_nothing_of(member)
        for member in sorted(others - self.progress.keys()):
            self.progress[member] = Progress(next_index, self.now, self.round)

    def begin_anew(self, member: int) -> None:
        """Nothing is known any more of what a member holds."""
        self.progress[member] = Progress(self._log.last_index + 1, self.now, self.round)
        self._know_nothing_of(member)

    def _know_nothing_of(self, member: int) -> None:
        if self._fanout is not None:
            self._fanout.forget(member, self.progress)

    def replicate(self, may_wait: bool = False) -> None:
        """Send everyone what is new, as far as the windows allow. ``may_wait``: it is enough if the fastest
        acknowledge it at once."""
        last = self._log.last_index
        fastest = self._fastest
        sample = fastest is not None and fastest.takes_sample(self.now, last)
        self._may_wait = may_wait and not sample and fastest is not None and bool(fastest.chosen)
        if self._fanout is not None and self._fanout.active:
            self._fan_out(self._fanout)
        for member, progress in self.served.items():
            if progress.next_index <= last:
                self.fill_window(member, progress)
        if sample and fastest is not None:
            fastest.begin_sample(self.now, last, self.progress)

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
                if self.now >= progress.chunk_after or not self._is_committing():
                    self._send_chunk(member, progress, progress.snapshot)
            return
        last = log.last_index
        if progress.fanned:
            last = min(last, self._front() - 1)
            if progress.waits:
                return
        while progress.next_index <= last and progress.has_room(config.max_inflight, config.max_inflight_bytes):
            first = progress.next_index
            entries, size = log.between(first, last, config.max_entries_per_append, config.max_bytes_per_append)
            self.send_append(member, progress, first - 1, log.commit_index, entries)
            progress.sent(entries[-1].index, size, self.round)
            self._counts.laggards += self._fanout is not None and self._fanout.active

    def _is_committing(self) -> bool:
        """Whether proposals are under way that a snapshot would slow down. Where nothing has been committed for a
        heartbeat's time, they may wait for just who gets it."""
        waits = self._log.commit_index < self._log.last_index
        return waits and self.now - self.committed_tick < self._config.heartbeat_ticks

    # -- lazy acknowledgements --------------------------------------------------------------------------------------

    def know_voters(self, voters: Collection[int], needed: int) -> None:
        """Whose acknowledgements count, and how many of them make a quorum with this leader."""
        if self._fastest is not None:
            self._fastest.know(voters, needed)

    @property
    def waits_for(self) -> frozenset[int]:
        """Who is to acknowledge at once while others may hold back; nobody if all are to."""
        return self._fastest.chosen if self._fastest is not None else frozenset()

    def watch_fastest(self) -> None:
        """A tick has passed: see whether the fastest still are that."""
        if self._fastest is not None:
            self._fastest.watch(self.now, self._log.commit_index, self.progress)

    def _holds_back(self, member: int) -> bool:
        """Whether a member is to be told that it may hold its acknowledgements back."""
        return self._fastest is not None and member in self.progress and self._fastest.may_wait(member)

    def _is_far_behind(self, member: int) -> bool:
        """Whether a member that may hold acknowledgements back must say soon what it has, as more cannot be sent."""
        progress, config = self.progress[member], self._config
        if not self._holds_back(member):
            return False
        return _has_half_on_the_way(progress, config)

    def _may_gather(self, last_index: int, receivers: Collection[int]) -> bool:
        """Whether entries up to ``last_index``, which are sent now, may be acknowledged by what the network gathers:
        not by who must say soon what it has, as more cannot be sent."""
        gathering = self._gathering
        if gathering is None:
            return False
        gather = gathering.asks
        for member in receivers:
            progress = self.progress.get(member)
            gather = gather and progress is not None and not _has_half_on_the_way(progress, self._config)
        gathering.sent(last_index, gather)
        return gather

    def _tell_fanned(self) -> None:
        """Those whom copies reach hear nothing that is for them alone as long as they answer: tell them, when it has
        changed and now and then, whether they may hold acknowledgements back."""
        for member, progress in self.progress.items():
            wait = self._holds_back(member)
            if progress.fanned and (progress.may_wait is not wait or self.now >= progress.tell_tick):
                self._send_heartbeat(member, progress)

    # -- by the network's copies --------------------------------------------------------------------------------

    def _keeping_up(self) -> dict[int, Progress]:
        """Those who may get entries by copies."""
        return {
            member: progress
            for member, progress in self.served.items()
            if progress.fanned and progress.mode is Mode.REPLICATE and progress.next_index > progress.floor
        }

    def _front(self) -> int:
        """The next entry for everybody. Who gets copies and is behind is served alone up to there, and not beyond.
        Those without whom copies go on do not count: others may be further, and just have lost one."""
        keeping_up = self._keeping_up().values()
        return max((one.next_index for one in keeping_up if not one.waits), default=self._log.last_index + 1)

    def _fan_out(self, fanout: Fanout) -> None:
        """Send what is new once for all whom copies reach, at the pace of those whom a quorum needs. Who is behind is
        brought up first, by entries for it alone, as far as its window allows."""
        config, log = self._config, self._log
        front = self._front()
        while log.base_index < front <= log.last_index and self._quorum_has_room():
            receivers = []
            for member, progress in self._keeping_up().items():
                if progress.next_index < front:
                    self.fill_window(member, progress)
                if progress.next_index == front:
                    progress.waits = not progress.takes_copy(config.max_inflight, config.max_inflight_bytes)
                    if not progress.waits:
                        receivers.append(member)
            if not receivers:
                return
            entries, size = log.between(
                front, log.last_index, config.max_entries_per_append, config.max_bytes_per_append
            )
            self._send_everybody(fanout.round + 1, front - 1, entries, tuple(sorted(receivers)))
            self._counts.appends += 1
            for member in receivers:
                self.progress[member].sent(entries[-1].index, size, self.round, copied=True)
            front = entries[-1].index + 1

    def _quorum_has_room(self) -> bool:
        """Whether those who decide could take more: nothing is committed by others alone."""
        config = self._config
        ready = {
            member
            for member, progress in self.served.items()
            if progress.has_room(config.max_inflight, config.max_inflight_bytes)
        }
        return self._log.configurations.latest.membership.is_quorum(ready | {config.id})

    def _send_everybody(
        self,
        round: int,
        prev_index: int,
        entries: tuple[Any, ...],
        receivers: tuple[int, ...],
        answers: Answers | None = None,
    ) -> None:
        """One AppendEntries for the network to copy."""
        commit = self._log.commit_index
        for member in receivers:
            if self.progress[member].fanned:
                self.progress[member].told_commit(commit, prev_index + len(entries))
        lazy = bool(entries) and self._may_wait and not any(map(self._is_far_behind, receivers))
        gather = bool(entries) and self._may_gather(prev_index + len(entries), receivers)
        needed = self._log.configurations.latest.membership.needed_beside(self._config.id)
        append = self._append(EVERYBODY, prev_index, commit, entries, round, receivers, lazy, needed, gather, answers)
        self._send(append)

    def begin_copies(self, answering: Answering, may_try: bool) -> bool:
        """Send everybody a heartbeat that the network is to copy, if that is of use: then nothing else may have this
        round or the next one. ``may_try``: also to see whom copies reach. What ``answering`` has for those whom they
        do reach rides on it."""
        fanout = self._fanout
        receivers = fanout.begin_round(self.now, self.round, self.progress, may_try) if fanout is not None else ()
        if not receivers:
            return False
        reached = [member for member in receivers if self.progress[member].fanned]
        self._send_everybody(self.round, 0, (), receivers, answering.for_copies(receivers, reached))
        return True

    def serve_alone(self) -> None:
        """From now on the network copies nothing."""
        for progress in self.progress.values():
            progress.fanned = progress.waits = False
        self._fanout = None

    def heard(self, reply: Message) -> None:
        """A member has answered, whatever."""
        if self._fanout is not None:
            self._fanout.answered(reply.source, reply.round, self.progress)

    # -- to one -------------------------------------------------------------------------------------------------

    def send_append(
        self,
        member: int,
        progress: Progress,
        prev_index: int,
        commit: int,
        entries: tuple[Any, ...] = (),
        answers: Answers | None = None,
    ) -> None:
        """One AppendEntries. LookupError if the log does not hold ``prev_index``. Its receiver commits what agrees:
        up to the end of ``entries``, and what it has acknowledged."""
        lazy = self._holds_back(member)
        if entries:
            lazy = lazy and self._may_wait and not self._is_far_behind(member)
        gather = bool(entries) and self._may_gather(prev_index + len(entries), (member,))
        message = self._append(
            member, prev_index, commit, entries, self.round, lazy=lazy, gather=gather, answers=answers
        )
        progress.told_commit(commit, prev_index + len(entries))
        if not entries:
            progress.may_wait = lazy
            progress.tell_tick = self.now + TELL_HEARTBEATS * self._config.heartbeat_ticks
        self._send(message)

    def _append(
        self,
        target: int,
        prev_index: int,
        commit: int,
        entries: tuple[Any, ...],
        round: int,
        receivers: tuple[int, ...] = (),
        lazy: bool = False,
        needed: int = 0,
        gather: bool = False,
        answers: Answers | None = None,
    ) -> Message:
        prev_term = self._log.term_at(prev_index) if prev_index else 0
        if prev_term is None or (entries and entries[0].index != prev_index + 1):
            raise LookupError(f"entry {prev_index} for member {target} is not in the log")
        return Message(
            MessageType.APPEND_ENTRIES,
            self._config.id,
            target,
            self._term,
            prev_index,
            prev_term,
            commit,
            round=round,
            entries=entries,
            lazy=lazy,
            receivers=receivers,
            needed=needed,
            lease=self._config.lease_ticks > 0,
            gather=gather,
            answers=answers,
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
                lease=self._config.lease_ticks > 0,
            )
        )

    def send_heartbeats(self, answering: Answering) -> None:
        """Those whom copies reach have got theirs by ``begin_copies``, as far as they answer those. What
        ``answering`` has for the others rides on theirs."""
        fanout = self._fanout
        for member, progress in self.progress.items():
            if not progress.fanned or (fanout is not None and fanout.asks_alone(self.now, self.round, progress)):
                self._send_heartbeat(member, progress, answering.for_one(member))
        if self._fastest is not None:
            self._tell_fanned()

    def _send_heartbeat(self, member: int, progress: Progress, answers: Answers | None = None) -> None:
        """An empty AppendEntries at the log's beginning, where all agree: it is the same for everyone, and is never
        rejected because it overtook entries. Its receiver knows up to where the logs agree: it commits that far, and
        its answer acknowledges that, whatever answer has been lost before."""
        self.send_append(member, progress, 0, self._log.commit_index, answers=answers)

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
        fanned = False
        for member, progress in self.served.items():
            if progress.commit_sent < progress.match_index and progress.commit_sent < commit:
                if progress.fanned:
                    fanned = True
                else:
                    self._send_heartbeat(member, progress)
        if fanned and self._fanout is not None:
            receivers = tuple(sorted(member for member, progress in self.progress.items() if progress.fanned))
            self._send_everybody(self._fanout.round, 0, (), receivers)

    # -- answers ------------------------------------------------------------------------------------------------

    def on_append_reply(self, progress: Progress, reply: Message) -> bool:
        """Whether ``match_index`` grew."""
        if reply.reject:
            return self._on_reject(progress, reply)
        news = self._acknowledged(progress, reply.index)
        if news and self._fastest is not None:
            self._fastest.acknowledged(reply.source, reply.index)
        if progress.has_restarted(reply.index, reply.round):
            self._show_match(reply.source, progress)
        config = self._config
        copies = self._fanout is not None and progress.awaits_copies
        if not news and progress.give_up_waiting(
            self.now, reply.round, config.heartbeat_ticks, config.bytes_per_tick
        ):
            if copies and self._fanout is not None:
                self._fanout.fall_back(reply.source, self.progress, gets_heartbeats=True)
            self.fill_window(reply.source, progress)
        return news

    def _on_reject(self, progress: Progress, reply: Message) -> bool:
        """A hint with a term is a guess. One without is what agrees, and durable: an acknowledgement."""
        news, retry_after = False, reply.commit
        if not reply.log_term and 0 < reply.commit < reply.index:
            news = self._acknowledged(progress, reply.commit)
        else:
            retry_after = self._log.last_with_term_at_most(reply.log_term, reply.commit)
        copied = self._fanout is not None and self._fanout.is_of_entries(reply.round)
        if progress.rejected(reply.index, retry_after, copied):
            self.fill_window(reply.source, progress)
        elif copied:
            self._counts.rejects += 1
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
                "fanned": progress.fanned,
                "lazy": self._holds_back(member),
                "silent_ticks": self.now - progress.contact_tick,
            }
            if progress.snapshot is not None:
                shown[str(member)]["snapshot"] = {"offset": progress.offset, "size": progress.snapshot.size}
        return shown


def _has_half_on_the_way(progress: Progress, config: Config) -> bool:
    """Whether half of what may be on its way to a member is, so that more soon cannot be sent."""
    full = 2 * (progress.inflight + 1) > config.max_inflight
    return full or progress.mode is not Mode.REPLICATE or 2 * progress.inflight_bytes > config.max_inflight_bytes
