"""Linearizable reads over rounds, and handing leadership over."""

from __future__ import annotations

import pytest

from hosts.raft.core import Busy, NotLeader, Raft, Role
from hosts.raft.message import Message, MessageType
from tests.raft.network import Faults, Network
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    VOTE,
    acknowledge_all,
    answer,
    append,
    campaign,
    drain,
    leader,
    member,
    only,
    readies,
    settled_leader,
    tick,
)

TIMEOUT_NOW = MessageType.TIMEOUT_NOW


def served(raft: Raft) -> list[tuple[int, int]]:
    return [read for ready in readies(raft) for read in ready.reads]


def begun(raft: Raft) -> tuple[list[Message], list[tuple[int, int]]]:
    """What ready() lets out: messages and reads."""
    out, reads = [], []
    for ready in readies(raft):
        out += ready.messages
        reads += ready.reads
    return out, reads


# -- reads ---------------------------------------------------------------------------------------------------------


def test_a_read_waits_for_a_quorum_of_a_round_that_began_after_it() -> None:
    raft = settled_leader(size=5)
    number = raft.read()
    beats, reads = begun(raft)
    assert not reads and len(beats) == 4
    raft.step(answer(beats[0]))
    assert not served(raft)
    raft.step(answer(beats[0]))
    assert not served(raft), "one member's answers do not add up"
    raft.step(answer(beats[1]))
    assert served(raft) == [(number, raft.commit_index)]


def test_answers_to_an_earlier_round_serve_no_read() -> None:
    raft = settled_leader()
    tick(raft, HEARTBEAT_TICKS)
    old = [answer(beat) for beat in only(drain(raft), APPEND)]
    raft.read()
    drain(raft)
    for reply in old:
        raft.step(reply)
    assert not served(raft)


def test_answers_to_a_round_that_never_began_serve_no_read() -> None:
    raft = settled_leader()
    raft.read()
    drain(raft)
    for source in (2, 3):
        raft.step(Message(APPEND_REPLY, source, 1, 1, 1, round=10**9))
    assert not served(raft)


def test_a_new_leader_serves_reads_only_after_an_entry_of_its_term() -> None:
    raft = leader([1, 1])
    number = raft.read()
    beats, _ = begun(raft)
    for beat in beats:
        if not beat.entries:
            raft.step(answer(beat))
    tick(raft, HEARTBEAT_TICKS)
    for beat in only(drain(raft), APPEND):
        if not beat.entries:
            raft.step(answer(beat))
    assert not served(raft)
    for message in beats:
        if message.entries:
            raft.step(answer(message))
    beats, reads = begun(raft)
    assert raft.commit_index == 3 and not reads
    for beat in beats:
        raft.step(answer(beat))
    assert served(raft) == [(number, 3)]


def test_reads_share_a_round_and_numbers_are_never_used_again() -> None:
    raft = settled_leader()
    first = [raft.read() for _ in range(10)]
    beats, _ = begun(raft)
    assert len(beats) == 2
    second = [raft.read() for _ in range(10)]
    assert not begun(raft)[0], "one round at a time"
    for beat in beats:
        raft.step(answer(beat))
    again, reads = begun(raft)
    assert [number for number, _ in reads] == first and len(again) == 2
    for beat in again:
        raft.step(answer(beat))
    assert [number for number, _ in served(raft)] == second
    assert len({*first, *second}) == 20


def test_a_round_that_was_lost_is_made_up_for_by_the_next_heartbeat() -> None:
    raft = settled_leader()
    number = raft.read()
    begun(raft)
    tick(raft, HEARTBEAT_TICKS)
    for beat in only(begun(raft)[0], APPEND):
        raft.step(answer(beat))
    assert served(raft) == [(number, 1)]


def test_a_single_member_reads_at_once() -> None:
    raft = member(size=1)
    campaign(raft)
    number = raft.read()
    assert served(raft) == [(number, 1)]


def test_a_deposed_leader_serves_no_read() -> None:
    raft = settled_leader()
    raft.read()
    beats, _ = begun(raft)
    raft.step(append(9))
    for beat in beats:
        raft.step(answer(beat))
    assert not served(raft)
    with pytest.raises(NotLeader):
        raft.read()


# -- transfer ------------------------------------------------------------------------------------------------------


def test_leadership_moves_without_an_election_timeout() -> None:
    network = Network(3, 3, Faults(propose=0))
    first = network.run_until_leader()
    to = next(one for one in network.members if one != first.id)
    network.run(2 * HEARTBEAT_TICKS)
    first.transfer(to)
    network.run(6)
    assert network.raft(to).role is Role.LEADER and first.role is Role.FOLLOWER
    assert network.raft(to).current_term == 2


def test_a_transfer_to_itself_changes_nothing() -> None:
    raft = settled_leader()
    raft.transfer(1)
    raft.propose(b"value")
    assert not only(drain(raft), TIMEOUT_NOW)


def test_a_successor_is_brought_up_to_date_first() -> None:
    raft = settled_leader()
    raft.propose(b"value")
    messages = drain(raft)
    raft.transfer(2)
    assert not only(drain(raft), TIMEOUT_NOW)
    with pytest.raises(Busy, match="member 2 takes over"):
        raft.propose(b"another")
    raft.step(answer(next(one for one in messages if one.target == 3 and one.entries)))
    assert not only(drain(raft), TIMEOUT_NOW)
    raft.step(answer(next(one for one in messages if one.target == 2 and one.entries)))
    assert [one.target for one in only(drain(raft), TIMEOUT_NOW)] == [2]


def test_a_transfer_in_vain_ends_after_an_election_timeout() -> None:
    raft = settled_leader()
    raft.transfer(2)
    for _ in range(ELECTION_TICKS):
        with pytest.raises(Busy):
            raft.propose(b"value")
        raft.tick()
        for beat in only(drain(raft), APPEND, to=3):
            raft.step(answer(beat))
    raft.propose(b"value")
    acknowledge_all(raft)
    assert raft.commit_index == raft.last_index


def test_a_lost_call_to_take_over_is_repeated() -> None:
    raft = settled_leader()
    raft.transfer(2)
    assert only(drain(raft), TIMEOUT_NOW)
    tick(raft, HEARTBEAT_TICKS)
    for beat in only(drain(raft), APPEND, to=2):
        raft.step(answer(beat))
    assert only(drain(raft), TIMEOUT_NOW)


def test_the_called_campaign_at_once_and_are_heard_in_spite_of_the_lease() -> None:
    raft = member([1])
    raft.step(append(1, 1, 1))
    drain(raft)
    raft.step(Message(TIMEOUT_NOW, 2, 1, 1))
    requests = only(drain(raft), VOTE)
    assert raft.role is Role.CANDIDATE and {one.data for one in requests} == {b"transfer"}
    other = member([1])
    other.step(append(1, 1, 1))
    drain(other)
    other.step(Message(VOTE, 3, 1, 2, 1, 1, data=b"transfer"))
    assert not drain(other)[0].reject


@pytest.mark.parametrize("message", [Message(TIMEOUT_NOW, 3, 1, 1), Message(TIMEOUT_NOW, 3, 1, 7)])
def test_only_the_leader_may_call(message: Message) -> None:
    raft = member([1])
    raft.step(append(1, 1, 1, source=2))
    raft.step(message)
    assert raft.role is Role.FOLLOWER


def test_who_cannot_lead_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot lead"):
        settled_leader().transfer(9)
    with pytest.raises(NotLeader):
        member().transfer(2)
