"""Linearizable reads over rounds, and handing leadership over."""

from __future__ import annotations

from contextlib import suppress

import pytest

from hosts.raft.core import Busy, NotLeader, Raft, Role, Unreachable
from hosts.raft.message import Message, MessageType
from hosts.raft.quorum import Membership
from tests.raft.network import Faults, Network
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    ELECTION_TICKS,
    HEARTBEAT_TICKS,
    VOTE,
    acknowledge_all,
    answer,
    answer_all,
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


def test_a_read_of_a_single_voter_is_served_when_a_heartbeat_comes_first() -> None:
    raft = member(size=1)
    campaign(raft)
    first = raft.read()
    tick(raft, HEARTBEAT_TICKS)
    second = raft.read()
    assert served(raft) == [(first, 1), (second, 1)]
    for _ in range(3 * ELECTION_TICKS):
        number = raft.read()
        tick(raft, 1)
        assert served(raft) == [(number, 1)]


def test_a_single_voter_serves_reads_whether_or_not_its_learners_answer() -> None:
    raft = member(size=1)
    campaign(raft)
    raft.change_membership(learners={2: b"at 2"})
    acknowledge_all(raft)
    number = raft.read()
    tick(raft, HEARTBEAT_TICKS)
    assert served(raft) == [(number, raft.commit_index)]


def test_reads_are_served_when_the_group_shrinks_to_its_leader() -> None:
    raft = settled_leader()
    raft.change_membership(remove={2, 3})
    (joint,) = (one for one in only(drain(raft), APPEND, to=2) if one.entries)
    first = raft.read()
    assert not durably_served(raft)
    second = raft.read()
    assert not durably_served(raft), "members that are to leave still count"
    raft.step(answer(joint))
    assert durably_served(raft) == [first, second]
    assert raft.membership == Membership(frozenset({1})) and not raft.changing_members


def durably_served(raft: Raft) -> list[int]:
    """The numbers of the reads that come out while the disk writes at once."""
    numbers = []
    while (ready := raft.ready()) is not None:
        numbers += [number for number, _ in ready.reads]
        raft.advance(ready)
    return numbers


@pytest.mark.parametrize("seed", range(6))
def test_no_read_is_forgotten_while_a_group_shrinks_to_one_and_grows_again(seed: int) -> None:
    network = Network(seed, 3, Faults(propose=0.2, read=1.0))
    network.run_until_leader()
    for voters in ({1}, {1, 2, 3}, {2}, {2, 3}):
        for _ in range(30 * ELECTION_TICKS):
            network.tick()
            leader = network.leader()
            if leader is None or leader.role is not Role.LEADER or leader.changing_members:
                continue
            if leader.membership == Membership(frozenset(voters)):
                break
            with suppress(Busy):
                leader.change_membership(dict.fromkeys(voters, b""), {1, 2, 3} - voters)
        else:
            raise AssertionError(f"seed {seed}: {voters} do not come about: {network.roles()}")
        network.run(3 * ELECTION_TICKS)
    assert network.counts["reads alone"] and network.counts["reads"] > network.counts["reads alone"]


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


def test_a_transfer_ends_an_election_timeout_after_the_first_was_asked_for() -> None:
    """Whoever else is named meanwhile: or an operator who tries one member after the other would stop all writing."""
    raft = settled_leader(size=5)
    for now in range(ELECTION_TICKS):
        raft.transfer(2 + now % 2)
        with pytest.raises(Busy):
            raft.propose(b"value")
        raft.tick()
        answer_all(raft, 2, 3)
    raft.propose(b"value")
    answer_all(raft, 2, 3)
    assert raft.commit_index == raft.last_index


def test_a_transfer_may_turn_to_another_member() -> None:
    raft = settled_leader()
    raft.transfer(2)
    drain(raft)
    raft.transfer(3)
    assert [one.target for one in only(drain(raft), TIMEOUT_NOW)] == [3]
    assert raft.status()["successor"] == 3


def test_nobody_is_to_take_over_who_is_away() -> None:
    raft = settled_leader()
    for _ in range(ELECTION_TICKS + HEARTBEAT_TICKS):
        raft.tick()
        answer_all(raft, 3)
    with pytest.raises(Unreachable, match="member 3 cannot take over"):
        raft.transfer(3)
    raft.propose(b"value")
    raft.transfer(2)
    with pytest.raises(Unreachable, match="member 3 cannot take over"):
        raft.transfer(3)
    assert raft.status()["successor"] == 2, "it goes on"


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
