"""The embedded switch against what the real BMv2 did with the same random entries and packets.

A part of the recording, so that it takes seconds; `make test-recorded` plays all of it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.bmv2.inputs import Insert, make_round
from conformance.bmv2.recording import Recorded, RecordingError, load, play
from p4switch.pipeline.native import QUICK

NAMES = (
    "p4/raft",
    "p4switch/entities",
    "stf/checksum_update",
    "stf/clone_field_list",
    "stf/header_stack_push_pop",
    "stf/header_union",
    "stf/multicast",
    "stf/parser_loop",
    "stf/table_lpm",
    "stf/table_range",
    "stf/table_ternary",
    "stf/varbit_copy",
)


@pytest.fixture(scope="module")
def recorded() -> dict[str, Recorded]:
    return {one.name: one for one in load()}


@pytest.mark.parametrize("name", NAMES)
def test_packets_as_on_bmv2(name: str, recorded: dict[str, Recorded], build_cache: Path) -> None:
    assert play(recorded[name], build_cache, QUICK, rounds=2) == []


def test_the_recording_holds_a_hundred_thousand_packets(recorded: dict[str, Recorded]) -> None:
    assert len(recorded) >= 100
    assert sum(r.packets for one in recorded.values() for r in one.rounds) >= 100_000


def test_a_different_outcome_is_named(recorded: dict[str, Recorded], build_cache: Path) -> None:
    one = recorded["stf/table_exact"]
    first = one.rounds[0]
    outcomes = bytearray(b64decode(first.outcomes))
    outcomes[0] ^= 1
    changed = replace(one, rounds=[replace(first, outcomes=b64encode(outcomes).decode())])
    faults = play(changed, build_cache, QUICK)
    assert len(faults) == 1 and "packet 0" in faults[0], faults


def test_a_recording_of_other_inputs_is_refused(recorded: dict[str, Recorded], build_cache: Path) -> None:
    one = recorded["stf/table_exact"]
    with pytest.raises(RecordingError, match="record"):
        play(replace(one, rounds=[replace(one.rounds[0], inputs="0")]), build_cache, QUICK)


def test_inputs_reach_the_entries_of_every_match_kind(recorded: dict[str, Recorded]) -> None:
    kinds = set()
    for one in recorded.values():
        for operation in make_round(one.shape, one.rounds[0].seed, 1).operations:
            if isinstance(operation, Insert):
                kinds |= {type(match).__name__ for match in operation.match}
    assert kinds == {"Exact", "Lpm", "Ternary", "Range"}
