"""When a leader lets the network gather acknowledgements, which of a follower's may be, and what it makes of them."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from hosts.raft.config import Config
from hosts.raft.core import Raft
from hosts.raft.gathering import MOST_DOUBLED, GatherCounts, Gathering
from hosts.raft.message import EVERYBODY, Message
from tests.raft.single import (
    APPEND,
    APPEND_REPLY,
    HEARTBEAT_TICKS,
    answer,
    append,
    drain,
    leader,
    member,
    only,
    readies,
    settled_leader,
    tick,
)

PAUSE = 20

# -- a follower ----------------------------------------------------------------------------------------------------


def gather(message: Message) -> Message:
    return replace(message, gather=True)


def said(messages: list[Message]) -> list[tuple[int, bool]]:
    """Index of the acknowledgements, and whether they may be gathered."""
    return [(one.index, one.gather) for one in only(messages, APPEND_REPLY)]


def test_what_acknowledges_entries_may_be_gathered_if_the_leader_says_so() -> None:
    raft = member()
    raft.step(gather(append(2, terms=[2])))
    assert said(drain(raft)) == [(1, True)]
    raft.step(append(2, 1, 2, terms=[2]))
    assert said(drain(raft)) == [(2, False)]
    raft.step(gather(append(2, 1, 2, terms=[2])))
    assert said(drain(raft)) == [(2, True)], "what it holds already, it acknowledges once more"


def test_a_heartbeats_answer_and_a_reject_never_may() -> None:
    raft = member()
    raft.step(gather(append(2, terms=[2])))
    drain(raft)
    raft.step(gather(append(2)))
    raft.step(gather(append(2, 5, 2, terms=[2])))
    assert said(drain(raft)) == [(1, False), (5, False)]


@pytest.mark.parametrize("may", [(True, True), (True, False), (False, True), (False, False)])
def test_one_for_several_may_be_gathered_if_all_of_them_may(may: tuple[bool, bool]) -> None:
    raft = member()
    for at, one in enumerate(may):
        message = append(2, at, 2 if at else 0, terms=[2])
        raft.step(gather(message) if one else message)
    assert said(drain(raft)) == [(2, all(may))]


# -- a leader --------------------------------------------------------------------------------------------------------


def gathering_leader(size: int = 3, **options: int) -> Raft:
    return settled_leader([1], size=size, gather=True, gather_pause_ticks=PAUSE, **options)


def proposed(raft: Raft) -> list[Message]:
    """The AppendEntries that leave with a new entry, which the own disk holds then."""
    raft.propose(b"x")
    return [one for one in only(drain(raft), APPEND) if one.entries]


def reply(request: Message, *, to_heartbeat: bool = False) -> Message:
    return replace(answer(request), gather=request.gather and not to_heartbeat)


def all_may(messages: list[Message]) -> bool:
    (may,) = {one.gather for one in messages}
    return may


def counts(raft: Raft) -> dict[str, int]:
    return asdict(raft.gather_counts)


def test_entries_may_be_gathered_and_heartbeats_not() -> None:
    raft = gathering_leader()
    assert all_may(proposed(raft))
    tick(raft, HEARTBEAT_TICKS)
    assert not any(one.gather for one in only(drain(raft), APPEND) if not one.entries)
    assert counts(raft)["asked"] == 2


def test_without_the_setting_nothing_may() -> None:
    raft = settled_leader([1], size=3)
    assert not all_may(proposed(raft)) and counts(raft) == {"asked": 0, "pauses": 0}


def test_nothing_may_before_something_of_the_term_is_committed() -> None:
    raft = leader([1], size=3, gather=True)
    first = [one for one in only(drain(raft), APPEND) if one.entries]
    assert first and not any(one.gather for one in first)


def test_nothing_may_while_the_own_disk_is_behind_the_commit_or_slow() -> None:
    raft = gathering_leader()
    raft.propose(b"x")
    slow = readies(raft)
    sent = [one for ready in slow for one in only(ready.messages, APPEND) if one.entries]
    assert all_may(sent), "the entry is young"
    raft.propose(b"x")
    more = readies(raft)
    assert all_may([one for ready in more for one in only(ready.messages, APPEND) if one.entries])
    tick(raft, 1)
    raft.propose(b"x")
    last = readies(raft)
    assert not all_may([one for ready in last for one in only(ready.messages, APPEND) if one.entries])
    for ready in (*slow, *more, *last):
        raft.advance(ready)
    assert all_may(proposed(raft))


def test_nothing_may_while_others_are_ahead_of_the_own_disk() -> None:
    raft = gathering_leader(5)
    raft.propose(b"x")
    slow = readies(raft)
    for ready in slow:
        for one in only(ready.messages, APPEND):
            if one.entries:
                raft.step(reply(one))
    assert raft.commit_index == raft.last_index > raft.durable_index
    raft.propose(b"x")
    sent = [one for ready in readies(raft) for one in only(ready.messages, APPEND) if one.entries]
    assert not all_may(sent)


@pytest.mark.parametrize("transfers", [False, True])
def test_nothing_may_while_leadership_is_handed_over(transfers: bool) -> None:
    raft = gathering_leader(3, max_inflight=4)
    sent = [one for _ in range(5) for one in proposed(raft) if one.target == 3]
    assert len(sent) == 4 and raft.last_index == sent[-1].index + 2, "one entry has no room"
    if transfers:
        raft.transfer(3)
    raft.step(reply(sent[-1]))
    (last,) = [one for one in only(drain(raft), APPEND, 3) if one.entries]
    assert last.gather is not transfers


def test_nothing_may_while_members_change() -> None:
    raft = gathering_leader(5)
    raft.change_membership(remove=[5])
    for _ in range(3):
        sent = [one for one in only(drain(raft), APPEND) if one.entries]
        assert not any(one.gather for one in sent)
        tick(raft, HEARTBEAT_TICKS)


def test_who_has_half_of_its_window_on_the_way_must_say_what_it_has() -> None:
    raft = gathering_leader(3, max_inflight=4)
    assert [all_may(proposed(raft)) for _ in range(4)] == [True, True, False, False]


def test_what_goes_to_everybody_may_be_gathered_as_well() -> None:
    raft = settled_leader([1], size=3, gather=True, fanout=True)
    for _ in range(3):
        tick(raft, HEARTBEAT_TICKS)
        for one in only(drain(raft), APPEND):
            targets = one.receivers if one.target == EVERYBODY else (one.target,)
            for target in targets:
                raft.step(answer(replace(one, target=target, receivers=()), index=raft.last_index))
    (one,) = proposed(raft)
    assert one.target == EVERYBODY and one.gather


# -- pauses ----------------------------------------------------------------------------------------------------------


def late_commit(raft: Raft) -> None:
    """A commit that comes by the answer to a heartbeat."""
    sent = proposed(raft)
    tick(raft, HEARTBEAT_TICKS)
    beat = next(one for one in only(drain(raft), APPEND, sent[0].target) if not one.entries)
    raft.step(replace(answer(beat, index=raft.last_index), gather=False))
    assert raft.commit_index == raft.last_index
    drain(raft)


def everyone_holds(raft: Raft) -> None:
    """All answer a heartbeat, with what they hold: everything."""
    tick(raft, HEARTBEAT_TICKS)
    for one in only(drain(raft), APPEND):
        raft.step(replace(answer(one, index=raft.last_index), gather=False))
    drain(raft)


def test_after_a_commit_by_a_heartbeats_answer_nothing_may_for_a_while() -> None:
    raft = gathering_leader()
    late_commit(raft)
    assert counts(raft)["pauses"] == 1
    everyone_holds(raft)
    assert not all_may(proposed(raft))
    for _ in range(PAUSE // HEARTBEAT_TICKS):
        everyone_holds(raft)
    assert all_may(proposed(raft))
    assert counts(raft)["pauses"] == 1, "commits in the pause are as they should be"


def test_a_commit_by_an_acknowledgement_needs_no_pause() -> None:
    raft = gathering_leader()
    for one in proposed(raft):
        raft.step(reply(one))
    assert raft.commit_index == raft.last_index and not counts(raft)["pauses"]


def test_an_acknowledgement_that_had_to_come_by_itself_needs_no_pause() -> None:
    """Two of them may have become one, which may not be gathered if one of them may not."""
    raft = gathering_leader(3, max_inflight=4)
    sent = [proposed(raft)[0] for _ in range(3)]
    assert [one.gather for one in sent] == [True, True, False]
    raft.step(replace(answer(sent[2]), gather=False))
    assert raft.commit_index == raft.last_index and not counts(raft)["pauses"]


def test_pauses_double_up_to_a_limit_and_begin_anew_after_quiet_times() -> None:
    gathering, beat = Gathering(Config(1, frozenset({1, 2}), gather_pause_ticks=10), GatherCounts()), append(1)
    late, now, pauses = replace(answer(beat), gather=False), 0, []
    for _ in range(8):
        gathering.asks = True
        gathering.committed_by(late, 0, now)
        began = now
        while not gathering.may_ask(now):
            now += 1
        pauses.append(now - began)
        now += 1
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]
    now += 10 * MOST_DOUBLED + 1
    gathering.committed_by(late, 0, now)
    assert not gathering.may_ask(now + 9) and gathering.may_ask(now + 10)


# -- what is known already -------------------------------------------------------------------------------------------


def test_only_what_says_more_is_news() -> None:
    raft = gathering_leader()
    (one, *_) = proposed(raft)
    term, index, known = raft.current_term, raft.last_index, one.round
    assert raft.is_news(one.target, term, index, known)
    raft.step(reply(one))
    assert not raft.is_news(one.target, term, index, known)
    assert raft.is_news(one.target, term, index, known + 1) and raft.is_news(one.target, term, index + 1, known)
    assert not raft.is_news(9, term, index + 1, known + 1), "it is no member"
    assert not raft.is_news(one.target, term - 1, index + 1, known + 1)
    raft.step(append(term + 1, source=3))
    assert not raft.is_news(one.target, term + 1, index + 1, known + 1), "it leads no more"
