"""Which leader switches are told, from what they have heard."""

from __future__ import annotations

import pytest

from controller.desired import Leadership
from controller.leaders import (
    Heard,
    Reading,
    Standins,
    Verdict,
    choose_standin,
    decide,
    fresh_within_us,
    is_silent,
    judge,
    recover,
    silent_after_us,
)
from controller.network import Group, Member

MEMBERS = (1, 2, 3)
FRESH = 300_000


@pytest.mark.parametrize(
    ("current", "heard", "verdict"),
    [
        (Leadership(), Heard(1, 1), Verdict.INSTALL),
        (Leadership(1, 5), Heard(2, 6), Verdict.INSTALL),
        (Leadership(1, 5), Heard(1, 6), Verdict.INSTALL),
        (Leadership(1, 5), Heard(1, 5), Verdict.KEEP),
        (Leadership(1, 5), Heard(2, 5), Verdict.ASK),
        (Leadership(1, 5), Heard(2, 4), Verdict.ASK),
        (Leadership(1, 5), Heard(1, 4), Verdict.ASK),
        (Leadership(0, 5), Heard(1, 5), Verdict.INSTALL),
        (Leadership(0, 5), Heard(3, 1), Verdict.INSTALL),
        (Leadership(1, 5), Heard(4, 6), Verdict.IGNORE),
        (Leadership(1, 5), Heard(0, 6), Verdict.IGNORE),
        (Leadership(1, 5), Heard(255, 6), Verdict.IGNORE),
        (Leadership(1, 5), Heard(2, 2**63 - 1), Verdict.INSTALL),
    ],
)
def test_what_a_digest_calls_for(current: Leadership, heard: Heard, verdict: Verdict) -> None:
    assert decide(current, MEMBERS, heard) is verdict


@pytest.mark.parametrize(
    ("readings", "found"),
    [
        ([], None),
        # One switch still hears the old leader.
        ([Reading(2, 1, 10), Reading(1, 57, 299_999)], None),
        # It remembers the old one, but has not heard it lately.
        ([Reading(2, 1, 10), Reading(1, 57, 300_000)], Heard(2, 1)),
        ([Reading(2, 1, 10), Reading(3, 2, 10), Reading(0, 0, 10)], Heard(3, 2)),
        ([Reading(2, 1, 500_000), Reading(1, 57, 600_000)], None),
        # The same leader in another term is another leader.
        ([Reading(1, 56, 10)], Heard(1, 56)),
        ([Reading(9, 80, 10)], None),
        # Two of one term: the one heard last.
        ([Reading(2, 1, 200), Reading(3, 1, 100)], Heard(3, 1)),
    ],
)
def test_who_leads_when_terms_do_not_say(readings: list[Reading], found: Heard | None) -> None:
    assert judge(Leadership(1, 57), MEMBERS, readings, FRESH) == found


def test_a_window_of_silence() -> None:
    assert fresh_within_us(100) == 300_000
    assert fresh_within_us(500) == 1_000_000
    assert silent_after_us(100) == 1_000_000
    assert silent_after_us(500) == 5_000_000
    assert not is_silent([], 1000)
    assert is_silent([Reading(0, 0, 5), Reading(1, 3, 1001)], 1000)
    assert not is_silent([Reading(0, 0, 5), Reading(1, 3, 1000)], 1000)


def test_a_new_controller_takes_the_highest_term_it_finds() -> None:
    assert recover(None, Leadership(1, 3)) == Leadership(1, 3)
    assert recover(Leadership(1, 3), Leadership(2, 4)) == Leadership(2, 4)
    assert recover(Leadership(2, 4), Leadership(1, 3)) == Leadership(2, 4)
    assert recover(Leadership(0, 4), Leadership(2, 4)) == Leadership(2, 4)
    assert recover(Leadership(2, 4), Leadership(0, 4)) == Leadership(2, 4)


@pytest.mark.parametrize(
    ("standin", "before", "now", "chosen"),
    [
        (1, {1: 5, 2: 5, 3: 5}, {1: 5, 2: 5, 3: 9}, 3),
        (2, {1: 5, 2: 5, 3: 5}, {1: 7, 2: 6, 3: 9}, 2),
        (2, {1: 5, 2: 5, 3: 5}, {1: 7, 2: 5, 3: 9}, 1),
        (3, {1: 5, 2: 5, 3: 5}, {1: 5, 2: 5, 3: 5}, 3),
        # A switch that has restarted counts from 0; one not read before proves nothing.
        (1, {1: 5, 2: 5}, {1: 0, 2: 6, 3: 80}, 2),
        (0, {}, {}, 1),
        (9, {}, {}, 1),
    ],
)
def test_standin(standin: int, before: dict[int, int], now: dict[int, int], chosen: int) -> None:
    assert choose_standin(MEMBERS, standin, before, now) == chosen


def test_stand_ins_are_chosen_between_two_readings_for_groups_without_a_leader() -> None:
    groups = [Group(id=number, slot=number, members=(Member(1, "h1"), Member(2, "h2"))) for number in (1, 257)]
    held = {1: Leadership(0, 4), 257: Leadership(2, 9)}
    standins = Standins()
    assert standins.choose(groups, held, {(1, 1): 10, (1, 2): 10, (257, 1): 3}) == {}, "nothing to compare with"
    assert standins.choose(groups, held, {(1, 1): 10, (1, 2): 12, (257, 1): 9}) == {1: Leadership(0, 4, 2)}
    held[1] = Leadership(0, 4, 2)
    assert standins.choose(groups, held, {(1, 1): 11, (1, 2): 13}) == {}, "it goes on answering"
    standins.forget()
    assert standins.choose(groups, held, {(1, 1): 12, (1, 2): 13}) == {}
