"""The members' own core, state machine and log, each showing the watch what it does (``sim.invariants``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hosts.raft.core import _TRANSFER, Raft, Ready, Role
from hosts.raft.message import NOTHING_QUOTED, Entry, HardState, Message, MessageType, Quoted
from hosts.raft.snapshot import Snapshot
from hosts.service.machine import Answer, Machine
from hosts.service.sessions import Limits
from hosts.storage.log import DiskLog
from sim.checks.doubts import Stance
from sim.invariants import Watch, Writing

_FROM_LEADERS = (MessageType.APPEND_ENTRIES, MessageType.INSTALL_SNAPSHOT)
_VOTE_REQUESTS = (MessageType.PRE_VOTE, MessageType.REQUEST_VOTE)
_VOTES = (MessageType.PRE_VOTE_REPLY, MessageType.REQUEST_VOTE_REPLY)


class WatchedRaft(Raft):
    """Shows each commit and each Ready to the watch."""

    watch: Watch
    handing_over = 0
    """Ticks for which proposals have been refused in favour of a successor."""

    def tick(self) -> None:
        before = Stance.of(self)
        Raft.tick(self)
        if before.role is Role.FOLLOWER and self.role is not before.role:
            self.watch.doubts.campaigns(self, before, 1)
        leadership = self._leadership
        if leadership is None or not leadership.successor:
            self.handing_over = 0
            return
        self.handing_over += 1
        if self.handing_over >= self.config.election_timeout_ticks:
            self.watch.fail("a transfer ends", f"member {self.id} has handed over for {self.handing_over} ticks")

    def leader_unreachable(self, member: int, quoted: Quoted = NOTHING_QUOTED) -> bool:
        before = Stance.of(self)
        is_news = super().leader_unreachable(member, quoted)
        if before.role is Role.FOLLOWER and self.role is not before.role:
            self.watch.doubts.campaigns(self, before, 0)
        return is_news

    def hint(self, term: int) -> bool:
        before = Stance.of(self)
        self.watch.doubts.hinted(self, term)
        is_news = super().hint(term)
        if before.role is Role.FOLLOWER and self.role is not before.role:
            self.watch.doubts.campaigns(self, before, 0)
        return is_news

    def read(self, overdue_ticks: int = 0) -> int:
        number = super().read(overdue_ticks)
        self.watch.asked_to_read(self, number)
        return number

    def read_here(self) -> int:
        leads = self.role is Role.LEADER
        number = super().read_here()
        if not leads:
            self.watch.asked_to_read(self, number)
        return number

    def change_membership(
        self,
        add: Mapping[int, bytes] | None = None,
        remove: Collection[int] = (),
        learners: Mapping[int, bytes] | None = None,
    ) -> None:
        super().change_membership(add, remove, learners)
        self.watch.asked_to_change(self)

    def step(self, message: Message) -> None:
        kind, leads = message.type, self.role is Role.LEADER
        unhealed = self.watch.may_heal(self, message) if leads and kind is MessageType.APPEND_ENTRIES_REPLY else 0
        before = Stance.of(self) if kind in _VOTE_REQUESTS and message.data != _TRANSFER else None
        Raft.step(self, message)
        if before is not None and self._has_granted(message):
            self.watch.doubts.grants(self, before)
        elif kind in _FROM_LEADERS and self._heard_ago == 0:
            self.watch.doubts.hears(self)
        if unhealed:
            self.watch.healed(self, message, unhealed)
        if message.reject and kind is MessageType.APPEND_ENTRIES_REPLY and self.role is Role.LEADER:
            self.watch.rejected(self)
        elif kind in _FROM_LEADERS and not message.entries and self.role is Role.FOLLOWER:
            self.watch.heard(self)
        # At once: a commit is to be judged by the configuration that was in force at that moment.
        if self.log.commit_index > len(self.watch.committed):
            self.watch.look(self)

    def _has_granted(self, request: Message) -> bool:
        """Whether the last answer that waits to leave grants a request."""
        last = self._out.after[-1] if self._out.after else None
        return last is not None and last.target == request.source and last.type in _VOTES and not last.reject

    def advance(self, ready: Ready) -> None:
        super().advance(ready)
        if self.log.commit_index > len(self.watch.committed):
            self.watch.look(self)

    def ready(self) -> Ready | None:
        if self.role is Role.LEADER and self.watch.leaders.get(self.current_term) != self.id:
            self.watch.look(self)
        ready = Raft.ready(self)
        if ready is None:
            return None
        if ready.entries or ready.reads or ready.snapshot is not None:
            self.watch.ready(self, ready)
        if ready.committed:
            # They are applied before the turn's end, where the watch looks again.
            self.watch.look(self)
        return ready


class WatchedMachine(Machine):
    """Shows each entry that is applied to the watch."""

    def __init__(self, limits: Limits, watch: Watch, member: int) -> None:
        super().__init__(limits)
        self._watch = watch
        self._member = member

    def apply(self, entry: Entry) -> Answer | None:
        self._watch.applies(self._member, entry)
        answer = super().apply(entry)
        self._watch.answered(self._member, entry, answer)
        self._watch.ages.applied(entry, self.pairs)
        self._watch.keeps(self._member, self.sessions)
        return answer


class WatchedLog:
    """Shows the watch what the disk has acknowledged, and keeps what it has not."""

    def __init__(self, log: DiskLog, watch: Watch, member: int) -> None:
        self.log = log
        self.writing: Writing | None = None
        self._watch = watch
        self._member = member

    def append(
        self, hard_state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None = None
    ) -> None:
        self.writing = Writing(hard_state, entries, snapshot)
        self.log.append(hard_state, entries, snapshot)
        self.writing = None
        self._watch.wrote(self._member, hard_state, entries, snapshot)

    def save_snapshot(self, snapshot: Snapshot) -> str:
        self._watch.saw_snapshot(self._member, snapshot)
        why = self.log.save_snapshot(snapshot)
        self._watch.counts["snapshots not saved" if why else "snapshots taken"] += 1
        return why

    def close(self) -> None:
        self.log.close()
