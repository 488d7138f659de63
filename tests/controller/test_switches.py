"""A running controller against stub switches."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from finsy.proto import p4r

from controller.decisions import Standing
from controller.desired import TABLES
from controller.links import State
from controller.program import Program
from tests.controller.triangle import H2, H3, MEMBERS, S1_TO_S2, S1_TO_S3, SERVICE, Lab, until

TREES = ("fanout_copy", "append_fanout")
READS = ("reads_by_member", "read_route")
FILLED_AT_START = [
    name for name in TABLES if name not in (*TREES, *READS, "client_limit", "ack_positions", "ack_gather")
]
"""Nobody is known to lead then, so there is no tree; nobody has a limit, and nothing is spread or gathered."""


async def test_cold_start(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        assert lab.holds_what_is_desired(controller)
        for switch in lab.switches:
            assert switch.pushes == 1
            assert switch.digest_configured
            # One table per request, in the order that lets nothing through unchecked.
            tables = []
            for request in switch.requests:
                named = {
                    switch.schema.tables[u.entity.table_entry.table_id].alias
                    for u in request.updates
                    if u.entity.HasField("table_entry")
                }
                assert len(named) <= 1
                tables += named
            assert tables == FILLED_AT_START


async def test_leader_moves_on_all_switches_with_one_entry_each(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(2, 5)
        for switch in lab.switches:
            switch.requests.clear()
        lab.s3.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))
        lab.all_hear(3, 6)
        lab.s1.digest(1, 0, 3, 6)
        await until(lambda: lab.led_by(3, 6))
        await until(lambda: lab.holds_what_is_desired(controller))
        for switch in lab.switches:
            written = [
                (switch.schema.tables[update.entity.table_entry.table_id].alias, update.type)
                for request in switch.requests
                for update in request.updates
                if update.entity.HasField("table_entry")
            ]
            assert [one for one in written if one[0] not in TREES] == [("groups", p4r.Update.MODIFY)] * 2
        entry = lab.s2.entries["groups", (("group", 1),)]
        assert dict(entry.params) == {
            "slot": 0,
            "quorum": 2,
            "leader": 3,
            "term": 6,
            "address": H3,
            "udp_port": 26410,
        }


async def test_trees_follow_the_leader_and_the_links_and_can_be_taken_away(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(1, 5)
        lab.s1.digest(1, 0, 1, 5)
        await until(lambda: lab.led_by(1, 5))
        to_both = {1: {(S1_TO_S2, 0), (S1_TO_S3, 0)}}
        await until(lambda: [one.groups for one in lab.switches] == [to_both, {1: {(1, 2)}}, {1: {(1, 3)}}])
        await asyncio.gather(*(one.until(one.refresh()) for one in controller.sessions.values()))
        for switch in lab.switches:
            switch.requests.clear()
            controller.sessions[switch.name].reread()
        # Read back, in whatever order the switch gives the copies, there is nothing to write.
        await asyncio.gather(*(one.until(one.refresh()) for one in controller.sessions.values()))
        updates = [update for one in lab.switches for request in one.requests for update in request.updates]
        assert all(update.entity.HasField("digest_entry") for update in updates)
        lab.fabric.cut.add(("s1", S1_TO_S3))
        await until(lambda: [one.groups for one in lab.switches][:2] == [{1: {(S1_TO_S2, 0)}}, {1: {(1, 2), (4, 0)}}])
        lab.fabric.cut.clear()
        lab.all_hear(3, 6)
        lab.s3.digest(1, 0, 3, 6)
        await until(lambda: lab.s3.groups == {1: {(2, 0), (3, 0)}} and lab.s1.groups == {1: {(1, 1)}})
        controller.set_feature("append_fanout", False)
        await until(lambda: [switch.groups for switch in lab.switches] == [{}, {}, {}])
        await until(lambda: not any(key[0] in TREES for one in lab.switches for key in one.entries))
        controller.set_feature("append_fanout", True)
        await until(lambda: lab.s3.groups == {1: {(2, 0), (3, 0)}} and lab.holds_what_is_desired(controller))


async def test_a_digest_that_names_no_member_or_another_slot_is_ignored(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.s1.digest(1, 0, 9, 50)
        lab.s1.digest(1, 7, 2, 50)
        lab.s1.digest(2, 0, 2, 50)
        lab.all_hear(1, 3)
        lab.s1.digest(1, 0, 1, 3)
        await until(lambda: lab.led_by(1, 3))


async def test_a_lower_term_is_taken_only_when_nobody_hears_the_old_leader(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(1, 57)
        lab.s1.digest(1, 0, 1, 57)
        await until(lambda: lab.led_by(1, 57))
        lab.s1.hear(2, 1)
        for _ in range(5):
            lab.s1.digest(1, 0, 2, 1)
            await asyncio.sleep(0.1)
        assert lab.led_by(1, 57)
        lab.s2.hear(2, 1)
        lab.s3.registers[0].age_us = 400_000
        lab.s1.digest(1, 0, 2, 1)
        await until(lambda: lab.led_by(2, 1))


async def test_what_a_switch_held_while_away_is_older_than_what_was_decided(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(1, 57)
        lab.s1.digest(1, 0, 1, 57)
        await until(lambda: lab.led_by(1, 57))
        await lab.s3.stop()
        await until(lambda: not controller.sessions["s3"].ready)
        lab.all_hear(2, 1)
        lab.s1.digest(1, 0, 2, 1)
        await until(lambda: lab.s1.leader() == lab.s2.leader() == (2, 1))
        lab.s1.requests.clear()
        await lab.s3.start(reset=False)
        assert lab.s3.leader() == (1, 57)
        await until(lambda: lab.led_by(2, 1))
        assert not [u for r in lab.s1.requests for u in r.updates if lab.s1.table(u) == "groups"]


async def test_what_a_controller_knew_before_it_stood_by_is_older_than_what_switches_hold(lab: Lab) -> None:
    async with lab.controller(900) as second:
        await lab.programmed(second)
        lab.all_hear(1, 57)
        lab.s1.digest(1, 0, 1, 57)
        await until(lambda: lab.led_by(1, 57))
        async with lab.controller(1000) as first:
            await until(lambda: second.decisions.stands_by)
            await lab.programmed(first)
            lab.all_hear(2, 1)
            lab.s1.digest(1, 0, 2, 1)
            await until(lambda: lab.led_by(2, 1))
            for switch in lab.switches:
                switch.requests.clear()
        await lab.programmed(second)
        await asyncio.sleep(0.3)
        assert lab.led_by(2, 1)
        for switch in lab.switches:
            assert not [u for r in switch.requests for u in r.updates if switch.table(u) == "groups"]


async def test_another_leader_of_the_same_term_after_a_wipe(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(1, 2)
        lab.s1.digest(1, 0, 1, 2)
        await until(lambda: lab.led_by(1, 2))
        lab.all_hear(3, 2)
        lab.s1.digest(1, 0, 3, 2)
        await until(lambda: lab.led_by(3, 2))


async def test_a_switch_that_answers_no_register_read_does_not_hold_up_the_decision(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(1, 57)
        lab.s1.digest(1, 0, 1, 57)
        await until(lambda: lab.led_by(1, 57))
        lab.s3.answering.clear()
        for switch in (lab.s1, lab.s2):
            switch.hear(2, 1)
        lab.s1.digest(1, 0, 2, 1)
        await until(lambda: lab.s1.leader() == lab.s2.leader() == (2, 1))
        assert lab.s3.leader() == (1, 57)
        lab.s3.answering.set()
        await until(lambda: lab.led_by(2, 1))


async def test_a_leader_that_nobody_hears_is_taken_out_and_comes_back(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(2, 5)
        lab.s1.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))
        for switch in lab.switches:
            switch.registers[0].age_us = 5_000_000
        await until(lambda: lab.led_by(0, 5))

        # The member that still sends gets what is for the service address.
        def served_by() -> int:
            lab.s3.packets[1, 3] = lab.s3.packets.get((1, 3), 0) + 1
            return dict(lab.s1.entries["groups", (("group", 1),)].params)["address"]

        await until(lambda: served_by() == H3)
        lab.all_hear(2, 5)
        lab.s2.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))


async def test_controller_restart_recovers_leaders_and_writes_nothing(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(3, 9)
        lab.s1.digest(1, 0, 3, 9)
        await until(lambda: lab.led_by(3, 9) and lab.holds_what_is_desired(controller))
    for switch in lab.switches:
        switch.requests.clear()
    async with lab.controller() as controller:
        await lab.programmed(controller)
        await asyncio.sleep(0.5)
        assert controller.decisions.leaders[1].leader == 3
        assert controller.decisions.leaders[1].term == 9
        for switch in lab.switches:
            assert switch.pushes == 1
            assert not [u for r in switch.requests for u in r.updates if not u.entity.HasField("digest_entry")]


async def test_controller_restart_takes_the_highest_term_that_switches_hold(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(1, 4)
        lab.s1.digest(1, 0, 1, 4)
        await until(lambda: lab.led_by(1, 4))
        # It dies when one switch of three has been told of the next leader.
        lab.s1.answering.clear()
        lab.s3.answering.clear()
        lab.all_hear(2, 5)
        lab.s2.digest(1, 0, 2, 5)
        await until(lambda: lab.s2.leader() == (2, 5))
    lab.s1.answering.set()
    lab.s3.answering.set()
    async with lab.controller() as controller:
        await lab.programmed(controller)
        await until(lambda: lab.led_by(2, 5))


async def test_controller_restart_keeps_routes_around_a_link_that_is_down(lab: Lab) -> None:
    lab.fabric.cut.add(("s1", S1_TO_S2))
    async with lab.controller() as controller:
        await lab.programmed(controller)
        await until(lambda: lab.s1.route(H2) == S1_TO_S3)
    for switch in lab.switches:
        switch.requests.clear()
    async with lab.controller() as controller:
        await lab.programmed(controller)
        await until(lambda: controller.decisions.monitor.state(lab.network.links[0]) is State.DOWN)
        await asyncio.sleep(0.5)
        assert lab.s1.route(H2) == S1_TO_S3
        assert not [u for r in lab.s1.requests for u in r.updates if u.entity.HasField("table_entry")]


async def test_switch_restart(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(2, 5)
        lab.s1.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))
        await lab.s1.stop()
        await until(lambda: not controller.sessions["s1"].ready)
        await lab.s1.start()
        assert not lab.s1.entries
        await until(lambda: lab.holds_what_is_desired(controller))
        assert lab.s1.leader() == (2, 5)
        await until(lambda: controller.sessions["s1"].times_programmed == 2)


async def test_a_switch_away_is_routed_around_and_used_again(lab: Lab) -> None:
    lab.fabric.cut.add(("s2", S1_TO_S2))
    async with lab.controller() as controller:
        await lab.programmed(controller)
        await until(lambda: lab.s1.route(H2) == S1_TO_S3)
        lab.fabric.cut.clear()
        await until(lambda: lab.s1.route(H2) == S1_TO_S2)
        lab.fabric.cut.add(("s2", S1_TO_S2))
        await until(lambda: lab.s1.route(H2) == S1_TO_S3)
        await lab.s3.stop()
        # No way is left: the direct one is as good as any.
        await until(lambda: lab.s1.route(H2) == S1_TO_S2)
        await lab.s3.start()
        await until(lambda: lab.s1.route(H2) == S1_TO_S3)


async def test_one_direction_of_a_link_is_enough_to_avoid_it(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.fabric.cut.add(("s1", S1_TO_S2))
        await until(lambda: lab.s1.route(H2) == S1_TO_S3 and lab.holds_what_is_desired(controller))
        assert {str(link) for link in controller.decisions.view.links} == {"s1-s3", "s2-s3"}
        lab.fabric.cut.clear()
        await until(lambda: lab.s1.route(H2) == S1_TO_S2 and lab.holds_what_is_desired(controller))


async def test_a_failed_write_is_read_again_and_repaired(lab: Lab) -> None:
    lab.s1.failures = {"members": 1, "groups": 2, "ipv4_lpm": 1}
    async with lab.controller() as controller:
        await lab.programmed(controller)
        assert lab.holds_what_is_desired(controller)
        tables = [
            lab.s1.schema.tables[u.entity.table_entry.table_id].alias
            for r in lab.s1.requests
            for u in r.updates
            if u.entity.HasField("table_entry")
        ]
        # Nothing behind a failed table was written before it stood.
        assert tables.index("guard_enforce") > max(i for i, table in enumerate(tables) if table == "members")


async def test_entries_that_vanish_are_put_back_once_the_switch_tells(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(2, 5)
        lab.s1.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))
        lab.s1.lose_entry("groups")
        lab.s1.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))


async def test_another_program_is_replaced(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        config = p4r.ForwardingPipelineConfig()
        config.cookie.cookie = 7
        lab.s1.config = config
        lab.s1.lose_entry("ipv4_lpm")
        await until(lambda: lab.s1.pushes == 2 and lab.holds_what_is_desired(controller))


async def test_a_paused_switch_holds_up_nobody(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.s3.answering.clear()
        lab.s1.hear(2, 5)
        lab.s2.hear(2, 5)
        lab.s1.digest(1, 0, 2, 5)
        await until(lambda: lab.s1.leader() == lab.s2.leader() == (2, 5))
        await until(lambda: controller.decisions.monitor.state(lab.network.links[1]) is State.DOWN)
        assert lab.s3.leader() == (0, 0)
        lab.s3.answering.set()
        await until(lambda: lab.led_by(2, 5) and lab.holds_what_is_desired(controller))


async def test_a_second_controller_stands_by_and_takes_over(lab: Lab) -> None:
    async with lab.controller(900) as second:
        await lab.programmed(second)
        async with lab.controller(1000) as first:
            await lab.programmed(first)
            await until(lambda: all(s.standing is Standing.STANDBY for s in second.sessions.values()))
            lab.all_hear(2, 5)
            lab.s1.digest(1, 0, 2, 5)
            await until(lambda: lab.led_by(2, 5))
            assert all(s.standing is Standing.STANDBY for s in second.sessions.values())
        await lab.programmed(second)
        lab.all_hear(1, 6)
        lab.s1.digest(1, 0, 1, 6)
        await until(lambda: lab.led_by(1, 6))


@pytest.mark.parametrize("by_the_specification", [True, False])
async def test_of_two_that_stand_by_one_takes_all_switches(lab: Lab, by_the_specification: bool) -> None:
    for switch in lab.switches:
        switch.tells_of_vacancy = by_the_specification
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(contextlib.AsyncExitStack())
        await lab.programmed(await first.enter_async_context(lab.controller(1000)))
        second = await stack.enter_async_context(lab.controller(990))
        third = await stack.enter_async_context(lab.controller(5))
        await until(lambda: second.decisions.stands_by and third.decisions.stands_by)
        await first.aclose()
        await lab.programmed(second)
        await asyncio.sleep(1)
        assert third.decisions.stands_by
        assert all(session.ready for session in second.sessions.values())
        lab.all_hear(2, 5)
        lab.s1.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))


async def test_two_controllers_with_one_election_id(lab: Lab) -> None:
    async with lab.controller() as first:
        await lab.programmed(first)
        async with lab.controller() as second:
            await until(lambda: all(s.standing is Standing.STANDBY for s in second.sessions.values()))
            assert all(session.ready for session in first.sessions.values())


async def test_features_go_and_come_back(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        controller.set_feature("member_guard", False)
        await until(lambda: not any(table in ("members", "guard_enforce") for table, _ in lab.s1.entries))
        controller.set_feature("member_guard", True)
        await until(lambda: lab.holds_what_is_desired(controller))


async def test_a_switch_that_was_never_there_does_not_stop_the_rest(program: Program) -> None:
    lab = Lab(program)
    await lab.s1.start()
    await lab.s2.start()
    try:
        async with lab.controller() as controller:
            await until(lambda: controller.sessions["s1"].ready and controller.sessions["s2"].ready)
            await until(lambda: {str(link) for link in controller.decisions.view.links} == {"s1-s2"})
            await lab.s3.start()
            await until(lambda: len(controller.decisions.view.links) == 3 and lab.holds_what_is_desired(controller))
            assert lab.s3.entries["service_addresses", (("address", SERVICE),)]
            assert {key[0] for key in lab.s3.entries} == set(FILLED_AT_START)
            assert len(MEMBERS) == 3
    finally:
        await lab.stop()
