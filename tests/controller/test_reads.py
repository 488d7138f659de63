"""Counters and tables, read straight from a switch that has no controller any more."""

from __future__ import annotations

import asyncio
import json

import pytest

from controller.reads import ReadError, format_counters, format_tables, read_counters, read_tables
from tests.controller.triangle import Lab, free_port, until


async def test_tables_with_names_and_addresses(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(2, 5)
        lab.s1.digest(1, 0, 2, 5)
        await until(lambda: lab.led_by(2, 5))
    lab.s1.packets[1, 1] = 17
    tables = await asyncio.to_thread(read_tables, lab.s1.address, 1)
    assert json.loads(json.dumps(tables)) == tables
    text = format_tables(tables)
    assert "  group=1  ->  set_group(slot=0, quorum=2, leader=2, term=5, address=10.0.2.2, udp_port=26410)" in text
    assert "  group=1  source=1  address=10.0.1.1  ingress_port=1  ->  is_member()   17 packets" in text
    assert "  dst_addr=10.0.1.1/32  ->  forward(dst_mac=00:00:00:00:01:01, port=1)" in text
    assert text.startswith("port_roles (2)\n  ingress_port=3  ->  set_trunk()")


async def test_counters_by_name(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
    lab.s1.counters = {
        ("messages", 5): (12, 1200),
        ("messages", 16): (3, 300),
        ("messages", 31): (1, 60),
        ("drops", 9): (2, 200),
        ("redirects", 0): (4, 400),
        ("copies", 1): (6, 600),
        ("acknowledgements", 3): (8, 800),
        ("ends", 3): (1, 70),
        ("over_limits", 2): (4, 400),
        ("port_rx", 1): (7, 700),
        ("port_tx", 3): (8, 800),
    }
    counters = await asyncio.to_thread(read_counters, lab.s1.address, 1, lab.program.schema.p4info)
    assert counters == {
        "messages": {
            "AppendEntries": {"packets": 12, "bytes": 1200},
            "ClientRequest": {"packets": 3, "bytes": 300},
            "types above 30": {"packets": 1, "bytes": 60},
        },
        "drops": {"not_member": {"packets": 2, "bytes": 200}},
        "redirects": {"0": {"packets": 4, "bytes": 400}},
        "copies": {"to_member": {"packets": 6, "bytes": 600}},
        "acknowledgements": {"carried": {"packets": 8, "bytes": 800}},
        "ends": {"other_address": {"packets": 1, "bytes": 70}},
        "over_limits": {"2": {"packets": 4, "bytes": 400}},
        "reads": {},
        "ports": {
            "1": {"rx": {"packets": 7, "bytes": 700}, "tx": {"packets": 0, "bytes": 0}},
            "3": {"rx": {"packets": 0, "bytes": 0}, "tx": {"packets": 8, "bytes": 800}},
        },
    }
    others = await asyncio.to_thread(read_counters, lab.s2.address, 2)
    lines = [line.split() for line in format_counters({"s1": counters, "s2": others}).splitlines()]
    assert ["s1", "s2"] in lines
    assert ["AppendEntries", "12", "0"] in lines
    assert ["not_member", "2", "0"] in lines
    assert ["to_member", "6", "0"] in lines
    assert ["3", "0/8", "-"] in lines


async def test_switches_that_cannot_be_read(lab: Lab) -> None:
    with pytest.raises(ReadError, match="has no program yet"):
        await asyncio.to_thread(read_tables, lab.s1.address, 1)
    with pytest.raises(ReadError, match="no switch answers there"):
        await asyncio.to_thread(read_tables, f"127.0.0.1:{free_port()}", 1)
