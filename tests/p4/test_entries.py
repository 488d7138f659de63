"""What the controller wants switches to hold is what the compiled program takes, by names that mean one thing."""

from __future__ import annotations

from pathlib import Path

from finsy.p4entity import decode_entity

from controller.desired import TABLES, Leadership, Operation, View, Write, desired_entries
from controller.network import FEATURES, parse
from controller.program import Program
from tests.controller.triangle import triangle


def test_every_desired_entry_can_be_written_and_read_back(raft_json: Path) -> None:
    program = Program(raft_json, raft_json.with_name("raft.p4info.txtpb"))
    network = parse(triangle())
    view = View(frozenset(network.links), {1: Leadership(1, 5)}, frozenset(FEATURES), {"h11": 500})
    seen = set()
    for switch in network.switches:
        for entry in desired_entries(network, switch.name, view):
            update = program.encode(Write(Operation.INSERT, entry))
            seen.add(entry.table)
            assert update.entity.WhichOneof("entity")
            assert program.decode(decode_entity(update.entity, program.schema)) == entry
    assert seen - {"multicast_groups", "profile_members", "profile_groups"} == set(TABLES)
