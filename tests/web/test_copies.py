"""A message that switches copy is drawn as the tree that it is: one way to each end, and a dot on each."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.raft.message import EVERYBODY
from hosts.wire import Flag
from tests.web.browser import Page
from tests.web.folded import Folded

SECOND = 1_000_000
FLAGS_AT, TARGET_AT = 88, 92
"""In a frame as hexadecimal."""
APART_US = 100
"""What comes sooner after the first copy stands at the same place on the screen."""
PACE = 1
"""Simulated microseconds in a millisecond on the screen: slow, so that few messages are on their way."""


def copied(run: Folded) -> dict[int, tuple[Any, list[Any]]]:
    """The messages that switches copy, as sent, and how each has ended."""
    found: dict[int, tuple[Any, list[Any]]] = {}
    for event in run.events:
        if event["k"] == "sent":
            frame = event["frame"]
            if frame[TARGET_AT : TARGET_AT + 2] == f"{EVERYBODY:02x}" and int(frame[FLAGS_AT:][:2], 16) & Flag.FANOUT:
                found[event["m"]] = event, []
        elif event["k"] in ("received", "dropped") and event["m"] in found:
            found[event["m"]][1].append(event)
    return found


@pytest.fixture(scope="module")
def whole(run: Folded) -> tuple[Any, list[Any]]:
    """One from the end of the line of switches that has come to both other members, at different times."""
    return next(
        (sent, ends)
        for sent, ends in copied(run).values()
        if sent["who"] == "h1"
        and [end["k"] for end in ends] == ["received"] * 2
        and {end["who"] for end in ends} == {"h2", "h3"}
        and ends[1]["t"] - ends[0]["t"] > APART_US
    )


def dots(page: Page, m: int) -> list[Any]:
    return list(page.ask("dotsOf", m))


def shown(page: Page, m: int, after_us: float) -> list[Any]:
    """Its dots so long after it was sent, while the run plays."""
    page.js(
        "const { network, player, run, group } = switchraft, [m, after, pace] = arguments;"
        "network.show(player.state, 0, run.messages[m].t + after, group, pace, null, m)",
        m,
        after_us,
        PACE,
    )
    return dots(page, m)


def test_each_copy_has_a_dot_that_comes_to_its_receiver(page: Page, whole: tuple[Any, list[Any]]) -> None:
    sent, ends = whole
    page.at(ends[-1]["t"] / SECOND, f"message:{sent['m']}")
    assert sorted(dots(page, sent["m"])) == ["h2", "h3"]
    page.at(ends[0]["t"] / SECOND, f"message:{sent['m']}")
    there = dots(page, sent["m"])
    assert len(there) == 2 and ends[0]["who"] in there and ends[1]["who"] not in there


def test_copies_are_one_dot_until_they_part(page: Page, whole: tuple[Any, list[Any]]) -> None:
    sent, _ = whole
    page.at(sent["t"] / SECOND)
    # On the screen it takes this long from h1 to s1 and s2, where one copy goes to h2, and one to s3 and h3.
    drawn = 450 * PACE
    assert shown(page, sent["m"], 0.01 * drawn) == ["h1"]
    assert len(shown(page, sent["m"], 0.45 * drawn)) == 1
    assert len(shown(page, sent["m"], 0.8 * drawn)) == 2
    assert sorted(shown(page, sent["m"], drawn)) == ["h2", "h3"]


def test_its_details_name_every_end(page: Page, whole: tuple[Any, list[Any]], run: Folded) -> None:
    sent, ends = whole
    page.at(ends[-1]["t"] / SECOND, f"message:{sent['m']}")
    assert page.ask("ends") == [f"received by {end['who']} after {end['t'] - sent['t']} µs" for end in ends]
    lost, how = next(
        (one, ends)
        for one, ends in copied(run).values()
        if {end["k"] for end in ends} == {"received", "dropped"} and len({end["who"] for end in ends}) == len(ends)
    )
    page.at(how[-1]["t"] / SECOND, f"message:{lost['m']}")
    told = [
        f"received by {end['who']} after {end['t'] - lost['t']} µs"
        if end["k"] == "received"
        else f"ends at {end['who']}: {end['why']}"
        for end in how
    ]
    assert page.ask("ends") == told


def test_links_of_a_tree_are_on_its_way_once_each(page: Page, whole: tuple[Any, list[Any]]) -> None:
    links = page.js(
        "const { network, run } = switchraft, found = {};"
        "network.widen([run.messages[arguments[0]]]);"
        "for (const [name, link] of Object.entries(network.between)) if (link.load) found[name] = link.load;"
        "network.widen([]); return found",
        whole[0]["m"],
    )
    tree = [("h1", "s1"), ("s1", "s2"), ("h2", "s2"), ("s2", "s3"), ("h3", "s3")]
    assert links == {f"{a} {b}": 1 for one in tree for a, b in (one, one[::-1])}
