"""Recorded runs for the tests: a seed, and the largest that the page must show well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

from hosts.config import DEFAULT_MTU
from hosts.net.path import UDP_OVERHEAD
from sim import plan as plans
from sim.events import MS, SECOND
from sim.run import compile_program, recording
from sim.world import Options, Result, run_plan
from topo import topology


def usual(plan: plans.Plan) -> plans.Plan:
    """A plan without what switches do only where somebody asks for it."""
    asked_for = {"client_limit", "read_route", "ack_gather"}
    eager = plans.Acknowledgements.EAGER
    return replace(
        plan,
        features=plan.features - asked_for,
        limit=None,
        stale_reads=0.0,
        roving=False,
        acknowledgements=eager,
    )


def record_seed(seed: int, file: Path) -> Result:
    """Of its usual form: recordings do not say what the groups hold of which an entry of read_route chooses."""
    with recording(file) as begin:
        return run_plan(usual(plans.draw(seed)), Options(compile_program()), record=begin)


def nine_plan(seconds: int) -> plans.Plan:
    """Nine members, six switches, clients that ask for 20 things a second, and a fault every five seconds."""
    nine = replace(topology.find("nine"), heartbeat_ms=50, election_timeout_ms=300)
    drawn = next(plan for plan in map(plans.draw, range(100)) if plan.switches and not plan.earlier_term)
    kinds = (plans.Kind.KILL, plans.Kind.ISOLATE, plans.Kind.SWITCH, plans.Kind.TRANSFER, plans.Kind.PAUSE)
    return replace(
        usual(drawn),
        topology=nine,
        features=frozenset(plans.SENT_BY_LEADERS),
        tick_us=dict.fromkeys(range(1, 10), 10 * MS),
        clients=6,
        operations_per_s=20,
        hoarder_think_us=0,
        large_values=0.0,
        mtu=DEFAULT_MTU,
        takes=DEFAULT_MTU - UDP_OVERHEAD,
        huge_values=0.0,
        hostile_us=2 * SECOND,
        lease_ticks=0,
        sealed=False,
        trouble=0.002,
        client_trouble=0.0,
        snapshot_entries=400,
        kept_entries=50,
        segment_bytes=64_000,
        core_options={},
        limits=plans.Limits(),
        flushes=0,
        effort=64,
        faults=tuple(
            plans.Fault(6 * SECOND + number * 5 * SECOND, kinds[number % len(kinds)], 3 * SECOND, number)
            for number in range((seconds - 20) // 5)
        ),
    )


def record_nine(file: Path, seconds: int = 120) -> Result:
    """The run that the page must show well is of 120 s and 2,000 operations; a test may do with a part of it."""
    limits = (
        ("FAULTS_UNTIL_US", (seconds - 12) * SECOND),
        ("END_US", seconds * SECOND),
        ("LEAST_OPERATIONS", 50 * seconds // 3),
    )
    with recording(file) as begin:
        patches = [mock.patch(f"sim.world.{name}", value) for name, value in limits]
        for patch in patches:
            patch.start()
        try:
            return run_plan(nine_plan(seconds), Options(compile_program()), record=begin)
        finally:
            for patch in patches:
                patch.stop()
