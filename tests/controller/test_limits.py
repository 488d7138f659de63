"""Limits: what an operator wishes, what switches hold of it, and who remembers it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from finsy.proto import p4r

from controller.decisions import Decisions, Refresh, Standing
from controller.desired import Entry, Held, View, desired_entries, installed_limits
from controller.limits import MOST_PER_SECOND, Limits, Meter, as_read, meter, parse
from controller.network import FEATURES, NetworkError
from controller.network import parse as parse_network
from tests.controller.stub_switch import StubSwitch
from tests.controller.triangle import Lab, triangle, until

NETWORK = parse_network(triangle())
H11_PORT = 2


def _limits(entries: tuple[Held, ...]) -> list[str]:
    return [str(entry) for entry in entries if isinstance(entry, Entry) and entry.table == "client_limit"]


def test_a_limit_stands_at_the_hosts_own_port_of_its_own_switch() -> None:
    view = View(frozenset(NETWORK.links), features=frozenset(FEATURES), limits={"h11": 500, "h22": 7})
    held = {name: desired_entries(NETWORK, name, view) for name in ("s1", "s2", "s3")}
    assert {name: _limits(entries) for name, entries in held.items()} == {
        "s1": ["client_limit[ingress_port=2] limited(per_second=500)"],
        "s2": ["client_limit[ingress_port=2] limited(per_second=7)"],
        "s3": [],
    }
    (entry,) = [one for one in held["s1"] if isinstance(one, Entry) and one.table == "client_limit"]
    assert entry.meter == Meter(500, 50)
    assert installed_limits(NETWORK, "s1", held["s1"]) == {"h1": None, "h11": 500}
    assert installed_limits(NETWORK, "s1", ()) == {}
    assert installed_limits(NETWORK, "s1", (entry,)) == {"h11": 500}, "the rest was not written yet"


@pytest.mark.parametrize(("text", "rate"), [("500/s", 500), ("1/s", 1), ("off", None), (f"{MOST_PER_SECOND}/s",) * 2])
def test_rates_as_people_write_them(text: str, rate: int | str | None) -> None:
    assert parse(text) == (MOST_PER_SECOND if rate == text else rate)


@pytest.mark.parametrize(
    "text",
    ["500", "0/s", "1e9/s", "-5/s", "500 /s", "", "/s", "500/min", "10000001/s", "\u0665/s", "9" * 30 + "/s", "OFF"],
)
def test_a_bad_rate_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"500/s, or off|from 1/s to"):
        parse(text)


def test_every_rate_lets_a_few_requests_through_at_once() -> None:
    assert meter(1) == Meter(1, 10)
    assert meter(20_000) == Meter(20_000, 2_000)


def test_a_meter_that_another_wrote_is_not_taken_for_ours() -> None:
    assert as_read(500, 50, 500, 50, 500) == Meter(500, 50)
    # BMv2 returns some rates less one.
    assert as_read(248, 25, 248, 25, 249) == Meter(249, 25)
    assert as_read(247, 25, 247, 25, 249) == Meter(247, 25)
    assert as_read(500, 50, 600, 50, 500) is None
    assert as_read(500, 50, 500, 60, 500) is None
    assert as_read(7, 10, 7, 10, None) == Meter(7, 10)


def test_wishes_are_found_once_in_each_switch_and_what_was_said_is_newer() -> None:
    limits = Limits({"h1": 5})
    limits.set("h2", None)
    assert limits.found("s1", {"h1": 9, "h2": 9, "h3": 9, "h4": None})
    assert limits.wished == {"h1": 5, "h3": 9}
    assert not limits.found("s1", {"h1": 9, "h2": 9, "h3": 1, "h4": 1}), "somebody else's writing is no wish"
    assert limits.found("s2", {"h5": 3})
    limits.forget()
    assert limits.found("s1", {"h1": None, "h2": 2, "h3": 9, "h4": None})
    assert limits.wished == {"h2": 2, "h3": 9, "h5": 3}


def _program(decisions: Decisions, switch: str) -> tuple[Held, ...]:
    decisions.standing_changed(switch, Standing.READY, 100.0)
    held = decisions.desired(switch, 100.0)
    decisions.holds(switch, held)
    return held


def test_limits_are_set_changed_and_taken_away() -> None:
    decisions = Decisions(NETWORK, 100.0)
    decisions.set_limit("h11", 500)
    assert _limits(_program(decisions, "s1")) == ["client_limit[ingress_port=2] limited(per_second=500)"]
    events = [output.event for output in decisions.take() if isinstance(output, Refresh)]
    assert "limit of h11: 500/s" in events
    decisions.set_limit("h11", 20)
    assert _limits(decisions.desired("s1", 100.0)) == ["client_limit[ingress_port=2] limited(per_second=20)"]
    decisions.set_feature("client_limit", False, "s1")
    assert _limits(decisions.desired("s1", 100.0)) == []
    decisions.set_feature("client_limit", True)
    assert len(_limits(decisions.desired("s1", 100.0))) == 1
    decisions.set_limit("h11", None)
    assert _limits(decisions.desired("s1", 100.0)) == []


def test_unknown_hosts_members_and_bad_rates_are_refused() -> None:
    decisions = Decisions(NETWORK, 100.0)
    with pytest.raises(ValueError, match=r"no host is called 'h9'; hosts of clients: h11, h22"):
        decisions.set_limit("h9", 500)
    with pytest.raises(ValueError, match=r"a member runs on h2, .* hosts of clients: h11, h22"):
        decisions.set_limit("h2", 500)
    for rate in (0, -1, MOST_PER_SECOND + 1):
        with pytest.raises(ValueError, match="from 1/s to"):
            decisions.set_limit("h11", rate)
    assert decisions.limits.wished == {}
    decisions.set_limit("h2", None)  # A host may have had a limit before a member came to it.


def test_a_new_controller_takes_over_the_limits_that_switches_hold_and_those_of_the_network_file() -> None:
    before = Decisions(NETWORK, 100.0)
    before.set_limit("h11", 500)
    before.set_limit("h22", 9)
    held = {name: _program(before, name) for name in ("s1", "s2", "s3")}
    after = Decisions(parse_network(triangle(limits=[{"host": "h22", "per_second": 70}])), 200.0)
    for name, entries in held.items():
        after.standing_changed(name, Standing.PROGRAMMING, 200.0)
        after.found(name, entries)
    assert after.limits.wished == {"h11": 500, "h22": 70}
    assert _limits(after.desired("s1", 200.0)) == ["client_limit[ingress_port=2] limited(per_second=500)"]


def test_a_switch_that_was_started_anew_gets_its_limits_back() -> None:
    decisions = Decisions(NETWORK, 100.0)
    decisions.set_limit("h11", 500)
    _program(decisions, "s1")
    decisions.standing_changed("s1", Standing.AWAY, 101.0)
    decisions.found("s1", ())
    assert len(_limits(decisions.desired("s1", 101.0))) == 1


def test_who_has_stood_by_learns_what_was_wished_meanwhile_but_not_from_a_switch_without_entries() -> None:
    decisions, rival = Decisions(NETWORK, 100.0), Decisions(NETWORK, 100.0)
    decisions.set_limit("h11", 500)
    decisions.set_limit("h22", 9)
    for name in ("s1", "s2", "s3"):
        _program(decisions, name)
        decisions.standing_changed(name, Standing.STANDBY, 101.0)
    rival.set_limit("h11", None)
    decisions.found("s1", _program(rival, "s1"))
    decisions.found("s2", ())
    assert decisions.limits.wished == {"h22": 9}


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ([{"host": "h9", "per_second": 5}], "no host is called 'h9'"),
        ([{"host": "h11", "per_second": 0}], "limits.0.per_second"),
        ([{"host": "h11", "per_second": 5}, {"host": "h11", "per_second": 6}], "'h11' is there twice"),
    ],
)
def test_limits_of_a_network_file_that_make_no_sense(limits: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(NetworkError, match=problem.replace(".", r"\W*")):
        parse_network(triangle(limits=limits))


def _meter(switch: StubSwitch) -> Meter | None:
    entry = switch.entries.get(("client_limit", (("ingress_port", H11_PORT),)))
    return entry.meter if entry else None


def _writes(switch: StubSwitch) -> list[p4r.Update]:
    updates = [update for request in switch.requests for update in request.updates]
    return [update for update in updates if switch.table(update) == "client_limit"]


async def test_meters_are_written_read_back_and_deleted(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        controller.set_limit("h11", 500)
        await until(lambda: _meter(lab.s1) == Meter(500, 50))
        assert lab.holds_what_is_desired(controller)
        controller.set_limit("h11", 30)
        await until(lambda: _meter(lab.s1) == Meter(30, 10))
        controller.set_limit("h11", None)
        await until(lambda: _meter(lab.s1) is None)
        kinds = [update.type for update in _writes(lab.s1)]
        assert kinds == [p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE]
        assert _writes(lab.s2) == _writes(lab.s3) == []


async def test_limits_outlast_a_restart_of_switch_and_of_controller(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        controller.set_limit("h11", 500)
        await until(lambda: _meter(lab.s1) == Meter(500, 50))
        await lab.s1.stop()
        await until(lambda: not controller.sessions["s1"].ready)
        await lab.s1.start()
        assert _meter(lab.s1) is None
        await until(lambda: _meter(lab.s1) == Meter(500, 50))
        await until(lambda: lab.holds_what_is_desired(controller))
    for switch in lab.switches:
        switch.requests.clear()
    async with lab.controller() as controller:
        await lab.programmed(controller)
        await asyncio.sleep(0.3)
        assert controller.decisions.limits.wished == {"h11": 500}
        assert _meter(lab.s1) == Meter(500, 50)
        assert _writes(lab.s1) == [], "what is right is not written again"


async def test_a_meter_that_somebody_else_has_changed_is_put_right(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        controller.set_limit("h11", 500)
        await until(lambda: _meter(lab.s1) == Meter(500, 50))
        lab.s1.set_meter("client_limit", None)
        assert _meter(lab.s1) is None
        controller.sessions["s1"].reread()
        await until(lambda: _meter(lab.s1) == Meter(500, 50))
