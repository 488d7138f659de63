"""A program that uses every feature of the code generator, and random packets and edits for it.

Run as ``python -m tests.p4switch.everything CACHE PACKETS`` with the address sanitizer preloaded.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from p4switch.pipeline.pipeline import (
    EntryExists,
    Exact,
    Group,
    Lpm,
    Match,
    Member,
    MeterRates,
    Pipeline,
    PipelineError,
    Range,
    Replica,
    Ternary,
)
from tests.p4switch.bmv2json import Json, Programs, assign, call, drop, fld, header, hexstr, op, param, send_to

EXTRACT = Programs.extract


def named(kind: str, name: str) -> Json:
    return {"type": kind, "value": name}


def everything() -> Programs:
    p = Programs()
    p.header("h", {"kind": 8, "n": 4, "m": 12, "index": 8, "wide": 136, "s": -24})
    p.type("label_t", {"value": 15, "last": 1})
    p.stack("labels", "label_t", 3)
    p.header("v", {"len": 8, "data": "*"}, max_length=33)
    p.type("one_t", {"tag": 8, "x": 8})
    p.type("two_t", {"tag": 8, "y": 56})
    p.union("u", "u_t", {"one": "one_t", "two": "two_t"})
    p.union_stack("us", "u_t", {"one": "one_t", "two": "two_t"}, 2)
    p.meta(a=64, b=200, colour=8, key=16, flag=1)
    p.value_sets.append({"name": "set", "id": 0, "compressed_bitwidth": 8, "max_size": 4})
    _parser(p)
    _externs(p)
    _tables(p)
    return p


def _parser(p: Programs) -> None:
    look = [{"type": "lookahead", "value": [0, 8]}]
    length = op("<<", op("&", fld("v", "len"), 0x3F), 2)
    varbit = {"op": "extract_VL", "parameters": [{"type": "regular", "value": "v"}, length]}
    peek = {"op": "set", "parameters": [fld("meta", "b"), {"type": "lookahead", "value": [3, 90]}]}
    verify = {"op": "verify", "parameters": [op("!=", fld("h", "m"), 0xFFF), hexstr(2)]}
    advance = {"op": "advance", "parameters": [op("<<", fld("h", "n"), 2)]}
    kinds = [(1, "labels"), (2, "var"), (3, "one"), (4, "two"), (5, "peek"), (6, "skip"), ("set", "us")]
    p.state("start", [EXTRACT("h"), verify], [fld("h", "kind")], kinds)
    last = {"type": "stack_field", "value": ["labels", "last"]}
    p.state(
        "labels", [EXTRACT("labels", "stack")], [last, fld("h", "n")], [(0x0000, 0xFF00, "labels")], default="var"
    )
    p.state("var", [varbit], look, [(3, "one"), (4, 0x0C, "two")])
    p.state("one", [EXTRACT("u.one")], look, [(4, "two")], default="us")
    p.state("two", [EXTRACT("u.two")])
    p.state("peek", [peek], look, [(9, 0x0F, "skip")])
    p.state("skip", [advance], look, [("set", "us")], default="var")
    p.state("us", [], look, [(0, 0x01, "us_one")], default="us_two")
    for name in ("one", "two"):
        take = {"op": "extract", "parameters": [{"type": "union_stack", "value": ["us", name]}]}
        p.state(f"us_{name}", [take], look, [(0, 0x80, "us")])


def _externs(p: Programs) -> None:
    p.counters.append({"name": "c", "id": 0, "size": 10, "is_direct": False})
    p.registers.append({"name": "r", "id": 0, "size": 20, "bitwidth": 48})
    p.registers.append({"name": "rw", "id": 1, "size": 5, "bitwidth": 130})
    p.meters.append({"name": "m", "id": 0, "type": "bytes", "rate_count": 2, "size": 7, "is_direct": False})
    direct = {"is_direct": True, "binding": "exact", "result_target": ["meta", "colour"]}
    p.meters.append({"name": "dm", "id": 1, "type": "packets", "rate_count": 2, "size": 0, **direct})
    fields = [fld("h", n) for n in ("n", "m", "index", "wide")]
    p.calculations += [
        {"name": "sum", "id": 0, "algo": "csum16", "input": [*fields[:3], fld("v", "data"), named("payload", "")]},
        {"name": "plain", "id": 1, "algo": "csum16", "input": [fld("h", "n"), fld("h", "m"), fld("us[0].two", "y")]},
        {"name": "crc", "id": 2, "algo": "crc32", "input": [fld("h", "wide"), fld("labels[1]", "value")]},
    ]
    for name, target, verify in (("sum", ["meta", "key"], True), ("plain", ["h", "m"], False)):
        p.checksums.append(
            {"name": name, "id": 0, "target": target, "calculation": name, "verify": verify, "update": not verify}
        )
    elements = [fld("h", "index"), fld("meta", "b"), hexstr(7)]
    p.digests.append({"name": "d_t", "id": 1, "elements": elements})
    p.field_lists.append({"id": 1, "name": "fl", "elements": [fld("meta", "a"), fld("meta", "b")]})
    p.profiles.append({"name": "ap", "id": 0, "max_size": 8, "selector": {"algo": "crc16", "input": fields}})


def _tables(p: Programs) -> None:
    stack, unions = named("header_stack", "labels"), named("header_union_stack", "us")
    element = op("dereference_header_stack", stack, fld("h", "index"))
    field = op("access_field", element, 0)
    field["value"]["right"] = 0
    index = fld("h", "index")
    wide = fld("h", "wide")
    p.run(
        send_to(op("&", index, 7)),
        assign(("meta", "a"), op("+", fld("meta", "a"), op("*", index, 3))),
        assign(("meta", "b"), op("^", op("<<", wide, index), fld("meta", "b"))),
        assign(("h", "wide"), op("usat_cast", op("-", wide, op(">>", fld("meta", "b"), 3)), 136)),
        assign(("h", "s"), op("sat_cast", op("*", fld("h", "s"), fld("h", "s")), 24)),
        assign(field, op("-", field, 1)),
    )
    p.action("stacks", call("push", stack, index), call("pop", stack, hexstr(1)), call("pop", unions, hexstr(1)))
    p.action("count", call("count", named("counter_array", "c"), index))
    p.action(
        "cells",
        call("register_read", fld("meta", "a"), named("register_array", "r"), index),
        call("register_write", named("register_array", "r"), index, wide),
        call("register_write", named("register_array", "rw"), index, wide),
        call("register_read", fld("meta", "b"), named("register_array", "rw"), fld("h", "n")),
        call("execute_meter", named("meter_array", "m"), index, fld("meta", "colour")),
    )
    p.action(
        "copies",
        call("clone_ingress_pkt_to_egress", index, hexstr(1)),
        call("generate_digest", hexstr(1), hexstr(1)),
        call("truncate", op("+", index, 5)),
    )
    p.action("group", assign(("standard_metadata", "mcast_grp"), param(0)), params={"g": 16})
    p.action("again", call("resubmit", hexstr(1)))
    p.action(
        "shape",
        call("add_header", header("v")),
        call("remove_header", header("u.one")),
        call("add_header", header("u.two")),
        call("assign_header", header("labels[0]"), header("labels[2]")),
        call("add_header", header("us[1].one")),
    )
    p.action(
        "numbers",
        call("modify_field_rng_uniform", fld("meta", "key"), hexstr(3), index),
        call("modify_field_with_hash_based_offset", fld("meta", "a"), index, named("calculation", "crc"), wide),
        assign(("h", "wide"), {"type": "local", "value": 0}),
        params={"w": 136},
    )
    p.action("to", send_to(param(0)), params={"port": 9})
    p.action("drop", drop(), call("exit"))
    p.action("nothing")
    names = ["stacks", "count", "cells", "copies", "group", "again", "shape", "numbers", "to", "drop", "nothing"]
    more = {"default": "nothing"}
    p.table(
        "exact", [("exact", "h", "index"), ("exact", "h", "wide")], names, direct_meters="dm", max_size=4096, **more
    )
    p.table("lpm", [("lpm", "h", "wide"), ("exact", "h", "n")], names, with_counters=True, **more)
    p.table("ternary", [("ternary", "h", "index"), ("optional", "h", "m")], names, support_timeout=True, **more)
    p.table("range", [("range", "h", "index"), ("ternary", "h", "wide"), ("valid", "v", "")], names, **more)
    p.table("profile", [("exact", "h", "n")], names, type="indirect_ws", action_profile="ap")
    around = call("recirculate", hexstr(1))
    p.action("leave", call("clone_egress_pkt_to_egress", index, hexstr(1)))
    p.action("around", around, assign(("h", "index"), op("&", op("+", index, 1), 0xFF)))
    key = [("ternary", "h", "index"), ("exact", "standard_metadata", "instance_type")]
    p.table("out", key, ["leave", "around", "drop", "nothing"], control="egress", **more)


ACTIONS: dict[str, tuple[int, ...]] = {
    "stacks": (),
    "count": (),
    "cells": (),
    "copies": (),
    "group": (16,),
    "again": (),
    "shape": (),
    "numbers": (136,),
    "to": (9,),
    "drop": (),
    "nothing": (),
}


class Fuzz:
    """Random edits and packets; small numbers, so that they meet."""

    def __init__(self, pipeline: Pipeline, seed: int) -> None:
        self.pipeline = pipeline
        self.random = random.Random(seed)
        self.members: list[int] = []
        self.groups: list[int] = []

    def match(self, table: str) -> tuple[list[Match], int]:
        r = self.random
        small, mask = r.randrange(12), r.choice([0, 3, 0xFF])
        wide, wide_mask = r.randrange(4) << r.choice([0, 64, 128]), r.choice([0, (1 << 136) - 1, 0xFF << 100])
        if table == "exact":
            return [Exact(small), Exact(wide)], 0
        if table == "lpm":
            return [Lpm(wide, r.randrange(137)), Exact(small)], 0
        if table == "ternary":
            return [Ternary(small, mask), Ternary(small, r.choice([0, 0xFFF]))], r.randrange(1, 9)
        if table == "range":
            key: list[Match] = [Range(small, small + r.randrange(9)), Ternary(wide, wide_mask), Exact(r.randrange(2))]
            return key, r.randrange(1, 9)
        if table == "out":
            # Not for clones, which would become more and more.
            return [Ternary(small, 0xFF), Exact(r.choice([0, 4, 5]))], r.randrange(1, 9)
        return [Exact(small)], 0

    def call(self, table: str) -> tuple[str | Member | Group, list[int]]:
        r = self.random
        if table == "profile":
            if self.groups and r.random() < 0.5:
                return Group(r.choice(self.groups)), []
            return Member(r.choice(self.members)), []
        if table == "out":
            return r.choice(["leave", "around", "drop", "nothing"]), []
        name = r.choice(list(ACTIONS))
        return name, [r.randrange(16) for _ in ACTIONS[name]]

    def edit(self) -> None:
        r, pipeline = self.random, self.pipeline
        table = r.choice(["exact", "lpm", "ternary", "range", "profile", "out"])
        entries = pipeline.entries(table)
        if entries and r.random() < 0.45:
            entry = r.choice(entries)
            if r.random() < 0.7:
                pipeline.delete(table, entry.handle)
            else:
                pipeline.modify(table, entry.handle, *self.call(table))
        else:
            match, priority = self.match(table)
            try:
                handle = pipeline.insert(table, match, *self.call(table), priority=priority)
            except EntryExists:
                return
            if table == "exact":
                pipeline.set_entry_meter(table, handle, MeterRates(1, 2, 3, 4))

    def replication(self) -> None:
        r, pipeline = self.random, self.pipeline
        replicas = [Replica(r.randrange(9), i) for i in range(r.randrange(4))]
        pipeline.set_multicast_group(r.randrange(1, 16), replicas)
        pipeline.set_clone_session(r.randrange(12), replicas, r.choice([0, 7, 5000]))
        pipeline.set_value_set("set", [[r.randrange(16)] for _ in range(r.randrange(4))])
        if len(self.members) < 6:
            self.members.append(pipeline.add_member("ap", "to", [r.randrange(9)]))
        if len(self.groups) < 3:
            self.groups.append(pipeline.add_group("ap", self.members))
        pipeline.set_group("ap", r.choice(self.groups), r.choices(self.members, k=r.randrange(5)))
        pipeline.set_meter("m", r.randrange(7), r.choice([None, MeterRates(10, 100, 20, 200)]))

    def crowd(self) -> None:
        """So many entries that their look-ups are prepared a batch ahead."""
        for i in range(2000):
            try:
                self.pipeline.insert("exact", [Exact(i % 12), Exact(i << 100)], *self.call("exact"))
            except EntryExists:
                continue

    def packet(self) -> bytes:
        r = self.random
        head = bytes([r.randrange(9), r.randrange(256), r.randrange(256), r.randrange(12)])
        wide = (r.randrange(4) << r.choice([0, 64, 128])).to_bytes(17, "big")
        return (head + wide + r.randbytes(r.randrange(120)))[: r.choice([r.randrange(140), 200])]

    def run(self, packets: int) -> int:
        self.pipeline.set_logging(True)
        out = 0
        for i in range(packets):
            if i % 50 == 0:
                self.replication()
            if i % 3 == 0:
                self.edit()
            if i == packets // 2:
                self.crowd()
            out += len(self.pipeline.step(i % 9, self.packet(), i * 10, i).packets)
        return out


if __name__ == "__main__":
    from tests.p4switch.codegen.test_build import SANITIZED

    packets = int(sys.argv[2])
    try:
        with Pipeline.load(everything().json(), cache=Path(sys.argv[1]), flags=SANITIZED) as fuzzed:
            sent = Fuzz(fuzzed, 1).run(packets)
    except PipelineError as error:
        sys.exit(str(error))
    print(f"{packets} packets in, {sent} out")
