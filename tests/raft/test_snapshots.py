"""Snapshots: compaction, chunks, and what a follower does with them (thesis, chapter 5)."""

from __future__ import annotations

from random import Random

import pytest

from hosts.raft.configuration import Configuration
from hosts.raft.core import Config, Raft, Snapshot
from hosts.raft.message import Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.quorum import Membership
from hosts.raft.snapshot import Incoming, MemorySink, Outgoing
from tests.raft.network import Faults, Network
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    acknowledge_all,
    append,
    drain,
    entries,
    log_terms,
    member,
    only,
    readies,
    settled_leader,
    tick,
)

INSTALL = MessageType.INSTALL_SNAPSHOT
INSTALL_REPLY = MessageType.INSTALL_SNAPSHOT_REPLY
MEMBERS = Configuration(0, Membership(frozenset({1, 2, 3})), {1: b"a", 2: b"b", 3: b"c"})


def snapshot(index: int, term: int, data: bytes = b"state", configuration: Configuration = MEMBERS) -> Snapshot:
    return Snapshot(index, term, configuration, data)


def chunks(of: Snapshot, size: int = 1 << 20, *, term: int | None = None, source: int = 2) -> list[Message]:
    """As member ``source`` would send it to member 1."""
    stream, out = Outgoing(of), []
    for offset in range(0, stream.size, size):
        data = stream.chunk(offset, size)
        more = offset + len(data) < stream.size
        out.append(
            Message(INSTALL, source, 1, term or of.term, of.index, of.term, offset, more=more, round=1, data=data)
        )
    return out


def compacted_leader(count: int = 8, keep: int = 0, **options: int) -> Raft:
    """A leader whose log begins at its end but for ``keep`` entries; member 3 has answered nothing yet."""
    raft = settled_leader([1] * count, **options)
    acknowledge_all(raft)
    raft.compact(raft.take_snapshot(raft.commit_index, b"state of the machine"), keep)
    return raft


# -- taking and compacting -----------------------------------------------------------------------------------------


def test_compaction_forgets_entries_and_keeps_what_is_asked() -> None:
    raft = compacted_leader(8, keep=2)
    assert (raft.log.base_index, raft.log.snapshot and raft.log.snapshot.index, raft.last_index) == (7, 9, 9)
    assert raft.log.term_at(6) is None and raft.log.term_at(7) == 1
    raft.propose(b"goes on")
    acknowledge_all(raft)
    assert raft.commit_index == 10


def test_a_snapshot_is_of_what_is_applied_and_still_in_the_log() -> None:
    raft = compacted_leader(8)
    for index in (0, 8, 10):
        with pytest.raises(ValueError, match="no snapshot"):
            raft.take_snapshot(index, b"")
    with pytest.raises(ValueError, match="not taken from this log"):
        raft.compact(snapshot(20, 2))
    raft.compact(snapshot(3, 1))  # older than the one there is
    assert raft.log.snapshot is not None and raft.log.snapshot.index == 9


def test_a_restart_begins_at_the_snapshot() -> None:
    raft = Raft(Config(1, frozenset({9, 1})), HardState(3), entries([2, 3], 10), Random(0), snapshot(10, 2))
    assert (raft.commit_index, raft.last_index, raft.log.base_index) == (10, 11, 10)
    assert raft.membership.voters == {1, 2, 3}, "the snapshot's, not those of the start"
    with pytest.raises(ValueError, match="stands where"):
        Raft(Config(1, frozenset({1})), HardState(3), entries([2], 12), Random(0), snapshot(10, 2))


# -- the stream ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
def test_any_chunks_make_the_snapshot_again(size: int) -> None:
    of = snapshot(5, 2, bytes(range(200)))
    stream, incoming = Outgoing(of), Incoming(2, 5, 2, MemorySink())
    while incoming.wanted < stream.size:
        assert not incoming.is_whole()
        last = incoming.wanted + size >= stream.size
        assert incoming.take(incoming.wanted, stream.chunk(incoming.wanted, size), last=last)
    assert incoming.complete and incoming.is_whole() and incoming.finish() == of


def test_a_stream_that_was_changed_is_no_snapshot() -> None:
    stream = Outgoing(snapshot(5, 2))
    whole = stream.chunk(0, stream.size)
    for at in range(len(whole)):
        incoming = Incoming(2, 5, 2, MemorySink())
        assert incoming.take(0, whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :], last=True)
        assert not incoming.is_whole()
    for short in (b"", whole[:3], whole[:-1]):
        incoming = Incoming(2, 5, 2, MemorySink())
        incoming.take(0, short, last=True)
        assert not incoming.is_whole()


# -- a follower ----------------------------------------------------------------------------------------------------


def test_a_follower_installs_a_snapshot_and_says_so_once_it_is_durable() -> None:
    raft = member([1, 1])
    drain(raft)
    (whole,) = chunks(snapshot(9, 2))
    raft.step(whole)
    (ready,) = readies(raft)
    assert ready.snapshot == snapshot(9, 2) and ready.hard_state == HardState(2, 0)
    assert not ready.messages and [(one.type, one.index, one.reject) for one in ready.after] == [
        (INSTALL_REPLY, 9, False)
    ]
    assert raft.durable_index == 0 and (raft.commit_index, raft.last_index) == (9, 9)
    raft.advance(ready)
    assert raft.durable_index == 9
    raft.step(append(2, 9, 2, [2], commit=10))
    assert [one.index for ready in readies(raft) for one in ready.committed] == [10]


def test_chunks_are_taken_in_order_and_the_next_one_is_named() -> None:
    raft = member(term=2)
    parts = chunks(snapshot(9, 2, bytes(100)), 30)
    wanted = []
    for part in (parts[0], parts[2], parts[0], parts[1]):
        raft.step(part)
        wanted += [(one.commit, one.reject) for one in only(drain(raft), INSTALL_REPLY)]
    assert wanted == [(30, False), (30, True), (30, True), (60, False)]
    for part in parts[2:]:
        raft.step(part)
    drain(raft)
    assert raft.commit_index == 9


def test_chunks_of_two_leaders_are_never_mixed() -> None:
    """Two leaders that compacted at one index may write one state in different bytes."""
    raft = member(term=2)
    ours, theirs = snapshot(9, 2, b"a" * 100), snapshot(9, 2, b"b" * 100)
    raft.step(chunks(ours, 60)[0])
    other = chunks(theirs, 60, term=3, source=3)
    for part in other[1:]:
        raft.step(part)
    assert raft.commit_index == 0
    for part in other:
        raft.step(part)
    (ready,) = readies(raft)
    assert ready.snapshot == theirs


def test_a_snapshot_that_does_not_fit_its_checksum_is_asked_for_again() -> None:
    raft = member(term=2)
    (whole,) = chunks(snapshot(9, 2))
    bad = Message(INSTALL, 2, 1, 2, 9, 2, 0, data=whole.data[:-1] + b"!")
    raft.step(bad)
    assert [(one.commit, one.reject) for one in only(drain(raft), INSTALL_REPLY)] == [(0, True)]
    raft.step(whole)
    drain(raft)
    assert raft.commit_index == 9


class FullSink(MemorySink):
    """One whose disk is full while ``full`` is set: it loses what it has, and takes nothing."""

    full = False

    def has_room(self) -> bool:
        return not self.full

    def failure(self) -> str:
        return "no room" if self.full and self._parts else ""


def test_a_snapshot_that_cannot_be_kept_comes_again_from_the_start_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    follower = member([1, 1, 1])
    monkeypatch.setattr(follower._following, "_make_sink", FullSink)
    parts = chunks(snapshot(9, 2, bytes(400)), 100)
    for part in parts[:3]:
        follower.step(part)
        (reply,) = drain(follower)
        assert (reply.commit, reply.reject) == (part.commit + 100, False)
    monkeypatch.setattr(FullSink, "full", True)
    for part in parts[3:] + parts[:1]:
        follower.step(part)
        (reply,) = drain(follower)
        assert (reply.type, reply.commit, reply.reject) == (INSTALL_REPLY, 0, True)
    assert follower.last_index == 3, "nothing of it counts"
    monkeypatch.setattr(FullSink, "full", False)
    for part in parts:
        follower.step(part)
        (reply,) = drain(follower)
        assert not reply.reject
    assert follower.last_index == 9


def test_a_member_without_room_is_asked_ever_less_often_and_then_at_once() -> None:
    raft = compacted_leader(snapshot_chunk_bytes=20, bytes_per_tick=1 << 20, lease_ticks=ELECTION_TICKS - 3)
    chunk = lagging(raft)
    assert chunk.lease, "as in all that a leader with leases sends"
    waits = []
    for _ in range(9):
        raft.step(answer_chunk(chunk, 0, reject=True))
        assert not only(drain(raft), INSTALL)
        waited, again = 0, []
        while not again and waited < 1000:
            tick(raft, 1)
            waited += 1
            for beat in only(drain(raft), APPEND):
                raft.step(Message(APPEND_REPLY, beat.target, 1, beat.term, 0, round=beat.round))
            again = only(drain(raft), INSTALL, to=3)
        waits.append(waited)
        (chunk,) = again
        assert chunk.commit == 0
    assert waits[-1] >= 60 * HEARTBEAT_TICKS and waits == sorted(waits)
    raft.step(answer_chunk(chunk, 20))
    (second,) = only(drain(raft), INSTALL, to=3)
    assert second.commit == 20


def test_a_log_that_agrees_needs_no_snapshot_and_keeps_what_follows() -> None:
    raft = member([1, 1, 2, 2, 2], term=2)
    drain(raft)
    raft.step(chunks(snapshot(3, 2))[0])
    (ready,) = readies(raft)
    assert ready.snapshot is None and [one.index for one in ready.committed] == [1, 2, 3]
    assert [(one.type, one.index) for one in ready.messages] == [(APPEND_REPLY, 3)]
    assert log_terms(raft) == [1, 1, 2, 2, 2]


def test_a_log_that_does_not_agree_is_gone_as_a_whole() -> None:
    raft = member([1, 1, 1, 1, 1], term=1)
    drain(raft)
    raft.step(chunks(snapshot(3, 2))[0])
    assert (raft.last_index, raft.log.last_term, raft.log.term_at(4)) == (3, 2, None)


def test_a_write_from_before_a_snapshot_says_nothing_of_the_log_after_it() -> None:
    raft = member(term=1)
    raft.step(append(1, terms=[1, 1, 1]))
    (stalled,) = readies(raft)
    raft.step(chunks(snapshot(2, 2))[0])
    (restored,) = readies(raft)
    raft.advance(stalled)
    assert raft.durable_index == 0
    raft.advance(restored)
    assert raft.durable_index == 2


def test_an_old_snapshot_changes_nothing() -> None:
    raft = member([1, 1, 1])
    raft.step(append(1, 3, 1, commit=3))
    drain(raft)
    raft.step(chunks(snapshot(2, 1))[0])
    (ready,) = readies(raft)
    assert ready.snapshot is None and [(one.type, one.index) for one in ready.messages] == [(APPEND_REPLY, 3)]


# -- a leader ------------------------------------------------------------------------------------------------------


def lagging(raft: Raft, index: int = 2) -> Message:
    """Member 3 turns out to hold only ``index`` entries of another term; the chunk that it is sent."""
    raft._leadership._progress[3].match_index = 0  # type: ignore[union-attr]
    raft._leadership._progress[3].next_index = 1  # type: ignore[union-attr]
    raft.propose(b"one more")
    (chunk,) = only(drain(raft), INSTALL, to=3)
    return chunk


def answer_chunk(chunk: Message, wanted: int, *, reject: bool = False) -> Message:
    return Message(
        INSTALL_REPLY, 3, 1, chunk.term, chunk.index, chunk.log_term, wanted, reject=reject, round=chunk.round
    )


def test_a_follower_far_behind_gets_the_snapshot_in_chunks_and_then_entries() -> None:
    raft = compacted_leader(snapshot_chunk_bytes=20)
    chunk, seen = lagging(raft), 0
    while True:
        assert chunk.commit == seen and len(chunk.data) <= 20
        seen += len(chunk.data)
        raft.step(answer_chunk(chunk, seen))
        if not chunk.more:
            break
        (chunk,) = only(drain(raft), INSTALL, to=3)
    assert raft.status()["progress"]["3"]["match_index"] == chunk.index
    follow = [one for one in only(drain(raft), APPEND, to=3) if one.entries]
    assert [one.index for one in follow] == [chunk.index]


def test_a_lost_chunk_is_sent_again_and_one_that_is_not_wanted_is_replaced() -> None:
    raft = compacted_leader(snapshot_chunk_bytes=20)
    chunk = lagging(raft)
    assert not only(drain(raft), INSTALL)
    for _ in range(3):
        tick(raft, HEARTBEAT_TICKS)
        for beat in only(drain(raft), APPEND, to=3):
            raft.step(Message(APPEND_REPLY, 3, 1, beat.term, 0, round=beat.round))
    again = only(drain(raft), INSTALL, to=3)
    assert again and again[0].commit == 0
    raft.step(answer_chunk(chunk, 20))
    (second,) = only(drain(raft), INSTALL, to=3)
    assert second.commit == 20
    raft.step(answer_chunk(chunk, 20))
    assert not only(drain(raft), INSTALL), "a duplicate of an old answer sends nothing"
    raft.step(answer_chunk(second, 0, reject=True))
    (restarted,) = only(drain(raft), INSTALL, to=3)
    assert restarted.commit == 0, "it has forgotten what it had"


def test_a_snapshot_succeeds_by_an_append_response() -> None:
    """etcd: a follower that turns out to hold the entries needs no snapshot any more."""
    raft = compacted_leader(snapshot_chunk_bytes=20)
    chunk = lagging(raft)
    raft.step(Message(APPEND_REPLY, 3, 1, chunk.term, chunk.index, round=chunk.round))
    progress = raft.status()["progress"]["3"]
    assert (progress["mode"], progress["match_index"]) == ("replicate", chunk.index)


def test_heartbeats_reach_a_follower_whose_entries_are_compacted_away() -> None:
    raft = compacted_leader()
    lagging(raft)
    tick(raft, HEARTBEAT_TICKS)
    (beat,) = [one for one in only(drain(raft), APPEND, to=3) if not one.entries]
    assert (beat.index, beat.log_term, beat.commit) == (0, 0, raft.commit_index)
    follower = Raft(Config(3, frozenset({1, 2, 3})), HardState(), (), Random(0))
    follower.step(beat)
    assert [(one.index, one.reject) for one in drain(follower)] == [(0, False)] and follower.commit_index == 0


def test_entries_behind_a_snapshot_on_its_way_are_kept() -> None:
    raft = compacted_leader(snapshot_chunk_bytes=20)
    chunk = lagging(raft)
    raft.step(Message(APPEND_REPLY, 2, 1, 2, raft.last_index))
    drain(raft)
    assert raft.commit_index > chunk.index
    raft.compact(raft.take_snapshot(raft.commit_index, b"newer"))
    assert raft.log.base_index == chunk.index
    raft._leadership._replication.now += 1000  # type: ignore[union-attr]  # it is silent: nobody waits for it
    raft.propose(b"more")
    drain(raft)
    raft.step(Message(APPEND_REPLY, 2, 1, 2, raft.last_index))
    drain(raft)
    raft.compact(raft.take_snapshot(raft.commit_index, b"newest"))
    assert raft.log.base_index == raft.commit_index


def test_a_slow_follower_catches_up_after_compaction() -> None:
    network = Network(1, 3, Faults(propose=0), snapshot_chunk_bytes=50)
    first = network.run_until_leader()
    away = 1 + first.id % 3
    network.cut = {pair for one in network.members for pair in ((one, away), (away, one))}
    for number in range(200):
        network.propose(b"%d" % number)
        network.run(1)
    network.faults.compact = 1.0
    network.run(3)
    network.faults.compact = 0.0
    assert first.log.base_index > 100
    network.cut.clear()
    network.run(100)
    assert network.members[away].applied == first.commit_index and network.counts["snapshots installed"]
    network.check_end()


def test_a_snapshot_brings_its_members_and_nothing_of_the_former_ones() -> None:
    """openraft #1808: after an install, membership was still the old log's."""
    raft = member([1])
    stale = Configuration(0, Membership(frozenset({1, 2, 3, 4, 5})), {})
    raft.step(Message(APPEND, 2, 1, 1, 1, 1, round=1, entries=(Entry(1, 2, EntryKind.CONFIGURATION, stale.pack()),)))
    drain(raft)
    assert raft.membership.voters == {1, 2, 3, 4, 5}
    new = Configuration(8, Membership(frozenset({1, 6, 7})), {1: b"x", 6: b"y", 7: b"z"})
    raft.step(chunks(snapshot(9, 2, configuration=new))[0])
    (ready,) = readies(raft)
    assert raft.configuration == raft.committed_configuration == new
    assert ready.configuration == ready.committed_configuration == new
    raft.step(append(2, 9, 2, [2], commit=9))
    raft.step(append(3, 9, 2, [3], source=3))
    assert raft.configuration == new, "a cut behind the snapshot does not reach its members"


def test_chunks_hurry_where_proposals_wait_for_who_gets_them() -> None:
    """Of three members one is gone, and the other one needs the snapshot: until it has that nothing is committed."""
    raft = compacted_leader(snapshot_chunk_bytes=10, snapshot_pace_ticks=50)
    chunk = lagging(raft)
    raft.propose(b"waits for a quorum")
    drain(raft)
    tick(raft, HEARTBEAT_TICKS)
    drain(raft)
    for _ in range(3):
        raft.step(answer_chunk(chunk, chunk.commit + 10))
        (chunk,) = only(drain(raft), INSTALL, to=3)


def test_chunks_leave_room_for_proposals_and_hurry_where_there_are_none() -> None:
    raft = compacted_leader(snapshot_chunk_bytes=10, snapshot_pace_ticks=3, heartbeat_ticks=4)
    chunk = lagging(raft)
    raft.step(Message(APPEND_REPLY, 2, 1, raft.current_term, raft.last_index))
    drain(raft)
    for _ in range(3):
        raft.step(answer_chunk(chunk, chunk.commit + 10))
        (chunk,) = only(drain(raft), INSTALL, to=3)
    raft.propose(b"waits for a quorum")
    raft.step(answer_chunk(chunk, chunk.commit + 10))
    waited = 0
    while not (chunks := only(drain(raft), INSTALL, to=3)):
        tick(raft, 1)
        waited += 1
    assert waited == 3 and chunks[0].commit == chunk.commit + 10
