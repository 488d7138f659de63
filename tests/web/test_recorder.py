"""A simulated run that is recorded: the same run, and what was recorded is what was there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from controller.desired import Entry
from sim.events import SECOND
from sim.run import compile_program, recording
from sim.world import Options, World, run
from tests.web.folded import Folded
from tests.web.twice import Twice
from web.recording import read, read_hop

SEED = 3
"""Three members behind switches."""


@pytest.fixture(scope="module")
def twice() -> Twice:
    return Twice(every=40)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, twice: Twice) -> tuple[Folded, dict[int, Any], str]:
    """A run, what its members were at some moments, and its hash."""
    file = tmp_path_factory.mktemp("recorder") / "run.rec"
    seen: dict[int, Any] = {}

    def look(world: World) -> None:
        seen[world.events.now] = {
            (node.host, number): _look(node.process.groups[number].core) if node.process is not None else None
            for node in world.nodes.values()
            for number in node.disks
        } | {
            name: sorted(
                (entry.table, entry.action, str([value for _, value in entry.params]))
                for entry in switch.entries()
                if isinstance(entry, Entry)
            )
            for name, switch in world.switches().items()
        }

    with recording(file) as begin:

        def watched(world: World, options: Options) -> Any:
            for at in range(SECOND // 3, 56 * SECOND, 3 * SECOND + 333):
                world.events.at(at, look, world)
            return begin(world, options)

        with twice.watching():
            result = run(SEED, Options(compile_program()), record=watched)
    assert not result.failure
    return Folded(read(file)), seen, result.digest


def _look(core: Any) -> Any:
    log = core.log
    terms = [log.term_at(index) for index in range(log.base_index + 1, log.last_index + 1)]
    return core.role.value, core.current_term, log.commit_index, log.durable_index, log.base_index, terms


def test_the_recording_has_the_members_and_tables_that_were_there(recorded: Any) -> None:
    run, seen, _ = recorded
    assert len(seen) > 15
    for at, there in seen.items():
        # The look was the first thing planned for its moment, so nothing else had happened then.
        state = run.after(run.count_at(at - 1))
        for key, expected in there.items():
            if isinstance(key, str):
                entries = [
                    (event["table"], event["action"], str(event["values"]))
                    for table in state.tables.get(key, {}).values()
                    for event in table.values()
                ]
                assert sorted(entries) == expected, (at, key)
                continue
            member = state.members[key]
            assert member.get("up", False) is (expected is not None), (at, key)
            if expected is not None:
                base, entries = state.logs.get(key, (0, []))
                found = (
                    *(member[name] for name in ("role", "term", "commit", "durable")),
                    base,
                    [e[0] for e in entries],
                )
                assert found == expected, (at, key)


@pytest.mark.usefixtures("recorded")
def test_what_is_remembered_of_packets_is_what_looking_into_each_says(twice: Twice) -> None:
    assert twice.compared > 300
    assert twice.by_memory > twice.seen * 9 // 10


def test_a_run_that_is_recorded_has_the_hash_of_one_that_is_not(recorded: Any) -> None:
    run_, _, digest = recorded
    assert run(SEED, Options(compile_program())).digest == digest
    assert run_.events[-1]["hash"] == digest


def test_messages_begin_before_they_pass_and_end_once_at_most(recorded: Any) -> None:
    run, _, _ = recorded
    sent: dict[int, Any] = {}
    ways: set[int] = set()
    kinds: Counter[str] = Counter()
    for event in run.events:
        kinds[event["k"]] += 1
        if event["k"] == "sent":
            assert event["m"] == len(sent) + 1
            sent[event["m"]] = event
        elif event["k"] == "way":
            ways.add(event["id"])
        elif "m" in event:
            assert event["m"] in sent
            for hop in map(read_hop, event.get("hops", ())):
                assert hop.way in ways
                assert hop.switch in run.header["network"]["switches"]
    assert all(kinds[name] for name in ("received", "dropped", "passed", "table", "registers", "counters", "call"))
    first_hops = {event["m"]: read_hop(event["hops"][0]) for event in reversed(run.all("passed"))}
    hosts = {host["name"]: host for host in run.header["network"]["hosts"]}
    for m, hop in first_hops.items():
        at = hosts[sent[m]["who"]]
        assert (hop.switch, hop.port) == (at["switch"], at["port"])
    received = Counter((event["m"], event["who"]) for event in run.all("received") if not event.get("copy"))
    assert max(received.values()) == 1
    assert {(event["m"], event["who"]) for event in run.all("received") if event.get("copy")} <= received.keys()


def test_every_call_has_at_most_one_answer_and_most_have_one(recorded: Any) -> None:
    run, _, _ = recorded
    calls = [event["call"] for event in run.all("call")]
    answers = Counter(event["call"] for event in run.all("answer"))
    assert set(answers) <= set(calls) and max(answers.values()) == 1
    assert len(answers) > len(calls) / 2


def test_a_plain_network_is_recorded_without_a_program(tmp_path: Path) -> None:
    from sim import plan

    seed = next(seed for seed in range(50) if not plan.draw(seed).switches)
    file = tmp_path / "run.rec"
    with recording(file) as begin:
        result = run(seed, Options(compile_program()), record=begin)
    assert not result.failure
    found = Folded(read(file))
    assert found.header["program"] is None and found.header["network"]["switches"] == []
    assert len(found.all("received")) > 1000 and not found.all("passed")
    assert result.digest == run(seed, Options(compile_program())).digest
