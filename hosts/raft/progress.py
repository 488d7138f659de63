"""What a leader knows of one other member, and how much it dares to send (etcd/raft's Probe, Replicate, Snapshot)."""

from __future__ import annotations

from collections import deque
from enum import Enum

from hosts.raft.snapshot import Outgoing

MAX_PATIENCE = 4
MAX_PATIENCE_REFUSED = 64
"""Times a heartbeat's time that a chunk is waited for before it is sent again: to a member that is silent about it,
and to one that says that it has no room for the snapshot."""


class Mode(Enum):
    PROBE = "probe"
    """Where the logs part is not known: one AppendEntries at a time."""
    REPLICATE = "replicate"
    """The follower keeps up: a window of AppendEntries, sent ahead of their acknowledgements."""
    SNAPSHOT = "snapshot"
    """The follower needs entries that are compacted away: it gets a snapshot, one chunk at a time, and no entries."""


NEVER = -(1 << 62)
"""A tick before all others."""


class Progress:
    """``match_index`` is what the member is known to hold durably; ``next_index`` what to send next."""

    __slots__ = (
        "_inflight",
        "_patience",
        "_refusals",
        "_unheard_since",
        "alone_round",
        "alone_tick",
        "answered_round",
        "answered_tick",
        "chunk_after",
        "chunk_bytes",
        "commit_sent",
        "contact_tick",
        "copied_tick",
        "fanned",
        "first_round",
        "floor",
        "inflight_bytes",
        "match_index",
        "match_round",
        "may_wait",
        "mode",
        "next_index",
        "offset",
        "sent_tick",
        "shown_round",
        "snapshot",
        "tell_tick",
        "waits",
    )

    def __init__(self, next_index: int, now: int, first_round: int = 0) -> None:
        """``first_round``: answers to earlier rounds are not this member's, but of one that had its id before."""
        self.first_round = first_round
        self.floor = 0
        """The member gets only what follows this entry, which it must hold by itself."""
        self.match_index = 0
        self.match_round = 0
        """The leader's round when ``match_index`` became known: later rounds began after that."""
        self.shown_round = 0
        """The round in which the member was shown last, by an empty AppendEntries, that ``match_index`` agrees."""
        self.next_index = next_index
        self.mode = Mode.PROBE
        self.contact_tick = now
        """The tick at which the latest round that it answered began; at first, that of this object's making."""
        self.answered_tick = NEVER
        """The tick at which the latest round that it answered began; NEVER until it has answered one. A lease
        counts from this."""
        self.answered_round = 0
        self.commit_sent = 0
        self.inflight_bytes = 0
        self.fanned = False
        """The network's copies reach the member, as far as is known: it gets what goes to everybody by them."""
        self.copied_tick = NEVER
        """The tick at which the latest round began that it answered and that it had heard of by a copy only."""
        self.alone_round = 0
        """The first round since then in which it was asked alone as well, though copies reach it; 0 for none."""
        self.alone_tick = NEVER
        """The tick at which it was asked so last."""
        self.waits = False
        """Copies go on without the member, which is a window behind, or which they have reached before what was sent
        to it alone. It may well take them; so nothing more is sent to it until all that was is acknowledged."""
        self.may_wait = False
        """The member was told last that it may hold its acknowledgements back."""
        self.tell_tick = NEVER
        """From this tick on the member is told again."""
        self._inflight: deque[tuple[int, int, int, bool]] = deque()
        """Of each AppendEntries: its last entry, its bytes, the round in which it was sent, and whether by a copy."""
        self._unheard_since = NEVER
        """The tick at which the first round began that it answered without acknowledging what was on its way before;
        NEVER if there is none."""
        self._patience = 1
        self._refusals = 0
        self.snapshot: Outgoing | None = None
        self.offset = 0
        """SNAPSHOT: where the chunk begins that is on its way, or not sent yet if ``sent_tick`` is NEVER."""
        self.sent_tick = NEVER
        self.chunk_after = NEVER
        """From this tick on the next chunk may be sent, whatever else is to be done."""
        self.chunk_bytes = 0
        """The size of the chunk that is on its way, once it is sent."""

    @property
    def inflight(self) -> int:
        """AppendEntries with entries that are not acknowledged."""
        return len(self._inflight)

    def has_room(self, max_inflight: int, max_bytes: int) -> bool:
        """Whether another AppendEntries with entries may leave now."""
        if self.mode is Mode.SNAPSHOT:
            return False
        if self.mode is Mode.PROBE:
            return not self._inflight
        return len(self._inflight) < max_inflight and self.inflight_bytes < max_bytes

    def takes_copy(self, max_inflight: int, max_bytes: int) -> bool:
        """Whether what goes to everybody is meant for this member, too, which needs what it begins with: unless it is
        a window behind those who set the pace."""
        return len(self._inflight) < 2 * max_inflight and self.inflight_bytes < 2 * max_bytes

    def sent(self, last_index: int, size: int, round: int, copied: bool = False) -> None:
        """Entries up to ``last_index``, ``size`` bytes of them, left when ``round`` was the latest begun: for
        this member alone, or to be ``copied``."""
        self._inflight.append((last_index, size, round, copied))
        self.inflight_bytes += size
        if self.mode is Mode.REPLICATE:
            self.next_index = last_index + 1

    def told_commit(self, commit: int, agreed: int) -> None:
        """The member is told of a commit index: it commits what agrees, up to ``agreed`` or its ``match_index``."""
        self.commit_sent = max(self.commit_sent, min(commit, max(agreed, self.match_index)))

    def acknowledged(self, index: int, round: int = 0) -> bool:
        """The member holds everything up to ``index``, as is known in the leader's ``round``. True if that is news;
        ``match_index`` never falls."""
        if index <= self.match_index:
            return False
        self.match_index = index
        self.match_round = round
        self._patience = 1
        self._unheard_since = NEVER
        if self.mode is Mode.SNAPSHOT:
            return True
        if self.mode is Mode.PROBE:
            if index < self.next_index - 1:
                return True  # it says nothing of the probe, which may reach further
            self.mode = Mode.REPLICATE
            self.next_index = self._inflight[-1][0] + 1 if self._inflight else index + 1
        inflight = self._inflight
        while inflight and inflight[0][0] <= index:
            self.inflight_bytes -= inflight.popleft()[1]
        if self.next_index <= index:
            self.next_index = index + 1
        self.waits = self.waits and bool(inflight)
        return True

    def rejected(self, prev_index: int, retry_after: int, copied: bool = False) -> bool:
        """The member lacks ``prev_index``; ``retry_after`` is where the logs may agree. False for a late REJECT:
        what was acknowledged since stays acknowledged; and for that of a copy which was not meant for this member,
        or overtook what was sent to it alone."""
        if prev_index <= self.match_index or self.mode is Mode.SNAPSHOT:
            return False
        if copied:
            return self._copy_rejected(prev_index)
        if self.mode is Mode.REPLICATE:
            self._probe_from(self.match_index + 1)
            return True
        if prev_index != self.next_index - 1:
            return False
        self._probe_from(max(self.match_index, min(retry_after, prev_index - 1)) + 1)
        return True

    def _copy_rejected(self, prev_index: int) -> bool:
        """Whether copies that were meant for the member are lost. If something sent to it alone is on its way still,
        they may just have overtaken that, which does arrive: then only what follows that is to be sent again."""
        if self.mode is not Mode.REPLICATE:
            return False
        inflight = self._inflight
        place = next((at for at, one in enumerate(inflight) if one[0] > prev_index), len(inflight))
        if place == len(inflight) or not inflight[place][3]:
            return False
        alone = next((at for at in range(place - 1, -1, -1) if not inflight[at][3]), None)
        if alone is None:
            self._probe_from(self.match_index + 1)
            return True
        while len(inflight) > alone + 1:
            self.inflight_bytes -= inflight.pop()[1]
        self.next_index = inflight[-1][0] + 1
        self.waits = True
        return False

    def has_forgotten(self, prev_index: int, round: int) -> bool:
        """Whether a REJECT of ``prev_index`` in ``round`` is no late one: that round began after the member had
        acknowledged as much, so that it has lost data since."""
        return 0 < prev_index <= self.match_index and round > self.match_round

    def has_restarted(self, index: int, round: int) -> bool:
        """Whether a member that says it agrees up to ``index``, in answer to ``round``, has forgotten since then that
        it agrees further: that round began after it had acknowledged more."""
        return index < self.match_index and round > self.match_round

    @property
    def awaits_copies(self) -> bool:
        """Whether the oldest entries that are not acknowledged were sent to be copied."""
        return bool(self._inflight) and self._inflight[0][3]

    def give_up_copies(self) -> None:
        """Copies that are not acknowledged must be taken for lost."""
        if self.awaits_copies:
            self._probe_from(self.match_index + 1)

    def give_up_waiting(self, now: int, round: int, heartbeat_ticks: int, bytes_per_tick: int) -> bool:
        """The member has answered ``round``, and has not acknowledged what was sent. True if it must be taken for
        lost: then it will be sent again, and waited for twice as long. Any answer to a round that began after it was
        sent acknowledges what has arrived and is durable; so the wait is between two such rounds."""
        if self.mode is Mode.SNAPSHOT:
            return self._give_up_chunk(now, heartbeat_ticks, bytes_per_tick)
        if not self._inflight or round <= self._inflight[0][2]:
            return False
        if self._unheard_since == NEVER:
            self._unheard_since = self.answered_tick
        patience = heartbeat_ticks * self._patience + self.inflight_bytes // bytes_per_tick
        if self.answered_tick - self._unheard_since < patience:
            return False
        self._patience = min(2 * self._patience, MAX_PATIENCE)
        self._probe_from(self.match_index + 1 if self.mode is Mode.REPLICATE else self.next_index)
        return True

    # -- snapshots ----------------------------------------------------------------------------------------------

    def begin_snapshot(self, snapshot: Outgoing) -> None:
        """Send the member this snapshot; until it has it, entries are of no use to it."""
        self.mode = Mode.SNAPSHOT
        self._forget_inflight()
        self._patience = 1
        self._refusals = 0
        self.snapshot = snapshot
        self.wants(0)

    def wants(self, offset: int) -> None:
        """The chunk at ``offset`` should be sent."""
        self.offset = offset
        self.sent_tick = NEVER

    def has_snapshot(self) -> None:
        """The member needs no snapshot any more: what follows its match_index is next."""
        self.snapshot = None
        self.mode = Mode.REPLICATE
        self.next_index = self.match_index + 1

    def refused_beginning(self) -> None:
        """The member takes not even the first chunk now: its disk has no room, and that may last."""
        self._refusals += 1

    def _give_up_chunk(self, now: int, heartbeat_ticks: int, bytes_per_tick: int) -> bool:
        times = max(self._patience, min(1 << min(self._refusals, 16), MAX_PATIENCE_REFUSED))
        patience = heartbeat_ticks * times + self.chunk_bytes // bytes_per_tick
        if self.sent_tick == NEVER or now - self.sent_tick < patience:
            return False
        self._patience = min(2 * self._patience, MAX_PATIENCE)
        self.wants(self.offset)
        return True

    def took_chunk(self, offset: int) -> bool:
        """The member has everything before ``offset``. False for a late duplicate of that news."""
        if offset <= self.offset:
            return False
        self._patience = 1
        self._refusals = 0
        self.wants(offset)
        return True

    def _probe_from(self, index: int) -> None:
        self.mode = Mode.PROBE
        self.next_index = index
        self._forget_inflight()

    def _forget_inflight(self) -> None:
        self._unheard_since = NEVER
        self.waits = False
        self._inflight.clear()
        self.inflight_bytes = 0
