"""A voter that holds nothing yet votes for nobody who does: so no change of members may come to need its vote."""

from __future__ import annotations

import contextlib

import pytest

from hosts.raft.core import Unreachable
from hosts.raft.message import Message
from tests.raft.network import Faults, Network
from tests.raft.single import PRE_VOTE, VOTE


class Unreached(Network):
    """Members ``unreached`` get no entries and no snapshot: all else passes. Until ``started`` they take no part."""

    unreached = frozenset({2})
    started = 100

    def _fly(self, to: int, message: Message) -> None:
        is_vote = message.type in (PRE_VOTE, VOTE) and not self.unreached.isdisjoint((to, message.source))
        if not (is_vote and self.now < self.started) and not (to in self.unreached and message.entries):
            super()._fly(to, message)


@pytest.mark.parametrize("seed", range(5))
def test_no_change_needs_the_vote_of_a_member_that_holds_nothing_yet(seed: int) -> None:
    """It was started after the first election, and votes for nobody who holds something before it does so, too. The
    leader restarts just after another voter was to be removed."""
    network = Unreached(seed, 3, Faults(propose=0.0, read=0.0), identified=True)
    network.run(150)
    lead = network.leader()
    assert lead is not None and lead.status()["progress"]["2"]["match_index"] == 0
    with contextlib.suppress(Unreachable):
        lead.change_membership(remove=[4 - lead.id])
    network.run(6)
    network.members[lead.id].crash(network.random)
    network.run(5)
    network.members[lead.id].start()
    network.unreached = frozenset()
    network.run_until_leader()
    network.run(300)
    new = network.leader()
    assert new is not None and not new.changing_members


def test_a_change_that_needs_the_vote_of_who_holds_nothing_is_refused_until_it_holds_something() -> None:
    network = Unreached(1, 3, Faults(propose=0.0, read=0.0), identified=True)
    network.run(150)
    lead = network.leader()
    assert lead is not None
    with pytest.raises(Unreachable, match=r"members \[2\] hold nothing yet, and without them the voters"):
        lead.change_membership(remove=[4 - lead.id])
    assert not lead.changing_members
    network.unreached = frozenset()
    network.run(20)
    lead.change_membership(remove=[4 - lead.id])
    network.run(100)
    assert not lead.changing_members and lead.status()["voters"] == sorted({lead.id, 2})
