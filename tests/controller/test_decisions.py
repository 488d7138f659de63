"""What a controller decides, event by event: no switch, no clock, no task."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import TypeVar

import pytest

from controller.decisions import (
    ABSENT_AFTER_S,
    AUDIT_S,
    DOUBT_S,
    PATIENCE_S,
    TICK_S,
    WATCH_S,
    AskPackets,
    AskRegisters,
    Decisions,
    Note,
    Output,
    Refresh,
    Reread,
    SendProbe,
    Standing,
)
from controller.desired import Entry, Leadership, MulticastGroup, apply, diff
from controller.leaders import Heard, Reading
from controller.links import Probe
from controller.members import MembersTold
from controller.network import parse
from hosts.wire import ToldMember
from tests.controller.triangle import triangle

SWITCHES = ("s1", "s2", "s3")
NOW = 100.0
TREE = ("fanout_copy", "multicast_groups", "append_fanout")
FRESH, OLD = 1000, 10_000_000
"""Ages of readings in microseconds: just heard, and not heard for ten seconds."""

Kind = TypeVar("Kind", bound=Output)


class Bench:
    """Decisions with programmed switches, and the outputs of the last event."""

    def __init__(self, *, programmed: bool = True) -> None:
        self.decisions = Decisions(parse(triangle()), NOW)
        self.now = NOW
        for switch in SWITCHES if programmed else ():
            self.program(switch)
        self.decisions.take()

    def program(self, switch: str, standing: Standing = Standing.READY) -> None:
        """The switch holds what it ought to."""
        self.decisions.standing_changed(switch, standing, self.now)
        self.decisions.holds(switch, self.decisions.desired(switch, self.now))

    def programmed(self) -> None:
        """All switches hold what they ought to."""
        for switch in SWITCHES:
            self.decisions.holds(switch, self.decisions.desired(switch, self.now))

    def take(self, kind: type[Kind]) -> list[Kind]:
        """The outputs of one kind; the others are dropped."""
        return [output for output in self.decisions.take() if isinstance(output, kind)]

    def lead(self, leader: int, term: int) -> None:
        """A leader is installed."""
        self.decisions.leader_heard("s1", 1, 0, Heard(leader, term), self.now)
        self.programmed()
        self.decisions.take()

    def tick(self, seconds: float = TICK_S) -> list[Output]:
        self.now += seconds
        self.decisions.tick(self.now)
        return self.decisions.take()

    def pass_probes(self, outputs: list[Output], quiet: Collection[tuple[str, int]] = ()) -> None:
        """Probes arrive, but for those that leave by the ports ``quiet``."""
        ends = {("s1", 3): ("s2", 3), ("s1", 4): ("s3", 2), ("s2", 4): ("s3", 3)}
        ends |= {other: end for end, other in ends.items()}
        for output in outputs:
            if isinstance(output, SendProbe) and (output.switch, output.probe.port) not in quiet:
                self.decisions.probe_heard(*ends[output.switch, output.probe.port], output.probe)

    @property
    def leader(self) -> tuple[int, int]:
        held = self.decisions.leaders[1]
        return held.leader, held.term


def _until(bench: Bench, kind: type[Kind], ticks: int = 40) -> Kind:
    """Tick until there is an output of a kind."""
    for _ in range(ticks):
        for output in bench.tick():
            if isinstance(output, kind):
                return output
    raise AssertionError(f"no {kind.__name__} within {ticks} ticks")


def test_a_higher_term_is_installed_at_once() -> None:
    bench = Bench()
    bench.decisions.leader_heard("s1", 1, 0, Heard(2, 5), bench.now)
    assert bench.leader == (2, 5)
    events = [output.event for output in bench.take(Refresh)]
    assert events == ["group 1: leader h2, term 5 (was no leader)"]


@pytest.mark.parametrize(
    ("group", "slot", "leader"), [(1, 7, 2), (1, 63, 2), (2, 0, 2), (0, 0, 2), (1, 0, 9), (1, 0, 0), (1, 0, 255)]
)
def test_a_digest_of_another_group_slot_or_leader_changes_nothing(group: int, slot: int, leader: int) -> None:
    bench = Bench()
    bench.decisions.leader_heard("s1", group, slot, Heard(leader, 50), bench.now)
    outputs = bench.decisions.take()
    assert bench.leader == (0, 0)
    assert [type(output) for output in outputs] == [Note]
    assert isinstance(outputs[0], Note) and outputs[0].warning


def test_a_lower_term_is_asked_about_once_and_taken_if_nobody_hears_the_old_leader() -> None:
    bench = Bench()
    bench.lead(1, 57)
    for _ in range(3):
        bench.decisions.leader_heard("s2", 1, 0, Heard(2, 1), bench.now)
    (asked,) = bench.take(AskRegisters)
    assert asked.slot == 0 and asked.inquiry and bench.leader == (1, 57)
    bench.decisions.registers_read(asked.ask, [Reading(2, 1, FRESH), Reading(1, 57, OLD)], bench.now)
    assert bench.leader == (2, 1)
    # And again, once that is answered.
    bench.decisions.leader_heard("s2", 1, 0, Heard(3, 1), bench.now)
    assert len(bench.take(AskRegisters)) == 1


@pytest.mark.parametrize("readings", [[], [Reading(1, 57, FRESH)], [Reading(2, 1, FRESH), Reading(1, 57, FRESH)]])
def test_a_lower_term_is_not_taken_while_the_old_leader_is_heard_or_nobody_answers(readings: list[Reading]) -> None:
    bench = Bench()
    bench.lead(1, 57)
    bench.decisions.leader_heard("s2", 1, 0, Heard(2, 1), bench.now)
    (asked,) = bench.take(AskRegisters)
    bench.decisions.registers_read(asked.ask, readings, bench.now)
    assert bench.leader == (1, 57)
    assert not bench.take(Refresh)


def test_the_answer_to_a_question_about_an_earlier_leader_decides_nothing() -> None:
    """Between question and answer a new leader was installed."""
    bench = Bench()
    bench.lead(1, 57)
    bench.decisions.leader_heard("s2", 1, 0, Heard(2, 1), bench.now)
    (asked,) = bench.take(AskRegisters)
    bench.lead(3, 58)
    bench.decisions.registers_read(asked.ask, [Reading(2, 1, FRESH)], bench.now)
    assert bench.leader == (3, 58)


def test_a_leader_that_nobody_hears_is_taken_out() -> None:
    bench = Bench()
    bench.lead(1, 57)
    asked = _until(bench, AskRegisters)
    assert not asked.inquiry
    bench.decisions.registers_read(asked.ask, [Reading(1, 57, OLD), Reading(0, 0, FRESH)], bench.now)
    assert bench.leader == (0, 57)
    assert any("taken out" in output.event for output in bench.take(Refresh))


@pytest.mark.parametrize("readings", [[], [Reading(1, 57, OLD), Reading(1, 57, FRESH)]])
def test_a_leader_that_somebody_hears_stays(readings: list[Reading]) -> None:
    bench = Bench()
    bench.lead(1, 57)
    asked = _until(bench, AskRegisters)
    bench.decisions.registers_read(asked.ask, readings, bench.now)
    assert bench.leader == (1, 57)


def test_the_silence_of_an_earlier_leader_says_nothing_of_the_new_one() -> None:
    bench = Bench()
    bench.lead(1, 57)
    asked = _until(bench, AskRegisters)
    bench.lead(2, 58)
    bench.decisions.registers_read(asked.ask, [Reading(1, 57, OLD)], bench.now)
    assert bench.leader == (2, 58)


def test_leaders_are_looked_after_again_and_again_but_one_question_at_a_time() -> None:
    bench = Bench()
    bench.lead(1, 57)
    for _ in range(3):
        asked = _until(bench, AskRegisters)
        for _ in range(2 * round(WATCH_S / TICK_S)):
            assert not [output for output in bench.tick() if isinstance(output, (AskRegisters, AskPackets))]
        bench.decisions.registers_read(asked.ask, [Reading(1, 57, FRESH)], bench.now)


def test_a_group_without_a_leader_gets_a_live_member_for_its_service_address() -> None:
    bench = Bench()
    for sent in (1, 2):
        _until(bench, AskPackets)
        bench.decisions.packets_read({(1, 1): 7, (1, 2): 7 * sent, (1, 3): 7}, bench.now)
    assert bench.decisions.leaders[1] == Leadership(0, 0, 2)
    # Once there is a leader, what was counted is forgotten.
    bench.lead(3, 1)
    asked = _until(bench, AskRegisters)
    bench.decisions.registers_read(asked.ask, [Reading(3, 1, FRESH)], bench.now)
    bench.decisions.take()
    asked = _until(bench, AskRegisters)
    bench.decisions.registers_read(asked.ask, [Reading(3, 1, OLD)], bench.now)
    assert bench.leader == (0, 1) and bench.take(AskPackets)
    bench.decisions.packets_read({(1, 1): 8, (1, 2): 14, (1, 3): 7}, bench.now)
    assert bench.decisions.leaders[1].standin == 2


def test_a_switch_that_goes_on_telling_what_its_entry_says_is_read_again_once() -> None:
    bench = Bench()
    bench.lead(1, 57)
    for _ in range(3):
        bench.decisions.leader_heard("s2", 1, 0, Heard(1, 57), bench.now)
    assert not bench.take(Reread)
    found: list[Output] = []
    for _ in range(2 * round(DOUBT_S / TICK_S)):
        found += bench.tick()
    assert [output for output in found if isinstance(output, Reread)] == [Reread("s2")]
    bench.decisions.leader_heard("s2", 1, 0, Heard(1, 57), bench.now)
    assert _until(bench, Reread) == Reread("s2")


def test_every_switch_that_is_ready_is_read_again_in_turn() -> None:
    bench = Bench()
    bench.decisions.standing_changed("s2", Standing.AWAY, bench.now)
    found: list[Reread] = []
    for _ in range(round(3 * AUDIT_S / TICK_S) + 2):
        found += [output for output in bench.tick() if isinstance(output, Reread)]
    turns = [output.switch for output in found]
    assert all(output.audit for output in found)
    assert set(turns) == {"s1", "s3"} and all(now != then for now, then in pairwise(turns))
    assert min(turns.count(switch) for switch in ("s1", "s3")) >= 3


def test_a_switch_whose_entry_is_not_written_yet_is_not_doubted() -> None:
    bench = Bench()
    bench.decisions.leader_heard("s1", 1, 0, Heard(1, 57), bench.now)
    bench.decisions.leader_heard("s2", 1, 0, Heard(1, 57), bench.now)
    found: list[Output] = []
    for _ in range(2 * round(DOUBT_S / TICK_S)):
        found += bench.tick()
    assert not [output for output in found if isinstance(output, Reread)]


def _entries(leader: int, term: int) -> tuple[Entry, ...]:
    """What another controller has left in a switch."""
    other = Bench()
    other.decisions.leaders[1] = Leadership(leader, term)
    return other.decisions.desired("s1", NOW)


def test_a_new_controller_takes_the_highest_term_that_switches_hold() -> None:
    bench = Bench(programmed=False)
    for switch, (leader, term) in zip(SWITCHES, ((1, 5), (2, 7), (3, 6)), strict=True):
        bench.decisions.found(switch, _entries(leader, term))
    assert bench.leader == (2, 7)


def test_a_leader_who_is_no_member_is_not_taken_from_a_switch() -> None:
    bench = Bench(programmed=False)
    entries = tuple(
        Entry(one.table, one.match, one.action, tuple({**dict(one.params), "leader": 9}.items()))
        if one.table == "groups"
        else one
        for one in _entries(2, 7)
    )
    bench.decisions.found("s1", entries)
    assert bench.leader == (0, 0)


def test_what_was_decided_is_newer_than_what_a_switch_holds() -> None:
    bench = Bench()
    bench.lead(1, 57)
    bench.decisions.leader_heard("s2", 1, 0, Heard(2, 1), bench.now)
    (asked,) = bench.take(AskRegisters)
    bench.decisions.registers_read(asked.ask, [Reading(2, 1, FRESH)], bench.now)
    bench.decisions.found("s3", _entries(1, 57))
    assert bench.leader == (2, 1)


def test_what_was_known_before_standing_by_is_older_than_what_switches_hold() -> None:
    bench = Bench()
    bench.lead(1, 57)
    for switch in SWITCHES:
        assert not bench.decisions.stands_by
        bench.decisions.standing_changed(switch, Standing.STANDBY, bench.now)
    assert bench.decisions.stands_by and bench.leader == (0, 0)
    bench.decisions.found("s1", _entries(2, 3))
    assert bench.leader == (2, 3)


def test_one_switch_that_another_controller_rules_is_no_reason_to_forget() -> None:
    bench = Bench()
    bench.lead(1, 57)
    bench.decisions.standing_changed("s1", Standing.STANDBY, bench.now)
    assert not bench.decisions.stands_by and bench.leader == (1, 57)


MEMBERS = tuple(ToldMember(number, True, f"10.0.{number}.{number}", 26410) for number in (1, 2))


def _members(bench: Bench) -> list[int]:
    return [member.id for member in bench.decisions.network.groups[0].members]


def test_members_are_followed_and_only_news_is() -> None:
    bench = Bench()
    bench.lead(1, 7)
    bench.decisions.members_told("s1", MembersTold(1, 1, 7, 30, MEMBERS))
    assert _members(bench) == [1, 2]
    assert [output.event for output in bench.take(Refresh)] == ["group 1: members h1, h2 since index 30, s1 told"]
    three = (*MEMBERS, ToldMember(3, True, "10.0.3.3", 26410))
    for old in (
        MembersTold(1, 1, 7, 29, three),
        MembersTold(1, 1, 7, 30, three),
        MembersTold(1, 1, 6, 99, three),
        MembersTold(1, 2, 7, 99, three),
    ):
        bench.decisions.members_told("s1", old)
        assert _members(bench) == [1, 2] and not bench.take(Refresh)
    bench.decisions.members_told("s1", MembersTold(2, 1, 7, 99, three))
    bench.decisions.members_told("s1", MembersTold(1, 1, 7, 31, three))
    assert _members(bench) == [1, 2, 3]


def test_what_was_told_is_newer_than_what_a_switch_holds() -> None:
    bench = Bench()
    bench.lead(1, 7)
    before = _entries(1, 7)
    bench.decisions.members_told("s1", MembersTold(1, 1, 7, 30, MEMBERS[1:]))
    bench.decisions.found("s1", before)
    assert _members(bench) == [2]


def test_members_known_before_standing_by_are_older_than_what_a_switch_holds() -> None:
    """The other controller has let member 1 come back: who kept it out would never hear it say so."""
    bench = Bench()
    bench.lead(1, 7)
    bench.decisions.members_told("s1", MembersTold(1, 1, 7, 30, MEMBERS[1:]))
    bench.decisions.standing_changed("s1", Standing.STANDBY, bench.now)
    bench.decisions.found("s1", _entries(1, 7))
    assert 1 in _members(bench)


def test_a_link_that_goes_quiet_is_routed_around_and_taken_back() -> None:
    bench = Bench()
    quiet = {("s1", 3)}

    for _ in range(20):
        bench.pass_probes(bench.tick(), quiet)
    assert {str(link) for link in bench.decisions.view.links} == {"s1-s3", "s2-s3"}
    wrong = diff(bench.decisions.desired("s1", bench.now), bench.decisions._switches["s1"].entries)
    assert wrong and {write.entry.table for write in wrong} == {"ipv4_lpm"}
    quiet.clear()
    for _ in range(20):
        bench.pass_probes(bench.tick(), quiet)
    assert len(bench.decisions.view.links) == 3


def test_a_lost_link_leaves_the_trees_within_two_seconds_and_comes_back_as_soon() -> None:
    bench = Bench()
    bench.decisions.set_feature("append_fanout", True)
    bench.lead(1, 5)
    for _ in range(5):
        bench.pass_probes(bench.tick())

    def copies() -> tuple[tuple[int, int], ...]:
        held = bench.decisions.desired("s1", bench.now)
        return next(one.replicas for one in held if isinstance(one, MulticastGroup))

    for quiet, expected in ([("s1", 3)], ((4, 0),)), ([], ((3, 0), (4, 0))):
        assert copies() != expected
        until = bench.now + 2.0
        while copies() != expected:
            bench.pass_probes(bench.tick(), quiet)
            assert bench.now <= until


def test_a_switch_that_stays_away_is_routed_around() -> None:
    bench = Bench()
    bench.decisions.standing_changed("s3", Standing.AWAY, bench.now)
    assert len(bench.decisions.view.links) == 3
    bench.tick(ABSENT_AFTER_S - 0.01)
    assert len(bench.decisions.view.links) == 3
    bench.tick(0.02)
    assert {str(link) for link in bench.decisions.view.links} == {"s1-s2"}
    bench.program("s3")
    assert len(bench.decisions.view.links) == 3


def test_routes_that_a_switch_holds_stay_until_probes_have_spoken() -> None:
    """A predecessor knew that a link is down; this controller assumes it up at first."""
    predecessor = Bench()
    links = predecessor.decisions.network.links
    predecessor.decisions._usable = frozenset(link for link in links if "s3" in str(link))
    held = predecessor.decisions.desired("s1", NOW + 2 * PATIENCE_S)
    bench = Bench(programmed=False)
    bench.decisions.found("s1", held)
    assert set(bench.decisions.desired("s1", NOW + PATIENCE_S / 2)) == set(held)
    later = bench.decisions.desired("s1", NOW + PATIENCE_S + 0.1)
    assert set(later) != set(held)
    assert set(apply(diff(later, held), held)) == set(later)


def test_trees_that_a_switch_holds_stay_until_probes_have_spoken() -> None:
    """A predecessor knew that s1-s2 is down, and had s2's copies go over s3."""
    predecessor = Bench()
    predecessor.decisions.set_feature("append_fanout", True)
    predecessor.lead(1, 5)
    links = predecessor.decisions.network.links
    predecessor.decisions._usable = frozenset(link for link in links if "s3" in str(link))
    held = {switch: predecessor.decisions.desired(switch, NOW + 2 * PATIENCE_S) for switch in SWITCHES}
    bench = Bench(programmed=False)
    bench.decisions.set_feature("append_fanout", True)
    for switch in SWITCHES:
        bench.decisions.found(switch, held[switch])
    soon, later = NOW + PATIENCE_S / 2, NOW + PATIENCE_S + 0.1
    for switch in SWITCHES:
        assert set(bench.decisions.desired(switch, soon)) == set(held[switch])
        changed = {write.entry.table for write in diff(bench.decisions.desired(switch, later), held[switch])}
        assert ("append_fanout" if switch == "s2" else "multicast_groups") in changed
    # Another leader's tree can only be computed, and a feature that is off keeps nothing.
    bench.decisions.leader_heard("s2", 1, 0, Heard(2, 6), soon)
    assert [entry.key[1] for entry in bench.decisions.desired("s3", soon) if entry.table == "append_fanout"] == [
        (("group", 1), ("source", 2))
    ]
    bench.decisions.leader_heard("s1", 1, 0, Heard(1, 7), soon)
    assert set(bench.decisions.desired("s3", soon)) >= {entry for entry in held["s3"] if entry.table in TREE}
    bench.decisions.set_feature("append_fanout", False)
    assert not [entry for entry in bench.decisions.desired("s3", soon) if entry.table in TREE]


def test_features_are_taken_away_and_put_back_and_unknown_ones_refused() -> None:
    bench = Bench()
    bench.decisions.set_feature("leader_route", False)
    assert not [entry for entry in bench.decisions.desired("s1", bench.now) if entry.table == "leader_route"]
    assert [output.event for output in bench.take(Refresh)] == ["feature leader_route off"]
    bench.decisions.set_feature("leader_route", True)
    assert [entry for entry in bench.decisions.desired("s1", bench.now) if entry.table == "leader_route"]
    with pytest.raises(ValueError, match="no feature is called 'no_such'"):
        bench.decisions.set_feature("no_such", True)


def test_a_feature_can_be_off_at_one_switch_until_all_are_told() -> None:
    bench = Bench()
    every = bench.decisions.features_at("s1")

    def off() -> list[set[str]]:
        return [set(every - bench.decisions.features_at(switch)) for switch in SWITCHES]

    bench.decisions.set_feature("leader_route", False, "s2")
    assert off() == [set(), {"leader_route"}, set()]
    assert not [entry for entry in bench.decisions.desired("s2", bench.now) if entry.table == "leader_route"]
    assert [entry for entry in bench.decisions.desired("s1", bench.now) if entry.table == "leader_route"]
    bench.decisions.set_feature("leader_route", False)
    bench.decisions.set_feature("leader_route", True, "s3")
    assert off() == [{"leader_route"}, {"leader_route"}, set()]
    bench.decisions.set_feature("leader_route", True)
    assert off() == [set(), set(), set()]
    with pytest.raises(ValueError, match="no switch is called 's9'"):
        bench.decisions.set_feature("leader_route", False, "s9")


def test_a_probe_from_the_wrong_place_is_nothing() -> None:
    bench = Bench()
    (probe, *_) = [output.probe for output in bench.tick() if isinstance(output, SendProbe)]
    bench.decisions.probe_heard("s3", 3, Probe(probe.device_id, probe.port, probe.sequence))
    for _ in range(10):
        bench.tick()
    assert not bench.decisions.view.links
