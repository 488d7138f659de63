"""What a member holds only while it leads: the rounds, the commit rule, reads, and changes of leader and members."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from hosts.raft.change import Change
from hosts.raft.config import Config
from hosts.raft.configuration import Configuration
from hosts.raft.errors import Busy, ChangeInProgress, Unreachable
from hosts.raft.fanout import FanoutCounts
from hosts.raft.fastest import AcknowledgementCounts
from hosts.raft.gathering import GatherCounts, Gathering
from hosts.raft.identities import ANOTHER_LOG, FORGOTTEN, Identities
from hosts.raft.log import ENTRY_OVERHEAD, MemoryLog
from hosts.raft.message import NOBODY, Entry, EntryKind, Message, MessageType, Question
from hosts.raft.progress import NEVER, Progress
from hosts.raft.reads import Answering, AskingCounts, Reads, short_id
from hosts.raft.replication import Replication

PATIENCE_WITH_SILENCE = 10
"""Election timeouts for which those who are to decide after a change may be silent before it is given up."""

FAREWELLS = 6
"""How often those who have left are told so, a heartbeat's time apart."""


class Leadership:
    """One term's leader. ``send`` takes each message that may leave at once.

    Every heartbeat begins a round. A member that answers a message of round r was reachable, and in this term, at
    some moment after r began; so contact counts from the beginning of the round, not from the answer's arrival.
    """

    __slots__ = (
        "_agreed",
        "_answering",
        "_asking",
        "_change",
        "_change_note",
        "_config",
        "_counted",
        "_farewells",
        "_gathering",
        "_given_up",
        "_heard_until",
        "_identities",
        "_last_beat",
        "_lease_void_since",
        "_leavers",
        "_log",
        "_membership",
        "_next_farewell",
        "_own_match",
        "_record_after",
        "_replication",
        "_round_began",
        "_send",
        "_served",
        "_transfer_began",
        "reads",
        "successor",
        "term",
        "uncommitted_bytes",
    )

    def __init__(
        self,
        config: Config,
        log: MemoryLog,
        term: int,
        first_round: int,
        send: Callable[[Message], None],
        log_ids: Mapping[int, int],
        counts: FanoutCounts,
        acknowledgement_counts: AcknowledgementCounts,
        asking: AskingCounts,
        gather_counts: GatherCounts,
    ) -> None:
        """Rounds begin after ``first_round``. ``log_ids``: those of the voters' logs, the own one too, as they were
        named in the election."""
        self._config = config
        self._asking = asking
        self._answering = Answering(asking)
        self._membership = log.configurations.latest.membership
        self._log = log
        self._send = send
        self.term = term
        self.uncommitted_bytes = 0
        self._round_began: dict[int, int] = {}
        self._last_beat = 0
        self._own_match = log.durable_index
        self.reads = Reads()
        self._served: list[tuple[int, int]] = []
        self.successor = NOBODY
        self._transfer_began = 0
        self._gathering = Gathering(config, gather_counts) if config.gather else None
        self._replication = Replication(
            config, log, term, first_round, send, counts, acknowledgement_counts, self._gathering
        )
        self._change: Change | None = None
        self._change_note = ""
        self._given_up = False
        self._leavers: dict[int, int] = {}
        self._farewells = self._next_farewell = 0
        self._lease_void_since = NEVER
        self._identities = Identities(log_ids)
        self._counted: dict[int, Progress] = {}
        """The progress of those whose answers count."""
        self._record_after = config.election_timeout_ticks
        self._know_members()

    @property
    def lost(self) -> Mapping[int, str]:
        """Members who have lost their data, and how that came to light."""
        return self._identities.lost

    @property
    def round(self) -> int:
        return self._replication.round

    @property
    def waits_for(self) -> frozenset[int]:
        return self._replication.waits_for

    @property
    def _now(self) -> int:
        return self._replication.now

    @property
    def _progress(self) -> dict[int, Progress]:
        return self._replication.progress

    # -- entries ------------------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether another proposal may be taken (Busy otherwise)."""
        return self.uncommitted_bytes < self._config.max_uncommitted_bytes

    def begin_term(self) -> None:
        """The term's first entry: a no-op. A group's first entry records the logs of those who elected its first
        leader; nobody else can have promised anything before it."""
        birth = self._log.configurations.latest.with_log_ids(self._identities.unrecorded)
        if self._config.log_id and not self._log.last_index and birth.is_identified:
            self._append_configuration(birth)
        else:
            self.append(EntryKind.NOOP, b"")

    def append(self, kind: EntryKind, data: bytes) -> Entry:
        """Add an entry of this term to the own log."""
        entry = Entry(self.term, self._log.last_index + 1, kind, data)
        self._log.append(entry)
        if self._gathering is not None:
            self._gathering.appended(self._now, entry.index)
        self.uncommitted_bytes += len(data) + ENTRY_OVERHEAD
        return entry

    def replicate(self) -> None:
        """Go on with a change of the members, and send everyone what is new."""
        if self._change is not None or self._membership.outgoing or self._log.configurations.latest.voters_next:
            self._go_on_with_change()
        elif self._identities.unrecorded:
            self._record_logs()
        if self._gathering is not None:
            self._gathering.asks = self._gathering.may_ask(self._now) and self._needs_nobody()
        self._replication.replicate(self._config.lazy_acknowledgements and self._needs_nobody())

    def _needs_nobody(self) -> bool:
        """Whether it is enough that the fastest acknowledge at once: not while others may be needed, as the members
        or the leader change, or the own disk does not keep up with theirs."""
        keeps_up = self._own_match >= self._log.commit_index
        return keeps_up and self.successor == NOBODY and not self.changing() and self.has_committed()

    # -- time ---------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """One tick. False if no quorum has answered a round that began within an election timeout: step down."""
        replication = self._replication
        replication.now += 1
        now = replication.now
        if self.successor != NOBODY and now - self._transfer_began >= self._config.election_timeout_ticks:
            self.successor = NOBODY
        if now >= self._heard_until and now >= self._find_heard_until():
            return False
        if now - self._last_beat >= self._config.heartbeat_ticks:
            self.begin_round()
        else:
            replication.announce_commit()
        replication.watch_fastest()
        if self._leavers and now >= self._next_farewell:
            self._notify_removed()
        return True

    def idle_ticks(self) -> int:
        """The tick that may do something next, as ``Raft.idle_ticks``."""
        replication, config = self._replication, self._config
        changes = self._change is not None or self._membership.outgoing or self.successor != NOBODY
        if changes or self._leavers or replication.owes_commit():
            return 1
        due = self._last_beat + config.heartbeat_ticks
        if due > self._heard_until:
            due = min(due, self._find_heard_until())
        return max(1, due - replication.now)

    def _find_heard_until(self) -> int:
        """An election timeout after the last round began that a quorum has answered: when this leader steps down. As
        long as the same members count it only gets later, so that it need not be found out again before."""
        contact = {member: progress.contact_tick for member, progress in self._counted.items()}
        contact[self._config.id] = self._now
        self._heard_until = self._membership.reached(contact) + self._config.election_timeout_ticks
        return self._heard_until

    def begin_round(self) -> int:
        """Send everyone a heartbeat of a new round, which is returned. What the network copies has rounds of its own,
        before the one of all the rest."""
        replication = self._replication
        self._next_round()
        first = replication.round
        self._last_beat = replication.now
        has_committed = self.has_committed()
        if has_committed:
            self.reads.begin(first, self._log.commit_index)
            self._release_reads()  # where this member alone is a quorum, no reply will come to do it
        if replication.begin_copies(self._answering, may_try=has_committed):
            self._next_round()
            self._next_round()
        replication.send_heartbeats(self._answering)
        return first

    def _next_round(self) -> None:
        """What is sent from now on is of a new round."""
        replication = self._replication
        replication.round += 1
        began, now = self._round_began, replication.now
        began[replication.round] = now
        while True:
            oldest = next(iter(began))
            if now - began[oldest] < self._config.election_timeout_ticks:
                break
            del began[oldest]

    # -- answers ------------------------------------------------------------------------------------------------

    def own_disk_holds(self, index: int) -> bool:
        """The own log is durable up to ``index``. True if the commit index moved."""
        self._own_match = max(self._own_match, index)
        if self._gathering is not None:
            self._gathering.synced(index)
        return self._advance_commit()

    def on_reply(self, reply: Message) -> bool:
        """An answer of this term to an AppendEntries or InstallSnapshot. True if the commit index moved."""
        progress = self._heard(reply)
        if progress is None or reply.index > self._log.last_index:
            return False
        began = self._round_began.get(reply.round)
        if began is not None:
            progress.contact_tick = max(began, progress.contact_tick)
            progress.answered_tick = max(began, progress.answered_tick)
            self._replication.heard(reply)
        if progress.answered_round < reply.round <= self.round:
            progress.answered_round = reply.round
            self._release_reads()
        if reply.source not in self._replication.served:
            return False
        had = progress.match_index
        if reply.type is MessageType.INSTALL_SNAPSHOT_REPLY:
            news = self._replication.on_snapshot_reply(progress, reply)
        else:
            news = self._replication.on_append_reply(progress, reply)
        if news and reply.source not in self._counted:
            self._know_members()
        if reply.source == self.successor and not reply.reject:
            self._complete_transfer()
        moved = news and self._advance_commit()
        if moved and self._gathering is not None:
            self._gathering.committed_by(reply, had, self._now)
        return moved

    def is_news(self, member: int, index: int, round: int) -> bool:
        """Whether an acknowledgement says more than is known of its member."""
        progress = self._progress.get(member)
        return progress is not None and (index > progress.match_index or round > progress.answered_round)

    def _heard(self, reply: Message) -> Progress | None:
        """The progress of who answers; None if that is no member, or not the one that has its id now, or answers what
        this leader has never said. Finds out whether it has lost its data."""
        progress = self._progress.get(reply.source)
        if progress is None or not progress.first_round <= reply.round <= self.round:
            return None
        if reply.source in self.lost:
            return progress
        if self._identities.hear(reply.source, reply.log_id, self._log.configurations.latest):
            return self._give_up(reply.source, ANOTHER_LOG)
        is_append = reply.type is MessageType.APPEND_ENTRIES_REPLY
        if is_append and reply.reject and progress.has_forgotten(reply.index, reply.round):
            return self._give_up(reply.source, FORGOTTEN)
        return progress

    def _give_up(self, member: int, why: str) -> Progress:
        """A member has lost its data: what it has acknowledged is void, as far as it is not committed, and it counts
        in no quorum of this term any more."""
        self._identities.lost[member] = why
        self._replication.begin_anew(member)
        self._know_members()
        return self._progress[member]

    def _advance_commit(self) -> bool:
        """Only an entry of the own term commits by counting; older ones commit with it (thesis, section 3.6.2)."""
        log = self._log
        match = {member: progress.match_index for member, progress in self._counted.items()}
        match[self._config.id] = self._own_match
        index = self._membership.reached(match)
        if index <= log.commit_index or log.term_at(index) != self.term:
            return False
        self._replication.committed_tick = self._now
        log.commit_index = index
        return True

    def committed(self, entries: tuple[Entry, ...]) -> None:
        """Entries were given out to be applied. Those of this term no longer count against proposals."""
        for entry in entries:
            if entry.term == self.term:
                self.uncommitted_bytes -= len(entry.data) + ENTRY_OVERHEAD
        if self._agreed is not self._log.configurations.agreed(self._log.commit_index):
            self._know_members()

    def has_committed(self) -> bool:
        """Only with an entry of the own term does a leader know all that is committed (thesis, section 6.4); and only
        then may it change the members, or it could overlook that another leader has changed them."""
        return self._log.term_at(self._log.commit_index) == self.term

    def compact_to(self, index: int) -> int:
        """The last entry that may be forgotten when nothing up to ``index`` is needed here: those that follow a
        snapshot on its way are needed when it has arrived."""
        transfer = self._replication.oldest_transfer(self._config.election_timeout_ticks)
        return index if transfer is None else min(index, transfer)

    # -- reads --------------------------------------------------------------------------------------------------

    def read(self, number: int, overdue_ticks: int) -> None:
        """Serve a read under the lease, or else with the next round."""
        if self._has_lease(overdue_ticks) and self.has_committed():
            self._served.append((number, self._log.commit_index))
        else:
            self.reads.ask(number)

    def _has_lease(self, overdue_ticks: int) -> bool:
        """Whether nobody else can lead yet: a quorum has answered a round that began within the lease, and promised
        not to vote for an election timeout (thesis, section 6.4.1). Who has been told to take over breaks no promise,
        however late it hears of that; so then there is no lease for the rest of the term."""
        if not self._config.lease_ticks:
            return False
        began = self._confirmed_tick()
        return began > self._lease_void_since and self._now + overdue_ticks - began < self._config.lease_ticks

    def _confirmed_tick(self) -> int:
        """The beginning of the last round that a quorum has answered."""
        answered = {member: progress.answered_tick for member, progress in self._counted.items()}
        answered[self._config.id] = self._now
        return self._membership.reached(answered, NEVER)

    def age(self, applied_index: int) -> int | None:
        """As ``Raft.age``, but for overdue ticks: since the beginning of the last round that a quorum has answered,
        for then nobody else led."""
        if applied_index < self._log.commit_index or not self.has_committed():
            return None
        began = self._confirmed_tick()
        return self._now - began if began > self._lease_void_since else None

    def void_lease(self) -> None:
        """The clock cannot be trusted for what lies behind."""
        self._lease_void_since = max(self._lease_void_since, self._now)

    def take_reads(self) -> tuple[tuple[int, int], ...]:
        """Begin a round for reads that wait for one, and send the answers that nothing has carried; the reads that
        are safe since the last call."""
        if self.reads.want_round and self.has_committed():
            self.begin_round()
        rest = self._answering.rest()
        if rest is not None:
            self._send_answers(*rest)
        if not self._served:
            return ()
        served, self._served = tuple(self._served), []
        return served

    def _release_reads(self) -> None:
        if not self.reads.waiting:
            return
        rounds = {member: progress.answered_round for member, progress in self._counted.items()}
        rounds[self._config.id] = self.round
        for confirmed in self.reads.answered(self._membership.reached(rounds)):
            self._served += [(number, confirmed.commit_index) for number in confirmed.reads]
            for member, number in confirmed.questions.items():
                self._answer_question(member, number, confirmed.commit_index)

    def on_question(self, source: int, question: Question, *, takes: bool) -> None:
        """A follower asks for the index of its reads. It is told that of a round that begins from now on, unless it
        and this member are a quorum: until its reads had come it had voted in no later term, nor has this member
        until now, so nobody else has committed anything before. Who may have lost its data cannot say so much:
        it must hold what it is known to hold, in the log that it is known by. ``takes``: and answers that ride."""
        self._answering.asked_by(source, takes=takes)
        is_quorum = source in self._counted and self._membership.is_quorum({self._config.id, source})
        if is_quorum and self.has_committed() and self._is_known(source, question):
            self._asking.taken_at_once += 1
            self._answer_question(source, question.number, self._log.commit_index)
        else:
            self.reads.ask_for(source, question.number)

    def _is_known(self, source: int, question: Question) -> bool:
        """Whether who asks holds what it is known to hold, in the log that it is known by."""
        progress = self._counted.get(source)
        log_id = self._log.configurations.latest.log_ids.get(source, 0)
        holds_all = progress is not None and question.held > progress.match_index
        return holds_all and question.log == short_id(log_id)

    def _answer_question(self, member: int, number: int, index: int) -> None:
        self._asking.taken += 1
        self._answering.answer(member, number, index)

    def _send_answers(self, index: int, questions: Iterable[tuple[int, int]]) -> None:
        """To each alone."""
        kind = MessageType.READ_INDEX_REPLY
        for member, number in questions:
            self._send(Message(kind, self._config.id, member, self.term, index, more=True, round=number))

    # -- members ------------------------------------------------------------------------------------------------

    def _know_members(self) -> None:
        """Find anew whose answers count: the configuration, or what is committed of it, or what is known of the
        members has changed."""
        configurations = self._log.configurations
        latest, agreed = configurations.latest, configurations.agreed(self._log.commit_index)
        self._agreed = agreed
        self._heard_until = NEVER
        self._identities.adopt(latest)
        served: dict[int, Progress] = {}
        self._counted = {}
        for member, progress in self._progress.items():
            floor = self._identities.counts_with(member, latest, agreed)
            if floor is not None:
                served[member] = progress
                progress.floor = floor
                if progress.match_index >= floor:
                    self._counted[member] = progress
        self._replication.served = served
        voters = latest.membership.voters
        needed = latest.membership.needed_beside(self._config.id)
        self._replication.know_voters(self._counted.keys() & voters, needed)

    def _record_logs(self) -> None:
        """Write down the ids of voters' logs that are not recorded, once the last configuration is committed: when
        all are known, or some and an election timeout has passed. Until then they may not count."""
        latest = self._log.configurations.latest
        if (
            not self._config.log_id
            or self._leavers
            or latest.index > self._log.commit_index
            or not self.has_committed()
        ):
            return
        named = latest.with_log_ids(self._identities.unrecorded)
        complete = named.log_ids.keys() >= named.membership.voters
        if named.is_identified and (complete or self._now >= self._record_after):
            self._record_after = self._now + self._config.election_timeout_ticks
            self._append_configuration(named)

    def change(self, target: Configuration) -> None:
        """Set out for ``target``. Raises Busy, ChangeInProgress, Unreachable."""
        current = self._log.configurations.latest
        if self.changing():
            raise ChangeInProgress(f"members change already: {self._change_text() or 'the last change ends'}")
        if self.successor != NOBODY:
            raise Busy(f"member {self.successor} takes over")
        if not self.has_committed():
            raise Busy("this leader has committed nothing of its own term yet")
        newcomers = target.membership.voters - current.membership.voters
        if self._is_silent(target, dict.fromkeys(newcomers, self._now), self._config.election_timeout_ticks):
            raise Unreachable(self._silence_text(target, newcomers))
        self._change_note = ""
        self._given_up = False
        self._begin_change(current, target)

    def _begin_change(self, current: Configuration, target: Configuration) -> Change:
        """The round that begins now is the first whose answers show that a member is there for the change."""
        round = self.begin_round()
        ticks = self._config.election_timeout_ticks
        change = self._change = Change(current, target, self._log.last_index, self._now, ticks, round)
        return change

    def _is_silent(self, target: Configuration, contact: Mapping[int, int], limit: int) -> bool:
        """Whether no quorum of the voters of ``target`` has been heard for ``limit`` ticks, but for who would not
        vote: once they alone decide, nobody could lead, nor mend that. ``contact``: ticks of members that count if
        they are later than the beginning of the round that the member has answered last."""
        heard = {one: progress.contact_tick for one, progress in self._counted.items() if self._would_vote(one)}
        heard[self._config.id] = self._now
        latest = {one: max(heard.get(one, NEVER), contact.get(one, NEVER)) for one in target.membership.voters}
        return self._now - target.membership.reached(latest, NEVER) >= limit

    def _silence_text(self, target: Configuration, newcomers: Collection[int] = ()) -> str:
        voters = target.membership.voters
        others = sorted(voters - frozenset(newcomers))
        silent = [one for one in others if not self._is_here(one)]
        blank = [one for one in others if self._is_here(one) and not self._would_vote(one)]
        lost = sorted(voters & self.lost.keys())
        told = f"members {silent} are silent" + (f" (of these {lost} have lost their data)" if lost else "")
        if blank:
            told = f"members {blank} hold nothing yet" + (f", {told}" if silent else "")
        return f"{told}, and without them the voters {sorted(voters)} would have no quorum"

    def _is_here(self, member: int, round: int = 0) -> bool:
        """Whether a member has answered ``round`` or a later one, and one that began within an election timeout."""
        progress = self._counted.get(member)
        if progress is None:
            return member == self._config.id
        recent = self._now - progress.contact_tick < self._config.election_timeout_ticks
        return recent and progress.answered_round >= round

    def _would_vote(self, member: int) -> bool:
        """Whether a member would vote for who holds something: where logs have ids, not before it does so itself. A
        change must not need its vote sooner, for this leader may end before that member has got anything."""
        progress = self._progress.get(member)
        return progress is None or progress.match_index > 0 or not self._config.log_id

    def changing(self) -> bool:
        """Whether a change is under way: the committed configuration is not the last yet."""
        current = self._log.configurations.latest
        unfinished = current.is_joint or current.is_staging or current.index > self._log.commit_index
        return self._change is not None or unfinished

    def abandon_change(self, why: str) -> None:
        """Go no further than the log has gone. A joint configuration is still left, for the new one; newcomers that
        learn stay learners, which the log is told, or the next leader would go on."""
        self._change = None
        self._given_up = True
        self._change_note = why

    def _go_on_with_change(self) -> None:
        """Write the next configuration once the last one is committed."""
        log = self._log
        current = log.configurations.latest
        if current.index > log.commit_index or self.successor != NOBODY or not self.has_committed():
            return
        if current.is_joint:
            self._append_configuration(current.leave_joint())
            return
        change = self._change
        if change is None:
            if not current.is_staging:
                return
            if self._given_up:
                self._append_configuration(current.without_promise())
                return
            change = self._begin_change(current, current.target())
        if change.is_done(current):
            self._change = None
            return
        lost = change.newcomers & self.lost.keys()
        if lost:
            self.abandon_change(f"given up: members {sorted(lost)} have lost their data meanwhile")
            return
        voters = change.target.membership.voters
        here = [one for one in voters if self._is_here(one, change.round) and self._would_vote(one)]
        match = {member: progress.match_index for member, progress in self._progress.items()}
        change.heard({one: match.get(one, 0) for one in here}, log.last_index, self._now)
        step = change.next_step(current)
        if step is not None and step.is_joint:
            step = self._identities.first_recorded(current, step) if self._config.log_id else step
        if step is not None:
            self._append_configuration(step)
        else:
            self._give_up_slow_newcomers(change)

    def _give_up_slow_newcomers(self, change: Change) -> None:
        slow = change.too_slow()
        if slow is not None:
            self.abandon_change(f"given up: member {slow} does not keep up with the log")
            return
        limit = PATIENCE_WITH_SILENCE * self._config.election_timeout_ticks
        newcomers = change.waits_for()
        for one in newcomers:
            progress = self._progress.get(one)
            if progress is not None and self._now - max(progress.contact_tick, change.began) > limit:
                self.abandon_change(f"given up: member {one} does not answer")
                return
        target = change.target
        if not newcomers and self._is_silent(target, dict.fromkeys(target.membership.voters, change.began), limit):
            self.abandon_change(f"given up: {self._silence_text(target)}")

    def _append_configuration(self, configuration: Configuration) -> None:
        """Append a configuration, which is in force as soon as it is in the log (thesis, section 4.1)."""
        self.append(EntryKind.CONFIGURATION, configuration.pack())
        latest = self._log.configurations.latest
        left = self._membership.everyone() - latest.membership.everyone()
        self._leavers = {one: progress.match_index for one, progress in self._progress.items() if one in left}
        self._farewells = FAREWELLS
        self._membership = latest.membership
        if not latest.membership.everyone() <= {self._config.id, *self._progress}:
            self._next_round()  # a newcomer's answers are told from those of a member that had its id before
        self._replication.adopt(latest, latest.index)
        self._know_members()
        self._advance_commit()
        self._release_reads()  # those who have left were perhaps the only ones who had not answered

    def _notify_removed(self) -> None:
        """Tell removed members, by a few messages, that they are removed. Otherwise they would ask for votes for
        ever, and clients that come to them would not learn where to go. Their answers count no more."""
        latest = self._log.configurations.latest
        if latest.index > self._log.commit_index:
            return
        self._next_farewell = self._now + self._config.heartbeat_ticks
        for member, match_index in self._leavers.items():
            self._replication.send_up_to(member, match_index, latest.index)
        self._farewells -= 1
        if self._farewells == 0:
            self._leavers = {}

    def is_removed(self) -> bool:
        """Whether a committed configuration has no vote for this member: then it steps down (section 4.2.2)."""
        latest = self._log.configurations.latest
        return latest.index <= self._log.commit_index and not latest.membership.is_voter(self._config.id)

    def resign(self) -> None:
        """The last that this leader does: say what is committed, and have the most up-to-date voter take over."""
        self._replication.serve_alone()
        self.begin_round()
        self._notify_removed()
        voters = self._membership.voters & self._counted.keys()
        match, negative = max([(self._progress[one].match_index, -one) for one in voters], default=(0, 0))
        if match == self._log.last_index:
            self._send(Message(MessageType.TIMEOUT_NOW, self._config.id, -negative, self.term))

    # -- handing over -------------------------------------------------------------------------------------------

    def hand_over(self, successor: int) -> None:
        """Take no proposals until ``successor`` leads, or an election timeout has passed since the first of those
        who were asked in turn. Raises Unreachable."""
        if not self._is_here(successor):
            raise Unreachable(f"member {successor} cannot take over: it has not answered for an election timeout")
        if self.successor == NOBODY:
            self._transfer_began = self._now
        self.successor = successor
        self._complete_transfer()

    def _complete_transfer(self) -> None:
        progress = self._progress[self.successor]
        if progress.match_index == self._log.last_index:
            self._lease_void_since = -NEVER  # for the rest of the term
            self._send(Message(MessageType.TIMEOUT_NOW, self._config.id, self.successor, self.term))

    # -- people -------------------------------------------------------------------------------------------------

    def _change_text(self) -> str:
        change = self._change
        if change is not None:
            return change.describe()
        if self._membership.outgoing:
            return "the joint configuration ends"
        return self._change_note

    def status(self) -> dict[str, Any]:
        """For people: the round and everyone's progress."""
        return {
            "round": self.round,
            "uncommitted_bytes": self.uncommitted_bytes,
            "successor": self.successor,
            "change": self._change_text(),
            "progress": {
                member: {**shown, "counts": int(member) in self._counted}
                for member, shown in self._replication.status().items()
            },
        }
